import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.event_bodies import Unreadable
from service.domain.events import Confirmation, Event, Kind, event_from, read_event
from service.domain.failures import Category
from service.domain.published_names import DATA, ENVELOPE
from service.domain.times import instants, occurred_at
from service.domain.zones import find_zone
from tests.seed_payloads import SEED_PAYLOADS

RECEIVED_AT = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)
CREATED = SEED_PAYLOADS["created"]


def read(raw: bytes) -> Event:
    return read_event(raw, received_at=RECEIVED_AT)


def envelope(**changes: Any) -> dict[str, Any]:
    return {
        "id": "evt_1",
        "created": "2025-01-01T00:00:00Z",
        "type": "appointment.created",
        "data": {"appointment_id": "77"},
    } | changes


def read_changed(**changes: Any) -> Event:
    return read(json.dumps(envelope(**changes)).encode())


def confirmed(**data: Any) -> Confirmation:
    confirmation = read_changed(data={"appointment_id": "77"} | data).confirmation
    assert confirmation is not None
    return confirmation


def meant_by(confirmation: Confirmation) -> tuple[datetime, ...]:
    start = confirmation.start
    return instants(start, find_zone(confirmation.timezone)) if start else ()


# --- The documented payloads ---


def test_the_documented_success_is_read_in_full() -> None:
    assert read(CREATED) == Event(
        id="evt_1J9X2q2eZvKYlo2Cmnopqr",
        type="appointment.created",
        kind=Kind.CREATED,
        occurred_at=datetime(2023, 10, 28, 11, 0, tzinfo=UTC),
        account_reference="user_1J9X2q2eZvKYlo2Cstuv",
        cobalt_appointment_id="123456789",
        cobalt_job_id=None,
        mrn="123456789",
        confirmation=Confirmation(
            date_time="2025-01-01T10:00",
            timezone="America/New_York",
            start=datetime(2025, 1, 1, 10, 0),  # noqa: DTZ001 (a wall clock)
            provider_id="emr_prov_123",
            provider_name="Dr. Smith",
            secondary_provider_id="emr_sec_prov_456",
        ),
        failure=None,
        payload=json.loads(CREATED),
        raw=None,
    )


@pytest.mark.parametrize(
    ("name", "event_id", "minute", "appointment_id", "mrn", "details"),
    [
        ("patient_not_found", "evt_1J9X2q2eZvKYlo2Cwxyz", 5, "123456790", "000000", {}),
        (
            "visit_type_unavailable",
            "evt_1J9X2q2eZvKYlo2Cabcde",
            10,
            "123456791",
            "123456789",
            {"visit_type": "Annual Wellness Visit"},
        ),
        (
            "provider_not_found",
            "evt_1J9X2q2eZvKYlo2Cfghij",
            15,
            "123456792",
            "123456789",
            {"provider_name": "Dr. Unknown"},
        ),
        (
            "schedule_block",
            "evt_1J9X2q2eZvKYlo2Cklmno",
            20,
            "123456793",
            "123456789",
            {"conflict_type": "schedule_block", "block_details": "Admin Block 9am-12pm"},
        ),
        (
            "appointment_conflict",
            "evt_1J9X2q2eZvKYlo2Cpqrst",
            25,
            "123456794",
            "123456789",
            {"conflict_type": "appointment_conflict"},
        ),
        ("gave_up", "evt_1J9X2q2eZvKYlo2Cuvwxyz", 30, "123456795", "123456789", {}),
    ],
)
def test_each_documented_failure_is_read_in_full(
    name: str, event_id: str, minute: int, appointment_id: str, mrn: str, details: dict[str, str]
) -> None:
    event = read(SEED_PAYLOADS[name])
    assert (event.id, event.kind, event.type) == (event_id, Kind.FAILED, "appointment.failed")
    assert event.occurred_at == datetime(2023, 10, 28, 11, minute, tzinfo=UTC)
    assert (event.cobalt_appointment_id, event.mrn) == (appointment_id, mrn)
    assert event.confirmation is None
    assert event.failure is not None
    assert event.failure.category == name
    assert event.failure.reason == json.loads(SEED_PAYLOADS[name])["data"]["failure_reason"]
    assert event.failure.details == details
    assert event.raw is None


