"""A key without ``phi`` learns nothing of a patient at any address, and what one with it sees is recorded.

A database is filled with MRNs and notes wherever a value can come in, and then every route of the application is asked
in every way there is. A new route is asked too, without being named here.
"""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from service import cobalt
from service.cobalt.signing import sign
from service.domain.arrivals import Arrival, Source
from service.domain.events import event_from
from service.postgres.engine import transaction
from service.postgres.queries.decisions import Person
from service.usecases.events.apply_events import apply
from service.usecases.submissions.adopt import abandon_by_hand
from tests.fake_cobalt import FakeCobalt, look, work
from tests.integration.web.conftest import BODY, WEBHOOK_SECRET, webhook_body
from tests.records import rows

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

    from werkzeug.routing import Rule

    from service.config import Settings
    from tests.integration.web.conftest import Answer, Api, Book

MRN = "00QX7741-ZETA"
OLD_MRN = "OLD-661 20 457"
NUMBER = 933456120  # Cobalt says this one, as a number
STRANGERS = "STRNG-550017"  # of a patient that nobody here asked about
NOTE = "Weeping willow"
VISIT = "purple knee syndrome"
NAME = "Jane Canary"
CANARIES = {
    "the MRN": "QX7741ZETA",
    "a former MRN": "66120457",
    "a number": str(NUMBER),
    "a stranger's MRN": "STRNG550017",
    "a note": NOTE,
    "a visit's reason": VISIT,
    "a name": NAME,
}
MASKED = ("read", "write", "ops")
SEEING = ("read", "phi", "write", "ops")


def plain(said: str) -> str:
    """Letters and digits alone, folded: however a canary is written, it is found."""
    folded = unicodedata.normalize("NFKD", said).casefold()
    return "".join(
        str(unicodedata.decimal(one, one)) for one in folded if one.isalnum() and not unicodedata.combining(one)
    )


NEEDLES = {what: plain(canary) for what, canary in CANARIES.items()}


def canaries(answer: Answer) -> set[str]:
    """What of a patient is in an answer, its headers included."""
    said = answer.get_data(as_text=True)
    if answer.is_json:
        said += json.dumps(answer.json, ensure_ascii=False)  # escapes hide nothing
    found = plain(said + " | ".join(f"{name}: {value}" for name, value in answer.headers.items()))
    return {what for what, needle in NEEDLES.items() if needle in found}


# What comes in.


def asked(mrn: str = MRN, note: str = f"{NOTE}: {MRN}") -> dict[str, Any]:
    """A request that repeats its patient's MRN and note wherever it can, in every way of writing them."""
    wide = "".join(chr(ord(one) + 0xFEE0) if one.isalnum() else "\u2011" for one in mrn)
    return {
        "mrn": mrn,
        "location": f"Room of {mrn.lower()}",
        "provider": f"Dr. {' '.join(mrn)}",
        "secondary_provider": f"Dr. {wide}",
        "type": f"visit-{mrn}-2",
        "note": note,
        "reason": VISIT,
        "metadata": {
            "copy": mrn,
            f"key of {mrn}": [[{"deep": [f"x{mrn}x", {"patientMrn": NUMBER}]}], NUMBER, float(NUMBER)],
            "note": NOTE,
            "patient": {"name": NAME},
            "text": f"{NUMBER} is {note.upper()}: {mrn}",
        },
    }


def said(mrn: str = MRN, note: str = f"{NOTE}: {MRN}") -> dict[str, Any]:
    """What Cobalt says of a failure, in later shapes: other names of the MRN, numbers, keys, and what it was sent."""
    return {
        "reason": f"Patient MRN '{mrn}' not found ({NUMBER:,}; {mrn.replace('-', ' ').lower()}). '{note}' is too long.",
        "mrn": NUMBER,
        "patient": {"first_name": NAME, "dob": NAME},
        "patient_first_name": NAME,
        "echo": f"mrn={mrn}&old={OLD_MRN}",
        mrn: [mrn, {"nested": [NUMBER, str(NUMBER), {"visit_note": NOTE}]}],
        "reasons": [{"code": "patient_not_found", "description": f"no {mrn}, no {NUMBER}, {VISIT}"}],
        "conflict_details": {
            "text": f"{mrn} and {STRANGERS.lower()}",
            "patient_mrn": STRANGERS,
            "former-mrns": [OLD_MRN],
        },
        "note": NOTE,
    }


CONFIRMED = {"provider_name": f"Dr. {MRN}", "provider_id": f"p_{MRN}", "date_time": f"soon, {MRN}", "mrn": NUMBER}


