"""What becomes slower as the tables grow: databases of three sizes in one PostgreSQL, measured in turn."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.lab.bench.scene import Place
from service.postgres.sessions import connect

_SIZES = """
SELECT relname, n_live_tup, pg_table_size(relid), pg_indexes_size(relid), n_tup_upd, n_tup_hot_upd
FROM pg_stat_user_tables WHERE relname IN ('appointments', 'events', 'deliveries') ORDER BY relname
"""


@dataclass(frozen=True)
class TableSize:
    """One table of one place.

    Attributes:
        size: how many appointments its database had at first.
        rows: as PostgreSQL estimates it.
        table_bytes: without indexes.
        updates: so far.
        hot_updates: those of them that touched no index.
    """

    size: int
    table: str
    rows: int
    table_bytes: int
    index_bytes: int
    updates: int
    hot_updates: int


def name_at(name: str, size: int) -> str:
    """What a measurement is called at one size."""
    return f"{name}, {size:,}"


def table_sizes(places: Sequence[Place]) -> list[TableSize]:
    """How large the tables and their indexes are."""
    found = []
    for place in places:
        with connect(place.database_url, autocommit=True) as connection:
            found += [TableSize(place.size, *row) for row in connection.execute(_SIZES)]
    return found
