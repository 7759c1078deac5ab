"""One appointment at Cobalt, and how the webhook and the list describe it."""

import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from service.lab.sandbox.events import iso
from service.lab.sandbox.settings import TIMEZONE

PATIENT = {
    "patient_name": "Zephyrine Quillfeather",
    "patient_date_of_birth": "1931-07-09",
    "patient_phone": "+1 555 019 8877",
    "insurance": {"payer": "Gryphon Mutual", "member_id": "GM-55012-77"},
    "diagnoses": [{"code": "Z73.1", "description": "Accentuated whimsy"}],
    "medications": ["Moonwort tincture"],
    "notes": "Prefers the window seat.",
}
"""What the list tells of everyone, beyond what anybody needs who only asks what became of an appointment."""


@dataclass(kw_only=True)
class Appointment:
    """One appointment at Cobalt.

    Attributes:
        serial: the n-th of this sandbox; what befalls it under a seed hangs on it.
        state: Cobalt's `pending`, `failed` or `scheduled`.
        status: the EHR's word for it once scheduled, which a PATCH may change.
        tries: how often Cobalt was asked to make it; a try that is not the last one settles nothing.
        outcome: how the last try ended; None while it has not.
        source: `cobalt_operation`, or `ehr` when staff made it.
    """

    serial: int
    id: str
    job_id: int
    account: str
    fields: dict[str, str]
    starts_at: datetime
    created_at: datetime
    state: str = "pending"
    status: str = "scheduled"
    tries: int = 1
    outcome: str | None = None
    source: str = "cobalt_operation"

    @property
    def provider_id(self) -> str:
        """The EHR's id of the provider."""
        return _provider_id(self.fields["provider"], "emr_prov_")

    @property
    def provider_name(self) -> str:
        """The provider's name: as asked for, unless it was asked for by a number."""
        asked = self.fields["provider"]
        return "Dr. Smith" if asked.isdecimal() else asked


def created_data(appointment: Appointment, *, later: bool) -> dict[str, object]:
    """The `data` of `appointment.created`: the seed's local time and order of keys, or the later ones."""
    secondary = appointment.fields.get("secondary_provider")
    secondary_id = _provider_id(secondary, "emr_sec_prov_") if secondary else None
    common = {"timezone": str(TIMEZONE), "provider_id": appointment.provider_id}
    if later:
        return {
            "appointment_id": appointment.id,
            "mrn": appointment.fields["mrn"],
            "date_time": iso(appointment.starts_at),
            **common,
            "provider_name": appointment.provider_name,
            "secondary_provider_id": secondary_id,
        }
    return {
        "appointment_id": appointment.id,
        "date_time": appointment.starts_at.strftime("%Y-%m-%dT%H:%M"),
        **common,
        "secondary_provider_id": secondary_id,
        "provider_name": appointment.provider_name,
        "mrn": appointment.fields["mrn"],
    }


def synced_data(appointment: Appointment) -> dict[str, object]:
    """The `data` of an event of EHR sync, with the odd sample's numeric MRN and short offset."""
    mrn = appointment.fields["mrn"]
    start = appointment.starts_at.astimezone(timezone(timedelta(hours=-7)))
    return {
        "id": appointment.id,
        "patient_mrn": int(mrn) if mrn.isdecimal() else mrn,
        "datetime": start.strftime("%Y-%m-%dT%H:%M:%S-7:00"),
        "patient_name": PATIENT["patient_name"],
        "provider_name": appointment.provider_name,
        "status": appointment.status,
    }


def list_entry(appointment: Appointment) -> dict[str, object]:
    """One entry of `GET /appointments`, times in UTC."""
    fields = appointment.fields
    return {
        "id": appointment.id,
        "ehr_appointment_id": f"ehr_{appointment.serial}",
        "datetime": iso(appointment.starts_at),
        "status": appointment.status,
        "patient_mrn": fields["mrn"],
        "provider_ehr_id": appointment.provider_id,
        "provider_name": appointment.provider_name,
        "appointment_type": fields["type"],
        "location": fields["location"],
        "created_at": iso(appointment.created_at),
        "object_metadata": {"source": appointment.source},
        **PATIENT,
    }


def _provider_id(asked: str, prefix: str) -> str:
    """An id stays as it was asked for; a name gets an id that is always the same."""
    return asked if asked.isdecimal() else f"{prefix}{zlib.crc32(asked.encode(errors='replace'))}"
