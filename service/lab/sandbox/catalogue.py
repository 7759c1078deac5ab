"""Cobalt's lists of what an account's EHR knows, under `/v1`."""

from flask import Blueprint, Response

from service.lab.sandbox.fields import RefusedError
from service.lab.sandbox.refusals import Refusals
from service.lab.sandbox.replies import authenticate_account, reply
from service.lab.sandbox.settings import TIMEZONE, Settings

PROVIDERS = {"123456789": "Smith, Jane", "987654321": "Doe, John"}
LOCATIONS = {"123456789": "Happy Clinic", "2452": "Happy Clinic North"}
VISIT_TYPES = {"new_patient": "New patient visit (in person)", "follow_up": "Follow-up visit", "televisit": "Televisit"}


def catalogue(settings: Settings, refusals: Refusals) -> Blueprint:
    """The views."""
    views = Blueprint("catalogue", __name__)

    @views.get("/providers")
    def list_providers() -> Response:
        _authenticate(settings, refusals)
        return reply({"success": True, "providers": _listed(PROVIDERS)})

    @views.get("/locations")
    def list_locations() -> Response:
        _authenticate(settings, refusals)
        return reply({"success": True, "locations": _listed(LOCATIONS)})

    @views.get("/settings")
    def show_settings() -> Response:
        account = _authenticate(settings, refusals)
        types = [{"code": code, "description": words} for code, words in VISIT_TYPES.items()]
        data = {
            "access_token_reference_id": account,
            "visit_types": types,
            "visit_statuses": [{"code": "CANC", "description": "Cancelled in advance"}],
            "required_patient_fields": ["first_name", "last_name", "dob", "sex"],
            "timezone": str(TIMEZONE),
        }
        return reply({"success": True, "data": data})

    return views


def _authenticate(settings: Settings, refusals: Refusals) -> str:
    account = authenticate_account(settings, refusals)
    if not settings.catalogue:
        raise RefusedError(404, "Not found")
    return account


def _listed(entries: dict[str, str]) -> list[dict[str, str]]:
    return [
        {"id": f"{number:032x}", "ehr_id": ehr_id, "name": name, "status": "active"}
        for number, (ehr_id, name) in enumerate(entries.items(), start=1)
    ]
