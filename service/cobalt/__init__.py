"""Cobalt: calls to it, and its replies in our words. Nothing outside this room sees HTTP."""

from service.cobalt.client import Cobalt, Registered
from service.cobalt.credentials import Credentials
from service.cobalt.replies import (
    SHOWN,
    TOO_MANY,
    Accepted,
    NeverLeft,
    NotGrantedError,
    Rejected,
    Reply,
    Throttled,
    Unauthorized,
    Unclear,
    read_reply,
)

__all__ = [
    "SHOWN",
    "TOO_MANY",
    "Accepted",
    "Cobalt",
    "Credentials",
    "NeverLeft",
    "NotGrantedError",
    "Registered",
    "Rejected",
    "Reply",
    "Throttled",
    "Unauthorized",
    "Unclear",
    "read_reply",
]
