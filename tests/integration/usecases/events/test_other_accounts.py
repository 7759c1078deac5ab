"""An event of another account settles no appointment, however it comes, until a person says that both are one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from service.cobalt import Unclear
from service.domain.arrivals import Arrival, Source, Unread
from service.domain.states import Disposition
from service.errors import ConflictError, NotFoundError
from service.postgres.engine import transaction
from service.postgres.queries import accounts as account_rows
from service.postgres.queries.decisions import Person
from service.spool import Spooled
from service.usecases.access.accounts import add_account, add_reference, remove_account
from service.usecases.events.apply_events import apply
from service.usecases.events.dismiss_event import dismiss_event
from service.usecases.events.replay import replay
from service.usecases.submissions.adopt import adopt_by_hand
from service.usecases.submissions.ask_cobalt import sweep_unmatched
from service.web.services import services_of
from tests.fake_cobalt import FakeCobalt, look
from tests.integration.usecases.submissions.test_asking import SETTINGS, entry, fetched, overdue
from tests.records import (
    ACCOUNT,
    accepted,
    answer,
    ask,
    begin_correction,
    claim,
    columns,
    created,
    deliver,
    dispositions,
    failed,
    row,
    rows,
    submit,
)
from tests.settings import settings_from
from tests.webhook_process import opened_web

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

APPLIED, UNMATCHED, DUPLICATE = Disposition.APPLIED, Disposition.UNMATCHED, Disposition.DUPLICATE
ALICE = Person("alice", "another clinic's")
KEYS = settings_from(
    COBALT_ACCOUNT=ACCOUNT,
    COBALT_ACCESS_TOKEN="token_1",
    ENCRYPTION_KEYS="5cSHWrVmJXYJH9YpNqXwwx9cgVmNZtVUgqkjWYHWjDk=",
)


def foreign(raw: bytes, reference: str = "clinic_9") -> bytes:
    """The same, said of another account."""
    said = b'"access_token_reference_id": "clinic_1"'
    assert said in raw
    return raw.replace(said, b'"access_token_reference_id": "%s"' % reference.encode())


def link(engine: Engine, name: str, reference: str) -> None:
    with transaction(engine) as session:
        add_account(session, KEYS, name=name, reference=reference, access_token="token")


def waiting_foreign(engine: Engine) -> set[str]:
    """The events that wait because of their account; they belong to no appointment."""
    found = [one for one in rows(engine, "events") if one["of_another_account"]]
    assert {columns(one, "disposition", "appointment_id") for one in found} <= {("unmatched", None)}
    return {one["id"] for one in found}


def processes(engine: Engine, appointment_id: str) -> bool:
    return columns(row(engine, appointment_id), "status", "failures", "ruling_event_id") == ("processing", 0, None)


@pytest.mark.parametrize("raw", [created("evt_1", "1"), failed("evt_1", "1")], ids=["created", "failed"])
def test_an_event_of_another_account_settles_nothing_and_waits(engine: Engine, raw: bytes) -> None:
    [one] = submit(engine, "1")

    assert deliver(engine, foreign(raw)) == [UNMATCHED]

    assert processes(engine, one)
    assert waiting_foreign(engine) == {"evt_1"}
    assert deliver(engine, created("evt_2", "1"), foreign(raw)) == [APPLIED, DUPLICATE]


def test_it_changes_nothing_for_its_neighbours_in_a_batch(engine: Engine) -> None:
    one, two = submit(engine, "1", "2")

    answers = deliver(
        engine,
        foreign(created("evt_1", "1")),
        failed("evt_2", "1"),
        foreign(failed("evt_3", "2")),
        created("evt_4", "2"),
    )

    assert answers == [UNMATCHED, APPLIED, UNMATCHED, APPLIED]
    assert [row(engine, each)["ruling_event_id"] for each in (one, two)] == ["evt_2", "evt_4"]
    assert waiting_foreign(engine) == {"evt_1", "evt_3"}


def test_it_settles_nothing_either_when_the_id_becomes_known_after_it_came(engine: Engine) -> None:
    one = ask(engine)
    calls = claim(engine)
    assert deliver(engine, foreign(created("evt_1", "1")), failed("evt_2", "1")) == [UNMATCHED] * 2
    assert waiting_foreign(engine) == set()

    assert answer(engine, calls[one], accepted("1")) == "accepted"

    assert columns(row(engine, one), "status", "failures") == ("failed", 1)
    assert waiting_foreign(engine) == {"evt_1"}


def test_it_settles_nothing_either_when_a_correction_is_taken(engine: Engine) -> None:
    [one] = submit(engine, "1")
    deliver(engine, failed("evt_1", "1"))
    begin_correction(engine, one)
    call = claim(engine)[one]
    far = 60 * 24 * 365
    deliver(engine, foreign(failed("evt_2", "1", far)), foreign(created("evt_3", "1", far)))

    answer(engine, call, accepted("1"))

    assert processes(engine, one)
    assert waiting_foreign(engine) == {"evt_2", "evt_3"}


@pytest.mark.parametrize("reference", ["clinic_9", "other's"], ids=["nobody's here", "another account's here"])
def test_it_is_no_evidence_for_a_lost_reply(engine: Engine, reference: str) -> None:
    link(engine, "other", "other's")
    one = ask(engine, provider="Dr. Smith")
    answer(engine, claim(engine)[one], Unclear("ReadTimeout"))
    deliver(engine, foreign(created("evt_1", "1", 60 * 24 * 365 * 70), reference))

    look(engine, SETTINGS, FakeCobalt())

    assert columns(row(engine, one), "submission", "cobalt_appointment_id", "candidates") == ("unconfirmed", None, [])


def test_it_settles_nothing_either_when_a_person_names_its_id(engine: Engine) -> None:
    one = ask(engine)
    answer(engine, claim(engine)[one], Unclear("ReadTimeout"))
    deliver(engine, foreign(created("evt_1", "1")))

    adopt_by_hand(engine, one, "1", person=ALICE, ask_after=SETTINGS.ask_after)

    assert processes(engine, one)
    assert waiting_foreign(engine) == {"evt_1"}


def test_it_settles_nothing_either_from_the_spool_or_the_quarantine(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    one, two = submit(engine, "1", "2")
    now = datetime.now(UTC)
    apply(engine, [Arrival(Unread(foreign(created("evt_2", "2")), "a bug of ours"), Source.WEBHOOK, now, "req_event")])
    with opened_web(database_url, tmp_path / "spool") as web:
        services_of(web.app).spool.put([Spooled(foreign(created("evt_1", "1")), now, "req_event")])
        web.drain()
    [quarantined] = rows(engine, "quarantine")
    assert replay(engine, quarantined["id"]) == (UNMATCHED, "evt_2")

    assert processes(engine, one)
    assert processes(engine, two)
    assert waiting_foreign(engine) == {"evt_1", "evt_2"}


def test_it_settles_nothing_either_when_it_is_fetched_but_the_accounts_own_list_does(engine: Engine) -> None:
    one = overdue(engine, "c1", job_id="job_1")
    cobalt = FakeCobalt(listed=[entry("c1")])
    cobalt.events["job_1"] = [fetched(foreign(failed("evt_1", "c1")))]

    look(engine, SETTINGS, cobalt)

    assert columns(row(engine, one), "status", "ruling_event_id") == ("created", "list_c1")
    assert waiting_foreign(engine) == {"evt_1"}


def test_one_that_names_no_account_settles_what_it_names(engine: Engine) -> None:
    [one] = submit(engine, "1")

    assert deliver(engine, created("evt_1", "1").replace(b'"clinic_1"', b"null")) == [APPLIED]

    assert row(engine, one)["status"] == "created"


def test_the_sweep_leaves_it_alone(engine: Engine) -> None:
    submit(engine, "1")
    deliver(engine, foreign(created("evt_1", "1")))

    assert sweep_unmatched(engine) == {"matched": 0}
    assert waiting_foreign(engine) == {"evt_1"}


def test_the_name_of_a_stored_account_is_not_its_reference(engine: Engine) -> None:
    link(engine, "clinic_2", "user_2")
    link(engine, "user_2", "user_3")
    one, two = submit(engine, "1", account="clinic_2") + submit(engine, "2", account="user_2")

    answers = deliver(
        engine,
        *(foreign(created("evt_1", "1"), "clinic_2"), foreign(created("evt_2", "2"), "user_2")),
        *(foreign(created("evt_3", "1"), "user_2"), foreign(created("evt_4", "2"), "user_3")),
    )

    assert answers == [UNMATCHED, UNMATCHED, APPLIED, APPLIED]
    assert [row(engine, each)["ruling_event_id"] for each in (one, two)] == ["evt_3", "evt_4"]


def test_a_clinic_that_is_linked_anew_keeps_what_it_was_called(engine: Engine) -> None:
    link(engine, "clinic_2", "user_2")
    one, two = submit(engine, "1", "2", account="clinic_2")
    with transaction(engine) as session:
        remove_account(session, "clinic_2")
    assert deliver(engine, foreign(created("evt_1", "1"), "user_2")) == [APPLIED]

    link(engine, "clinic_2", "user_2_anew")

    assert deliver(engine, foreign(failed("evt_2", "1"), "user_2"), foreign(created("evt_3", "2"), "user_2_anew")) == [
        Disposition.SUPERSEDED,
        APPLIED,
    ]
    assert [row(engine, each)["status"] for each in (one, two)] == ["created", "created"]


def test_a_clinic_that_was_given_another_name_keeps_its_reference(engine: Engine) -> None:
    link(engine, "old", "user_2")
    [one] = submit(engine, "1", account="old")
    with transaction(engine) as session:
        remove_account(session, "old")
    link(engine, "new", "user_2")
    [two] = submit(engine, "2", account="new")

    assert deliver(engine, *(foreign(created(f"evt_{each}", each), "user_2") for each in "12")) == [APPLIED] * 2
    assert [row(engine, each)["status"] for each in (one, two)] == ["created", "created"]


def test_a_person_says_that_a_reference_is_an_accounts_and_what_waited_is_applied(engine: Engine) -> None:
    one, two, three = submit(engine, "1", "2", "3")
    deliver(
        engine, foreign(created("evt_1", "1")), foreign(failed("evt_2", "2")), foreign(created("evt_3", "3"), "else")
    )

    assert add_reference(engine, SETTINGS, name=ACCOUNT, reference="clinic_9") == 2

    assert [row(engine, each)["status"] for each in (one, two, three)] == ["created", "failed", "processing"]
    assert dispositions(engine) == {"evt_1": "applied", "evt_2": "applied", "evt_3": "unmatched"}
    assert waiting_foreign(engine) == {"evt_3"}
    # And from now on, beside the reference that it had.
    [four, five] = submit(engine, "4", "5")
    assert deliver(engine, foreign(created("evt_4", "4")), created("evt_5", "5")) == [APPLIED] * 2
    assert add_reference(engine, SETTINGS, name=ACCOUNT, reference="clinic_9") == 0
    assert {row(engine, each)["status"] for each in (four, five)} == {"created"}


def test_what_the_door_wrote_meanwhile_is_found_by_the_sweep(engine: Engine) -> None:
    [one] = submit(engine, "1")
    deliver(engine, foreign(created("evt_1", "1")))
    with transaction(engine) as session:
        for reference in (ACCOUNT, "clinic_9"):
            account_rows.add_reference(session, ACCOUNT, reference)

    assert sweep_unmatched(engine) == {"matched": 1}

    assert row(engine, one)["status"] == "created"


def test_the_environments_account_may_be_renamed_with_its_reference(engine: Engine) -> None:
    [one] = submit(engine, "1")
    anew: Any = settings_from(COBALT_ACCOUNT="clinic_1_anew", COBALT_ACCESS_TOKEN="token_1")

    assert add_reference(engine, anew, name=ACCOUNT, reference="clinic_1_somehow") == 0
    assert deliver(engine, foreign(created("evt_1", "1"), "clinic_1_somehow")) == [APPLIED]
    assert row(engine, one)["status"] == "created"


def test_a_reference_of_another_account_or_an_account_that_is_none_is_refused(engine: Engine) -> None:
    link(engine, "other", "user_2")

    with pytest.raises(ConflictError):
        add_reference(engine, SETTINGS, name=ACCOUNT, reference="user_2")
    with pytest.raises(ConflictError):
        add_reference(engine, SETTINGS, name="other", reference=ACCOUNT)
    with pytest.raises(NotFoundError):
        add_reference(engine, SETTINGS, name="nobody", reference="user_3")


def test_a_person_says_that_it_is_not_about_this_appointment(engine: Engine) -> None:
    [one] = submit(engine, "1")
    deliver(engine, foreign(created("evt_1", "1")))

    dismiss_event(engine, "evt_1", person=ALICE)

    assert processes(engine, one)
    assert dispositions(engine) == {"evt_1": "ignored"}
    [decision] = rows(engine, "decisions")
    assert columns(decision, "appointment_id", "decision", "decided_by", "why") == (
        one,
        "dismissed",
        "alice",
        "another clinic's",
    )
    assert deliver(engine, foreign(created("evt_1", "1")), created("evt_2", "1")) == [DUPLICATE, APPLIED]
    for event_id, error in (("evt_1", ConflictError), ("evt_2", ConflictError), ("evt_3", NotFoundError)):
        with pytest.raises(error):
            dismiss_event(engine, event_id, person=ALICE)
