"""The bytes of a webhook are those that JavaScript would send, and the signature is over them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from service.lab.sandbox.events import iso, new_event, sign, stringify


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"b": 1, "a": [True, None]}, b'{"b":1,"a":[true,null]}'),
        ("Zoë 李 🩺", '"Zoë 李 🩺"'.encode()),
        ("\u2028\u007f/", '"\u2028\u007f/"'.encode()),
        ('"\\\b\f\n\r\t\x00\x1f', rb'"\"\\\b\f\n\r\t\u0000\u001f"'),
        ("\ud800 \udfff", rb'"\ud800 \udfff"'),
    ],
)
def test_json_is_written_as_json_stringify_writes_it(value: object, written: bytes) -> None:
    assert stringify(value) == written


def test_the_signature_is_the_hex_hmac_sha256_of_the_body() -> None:
    # From RFC 4231, test case 2.
    signature = sign(b"what do ya want for nothing?", "Jefe")
    assert signature == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


def test_an_event_has_the_envelope_of_the_seed_in_its_order() -> None:
    event = new_event(
        account="clinic_1",
        kind="appointment.created",
        data={"mrn": "1"},
        job_id=7,
        created="2023-10-28T11:00:00Z",
        later=False,
        lost=False,
    )
    assert event.body.decode() == (
        f'{{"id":"{event.id}","access_token_reference_id":"clinic_1","object":"event",'
        '"created":"2023-10-28T11:00:00Z","type":"appointment.created","data":{"mrn":"1"}}'
    )
    assert event.id.startswith("evt_")
    assert len(event.id) == len("evt_1J9X2q2eZvKYlo2Cmnopqr")


@pytest.mark.parametrize(("job_id", "written"), [(7, "7"), (None, None)])
def test_the_later_shape_names_the_job_as_a_string_if_there_is_one(job_id: int | None, written: str | None) -> None:
    event = new_event(
        account="a", kind="appointment.created", data={}, job_id=job_id, created="", later=True, lost=False
    )
    assert event.content.get("job_id") == written


def test_moments_are_written_in_utc_to_the_second_or_the_millisecond() -> None:
    moment = datetime(2025, 1, 1, 10, 0, 0, 123456, tzinfo=timezone(timedelta(hours=-5)))
    assert iso(moment, "seconds") == "2025-01-01T15:00:00Z"
    assert iso(moment.astimezone(UTC), "milliseconds") == "2025-01-01T15:00:00.123Z"
