"""How one sandbox is set up: who may call it and which of Cobalt's documented shapes it speaks."""

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

REPLY_SHAPES = ("seed", "message-beside", "top-level", "under-data")
WEBHOOK_SHAPES = ("seed", "later")
ROW_SHAPES = ("a", "a-flat", "b", "c")
ROW_IDS = ("same", "own")
ERROR_SHAPES = ("success", "message", "error")
STAFF_SHAPES = ("webhook", "sync")
EVENT_CLOCKS = ("seconds", "milliseconds")

TIMEZONE = ZoneInfo("America/New_York")  # the clinic's, as in the seed's example


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One sandbox.

    Attributes:
        accounts: access token -> access_token_reference_id.
        reply_shape: how a create is answered, one of `REPLY_SHAPES`.
        webhook_shape: `seed`, or `later` with job ids, reasons and UTC times.
        row_shape: of `GET /webhook-events`, one of `ROW_SHAPES`; `a-flat` has the event's fields beside the row's.
        row_ids: whether a row in shape B has the `same` id as its webhook, or its `own`.
        error_shape: whether an error has `success` beside its message, the `message` alone, or calls it `error`.
        staff_shape: whether what staff made is told in the shape of a `webhook`, or of EHR `sync`.
        event_clock: the resolution of an event's `created`.
        catalogue: it lists providers, locations and visit types; without, it has none of them.
        strict_time: a separate time must be `h:mm am/pm`, as later documentation has it.
        webhook_urls: registered from the start.
        webhook_secret: signs every webhook until it is rotated.
    """

    client_id: str
    client_secret: str
    accounts: Mapping[str, str]
    reply_shape: str = "seed"
    webhook_shape: str = "seed"
    row_shape: str = "b"
    row_ids: str = "same"
    error_shape: str = "success"
    staff_shape: str = "webhook"
    event_clock: str = "seconds"
    catalogue: bool = False
    strict_time: bool = False
    webhook_urls: tuple[str, ...] = ()
    webhook_secret: str
