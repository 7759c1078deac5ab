"""What is due, account by account: however much one account has waiting, the others are found as fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from service.postgres.queries.account_health import MAY_BE_CALLED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from sqlalchemy import TextClause
    from sqlalchemy.orm import Session

# From one account to the next, by an index of (account, due_at) that has these rows only: in the order of that index,
# for by another one that begins with the account PostgreSQL might read all that the account ever had.
_COUNT = """
WITH RECURSIVE accounts AS (
  (SELECT account FROM appointments WHERE {which} ORDER BY account, due_at LIMIT 1)
  UNION ALL
  SELECT (
    SELECT account FROM appointments WHERE {which} AND account > before.account ORDER BY account, due_at LIMIT 1
  )
  FROM accounts AS before WHERE before.account IS NOT NULL
)
SELECT account, (
  SELECT count(*) FROM (
    SELECT FROM appointments WHERE {which} AND account = accounts.account AND due_at <= :now
    ORDER BY due_at LIMIT :most
  ) AS due
)
FROM accounts WHERE account <> ALL(:left_alone) AND {may_be_called}
"""

_SELECT = """
SELECT due.id FROM unnest(CAST(:accounts AS text[]), CAST(:numbers AS int[])) AS granted(account, number),
LATERAL (
  SELECT id FROM appointments WHERE {which} AND account = granted.account AND due_at <= :now
  ORDER BY due_at LIMIT granted.number
  FOR NO KEY UPDATE SKIP LOCKED
) AS due
WHERE CAST(:although_held AS boolean) OR {may_be_called}
"""


def counting(which: str) -> TextClause:
    """Make the statement that ``count_due`` runs; ``which`` is the predicate of an index of (account, due_at)."""
    return text(_COUNT.format(which=which, may_be_called=MAY_BE_CALLED.format(account="accounts.account")))


def selecting(which: str) -> str:
    """Write the query for the ids of what ``granted`` allows, locked; who holds a row's lock already keeps it."""
    return _SELECT.format(which=which, may_be_called=MAY_BE_CALLED.format(account="granted.account"))


def count_due(
    session: Session, statement: TextClause, *, most: int, left_alone: Collection[str], now: datetime
) -> dict[str, int]:
    """Count what is due of each account that may be called.

    Args:
        session: In which transaction.
        statement: One of ``counting``.
        most: Where to stop counting, for each account.
        left_alone: Further accounts that are not looked at.
        now: On our clock.
    """
    found = session.execute(statement, {"most": most, "left_alone": list(left_alone), "now": now})
    return {account: number for account, number in found if number}


def granted(allowed: Mapping[str, int], now: datetime, *, although_held: bool = False) -> dict[str, object]:
    """Give the parameters of ``selecting``: account -> how many of it. A call that tries takes one that is held."""
    return {
        "accounts": list(allowed),
        "numbers": list(allowed.values()),
        "now": now,
        "although_held": although_held,
    }