def test_the_later_shape_is_read_too() -> None:
    event = read_changed(
        type="appointment.failed",
        job_id=4711,
        data={
            "appointment_id": 77,
            "mrn": 42,
            "failure_reason": "Something new.",
            "reasons": [{"code": "PATIENT_NOT_FOUND", "description": "Something new."}],
            "conflict_details": None,
        },
    )
    assert (event.cobalt_job_id, event.cobalt_appointment_id, event.mrn) == ("4711", "77", "42")
    assert event.failure is not None
    assert event.failure.category is Category.PATIENT_NOT_FOUND
    assert event.failure.details == {
        "reasons": [{"code": "PATIENT_NOT_FOUND", "description": "Something new."}],
        "conflict_details": None,
    }


def test_a_job_id_in_the_data_counts_too() -> None:
    assert read_changed(data={"appointment_id": "77", "job_id": 5}).cobalt_job_id == "5"


# --- Types ---


@pytest.mark.parametrize("event_type", ["appointment.updated", "patient.created", "APPOINTMENT.CREATED", "x"])
def test_other_types_settle_nothing_and_need_only_an_id(event_type: str) -> None:
    event = read(json.dumps({"id": "evt_1", "type": event_type}).encode())
    assert (event.id, event.type, event.kind) == ("evt_1", event_type, None)
    assert (event.confirmation, event.failure, event.cobalt_appointment_id) == (None, None, None)


def test_an_appointment_named_by_another_type_is_read() -> None:
    assert read_changed(type="appointment.updated").cobalt_appointment_id == "77"


@pytest.mark.parametrize("data", [None, [], "x", 5])
def test_other_types_may_have_any_data(data: object) -> None:
    assert read_changed(type="note.created", data=data).cobalt_appointment_id is None


def test_unknown_fields_of_a_failure_are_kept() -> None:
    event = read_changed(type="appointment.failed", data={"appointment_id": "77", "news": {"a": [1, 2.5, None]}})
    assert event.payload["data"]["news"] == {"a": [1, 2.5, None]}


# --- What cannot be read ---


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"not json", "not JSON at character 0"),
        (b'{"id":"secret"', "not JSON at character 14"),
        (b'{"id":"\x00"}', "not JSON at character 7"),
        (b'{"id":"\xff"}', "not UTF-8 at byte 7"),
        ('{"id":"a"}'.encode("utf-16"), "not UTF-8 at byte 0"),
        (b'"text"', "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"id":"a","type":"b","x":NaN}', "not JSON: NaN or Infinity"),
        (b'{"id":"a","type":"b","x":[-Infinity]}', "not JSON: NaN or Infinity"),
        (b'{"id":"a","type":"b","x":' + b"[" * 150 + b"]" * 150 + b"}", "nested deeper than 100"),
        (b"[" * 40_000, "nested deeper than 100"),
        (b"[" * 100_000, "more than 50000 values"),
        (b'{"type":"b"}', "id is missing"),
        (b'{"id":"  ","type":"b"}', "id is missing"),
        (b'{"id":{},"type":"b"}', "id is missing"),
        (b'{"id":true,"type":"b"}', "id is missing"),
        (b'{"id":"a"}', "type is missing"),
        (b'{"id":"a","type":"appointment.created"}', "data is missing"),
        (b'{"id":"a","type":"appointment.failed","data":[]}', "data is not an object"),
        (b'{"id":"a","type":"appointment.failed","data":{}}', "data.appointment_id is missing"),
        (b'{"id":"' + b"a" * 201 + b'","type":"b"}', "id is longer than 200 characters"),
    ],
)
def test_what_is_no_event_is_unreadable_with_a_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=f"^{re.escape(reason)}$") as caught:
        read(raw)
    assert caught.value.reason == reason


@pytest.mark.parametrize("name", ["mrn", "appointment_id", "provider_id", "job_id"])
def test_an_overlong_id_in_the_data_is_unreadable(name: str) -> None:
    with pytest.raises(Unreadable, match=f"^data.{name} is longer than 200 characters$"):
        confirmed(**{name: "x" * 201})


