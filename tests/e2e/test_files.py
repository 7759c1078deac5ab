"""A CSV file over the wire: whole, or broken off so that nobody takes a part for the whole."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import httpx
import pytest

from service.postgres.sessions import connect
from service.web.views.appointment_file import ROWS_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from service.lab.stack import Stack

ROWS = 3 * ROWS_AT_ONCE
ACCOUNT = "files_over_the_wire"

_LOAD = """
INSERT INTO appointments (id, account, status, request, mrn, provider, type, request_id, submission, failure,
  settled_at)
SELECT 'appt_file_' || i, %s, 'failed', '{"mrn": "123456789", "location": "x"}', '123456789', 'x', 'x', 'req_1',
  'rejected', '{"reason": "x", "details": {}, "occurred_at": "2030-01-01T00:00:00+00:00"}', now()
FROM generate_series(1, %s) AS i
"""


@pytest.fixture
def database(stack: Stack) -> Iterator[psycopg.Connection]:
    """Appointments of an account of their own, among whatever else the stack has."""
    with connect(stack.database_url, autocommit=True) as connection:
        connection.execute(_LOAD, [ACCOUNT, ROWS])
        yield connection
        connection.execute("DELETE FROM appointments WHERE account = %s", [ACCOUNT])


@pytest.fixture
def file(stack: Stack, database: psycopg.Connection) -> Iterator[httpx.Response]:
    assert database
    headers = {"Authorization": f"Bearer {stack.api_key}", "Accept": "text/csv"}
    url = f"{stack.url}/v1/appointments?account={ACCOUNT}&sort=created_at&fields=id,request,failure"
    with httpx.Client(headers=headers, trust_env=False) as client, client.stream("GET", url) as answer:
        assert answer.status_code == 200
        yield answer


@pytest.fixture
def broken(database: psycopg.Connection) -> None:
    """The last row is one that cannot be shown."""
    database.execute("UPDATE appointments SET failure = '{}', created_at = now() WHERE id = 'appt_file_7'")


def test_a_whole_file_holds_every_row(file: httpx.Response) -> None:
    assert "Content-Length" not in file.headers
    assert len(list(csv.DictReader(file.iter_lines()))) == ROWS


@pytest.mark.usefixtures("broken")
def test_a_file_that_breaks_in_the_middle_ends_in_an_error(file: httpx.Response) -> None:
    pieces = file.iter_bytes()
    assert next(pieces).startswith(b"id,mrn,location,")
    with pytest.raises(httpx.RemoteProtocolError):
        list(pieces)
