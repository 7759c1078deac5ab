"""Sends what two readers may read differently: to the service itself, and through HAProxy and nginx."""

import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from service.cobalt.signing import sign
from service.lab.attack.ambiguities import CASES, Case, Fate
from service.lab.attack.finding import Finding
from service.lab.attack.proxies import MARK, PROXIES, Proxy, find
from service.lab.attack.scene import Scene
from service.lab.attack.wire import Heard, head, say
from service.postgres.sessions import connect

REFUSALS = frozenset({400, 405, 408, 411, 413, 414, 417, 421, 431, 501, 505})
_DELIVERIES = "SELECT event_id, request_id FROM deliveries WHERE event_id LIKE %s"


@dataclass(frozen=True)
class Trial:
    """One case as it was sent.

    Attributes:
        answered_rightly: whether the request that came next had its own answer.
    """

    case: Case
    event_id: str
    heard: Heard
    answered_rightly: bool


def attack(scene: Scene) -> Iterator[Finding]:
    """Try each case directly, and behind each proxy that is here."""
    for finding in _try_all(scene, scene.port, "to the service itself", is_behind=False):
        yield finding
    for name in PROXIES:
        binary = find(name)
        if binary is None:
            yield Finding(tried=f"framing through {name}", came=f"{name} is not installed", limit="", hurts=None)
            continue
        with Proxy(name, binary, scene.stack.directory / name, scene.port) as proxy:
            for finding in _try_all(scene, proxy.port, f"through {name}", is_behind=True):
                yield finding


def _try_all(scene: Scene, port: int, way: str, *, is_behind: bool) -> Iterator[Finding]:
    run = secrets.token_hex(4)
    trials = [_try(scene, port, case, f"evt_{run}_{number}") for number, case in enumerate(CASES)]
    time.sleep(0.2)  # for a hidden request that nobody waited for
    taken = _taken(scene, run)
    bad = []
    for trial in trials:
        fault = find_fault(trial, taken, is_behind=is_behind)
        if fault:
            bad.append(
                Finding(
                    tried=f"{way}: {trial.case.name}",
                    came=fault,
                    limit=(trial.case.behind if is_behind else trial.case.direct).value,
                    hurts=True,
                )
            )
    yield from bad
    refused = sum(not taken.get(trial.event_id) for trial in trials)
    yield Finding(
        tried=f"{len(trials)} requests that may be read differently, {way}",
        came=f"{refused} not taken, {len(trials) - refused} taken, {len(bad)} read otherwise than they may be",
        limit="each refused, or read in the one safe way; nothing hidden taken",
        hurts=bool(bad),
    )


def _try(scene: Scene, port: int, case: Case, event_id: str) -> Trial:
    secret = scene.stack.webhook_secret
    fields = _fields(event_id, secret, scene.stack.api_key)
    heard = say(port, case.request % fields, patience=0.4 if case.waits else 2, settled=0.05)
    # Whose answer comes now, on a connection that a proxy may share with others?
    own = f"{event_id}_next"
    after = say(port, _webhook(own, secret), settled=0.1)
    return Trial(case, event_id, heard, own.encode() in after.raw and after.statuses == [HTTPStatus.OK])


def _fields(event_id: str, secret: str, api_key: str) -> Mapping[bytes, bytes]:
    body = _event(event_id)
    hidden = _webhook(f"{event_id}_hidden", secret)
    return {
        b"host": b"Host: a.example",
        b"sig": b"cobalt-verification: " + sign(body, secret).encode(),
        b"sig_underscore": b"cobalt_verification: " + sign(body, secret).encode(),
        b"key": b"Authorization: Bearer " + api_key.encode(),
        b"body": body,
        b"n": b"%d" % len(body),
        b"x": b"%x" % len(body),
        b"chunks": b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
        b"hidden": hidden,
        b"hidden_n": b"%d" % len(hidden),
        b"hidden_x": b"%x" % len(hidden),
    }


def _event(event_id: str) -> bytes:
    return json.dumps({"id": event_id, "object": "event", "type": "patient.updated", "data": {}}).encode()


def _webhook(event_id: str, secret: str) -> bytes:
    body = _event(event_id)
    headers = {"cobalt-verification": sign(body, secret), "Content-Length": str(len(body)), "Connection": "close"}
    return head("POST", "/webhooks/cobalt", headers) + body


def _taken(scene: Scene, run: str) -> Mapping[str, Sequence[str]]:
    """Which events were taken: id -> the request ids of their deliveries."""
    found: dict[str, list[str]] = {}
    with connect(scene.stack.database_url, autocommit=True) as connection:
        for event_id, request_id in connection.execute(_DELIVERIES, [f"evt\\_{run}\\_%"]):
            found.setdefault(event_id, []).append(request_id)
    return found


def find_fault(trial: Trial, taken: Mapping[str, Sequence[str]], *, is_behind: bool) -> str:
    """What is wrong, in words; empty if nothing is."""
    case = trial.case
    hidden = taken.get(f"{trial.event_id}_hidden", [])
    if hidden and not case.two and not (is_behind and all(one.startswith(MARK) for one in hidden)):
        return "the request hidden in it was taken as one of its own"
    if not trial.answered_rightly:
        return "the next request had no answer, or another's"
    times = len(taken.get(trial.event_id, []))
    if times > 1:
        return f"taken {times} times"
    fate = case.behind if is_behind else case.direct
    return "" if _is_so(fate, trial, taken=times == 1) else f"{'taken' if times else 'not taken'}: {_said(trial.heard)}"


def _is_so(fate: Fate, trial: Trial, *, taken: bool) -> bool:
    heard = trial.heard
    said_yes = heard.statuses[:1] == [HTTPStatus.OK]
    if fate is Fate.TAKEN:
        return taken
    if fate is Fate.NOT_TAKEN:
        return not taken and not said_yes
    if fate is Fate.EITHER:
        return taken or not said_yes
    refused = not heard.raw or (len(heard.statuses) == 1 and heard.statuses[0] in REFUSALS)
    waited_with = trial.case.waits and not heard.raw
    return not taken and ((heard.closed and refused) or waited_with)


def _said(heard: Heard) -> str:
    statuses = "+".join(map(str, heard.statuses)) or ("answered nothing" if not heard.raw else repr(heard.raw[:20]))
    return f"{statuses}, {'closed' if heard.closed else 'left open'}"