@given(st.text("abcxyz789", min_size=6), st.integers(0, 400))
def test_a_reason_never_holds_a_value_from_the_body(value: str, cut: int) -> None:
    raw = CREATED.replace(b"123456789", value.encode())[:cut] + b"\x01"
    with pytest.raises(Unreadable) as caught:
        read(raw)
    assert value not in caught.value.reason
    assert caught.value.__cause__ is None


# --- What is read with tolerance ---


def test_a_byte_order_mark_is_skipped() -> None:
    assert read(b"\xef\xbb\xbf" + CREATED) == read(CREATED)


def test_of_duplicate_keys_the_last_counts_and_the_others_are_not_kept() -> None:
    """They may say of a patient what nobody needs."""
    event = read(b'{"id":"first","id":"last","type":"x"}')
    assert (event.id, event.raw, event.is_whole) == ("last", None, False)


@pytest.mark.parametrize(
    ("value", "text"),
    [(" 77\t", "77"), (77, "77"), (77.0, "77"), (1.5, "1.5"), (0, "0"), (2**70, "1180591620717411303424")],
)
def test_ids_are_trimmed_and_numbers_become_text(value: object, text: str) -> None:
    event = read_changed(id=value, data={"appointment_id": value, "mrn": value})
    assert (event.id, event.cobalt_appointment_id, event.mrn) == (text, text, text)


@pytest.mark.parametrize("value", [None, "", " ", [], {}, True])
def test_an_optional_id_that_is_none_is_none(value: object) -> None:
    event = read_changed(
        access_token_reference_id=value,
        job_id=value,
        data={"appointment_id": "77", "mrn": value, "secondary_provider_id": value},
    )
    assert (event.account_reference, event.cobalt_job_id, event.mrn) == (None, None, None)
    assert event.confirmation is not None
    assert event.confirmation.secondary_provider_id is None


@pytest.mark.parametrize(
    ("reason", "text"),
    [(None, ""), (5, "5"), (["a", "\u00e9"], '["a", "\u00e9"]'), ({"a": None}, '{"a": null}'), ("x", "x")],
)
def test_a_failure_reason_of_any_type_is_still_a_failure(reason: object, text: str) -> None:
    event = read_changed(type="appointment.failed", data={"appointment_id": "77", "failure_reason": reason, "more": 1})
    assert event.failure is not None
    assert (event.failure.reason, event.failure.details) == (text, {"more": 1})
    assert event.failure.category is Category.OTHER


def test_a_failure_without_a_reason_is_still_a_failure() -> None:
    event = read_changed(type="appointment.failed")
    assert event.failure is not None
    assert (event.failure.reason, event.failure.category) == ("", Category.OTHER)


@pytest.mark.parametrize(
    "created",
    [
        "2023-10-28T11:00:00Z",
        "2023-10-28T11:00:00z",
        " 2023-10-28 11:00:00 ",
        "2023-10-28T11:00Z",
        "2023-10-28T11:00:00",
        "2023-10-28 11:00:00 UTC",
        "2023-10-28T11:00:00+00:00",
        "2023-10-28T11:00:00+0000",
        "2023-10-28T11:00:00+00",
        "2023-10-28T16:30:00+05:30",
        "2023-10-28T07:00:00-0400",
        "2023-10-28T07:30:00-03:30",
        "2023-10-28T11:00:00.000Z",
        "2023-10-28T11:00:00.0000000009Z",
        1698490800,
        1698490800.0,
        1698490800000,
        "1698490800",
        "1698490800000",
    ],
)
def test_when_it_occurred_is_read_in_many_forms(created: object) -> None:
    event = read_changed(created=created)
    assert event.occurred_at == datetime(2023, 10, 28, 11, 0, tzinfo=UTC)
    assert event.occurred_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("created", "microsecond"),
    [("2023-10-28T11:00:00.5Z", 500_000), ("2023-10-28T11:00:00.123456789Z", 123_456), (1698490800123, 123_000)],
)
def test_fractions_of_a_second_are_kept_to_the_microsecond(created: object, microsecond: int) -> None:
    assert read_changed(created=created).occurred_at.microsecond == microsecond


