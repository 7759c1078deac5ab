"""The command line, run in this process as ``cobalt-appointments`` is."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click
import pytest
from sqlalchemy import text

from service import cli
from service.cli.strictness import Command
from service.postgres.engine import driver, transaction
from service.postgres.queries import accounts as account_rows
from service.postgres.queries import api_keys
from service.postgres.sessions import connect
from service.usecases.access.accounts import get_credentials
from service.usecases.access.api_keys import find_caller
from tests.integration.web.conftest import Ran

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from service.config import Settings
    from tests.integration.web.conftest import Api, Book

HEADER = "mrn,location,date,time,provider,type,note"
GOOD = "000123,Main Clinic,2030-01-15,10:00,Dr. Smith,new_patient,"


def test_a_command_that_is_refused_says_so_in_one_line(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COBALT_CLIENT_ID")
    ran = run("webhook", "list")
    assert (ran.code, ran.out) == (1, "")
    assert re.fullmatch(r"cobalt-appointments: COBALT_CLIENT_ID: is missing[^\n]*\n", ran.err)


@pytest.mark.parametrize(
    "command",
    [
        ("retention", "--keep", "400d", "--keep", "1d", "--dry-run"),
        ("audit", "--key", "a", "--limit", "1", "--key", "b"),
        ("keys", "create", "--name", "a", "--scope", "read", "--name", "b"),
        ("webhook", "list", "--account", "a", "--account=b"),
    ],
    ids=" ".join,
)
def test_an_option_that_is_given_twice_is_refused(run: Callable[..., Ran], command: tuple[str, ...]) -> None:
    ran = run(*command)
    assert (ran.code, ran.out) == (2, "")
    assert "is given 2 times; give it once" in ran.err


NEEDS_THE_DATABASE_ONLY = (
    ("keys", "create", "--name", "x", "--scope", "read"),
    ("keys", "list"),
    ("audit",),
    ("quarantine", "list"),
    ("quarantine", "replay", "--all"),
    ("retention", "--keep", "400d"),
    ("accounts", "list"),
    ("accounts", "remove", "kept"),
    ("db", "upgrade"),
    ("db", "current"),
    ("db", "history"),
    ("db", "recount"),
)


@pytest.mark.parametrize("command", NEEDS_THE_DATABASE_ONLY, ids=" ".join)
def test_a_command_reads_no_setting_that_it_does_not_need(
    run: Callable[..., Ran], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    if "remove" in command:
        assert run("accounts", "add", "kept", stdin=b"x").code == 0
    for name in environment.keys() - {"DATABASE_URL"}:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PORT", "nonsense")
    ran = run(*command)
    assert (ran.code, ran.err) == (0, "")


def test_a_command_that_calls_cobalt_needs_no_webhook_secret_yet(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COBALT_WEBHOOK_SECRETS")
    assert "Cobalt did not answer" in run("webhook", "register", "https://appointments.invalid/webhooks/cobalt").err


def test_a_misspelt_setting_is_named_without_its_value(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABSE_URL", "postgresql://canary")
    ran = run("keys", "list")
    assert ran.code == 0
    assert ran.err == "DATABSE_URL in the environment is not a setting; did you mean DATABASE_URL?\n"


LISTS = (
    ("keys", "list"),
    ("accounts", "list"),
    ("audit",),
    ("quarantine", "list"),
    ("retention", "--keep", "400d", "--dry-run"),
    ("db", "current"),
    ("db", "history"),
)


@pytest.mark.parametrize("command", LISTS, ids=" ".join)
def test_what_is_listed_goes_into_a_pipe_without_boxes_and_to_programs_as_json(
    run: Callable[..., Ran], api: Api, book: Book, command: tuple[str, ...]
) -> None:
    book.queued()  # by a key, unmasked
    assert api.call("POST", "/webhooks/cobalt", data=b"").status_code == 401
    plain, as_json = run(*command), run(*command, "--json")
    assert plain.code == as_json.code == 0
    assert plain.out.isascii()
    rows = [json.loads(line) for line in as_json.out.splitlines()]
    assert len(rows) == len(plain.out.splitlines())
    assert rows or command[0] == "quarantine"


# keys


def test_keys_create_prints_the_key_alone_and_it_works(run: Callable[..., Ran], api: Api, engine: Engine) -> None:
    ran = run("keys", "create", "--name", "dashboard", "--scope", "read", "--scope", "read", "--expires-in", "90d")
    assert ran.code == 0
    assert re.fullmatch(r"cak_[\w-]{43}\n", ran.out)
    key = ran.out.strip()
    assert api.client.get("/v1/appointments", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    with transaction(engine) as session:
        (kept,) = api_keys.list_keys(session)
    assert (kept.name, kept.scopes) == ("dashboard", ["read"])
    assert kept.expires_at is not None
    assert abs(kept.expires_at - datetime.now(UTC) - timedelta(days=90)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--name", "x"),
        ("--scope", "read"),
        ("--name", "x", "--scope", "all"),
        ("--name", "x", "--scope", "read", "--expires-in", "soon"),
        ("--name", "x", "--scope", "read", "--expires-in", "0d"),
        ("--name", "x", "--scope", "read", "--expires-in", "-1d"),
        ("--name", "x", "--scope", "read", "--expires-in", ""),
    ],
)
def test_keys_create_refuses_what_makes_no_sense(
    run: Callable[..., Ran], engine: Engine, arguments: tuple[str, ...]
) -> None:
    assert run("keys", "create", *arguments).code == 2
    with transaction(engine) as session:
        assert api_keys.list_keys(session) == []


def test_keys_list_shows_whole_ids_and_names_as_they_are_and_no_key(run: Callable[..., Ran], engine: Engine) -> None:
    keys = [run("keys", "create", "--name", name, "--scope", "read", "--scope", "phi").out.strip()
            for name in ("[red]dashboard[/red]", "a name of several words that is longer than most")]  # fmt: skip
    listed = run("keys", "list").out
    with transaction(engine) as session:
        for key in api_keys.list_keys(session):
            assert key.id in listed
    assert "[red]dashboard[/red]" in listed
    assert "valid" in listed
    assert not any(key in listed for key in keys)


def test_keys_revoke_ends_a_key_and_names_one_that_there_is_not(run: Callable[..., Ran], engine: Engine) -> None:
    key = run("keys", "create", "--name", "x", "--scope", "read").out.strip()
    caller = find_caller(engine, key)
    assert caller is not None
    assert run("keys", "revoke", caller.key_id).code == 0
    assert find_caller(engine, key) is None
    again = run("keys", "revoke", caller.key_id)
    assert again.code == 1
    assert caller.key_id in again.err


def test_keys_encryption_makes_a_key_for_the_setting(run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    for command in (("keys", "encryption"), ("keys", "encryption", "new")):
        monkeypatch.setenv("ENCRYPTION_KEYS", run(*command).out.strip())
        assert run("accounts", "list").code == 0


# accounts


def test_accounts_are_added_listed_and_removed_and_the_token_is_nowhere(
    run: Callable[..., Ran], engine: Engine
) -> None:
    added = run("accounts", "add", "clinic_2", "--reference", "user_2", "--time-format", "datetime",
                "--timezone", "America/Chicago", stdin=b"at-canary\n")  # fmt: skip
    assert (added.code, added.out) == (0, "")
    listed = run("accounts", "list").out
    for shown in ("clinic_1", "the environment", "clinic_2", "user_2", "America/Chicago", "the table"):
        assert shown in listed
    with transaction(engine) as session:
        kept = session.execute(text("SELECT a::text FROM accounts a")).scalar_one()
    assert "at-canary" not in listed + kept
    assert b"at-canary".hex() not in kept
    assert run("accounts", "remove", "clinic_2").code == 0
    assert run("accounts", "remove", "clinic_2").code == 1


@pytest.mark.parametrize(
    ("arguments", "token", "code", "said"),
    [
        (("clinic_1",), "x", 1, "already"),
        (("kept",), "x", 1, "already"),
        (("other", "--reference", "user_kept"), "x", 1, "already"),
        (("other", "--reference", "clinic_1"), "x", 1, "already"),
        (("other", "--time-format", "datetime"), "x", 2, "--timezone"),
        (("other", "--timezone", "Mars/Olympus"), "x", 2, "--timezone"),
        (("other",), "canary\nx", 2, "access token"),
        (("other",), "canary \u00e9", 2, "access token"),
        (("other",), "", 2, "access token"),
        (("other", "--access-token", "canary"), "x", 2, "--access-token-file"),
        (("other", "--access-token=canary"), "x", 2, "--access-token-file"),
        (("other", "--access-token-file", "/canary"), "x", 2, "--access-token-file"),
    ],
)
def test_accounts_add_refuses_what_could_not_be_used(
    run: Callable[..., Ran], engine: Engine, arguments: tuple[str, ...], token: str, code: int, said: str
) -> None:
    assert run("accounts", "add", "kept", "--reference", "user_kept", stdin=b"t").code == 0
    ran = run("accounts", "add", *arguments, stdin=token.encode())
    assert ran.code == code
    assert said in ran.err
    assert "canary" not in ran.err.replace("'/canary'", "")
    with transaction(engine) as session:
        assert list(account_rows.list_timezones(session)) == ["kept"]


def test_accounts_add_reads_the_token_from_a_file_or_from_standard_input(
    run: Callable[..., Ran], tmp_path: Path, settings: Settings, engine: Engine
) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    assert run("accounts", "add", "a", "--access-token-file", str(tmp_path / "token"), stdin=b"x").code == 0
    assert run("accounts", "add", "b", "--access-token-file", "-", stdin=b"from-standard-input").code == 0
    with transaction(engine) as session:
        found = {name: get_credentials(session, settings, name).access_token for name in "ab"}
    assert found == {"a": "from-a-file", "b": "from-standard-input"}


def test_accounts_add_asks_a_person_for_the_token_without_showing_it(
    run: Callable[..., Ran], settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def prompt(words: str, *, hide_input: bool) -> str:
        asked.append((words, hide_input))
        return "from-a-person"

    monkeypatch.setattr(click, "prompt", prompt)
    assert run("accounts", "add", "c", terminal=True).code == 0
    assert asked == [("Access token", True)]
    with transaction(engine) as session:
        assert get_credentials(session, settings, "c").access_token == "from-a-person"


def test_accounts_add_needs_a_key_to_encrypt_with(run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENCRYPTION_KEYS")
    ran = run("accounts", "add", "clinic_2", stdin=b"t")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "ENCRYPTION_KEYS" in ran.err


# db


def test_db_upgrade_needs_no_other_setting_and_may_be_repeated(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COBALT_CLIENT_ID")
    assert run("db", "upgrade").code == 0
    monkeypatch.delenv("DATABASE_URL")
    assert "DATABASE_URL" in run("db", "upgrade").err


@pytest.mark.parametrize("command", ["upgrade", "check"])
@pytest.mark.parametrize(
    "url", ["", "7741", "mysql://7741@localhost/x", "postgresql://u:7741@localhost/x?nonsense=7741"]
)
def test_db_refuses_a_malformed_url_in_one_line_without_it(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, command: str, url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    ran = run("db", command)
    assert (ran.code, ran.out) == (1, "")
    assert re.fullmatch(r"cobalt-appointments: DATABASE_URL: [^\n]*\n", ran.err)
    assert "7741" not in ran.err


def test_db_finds_the_url_in_a_file(
    run: Callable[..., Ran], empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "url").write_text(f"{empty_database_url}\n")
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))
    assert run("db", "upgrade").code == 0
    with connect(empty_database_url) as connection:
        assert connection.execute("SELECT count(*) FROM appointments").fetchone() == (0,)


def test_db_says_what_it_did_where_it_is_and_what_is_left(
    run: Callable[..., Ran], empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    newest = json.loads(run("db", "history", "--json").out.splitlines()[-1])["revision"]
    assert json.loads(run("db", "current", "--json").out) == {"revision": None, "left": int(newest)}
    first = run("db", "upgrade").out.splitlines()
    assert first[0] == "0001  Create the tables."
    assert first[-1] == f"the schema was at nothing, and is at {newest}, the newest"
    assert run("db", "upgrade").out == f"the schema is as before at {newest}, the newest\n"
    back = run("db", "downgrade", "0008", "--yes")
    assert (back.code, back.out) == (0, f"the schema was at {newest}, and is at 0008\n")
    done = {row["revision"]: row["done"] for row in map(json.loads, run("db", "history", "--json").out.splitlines())}
    assert (done["0008"], done["0009"]) == ("yes", "no")
    assert run("db", "upgrade").out.splitlines()[0].startswith("0009  ")


@pytest.mark.parametrize("revision", ["0099", "base", "head", "0", "-1"])
def test_db_downgrade_goes_back_to_a_migration_that_was_only(run: Callable[..., Ran], revision: str) -> None:
    ran = run("db", "downgrade", "--yes", "--", revision)
    assert ran.code == 1
    assert "there is no revision" in ran.err


def test_db_downgrade_asks_before_it_loses_anything(run: Callable[..., Ran]) -> None:
    before = run("db", "current").out
    ran = run("db", "downgrade", "0008", stdin=b"n\n")
    assert ran.code == 1
    assert "lose what they added?" in ran.err
    assert run("db", "current").out == before


def test_db_says_when_the_database_is_newer_than_the_code(run: Callable[..., Ran], environment: dict[str, str]) -> None:
    with connect(environment["DATABASE_URL"], autocommit=True) as connection:
        (now,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
        try:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
            for command in ("upgrade", "current", "history"):
                ran = run("db", command)
                assert (ran.code, ran.out) == (1, "")
                assert "9999, which this version of the service does not know" in ran.err
        finally:
            connection.execute("UPDATE alembic_version SET version_num = %s", [now])


def test_db_check_refuses_a_database_that_holds_appointments(run: Callable[..., Ran], api: Api) -> None:
    body = dict(zip(HEADER.split(",")[:6], GOOD.split(",")[:6], strict=True))
    assert api.post(body).status_code == 202
    ran = run("db", "check")
    assert ran.code == 1
    assert "appointments" in ran.err
    assert len(api.read("/v1/appointments")["data"]) == 1


def test_db_check_refuses_a_database_that_holds_anything_of_ours(run: Callable[..., Ran], engine: Engine) -> None:
    key = run("keys", "create", "--name", "x", "--scope", "read").out.strip()
    ran = run("db", "check")
    assert ran.code == 1
    assert "api_keys" in ran.err
    assert find_caller(engine, key) is not None


# What PostgreSQL refuses


def test_a_command_before_the_schema_says_what_to_run_first(
    run: Callable[..., Ran], empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    ran = run("keys", "create", "--name", "x", "--scope", "read")
    assert (ran.code, ran.out) == (1, "")
    assert re.fullmatch(r"cobalt-appointments: [^\n]*`cobalt-appointments db upgrade` first[^\n]*\n", ran.err)


@pytest.mark.parametrize("through", ["sqlalchemy", "psycopg"])
def test_what_postgresql_refuses_is_one_line_without_the_row(
    run: Callable[..., Ran], engine: Engine, monkeypatch: pytest.MonkeyPatch, through: str
) -> None:
    breaking = "INSERT INTO api_keys (id, name, digest, scopes, created_at) VALUES ('MRN-7741', NULL, '', '{}', now())"
    twice = (
        "CREATE TEMP TABLE t (mrn text CONSTRAINT only_once UNIQUE); INSERT INTO t VALUES ('MRN-7741'), ('MRN-7741')"
    )

    def fail(statement: str) -> None:
        with transaction(engine) as session:
            if through == "sqlalchemy":
                session.execute(text(statement))
            else:
                driver(session).execute(statement)

    for statement, named in ((breaking, "NotNullViolation"), (twice, "UniqueViolation (only_once)")):
        monkeypatch.setattr(cli, "cli", lambda statement=statement, **_: fail(statement))
        ran = run("anything")
        assert (ran.code, ran.out) == (1, "")
        assert re.fullmatch(r"cobalt-appointments: [^\n]*\n", ran.err)
        assert named in ran.err
        assert "7741" not in ran.err


def test_db_check_compares_the_migrations_with_the_models(
    run: Callable[..., Ran], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    ran = run("db", "check")
    assert (ran.code, ran.out) == (0, "the migrations and the models agree\n")


def test_db_upgrade_makes_a_restored_copy_ready_to_be_followed(
    run: Callable[..., Ran], environment: dict[str, str], api: Api, book: Book
) -> None:
    book.queued()
    with connect(environment["DATABASE_URL"]) as connection:
        connection.execute("UPDATE appointments SET changed_in = changed_in + 1000000000")
    assert api.get("/v1/changes").status_code == 503
    assert run("db", "upgrade").code == 0
    assert len(api.read("/v1/changes")["data"]) == 1


def test_db_recount_counts_what_was_written_past_the_triggers(
    run: Callable[..., Ran], environment: dict[str, str], api: Api, book: Book
) -> None:
    book.queued()
    with connect(environment["DATABASE_URL"]) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE appointments SET submission = 'unconfirmed'")
    assert api.read("/v1/stats")["submission"]["unconfirmed"] == 0
    assert run("db", "recount") == Ran(0, "everything is counted anew\n", "")
    assert api.read("/v1/stats")["submission"]["unconfirmed"] == 1


# help


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(group, click.Group):
        for name, command in group.commands.items():
            yield from commands(command, (*path, name))


LAB = {"sandbox", "demo", "dev", "prove", "bench", "attack"}


def test_no_command_that_serves_takes_an_option_twice() -> None:
    for path in commands(cli.cli):
        found: click.Command = cli.cli
        for name in path:
            assert isinstance(found, click.Group)
            found = found.commands[name]
        takes_values = any(isinstance(one, click.Option) and not one.is_flag for one in found.params)
        assert isinstance(found, Command) or not takes_values or path[0] in LAB, path


@pytest.mark.parametrize("path", [path for path in commands(cli.cli) if path != ("sandbox",)], ids=" ".join)
def test_every_command_helps(run: Callable[..., Ran], path: tuple[str, ...]) -> None:
    ran = run(*path, "--help")
    assert ran.code == 0
    assert ran.out.startswith("Usage: cobalt-appointments")
    command: click.Command = cli.cli
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    for parameter in command.params:
        if isinstance(parameter, click.Option) and path and not parameter.hidden:
            assert parameter.opts[0] in ran.out
