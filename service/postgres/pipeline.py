"""Statements that travel to PostgreSQL together and are prepared once a connection, for the one door.

As a generator, like all that psycopg does with a socket: a thread runs it with ``Connection.wait``, an event loop
with ``LoopWait``. psycopg's own pipeline costs the door twice as much, in cursors that hold nothing, and stops for ever
at a document that is larger than the socket's buffer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.errors import OperationalError, error_from_result
from psycopg.generators import fetch, send
from psycopg.pq import ExecStatus, TransactionStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn, PGresult


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, with parameters ``$1``, ``$2``... whose types it says itself.

    Args:
        name: Of the prepared statement; no two statements have the same.
        text: SQL.
    """

    name: bytes
    text: bytes


BEGIN = Statement(b"begin", b"BEGIN")
COMMIT = Statement(b"commit", b"COMMIT")
ROLLBACK = Statement(b"rollback", b"ROLLBACK")

_DONE = {ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK}

Asked = tuple[Statement, "Sequence[bytes]"]


def exchange(pgconn: PGconn, prepared: set[bytes] | None, asked: Sequence[Asked]) -> PQGen[list[PGresult]]:
    """Have PostgreSQL execute statements in a row, in the transaction that is open or in one that this begins.

    Args:
        pgconn: Idle.
        prepared: Names of the statements that this connection knows already; grows. None on a connection whose
            prepared statements are not ours to keep: psycopg drops all of them with a rollback.
        asked: Statements and their parameters.

    Returns:
        What each statement came to.

    Raises:
        psycopg.Error: One of them failed; those behind it were not executed, and the transaction is to be rolled back.
    """
    wanted = len(asked)
    if pgconn.transaction_status == TransactionStatus.IDLE:
        asked = [(BEGIN, ()), *asked]
    pgconn.enter_pipeline_mode()
    new: list[bytes] = []
    if prepared is None:
        for statement, parameters in asked:
            pgconn.send_query_params(statement.text, parameters)
    else:
        for statement, _ in asked:
            if statement.name not in prepared and statement.name not in new:
                pgconn.send_prepare(statement.name, statement.text)
                new.append(statement.name)
        for statement, parameters in asked:
            pgconn.send_query_prepared(statement.name, parameters)
    pgconn.pipeline_sync()
    yield from send(pgconn)
    results = []
    for _ in range(len(new) + len(asked)):
        results.append((yield from fetch(pgconn)))
        yield from fetch(pgconn)  # the end of this statement's results
    yield from fetch(pgconn)  # the end of the pipeline
    pgconn.exit_pipeline_mode()
    done = [result for result in results if result and result.status in _DONE]
    if prepared is not None:
        prepared.update(new[: len(done)])  # also when what follows them fails
    if len(done) < len(results):
        # Those behind the one that failed came to nothing.
        failed = results[len(done)]
        raise error_from_result(failed) if failed else OperationalError("PostgreSQL answered too little")
    return done[-wanted:]
