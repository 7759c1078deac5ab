"""What `make attack` makes of what it sees: it must be able to say that something hurts."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress

import pytest
from click.testing import CliRunner

from service.cli import cli
from service.lab.attack.ambiguities import CASES, Case, Fate
from service.lab.attack.finding import Finding
from service.lab.attack.framing import Trial, find_fault
from service.lab.attack.honest import Answers
from service.lab.attack.illnesses import ILLNESSES, gzip_bomb
from service.lab.attack.plan import PARTS, make_plan
from service.lab.attack.proxies import MARK
from service.lab.attack.scripted import REDIRECT, ScriptedCobalt
from service.lab.attack.wire import Heard, say

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
REFUSED = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"


def heard(raw: bytes, *, closed: bool = True) -> Heard:
    return Heard(raw, closed, 0.0)


def trial(fate: Fate, answer: Heard, *, rightly: bool = True, two: bool = False, waits: bool = False) -> Trial:
    case = Case("a case", b"", fate, fate, two=two, waits=waits)
    return Trial(case, "evt_1", answer, rightly)


def test_a_part_that_is_not_there_is_named_with_those_that_are() -> None:
    done = CliRunner().invoke(cli, ["attack", "--only", "floods,boats"])
    assert done.exit_code == 2
    assert "'boats' is not a part" in done.output


def test_an_hour_of_load_is_only_done_when_it_is_asked_for() -> None:
    assert "soak" not in make_plan().parts
    assert set(make_plan().parts) | {"soak"} == set(PARTS)
    assert make_plan(only="slow, floods").parts == ["floods", "slow"]


@pytest.mark.parametrize(("hurts", "verdict"), [(True, "HURTS"), (False, "holds"), (None, "not tried")])
def test_the_verdict_says_what_a_finding_means(hurts: bool | None, verdict: str) -> None:  # noqa: FBT001
    assert Finding(tried="", came="", limit="", hurts=hurts).verdict == verdict


@pytest.mark.parametrize(
    "answers", [Answers(0, [], 0.0), Answers(10, ["no answer"], 0.1), Answers(10, [], 2.1)], ids=str
)
def test_webhooks_that_were_not_answered_in_time_hurt_and_so_does_sending_none(answers: Answers) -> None:
    assert answers.hurts


def test_webhooks_that_were_answered_do_not_hurt() -> None:
    assert not Answers(10, [], 1.9).hurts


def test_interim_answers_are_not_counted() -> None:
    assert heard(b"HTTP/1.1 100 Continue\r\n\r\n" + OK + REFUSED).statuses == [200, 400]


@pytest.mark.parametrize(
    ("fate", "answer", "taken"),
    [
        (Fate.REFUSED, heard(OK), 1),
        (Fate.REFUSED, heard(OK), 0),
        (Fate.REFUSED, heard(REFUSED, closed=False), 0),
        (Fate.REFUSED, heard(b"", closed=False), 0),
        (Fate.REFUSED, heard(REFUSED + OK), 0),
        (Fate.NOT_TAKEN, heard(REFUSED), 1),
        (Fate.NOT_TAKEN, heard(OK), 0),
        (Fate.TAKEN, heard(REFUSED), 0),
        (Fate.TAKEN, heard(OK), 2),
        (Fate.EITHER, heard(OK), 0),
    ],
)
def test_what_was_read_otherwise_than_it_may_be_is_a_fault(fate: Fate, answer: Heard, taken: int) -> None:
    assert find_fault(trial(fate, answer), {"evt_1": ["req_1"] * taken}, is_behind=False)


@pytest.mark.parametrize(
    ("fate", "answer", "taken"),
    [
        (Fate.REFUSED, heard(REFUSED), 0),
        (Fate.REFUSED, heard(b""), 0),
        (Fate.NOT_TAKEN, heard(REFUSED, closed=False), 0),
        (Fate.TAKEN, heard(OK), 1),
        (Fate.EITHER, heard(OK, closed=False), 1),
        (Fate.EITHER, heard(REFUSED), 0),
    ],
)
def test_what_was_read_as_it_may_be_is_none(fate: Fate, answer: Heard, taken: int) -> None:
    assert find_fault(trial(fate, answer), {"evt_1": ["req_1"] * taken}, is_behind=False) == ""


def test_a_hidden_request_may_be_taken_only_where_a_proxy_passed_it_on_as_one() -> None:
    one = trial(Fate.REFUSED, heard(REFUSED))
    seen_by_proxy = {"evt_1_hidden": [f"{MARK}1"]}
    assert "hidden" in find_fault(one, seen_by_proxy, is_behind=False)
    assert "hidden" in find_fault(one, {"evt_1_hidden": ["req_1"]}, is_behind=True)
    assert find_fault(one, seen_by_proxy, is_behind=True) == ""
    two = trial(Fate.TAKEN, heard(OK + OK), two=True)
    assert find_fault(two, {"evt_1": ["req_1"], "evt_1_hidden": ["req_2"]}, is_behind=False) == ""


def test_an_answer_that_belongs_to_another_request_is_a_fault() -> None:
    assert find_fault(trial(Fate.REFUSED, heard(REFUSED), rightly=False), {}, is_behind=True)


def test_no_two_cases_of_ambiguous_http_have_one_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def call(cobalt: ScriptedCobalt, token: str) -> bytes:
    body = b'{"mrn":"1"}'
    head = f"POST /v1/appointments HTTP/1.1\r\nHost: x\r\naccess_token: {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    port = int(re.findall(r":(\d+)/", cobalt.url)[0])
    return say(port, head.encode() + body, patience=5, settled=0.3).raw


def test_the_scripted_cobalt_is_sick_towards_those_it_is_told_to_be() -> None:
    with ScriptedCobalt() as cobalt:
        cobalt.sick = {"sick": REDIRECT}
        assert b'"appointment_id": "100000001"' in call(cobalt, "healthy")
        assert call(cobalt, "sick").startswith(b"HTTP/1.1 307 ")
        assert cobalt.asked["1"] == 2


@pytest.mark.parametrize("illness", [name for name in ILLNESSES if "GB" not in name])
def test_every_illness_ends_when_the_caller_has_had_enough(illness: str) -> None:
    gzip_bomb(400)
    ours, theirs = socket.socketpair()
    over = threading.Event()
    with ours, theirs:
        theirs.settimeout(5)

        def fall_ill() -> None:
            with suppress(OSError):
                ILLNESSES[illness](theirs, over)

        thread = threading.Thread(target=fall_ill)
        thread.start()
        ours.settimeout(0.2)
        with suppress(TimeoutError):
            ours.recv(65_536)
        ours.close()
        thread.join(5)
        assert not thread.is_alive()
