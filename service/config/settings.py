"""Settings, and the reasons for every default."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from environs import validate

from service.config.readers import (
    TIME_FORMATS,
    choice,
    environment,
    integer,
    read,
    read_base_url,
    read_credential,
    read_database_url,
    read_encryption_keys,
    read_optional,
    read_optional_credential,
    read_optional_database_url,
    read_optional_port,
    read_secrets,
    read_spool_dir,
    read_timezone,
    seconds,
    setting,
)
from service.errors import SettingsError

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """What a command needs that asks the database only. Secrets stay out of ``repr``."""

    database_url: str = setting(
        "PostgreSQL as a libpq URL, `postgresql://...`; sockets and several hosts allowed",
        read_database_url,
        secret=True,
    )
    statement_timeout: timedelta = setting("seconds for one statement of the API", seconds(10, 0.1, 600))

    @classmethod
    def from_env(cls) -> Self:
        """Read and check these settings, and no other. ``NAME_FILE`` may name a file that holds the value of ``NAME``.

        Raises:
            SettingsError: A setting is missing or malformed; one line that names it, without its value.
        """
        env = environment()
        settings = cls(**{setting.name: read(env, setting) for setting in fields(cls)})
        settings._check_together()
        return settings

    def _check_together(self) -> None:
        """Check what no setting tells alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings(DatabaseSettings):
    """What a command needs besides that knows the linked EHR accounts."""

    cobalt_account: str | None = setting(
        "an account that needs no row in `accounts`: its `access_token_reference_id`", read_optional
    )
    cobalt_access_token: str | None = setting("the access token of that account", read_optional_credential, secret=True)
    cobalt_time_format: str = setting(
        "how times are sent to that account: `as_given`, `12_hour` or `datetime`",
        choice("as_given", *TIME_FORMATS),
    )
    cobalt_timezone: str | None = setting(
        "the IANA time zone of that account's clinics; needed for `datetime`", read_timezone
    )
    encryption_keys: tuple[str, ...] = setting(
        "Fernet keys for stored access tokens, comma-separated; the first encrypts",
        read_encryption_keys,
        secret=True,
    )

    catalogue_max_age: timedelta = setting(
        "seconds for which a catalogue of providers, locations and visit types is trusted; requests are not checked "
        "against an older one; 0 turns the check off",
        seconds(86_400, 0, 2_592_000),
    )

    def _check_together(self) -> None:
        if (self.cobalt_account is None) != (self.cobalt_access_token is None):
            missing = "COBALT_ACCOUNT" if self.cobalt_account is None else "COBALT_ACCESS_TOKEN"
            raise SettingsError(f"{missing}: is missing; COBALT_ACCOUNT and COBALT_ACCESS_TOKEN go together")
        if self.cobalt_time_format == "datetime" and not self.cobalt_timezone:
            raise SettingsError("COBALT_TIMEZONE: is needed when COBALT_TIME_FORMAT is datetime")


