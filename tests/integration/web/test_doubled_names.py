"""A body that names a field twice asks for two things, of which JSON readers take the last: it is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.integration.web.conftest import BODY
from tests.integration.web.test_api_appointments import errors_of

if TYPE_CHECKING:
    from tests.integration.web.conftest import Answer, Api, Book

URL = "/v1/appointments"


def sent(api: Api, text: str, method: str = "POST", path: str = URL) -> Answer:
    return api.call(method, path, data=text.encode(), headers={"Content-Type": "application/json"})


def with_more(more: str) -> str:
    return json.dumps(BODY)[:-1] + f", {more}}}"


@pytest.mark.parametrize(
    ("more", "pointers"),
    [
        ('"mrn": "987654321"', {"/mrn"}),
        ('"mrn": "123456789"', {"/mrn"}),
        ('"\\u006drn": "987654321", "date": "2030-01-16"', {"/mrn", "/date"}),
        ('"note": "a", "note": null', {"/note"}),
        ('"metadata": {"order": 1}, "metadata": {}', {"/metadata"}),
        ('"metadata": {"order": 1, "order": 2}', {"/metadata"}),
        ('"metadata": {"orders": [[{"a": {"b": 1, "b": 1}}]]}', {"/metadata"}),
        ('"MRN 123456789": 1, "MRN 123456789": 1', {""}),
    ],
)
def test_a_request_that_names_a_field_twice_is_refused(api: Api, more: str, pointers: set[str]) -> None:
    answer = sent(api, with_more(more))
    assert set(errors_of(answer)) == pointers
    assert "1234" not in answer.text
    assert api.read(URL)["data"] == []


def test_names_that_differ_or_are_in_different_objects_are_not_twice(api: Api) -> None:
    more = '"metadata": {"mrn": 1, "Mrn": 2, "a": [{"mrn": 1}, {"mrn": 2}]}'
    assert sent(api, with_more(more)).status_code == 202


def test_a_correction_that_names_a_field_twice_is_refused(api: Api, book: Book) -> None:
    failed = f"{URL}/{book.failed()}"
    assert errors_of(sent(api, '{"mrn": "1", "mrn": "2"}', "PATCH", failed)).keys() == {"/mrn"}
    assert api.read(failed)["status"] == "failed"


def test_a_deep_body_with_doubled_names_is_still_refused(api: Api) -> None:
    deep = '{"a":' * 20_000 + '{"b":1,"b":2}' + "}" * 20_000
    assert sent(api, with_more(f'"metadata": {deep}')).status_code == 400
