"""Sick Cobalts: what becomes of the worker, and of the other accounts, while one of them is answered like that."""

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from http import HTTPStatus

import httpx
import psycopg

from service.lab.attack.asking import appointment_for
from service.lab.attack.finding import MOST_GROWTH, Finding
from service.lab.attack.illnesses import BOMB, gzip_bomb
from service.lab.attack.memory import watching
from service.lab.attack.scene import Scene
from service.lab.attack.scripted import KINDS
from service.lab.attack.waiting import in_words, seconds_until
from service.lab.processes import NO_TLS
from service.postgres.engine import make_engine, transaction
from service.postgres.sessions import connect
from service.usecases.access.accounts import add_account

HEALTHY = "attack_healthy"
ASKED = 6  # appointments of the healthy account
MARGIN = 2.0  # seconds beyond the deadline of a call, for a slow machine
ROUNDS = 4.0  # seconds for questions to come round: each account is asked about in turn, after its time-outs
GRACE = 10.0  # seconds in which the worker ends
DRIPS = "a byte at a time, in the body"


def attack(scene: Scene) -> Iterator[Finding]:
    """Each illness alone; in the short form all of them at once."""
    gzip_bomb(BOMB)  # packing it takes seconds, which are none of a call's
    _add_account(scene, HEALTHY)
    groups = [KINDS] if scene.plan.short else [(kind,) for kind in KINDS]
    for kinds in groups:
        scene.telling.say(f"sick Cobalts: {', '.join(kinds) if len(kinds) == 1 else 'all illnesses at once'}")
        yield _fall_ill(scene, kinds)
    yield Finding(
        tried="Cobalt redirects elsewhere: is it followed, with tokens and patients' data?",
        came=f"{scene.cobalt.strays} followed",
        limit="never",
        hurts=scene.cobalt.strays > 0,
    )
    twice = sum(count > 1 for count in scene.cobalt.asked.values())
    yield Finding(
        tried="sick Cobalts: is an appointment asked for twice?",
        came=f"{twice} of {len(scene.cobalt.asked)}",
        limit="never",
        hurts=twice > 0,
    )
    yield _end_worker(scene)


def _fall_ill(scene: Scene, kinds: Sequence[str]) -> Finding:
    cobalt = scene.cobalt
    timeout = scene.settings.cobalt_timeout.total_seconds()
    # More than there are slots, where it is one account against all of them.
    each = scene.settings.cobalt_concurrency + 4 if len(kinds) == 1 else 2
    tokens = []
    for kind in kinds:
        account = f"attack_{secrets.token_hex(4)}"
        tokens.append(_add_account(scene, account))
        cobalt.sick[tokens[-1]] = kind
        _ask_for(scene, account, each)

    def heal() -> None:
        cobalt.sick.clear()
        cobalt.let_go()

    with watching(scene.stack.workers[0], fuse=heal) as growth:
        seconds_until(lambda: all(cobalt.calls[token] for token in tokens), 3)
        mine = _ask_for(scene, HEALTHY, ASKED)
        most = timeout + MARGIN
        taken = seconds_until(lambda: _count(scene, mine, "submission = 'accepted'") == ASKED, most)
        settled_within = 4 * timeout + MARGIN + ROUNDS
        settled = seconds_until(lambda: _count(scene, mine, "status = 'created'") == ASKED, settled_within)
        time.sleep(max(0.0, scene.plan.either(0, timeout)))  # more of the same may yet come
    longest = max(cobalt.longest_call(token) for token in tokens)
    heal()
    return Finding(
        tried=f"Cobalt: {kinds[0]}" if len(kinds) == 1 else f"Cobalts: {len(kinds)} illnesses at once",
        came=f"worker +{growth.most:.0f} MB; longest call {longest:.1f} s; others taken {in_words(taken, most)}, "
        f"settled by asking {in_words(settled, settled_within)}",
        limit=f"+{MOST_GROWTH:.0f} MB; {timeout + MARGIN:g} s; {most:g} s; {settled_within:g} s",
        hurts=growth.most > MOST_GROWTH or longest > timeout + MARGIN or taken is None or settled is None,
    )


def _end_worker(scene: Scene) -> Finding:
    """Ask the worker to end while it waits for bytes that drip."""
    worker = scene.stack.workers[0]
    account = f"attack_{secrets.token_hex(4)}"
    token = _add_account(scene, account)
    scene.cobalt.sick[token] = DRIPS
    _ask_for(scene, account, 4)
    seconds_until(lambda: scene.cobalt.calls[token] > 0, 3)
    began = time.monotonic()
    worker.terminate(timeout=GRACE + 1)
    took = time.monotonic() - began
    scene.cobalt.sick.clear()
    scene.cobalt.let_go()
    clean = worker.returncode == 0
    worker.start()
    worker.wait_ready("worker ready")
    return Finding(
        tried="SIGTERM to the worker while Cobalt drips",
        came=f"ended after {took:.1f} s" + ("" if clean else ", killed"),
        limit=f"{GRACE:g} s",
        hurts=not clean or took > GRACE,
    )


def _add_account(scene: Scene, name: str) -> str:
    """Link an account; returns its access token."""
    token = secrets.token_urlsafe(16)
    settings = scene.settings
    timeout = settings.statement_timeout
    engine = make_engine(scene.stack.database_url, pool=1, statement_timeout=timeout, lock_timeout=timeout)
    try:
        with transaction(engine) as session:
            add_account(session, settings, name=name, reference=name, access_token=token)
    finally:
        engine.dispose()
    scene.cobalt.references[token] = name
    return token


def _ask_for(scene: Scene, account: str, count: int) -> list[str]:
    """Ask for so many appointments; returns their ids."""
    found = []
    headers = {"Authorization": f"Bearer {scene.stack.api_key}"}
    with httpx.Client(base_url=scene.stack.url, headers=headers, timeout=20, trust_env=False, verify=NO_TLS) as client:
        for _ in range(count):
            answer = client.post("/v1/appointments", json=appointment_for(account))
            if answer.status_code == HTTPStatus.ACCEPTED:
                found.append(answer.json()["id"])
    return found


def _count(scene: Scene, ids: Sequence[str], which: str) -> int:
    with suppress(psycopg.OperationalError), connect(scene.stack.database_url, autocommit=True) as connection:
        row = connection.execute(f"SELECT count(*) FROM appointments WHERE id = ANY(%s) AND {which}", [list(ids)])  # noqa: S608  our own words
        found = row.fetchone()
        return int(found[0]) if found else 0
    return 0
