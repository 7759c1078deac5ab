"""What is in the tables is no longer in the spool's files; what a damaged one held reaches the tables all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from service.errors import SpoolUnavailableError
from service.postgres.circuit import Circuit
from service.postgres.sessions import connect
from service.spool import Spool, Spooled
from service.usecases.events.drain_spool import Drainer
from tests.records import NOON, created, dispositions, failed, rows, submit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

CANARY = "canary-774411"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool", max_bytes=2**26)
    yield spool
    spool.close()


def on_disk(tmp_path: Path) -> set[str]:
    files = [path for path in (tmp_path / "spool").iterdir() if CANARY.encode() in path.read_bytes()]
    return {path.name for path in files}


def test_an_event_that_is_in_the_tables_is_not_in_the_spools_files(
    engine: Engine, spool: Spool, tmp_path: Path
) -> None:
    ids = [str(number) for number in range(50)]
    submit(engine, *ids)
    spool.put([Spooled(failed(f"evt_{one}", one, failure_reason=CANARY * 100), NOON, f"req_{one}") for one in ids])
    assert on_disk(tmp_path)

    assert Drainer(engine, spool, Circuit()).run_once() == {"drained": 50}

    assert set(dispositions(engine).values()) == {"applied"}
    assert on_disk(tmp_path) == set()


def test_what_is_held_up_stays_and_what_is_not_is_forgotten(
    engine: Engine, spool: Spool, tmp_path: Path, database_url: str
) -> None:
    stuck, _ = submit(engine, "1", "2")
    spool.put([Spooled(created("evt_1", "1"), NOON), Spooled(created("evt_2", "2", provider_name=CANARY), NOON)])
    drainer = Drainer(engine, spool, Circuit())
    with connect(database_url) as other:
        other.execute("SELECT 1 FROM appointments WHERE id = %s FOR UPDATE", [stuck])
        assert drainer.run_once() == {"drained": 1}
        assert on_disk(tmp_path) == set()
        assert spool.depth().count == 1
        other.rollback()
    assert drainer.run_once() == {"drained": 1}


def test_events_of_a_damaged_file_are_applied_once_each(engine: Engine, spool: Spool, tmp_path: Path) -> None:
    ids = [str(number) for number in range(30)]
    submit(engine, *ids)
    events = [Spooled(created(f"evt_{one}", one, provider_name=CANARY), NOON, f"req_{one}") for one in ids]
    spool.put(events)
    drainer = Drainer(engine, spool, Circuit())
    drainer.run_once()
    spool.put(events)  # as if the drainer had been killed before it removed them
    spool.close()
    with (tmp_path / "spool" / "spool.sqlite3").open("r+b") as file:
        file.write(b"garbage" * 20)

    with pytest.raises(SpoolUnavailableError):
        drainer.run_once()
    assert [drainer.run_once()["drained"] for _ in range(3)] == [0, 30, 0]

    assert dispositions(engine) == {f"evt_{one}": "applied" for one in ids}
    assert {row["status"] for row in rows(engine, "appointments")} == {"created"}
    assert len(rows(engine, "deliveries")) == 60
    assert spool.depth().damaged == 1
    assert on_disk(tmp_path) == set()
