"""The tables. People with SQL access read them too: a change is a migration and a line in the changelog."""

from service.postgres.models.access import Account, AccountHealth, AccountReference, ApiKey, IdempotencyKey, PhiRead
from service.postgres.models.appointments import UNUSUAL, Appointment
from service.postgres.models.base import NOW, Base
from service.postgres.models.catalogues import Catalogue
from service.postgres.models.counts import (
    APPOINTMENT_COUNT_DELTAS,
    FAILURE_CODE_COUNTS,
    UNMATCHED_COUNTS,
    AppointmentCount,
    ChangeMark,
    OutcomeCount,
)
from service.postgres.models.events import Delivery, Event, Quarantined
from service.postgres.models.histories import Call, Correction, Decision, ImportedRow
from service.postgres.models.sweeps import Sweep

__all__ = [
    "APPOINTMENT_COUNT_DELTAS",
    "FAILURE_CODE_COUNTS",
    "NOW",
    "UNMATCHED_COUNTS",
    "UNUSUAL",
    "Account",
    "AccountHealth",
    "AccountReference",
    "ApiKey",
    "Appointment",
    "AppointmentCount",
    "Base",
    "Call",
    "Catalogue",
    "ChangeMark",
    "Correction",
    "Decision",
    "Delivery",
    "Event",
    "IdempotencyKey",
    "ImportedRow",
    "OutcomeCount",
    "PhiRead",
    "Quarantined",
    "Sweep",
]
