"""Cobalt: the calls to it, and its replies in our words. Nothing of HTTP is seen outside."""

from service.cobalt.client import Cobalt, Credentials, NotGrantedError, Registered
from service.cobalt.replies import (
    SHOWN,
    TOO_MANY,
    Accepted,
    NeverLeft,
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
