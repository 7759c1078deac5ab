"""The one door: every event goes through ``applying``, however it came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from psycopg.errors import UniqueViolation
from sqlalchemy.exc import IntegrityError

from service.domain.arrivals import Unread
from service.domain.states import Disposition
from service.postgres.engine import driver, transaction
from service.postgres.pipeline import ROLLBACK, exchange
from service.postgres.queries import door, quarantine
from service.postgres.queries.door import Link
from service.telemetry import metrics
from service.usecases.events.contradicting import find_contradicting, tell_of_contradictions
from service.usecases.events.match_waiting import match_waiting
from service.usecases.events.settling import is_of_another_account, relieve, settle, tell_of_another_account
from service.usecases.upkeep.account_health import is_about_an_account, note_events, tell

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from psycopg.abc import PQGen
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from service.domain.arrivals import Arrival
    from service.postgres.queries.appointments import Locked


def apply(engine: Engine, arrivals: Sequence[Arrival]) -> list[Disposition]:
    """Record a batch of events, settle the appointments that they name, and say what became of each.

    All in one transaction, so a batch is applied whole or not at all. Any event may come any number of times.

    Raises:
        DatabaseUnavailableError: PostgreSQL is away; nothing was kept.
    """
    try:
        with transaction(engine) as session:
            answers = apply_within(session, arrivals, now=datetime.now(UTC))
    except (IntegrityError, UniqueViolation):
        # The same event came through another process meanwhile, about another appointment: it is known now.
        with transaction(engine) as session:
            answers = apply_within(session, arrivals, now=datetime.now(UTC))
    for arrival, answer in zip(arrivals, answers, strict=True):
        metrics.event_decided(arrival.source, answer)
    return answers


def apply_within(session: Session, arrivals: Sequence[Arrival], *, now: datetime) -> list[Disposition]:
    """Do what ``apply`` does inside the caller's transaction."""
    unread = [arrival for arrival in arrivals if isinstance(arrival.said, Unread)]
    quarantine.keep(session, unread)
    readable = [arrival for arrival in arrivals if not isinstance(arrival.said, Unread)]
    answers = iter(_apply_readable(session, readable, now) if readable else [])
    return [Disposition.QUARANTINED if isinstance(arrival.said, Unread) else next(answers) for arrival in arrivals]


def applying(link: Link, arrivals: Sequence[Arrival], now: datetime) -> PQGen[list[Disposition] | None]:
    """Do what ``apply`` does over a bare connection, in a transaction of its own; a thread or an event loop runs it.

    Args:
        link: Idle.
        arrivals: Events that could be read.
        now: On our clock.

    Returns:
        What became of each; None when this is one of the rare batches that need ``apply``, and nothing was done.
    """
    if any(is_about_an_account(arrival) for arrival in arrivals):
        return None
    decided = yield from _decide(link, arrivals, now)
    if decided.opened or decided.contradicting:
        yield from exchange(link.pgconn, link.prepared, [(ROLLBACK, [])])
        return None
    yield from _write(link, decided, now, commit=True)
    return decided.answers


def _apply_readable(session: Session, arrivals: Sequence[Arrival], now: datetime) -> list[Disposition]:
    noted, changes = note_events(session, arrivals, now=now)
    connection = driver(session)
    link = Link(connection.pgconn)
    decided = connection.wait(_decide(link, arrivals, now, noted))
    connection.wait(_write(link, decided, now, commit=False))
    quarantine.keep(session, decided.contradicting)
    tell_of_contradictions(decided.contradicting)
    tell(changes)
    for cobalt_id in decided.opened:
        match_waiting(session, cobalt_id, now=now)
    return decided.answers


@dataclass(frozen=True, slots=True)
class _Decided:
    """What a batch comes to.

    Args:
        arrivals: All of it.
        answers: What each of them is answered.
        recorded: The new events.
        dispositions: What became of those.
        foreign: Of those, the ones of another account than the appointment's that they name -> that appointment.
        rows: The appointments that they name, by Cobalt's id, as the rule left them.
        opened: Cobalt's ids of those whose correction is not sent any more: what waited for it can be judged.
        displaced: Earlier events that no longer decide anything.
        repeats: Of the new ones, those that told an outcome again, each with the event that had told it.
        contradicting: Deliveries of another body under the id of a known event, for the quarantine.
    """

    arrivals: Sequence[Arrival]
    answers: list[Disposition]
    recorded: Sequence[Arrival]
    dispositions: Mapping[str, Disposition]
    foreign: Mapping[str, str]
    rows: Mapping[str, Locked]
    opened: Sequence[str]
    displaced: Sequence[str]
    repeats: Mapping[str, str]
    contradicting: Sequence[Arrival]


