"""Linked accounts, API keys, and what was done with them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.orm import Mapped, mapped_column

from service.postgres.models.base import NOW, Base


class Account(Base):
    """A linked EHR account at Cobalt."""

    __tablename__ = "accounts"

    name: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True, comment="Cobalt's access_token_reference_id")
    access_token: Mapped[bytes] = mapped_column(comment="Encrypted with the first of ENCRYPTION_KEYS")
    time_format: Mapped[str] = mapped_column(server_default="as_given")
    timezone: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (
        CheckConstraint("time_format IN ('as_given', '12_hour', 'datetime')", name="time_format"),
        CheckConstraint("time_format <> 'datetime' OR timezone IS NOT NULL", name="datetime_has_a_timezone"),
    )


class AccountReference(Base):
    """What Cobalt calls an account beside ``accounts.reference``: what it called it before, or what a person said."""

    __tablename__ = "account_references"

    account: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(primary_key=True, comment="Cobalt's access_token_reference_id")
    added_at: Mapped[datetime] = mapped_column(server_default=NOW)


class AccountHealth(Base):
    """Whether calls for an account may be made, as all workers know it. One that never was in trouble has no row."""

    __tablename__ = "account_health"

    account: Mapped[str] = mapped_column(primary_key=True, comment="Our name for it, stored or of the environment")
    health: Mapped[str] = mapped_column(server_default="healthy")
    reason: Mapped[str | None]
    since: Mapped[datetime | None] = mapped_column(comment="Since when its health is what it is")
    probe_at: Mapped[datetime | None] = mapped_column(comment="When one call may try whether the trouble is over")
    slowed: Mapped[int] = mapped_column(server_default="0", comment="How often in a row Cobalt slowed it down")
    version: Mapped[int] = mapped_column(
        server_default="0", comment="A call that was begun under an earlier one is no evidence any more"
    )
    held_by: Mapped[str | None] = mapped_column(comment="Who holds it, where a person does")
    held_why: Mapped[str | None] = mapped_column(comment="In that person's words")

    __table_args__ = (
        CheckConstraint("health IN ('healthy', 'paused', 'login_required', 'held')", name="health"),
        CheckConstraint("(health IN ('paused', 'login_required')) = (probe_at IS NOT NULL)", name="trouble_is_probed"),
        CheckConstraint("(health = 'held') = (held_by IS NOT NULL)", name="held_by_somebody"),
    )


class ApiKey(Base):
    """A key to the API. Only a hash of it is kept: it is random, so SHA-256 will do."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    digest: Mapped[bytes] = mapped_column(unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    wrote_at: Mapped[datetime | None] = mapped_column(
        comment="About when it last wrote, kept only beside a replica: its reads stay off that for a while"
    )

    __table_args__ = (
        CheckConstraint("scopes <@ ARRAY['read', 'phi', 'write', 'ops'] AND cardinality(scopes) > 0", name="scopes"),
    )


class IdempotencyKey(Base):
    """The first answer to a write, kept to be given again."""

    __tablename__ = "idempotency_keys"

    key_id: Mapped[str] = mapped_column(primary_key=True, comment="The API key that it belongs to")
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(comment="SHA-256 of method, path and body")
    meaning: Mapped[bytes | None] = mapped_column(
        comment="SHA-256 of method, path and what the body says in JSON, however that is written"
    )
    http_status: Mapped[int]
    headers: Mapped[dict[str, Any]]
    body: Mapped[dict[str, Any]] = mapped_column(JSON, comment="Not jsonb, which would change the order and numbers")
    expires_at: Mapped[datetime]

    __table_args__ = (Index("ix_idempotency_keys_expires_at", "expires_at"),)


class PhiRead(Base):
    """Who saw patients' data unmasked, and when (HIPAA 164.312(b)). Triggers refuse every change and removal."""

    __tablename__ = "phi_reads"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=NOW, comment="On PostgreSQL's clock, which all processes share")
    key_id: Mapped[str | None] = mapped_column(comment="The API key; null at the command line")
    reader: Mapped[str] = mapped_column(comment="The key's name at the time; at the command line the OS user")
    request_id: Mapped[str | None]
    operation: Mapped[str] = mapped_column(comment="Method and route, or the command")
    filters: Mapped[list[str]] = mapped_column(comment="The names of the filters of a list, without their values")
    record_ids: Mapped[list[str]] = mapped_column(
        comment="Appointments, events and quarantined records that were shown"
    )

    __table_args__ = (
        Index("ix_phi_reads_at", "at"),
        Index("ix_phi_reads_key_id_at", "key_id", "at"),
        # What is not sorted in yet is kept short: sorting in 4 MB of it, the default, holds one read up for 0.4 s.
        Index(
            "ix_phi_reads_record_ids",
            "record_ids",
            postgresql_using="gin",
            postgresql_with={"gin_pending_list_limit": "256"},
        ),
    )
