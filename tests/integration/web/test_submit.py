"""``cobalt-appointments submit``: nobody is booked by mistake, and nobody twice."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from service import cobalt
from service.errors import DatabaseUnavailableError
from service.lab.processes import Process
from service.lab.stack import PROJECT
from service.postgres.engine import transaction
from service.postgres.queries import imports
from service.postgres.sessions import connect
from service.requests.file import COLUMNS
from service.usecases.access.accounts import add_account
from service.usecases.submissions import import_requests
from tests.integration.web.conftest import work_once

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import psycopg
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from service.config import Settings
    from tests.integration.web.conftest import Api, Book, Ran

    Run = Callable[..., Ran]

HEADER = "mrn,location,date,time,provider,type,note"
GOOD = "000123,Main Clinic,2030-01-15,10:00,Dr. Smith,new_patient,"


def row(number: int, note: str = "") -> str:
    return GOOD.replace("000123", f"{number:06}") + note


@pytest.fixture
def csv_file(tmp_path: Path) -> Callable[..., str]:
    def write(*lines: str, encoding: str = "utf-8") -> str:
        path = tmp_path / "appointments.csv"
        path.write_bytes("\n".join(lines).encode(encoding))
        return str(path)

    return write


def listed(api: Api) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = api.read("/v1/appointments?sort=created_at&limit=200")["data"]
    return rows


# Good files.


def test_every_row_of_a_good_file_is_taken_and_the_ids_printed_in_their_order(
    run: Run, api: Api, csv_file: Callable[..., str]
) -> None:
    spreadsheet = csv_file(HEADER, GOOD, "", GOOD.replace("000123", '"0,1"') + '"two\nlines"', encoding="utf-8-sig")
    ran = run("submit", spreadsheet)
    assert (ran.code, ran.err) == (0, "appointments.csv: 2 taken\n")
    requests = {one["id"]: one["request"] for one in listed(api)}
    first, second = (requests.pop(one) for one in ran.out.split())
    assert requests == {}
    assert (first["mrn"], first["note"]) == ("000123", None)
    assert (second["mrn"], second["note"]) == ("0,1", "two\nlines")


def test_rows_may_come_from_standard_input(run: Run, api: Api) -> None:
    ran = run("submit", "-", stdin=f"{HEADER}\n{GOOD}\n".encode())
    assert (ran.code, ran.err) == (0, "standard input: 1 taken\n")
    assert [one["id"] for one in listed(api)] == ran.out.split()


def test_what_was_taken_from_a_file_is_submitted_as_it_was_given(
    run: Run, engine: Engine, settings: Settings, csv_file: Callable[..., str]
) -> None:
    run("submit", csv_file(HEADER, "'=1," + GOOD.partition(",")[2]))
    (sent,) = work_once(engine, settings).sent
    assert sent == {"mrn": "=1"} | dict(zip(HEADER.split(",")[1:6], GOOD.split(",")[1:6], strict=True))


@pytest.mark.parametrize("accept", ["text/csv", "text/csv; charset=utf-8"])
@pytest.mark.parametrize("mrn", ["'=1", "000123", "1234567890123450", "1.23457E+11", "TRUE", "1-Mar", "A-1"])
def test_our_own_export_can_be_taken_again(run: Run, api: Api, mrn: str, accept: str) -> None:
    asked = dict(zip(HEADER.split(",")[:6], GOOD.split(",")[:6], strict=True))
    asked |= {"mrn": mrn, "location": "+1", "provider": "'t Hart", "note": '"so", they\nsaid'}
    assert api.post(asked).status_code == 202
    export = api.get("/v1/appointments?fields=account,request", headers={"Accept": accept}).data
    ran = run("submit", "-", stdin=export)
    assert ran.code == 0, ran.err
    first, second = listed(api)
    assert first["request"] == second["request"]
    assert f"line 2: warning: names the patient and start of {first['id']}\n" in ran.err


# Bad files: nothing is taken.


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((HEADER, GOOD, GOOD.replace("10:00", "noon")), "line 3: time: "),
        ((HEADER, GOOD + '"a\nb"', "", GOOD.replace("Dr. Smith", "")), "line 5: provider: "),
        ((HEADER, GOOD + ",more"), "line 2: "),
        ((HEADER.replace("mrn", "nrm"), GOOD), "line 1: nrm: is not the name of a field; did you mean mrn?"),
        (("mrn," + HEADER, "000124," + GOOD), "line 1: mrn: is the name of several columns"),
        ((HEADER + ",account", GOOD + ",clinic_1", GOOD + ",elsewhere"), "line 3: account: "),
        ((HEADER, GOOD.replace("000123", "1.23457E+11")), "line 2: mrn: is a number in a spreadsheet's short form"),
        ((HEADER, GOOD.replace("Dr. Smith", "\u200b")), "line 2: provider: Must be one line without U+200B"),
        ((HEADER, GOOD.replace("Main Clinic", "\u3164")), "line 2: location: Must not be blank."),
        ((HEADER, GOOD.replace("000123", '"0001\n23"')), "line 2: mrn: Must be one line without U+000A"),
        ((HEADER, GOOD.replace("Dr. Smith", "#REF!")), "line 2: provider: is an error of a spreadsheet"),
        ((HEADER, GOOD, GOOD.replace("000123", "124")), "line 3: mrn: has 3 digits, others have zeros in front"),
        ((HEADER, GOOD.replace("2030-01-15", "01/02/2030")), "line 2: date: is a day as a spreadsheet writes it"),
        ((HEADER, GOOD, GOOD + "another note"), "line 3: asks for the same as line 2"),
        ((HEADER, '"' + GOOD), "line 2: the quotes are broken"),
        ((HEADER,), "no rows"),
        (("",), "no rows"),
    ],
)
def test_nothing_is_taken_of_a_file_with_a_bad_row(
    run: Run, api: Api, csv_file: Callable[..., str], lines: tuple[str, ...], said: str
) -> None:
    for more in ([], ["--dry-run"], ["--json"], ["--again"]):
        ran = run("submit", *more, csv_file(*lines))
        assert ran.code == 1
        assert said in ran.err or "--json" in more
        assert ran.out == "" or "--json" in more
        assert not re.search("123|124|E[+]11", ran.out + ran.err)
    assert listed(api) == []


def test_everything_that_is_wrong_is_named_at_once(run: Run, csv_file: Callable[..., str]) -> None:
    ran = run(
        "submit",
        csv_file(
            HEADER + ",MRN,account", GOOD.replace("10:00", "noon").replace("Dr. Smith", "") + ",1,elsewhere", GOOD
        ),
    )
    named = re.findall(r"line (\d+): (\w+): ", ran.err)
    assert named == [("1", "MRN"), ("2", "account"), ("2", "provider"), ("2", "time")]
    assert ran.err.endswith("appointments.csv: 2 lines are wrong; nothing was taken\n")


def test_the_wrong_rows_can_be_read_by_a_program(run: Run, csv_file: Callable[..., str]) -> None:
    ran = run("submit", "--json", csv_file(HEADER, GOOD.replace("10:00", "noon"), GOOD + ",x"))
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert [(one["line"], one["field"]) for one in found] == [(2, "time"), (3, None)]
    assert all(one["problem"] for one in found)


def test_mrns_of_two_accounts_are_not_compared(
    run: Run, engine: Engine, settings: Settings, csv_file: Callable[..., str]
) -> None:
    with transaction(engine) as session:
        add_account(session, settings, name="clinic_2", reference="user_2", access_token="at_2")
    rows = [f"{row(1)},clinic_1", GOOD.replace("000123", "77") + ",clinic_2"]
    assert run("submit", csv_file(HEADER + ",account", *rows)).code == 0
    assert "line 2: account: is required" in run("submit", csv_file(HEADER, GOOD)).err


def test_somebody_who_has_looked_may_say_that_digits_are_right(
    run: Run, api: Api, csv_file: Callable[..., str]
) -> None:
    file = csv_file(HEADER, GOOD, GOOD.replace("000123", "124"))
    assert run("submit", "--digits-are-right", file).code == 0
    assert {one["request"]["mrn"] for one in listed(api)} == {"000123", "124"}


def test_what_is_probably_a_mistake_is_pointed_out(run: Run, api: Api, csv_file: Callable[..., str]) -> None:
    file = csv_file(HEADER, GOOD, GOOD.replace("Dr. Smith", "Dr. Jones"), row(77))
    looked = run("submit", "--dry-run", file)
    assert "line 3: warning: names the same patient and start as line 2\n" in looked.err
    assert run("submit", file).code == 0
    assert len(listed(api)) == 3
    with_a_blank = GOOD.replace("000123", "000123\u00a0")
    looked = run("submit", "--dry-run", csv_file(HEADER, with_a_blank.replace("Smith", "Low"), with_a_blank + "note"))
    assert "line 2: warning: names the patient and start of appt_" in looked.err
    assert "line 3: warning: names the same patient and start as line 2\n" in looked.err


def test_a_start_that_the_clocks_of_the_account_skip_is_refused(
    run: Run, api: Api, csv_file: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = csv_file(HEADER, row(1), row(2).replace("2030-01-15,10:00", "2030-03-10,02:30"))
    monkeypatch.setenv("COBALT_TIMEZONE", "America/New_York")
    ran = run("submit", file)
    assert ran.code == 1
    assert "line 3: time: On 2030-03-10 there is no 02:30 in America/New_York: clocks go forward over it." in ran.err
    assert listed(api) == []


# The same again.


def test_the_same_file_again_shows_what_there_is(
    run: Run, api: Api, engine: Engine, settings: Settings, csv_file: Callable[..., str]
) -> None:
    first = run("submit", csv_file(HEADER, row(1), row(2)))
    work_once(engine, settings, {"000002": cobalt.Rejected(400, "No such location", datetime.now(UTC))})
    again = run("submit", csv_file(HEADER, row(1), row(2)))
    assert (again.code, again.out) == (0, first.out)
    assert re.search(r"line 2: requested on [-0-9]{10} [0-9:]{5}Z: processing\n", again.err)
    assert re.search(r"line 3: requested on [-0-9]{10} [0-9:]{5}Z: failed \(rejected_by_cobalt\)\n", again.err)
    assert "0 taken, 2 had been asked for before (1 failed: " in again.err
    assert len(listed(api)) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text.replace("\n", "\r\n"),
        lambda text: text.replace(",", ";"),
        lambda text: text.replace("10:00", "10:00 am"),
        lambda text: unicodedata.normalize("NFD", text).replace("Main Clinic", " Main\u00a0Clinic"),
        lambda text: "\n".join([text.splitlines()[0], *reversed(text.splitlines()[1:])]),
        lambda text: "\n".join(line + "brings X-rays" if line.startswith("0") else line for line in text.splitlines()),
    ],
    ids=["saved by Excel", "with semicolons", "times in words", "accents and blanks", "sorted", "with notes"],
)
def test_a_file_that_was_saved_again_is_the_same(run: Run, api: Api, change: Callable[[str], str]) -> None:
    file = "\n".join([HEADER, row(1), row(2)]).replace("Smith", "M\u00fcller")
    first = run("submit", "-", stdin=file.encode())
    again = run("submit", "-", stdin=change(file).encode())
    assert sorted(again.out.split()) == sorted(first.out.split())
    assert len(listed(api)) == 2


def test_of_a_file_that_has_grown_only_the_new_rows_are_taken(run: Run, api: Api, csv_file: Callable[..., str]) -> None:
    first = run("submit", csv_file(HEADER, row(1)))
    more = run("submit", csv_file(HEADER, row(2), row(1)))
    assert more.out.split()[1:] == first.out.split()
    assert "1 taken, 1 had been asked for before" in more.err
    assert len(listed(api)) == 2


def test_again_asks_once_more(run: Run, api: Api, csv_file: Callable[..., str]) -> None:
    file = csv_file(HEADER, row(1), row(2))
    seen: set[str] = set()
    for count in (1, 2, 3):
        ran = run("submit", "--again", file)
        assert (ran.code, len(set(ran.out.split()) - seen)) == (0, 2)
        seen |= set(ran.out.split())
        assert len(listed(api)) == 2 * count
    assert run("submit", file).out == ran.out


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_requests, "BATCH", 2)


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("error", [KeyboardInterrupt, DatabaseUnavailableError("PostgreSQL did not answer")])
@pytest.mark.parametrize("again", [[], ["--again"]])
def test_a_run_that_was_broken_off_is_continued(
    run: Run,
    api: Api,
    csv_file: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    again: list[str],
) -> None:
    file = csv_file(HEADER, *map(row, range(1, 6)))
    before = len(run("submit", file).out.split()) if again else 0
    with monkeypatch.context() as patch:
        rounds = iter([imports.lock, None])

        def break_off(session: Session) -> None:
            if (lock := next(rounds)) is None:
                raise error
            lock(session)

        patch.setattr(imports, "lock", break_off)
        broken = run("submit", *again, file)
    assert broken.code == 3
    assert "broke off after 2 of 5 rows" in broken.err
    assert len(listed(api)) == before + 2
    ran = run("submit", *again, file)
    assert ran.code == 0
    assert ran.out.startswith(broken.out)
    assert "3 taken, 2 had been asked for before" in ran.err
    assert len(listed(api)) == before + 5


def test_a_run_that_was_killed_is_continued(
    run: Run, environment: dict[str, str], csv_file: Callable[..., str], tmp_path: Path
) -> None:
    count = 8 * import_requests.BATCH
    file = csv_file(HEADER, *map(row, range(count)))
    argv = [sys.executable, "-c", "from service.cli import main; main()", "submit", file]
    process = Process("submit", argv, environment, tmp_path / "log", cwd=PROJECT)
    process.start()
    with connect(environment["DATABASE_URL"], autocommit=True) as connection:
        while imported(connection) < import_requests.BATCH:
            process.check()
        process.kill()
        before = imported(connection)
        assert before < count
        ran = run("submit", file)
        assert f"{count - before} taken, {before} had been asked for before" in ran.err
        ids = [found for (found,) in connection.execute("SELECT id FROM appointments ORDER BY mrn")]
        assert ran.out.split() == ids
        assert len(ids) == count


def imported(connection: psycopg.Connection[Any]) -> int:
    (found,) = connection.execute("SELECT count(*) FROM imported_rows").fetchone() or (0,)
    return int(found)


def test_a_dry_run_takes_nothing_and_says_what_would_be(run: Run, api: Api, csv_file: Callable[..., str]) -> None:
    run("submit", csv_file(HEADER, row(1)))
    ran = run("submit", "--dry-run", csv_file(HEADER, row(1), row(2)))
    assert (ran.code, len(ran.out.split())) == (0, 1)
    assert "1 would be taken, 1 had been asked for before" in ran.err
    assert len(listed(api)) == 1


def test_what_became_of_rows_can_be_read_by_a_program(run: Run, api: Api, csv_file: Callable[..., str]) -> None:
    (known,) = run("submit", csv_file(HEADER, row(1))).out.split()
    lines = run("submit", "--json", csv_file(HEADER, row(2), row(1))).out.splitlines()
    new, old = map(json.loads, lines)
    assert new | {"id": None} == {
        "line": 2, "id": None, "new": True, "status": "processing", "failure_category": None, "asked_at": None,
    }  # fmt: skip
    assert (old["line"], old["id"], old["new"], old["status"]) == (3, known, False, "processing")
    assert {one["id"] for one in listed(api)} == {known, new["id"]}


def test_who_imported_is_kept_and_goes_with_the_appointment(
    run: Run, engine: Engine, csv_file: Callable[..., str]
) -> None:
    run("submit", csv_file(HEADER, row(1), row(2)))
    with transaction(engine) as session:
        session.execute(
            text("""
          UPDATE appointments SET status = 'failed', submission = 'rejected', failure = '{}',
            created_at = now() - interval '2 years', settled_at = now() - interval '2 years' WHERE mrn = '000001'""")
        )
        assert session.scalar(text("SELECT count(DISTINCT imported_by) FROM imported_rows")) == 1
    assert run("retention", "--keep", "400d").code == 0
    with transaction(engine) as session:
        assert session.scalar(text("SELECT count(*) FROM imported_rows")) == 1


def test_each_field_of_a_request_can_be_a_column(run: Run, api: Api) -> None:
    asked = {name: "x" for name in COLUMNS if name not in {"date", "time"}} | {
        "account": "clinic_1",
        "datetime": "2030-01-15T10:00:00-05:00",
        "new_patient": "true",
        "prevent_double_booking": "false",
        "duration": "30",
    }
    ran = run("submit", "-", stdin=f"{','.join(asked)}\n{','.join(asked.values())}".encode())
    assert ran.code == 0, ran.err
    (one,) = listed(api)
    assert one["request"] == {name: value for name, value in asked.items() if name != "account"} | {
        "date": None, "time": None,
    }  # fmt: skip


def test_the_file_of_a_list_is_one_that_can_be_submitted(
    run: Callable[..., Ran], api: Api, book: Book, tmp_path: Path
) -> None:
    mrns = ["000123", "00124E5", "SEPT25", "123456789"]
    for mrn in mrns:
        book.queued(mrn=mrn, provider="0012", note="Gr\u00fc\u00dfe")
    answer = api.get("/v1/appointments?fields=request", headers={"Accept": "text/csv; charset=utf-8"})
    (tmp_path / "file.csv").write_bytes(answer.data)

    ran = run("submit", str(tmp_path / "file.csv"))

    assert (ran.code, len(ran.out.split())) == (0, 4), ran.err
    requests = [api.read(f"/v1/appointments/{one}")["request"] for one in ran.out.split()]
    assert sorted(one["mrn"] for one in requests) == sorted(mrns)
    assert {(one["provider"], one["note"]) for one in requests} == {("0012", "Gr\u00fc\u00dfe")}
