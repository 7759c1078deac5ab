"""Judge the rows of a file of requests, all of them, before any is taken."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marshmallow import ValidationError

from service.domain.catalogue import find_unknown
from service.domain.comparing import comparable
from service.domain.request_fields import read_start, refuse_skipped
from service.errors import InvalidFieldsError
from service.requests.file import Problem
from service.requests.schema import AppointmentIn
from service.requests.spreadsheet_damage import IDS, find_damage, find_lost_zeros, find_odd_mrns
from service.usecases.submissions.request_appointment import choose_account

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from service.domain.catalogue import Catalogue
    from service.requests.file import RequestFile, Row

_SCHEMA = AppointmentIn()  # making one takes longer than using it


@dataclass(frozen=True, slots=True)
class WantedRow:
    """A row that asks for an appointment, and may.

    Args:
        line: On which it begins.
        account: For which.
        fields: Cobalt's create fields, as they were given.
        start: On the clinic's clock.
        digest: Says which request it is, in whatever file; see ``_digest``.
    """

    line: int
    account: str
    fields: dict[str, Any]
    start: datetime
    digest: bytes


@dataclass(frozen=True, slots=True)
class Checked:
    """What a file asks for.

    Args:
        rows: The good ones.
        problems: What is wrong, in the order of lines. While there is any, nothing may be taken.
        doubts: What may be meant, and is more often a mistake.
    """

    rows: list[WantedRow]
    problems: list[Problem]
    doubts: list[Problem]


def check_import(
    file: RequestFile,
    accounts: Mapping[str, str | None],
    catalogues: Mapping[str, Catalogue],
    *,
    digits_are_right: bool = False,
) -> Checked:
    """Judge all rows of a file.

    Args:
        file: As it was read.
        accounts: The accounts that there are, each with its time zone.
        catalogues: What rows for an account are checked against, where there is something fresh.
        digits_are_right: Somebody has looked: ids of digits may differ in length and end in zeros.
    """
    problems, doubts = list(file.problems), []
    rows: list[WantedRow] = []
    for row in file.rows:
        errors = _errors(row, accounts, catalogues)
        problems += [Problem(row.line, name, text) for name, text in errors.items() if name not in file.missing]
        if not errors:
            rows.append(_wanted(row, accounts))
    if not digits_are_right:
        wrong, odd = _compare_ids(file.rows)
        problems += wrong
        doubts += odd
    problems += _twice(rows)
    doubts += _at_once(rows)
    return Checked(rows, sorted(problems), sorted(doubts))


def _errors(row: Row, accounts: Mapping[str, str | None], catalogues: Mapping[str, Catalogue]) -> dict[str, str]:
    """Say what is wrong with a row alone, by field; of a damaged value only that it is."""
    errors: dict[str, str] = {}
    try:
        _SCHEMA.load(row.values)
    except ValidationError as error:
        errors |= {name: " ".join(map(str, messages)) for name, messages in error.messages_dict.items()}
    try:
        account = choose_account(accounts, row.values.get("account"))
        if not errors:
            refuse_skipped(read_start(row.values), accounts[account])
            if account in catalogues and (unknown := find_unknown(catalogues[account], row.values)):
                raise InvalidFieldsError(unknown)  # noqa: TRY301 (all that is wrong with a row goes one way)
    except InvalidFieldsError as error:
        errors |= {pointer.lstrip("/"): detail for pointer, detail in error.errors.items()}
    for name, value in row.values.items():
        if name not in row.marked and (damage := find_damage(name, value.strip())):
            errors[name] = damage
    return errors


def _wanted(row: Row, accounts: Mapping[str, str | None]) -> WantedRow:
    account = choose_account(accounts, row.values.get("account"))
    fields = AppointmentIn.cobalt_fields(row.values)
    start = read_start(fields)
    at = start.at.isoformat() if start.at else None
    names = (comparable(fields[name]) if name in fields else None for name in (*IDS, "type"))
    return WantedRow(row.line, account, fields, start.local, _digest(account, start.local.isoformat(), at, *names))


def _digest(*what: str | None) -> bytes:
    """Say which request it is: account, start, patient, location, providers and type.

    Not the bytes of the file, which change when it is saved again; and not notes and options: who edits one and hands
    the file in again does not want the patient to come twice.
    """
    return hashlib.sha256(json.dumps(what).encode()).digest()


def _compare_ids(rows: Sequence[Row]) -> tuple[list[Problem], list[Problem]]:
    """Compare the ids of each account with each other; those of two EHRs have nothing in common."""
    wrong, odd = [], []
    for account in {row.values.get("account") for row in rows}:
        of_account = [row for row in rows if row.values.get("account") == account]
        for name in IDS:
            ids = {row.line: row.values[name] for row in of_account if name in row.values and name not in row.marked}
            lost, unusual = find_odd_mrns(ids) if name == "mrn" else (find_lost_zeros(ids), {})
            wrong += [Problem(line, name, detail) for line, detail in lost.items()]
            odd += [Problem(line, name, detail) for line, detail in unusual.items()]
    return wrong, odd


def _twice(rows: Sequence[WantedRow]) -> Iterator[Problem]:
    first: dict[bytes, int] = {}
    for row in rows:
        if row.digest in first:
            yield Problem(row.line, "", f"asks for the same as line {first[row.digest]}: keep one of them")
        first.setdefault(row.digest, row.line)


def _at_once(rows: Sequence[WantedRow]) -> Iterator[Problem]:
    first: dict[tuple[str, str, datetime], WantedRow] = {}
    for row in rows:
        other = first.setdefault((row.account, comparable(row.fields["mrn"]), row.start), row)
        if other.digest != row.digest:
            yield Problem(row.line, "", f"names the same patient and start as line {other.line}")
