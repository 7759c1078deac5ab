"""`GET /webhook-events`: what happened, page by page, in each of the shapes of a row that were published."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime

from service.lab.sandbox.events import Event, iso
from service.lab.sandbox.fields import RefusedError, read_date
from service.lab.sandbox.settings import Settings
from service.lab.sandbox.webhooks import Delivery

PAGE_SIZE, LARGEST_PAGE = 50, 100
TAKEN = range(200, 300)
Tries = Callable[[str], Sequence[Delivery]]


def page_of(events: Sequence[Event], asked: Mapping[str, str], tries: Tries, settings: Settings) -> dict[str, object]:
    """The reply: one page of those of an account's events that are asked for.

    Args:
        events: The account's.
        asked: The query.
        tries: Event id -> how it was delivered.
        settings: For the shape of a row.

    Raises:
        RefusedError: 400.
    """
    found = [event for event in events if _is_asked_for(event, asked, tries)]
    sort = asked.get("sort", "-created_at")
    if sort not in {"created_at", "-created_at"}:
        raise RefusedError(400, "sort must be created_at or -created_at")
    found.sort(key=lambda event: event.created, reverse=sort.startswith("-"))
    size = _number(asked, "page_size", PAGE_SIZE, LARGEST_PAGE)
    page = _number(asked, "page", 1, None)
    shown = found[(page - 1) * size : page * size]
    return {
        "success": True,
        "webhook_events": [row(event, tries(event.id), settings) for event in shown],
        "pagination": {
            "current_page": page,
            "total_pages": -(-len(found) // size),
            "total_count": len(found),
            "page_size": size,
        },
    }


def row(event: Event, tries: Sequence[Delivery], settings: Settings) -> dict[str, object]:
    """One event, in the shape that the sandbox speaks."""
    content = event.content
    account = {"access_token_reference_id": event.account}
    job = {} if event.job_id is None else {"job_id": str(event.job_id)}
    match settings.row_shape:
        case "a":
            return {"id": event.id, "event_type": content["type"], "created": event.created, **account, **job,
                    "event": content}  # fmt: skip
        case "a-flat":
            said = {name: value for name, value in content.items() if name != "type"}
            return {**said, **job, "event_type": content["type"]}
        case "b":
            return {"event_id": row_id(event, settings), "event_type": content["type"],
                    "webhook_url": tries[-1].url if tries else None,
                    "delivery_status": "success" if _is_delivered(tries) else "failed",
                    "data": content["data"], "created_at": event.created, **job, **account}  # fmt: skip
        case _:
            return {"id": event.id, **account, "object": "event", "created": event.created,
                    "type": content["type"], **job, "status": _status(tries), "delivered": _is_delivered(tries),
                    "delivery_attempts": len(tries),
                    "last_delivery_attempt": iso(tries[-1].at) if tries else None,
                    "response_status_code": tries[-1].status if tries else None,
                    "data": content["data"]}  # fmt: skip


def row_id(event: Event, settings: Settings) -> str:
    """The id that a row in shape B has: the webhook's, or one of its own; the documentation does not say which."""
    return event.id if settings.row_ids == "same" else f"row_{zlib.crc32(event.id.encode()):08x}_{event.id[-6:]}"


def _is_asked_for(event: Event, asked: Mapping[str, str], tries: Tries) -> bool:
    day = datetime.fromisoformat(event.created).astimezone(UTC).date()
    delivered = _is_delivered(tries(event.id))
    wanted = {
        "job_id": str(event.job_id),
        "event_type": event.content["type"],
        "delivery_status": "success" if delivered else "failed",
        "status": _status(tries(event.id)),
    }
    return all(asked[name] in {"", has} for name, has in wanted.items() if name in asked) and (
        _day(asked, "start_date", date.min) <= day <= _day(asked, "end_date", date.max)
    )


def _day(asked: Mapping[str, str], name: str, otherwise: date) -> date:
    return read_date(name, asked[name]) if asked.get(name) else otherwise


def _number(asked: Mapping[str, str], name: str, otherwise: int, most: int | None) -> int:
    text = asked.get(name) or str(otherwise)
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= (most or int(text)):
        raise RefusedError(400, f"{name} must be a number from 1" + (f" to {most}" if most else ""))
    return int(text)


def _is_delivered(tries: Sequence[Delivery]) -> bool:
    return any(one.status in TAKEN for one in tries)


def _status(tries: Sequence[Delivery]) -> str:
    return "success" if _is_delivered(tries) else "failed" if tries else "pending"
