"""`make demo`: every documented outcome of an appointment, from the request to the webhook."""

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.lab.directories import run_in_directory
from service.lab.stack import Stack, chosen_port

WEBHOOKS_TIMEOUT = 20.0  # seconds for all webhooks; the slowest one comes well within two
POLLING = {"WEBHOOKS": "off", "POLL_INTERVAL": "0.5", "COBALT_WEBHOOK_SECRETS": ""}
POLL_INTERVAL = 0.1  # seconds
PLAIN_WIDTH = 150  # columns where there is no terminal to ask
APPOINTMENT = {
    "mrn": "123456789",
    "location": "Main Clinic",
    "date": "2030-01-15",
    "time": "10:00",
    "provider": "Dr. Smith",
    "type": "new_patient",
}


@dataclass
class Case:
    """One documented outcome: what to ask for, how it ends, and how it ended this time."""

    changed: dict[str, str]
    status: str
    category: str | None = None
    answer: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def request(self) -> str:
        """What sets this request apart."""
        return ", ".join(f"{name} {value}" for name, value in self.changed.items())

    @property
    def failure(self) -> dict[str, Any]:
        """The failure that the service told; empty when there is none."""
        return self.answer.get("failure") or {}

    @property
    def is_settled(self) -> bool:
        """Whether the service knows the outcome."""
        return self.answer.get("status") in ("created", "failed")

    @property
    def is_as_documented(self) -> bool:
        """Whether it ended the way Cobalt's documentation says."""
        return self.told == self.documented

    @property
    def documented(self) -> str:
        """How it should end."""
        return f"{self.status} {self.category or ''}".strip()

    @property
    def told(self) -> str:
        """How it ended, as far as the service knows."""
        return f"{self.answer.get('status')} {self.failure.get('category', '')}".strip()


def cases() -> list[Case]:
    """The seven outcomes of Cobalt's "Create Appointments" page, each by what makes the sandbox play it."""
    return [
        Case({"time": "10:30"}, "created"),
        Case({"mrn": "000000"}, "failed", "patient_not_found"),
        Case({"type": "Annual Wellness Visit"}, "failed", "visit_type_unavailable"),
        Case({"provider": "Dr. Unknown"}, "failed", "provider_not_found"),
        Case({"location": "Admin Block"}, "failed", "schedule_block"),
        Case({"location": "Double Booked"}, "failed", "appointment_conflict"),
        Case({"mrn": "999999"}, "failed", "gave_up"),
    ]


def run(*, webhooks: bool = True) -> int:
    """Run the demo and return the exit code: 0 only if every appointment ended as documented.

    Args:
        webhooks: Whether Cobalt's events come by webhook, or are only asked for.
    """
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    return run_in_directory("cobalt-demo-", console, lambda directory: _run(console, directory, webhooks=webhooks))


def _run(console: Console, directory: Path, *, webhooks: bool) -> int:
    started = time.monotonic()
    stack = Stack(
        directory,
        web_ports=[chosen_port("DEMO_WEB_PORT")],
        sandbox_port=chosen_port("DEMO_SANDBOX_PORT"),
        sandbox_options=["--delay", "1"],
        postgres_settings={"fsync": "off"},  # it lives for seconds
        env={} if webhooks else POLLING,
    )
    asked = cases()
    with console.status("starting PostgreSQL, the sandbox, a web instance and a worker") as status, stack:
        console.print(f"the service is on {stack.url}, its stand-in for Cobalt on {stack.sandbox_url}")
        status.update("waiting for the webhooks" if webhooks else "asking for the outcomes")
        _submit_and_wait(stack, asked, console)
        status.update("stopping")
    console.print(_table(asked))
    wrong = [case for case in asked if not case.is_as_documented]
    for case in wrong:
        console.print(f"{case.request}: should be {case.documented}, is {case.told}", style="red", markup=False)
    if wrong:
        return 1
    console.print(f"all {len(asked)} ended as documented, in {time.monotonic() - started:.1f} s")
    return 0


def _submit_and_wait(stack: Stack, asked: list[Case], console: Console) -> None:
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    with httpx.Client(base_url=stack.url, headers=headers, timeout=10, trust_env=False) as client:
        submitted = time.monotonic()
        for case in asked:
            answer = client.post("/v1/appointments", json=APPOINTMENT | case.changed)
            case.answer = answer.raise_for_status().json()
            console.print(f"submitted  {case.answer['id']}  {case.request}", markup=False)
        while (waiting := [case for case in asked if not case.is_settled]) and _passed(submitted) < WEBHOOKS_TIMEOUT:
            stack.check()
            for case in waiting:
                answer = client.get(f"/v1/appointments/{case.answer['id']}")
                case.answer = answer.raise_for_status().json()
                case.seconds = _passed(submitted)
                if case.is_settled:
                    console.print(f"settled    {case.answer['id']}  {case.told}", markup=False)
            time.sleep(POLL_INTERVAL)


def _passed(since: float) -> float:
    return time.monotonic() - since


def _table(asked: list[Case]) -> Table:
    table = Table("request", "status", "category", "reason", "seconds", expand=False)
    for case in asked:
        row = (
            case.request,
            case.answer["status"],
            case.failure.get("category", ""),
            case.failure.get("reason", ""),
        )
        # Text, not markup: a reason is Cobalt's own words.
        table.add_row(*map(Text, row), f"{case.seconds:.1f}", style="" if case.is_as_documented else "red")
    return table
