"""Settings: read once, checked at start, and refused in one line that names the setting and not its value."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.config import Settings
from service.errors import SettingsError
from tests.settings import REQUIRED, settings_from

if TYPE_CHECKING:
    from collections.abc import Sequence

PROJECT = Path(__file__).parents[3]
COMMAND = str(Path(sysconfig.get_path("scripts")) / "cobalt-appointments")
CANARY = "canary7741"


def refusal(**environment: str) -> str:
    with pytest.raises(SettingsError) as refused:
        settings_from(**environment)
    return str(refused.value)


def assert_names(message: str, name: str) -> None:
    assert message.startswith(f"{name}: ")
    assert "\n" not in message
    assert CANARY not in message


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", ["", " ", None])
def test_a_required_setting_that_is_missing_is_named(
    name: str, value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other, given in REQUIRED.items():
        monkeypatch.setenv(other, given)
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        Settings.from_env()
    assert_names(str(refused.value), name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", CANARY),
        ("DATABASE_URL", f"mysql://{CANARY}@localhost/x"),
        ("DATABASE_URL", f"postgresql://user:{CANARY}@localhost:port/x?nonsense"),
        ("COBALT_CLIENT_ID", f"{CANARY}\nx"),
        ("COBALT_CLIENT_ID", f"{CANARY} é"),
        ("COBALT_CLIENT_SECRET", f"{CANARY}\x7f"),
        ("COBALT_ACCESS_TOKEN", f"{CANARY}\r\nx: y"),
        ("COBALT_WEBHOOK_SECRETS", " , ,"),
        ("COBALT_BASE_URL", f"ftp://{CANARY}"),
        ("COBALT_BASE_URL", CANARY),
        ("COBALT_BASE_URL", f"https://[{CANARY}"),
        ("COBALT_BASE_URL", f"https://localhost:{CANARY}"),
        ("COBALT_BASE_URL", f"https://user:{CANARY}@localhost/v1"),
        ("COBALT_BASE_URL", f"https://localhost/v1?x={CANARY}"),
        ("COBALT_TIMEZONE", CANARY),
        ("COBALT_TIMEZONE", f"America/{CANARY}"),
        ("COBALT_TIMEZONE", "America"),
        ("COBALT_TIMEZONE", "../../etc/passwd"),
        ("COBALT_TIMEZONE", "Factory"),
        ("COBALT_TIMEZONE", "localtime"),
        ("COBALT_TIMEZONE", "posixrules"),
        ("COBALT_TIMEZONE", "right/America/New_York"),
        ("COBALT_TIME_FORMAT", CANARY),
        ("COBALT_TIMEOUT", CANARY),
        ("COBALT_TIMEOUT", "0"),
        ("COBALT_TIMEOUT", "nan"),
        ("COBALT_TIMEOUT", "inf"),
        ("COBALT_CONCURRENCY", "1.5"),
        ("ENCRYPTION_KEYS", CANARY),
        ("PORT", CANARY),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("LOG_LEVEL", CANARY),
        ("WEB_CONCURRENCY", ""),
        ("WEBHOOK_BUDGET", "5"),
    ],
)
def test_a_malformed_setting_is_named_and_not_repeated(name: str, value: str) -> None:
    assert_names(refusal(**{name: value}), name)


def test_every_number_and_choice_refuses_nonsense() -> None:
    texts = {
        "host",
        "internal_host",
        "cobalt_account",
        "cobalt_client_id",
        "cobalt_client_secret",
        "cobalt_access_token",
        "spool_dir",
    }
    texts |= {"cobalt_webhook_secrets"}
    for setting in fields(Settings):
        if setting.name not in texts:
            assert_names(refusal(**{setting.name.upper(): f"{CANARY} nonsense"}), setting.name.upper())


@pytest.mark.parametrize(("given", "missing"), [("ACCOUNT", "ACCESS_TOKEN"), ("ACCESS_TOKEN", "ACCOUNT")])
def test_an_account_and_its_token_go_together(given: str, missing: str) -> None:
    assert_names(refusal(**{f"COBALT_{given}": CANARY}), f"COBALT_{missing}")


def test_sending_datetimes_needs_a_time_zone() -> None:
    assert_names(refusal(COBALT_TIME_FORMAT="datetime"), "COBALT_TIMEZONE")
    assert settings_from(COBALT_TIME_FORMAT="datetime", COBALT_TIMEZONE="America/New_York").cobalt_timezone


@pytest.mark.parametrize("url", ["http://127.0.0.1:8001/v1", "http://[::1]:8001/v1", "http://localhost/v1"])
def test_plain_http_to_this_machine_is_good(url: str) -> None:
    assert settings_from(COBALT_BASE_URL=url).cobalt_base_url == url


@pytest.mark.parametrize("host", ["api.usecobalt.com", "10.0.0.1", "127.0.0.1.example.com", "localhost.example.com"])
def test_plain_http_to_anywhere_else_is_refused(host: str) -> None:
    assert_names(refusal(COBALT_BASE_URL=f"http://{host}/v1"), "COBALT_BASE_URL")
    assert settings_from(COBALT_BASE_URL=f"https://{host}/v1/").cobalt_base_url == f"https://{host}/v1"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:pw@db1:5432,db2:5433/appointments?target_session_attrs=read-write",
        "postgresql:///appointments?host=/var/run/postgresql",
        "postgres://%2Fvar%2Frun%2Fpostgresql/appointments",
        "postgresql://user@[::1]/appointments?sslmode=verify-full",
    ],
)
def test_whatever_libpq_understands_goes_to_it_untouched(url: str) -> None:
    assert settings_from(DATABASE_URL=url).database_url == url


def test_a_value_may_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{CANARY}\n")
    settings = settings_from(COBALT_CLIENT_SECRET_FILE=str(secret), COBALT_WEBHOOK_SECRETS_FILE=str(secret))
    assert (settings.cobalt_client_secret, settings.cobalt_webhook_secrets) == (CANARY, (CANARY,))


def test_a_value_and_a_file_for_one_setting_are_one_too_many(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("other")
    assert_names(
        refusal(COBALT_CLIENT_SECRET=CANARY, COBALT_CLIENT_SECRET_FILE=str(tmp_path / "secret")), "COBALT_CLIENT_SECRET"
    )
    assert settings_from(COBALT_ACCOUNT="", COBALT_ACCOUNT_FILE="").cobalt_account is None


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / CANARY, tmp_path, garbage):
        assert_names(refusal(COBALT_CLIENT_SECRET_FILE=str(path)), "COBALT_CLIENT_SECRET")


def test_the_spool_of_another_user_or_database_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def spool_dir(url: str = "postgresql://user:one@db/appointments") -> Path:
        return settings_from(DATABASE_URL=url).spool_dir

    ours = spool_dir()
    assert ours.parent == Path(tempfile.gettempdir())
    assert re.fullmatch(rf"cobalt-appointments-{os.geteuid()}-[0-9a-f]{{8}}", ours.name)
    assert spool_dir() == ours
    assert spool_dir("postgresql://user:one@db/other") != ours
    assert spool_dir("postgresql://user:one@db2/appointments") != ours
    # What waits must be found again when the password was changed, and a name that all can see must not tell it.
    assert spool_dir("postgresql://user:two@db/appointments?connect_timeout=3") == ours

    stranger = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    assert spool_dir() != ours


def test_secrets_are_split_and_stripped() -> None:
    assert settings_from(COBALT_WEBHOOK_SECRETS=" new ,old,").cobalt_webhook_secrets == ("new", "old")


def test_no_secret_is_in_the_representation() -> None:
    settings = settings_from(
        DATABASE_URL=f"postgresql://user:{CANARY}@localhost/x",
        COBALT_CLIENT_ID=CANARY,
        COBALT_CLIENT_SECRET=CANARY,
        COBALT_WEBHOOK_SECRETS=CANARY,
        COBALT_ACCOUNT="clinic_1",
        COBALT_ACCESS_TOKEN=CANARY,
    )
    assert CANARY not in repr(settings)
    assert settings.cobalt_timeout == timedelta(seconds=30)


def start(argv: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 (our own commands)
        argv, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    "argv",
    [[sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "wsgi:app"], [COMMAND, "worker"]],
    ids=["web", "worker"],
)
def test_a_process_with_a_bad_setting_ends_at_once_with_one_line(argv: list[str]) -> None:
    ended = start(argv, **REQUIRED, PORT=CANARY)
    assert ended.returncode != 0
    (line,) = ended.stderr.splitlines()
    assert line.removeprefix("cobalt-appointments: ").startswith("PORT: ")
    assert CANARY not in line
    assert ended.stdout == ""
