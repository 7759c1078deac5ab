"""What a caller without the scope ``phi`` must not find out by trying: which guess at an MRN is the right one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.domain.masking import mask_text
from service.errors import ScopeMissingError
from service.postgres.engine import driver
from service.web.policy.auth import sees_phi
from service.web.policy.reads import access
from service.web.views.representation import hidden, masked_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy.orm import Session

    from service.postgres.models import Appointment
    from service.postgres.queries.appointment_views import AppointmentRow

NAMES_A_PATIENT = frozenset({"mrn"})
"""Filters of lists that find a patient by what is masked."""
MAY_NAME_A_PATIENT = ("provider", "type")
"""Filters by fields of the request that are masked where they repeat an MRN."""


def refuse_guesses(filters: Iterable[str]) -> None:
    """Refuse filters that name a patient to a caller who does not see patients' data.

    Raises:
        ScopeMissingError: There is one; whatever it was asked for, and before anything is looked up.
    """
    refused = sorted(NAMES_A_PATIENT.intersection(filters))
    if refused and not sees_phi():
        named = " and ".join(f"`{name}`" for name in refused)
        raise ScopeMissingError(
            "phi",
            f"The filter {named} needs an API key with the scope `phi`, for it would tell which guess at an MRN is "
            "right. Use such a key, whose reads are recorded, or find the appointment by its id.",
            {f"/query/{name}": "Needs the scope `phi`." for name in refused},
        )


def shows(filters: Mapping[str, Any], row: AppointmentRow) -> bool:
    """Tell whether a caller who does not see patients' data is shown what the filters found a row by.

    A row that is not is left out: that it is in the list would say what stands behind the stars.
    """
    named = {name: row.request[name] for name in MAY_NAME_A_PATIENT if name in filters}
    if "failure_code" in filters and mask_text(filters["failure_code"], hidden(row)) != filters["failure_code"]:
        return False
    return not named or masked_request(named, hidden(row)) == named


def record_confirmed(session: Session, row: Appointment, changes: Mapping[str, Any]) -> None:
    """Record it as a read when a correction repeats what its caller must not see: the stars in its place confirm it.

    Refusing such a correction would confirm it just as well. It begins an attempt at Cobalt and is kept with its key,
    so nobody guesses often by it; and here it is on record what the guess was right about.

    Args:
        session: The transaction of the correction.
        row: The appointment, corrected.
        changes: Field -> new value.
    """
    if sees_phi():
        return
    texts = {name: value for name, value in changes.items() if name != "mrn" and value is not None}
    shown = masked_request(texts, hidden(row))
    confirmed = [name for name, value in shown.items() if value != texts[name]]
    if confirmed:
        access(confirmed).record(driver(session), [row.id])
