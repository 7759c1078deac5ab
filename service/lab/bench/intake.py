"""Taking webhooks: events that are new, known, all about one appointment, or about nobody's."""

import json
import math
from collections.abc import Collection, Sequence

from service.lab.bench.dataset import waiting_appointments
from service.lab.bench.figures import Figure, figure_of
from service.lab.bench.generator import BenchError, replay
from service.lab.bench.meters import costs_between, read_meters
from service.lab.bench.plan import DUPLICATES, HOT, NEW, UNMATCHED, Plan
from service.lab.bench.records import Records
from service.lab.bench.requests import Events, body_of
from service.lab.bench.scene import Place

WARM_UP, SMOKE_WARM_UP = 2, 1  # seconds; connections are opened, plans made, caches filled


class Intake:
    """Measures one place, and proves each time that what was answered 2xx is stored.

    Args:
        place: where.
        plan: for how long, and how many connections.
        fastest: requests a second that cannot be exceeded: so many are prepared, each with a new event.

    Attributes:
        problems: what was not as it should be.
    """

    def __init__(self, place: Place, plan: Plan, fastest: float) -> None:
        self.problems: list[str] = []
        self.body_bytes = 0.0
        self._place = place
        self._plan = plan
        self._prepared = math.ceil(fastest * plan.seconds)
        self._events = Events(place.secret, place.account)
        self._records = Records(place.database_url, plan.connections)
        self._known: Sequence[bytes] = ()

    def warm_up(self) -> None:
        """Send new events for a moment; they are what the duplicates repeat."""
        seconds = SMOKE_WARM_UP if self._plan.smoke else WARM_UP
        count = math.ceil(self._prepared / self._plan.seconds * seconds)
        requests = self._events.created(waiting_appointments(self._place.database_url, self._place.account, count))
        self.body_bytes = sum(len(body_of(one)) for one in requests) / len(requests)
        load = replay(
            self._place.url, requests, connections=self._plan.connections, seconds=seconds, once=True, note=True
        )
        self._records.wait_until_quiet()
        known = {json.loads(body)["event_id"] for status, body in load.answers if status // 100 == 2}  # noqa: PLR2004
        if not known:
            raise BenchError("the web process took no event")
        self._known = [one for one in requests if json.loads(body_of(one))["id"] in known]

    def new(self) -> Figure:
        """Events that each settle an appointment of their own."""
        waiting = waiting_appointments(self._place.database_url, self._place.account, self._prepared)
        return self._measure(NEW, self._events.created(waiting), {"applied"}, settle=True)

    def duplicates(self) -> Figure:
        """Events that are all known."""
        return self._measure(DUPLICATES, self._known, {"duplicate"}, again=True)

    def hot(self) -> Figure:
        """Failures of one and the same appointment, each with an id of its own."""
        one = waiting_appointments(self._place.database_url, self._place.account, 1)[0]
        mark = self._records.mark()
        requests = self._events.failed(one, self._prepared)
        figure = self._measure(HOT, requests, {"applied", "superseded"})
        self.problems += self._records.check_hot(mark, one.cobalt_id)
        return figure

    def unmatched(self) -> Figure:
        """Events about appointments that were not asked for here."""
        return self._measure(UNMATCHED, self._events.unknown(self._prepared), {"unmatched"})

    def _measure(
        self,
        name: str,
        requests: Sequence[bytes],
        dispositions: Collection[str],
        *,
        settle: bool = False,
        again: bool = False,
    ) -> Figure:
        mark = self._records.mark()
        before = read_meters(self._place.processes, self._place.database_url)
        load = replay(
            self._place.url,
            requests,
            connections=self._plan.connections,
            seconds=self._plan.seconds,
            once=not again,
            note=True,
        )
        self._records.wait_until_quiet()
        after = read_meters(self._place.processes, self._place.database_url)
        found = self._records.check_events(mark, load.answers, dispositions, settle=settle)
        self.problems += [f"{name}: {problem}" for problem in found]
        costs = costs_between(before, after, load.answered)
        costs["events a commit"] = load.answered / max(1, self._records.batches(mark))
        return figure_of(name, load, costs)
