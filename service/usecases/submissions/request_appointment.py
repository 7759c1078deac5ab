"""Take a request for an appointment: one row, which is also the outbox of its submission."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from service.domain.exact_json import is_kept_by_jsonb
from service.domain.ids import new_id
from service.domain.request_fields import read_start, refuse_skipped
from service.domain.states import EVER
from service.domain.submission import FIRST
from service.errors import InvalidFieldsError
from service.postgres.models import Appointment
from service.usecases.access.accounts import account_timezones
from service.usecases.access.catalogues import refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.orm import Session

    from service.config import AccountSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentRequest:
    """What a caller asks for.

    Args:
        fields: Cobalt's create fields, validated, as the caller gave them.
        account: Our name of the linked EHR account; may be left out where there is only one.
        metadata: The caller's own, given back untouched.
        request_id: Of the API call.
        is_lenient: What the account's catalogue does not list is taken all the same.
    """

    fields: dict[str, Any]
    account: str | None
    metadata: dict[str, Any]
    request_id: str
    is_lenient: bool = False


def request_appointment(session: Session, settings: AccountSettings, wanted: AppointmentRequest) -> Appointment:
    """Record a request, in the caller's transaction; once that is committed, a worker submits it.

    Raises:
        InvalidFieldsError: There is no such account, or none was named and there are several; or its clocks skip the
            start; or its catalogue does not list what the request names.
    """
    zones = account_timezones(session, settings)
    account = choose_account(zones, wanted.account)
    refuse_skipped(read_start(wanted.fields), zones[account])
    if not wanted.is_lenient:
        refuse_unknown(session, settings, account, wanted.fields)
    appointment = new_appointment(account, wanted)
    session.add(appointment)
    session.flush()
    return appointment


def new_appointment(account: str, wanted: AppointmentRequest) -> Appointment:
    """Make the row of a request for an account that there is."""
    now = datetime.now(UTC)
    start = read_start(wanted.fields)
    return Appointment(
        id=new_id("appt"),
        account=account,
        status="processing",
        attempt=1,
        attempt_since=EVER,
        version=1,
        request=wanted.fields,
        mrn=wanted.fields["mrn"],
        former_mrns=[],
        provider=wanted.fields["provider"],
        type=wanted.fields["type"],
        starts_local=start.local,
        starts_at=start.at,
        details=wanted.metadata,
        details_as_given=None if is_kept_by_jsonb(wanted.metadata) else wanted.metadata,
        request_id=wanted.request_id,
        submission=FIRST,
        tries=0,
        due_at=now,
        failures=0,
        discrepancies=[],
        created_at=now,
        updated_at=now,
        requested_at=now,
        asks=0,
        candidates=[],
    )


def choose_account(names: Collection[str], name: str | None) -> str:
    """Say which account a request is for.

    Args:
        names: The accounts that there are.
        name: The one that it names; it may be left out where there is only one.

    Raises:
        InvalidFieldsError: There is no such account, or none was named and there are several.
    """
    if name is None and len(names) == 1:
        return next(iter(names))
    if not names:
        raise InvalidFieldsError({"/account": "no account is set up; an operator adds one with `accounts add`"})
    if name is None or name not in names:
        wrong = "is not an account" if name is not None else "is required, there are several"
        raise InvalidFieldsError({"/account": f"{wrong}; use one of: {', '.join(sorted(names))}"})
    return name
