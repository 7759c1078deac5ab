"""Counts that triggers keep, and how far the feed of changes has got."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, SmallInteger, Table, Text
from sqlalchemy.orm import Mapped, mapped_column

from service.postgres.models.base import NOW, Base


class AppointmentCount(Base):
    """How many appointments were asked for in a stretch of time, by what is to be said of them now.

    Up to what still waits in ``appointment_count_deltas``: the truth is the sum of both.
    """

    __tablename__ = "appointment_counts"

    per: Mapped[str] = mapped_column(primary_key=True, comment="Each appointment counts once an hour, a day, and ever")
    starts_at: Mapped[datetime] = mapped_column(primary_key=True, comment="Of the hour or day, UTC; 1970 for ever")
    account: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(primary_key=True)
    submission: Mapped[str] = mapped_column(primary_key=True)
    failure_category: Mapped[str] = mapped_column(primary_key=True, comment="Empty for none")
    count: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (CheckConstraint("per IN ('hour', 'day', 'ever')", name="per"),)


class OutcomeCount(Base):
    """How many outcomes were learned in a stretch of time, and how long after the request: a histogram."""

    __tablename__ = "outcome_counts"

    per: Mapped[str] = mapped_column(primary_key=True, comment="Each outcome counts once an hour and once a day")
    starts_at: Mapped[datetime] = mapped_column(primary_key=True, comment="Of the hour or day, UTC")
    account: Mapped[str] = mapped_column(primary_key=True)
    learned_from: Mapped[str] = mapped_column(primary_key=True, comment="Empty where no event told it")
    took: Mapped[int] = mapped_column(
        SmallInteger, primary_key=True, comment="n for 1.1^n to 1.1^(n+1) seconds from the request to its outcome"
    )
    count: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (CheckConstraint("per IN ('hour', 'day')", name="per"),)


class ChangeMark(Base):
    """How far the numbers of changes had got for certain: what a new timeline shares with the one before."""

    __tablename__ = "change_marks"

    database: Mapped[str] = mapped_column(
        primary_key=True, comment="The cluster's system identifier and the database's oid"
    )
    timeline: Mapped[int] = mapped_column(
        primary_key=True, comment="A fail-over or a restore to a point in time begins one"
    )
    reached: Mapped[int] = mapped_column(
        BigInteger, comment="Every transaction before this one had ended when this was written"
    )
    at: Mapped[datetime] = mapped_column(server_default=NOW)


APPOINTMENT_COUNT_DELTAS = Table(
    "appointment_count_deltas",
    Base.metadata,
    Column("asked_hour", DateTime(timezone=True), nullable=False),
    Column("account", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("submission", Text, nullable=False),
    Column("failure_category", Text),
    Column("settled_hour", DateTime(timezone=True)),
    Column("learned_from", Text),
    Column("took", SmallInteger),
    Column("count", BigInteger, nullable=False),
    comment="Written by triggers on appointments, and folded into the counts by the worker: writers share no row",
)


UNMATCHED_COUNTS = Table(
    "unmatched_counts",
    Base.metadata,
    Column("count", BigInteger, nullable=False),
    comment="Their sum is how many events are unmatched; written by triggers, and folded into one by the worker",
)


FAILURE_CODE_COUNTS = Table(
    "failure_code_counts",
    Base.metadata,
    Column("account", Text, nullable=False),
    Column("code", Text, nullable=False, comment="Cobalt's; other for what is hardly a code"),
    Column("count", BigInteger, nullable=False),
    comment="Their sum is how many appointments have failed with a code; written by triggers, folded by the worker",
)
