"""Asking for appointments over the API, and the worker that takes them to a Cobalt that answers at once."""

import math
import time

import httpx

from service.lab.bench.figures import Figure, figure_of
from service.lab.bench.generator import BenchError, replay
from service.lab.bench.meters import costs_between, memory, read_meters
from service.lab.bench.pgbench import load_of
from service.lab.bench.plan import POST, WORKER, Plan
from service.lab.bench.records import Records
from service.lab.bench.requests import asked_for
from service.lab.bench.scene import Place, Scene
from service.postgres.sessions import connect

LOOK_INTERVAL = 0.1  # seconds
WORKER_TIMEOUT = 20.0  # seconds for the first appointment to be taken, and for all that were begun to end

_LAST = "SELECT coalesce(max(id), 0) FROM submissions"
_DONE = "SELECT count(*) FROM submissions WHERE id > %s AND ended_at IS NOT NULL"
_QUEUED = "SELECT EXISTS (SELECT FROM appointments WHERE status = 'processing' AND submission = 'queued')::int"
_TIMES = """
SELECT extract(epoch FROM ended_at)::float8, extract(epoch FROM ended_at - began_at)::float8 * 1000
FROM submissions WHERE id > %s AND ended_at IS NOT NULL ORDER BY ended_at LIMIT %s
"""
_ACCEPTED = "SELECT count(*) FROM appointments WHERE submission = 'accepted' AND id > 'appt_011'"
_TWICE = "SELECT count(*) FROM appointments WHERE tries > 1 AND id > 'appt_011'"


class Submission:
    """Measures how fast requests are taken, and then how fast they go on to Cobalt.

    Args:
        scene: where the worker and the sandbox are.
        plan: for how long, and how many connections.
        fastest: requests a second that cannot be exceeded.

    Attributes:
        problems: what was not as it should be.
        worker_memory: megabytes of the worker at the end of each round.
    """

    def __init__(self, scene: Scene, plan: Plan, fastest: float) -> None:
        self.problems: list[str] = []
        self.worker_memory: list[float] = []
        self._stack = scene.stack
        self._place: Place = scene.places[0]
        self._plan = plan
        self._prepared = math.ceil(fastest * plan.seconds)
        self._records = Records(self._place.database_url, plan.connections)

    def post(self) -> Figure:
        """Ask for appointments, each for another patient. What is kept here is the queue for the worker."""
        requests = asked_for(self._place.api_key, self._prepared)
        kept = self._records.asked_for()
        before = read_meters(self._place.processes, self._place.database_url)
        load = replay(
            self._place.url,
            requests,
            connections=self._plan.connections,
            seconds=self._plan.seconds,
            once=True,
            note=True,
        )
        self._records.wait_until_quiet()
        after = read_meters(self._place.processes, self._place.database_url)
        found = self._records.check_appointments(kept, load.answers)
        self.problems += [f"{POST}: {problem}" for problem in found]
        return figure_of(POST, load, costs_between(before, after, load.answered))

    def worker(self) -> Figure:
        """Let the worker take what is queued. The latency is that of one call to Cobalt, not of the queue."""
        worker = self._stack.workers[0]
        processes = {**self._place.processes, "worker": worker, "sandbox": self._stack.sandbox}
        last = self._number(_LAST)
        worker.start()
        self._wait_for_one(last)
        began, done_before = time.monotonic(), self._number(_DONE, last)
        before = read_meters(processes, self._place.database_url)
        while time.monotonic() < began + self._plan.seconds and self._number(_QUEUED):
            time.sleep(LOOK_INTERVAL)
        after = read_meters(processes, self._place.database_url)
        done = self._number(_DONE, last)
        self.worker_memory += memory(worker)
        # In order: calls in flight are finished and recorded.
        worker.terminate(timeout=WORKER_TIMEOUT)
        self._check()
        return self._figure(last, done_before, done, costs_between(before, after, done - done_before))

    def _wait_for_one(self, last: int) -> None:
        until = time.monotonic() + WORKER_TIMEOUT
        while not self._number(_DONE, last):
            if time.monotonic() > until:
                raise BenchError(f"the worker took nothing; its log: {self._stack.workers[0].log}")
            time.sleep(LOOK_INTERVAL)

    def _figure(self, last: int, done_before: int, done: int, costs: dict[str, float]) -> Figure:
        with connect(self._place.database_url, autocommit=True) as connection:
            rows = connection.execute(_TIMES, [last, done]).fetchall()[done_before:]
        if len(rows) < 2:  # noqa: PLR2004  an interval has two ends
            raise BenchError("too few appointments were queued to see how fast the worker is")
        return figure_of(WORKER, load_of([wait for _, wait in rows], rows[-1][0] - rows[0][0]), costs)

    def _check(self) -> None:
        url = self._stack.sandbox_url.removesuffix("/v1") + "/_sandbox/stats"
        booked = httpx.get(url, timeout=30, trust_env=False).raise_for_status().json()["booked"]
        accepted, twice = self._number(_ACCEPTED), self._number(_TWICE)
        if booked != accepted:
            self.problems.append(f"{WORKER}: {accepted} are accepted here, {booked} are booked at Cobalt")
        if twice:
            self.problems.append(f"{WORKER}: {twice} were sent more than once")

    def _number(self, query: str, *parameters: object) -> int:
        with connect(self._place.database_url, autocommit=True) as connection:
            row = connection.execute(query.encode(), parameters).fetchone()
        return 0 if row is None else int(row[0])