def deliver(api: Api, raw: bytes) -> None:
    headers = {"cobalt-verification": sign(raw, WEBHOOK_SECRET)}
    assert api.client.post("/webhooks/cobalt", data=raw, headers=headers).status_code in {200, 202}


def tell(api: Api, kind: str, cobalt_id: str, **said: Any) -> None:
    deliver(
        api, webhook_body(kind, cobalt_id, event_id=f"evt_{kind}_{cobalt_id}_{len(rows(api.engine, 'events'))}", **said)
    )


def fill(api: Api, book: Book, settings: Settings) -> None:
    """Bring canaries in by every way there is."""
    book.queued(**asked())
    book.answered(cobalt.Rejected(422, said()["reason"].replace(f"{NUMBER:,}", ""), datetime.now(UTC)), **asked())
    for cobalt_id in ("c_created", "c_failed"):
        book.accepted(cobalt_id, **asked())
    tell(api, "created", "c_created", **CONFIRMED)
    tell(api, "failed", "c_created", **said())
    tell(api, "failed", "c_failed", **said())

    corrected = book.accepted("c_corrected", **asked(OLD_MRN, NOTE))
    tell(api, "failed", "c_corrected", **said(OLD_MRN, NOTE))
    changes = {"mrn": MRN, "note": f"once more {NOTE}, {OLD_MRN}", "location": OLD_MRN}
    assert api.call("PATCH", f"/v1/appointments/{corrected}", json=changes).status_code == 202
    work(api.engine, settings, FakeCobalt())
    tell(api, "failed", "c_corrected", **said(MRN, changes["note"]))

    abandoned = book.answered(cobalt.Unclear("ReadTimeout"), **asked(STRANGERS, NOTE))
    for cobalt_id in ("c_1", "c_2"):
        tell(api, "created", cobalt_id, mrn=STRANGERS, provider_name=None)
    with transaction(api.engine) as session:
        session.execute(text("UPDATE appointments SET due_at = now()"))
    look(api.engine, settings, FakeCobalt())
    abandon_by_hand(api.engine, abandoned, person=Person("alice", f"{NAME} ({STRANGERS}): {NOTE}"))

    nobodys = {"mrn": STRANGERS, "text": STRANGERS.lower(), "note": NOTE, "reasons": [{"patient_mrn": MRN, "x": MRN}]}
    tell(api, "failed", "c_nobodys", **nobodys)
    tell(api, "updated", "c_created", anything=f"{NAME} {MRN} {NOTE}")
    for kind, told in (("patient.updated", {"name": NAME, "mrn": MRN}), ("note.created", {"text": NOTE})):
        now = datetime.now(UTC)
        payload = {"id": f"evt_{kind}", "event_type": kind, "job_id": 7, "data": told, "listed": {"patient_mrn": MRN}}
        apply(api.engine, [Arrival(event_from(payload, received_at=now), Source.POLL, now)])
    deliver(api, f'{{"id":"evt_cut","data":{{"mrn":"{MRN}","note":"{NOTE}"'.encode())
    deliver(api, json.dumps({"id": "x" * 300, "mrn": NUMBER, NOTE: VISIT, "name": NAME}).encode())


# What is asked.

HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"Accept": "text/csv"},
    {"Accept": "text/html"},
    {"Prefer": "wait=0"},
    {"If-None-Match": '"0"'},
)
QUERIES = (
    "",
    "limit=2",
    "limit=200",
    "sort=updated_at",
    "fields=request",
    "fields=failure,confirmation,metadata,discrepancies,submission",
    "status=failed",
    "submission=unconfirmed",
    "failure_category=patient_not_found",
    "failure_code=patient_not_found",
    "discrepancy=mrn",
    "account=clinic_1",
    "cobalt_appointment_id=c_failed",
    "disposition=unmatched",
    "disposition=ignored",
    "source=poll",
    "type=patient.updated",
    "interval=hour",
    "after=",
    "nonsense=1",
)
MOST_PAGES = 30


def records(api: Api) -> dict[str, list[str]]:
    """Values for the parts of an address that name a record; a new kind of record has to be named here."""
    return {
        "appointment_id": [row["id"] for row in rows(api.engine, "appointments")] + ["appt_unknown"],
        "account": ["clinic_1"],
        "event_id": [row["id"] for row in rows(api.engine, "events")],
        "quarantined_id": [row["id"] for row in rows(api.engine, "quarantine")],
    }


def scope(api: Api, rule: Rule) -> str | None:
    view = api.app.view_functions[rule.endpoint]
    handler = getattr(getattr(view, "view_class", None), "get", view)
    found: str | None = getattr(handler, "scope", None)
    return found


