"""What a web process opens is closed in reverse order, at its end or as soon as opening breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, event

from service.spool import Spool
from service.usecases.events.intake import Intake
from service.web import opening
from service.web.app import create_app
from service.web.services import services_of
from tests.settings import settings_from

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from service.config import Settings

REPLICA = "postgresql://app@replica/appointments"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_from(SPOOL_DIR=str(tmp_path), READ_DATABASE_URL=REPLICA)


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Everything that is closed, in the order in which it is."""
    found: list[object] = []

    def note(one: object) -> None:
        found.append(one)

    event.listen(Engine, "engine_disposed", note)
    for kind in (Spool, Intake):
        monkeypatch.setattr(kind, "close", note)
    yield found
    event.remove(Engine, "engine_disposed", note)


def test_what_was_opened_last_is_closed_first(settings: Settings, closed: list[object]) -> None:
    services = opening.open_services(settings)
    assert closed == []
    services.close()
    assert services.replica
    kinds = [type(one) for one in closed]
    assert kinds == [Engine, Intake, Engine, Spool, Engine, Engine]
    assert closed[2:] == [services.pools["door"], services.spool, services.replica.engine, services.engine]
    services.close()
    assert len(closed) == 6


@pytest.mark.parametrize(
    ("name", "opened"),
    [
        ("Replica", [Engine, Engine]),
        ("Spool", [Engine, Engine]),
        ("Circuit", [Intake, Engine, Spool, Engine, Engine]),
        ("Services", [Engine, Intake, Engine, Spool, Engine, Engine]),
    ],
)
def test_what_is_open_when_opening_breaks_is_closed(
    name: str, opened: list[type], settings: Settings, closed: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(opening, name, broken)
    with pytest.raises(OSError, match="no room"):
        create_app(settings)
    assert [type(one) for one in closed] == opened


def test_an_application_closes_what_it_works_with(settings: Settings, closed: list[object]) -> None:
    services = services_of(create_app(settings))
    services.close()
    assert services.engine in closed
