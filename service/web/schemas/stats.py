"""What goes in and out of the stats, as marshmallow schemas."""

from __future__ import annotations

from datetime import UTC, datetime

from marshmallow import Schema, fields, validate

from service.domain.times import FIRST_YEAR, LAST_YEAR
from service.requests.schema import storable
from service.requests.strict import StrictSchema
from service.web.schemas.instants import Instant

_YEARS = validate.Range(
    datetime(FIRST_YEAR, 1, 1, tzinfo=UTC),
    datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC),
    error=f"Must be in the years {FIRST_YEAR} to {LAST_YEAR}.",
)


def _count(description: str) -> fields.Integer:
    return fields.Integer(required=True, metadata={"description": description})


def _counts(description: str) -> fields.Dict:
    return fields.Dict(
        keys=fields.String(), values=fields.Integer(), required=True, metadata={"description": description}
    )


def _time(description: str, *, required: bool = True) -> fields.String:
    return fields.String(
        required=required, allow_none=True, metadata={"description": description, "format": "date-time"}
    )


def _seconds(description: str) -> fields.Float:
    return fields.Float(required=True, allow_none=True, metadata={"description": description})


class StatsQuery(StrictSchema):
    """The account and the period."""

    account = fields.String(validate=storable, metadata={"description": "Only the appointments of this account"})
    bucket = fields.String(
        load_default="hour",
        validate=validate.OneOf(["hour", "day"]),
        metadata={"description": "The length of each bucket; days are in UTC"},
    )
    from_ = Instant(
        data_key="from",
        validate=_YEARS,
        metadata={"description": "Begins the period, a time with offset; widened to a whole bucket."
                  " By default 24 hours or 30 days before its end"},
    )  # fmt: skip
    to = Instant(
        validate=_YEARS,
        metadata={"description": "Ends the period, as above; by default the bucket under way is the last"},
    )


class OldestOut(Schema):
    """The request that has waited longest."""

    requested_at = _time("When it was requested")
    age_seconds = _seconds("How long ago that was")


class PileOut(Schema):
    """Something that waits."""

    count = _count("How many")
    oldest_at = _time("Since when the oldest has waited; null if there is none")
    oldest_age_seconds = _seconds("How long that is")


class PeriodOut(Schema):
    """The period of the outcomes and the buckets, in whole buckets."""

    from_ = fields.String(
        required=True,
        data_key="from",
        attribute="from",
        metadata={"format": "date-time", "description": "Its beginning"},
    )
    to = fields.String(required=True, metadata={"format": "date-time", "description": "Its end"})
    bucket = fields.String(required=True, validate=validate.OneOf(["hour", "day"]))


class ProcessingSecondsOut(Schema):
    """Seconds from the request, or its latest correction, to its outcome: percentiles, null without outcomes."""

    p50 = _seconds("Half of the outcomes came within this time")
    p90 = _seconds("Nine in ten")
    p95 = _seconds("Nineteen in twenty")
    p99 = _seconds("Ninety-nine in a hundred")
    relative_error = fields.Float(required=True, metadata={"description": "The percentiles are off by at most this"})


class LearnedFromOut(Schema):
    """How the outcomes of the period were learned."""

    webhook = _count("By a webhook")
    spool = _count("By a webhook that waited on disk while PostgreSQL was unavailable")
    replay = _count("By a webhook that was quarantined and replayed later")
    poll = _count("By asking Cobalt, because no webhook arrived")
    other = _count("Without an event: from Cobalt's reply to the request, or because no evidence was found")


class OutcomesOut(Schema):
    """The outcomes that were learned in the period."""

    settled = _count("How many")
    processing_seconds = fields.Nested(ProcessingSecondsOut, required=True)
    learned_from = fields.Nested(LearnedFromOut, required=True)
    missed_webhook_rate = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "The share of `poll` among outcomes that came by an event; null if there are none"},
    )


class BucketOut(Schema):
    """The appointments that were requested in one hour or day, in their current state."""

    from_ = fields.String(
        required=True,
        data_key="from",
        attribute="from",
        metadata={"format": "date-time", "description": "Its beginning"},
    )
    submitted = _count("How many; the sum of `status`")
    status = _counts("How many have each status")
    failure_category = _counts("Failures by category; only categories that occur")


class StatsOut(Schema):
    """Counts of appointments, outcome times and backlogs, all as of one moment, `as_of`."""

    object = fields.String(required=True, validate=validate.Equal("stats"))
    as_of = _time("The moment of all these figures")
    account = fields.String(required=True, allow_none=True, metadata={"description": "Null for all accounts"})
    submitted = _count("How many appointments were ever requested: the sum of `status`")
    status = _counts("How many have each status now")
    submission = _counts("How many appointments are in each state of the call to Cobalt")
    failure_category = _counts("Failures by category")
    failure_code = _counts(
        "How many failed with each of Cobalt's codes, as Cobalt spells it; what is rare or hardly a code is `other`"
    )
    oldest_processing = fields.Nested(OldestOut, required=True, allow_none=True)
    accounts = _counts("How many linked accounts have each health")
    unmatched = fields.Nested(
        PileOut, required=True, metadata={"description": "Events without a known appointment, of all accounts"}
    )
    of_another_account = fields.Nested(
        PileOut,
        required=True,
        metadata={
            "description": "Unmatched events that name an appointment of another account; a person must look at them"
        },
    )
    quarantined = fields.Nested(
        PileOut, required=True, metadata={"description": "Webhooks that could not be read yet, of all accounts"}
    )
    spooled = fields.Nested(
        PileOut,
        required=True,
        allow_none=True,
        metadata={"description": "Webhooks on the disk of this instance; null if its disk does not answer"},
    )
    period = fields.Nested(PeriodOut, required=True)
    outcomes = fields.Nested(OutcomesOut, required=True)
    buckets = fields.List(fields.Nested(BucketOut), required=True)
