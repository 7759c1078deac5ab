"""The whole service as processes of this machine: database, web, worker and a stand-in for Cobalt."""

import os
import secrets
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from service.lab.postgres import EmbeddedPostgres
from service.lab.processes import PortTakenError, Process, free_port, port_is_free
from service.postgres import schema
from service.postgres.engine import make_engine
from service.usecases.access.api_keys import SCOPES, create_key

PROJECT = Path(__file__).parents[2]
DATABASE = "appointments"
# PostgreSQL's details of an error quote rows, which hold patients' data.
POSTGRES = {"log_error_verbosity": "terse"}
KEY_TIMEOUT = timedelta(seconds=20)  # on a slow machine


class Stack:
    """A context manager: all of it runs and is ready inside, and none of it afterwards.

    The children get an environment made here and nothing of ours; secrets are new for each run. However this
    process ends, they end too.

    Args:
        directory: for data, logs and the spool; what an earlier run left there is used again.
        database_url: a libpq URL of an existing database, in place of an embedded PostgreSQL.
        webs: how many web instances.
        workers: how many workers.
        web_ports: the ports of the web instances; free ones are drawn for those not named.
        sandbox_port: the stand-in's port; a free one is drawn when it is None.
        sandbox_options: further arguments of `python -m service.lab.sandbox`.
        webhook_url: where the stand-in sends events; the first web instance when it is None.
        env: further environment of web instances and workers, over what is made here.
        web_envs: further environment of each web instance, over that.
        postgres_settings: lines for postgresql.conf.
        key_name: the name of the API key that is made.
    """

    def __init__(
        self,
        directory: Path,
        *,
        database_url: str | None = None,
        webs: int = 1,
        workers: int = 1,
        web_ports: Sequence[int] = (),
        sandbox_port: int | None = None,
        sandbox_options: Sequence[str] = (),
        webhook_url: str | None = None,
        env: Mapping[str, str] | None = None,
        web_envs: Sequence[Mapping[str, str]] = (),
        postgres_settings: Mapping[str, str] | None = None,
        key_name: str = "demo",
    ) -> None:
        self.directory = directory.resolve()
        self.logs = self.directory / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.postgres: EmbeddedPostgres | None = None
        if database_url is None:
            self.postgres = EmbeddedPostgres(
                self.directory / "postgres", settings=POSTGRES | dict(postgres_settings or {})
            )
        self.account = "clinic_1"
        self.client_id = f"ci_{secrets.token_urlsafe(16)}"
        self.client_secret = f"cs_{secrets.token_urlsafe(24)}"
        self.access_token = secrets.token_urlsafe(24)
        self.webhook_secret = secrets.token_urlsafe(32)
        self.key_name = key_name
        self.api_key = ""
        self._database_url = database_url
        self.sandbox_port = sandbox_port or free_port()
        self.web_ports = [*web_ports, *(free_port() for _ in range(webs - len(web_ports)))]
        self.webhook_url = webhook_url or f"{self.url}/webhooks/cobalt"
        self.sandbox: Process
        self.webs: list[Process] = []
        self.workers: list[Process] = []
        self._sandbox_options = sandbox_options
        self._worker_count = workers
        self._extra_env = dict(env or {})
        self._web_envs = [*web_envs, *[{}] * (len(self.web_ports) - len(web_envs))]
        self._exit = ExitStack()

    @property
    def url(self) -> str:
        """The address of the first web instance."""
        return self.web_urls[0]

    @property
    def web_urls(self) -> list[str]:
        """The address of each web instance."""
        return [f"http://127.0.0.1:{port}" for port in self.web_ports]

    @property
    def sandbox_url(self) -> str:
        """The address that stands for Cobalt's base URL."""
        return f"http://127.0.0.1:{self.sandbox_port}/v1"

    @property
    def database_url(self) -> str:
        """The libpq URL of the database; an embedded one has it once it was started."""
        if self.postgres is None:
            assert self._database_url is not None  # noqa: S101  one of the two is there
            return self._database_url
        return self.postgres.url(DATABASE)

    @property
    def processes(self) -> list[Process]:
        """Every child, the database among them."""
        database = [] if self.postgres is None else [self.postgres.process]
        return [self.sandbox, *self.webs, *self.workers, *database]

    @property
    def env(self) -> dict[str, str]:
        """The environment of workers and commands; a web instance has a PORT besides."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "DATABASE_URL": self.database_url,
            "COBALT_BASE_URL": self.sandbox_url,
            "COBALT_CLIENT_ID": self.client_id,
            "COBALT_CLIENT_SECRET": self.client_secret,
            "COBALT_WEBHOOK_SECRETS": self.webhook_secret,
            "COBALT_ACCOUNT": self.account,
            "COBALT_ACCESS_TOKEN": self.access_token,
            "SPOOL_DIR": str(self.directory / "spool"),
            "LOG_LEVEL": "info",
            **self._extra_env,
        }

    def __enter__(self) -> Self:
        with ExitStack() as unwind:
            if self.postgres is not None:
                unwind.callback(self.postgres.stop)
                self.postgres.start()
                if not self.postgres.has_database(DATABASE):
                    self.postgres.create_database(DATABASE)
            (self.directory / "spool").mkdir(exist_ok=True)
            # Here, and not by the commands: each of those is a process, which takes a second to start.
            schema.upgrade(self.database_url)
            self.api_key = self._make_key()
            self._prepare_processes()
            # What is pushed last ends first: the sandbox, then the web, the workers, and the database.
            for process in (*self.workers, *self.webs, self.sandbox):
                unwind.callback(process.terminate)
            for process in (self.sandbox, *self.webs, *self.workers):
                process.start()
            self.wait_ready()
            self._exit = unwind.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def wait_ready(self) -> None:
        """Wait until the sandbox and every web instance answer. Raises ProcessError when one does not."""
        self.sandbox.wait_ready("sandbox listening on")
        for process, url in zip(self.webs, self.web_urls, strict=True):
            process.wait_ready(f"{url}/readyz/api")
        self.check()

    def kill(self) -> None:
        """End all but the database at once: for the end, when nobody is left for whom they should end in order."""
        for process in (self.sandbox, *self.webs, *self.workers):
            process.kill()

    def check(self) -> None:
        """Raise ProcessError when a child is not running."""
        for process in self.processes:
            process.check()

    def _make_key(self) -> str:
        engine = make_engine(self.database_url, pool=1, statement_timeout=KEY_TIMEOUT, lock_timeout=KEY_TIMEOUT)
        try:
            return create_key(engine, name=self.key_name, scopes=SCOPES, expires_in=None)
        finally:
            engine.dispose()

    def _prepare_processes(self) -> None:
        known = ["--client-id", self.client_id, "--webhook-url", self.webhook_url]
        sandbox = [sys.executable, "-m", "service.lab.sandbox", "--port", str(self.sandbox_port), *known]
        secrets_given = {  # where no list of processes shows them
            "SANDBOX_CLIENT_SECRET": self.client_secret,
            "SANDBOX_ACCOUNT": f"{self.account}={self.access_token}",
            "SANDBOX_WEBHOOK_SECRET": self.webhook_secret,
        }
        self.sandbox = self._process(
            "sandbox", [*sandbox, *self._sandbox_options], {"PATH": self.env["PATH"]} | secrets_given
        )
        gunicorn = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "wsgi:app"]
        self.webs = [
            self._process(f"web-{number}", gunicorn, {**self.env, "PORT": str(port), **env})
            for number, (port, env) in enumerate(zip(self.web_ports, self._web_envs, strict=True), start=1)
        ]
        self.workers = [
            self._process(f"worker-{number}", [_command(), "worker"], self.env)
            for number in range(1, self._worker_count + 1)
        ]

    def _process(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> Process:
        # Unbuffered, so that a log is whole when its process is killed.
        env = {**env, "PYTHONUNBUFFERED": "1"}
        return Process(name, argv, env, self.logs / f"{name}.log", cwd=PROJECT)


def chosen_port(variable: str, default: int | None = None) -> int:
    """The port that this environment variable names, else the default, else a free one.

    Raises:
        PortTakenError: it is no port number, or somebody else listens there.
    """
    given = os.environ.get(variable)
    if given is None and default is None:
        return free_port()
    port = int(given) if given and given.isdecimal() else default if given is None else 0
    if port is None or not 0 < port < 65536:  # noqa: PLR2004  what TCP has
        raise PortTakenError(f"{variable}: {given!r} is not a port number")
    if not port_is_free(port):
        raise PortTakenError(f"port {port} is taken; name another one in the environment: {variable}=...")
    return port


def _command() -> str:
    return str(Path(sysconfig.get_path("scripts")) / "cobalt-appointments")