@pytest.mark.parametrize(
    "created",
    [
        None,
        "",
        "yesterday",
        "2023-10-28",
        "2023-13-45T99:00:00Z",
        "2023-10-28T11:00:00+99:99",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59-14:00",
        "99999-12-31T23:59:59Z",
        "1999-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        "20231028",
        0,
        True,
        -5,
        10**300,
        1e300,
        [],
        {},
    ],
)
def test_without_a_plausible_time_it_occurred_when_it_was_received(created: object) -> None:
    assert read_changed(created=created).occurred_at == RECEIVED_AT


@pytest.mark.parametrize("created", ["2099-01-01T00:00:00Z", "2025-06-01T12:05:01Z", 4_070_908_800, 4_070_908_800_000])
def test_what_is_dated_in_the_future_occurred_when_it_was_received(created: object) -> None:
    assert read_changed(created=created).occurred_at == RECEIVED_AT


@pytest.mark.parametrize("seconds", [1, 300])
def test_cobalts_clock_may_be_a_little_ahead_of_ours(seconds: int) -> None:
    moment = RECEIVED_AT + timedelta(seconds=seconds)
    assert read_changed(created=moment.isoformat()).occurred_at == moment


# --- When the appointment starts ---


@pytest.mark.parametrize(
    ("date_time", "timezone", "utc"),
    [
        ("2025-01-01T10:00", "America/New_York", "2025-01-01T15:00"),
        ("2025-07-01T10:00", "America/New_York", "2025-07-01T14:00"),
        ("2025-01-01 10:00", " America/New_York ", "2025-01-01T15:00"),
        ("2025-01-01T10:00:00", "America/New_York", "2025-01-01T15:00"),
        ("2025-01-01T15:00:00Z", "America/New_York", "2025-01-01T15:00"),
        ("2025-01-01T15:00:00.000Z", None, "2025-01-01T15:00"),
        ("2025-01-01T10:00:00-05:00", "Not/AZone", "2025-01-01T15:00"),
        ("2025-01-01 10:00 AM", "America/New_York", "2025-01-01T15:00"),
        ("2025-01-01 10:00pm", "Etc/UTC", "2025-01-01T22:00"),
        ("2025-01-01 12:15 a.m.", "Etc/UTC", "2025-01-01T00:15"),
        ("2025-01-01 12:15 PM", "Etc/UTC", "2025-01-01T12:15"),
        ("2025-01-01T10:00:00-5:00", None, "2025-01-01T15:00"),
        ("2025-01-01T10:00:00-500", None, "2025-01-01T15:00"),
        ("2025-01-01T10:00:00+5:30", None, "2025-01-01T04:30"),
        ("2025-01-01T10:00:00-7", None, "2025-01-01T17:00"),
        ("2025-01-01T10:00", "america/new_york", "2025-01-01T15:00"),
        ("2025-01-01T10:00", "Eastern Standard Time", "2025-01-01T15:00"),
        # Clocks go forward, 02:30 never comes; clocks go back, 01:30 comes twice.
        ("2025-03-09T02:30", "America/New_York", "2025-03-09T07:30"),
        ("2025-11-02T01:30", "America/New_York", "2025-11-02T05:30 2025-11-02T06:30"),
    ],
)
def test_the_start_is_known_in_utc_and_the_text_is_kept(date_time: str, timezone: str | None, utc: str) -> None:
    confirmation = confirmed(date_time=date_time, timezone=timezone)
    assert meant_by(confirmation) == tuple(datetime.fromisoformat(f"{one}Z") for one in utc.split())
    assert confirmation.date_time == date_time
    assert confirmation.timezone == (timezone.strip() if timezone else None)


