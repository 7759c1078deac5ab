"""A code that nobody here knows is kept, found and counted from the day on which Cobalt first gives it."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

from service.postgres.queries.stats import OTHER, bounded_codes
from service.usecases.upkeep.keep_counts import fold_counts, recount
from tests.integration.web.conftest import webhook_body
from tests.integration.web.test_patients_crawl import deliver
from tests.records import rows, until

if TYPE_CHECKING:
    from tests.integration.web.conftest import Api, Book

NEW = "ROOM_ON_FIRE"
MRN = "QX-774100"


def fail(api: Api, book: Book, cobalt_id: str, *codes: Any, mrn: str = "42") -> str:
    one = book.accepted(cobalt_id, mrn=mrn)
    reasons = [{"code": code, "description": "The room is on fire."} for code in codes]
    told: dict[str, Any] = {"reason": "The room is on fire.", "mrn": mrn, "reasons": reasons}
    deliver(api, webhook_body("failed", cobalt_id, event_id=f"evt_{cobalt_id}", **told))
    return str(one)


def found(api: Api, code: str, **options: Any) -> set[str]:
    return {one["id"] for one in api.get(f"/v1/appointments?failure_code={code}", **options).json["data"]}


def counted(api: Api, account: str | None = None) -> dict[str, int]:
    query = f"?account={account}" if account else ""
    codes: dict[str, int] = api.get(f"/v1/stats{query}").json["failure_code"]
    return codes


def test_a_new_code_is_found_and_counted(api: Api, book: Book) -> None:
    one = fail(api, book, "c1", NEW)
    both = fail(api, book, "c2", NEW, "PATIENT_NOT_FOUND", NEW)
    fail(api, book, "c3")
    odd = fail(api, book, "c4", 7, None, {"code": NEW}, "", "x" * 101)
    assert {row["failure_category"] for row in rows(api.engine, "appointments")} == {"other", "patient_not_found"}

    assert found(api, NEW) == {one, both}
    assert found(api, f"{NEW}&status=failed&failure_category=other") == {one}
    assert found(api, NEW.lower()) == set()
    assert odd not in found(api, "x" * 101)
    assert counted(api) == {NEW: 2, "PATIENT_NOT_FOUND": 1}
    assert (counted(api, "clinic_1"), counted(api, "clinic_9")) == (counted(api), {})
    sample = f'appointments_failed_by_code{{code="{NEW}"}} 2.0'
    until(lambda: sample in api.client.get("/metrics").get_data(as_text=True))  # it is asked for every few seconds
    lines = api.get("/v1/appointments", headers={"Accept": "text/csv"}).text.removeprefix("\ufeff").splitlines()
    shown = {one["id"]: one["failure_codes"] for one in csv.DictReader(lines)}
    assert (shown[one], shown[both]) == (NEW, f"{NEW};PATIENT_NOT_FOUND;{NEW}")


def test_folding_and_counting_anew_change_no_count(api: Api, book: Book) -> None:
    for number in range(3):
        fail(api, book, f"c{number}", NEW)
    before = counted(api)
    while fold_counts(api.engine)["folded"]:
        pass
    assert counted(api) == before == {NEW: 3}
    assert len(rows(api.engine, "failure_code_counts")) == 1
    recount(api.engine)
    assert counted(api) == before


def test_what_is_corrected_is_counted_no_more(api: Api, book: Book) -> None:
    one = fail(api, book, "c1", NEW)
    assert api.call("PATCH", f"/v1/appointments/{one}", json={"mrn": "43"}).status_code == 202
    assert counted(api) == {}
    assert found(api, NEW) == set()


def test_what_is_hardly_a_code_is_no_label_and_confirms_no_guess(api: Api, book: Book) -> None:
    one = fail(api, book, "c1", MRN, "two words", mrn=MRN)
    assert counted(api) == {OTHER: 1}
    assert MRN not in api.client.get("/metrics").get_data(as_text=True)
    assert found(api, MRN) == {one}
    assert found(api, MRN, scopes=("read",)) == set()


def test_codes_beyond_the_most_are_counted_together() -> None:
    assert bounded_codes([("a", 5), ("b", 3), ("c", 2), ("other", 1)], 3) == {"a": 5, "b": 3, "other": 3}
