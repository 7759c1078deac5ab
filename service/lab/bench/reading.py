"""Reading over the API: one appointment by its id, pages of lists, stats, and the feed of changes."""

import httpx

from service.lab.bench.dataset import some_ids
from service.lab.bench.figures import Figure, figure_of
from service.lab.bench.generator import replay
from service.lab.bench.meters import costs_between, read_meters
from service.lab.bench.plan import CHANGES, DEEP, FILTERED, LIST, READ, STATS, Plan
from service.lab.bench.requests import APPOINTMENTS, reads
from service.lab.bench.scene import Place

IDS = 20_000  # so many different appointments are read, from all over the table
# What dashboards ask for, in turn.
LISTS = (
    "?limit=50",
    "?limit=50&status=failed",
    "?limit=50&status=created&sort=created_at",
    "?limit=50&failure_category=provider_not_found",
)
# Each filter alone and in the usual pairs, in both orders.
FILTERS = tuple(
    f"?{query}&sort={sort}"
    for query in (
        "status=failed",
        "status=created",
        "status=processing",
        "failure_category=schedule_block",
        "submission=accepted",
        "submission=unconfirmed",
        "account={account}",
        "account={account}&status=failed",
        "provider=Dr.%20Smith",
        "provider=Dr.%20Nobody",
        "type=new_patient&status=failed",
        "mrn=300000042",
        "mrn=300000042&account={account}",
        "cobalt_appointment_id=100000042",
        "overdue=true",
        "overdue=true&account={account}",
    )
    for sort in ("-created_at", "-updated_at")
)
PAGES = 8  # that far pages are from each other; the last of them is the farthest
FARTHEST = 1000  # pages of fifty, where there are so many
QUERIES = ("", "?bucket=day", "?bucket=hour")


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

    def filtered(self) -> Figure:
        """Read first pages of lists by each filter."""
        paths = [APPOINTMENTS + query.format(account=self._place.account) for query in FILTERS]
        return self._measure(FILTERED, reads(self._place.api_key, paths))

    def deep(self) -> Figure:
        """Read pages far into a list, to which cursors lead."""
        return self._measure(DEEP, reads(self._place.api_key, self._far_pages()))

    def stats(self) -> Figure:
        """Read stats of the last day, by the day and by the hour."""
        return self._measure(STATS, reads(self._place.api_key, [f"/v1/stats{query}" for query in QUERIES]))

    def changes(self) -> Figure:
        """Read the feed from its beginning."""
        return self._measure(CHANGES, reads(self._place.api_key, ["/v1/changes?limit=50"]))

    def _far_pages(self) -> list[str]:
        """Follow a list to its 1,000th page, or its end, and take some of the way's last pages."""
        paths = [f"{APPOINTMENTS}?limit=50"]
        headers = {"Authorization": f"Bearer {self._place.api_key}"}
        with httpx.Client(base_url=self._place.url, headers=headers, timeout=30, trust_env=False) as client:
            while len(paths) < FARTHEST:
                cursor = client.get(paths[-1]).json()["next_cursor"]
                if cursor is None:
                    break
                paths.append(f"{APPOINTMENTS}?limit=50&cursor={cursor}")
        return paths[-PAGES:]

    def _measure(self, name: str, requests: list[bytes]) -> Figure:
        before = read_meters(self._place.processes, self._place.database_url)
        load = replay(self._place.url, requests, connections=self._plan.connections, seconds=self._plan.seconds)
        after = read_meters(self._place.processes, self._place.database_url)
        return figure_of(name, load, costs_between(before, after, load.answered))
