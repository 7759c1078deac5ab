"""Where an attack takes place: the whole service on this machine, with a Cobalt that can be made sick."""

import os
import resource
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet

from service.config import Settings
from service.lab.attack.honest import Honest
from service.lab.attack.plan import SHORT_DEADLINES, Plan
from service.lab.attack.scripted import ScriptedCobalt
from service.lab.attack.wire import say
from service.lab.bench.progress import Telling
from service.lab.bench.requests import Events, reads
from service.lab.processes import Process
from service.lab.stack import Stack

WARM_UP = 40  # rounds: the kernel gives each process some of them


@dataclass
class Scene:
    """The parts of an attack.

    Attributes:
        cobalt: what the worker calls in place of the sandbox.
        settings: what the web processes and the worker read at their start.
    """

    plan: Plan
    stack: Stack
    cobalt: ScriptedCobalt
    settings: Settings
    telling: Telling
    _is_narrow: bool = False

    @property
    def web(self) -> Process:
        """The web instance: gunicorn, whose children do the work."""
        return self.stack.webs[0]

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.stack.web_ports[0]

    def honest(self, *, port: int | None = None) -> Honest:
        """Cobalt's own webhooks, to be sent meanwhile."""
        return Honest(port or self.port, self.stack.webhook_secret, self.stack.account)

    def restart_web(self, *, descriptors: int | None = None) -> None:
        """Start the web instance anew, with so many file descriptors for each of its processes."""
        self._is_narrow = descriptors is not None
        self.web.kill()
        argv = list(self.web.argv)
        if descriptors:
            self.web.argv = ["/bin/sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh", *argv]
        try:
            self.web.start()
            self.web.wait_ready(f"{self.stack.url}/readyz/api")
        finally:
            self.web.argv = argv
        self.warm_up()

    def restore_web(self) -> None:
        """Start it anew if its descriptors are still few."""
        if self._is_narrow:
            self.restart_web()

    def warm_up(self) -> None:
        """Have every web process do everything once, so that what it loads for that is not taken for growth."""
        events = Events(self.stack.webhook_secret, self.stack.account).unknown(WARM_UP)
        others = reads(self.stack.api_key, ["/livez", "/v1/appointments"])
        strangers = [b"no HTTP\r\n\r\n", *reads("cak_wrong", ["/v1/appointments"])]
        for event in events:
            for request in (event, *others, *strangers):
                say(self.port, request, settled=0.002)


@contextmanager
def set_up(plan: Plan, directory: Path, telling: Telling) -> Iterator[Scene]:
    """Have everything running inside, and ended afterwards."""
    _take_descriptors()
    with ExitStack() as unwind:
        cobalt = unwind.enter_context(ScriptedCobalt())
        telling.say("starting PostgreSQL, the sandbox, two web processes and a worker")
        stack = Stack(
            directory,
            env={
                "WEB_CONCURRENCY": "2",
                "COBALT_BASE_URL": cobalt.url,
                "COBALT_TIMEOUT": str(plan.either(1.5, 5)),
                "OVERDUE_AFTER": "1",
                "ASK_AFTER": "1",
                "ASK_INTERVAL": "0.5",
                "ASK_RATE": "50",
                # What a sick Cobalt left is given up soon, so that the next illness is judged by itself.
                "UNCONFIRMED_AFTER": str(plan.either(2, 5)),
                "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
                **(SHORT_DEADLINES if plan.short else {}),
                **plan.env,
            },
            key_name="attack",
        )
        unwind.enter_context(stack)
        unwind.callback(stack.kill)
        scene = Scene(plan, stack, cobalt, _settings(stack.env), telling)
        scene.warm_up()
        yield scene


def _settings(env: Mapping[str, str]) -> Settings:
    """What a process with this environment reads."""
    ours = dict(os.environ)
    os.environ.clear()
    os.environ.update(env)
    try:
        return Settings.from_env()
    finally:
        os.environ.clear()
        os.environ.update(ours)


def _take_descriptors() -> None:
    """Have as many as this process may: thousands of connections need one each at both ends."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
