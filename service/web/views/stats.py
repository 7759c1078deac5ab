"""Stats over HTTP."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask.views import MethodView

from service.domain.account_health import Health
from service.domain.failures import Category
from service.domain.states import Status
from service.domain.submission import Submission
from service.errors import InvalidFieldsError, SpoolUnavailableError
from service.postgres.queries.outcome_times import RELATIVE_ERROR, percentile
from service.postgres.queries.stats import Period, Pile, read_stats
from service.usecases.access.account_views import view_accounts
from service.web.openapi.arguments import Blueprint
from service.web.policy.auth import requires
from service.web.policy.context import as_of, reading, settings
from service.web.schemas.stats import StatsOut, StatsQuery
from service.web.services import services

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.postgres.queries.stats import Appointments, Stats

LENGTHS = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
USUAL = {"hour": 24, "day": 30}
MOST_BUCKETS = 750
"""A month of hours, or two years of days: each is a few rows to read."""
TOLD = ("webhook", "spool", "replay", "poll")
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}

blueprint = Blueprint("stats", __name__, url_prefix="/v1/stats", description="How it goes")


@blueprint.route("")
class StatsView(MethodView):
    """Counts, and how well it goes."""

    @requires("read")
    @blueprint.doc(operationId="getStats")
    @blueprint.arguments(StatsQuery, location="query")
    @blueprint.response(HTTPStatus.OK, StatsOut)
    def get(self, query: dict[str, Any]) -> Any:  # noqa: ANN401
        """Read how it goes.

        Counts of appointments, the times of their outcomes, what waits, and what was asked for by the hour or day.
        """
        period = _period(query, datetime.now(UTC))
        account = query.get("account")
        with reading() as session:
            stats = read_stats(session, period, account)
            accounts = view_accounts(session, settings(), account)
        stats = replace(stats, as_of=min(stats.as_of, as_of()))
        healths = Counter(one.standing.health.value for one in accounts if one.is_linked)
        return {"object": "stats", "account": account, "accounts": _every(Health, healths)} | _shown(stats, period)


def _period(query: Mapping[str, Any], now: datetime) -> Period:
    """Widen the period that was asked for to whole buckets.

    Raises:
        InvalidFieldsError: It ends before it begins, or is too long.
    """
    per = query["bucket"]
    length = LENGTHS[per]
    ends = _begin(query.get("to", now) - timedelta.resolution, length) + length
    begins = _begin(query["from_"], length) if "from_" in query else ends - USUAL[per] * length
    if begins >= ends:
        raise InvalidFieldsError({"/query/from": "Must be before `to`."})
    if ends - begins > MOST_BUCKETS * length:
        raise InvalidFieldsError({"/query/from": f"Must be at most {MOST_BUCKETS} buckets before `to`."})
    return Period(per, begins, ends)


def _begin(at: datetime, length: timedelta) -> datetime:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return at.astimezone(UTC) - (at - epoch) % length


def _shown(stats: Stats, period: Period) -> dict[str, Any]:
    now = stats.as_of
    oldest = stats.oldest_processing
    all_of_them = stats.appointments
    length = LENGTHS[period.per]
    starts = [period.begins + number * length for number in range((period.ends - period.begins) // length)]
    return {
        "as_of": _time(now),
        "submitted": all_of_them.submitted,
        "status": _every(Status, all_of_them.status),
        "submission": _every(Submission, all_of_them.submission),
        "failure_category": _every(Category, all_of_them.failure_category),
        "failure_code": dict(stats.failure_codes),
        "oldest_processing": oldest and {"requested_at": _time(oldest), "age_seconds": _age(oldest, now)},
        "unmatched": _pile(stats.unmatched, now),
        "of_another_account": _pile(stats.of_another_account, now),
        "quarantined": _pile(stats.quarantined, now),
        "spooled": _spooled(now),
        "period": {"from": _time(period.begins), "to": _time(period.ends), "bucket": period.per},
        "outcomes": _outcomes(stats.outcomes),
        "buckets": [_bucket(start, stats.buckets.get(start)) for start in starts],
    }


def _every(names: Any, found: Counter[str]) -> dict[str, int]:  # noqa: ANN401 (an enumeration, or names)
    return {str(name): found[name] for name in names}


def _pile(pile: Pile, now: datetime) -> dict[str, Any]:
    oldest = pile.oldest
    return {
        "count": pile.count,
        "oldest_at": oldest and _time(oldest),
        "oldest_age_seconds": oldest and _age(oldest, now),
    }


def _spooled(now: datetime) -> dict[str, Any] | None:
    try:
        depth = services().spool.depth()
    except SpoolUnavailableError:
        return None
    return _pile(Pile(depth.count, depth.oldest), now)


def _outcomes(outcomes: Mapping[str, Counter[int]]) -> dict[str, Any]:
    together: Counter[int] = sum(outcomes.values(), Counter())
    told = {name: outcomes.get(name, Counter()).total() for name in TOLD}
    all_told = sum(told.values())
    seconds = {name: percentile(together, share) for name, share in PERCENTILES.items()}
    return {
        "settled": together.total(),
        "processing_seconds": {
            **{name: found and float(f"{found:.4g}") for name, found in seconds.items()},
            "relative_error": RELATIVE_ERROR,
        },
        "learned_from": told | {"other": together.total() - all_told},
        "missed_webhook_rate": round(told["poll"] / all_told, 6) if all_told else None,
    }


def _bucket(start: datetime, found: Appointments | None) -> dict[str, Any]:
    return {
        "from": _time(start),
        "submitted": found.submitted if found else 0,
        "status": _every(Status, found.status if found else Counter()),
        "failure_category": dict(sorted(found.failure_category.items())) if found else {},
    }


def _age(at: datetime, now: datetime) -> float:
    return max(0.0, round((now - at).total_seconds(), 3))


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
