"""A create without evidence is given up only after Cobalt's events could be read: a failure is shown nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.errors import CobaltError
from tests.fake_cobalt import FakeCobalt, look
from tests.integration.usecases.submissions.test_adoption import LOST
from tests.integration.usecases.submissions.test_asking import HOUR, SETTINGS, pass_time
from tests.records import answer, ask, claim, columns, row

if TYPE_CHECKING:
    from datetime import date

    from sqlalchemy import Engine

    from service.cobalt import Credentials
    from service.domain.event_walk import Page


class WithoutEvents(FakeCobalt):
    """Its list of events is down; all else answers."""

    status: int | None = 503

    def list_events(self, credentials: Credentials, *, first: date, last: date, page: int) -> Page[dict[str, Any]]:
        if self.status:
            raise CobaltError(f"Cobalt answered HTTP {self.status}", self.status)
        return super().list_events(credentials, first=first, last=last, page=page)


def lost_for_a_day(engine: Engine) -> str:
    one = ask(engine)
    assert answer(engine, claim(engine)[one], LOST) == "unconfirmed"
    pass_time(engine, 24 * HOUR)
    return one


def state(engine: Engine, appointment_id: str) -> tuple[Any, ...]:
    return columns(row(engine, appointment_id), "status", "submission", "failure_category")


def test_nothing_is_given_up_while_cobalts_events_cannot_be_read(engine: Engine) -> None:
    cobalt = WithoutEvents()
    one = lost_for_a_day(engine)
    look(engine, SETTINGS, cobalt)
    assert [kind for kind, *_ in cobalt.asked] == ["list"]  # what it shows is taken meanwhile
    assert state(engine, one) == ("processing", "unconfirmed", None)
    cobalt.status = None
    pass_time(engine, HOUR)
    look(engine, SETTINGS, cobalt)
    assert state(engine, one)[::2] == ("failed", "submission_unconfirmed")


def test_a_cobalt_that_has_no_list_of_events_is_not_waited_for(engine: Engine) -> None:
    cobalt = WithoutEvents()
    cobalt.status = 404
    one = lost_for_a_day(engine)
    look(engine, SETTINGS, cobalt)
    assert state(engine, one)[::2] == ("failed", "submission_unconfirmed")
