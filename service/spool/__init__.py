"""Events on local disk while PostgreSQL is unavailable: written with an fsync, returned oldest first, then erased."""

from service.spool.file import RESERVE
from service.spool.records import Spooled
from service.spool.spool import Depth, Spool

__all__ = ["RESERVE", "Depth", "Spool", "Spooled"]
