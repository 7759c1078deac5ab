"""The limits that PostgreSQL and HTTP set, measured with the same connections, bodies and cores."""

from service.lab.bench.figures import Figure, figure_of
from service.lab.bench.generator import replay
from service.lab.bench.meters import cpu_seconds
from service.lab.bench.pgbench import INSERT, PLAIN, PREPARED, SETTLE, Pgbench
from service.lab.bench.plan import EMPTY, INSERTED, PGBENCH, PGBENCH_PLAIN, Plan
from service.lab.bench.requests import Events, Waiting, body_of
from service.lab.bench.scene import Scene

BODIES = 10_000  # signed events for the empty application, which does not look at them
EXAMPLE = Waiting("500000001", "400000001")
WARM_UP = 1  # seconds


class Limits:
    """Measures both limits of one scene."""

    def __init__(self, scene: Scene, plan: Plan) -> None:
        self._scene = scene
        self._plan = plan
        place = scene.places[0]
        self._requests = Events(place.secret, place.account).created([EXAMPLE] * BODIES)
        self._pgbench = Pgbench(scene.postgres, body_of(self._requests[0]).decode())

    def warm_up(self) -> float:
        """Send the empty application requests for a moment; returns how many a second it answered."""
        load = replay(
            self._scene.empty_url, self._requests, connections=self._plan.connections, seconds=WARM_UP, note=True
        )
        return load.answered / load.seconds

    def inserted(self) -> Figure:
        """One event a transaction, without HTTP: the event alone."""
        return self._run_pgbench(INSERTED, INSERT)

    def pgbench(self) -> Figure:
        """One event a transaction, without HTTP: the event, and what it says of its appointment."""
        return self._run_pgbench(PGBENCH, SETTLE)

    def plain(self) -> Figure:
        """The same as a client sends it that prepares nothing."""
        return self._run_pgbench(PGBENCH_PLAIN, SETTLE, PLAIN)

    def _run_pgbench(self, name: str, script: str, protocol: str = PREPARED) -> Figure:
        before = cpu_seconds(self._scene.postgres.process)
        load = self._pgbench.run(
            script, protocol=protocol, connections=self._plan.connections, seconds=self._plan.seconds
        )
        spent = cpu_seconds(self._scene.postgres.process) - before
        return figure_of(name, load, {"postgres cpu, us": spent / load.answered * 1e6})

    def empty(self) -> Figure:
        """HTTP without an event. The answers are noted as those of the service are, which costs wrk time."""
        before = cpu_seconds(self._scene.empty)
        load = replay(
            self._scene.empty_url,
            self._requests,
            connections=self._plan.connections,
            seconds=self._plan.seconds,
            note=True,
        )
        spent = cpu_seconds(self._scene.empty) - before
        return figure_of(EMPTY, load, {"web cpu, us": spent / load.answered * 1e6})
