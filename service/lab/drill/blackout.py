"""A day without webhooks: nobody takes them, half are never sent, and only the sweep is left.

The clock is scaled: the seconds of the drill stand for 24 hours, and the service's intervals shrink with them. What is
not scaled is how long a call or a transaction takes, so that the service has less time here than in production. An
interval that would come below `SHORTEST` stays there: the worker's loop does not come round faster.
"""

from collections.abc import Mapping

from service.lab.drill.account import Account
from service.lab.drill.evidence import Cobalts, Ours

DAY = 86_400
SHORTEST = 0.2  # seconds
FAULTS: Mapping[str, float] = {"lost-webhooks": 0.5, "lost-replies": 0.03, "429": 0.005, "staff": 0.02}
# When, as shares of the day: the workers are down, and Cobalt's list of events is.
WORKERS_STOPPED, LIST_DOWN = (0.15, 0.25), (0.45, 0.2)
ROBOTS = 60  # seconds that Cobalt's robots take, give or take a half
# The service's own defaults.
INTERVALS: Mapping[str, float] = {
    "SWEEP_INTERVAL": 600,
    "SWEEP_OVERLAP": 600,
    "ASK_AFTER": 150,
    "ASK_INTERVAL": 30,
    "OVERDUE_AFTER": 900,
    "UNCONFIRMED_AFTER": 3600,
}
LEAST: Mapping[str, float] = {"OVERDUE_AFTER": 1, "UNCONFIRMED_AFTER": 4}  # an answer that is awaited is no absence
EVENTS_ON_A_PAGE = 100

ARRIVED = "webhooks that arrived"
NOT_BY_ASKING = "outcomes not learned from Cobalt's events"
PERSON = "a person needed"
CALLS = "calls beyond the bound"


def interval(name: str, seconds: float) -> float:
    """Return an interval of the service in a day of so many seconds."""
    return max(INTERVALS[name] * seconds / DAY, LEAST.get(name, SHORTEST))


def service_env(seconds: float) -> dict[str, str]:
    """Return the service's intervals in a day of so many seconds."""
    return {name: str(interval(name, seconds)) for name in INTERVALS}


def robots_delay(seconds: float) -> float:
    """Return how long Cobalt's robots take in a day of so many seconds."""
    return max(ROBOTS * seconds / DAY, SHORTEST / 2)


def judge(account: Account, ours: Ours, cobalts: Cobalts, *, day: float, took: float, workers: int) -> None:
    """Add to an account what must be 0 after such a day.

    Args:
        account: Is added to.
        ours: What the service has on record.
        cobalts: What the sandbox has.
        day: Seconds that stood for 24 hours.
        took: Seconds from the first request until all was settled.
        workers: How many there were.
    """
    account.defects[ARRIVED] = [f"event {one['event_id']}" for one in cobalts.deliveries if one["status"] is not None]
    account.defects[NOT_BY_ASKING] = [
        f"{row['id']}: by {row['learned_by']}, {row['learned_from']}"
        for row in ours.appointments
        if row["learned_by"] != "poll" or str(row["learned_from"]).startswith("list_")
    ]
    account.defects[PERSON] = [
        f"{row['id']}: {row['failure_category'] or row['submission']}"
        for row in ours.appointments
        if row["failure_category"] == "submission_unconfirmed" or row["status"] == "processing"
    ]
    pages, walks = cobalts.stats["event_pages"], cobalts.stats["event_walks"]
    # An account is walked over once in each interval at most, and once more by each start of a worker.
    most = took / interval("SWEEP_INTERVAL", day) + workers * (took / interval("ASK_INTERVAL", day) + 2)
    # Each event is on one page of one walk, except for those within the overlap.
    further = len(cobalts.events) / EVENTS_ON_A_PAGE * 2
    account.defects[CALLS] = [
        f"{count} {what}, at most {bound:.0f}"
        for what, count, bound in (("walks", walks, most), ("further pages", pages - walks, further))
        if count > bound
    ]
    account.noted |= {
        "walks over Cobalt's events": walks,
        "walks: at most": int(most),
        "walks: further pages": pages - walks,
        "questions about one job": cobalts.stats["event_queries"] - pages,
        "outcomes for each call": round(len(ours.appointments) / max(1, cobalts.stats["event_queries"]), 2),
    }
