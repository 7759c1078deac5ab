"""A setting that was misspelt is named, and nothing else in the environment is."""

from __future__ import annotations

from dataclasses import fields

import pytest

from service.config import Settings
from service.config.misspelt import find_misspelt


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("WEB_CONCURENCY", "WEB_CONCURRENCY"),
        ("DATABSE_URL", "DATABASE_URL"),
        ("DATABASE_URL_FLIE", "DATABASE_URL_FILE"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("SPOOL_DIRECTORY", "SPOOL_DIR"),
        ("COBALT_CLIENTID", "COBALT_CLIENT_ID"),
        ("COBALT_URL", "COBALT_BASE_URL"),
        ("COBALT_WEBHOOK_SECRET", "COBALT_WEBHOOK_SECRETS"),
        ("web_concurrency", None),
        ("COBALT_XYZZY", None),
    ],
)
def test_a_near_miss_is_told_what_was_meant(name: str, meant: str | None) -> None:
    found = dict(find_misspelt([name]))
    assert found == ({name: meant} if meant or name.startswith("COBALT_") else {})


def test_settings_and_what_others_have_in_the_environment_are_no_slips() -> None:
    names = [setting.name.upper() for setting in fields(Settings)]
    assert list(find_misspelt([*names, *(f"{name}_FILE" for name in names)])) == []
    others = "HOME HOSTNAME PATH PWD SHELL LANG LC_ALL TERM USER TZ TMPDIR PGHOST PGPASSWORD PYTHONPATH VIRTUAL_ENV"
    others += " PROMETHEUS_MULTIPROC_DIR GUNICORN_CMD_ARGS DEV_WEB_PORT DEV_SANDBOX_PORT KUBERNETES_SERVICE_PORT REPORT"
    others += " SUDO_USER EDITOR DATABASE REDIS_URL SECRET_KEY WORKERS TIMEOUT NO_PROXY HTTPS_PROXY TEST_SERVER_URL"
    assert list(find_misspelt(others.split())) == []
