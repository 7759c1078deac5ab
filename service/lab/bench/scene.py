"""Where a benchmark takes place: everything that is measured, up at once on one PostgreSQL, idle until its turn."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.lab.bench.dataset import load_history
from service.lab.bench.plan import Plan
from service.lab.bench.progress import Telling
from service.lab.postgres import EmbeddedPostgres
from service.lab.processes import Process, free_port
from service.lab.stack import PROJECT, Stack
from service.postgres import schema
from service.postgres.sessions import connect

# As an operator would set them for such a machine. fsync, synchronous_commit and full_page_writes stay on.
POSTGRES_SETTINGS = {
    "shared_buffers": "512MB",
    # No checkpoint in the middle of some measurements and not of others; a production server has one in minutes.
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
}
SANDBOX_OPTIONS = ("--delay", "3600")  # it answers at once, and its webhooks come when all is over


@dataclass(frozen=True, kw_only=True)
class Place:
    """One web instance and its database.

    Attributes:
        size: how many appointments the database had at first.
        url: of the web instance.
        processes: kind -> the process whose processor time counts as that kind's.
    """

    size: int
    url: str
    web: Process
    database_url: str
    api_key: str
    secret: str
    account: str
    processes: Mapping[str, Process]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The parts of a benchmark. The worker does not run yet."""

    stack: Stack
    postgres: EmbeddedPostgres
    empty: Process
    empty_url: str
    places: Sequence[Place]


@contextmanager
def set_up(plan: Plan, directory: Path, telling: Telling) -> Iterator[Scene]:
    """Have everything running inside, and ended afterwards."""
    with ExitStack() as unwind:
        postgres = EmbeddedPostgres(directory / "postgres", settings=POSTGRES_SETTINGS)
        unwind.callback(postgres.stop)
        telling.say("starting PostgreSQL, the sandbox, the web process and an empty one")
        postgres.start()
        database_urls = [_make_database(postgres, f"appointments_{size}") for size in plan.sizes]
        stack = Stack(
            directory,
            database_url=database_urls[0],
            webs=len(plan.sizes),
            sandbox_options=SANDBOX_OPTIONS,
            env={"RATE_LIMIT": "0", "IN_FLIGHT_LIMIT": "0", **plan.env},  # one key asks for all that there is
            web_envs=[
                {"DATABASE_URL": url, "SPOOL_DIR": str(_make_directory(directory / f"spool-{size}"))}
                for size, url in zip(plan.sizes, database_urls, strict=True)
            ],
            key_name="bench",
        )
        unwind.enter_context(stack)
        unwind.callback(stack.kill)
        stack.workers[0].kill()
        _copy_keys(database_urls)
        for size, url in zip(plan.sizes, database_urls, strict=True):
            with telling.bar(f"{size:,} appointments", size) as advance:
                load_history(url, stack.account, size, advance)
            telling.say(f"loaded {size:,} appointments and {2 * size:,} events")
        empty_port = free_port()
        empty = _empty(stack, empty_port)
        unwind.callback(empty.kill)
        empty.start()
        empty_url = f"http://127.0.0.1:{empty_port}"
        empty.wait_ready(f"{empty_url}/webhooks/cobalt")
        places = [
            Place(
                size=size,
                url=url,
                web=web,
                database_url=database_url,
                api_key=stack.api_key,
                secret=stack.webhook_secret,
                account=stack.account,
                processes={"web": web, "postgres": postgres.process},
            )
            for size, url, web, database_url in zip(plan.sizes, stack.web_urls, stack.webs, database_urls, strict=True)
        ]
        yield Scene(stack=stack, postgres=postgres, empty=empty, empty_url=empty_url, places=places)


def _make_database(postgres: EmbeddedPostgres, name: str) -> str:
    postgres.create_database(name)
    url = postgres.url(name)
    schema.upgrade(url)
    return url


def _make_directory(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path


def _copy_keys(database_urls: Sequence[str]) -> None:
    """Let the API key of the first database open the others."""
    for url in database_urls[1:]:
        with (
            connect(database_urls[0]) as first,
            connect(url) as other,
            first.cursor().copy("COPY api_keys TO STDOUT") as source,
            other.cursor().copy("COPY api_keys FROM STDIN") as target,
        ):
            for part in source:
                target.write(part)


def _empty(stack: Stack, port: int) -> Process:
    # As Flask is usually served: gunicorn's threads, with as many processes and the same C parser as ours.
    argv = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "2", "--threads", "8"]
    argv += ["--keep-alive", "75", "--no-control-socket", "service.lab.bench.empty:app"]
    return Process("empty", argv, {**stack.env, "PYTHONUNBUFFERED": "1"}, stack.logs / "empty.log", cwd=PROJECT)
