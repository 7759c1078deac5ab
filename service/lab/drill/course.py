"""The course of a drill: everything is asked for while the faults strike, then it has to settle."""

import time

import psycopg

from service.lab.drill.account import Account, draw_up
from service.lab.drill.blackout import judge
from service.lab.drill.evidence import read_cobalts, read_ours, sandbox_stats, spool_depth, unsettled
from service.lab.drill.plan import Plan, schedule
from service.lab.drill.progress import Progress
from service.lab.drill.scene import Scene

LOOK_INTERVAL = 0.25  # seconds between looks at how far it is
TELL_INTERVAL = 10.0  # seconds between lines about it
AFTERWARDS = 0.5  # seconds for what was answered too late to be written all the same


def run_course(plan: Plan, scene: Scene, progress: Progress) -> Account:
    """Play the schedule, wait until all is settled or the patience is used up, and draw up the account."""
    began = time.monotonic()
    scene.callers.start()
    scene.injector.start(schedule(plan))
    telling = _Telling(progress)
    give_up = time.monotonic() + plan.seconds + plan.patience
    while not scene.callers.join(time.monotonic() + LOOK_INTERVAL) and time.monotonic() < give_up:
        telling.tell(f"{len(scene.callers.taken)} of {plan.appointments} taken")
    scene.callers.stop()
    scene.injector.finish()
    progress.say(f"{len(scene.callers.taken)} taken and the outages are over; waiting for everything to settle")
    give_up = time.monotonic() + plan.patience
    while (waiting := _waiting(scene)) and time.monotonic() < give_up:
        telling.tell(f"waiting for {waiting}")
        time.sleep(LOOK_INTERVAL)
    progress.say(f"out of patience after {plan.patience:g} s: still {waiting}" if waiting else "everything is settled")
    took = time.monotonic() - began
    time.sleep(AFTERWARDS)
    ours, cobalts = read_ours(scene.stack, scene.spool_dirs), read_cobalts(scene.stack)
    account = draw_up(scene.callers.taken, ours, cobalts)
    if plan.blackout:
        judge(account, ours, cobalts, day=plan.seconds, took=took, workers=len(scene.stack.workers))
    return account


def _waiting(scene: Scene) -> str:
    """What is not settled yet, in words; empty when all is."""
    stats = sandbox_stats(scene.stack)
    try:
        processing = unsettled(scene.stack)
    except psycopg.OperationalError:
        return "PostgreSQL"
    counts = {
        "appointments": processing,
        "of Cobalt's robots": stats["pending_appointments"],
        "webhooks on their way": stats["pending_webhooks"],
        "events in spools": sum(spool_depth(directory)[0] for directory in scene.spool_dirs),
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


class _Telling:
    """Keeps people up to date without filling their screens."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._told = time.monotonic()

    def tell(self, text: str) -> None:
        self._progress.show(text)
        if time.monotonic() - self._told > TELL_INTERVAL:
            self._told = time.monotonic()
            self._progress.say(text)
