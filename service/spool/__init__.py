"""Events on local disk, while PostgreSQL is away: taken with an fsync, given back oldest first, and then forgotten."""

from service.spool.file import RESERVE
from service.spool.records import Spooled
from service.spool.spool import Depth, Spool

__all__ = ["RESERVE", "Depth", "Spool", "Spooled"]
