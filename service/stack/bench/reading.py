"""Reading appointments over the API: one by its id, and a page of a list."""

from service.stack.bench.dataset import some_ids
from service.stack.bench.figures import Figure, figure_of
from service.stack.bench.generator import replay
from service.stack.bench.meters import costs_between, read_meters
from service.stack.bench.plan import LIST, READ, Plan
from service.stack.bench.requests import APPOINTMENTS, reads
from service.stack.bench.scene import Place

IDS = 20_000  # so many different appointments are read, from all over the table
# What dashboards ask for, in turn.
LISTS = (
    "?limit=50",
    "?limit=50&status=failed",
    "?limit=50&status=created&sort=created_at",
    "?limit=50&failure_category=provider_not_found",
)


class Reading:
    """Measures one place."""

    def __init__(self, place: Place, plan: Plan) -> None:
        self._place = place
        self._plan = plan
        self._one = reads(place.api_key, [f"{APPOINTMENTS}/{one}" for one in some_ids(place.database_url, IDS)])
        self._lists = reads(place.api_key, [APPOINTMENTS + query for query in LISTS])

    def one(self) -> Figure:
        """Read appointments by their ids."""
        return self._measure(READ, self._one)

    def page(self) -> Figure:
        """Read first pages of fifty."""
        return self._measure(LIST, self._lists)

    def _measure(self, name: str, requests: list[bytes]) -> Figure:
        before = read_meters(self._place.processes, self._place.database_url)
        load = replay(self._place.url, requests, connections=self._plan.connections, seconds=self._plan.seconds)
        after = read_meters(self._place.processes, self._place.database_url)
        return figure_of(name, load, costs_between(before, after, load.answered))