def _decide(
    link: Link, arrivals: Sequence[Arrival], now: datetime, noted: Mapping[str, Disposition] = MappingProxyType({})
) -> PQGen[_Decided]:
    """Lock, then decide; nothing is written yet. ``noted`` is what became of events about accounts, by their ids."""
    new = {arrival.event.id: arrival for arrival in reversed(arrivals)}
    settling = {
        arrival.event.cobalt_appointment_id
        for arrival in new.values()
        if arrival.event.kind and arrival.event.cobalt_appointment_id
    }
    # What settles nothing has its own id locked: two batches that bring the same in different orders would
    # otherwise wait for each other when they record it.
    held = settling | {arrival.event.id for arrival in new.values() if not arrival.event.kind}
    found = yield from door.read(link, held=held, event_ids=new.keys(), cobalt_ids=settling)
    contradicting = find_contradicting(arrivals, new, found.known)
    for event_id in found.known:
        del new[event_id]
    recorded = list(new.values())
    yield from door.look_up(link, _names(recorded, found.rows))
    named = {arrival.event.cobalt_appointment_id for arrival in recorded if arrival.event.kind}
    yield from door.look_back(link, [row for cobalt_id, row in found.rows.items() if cobalt_id in named])
    judged = _judge(recorded, found.rows, link.named, now)
    judged.dispositions.update({event_id: noted[event_id] for event_id in judged.dispositions.keys() & noted.keys()})
    opened = [cobalt_id for cobalt_id, row in found.rows.items() if relieve(row)]
    answers = [_answer(arrival, new, judged) for arrival in arrivals]
    for position in contradicting:
        answers[position] = Disposition.QUARANTINED
    return _Decided(
        arrivals=arrivals,
        answers=answers,
        recorded=recorded,
        dispositions=judged.dispositions,
        foreign=judged.foreign,
        rows=found.rows,
        opened=opened,
        displaced=judged.displaced,
        repeats=judged.repeats,
        contradicting=list(contradicting.values()),
    )


def _write(link: Link, decided: _Decided, now: datetime, *, commit: bool) -> PQGen[None]:
    yield from door.write(
        link,
        recorded=decided.recorded,
        dispositions=decided.dispositions,
        foreign=decided.foreign,
        rows=decided.rows,
        displaced=decided.displaced,
        repeats=decided.repeats,
        answers=list(zip(decided.arrivals, decided.answers, strict=True)),
        now=now,
        commit=commit,
    )
    for event_id, appointment_id in decided.foreign.items():
        tell_of_another_account(event_id, appointment_id)


def _names(arrivals: Sequence[Arrival], rows: Mapping[str, Locked]) -> set[tuple[str, str]]:
    """Say what Cobalt calls the appointments' accounts, if each event is of its appointment's."""
    return {
        (row.account, event.account_reference)
        for event in (arrival.event for arrival in arrivals if arrival.event.kind)
        if event.account_reference and (row := rows.get(event.cobalt_appointment_id or ""))
    }


class _Judged(NamedTuple):
    """What the rule makes of the new events of a batch; see ``_Decided``."""

    dispositions: dict[str, Disposition]
    foreign: dict[str, str]
    displaced: list[str]
    repeats: dict[str, str]


def _judge(
    arrivals: Sequence[Arrival], rows: Mapping[str, Locked], named: Collection[tuple[str, str]], now: datetime
) -> _Judged:
    """Settle the rows by the new events."""
    judged = dispositions, foreign, displaced, repeats = _Judged({}, {}, [], {})
    for arrival in arrivals:
        event = arrival.event
        if event.kind is None:
            dispositions[event.id] = Disposition.IGNORED
            continue
        row = rows.get(event.cobalt_appointment_id or "")
        if row is None:
            dispositions[event.id] = Disposition.UNMATCHED
            continue
        if is_of_another_account(row, event, named):
            dispositions[event.id], foreign[event.id] = Disposition.UNMATCHED, row.id
            continue
        decision = settle(row, event, source=arrival.source, now=now)
        dispositions[event.id] = decision.disposition
        if decision.repeats:
            repeats[event.id] = decision.repeats
        if decision.superseded in dispositions:
            dispositions[decision.superseded] = Disposition.SUPERSEDED
        elif decision.superseded:
            displaced.append(decision.superseded)
    return judged


def _answer(arrival: Arrival, new: Mapping[str, Arrival], judged: _Judged) -> Disposition:
    """Say what became of a delivery.

    Of an event that came twice in one batch, the first is the new one. One that told an outcome again which had come
    before this batch settled nothing, whichever of the two the status rests on.
    """
    event_id = arrival.event.id
    if new.get(event_id) is not arrival:
        return Disposition.DUPLICATE
    told_before = judged.repeats.get(event_id, event_id) not in new
    return Disposition.SUPERSEDED if told_before else judged.dispositions[event_id]