@pytest.mark.parametrize(
    ("date_time", "timezone"),
    [
        ("2025-01-01T10:00", None),
        ("2025-01-01T10:00", ""),
        ("2025-01-01T10:00", "Not/AZone"),
        ("2025-01-01T10:00", "America"),
        ("2025-01-01T10:00", "../../etc/passwd"),
        ("2025-01-01T10:00", "/etc/passwd"),
        ("2025-01-01T10:00", "a" * 5000),
        ("2025-01-01T10:00", "UTC\x00"),
        ("2025-01-01T10:00", 5),
        ("2025-01-01", "America/New_York"),
        ("2025-01-01 13:00 PM", "America/New_York"),
        ("2025-01-01 0:30 AM", "America/New_York"),
        ("2025-02-30T10:00", "America/New_York"),
        ("9999-12-31T23:59", "America/New_York"),
        ("0001-01-01T00:00+14:00", None),
        ("next Tuesday", "America/New_York"),
        (None, "America/New_York"),
        (20250101, "America/New_York"),
    ],
)
def test_a_start_that_cannot_be_known_is_no_instant_and_the_event_is_read(date_time: object, timezone: object) -> None:
    confirmation = confirmed(date_time=date_time, timezone=timezone)
    assert meant_by(confirmation) == ()
    assert confirmation.date_time == ("" if date_time is None else str(date_time))


# --- What the database cannot hold ---


def test_nul_and_lone_surrogates_are_replaced_everywhere_and_the_bytes_kept() -> None:
    raw = (
        b'{"id":"e\\u0000","type":"appointment.failed",'
        b'"data":{"appointment_id":"7\\u0000","mrn":"\\ud8001","failure_reason":"a\\u0000b","x\\u0000":"\\u0000","k\\ud800":["\\udfff"]}}'
    )
    event = read(raw)
    assert (event.id, event.cobalt_appointment_id, event.mrn) == ("e\ufffd", "7\ufffd", "\ufffd1")
    assert event.failure is not None
    assert (event.failure.reason, event.failure.details) == ("a\ufffdb", {"x\ufffd": "\ufffd", "k\ufffd": ["\ufffd"]})
    assert event.raw == raw


@pytest.mark.parametrize("text", [r"\u00e9", r"\ud83d\ude00", r"\\u0000", r"\u000a", "\u00e9\U0001f600"])
def test_escapes_that_can_be_kept_are_kept_without_the_bytes(text: str) -> None:
    event = read(f'{{"id":"a","type":"appointment.failed","data":{{"appointment_id":"1","x":"{text}"}}}}'.encode())
    assert event.payload["data"]["x"] == json.loads(f'"{text}"')
    assert event.raw is None


@pytest.mark.parametrize(
    ("number", "kept"),
    [
        ("1e999", "1e999"),
        ("-1e999", "-1e999"),
        ("9" * 700, "9" * 700),
        ("9" * 10_000, "9" * 10_000),
        ("1e-999", 0.0),
        ("1e-99999999999999999999", 0.0),
        ("0.1234567890123456789", 0.12345678901234568),
    ],
)
def test_a_number_that_cannot_be_kept_is_kept_as_near_as_can_be_with_the_bytes(number: str, kept: object) -> None:
    raw = f'{{"id":"a","type":"appointment.failed","data":{{"appointment_id":"1","x":{number}}}}}'.encode()
    event = read(raw)
    assert (event.payload["data"]["x"], event.raw) == (kept, raw)


@pytest.mark.parametrize("number", ["1.50", "0.1", "1e5", "-0.0", "5e-324", "1.7976931348623157e308", "9" * 100])
def test_a_number_that_can_be_kept_needs_no_bytes(number: str) -> None:
    event = read(f'{{"id":"a","type":"appointment.failed","data":{{"appointment_id":"1","x":{number}}}}}'.encode())
    assert (event.payload["data"]["x"], event.raw) == (json.loads(number), None)


# --- Fetched events ---


def test_a_fetched_event_reads_like_its_webhook() -> None:
    payload = json.loads(CREATED)
    assert event_from(payload, received_at=RECEIVED_AT) == read(CREATED)


def test_a_fetched_event_may_name_its_type_in_event_type_and_its_job_beside() -> None:
    payload = json.loads(CREATED)
    payload["event_type"] = payload.pop("type")
    event = event_from(payload | {"job_id": 12}, received_at=RECEIVED_AT)
    assert (event.kind, event.cobalt_job_id, event.cobalt_appointment_id) == (Kind.CREATED, "12", "123456789")


