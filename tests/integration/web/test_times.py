"""A time is read in one way wherever a caller gives one, and refused with the same hint."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.integration.web.conftest import BODY
from tests.integration.web.test_api_appointments import URL, errors_of

if TYPE_CHECKING:
    from tests.integration.web.conftest import Answer, Api

PARAMETERS = {
    "created_from": URL,
    "starts_to": URL,
    "received_from": "/v1/events",
    "received_to": "/v1/events",
    "to": "/v1/stats",
}
HINT = "ust be a time with its offset, like 2025-01-15T10:00:00-05:00"


def ask(api: Api, start: str) -> Answer:
    return api.post({name: BODY[name] for name in BODY if name not in {"date", "time"}} | {"datetime": start})


@pytest.mark.parametrize(
    "time",
    [
        "2030-01-15T10:00:00Z",
        "2030-01-15t10:00:00z",
        "2030-01-15 10:00:00Z",
        "2030-01-15T10:00:00.123456789+05:45",
        "2030-01-15T10:00-05:00",
        "2030-01-15T10:00:00-00:00",
    ],
)
def test_rfc_3339_is_taken(api: Api, time: str) -> None:
    answer = ask(api, time)
    assert answer.status_code == 202
    assert answer.json["request"]["datetime"] == time
    for name, path in PARAMETERS.items():
        assert api.get(f"{path}?{name}={quote(time)}").status_code == 200, name


@pytest.mark.parametrize(
    "time",
    [
        "2030-01-15",
        "2030-01-15T10:00:00",
        "2030-W03-2T10:00:00Z",
        "2030-015T10:00:00Z",
        "20300115T100000Z",
        "2030-01-15T10Z",
        "2030-01-15T10-05:00",
        "2030-01-15T10:00:00-05",
        "2030-01-15T10:00:00-0500",
        "2030-01-15T10:00:00-05:00:30",
        "2030-01-15T24:00:00Z",
        "2030-02-30T10:00:00Z",
        "canary",
    ],
)
def test_everything_else_is_refused_with_the_same_hint(api: Api, time: str) -> None:
    answer = ask(api, time)
    assert list(errors_of(answer)) == ["/datetime"]
    assert HINT in errors_of(answer)["/datetime"]
    for name, path in PARAMETERS.items():
        answer = api.get(f"{path}?{name}={quote(time)}")
        assert errors_of(answer) == {f"/query/{name}": f"M{HINT}; write the + of an offset as %2B."}
        assert "canary" not in answer.text
