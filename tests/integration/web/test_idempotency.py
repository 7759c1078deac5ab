"""Idempotency-Key: whatever a caller repeats, on whichever instance, it is done once and answered the same."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from service.errors import KeyInUseError, KeyReusedError
from service.postgres.engine import transaction
from service.usecases.access.idempotency import Once, WriteAnswer, do_once, forget_answers
from tests.integration.web.conftest import BODY
from tests.records import rows
from tests.web_client import client_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session
    from werkzeug.test import TestResponse

    from service.config import Settings
    from tests.integration.web.conftest import Api, Book

KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


def count(engine: Engine, table: str = "appointments") -> int:
    return len(rows(engine, table))


def assert_replayed(first: TestResponse, again: TestResponse) -> None:
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.data == first.data
    assert again.headers["Location"] == first.headers["Location"]
    assert again.content_type == first.content_type
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"


def test_a_repeated_request_gets_the_first_answer_byte_for_byte(api: Api, engine: Engine) -> None:
    body = BODY | {
        "note": "Zoë 🩺",
        "metadata": {"zebra": 1, "b": [{"long name": 1, "x": 2}], "big": 1e16, "tiny": 1e-7, "zero": -0.0, "n": None},
    }
    first = api.post(body, headers=KEY)
    assert_replayed(first, api.post(body, headers=KEY))
    assert_replayed(first, api.post(body, headers=KEY))
    assert count(engine) == 1


def test_the_first_answer_is_given_again_whatever_became_of_the_appointment(api: Api, book: Book) -> None:
    body = BODY | {"mrn": "55512345"}
    first = api.post(body, headers=KEY)
    assert first.json
    book.queued()
    with transaction(api.engine) as session:
        session.execute(text("UPDATE appointments SET submission = 'rejected', version = 9, updated_at = now()"))
    assert_replayed(first, api.post(body, headers=KEY))


@pytest.mark.parametrize("other", [BODY | {"mrn": "1"}, BODY | {"note": "more"}, BODY | {"note": None}])
def test_the_same_key_with_another_body_is_refused(api: Api, engine: Engine, other: dict[str, Any]) -> None:
    assert api.post(BODY, headers=KEY).status_code == 202
    answer = api.post(other, headers=KEY)
    assert (answer.status_code, answer.content_type) == (422, "application/problem+json")
    assert "Idempotent-Replayed" not in answer.headers
    assert count(engine) == 1


WRITTEN_ANEW = """ {"type":"new_patient", "provider": "Dr. Sm\\u0069th", "time":"10:00",
    "date": "2030\\u002D01-15",\t"location":"Main Clinic","mrn":"123456789", "metadata": {"n": 10E-1, "a": [0.50]}}"""


def sent(api: Api, text: str, path: str = "/v1/appointments", method: str = "POST") -> TestResponse:
    answer: TestResponse = api.call(method, path, data=text, headers=KEY | {"Content-Type": "application/json"})
    return answer


def test_the_same_request_written_differently_is_the_same_request(api: Api, engine: Engine) -> None:
    first = sent(api, json.dumps(BODY | {"metadata": {"a": [0.5], "n": 1}}))
    assert_replayed(first, sent(api, WRITTEN_ANEW))
    assert count(engine) == 1


def test_a_correction_written_differently_is_the_same_correction(api: Api, book: Book, engine: Engine) -> None:
    one = f"/v1/appointments/{book.failed()}"
    first = sent(api, '{"mrn":"42","note":null}', one, "PATCH")
    assert_replayed(first, sent(api, '{ "note": null, "mrn": "4\\u0032" }', one, "PATCH"))
    assert count(engine, "corrections") == 1


def test_an_answer_that_the_version_before_kept_is_given_again(api: Api, engine: Engine) -> None:
    first = sent(api, json.dumps(BODY))
    with transaction(engine) as session:
        session.execute(text("UPDATE idempotency_keys SET meaning = NULL"))
    assert sent(api, json.dumps(BODY, indent=1)).status_code == 422
    assert_replayed(first, sent(api, json.dumps(BODY)))


def test_the_version_before_gives_an_answer_again_that_this_one_kept(api: Api, engine: Engine) -> None:
    """Both run for a while when a new version is rolled out, which is when callers repeat themselves."""
    sent(api, json.dumps(BODY))
    [kept] = rows(engine, "idempotency_keys")
    assert kept["fingerprint"] == hashlib.sha256(b"POST /v1/appointments\n" + json.dumps(BODY).encode()).digest()


def test_the_same_key_at_another_address_is_refused(api: Api, book: Book) -> None:
    one, other = (f"/v1/appointments/{book.failed()}" for _ in range(2))
    assert api.call("PATCH", one, json={"mrn": "1"}, headers=KEY).status_code == 202
    assert api.call("PATCH", other, json={"mrn": "1"}, headers=KEY).status_code == 422
    assert api.call("POST", f"{other}/resubmit", headers=KEY).status_code == 422
    assert api.read(other)["attempt"] == 1


def test_without_a_key_everything_is_done_each_time(api: Api, engine: Engine) -> None:
    assert [api.post(BODY).status_code for _ in range(2)] == [202, 202]
    assert count(engine) == 2
    assert count(engine, "idempotency_keys") == 0


def test_keys_of_different_callers_never_meet(api: Api, engine: Engine) -> None:
    first = api.post(BODY, headers=KEY)
    other = api.post(BODY | {"mrn": "1"}, headers=KEY, scopes=("read", "write"))
    assert (first.status_code, other.status_code) == (202, 202)
    assert "Idempotent-Replayed" not in other.headers
    assert count(engine) == 2
    masked = api.post(BODY | {"mrn": "1"}, headers=KEY, scopes=("read", "write"))
    assert_replayed(other, masked)


def test_while_the_first_request_runs_the_others_are_told_to_wait(engine: Engine) -> None:
    """The transaction of the first one is held open."""
    once = Once("key_1", "k", "POST /", b"asked", timedelta(days=1))
    is_in, may_go = threading.Event(), threading.Event()

    def slow(_session: Session) -> WriteAnswer:
        is_in.set()
        assert may_go.wait(10)
        return WriteAnswer(202, {"done": 1}, {})

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(do_once, engine, once, slow)
        assert is_in.wait(10)
        for same in (once, Once("key_1", "k", "POST /", b"another", timedelta(days=1))):
            with pytest.raises(KeyInUseError):
                do_once(engine, same, slow)
        other = do_once(
            engine,
            Once("key_2", "k", "POST /", b"asked", timedelta(days=1)),
            lambda _: WriteAnswer(202, {"mine": 1}, {}),
        )
        assert other.body == {"mine": 1}
        may_go.set()
        assert first.result() == WriteAnswer(202, {"done": 1}, {})
    assert do_once(engine, once, slow) == WriteAnswer(202, {"done": 1}, {}, replayed=True)
    with pytest.raises(KeyReusedError):
        do_once(engine, Once("key_1", "k", "POST /", b"another", timedelta(days=1)), slow)


def test_a_request_that_runs_is_a_409_over_http(api: Api, engine: Engine) -> None:
    assert api.post(BODY, headers=KEY).status_code == 202
    [kept] = rows(engine, "idempotency_keys")
    with transaction(engine) as session:
        session.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 1))"),
            {"name": f"{kept['key_id']} {kept['key']}"},
        )
        answer = api.post(BODY, headers=KEY)
    assert (answer.status_code, answer.content_type) == (409, "application/problem+json")
    assert api.post(BODY, headers=KEY).status_code == 202


def test_an_answer_is_kept_for_the_stated_time_and_no_longer(api: Api, engine: Engine, settings: Settings) -> None:
    first = api.post(BODY, headers=KEY)
    assert first.json
    [kept] = rows(engine, "idempotency_keys")
    left = kept["expires_at"] - datetime.now(UTC)
    assert settings.idempotency_ttl - timedelta(minutes=1) < left <= settings.idempotency_ttl
    assert forget_answers(engine) == {"forgotten": 0}

    with transaction(engine) as session:
        session.execute(text("UPDATE idempotency_keys SET expires_at = now()"))
    again = api.post(BODY | {"mrn": "1"}, headers=KEY)  # not even swept yet: another body is good again
    assert again.status_code == 202
    assert again.json
    assert again.json["id"] != first.json["id"]
    assert_replayed(again, api.post(BODY | {"mrn": "1"}, headers=KEY))

    with transaction(engine) as session:
        session.execute(text("UPDATE idempotency_keys SET expires_at = now()"))
    assert forget_answers(engine) == {"forgotten": 1}
    assert count(engine, "idempotency_keys") == 0


def test_fifty_at_once_over_two_instances_make_one_appointment(
    api: Api, app: Flask, make_app: Callable[[Settings], Flask], engine: Engine, settings: Settings
) -> None:
    apps = [app, make_app(settings)]
    key = api.key("read", "phi", "write", "ops")
    start = threading.Barrier(50)

    def post(number: int) -> TestResponse:
        headers = KEY | {"Authorization": f"Bearer {key}"}
        start.wait()
        deadline = time.monotonic() + 30
        while True:  # as a client does that is told to come back
            answer = client_of(apps[number % 2]).post("/v1/appointments", json=BODY, headers=headers)
            if answer.status_code not in {409, 503} or time.monotonic() > deadline:
                return answer

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(post, range(50)))
    assert Counter(answer.status_code for answer in answers) == {202: 50}
    assert len({answer.data for answer in answers}) == 1
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert count(engine) == 1


def test_what_breaks_in_the_middle_leaves_nothing_and_may_be_tried_again(engine: Engine) -> None:
    once = Once("key_1", "k", "POST /", b"asked", timedelta(days=1))

    def half(session: Session) -> WriteAnswer:
        session.execute(
            text(
                "INSERT INTO quarantine (id, received_at, source, reason, raw, digest)"
                " VALUES ('q', now(), 'webhook', '', '', '')"
            )
        )
        raise RuntimeError("the process is lost here")

    with pytest.raises(RuntimeError):
        do_once(engine, once, half)
    assert (count(engine, "quarantine"), count(engine, "idempotency_keys")) == (0, 0)
    assert do_once(engine, once, lambda _: WriteAnswer(202, {}, {})) == WriteAnswer(202, {}, {})


@pytest.mark.parametrize("what", ["PATCH", "resubmit"])
def test_a_correction_is_done_once_too(api: Api, book: Book, engine: Engine, what: str) -> None:
    one = book.failed()

    def again() -> TestResponse:
        answer: TestResponse
        if what == "PATCH":
            answer = api.call("PATCH", f"/v1/appointments/{one}", json={"mrn": "42"}, headers=KEY)
        else:
            answer = api.call("POST", f"/v1/appointments/{one}/resubmit", headers=KEY)
        return answer

    assert_replayed(again(), again())
    assert count(engine, "corrections") == 1
    assert rows(engine, "appointments")[0]["attempt"] == 2


def test_answers_that_are_errors_are_not_kept(api: Api, book: Book, engine: Engine) -> None:
    assert api.post(BODY | {"account": "nobody's"}, headers=KEY).status_code == 422
    assert api.post(BODY | {"mrn": ""}, headers=KEY).status_code == 422
    one = book.queued()["id"]
    assert api.call("POST", f"/v1/appointments/{one}/resubmit", headers=KEY).status_code == 409
    assert api.call("POST", "/v1/appointments/appt_unknown/resubmit", headers=KEY).status_code == 404
    assert count(engine, "idempotency_keys") == 0
    assert api.post(BODY, headers=KEY).status_code == 202


@pytest.mark.parametrize("key", ["", " ", "a b", "k" * 256, "ä", "\x7f"])
def test_a_key_that_is_none_is_a_400(api: Api, engine: Engine, key: str) -> None:
    answer = api.post(BODY, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    assert count(engine) == 0


@pytest.mark.parametrize("key", ["k" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "!"])
def test_every_visible_key_is_good(api: Api, key: str) -> None:
    first = api.post(BODY, headers={"Idempotency-Key": key})
    assert_replayed(first, api.post(BODY, headers={"Idempotency-Key": key}))