def test_a_fetched_event_that_cannot_be_stored_keeps_bytes_that_read_the_same() -> None:
    told = envelope(type="appointment.failed", data={"appointment_id": "77", "x": "a\x00\ud800"})
    event = event_from(told, received_at=RECEIVED_AT)
    assert event.payload["data"]["x"] == "a\ufffd\ufffd"
    assert event.raw is not None
    assert read(event.raw) == event


@pytest.mark.parametrize("odd", [{1, 2}, float("nan"), float("inf"), b"x", [10**5000]])
def test_a_fetched_event_that_is_no_json_is_unreadable(odd: object) -> None:
    with pytest.raises(Unreadable):
        event_from(envelope(data={"appointment_id": "77", "x": odd}), received_at=RECEIVED_AT)


def test_a_fetched_event_that_holds_itself_is_unreadable() -> None:
    payload = envelope()
    payload["data"]["x"] = payload
    with pytest.raises(Unreadable):
        event_from(payload, received_at=RECEIVED_AT)


# --- For whatever may come ---

TEXTS = st.text() | st.sampled_from(["\x00", "\ud800", "2025-01-01T10:00", "America/New_York", "1698490800"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)
ENVELOPE_FIELDS = [*(name for names in ENVELOPE.values() for name in names), "event", "body"]
CREATED_FIELDS = ["date_time", "timezone", "provider_id", "provider_name", "secondary_provider_id"]
FAILED_FIELDS = ["failure_reason", "reasons", "conflict_type", "visit_type"]
FIELDS = [*ENVELOPE_FIELDS, *(name for names in DATA.values() for name in names), *CREATED_FIELDS, *FAILED_FIELDS]


def check(event: Event) -> None:
    """Assert what must hold of every event that was read."""
    assert event.occurred_at.utcoffset() == timedelta(0)
    assert event.id
    assert len(event.id) <= 200
    assert (event.confirmation is not None) == (event.kind is Kind.CREATED)
    assert (event.failure is not None) == (event.kind is Kind.FAILED)
    assert event.kind is None or event.cobalt_appointment_id
    stored = json.dumps(event.payload, ensure_ascii=False, allow_nan=False)
    stored.encode()
    for text in (stored.replace("\\\\", ""), str(event.failure), str(event.confirmation), event.id, event.type):
        assert "\x00" not in text
        assert "\\u0000" not in text


@given(st.binary())
def test_arbitrary_bytes_are_unreadable(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        read(raw)


@given(JSON)
def test_any_json_is_read_or_unreadable(value: object) -> None:
    try:
        check(read(json.dumps(value).encode()))
    except Unreadable:
        return


@given(
    st.sampled_from(sorted(SEED_PAYLOADS)), st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3), st.booleans()
)
def test_any_change_to_the_values_is_read_or_unreadable(name: str, changes: dict[str, Any], inside: bool) -> None:  # noqa: FBT001
    payload = json.loads(SEED_PAYLOADS[name])
    (payload["data"] if inside else payload).update(changes)
    for fetched in (False, True):
        try:
            check(event_from(payload, received_at=RECEIVED_AT) if fetched else read(json.dumps(payload).encode()))
        except Unreadable:
            continue


@given(st.sampled_from(sorted(SEED_PAYLOADS)), st.data())
def test_any_change_to_the_bytes_is_read_or_unreadable(name: str, data: st.DataObject) -> None:
    raw = SEED_PAYLOADS[name]
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, min(len(raw), start + 4)))
    piece = data.draw(st.binary(max_size=3) | st.sampled_from([b"\\u0000", b"\\ud800", b"1e999", b"{}", b'"', b","]))
    try:
        check(read(raw[:start] + piece + raw[end:]))
    except Unreadable:
        return


@given(st.datetimes(datetime(2000, 1, 2), datetime(2199, 12, 30)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001
def test_any_instant_written_with_any_offset_is_the_same_instant(utc: datetime, minutes: int) -> None:
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    local = utc + timedelta(minutes=minutes)
    created = f"{local.isoformat()}{sign}{hours:02}:{rest:02}"
    assert occurred_at(created) == utc.replace(tzinfo=UTC)