def addresses(api: Api) -> Iterator[tuple[str, str]]:
    """Every address that can be read: (rule, path)."""
    known = records(api)
    for rule in api.app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()):
            continue
        unknown = set(rule.arguments) - set(known)
        if unknown:
            assert scope(api, rule) is None, f"{rule.rule}: say in `records` what {unknown} may be"
            continue
        names = sorted(rule.arguments)
        for values in itertools.product(*(known[name] for name in names)):
            path = rule.rule
            for name, value in zip(names, values, strict=True):
                path = re.sub(rf"<(?:\w+:)?{name}>", value, path)
            yield rule.rule, path


def answers(api: Api, scopes: tuple[str, ...]) -> Iterator[tuple[str, str, Answer]]:
    """Ask every address in every way, and every page of it: (rule, what was asked, answer)."""
    for rule, path in addresses(api):
        queries = QUERIES if not re.search("<", rule) else ("", "nonsense=1")
        for headers, query in [*((one, "") for one in HEADERS), *(({}, one) for one in queries[1:])]:
            following = f"{path}?{query}" if query else path
            for _ in range(MOST_PAGES):
                answer = api.get(following, scopes=scopes, headers=dict(headers))
                yield rule, f"{following} {headers}", answer
                link = re.match(r'<([^>]+)>; rel="next"', answer.headers.get("Link", ""))
                if link is None or link[1] == following:
                    break
                following = link[1]


@pytest.fixture
def filled(api: Api, book: Book, settings: Settings) -> Api:
    fill(api, book, settings)
    return api


def test_without_phi_no_answer_of_any_address_shows_anything_of_a_patient(filled: Api, logged: io.StringIO) -> None:
    leaks = []
    good: dict[str, int] = {}
    for rule, question, answer in answers(filled, MASKED):
        leaks += [(question, answer.status_code, what) for what in canaries(answer)]
        good[rule] = good.get(rule, 0) + (answer.status_code == 200)
    assert leaks == []
    assert {rule for rule, times in good.items() if not times} <= {"/"}
    appointments = len(rows(filled.engine, "appointments"))
    assert good["/v1/appointments/<appointment_id>"] >= 5 * appointments >= 30
    headers = {"Idempotency-Key": "once"}
    one, other = (row["id"] for row in filled.read("/v1/appointments?status=failed")["data"][:2])
    for answer in (
        *(filled.post(BODY | asked(), scopes=MASKED, headers=headers) for _ in range(2)),
        filled.call("PATCH", f"/v1/appointments/{one}", scopes=MASKED, json={"mrn": OLD_MRN, "note": MRN, "type": MRN}),
        filled.post(None, f"/v1/appointments/{other}/resubmit", scopes=MASKED),
        filled.get(f"/v1/appointments/{one}/timeline", scopes=MASKED),
        *(
            filled.post(None, f"/v1/quarantine/{record['id']}/replay", scopes=MASKED)
            for record in rows(filled.engine, "quarantine")
        ),
    ):
        assert answer.status_code in {200, 202}, answer.text
        assert canaries(answer) == set()
    written = plain(logged.getvalue())
    assert "v1appointmentsappointmentid" in written
    assert [what for what, needle in NEEDLES.items() if needle in written] == []


def test_whatever_shows_something_of_a_patient_was_recorded_with_all_that_it_shows(filled: Api) -> None:
    showing: dict[str, int] = {}
    unrecorded = []
    seen: set[str] = set()
    reads = len(rows(filled.engine, "phi_reads"))
    for rule, question, answer in answers(filled, SEEING):
        shown = canaries(answer)
        seen |= shown
        recorded = rows(filled.engine, "phi_reads")[reads:]
        reads += len(recorded)
        if shown:
            showing[rule] = showing.get(rule, 0) + 1
            named = set(re.findall(r"(?:appt|qrn)_[0-9A-Z]{26}", answer.get_data(as_text=True)))
            ids = {one for read in recorded for one in read["record_ids"]}
            if not ids or not named <= ids:
                unrecorded.append(question)
            assert {(read["operation"], read["request_id"]) for read in recorded} == {
                (f"GET {rule}", answer.headers["X-Request-Id"])
            }
    assert unrecorded == []
    assert seen == set(CANARIES)  # else the test above would find nothing because nothing is there
    assert showing.keys() >= {
        "/v1/appointments",
        "/v1/appointments/<appointment_id>",
        "/v1/appointments/<appointment_id>/timeline",
        "/v1/events",
        "/v1/quarantine/<quarantined_id>",
    }
