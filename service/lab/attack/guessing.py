"""Guessing: patients' numbers with a key that may not see them, keys, and ids."""

import secrets
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from http import HTTPStatus

import httpx

from service.lab.attack.finding import Finding
from service.lab.attack.scene import Scene
from service.lab.bench.dataset import waiting_appointments
from service.lab.processes import NO_TLS
from service.postgres.engine import make_engine
from service.usecases.access.api_keys import create_key

UNTIL_FOUND = 20  # wrong guesses before the right one: fewer than anybody needs
SLACK = 0.005  # seconds by which two medians may differ on a busy machine
PATHS = ("/v1/appointments", "/v1/stats", "/v1/changes", "/v1/events", "/v1/quarantine")


def attack(scene: Scene) -> Iterator[Finding]:
    """Guess."""
    known = waiting_appointments(scene.stack.database_url, scene.stack.account, 1)[0]
    with closing(httpx.Client(base_url=scene.stack.url, timeout=20, trust_env=False, verify=NO_TLS)) as client:
        yield _guess_mrn(scene, client, known.mrn)
        yield _guess_keys(scene, client)
        yield _guess_ids(scene, client)


def _guess_mrn(scene: Scene, client: httpx.Client, mrn: str) -> Finding:
    """Ask for patients by number, with a key that sees the last two digits only."""
    headers = {"Authorization": f"Bearer {_make_key(scene, 'read')}"}
    wrong = [f"{secrets.randbelow(10**7):07}{mrn[-2:]}" for _ in range(UNTIL_FOUND)]
    answers = [client.get("/v1/appointments", params={"mrn": guess}, headers=headers) for guess in [*wrong, mrn]]
    right, others = answers[-1], answers[:-1]
    found = right.status_code == HTTPStatus.OK and bool(right.json()["data"])
    told_apart = {_shape(right)} != {_shape(one) for one in others[-1:]}
    carried = any(mrn in one.text or mrn in str(one.headers) for one in answers)
    statuses = Counter(one.status_code for one in answers)
    return Finding(
        tried=f"`mrn=` with a key without `phi`, {len(answers)} guesses, the last one right",
        came=f"{_in_words(statuses)}; {'FOUND' if found else 'told apart' if told_apart else 'learned nothing'}"
        + (", the number in the answer" if carried else ""),
        limit="nothing learned",
        hurts=found or told_apart or carried,
    )


def _shape(answer: httpx.Response) -> tuple[int, int]:
    return answer.status_code, len(answer.content)


def _guess_keys(scene: Scene, client: httpx.Client) -> Finding:
    """Try keys; the time of the answer must not say how much of one is right."""
    count = round(scene.plan.either(60, 1000))
    right = _make_key(scene, "read")
    took: dict[bool, list[float]] = {True: [], False: []}
    statuses: Counter[int] = Counter()
    for _ in range(count):
        for near in (True, False):
            wrong = f"cak_{secrets.token_urlsafe(32)}"
            guess = right[:-4] + wrong[-4:] if near else wrong
            began = time.perf_counter()
            answer = client.get("/v1/stats", headers={"Authorization": f"Bearer {guess}"})
            took[near].append(time.perf_counter() - began)
            statuses[answer.status_code] += 1
    apart = abs(statistics.median(took[True]) - statistics.median(took[False]))
    limit = max(SLACK, 0.5 * statistics.median(took[False]))
    return Finding(
        tried=f"{2 * count} keys that are wrong, half of them in the last 4 characters only",
        came=f"{_in_words(statuses)}; medians {1000 * apart:.2f} ms apart",
        limit=f"401 or 429; {1000 * limit:.1f} ms",
        hurts=not set(statuses) <= {HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS} or apart > limit,
    )


def _guess_ids(scene: Scene, client: httpx.Client) -> Finding:
    """Without a key of the right scope nobody learns which ids there are, nor anything else."""
    own = {"Authorization": f"Bearer {scene.stack.api_key}"}
    there = client.get("/v1/appointments", params={"limit": 1}, headers=own).json()["data"][0]["id"]
    missing = there[:-4] + "ZZZZ"
    write_only = {"Authorization": f"Bearer {_make_key(scene, 'write')}"}
    bad = []
    for path in (*PATHS, f"/v1/appointments/{there}", f"/v1/appointments/{there}/timeline"):
        for who, headers, wanted in (
            ("nobody", {}, HTTPStatus.UNAUTHORIZED),
            ("a key for writing", write_only, HTTPStatus.FORBIDDEN),
        ):
            status = client.get(path, headers=headers).status_code
            other = client.get(path.replace(there, missing), headers=headers).status_code
            if status != wanted or other != status:
                bad.append(f"{path.replace(there, '{id}')} for {who}: {status}, missing: {other}")
    return Finding(
        tried="ids and pages, without a key and with one for writing only",
        came="; ".join(bad) or "401 and 403, whether there or not",
        limit="nothing learned",
        hurts=bool(bad),
    )


def _make_key(scene: Scene, scope: str) -> str:
    timeout = scene.settings.statement_timeout
    engine = make_engine(scene.stack.database_url, pool=1, statement_timeout=timeout, lock_timeout=timeout)
    try:
        return create_key(engine, name=f"attack-{scope}", scopes=[scope], expires_in=timedelta(hours=1))
    finally:
        engine.dispose()


def _in_words(statuses: Counter[int]) -> str:
    return ", ".join(f"{count} times {status}" for status, count in sorted(statuses.items()))
