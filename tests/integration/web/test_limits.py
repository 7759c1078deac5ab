"""Limits of a key over HTTP: what answers say of them, and that the places in flight come back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from flask import Response, stream_with_context

from service.web.policy.auth import requires
from service.web.services import services_of
from tests.integration.web.conftest import Api
from tests.web_client import client_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from service.config import Settings
    from service.web.policy.limits import Limits

URL = "/v1/appointments"


@pytest.fixture
def limited(make_app: Callable[[Settings], Flask], settings: Settings) -> Callable[..., Api]:
    """Makes an API with limits of its own."""

    def make(**limits: int) -> Api:
        app = make_app(replace(settings, **limits))  # type: ignore[arg-type]  # all of them are numbers
        return Api(client_of(app), services_of(app).engine)

    return make


def headers_of(answer: Any) -> tuple[str | None, ...]:  # noqa: ANN401 (a TestResponse)
    return tuple(answer.headers.get(f"RateLimit-{name}") for name in ("Limit", "Remaining", "Reset"))


def in_flight(api: Api) -> list[int]:
    limits: Limits = services_of(api.app).limits
    return [limits.in_flight(key) for key in limits._keys]  # noqa: SLF001


def test_every_answer_to_a_key_says_what_it_has_left(limited: Callable[..., Api]) -> None:
    api = limited(rate_limit=600)
    answers = [
        api.get(URL),
        api.get(f"{URL}/appt_unknown"),
        api.get(f"{URL}?limit=0"),
        api.post({}),
        api.get("/v1/quarantine"),
        api.get("/v1/events"),
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 422, 422, 200, 200]
    assert [headers_of(answer)[0] for answer in answers] == ["600"] * 6
    remaining = [int(headers_of(answer)[1] or 0) for answer in answers]
    assert remaining[0] == 599
    assert remaining[-1] < 599
    assert headers_of(answers[0])[2] == "1"
    forbidden = api.get(URL, scopes=("write",))
    assert (forbidden.status_code, headers_of(forbidden)) == (403, ("600", "599", "1"))


def test_a_key_that_makes_too_many_requests_is_told_when_to_come_back(limited: Callable[..., Api]) -> None:
    api = limited(rate_limit=2)
    assert [api.get(URL).status_code for _ in range(2)] == [200, 200]
    for answer in (api.get(URL), api.post({}), api.get("/v1/quarantine")):
        assert (answer.status_code, answer.content_type) == (429, "application/problem+json")
        assert answer.json["type"].endswith(":too-many-requests")
        assert headers_of(answer)[:2] == ("2", "0")
        assert 1 <= int(answer.headers["Retry-After"]) <= 30
        assert answer.headers["X-Request-Id"]
    assert api.get(URL, scopes=("read",)).status_code == 200
    assert api.client.get("/livez").status_code == 200


def test_without_a_limit_nothing_is_said(limited: Callable[..., Api]) -> None:
    api = limited(rate_limit=0, in_flight_limit=0)
    assert headers_of(api.get(URL)) == (None, None, None)


def test_who_has_no_good_key_is_told_nothing(limited: Callable[..., Api]) -> None:
    api = limited(rate_limit=2)
    answers = [api.client.get(URL, headers={"Authorization": "Bearer wrong"}) for _ in range(5)]
    assert {(answer.status_code, headers_of(answer)) for answer in answers} == {(401, (None, None, None))}


def add(api: Api, path: str, view: Callable[[], Any]) -> None:
    app = api.app
    app._got_first_request = False  # noqa: SLF001 (an address that only this test has)
    app.add_url_rule(path, path, requires("read")(view))


def test_places_come_back_whatever_becomes_of_a_request(limited: Callable[..., Api]) -> None:
    api = limited(in_flight_limit=1)
    seen: list[int] = []

    def broken() -> None:
        seen.extend(in_flight(api))
        raise RuntimeError

    add(api, "/v1/broken", broken)
    assert api.get("/v1/broken").status_code == 500
    assert seen == [1]
    for path in (URL, f"{URL}/appt_unknown", f"{URL}?limit=0"):
        assert api.get(path).status_code != 429
    assert api.get(URL, scopes=("write",)).status_code == 403
    assert set(in_flight(api)) == {0}


def elsewhere(call: Callable[..., Any], *args: Any, **rest: Any) -> Any:  # noqa: ANN401
    """Make a call in another thread, as another client's request would be."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call, *args, **rest).result()


def test_more_at_once_than_a_key_may_are_refused_until_one_is_answered(limited: Callable[..., Api]) -> None:
    api = limited(in_flight_limit=1)
    answers: list[int] = []

    def outer() -> dict[str, object]:
        refused = elsewhere(api.get, URL)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        assert "in flight" in refused.json["detail"]
        answers.append(elsewhere(api.get, URL, scopes=("read",)).status_code)
        return {}

    add(api, "/v1/outer", outer)
    assert api.get("/v1/outer").status_code == 200
    assert answers == [200]
    assert api.get(URL).status_code == 200


def test_a_stream_holds_its_place_to_the_end(limited: Callable[..., Api]) -> None:
    api = limited(in_flight_limit=1).piecewise()

    def stream() -> Response:
        def pieces() -> Iterator[str]:
            yield "one"
            yield "two"

        return Response(stream_with_context(pieces()))

    add(api, "/v1/stream", stream)
    for _ in range(2):
        answer = api.get("/v1/stream", buffered=False)
        parts = answer.iter_encoded()
        assert next(parts) == b"one"
        assert in_flight(api) == [1]
        assert list(parts) == [b"two"]
        answer.close()
        assert in_flight(api) == [0]
