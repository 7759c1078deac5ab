"""The limits that PostgreSQL sets: pgbench, one event in one statement in one transaction, beside our tables."""

import os
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from service.lab.bench.generator import BenchError, Load
from service.lab.postgres import EmbeddedPostgres
from service.postgres.sessions import connect

DATABASE = "limit"
THREADS = 2  # as many as wrk's
PREPARED = "prepared"  # as the service's own driver does it
PLAIN = "simple"  # pgbench's default: planned anew for each event
APPOINTMENTS = 200_000  # so many that hardly two transactions of a run meet in one
TABLES = f"""
CREATE TABLE events (id text PRIMARY KEY, payload jsonb NOT NULL);
CREATE TABLE appointments (
  id text PRIMARY KEY, cobalt_appointment_id text UNIQUE, status text NOT NULL, confirmation jsonb,
  settled_at timestamptz
);
INSERT INTO appointments (id, cobalt_appointment_id, status)
SELECT 'appt_' || lpad(i::text, 26, '0'), (500000000 + i)::text, 'processing'
FROM generate_series(1, {APPOINTMENTS}) AS i;
"""  # noqa: S608  constants
# An id spread like Cobalt's, and the payload as the service keeps it, of the same size.
INSERT = """\
\\set id random(1, 9000000000000000)
INSERT INTO events (id, payload) VALUES ('evt_' || :id, '{payload}');
"""
# The least that can be done with an event: keep it, and note what it says of its appointment.
SETTLE = f"""\
\\set id random(1, 9000000000000000)
\\set number random(1, {APPOINTMENTS})
WITH kept AS (
  INSERT INTO events (id, payload) VALUES ('evt_' || :id, '{{payload}}')
  ON CONFLICT DO NOTHING RETURNING payload -> 'data' AS data
)
UPDATE appointments SET status = 'created', confirmation = kept.data, settled_at = now()
FROM kept WHERE cobalt_appointment_id = (500000000 + :number)::text;
"""  # noqa: S608  a constant
MARGIN = 60  # seconds for pgbench to start and end


class Pgbench:
    """Measures on a database of its own, in the same server and with the same disk as the service's.

    Args:
        postgres: runs.
        payload: what each event says, in JSON.
    """

    def __init__(self, postgres: EmbeddedPostgres, payload: str) -> None:
        self._postgres = postgres
        self._payload = payload.replace("'", "''")
        postgres.create_database(DATABASE)
        self._execute(TABLES)

    def run(self, script: str, *, protocol: str, connections: int, seconds: int) -> Load:
        """Keep events for so long, each as the script says.

        Args:
            script: `INSERT` or `SETTLE`.
            protocol: `PREPARED` or `PLAIN`.
            connections: how many at once.
            seconds: for how long.

        Raises:
            BenchError: pgbench failed, or a row is missing afterwards.
        """
        self._execute("TRUNCATE events")
        self._execute("VACUUM ANALYZE appointments")
        with tempfile.TemporaryDirectory(prefix="cobalt-bench-") as directory:
            file = Path(directory) / "script.sql"
            file.write_text(script.format(payload=self._payload))
            options = ["--no-vacuum", f"--protocol={protocol}", f"--client={connections}", f"--time={seconds}"]
            options += [f"--jobs={min(THREADS, connections)}", f"--file={file}", "--log"]
            done = subprocess.run(  # noqa: S603  our own command
                [self._postgres.bin_path / "pgbench", *options, self._postgres.url(DATABASE)],
                cwd=directory,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=seconds + MARGIN,
                check=False,
            )
            if done.returncode:
                raise BenchError(f"pgbench failed:\n{done.stdout}{done.stderr}")
            logs = [path.read_text() for path in Path(directory).glob("pgbench_log.*")]
        # Each line: client, number, microseconds, script, and when it ended in seconds and microseconds.
        lines = [line.split() for log in logs for line in log.splitlines()]
        stored = self._execute("SELECT count(*) FROM events")
        if stored != len(lines):
            raise BenchError(f"pgbench made {len(lines)} transactions and {stored} rows")
        ends = [int(line[4]) + int(line[5]) / 1e6 for line in lines]
        waits = [int(line[2]) / 1000 for line in lines]
        took = max(ends) - min(end - wait / 1000 for end, wait in zip(ends, waits, strict=True))
        return load_of(waits, took)

    def _execute(self, statement: str) -> int | None:
        with connect(self._postgres.url(DATABASE), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            row = cursor.fetchone() if cursor.description else None
            return None if row is None else int(row[0])


def load_of(waits: Sequence[float], seconds: float) -> Load:
    """Sum up so many answers, none of them refused, by how long each took in milliseconds."""
    hundredths = statistics.quantiles(waits, n=100, method="inclusive")
    return Load(
        answered=len(waits),
        seconds=seconds,
        p50=hundredths[49],
        p95=hundredths[94],
        p99=hundredths[98],
        max=max(waits),
        refused=0,
        broken=0,
    )