@dataclass(frozen=True, slots=True, kw_only=True)
class CobaltSettings(AccountSettings):
    """What a command needs besides that calls Cobalt."""

    cobalt_client_id: str = setting("our client id at Cobalt", read_credential, secret=True)
    cobalt_client_secret: str = setting("our client secret at Cobalt", read_credential, secret=True)
    cobalt_base_url: str = setting("Cobalt's API; plain http only to a loopback address", read_base_url)
    cobalt_timeout: timedelta = setting(
        "seconds for a whole call to Cobalt, from the DNS lookup to the last byte of the reply",
        seconds(30, 0.1, 600),
    )
    cobalt_reply_max_bytes: int = setting(
        "the largest reply from Cobalt that is read, decompressed; a hundred events take about 200 kB",
        integer(1_048_576, 1024, 67_108_864),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(CobaltSettings):
    """Everything that can be set from outside, read once at start by the processes that serve."""

    read_database_url: str | None = setting(
        "a read replica, as a libpq URL: serves lists, single appointments, timelines and stats",
        read_optional_database_url,
        secret=True,
    )
    read_after_write: timedelta = setting(
        "seconds during which a key that wrote reads from the primary; a replica that lags by more than half of that "
        "is not used",
        seconds(10, 1, 600),
    )
    cobalt_webhook_secrets: tuple[str, ...] = setting(
        "webhook secrets, comma-separated; a signature may match any, so that they can be rotated; not needed with "
        "`WEBHOOKS=off`",
        read_secrets,
        secret=True,
    )
    webhooks: str = setting(
        "`off` if Cobalt cannot send webhooks here: outcomes are only polled, every `POLL_INTERVAL`",
        choice("on", "on", "off"),
    )
    cobalt_concurrency: int = setting(
        "calls to Cobalt in flight at once, per worker; an account takes no more than stay free: half, if alone",
        integer(32, 1, 256),
    )
    account_probe_interval: timedelta = setting(
        "seconds between two probes of an account whose login Cobalt refuses, across all workers",
        seconds(60, 0.05, 86_400),
    )
    lease_margin: timedelta = setting(
        "seconds beyond `COBALT_TIMEOUT` after which the worker that made a call counts as lost",
        seconds(30, 0, 3600),
    )
    spool_dir: Path = setting("where events wait while PostgreSQL is unavailable; must be durable", read_spool_dir)
    spool_max_bytes: int = setting(
        "bytes that the spool may take; a million events take about 700 MB", integer(1_073_741_824, 65_536, 2**40)
    )
    webhook_budget: timedelta = setting(
        "seconds within which a webhook is answered; Cobalt's retry waits 2 s", seconds(2, 0.2, 4.5)
    )
    webhook_max_bytes: int = setting(
        "the largest webhook body that is accepted, in bytes", integer(1_048_576, 1024, 67_108_864)
    )
    request_max_bytes: int = setting(
        "the largest other request body that is accepted, in bytes", integer(262_144, 1024, 16_777_216)
    )
    first_byte_timeout: timedelta = setting(
        "seconds for the first byte of the first request on a connection", seconds(10, 0.1, 600)
    )
    head_timeout: timedelta = setting("seconds from there to the end of the headers", seconds(10, 0.1, 600))
    body_timeout: timedelta = setting("seconds from there to the end of the body", seconds(20, 0.1, 600))
    keepalive_timeout: timedelta = setting(
        "seconds that a connection may be idle between requests; longer than the load balancer's idle timeout, so that "
        "the service never closes first",
        seconds(75, 0.1, 3600),
    )
    send_timeout: timedelta = setting(
        "seconds that a client may go without reading any of its answer", seconds(30, 0.1, 600)
    )
    connection_limit: int = setting(
        "client connections at once, per web process, if its open files (LimitNOFILE) allow; above it the connection "
        "that was idle longest is closed",
        integer(1000, 16, 100_000),
    )
    buffer_limit: int = setting(
        "bytes of unfinished requests at once, per web process; above it the oldest is closed",
        integer(16_777_216, 65_536, 2**40),
    )
    intake_batch: int = setting("the most events in one transaction", integer(500, 1, 1000))
    intake_queue: int = setting("the most events that wait for a transaction", integer(5000, 1, 100_000))
    database_pool: int = setting(
        "API requests handled at once, each with a connection to PostgreSQL, per process",
        integer(10, 2, 200),
    )
    longest_wait: int = setting(
        "the most seconds that `Prefer: wait` may ask for; the load balancer must wait longer", integer(30, 1, 300)
    )
    overdue_after: timedelta = setting(
        "seconds after which a request that is still processing is overdue; Cobalt's robots take minutes",
        seconds(900, 1, 604_800),
    )
    ask_after: timedelta = setting(
        "seconds after which Cobalt is first asked about a request that it accepted; outcomes exist after 2 minutes",
        seconds(150, 0, 604_800),
    )
    sweep_interval: timedelta = setting(
        "seconds between sweeps of each account's events at Cobalt, which find outcomes whose webhook was lost",
        seconds(600, 0.1, 604_800),
    )
    sweep_overlap: timedelta = setting(
        "seconds by which a sweep overlaps the previous one, for events that Cobalt lists late",
        seconds(600, 0, 604_800),
    )
    poll_interval: timedelta = setting("as `SWEEP_INTERVAL`, if `WEBHOOKS=off`", seconds(10, 0.1, 86_400))
    ask_interval: timedelta = setting(
        "seconds before Cobalt is asked again about the same appointment; doubles, up to 64 times",
        seconds(30, 0.05, 86_400),
    )
    ask_rate: float = setting(
        "questions to Cobalt per second, per account and worker",
        lambda env, name: env.float(name, 2.0, validate=validate.Range(0.01, 1000)),
    )
    catalogue_interval: timedelta = setting(
        "seconds between fetches of each account's catalogue from Cobalt", seconds(14_400, 1, 2_592_000)
    )
    unconfirmed_after: timedelta = setting(
        "seconds without evidence after which an unconfirmed submission fails; robots take minutes",
        seconds(3600, 1, 604_800),
    )
    idempotency_ttl: timedelta = setting(
        "seconds for which the first answer to an Idempotency-Key is kept", seconds(86_400, 60, 2_592_000)
    )
    rate_limit: int = setting(
        "requests per minute of one API key, per web process; 0 for no limit", integer(6000, 0, 10_000_000)
    )
    in_flight_limit: int = setting(
        "requests of one API key in flight at once, per web process, not counting those that only wait; 0 for no limit",
        integer(32, 0, 10_000),
    )
    worker_grace: timedelta = setting(
        "seconds within which a worker stops after SIGTERM; calls to Cobalt are aborted after four fifths of that",
        seconds(25, 0.5, 3600),
    )
    worker_interval: timedelta = setting("seconds between polls for due work", seconds(0.2, 0.01, 60))
    port: int = setting("the port the web process listens on", integer(8000, 1, 65535))
    host: str = setting("the address the web process listens on", lambda env, name: env.str(name, "127.0.0.1"))
    internal_port: int | None = setting(
        "a separate port for operations: if set, `/metrics`, `/docs` and `/openapi.json` are served only there",
        read_optional_port,
    )
    internal_host: str = setting("the address of that port", lambda env, name: env.str(name, "127.0.0.1"))
    web_concurrency: int = setting("web worker processes", integer(2, 1, 64))
    metrics_port: int | None = setting(
        "the port on which a worker serves `/metrics`, `/livez` and `/readyz`; the web process uses its own",
        read_optional_port,
    )
    log_level: str = setting(
        "`debug`, `info`, `warning` or `error`",
        choice("info", "debug", "info", "warning", "error"),
    )

    @property
    def takes_webhooks(self) -> bool:
        """Whether Cobalt can send its events here."""
        return self.webhooks == "on"


def read_setting(name: str) -> Any:  # noqa: ANN401 (each setting has its own type)
    """Read and check one setting, by its name in ``Settings``.

    Raises:
        SettingsError: It is missing or malformed; one line that names it, without its value.
    """
    return read(environment(), next(one for one in fields(Settings) if one.name == name))
