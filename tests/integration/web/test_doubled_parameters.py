"""A parameter that is given twice is refused, at every address: which of the two is meant, no reader can know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.web.openapi.pages import described
from tests.integration.web.test_api_appointments import URL, errors_of

if TYPE_CHECKING:
    from flask import Flask

    from tests.integration.web.conftest import Api

TWICE = "Is there twice; give it once."
WEBHOOKS = "/webhooks/cobalt"


def test_every_address_refuses_a_parameter_that_is_given_twice(app: Flask, api: Api) -> None:
    document: dict[str, Any] = described(app).document()
    seen = 0
    for path, item in document["paths"].items():
        for method in item.keys() & {"get", "post", "patch"}:
            if path == WEBHOOKS:
                continue  # what is Cobalt's is taken, whatever its address looks like
            names = [one["name"] for one in item[method]["parameters"] if one.get("in") == "query"]
            for name in [*names, "of_no_meaning"]:
                address = path.replace("{", "").replace("}", "")
                answer = api.call(method.upper(), f"{address}?{name}=1&x=2&{name}=1")
                assert errors_of(answer) == {f"/query/{name}" if name in names else "/query": TWICE}, f"{method} {path}"
                seen += 1
    assert seen > 30


def test_a_name_that_may_be_something_of_a_patients_is_not_repeated(api: Api) -> None:
    assert errors_of(api.get(f"{URL}?123456789=1&123456789=2")) == {"/query": TWICE}


def test_what_is_not_there_is_not_there_with_parameters_too(api: Api) -> None:
    assert api.get("/v1/nothing?a=1&a=2").status_code == 404
