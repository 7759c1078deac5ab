"""Proves by SQL that what was answered 2xx is stored, each once: by plain SQL and no code of the service's."""

import json
import time
from collections import Counter
from collections.abc import Collection, Sequence

from service.postgres.sessions import connect

DRAIN_TIMEOUT = 15.0  # seconds for what was spooled to reach the tables
LOOK_INTERVAL = 0.1  # seconds
QUIET_LOOKS = 3  # in a row without a busy connection

_MARK = "SELECT coalesce(max(id), 0) FROM deliveries"
_BUSY = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'cobalt-appointments' AND datname = current_database() AND state <> 'idle'
  AND pid <> pg_backend_pid()
"""
_RECORDED = "SELECT event_id, count(*) FROM deliveries WHERE id > %s GROUP BY event_id"
_BATCHES = "SELECT count(DISTINCT xmin::text) FROM deliveries WHERE id > %s"
_STORED = "SELECT count(*) FROM events WHERE id = ANY(%s)"
_APPLIED_ONCE = """
SELECT count(*) FROM (
  SELECT event_id FROM deliveries WHERE event_id = ANY(%s) AND disposition <> 'duplicate'
  GROUP BY event_id HAVING count(*) = 1
) AS once
"""
_SETTLED = "SELECT count(*) FROM appointments WHERE ruling_event_id = ANY(%s) AND status = 'created'"
_FAILURES = "SELECT failures FROM appointments WHERE cobalt_appointment_id = %s AND status = 'failed'"
_KEPT = "SELECT count(*) FROM appointments WHERE id = ANY(%s)"
_ASKED_FOR = "SELECT count(*) FROM appointments WHERE id > 'appt_011'"


class Records:
    """What a database says before and after a measurement.

    Args:
        database_url: of the service's database.
        connections: how many requests may have been cut off without an answer at the end of a measurement.
    """

    def __init__(self, database_url: str, connections: int) -> None:
        self._database_url = database_url
        self._connections = connections

    def mark(self) -> int:
        """The last delivery so far."""
        return self._number(_MARK)

    def batches(self, mark: int) -> int:
        """How many transactions the deliveries since the mark came in."""
        return self._number(_BATCHES, mark)

    def asked_for(self) -> int:
        """How many appointments were asked for over the API so far."""
        return self._number(_ASKED_FOR)

    def wait_until_quiet(self) -> None:
        """Wait until what was cut off at the end of a measurement is finished too."""
        quiet = 0
        until = time.monotonic() + DRAIN_TIMEOUT
        while quiet < QUIET_LOOKS and time.monotonic() < until:
            quiet = 0 if self._number(_BUSY) else quiet + 1
            time.sleep(LOOK_INTERVAL)

    def check_events(
        self, mark: int, answers: Sequence[tuple[int, bytes]], dispositions: Collection[str], *, settle: bool = False
    ) -> list[str]:
        """Say what is wrong with the events that were answered 2xx since the mark; empty when all is well.

        Args:
            mark: the last delivery before.
            answers: status and body of each.
            dispositions: what an event may have been answered, besides `spooled`.
            settle: whether each one settled an appointment of its own.
        """
        taken = [json.loads(body) for status, body in answers if status // 100 == 2]  # noqa: PLR2004
        said = Counter(one["disposition"] for one in taken)
        problems = [
            f"{count} answered {disposition}"
            for disposition, count in said.items()
            if disposition not in {*dispositions, "spooled"}
        ]
        answered = Counter(str(one["event_id"]) for one in taken)
        recorded = self._recorded(mark, answered)
        ids = list(answered)
        if lost := (answered - recorded).total():
            problems.append(f"{lost} of {answered.total()} answered 2xx are not recorded")
        if (extra := (recorded - answered).total()) > self._connections:
            problems.append(f"{extra} more are recorded than were answered 2xx")
        if (stored := self._number(_STORED, ids)) != len(ids):
            problems.append(f"{stored} events are stored of {len(ids)}")
        if (once := self._number(_APPLIED_ONCE, ids)) != len(ids):
            problems.append(f"{len(ids) - once} events do not have exactly one delivery that took effect")
        if settle and (settled := self._number(_SETTLED, ids)) != len(ids):
            problems.append(f"{settled} appointments are settled by {len(ids)} events")
        return problems

    def check_hot(self, mark: int, cobalt_id: str) -> list[str]:
        """Say what is wrong when all events since the mark were failures of one appointment."""
        counted, recorded = self._number(_FAILURES, cobalt_id), self._recorded(mark, Counter())
        if counted != len(recorded):
            return [f"the appointment has {counted} failures after {len(recorded)} events"]
        return []

    def check_appointments(self, before: int, answers: Sequence[tuple[int, bytes]]) -> list[str]:
        """Say what is wrong with the appointments that were answered 202, when there were so many before."""
        ids = [json.loads(body)["id"] for status, body in answers if status == 202]  # noqa: PLR2004
        problems = []
        if (kept := self._number(_KEPT, ids)) != len(ids):
            problems.append(f"{kept} appointments are kept of {len(ids)} answered 202")
        more = self.asked_for() - before
        if not len(ids) <= more <= len(ids) + self._connections:
            problems.append(f"{more} appointments were made for {len(ids)} answers 202")
        return problems

    def _recorded(self, mark: int, answered: Counter[str]) -> Counter[str]:
        """How often each event was recorded since the mark, once nothing is missing or nothing more comes."""
        until = time.monotonic() + DRAIN_TIMEOUT
        with connect(self._database_url, autocommit=True) as connection:
            while True:
                recorded = Counter({str(event): int(count) for event, count in connection.execute(_RECORDED, [mark])})
                if answered <= recorded or time.monotonic() > until:
                    return recorded
                time.sleep(LOOK_INTERVAL)

    def _number(self, query: str, *parameters: object) -> int:
        with connect(self._database_url, autocommit=True) as connection:
            row = connection.execute(query.encode(), parameters).fetchone()
        return 0 if row is None else int(row[0])
