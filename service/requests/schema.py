"""A request for an appointment, and a correction of one, as marshmallow schemas: for HTTP and for files."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import TYPE_CHECKING, Any, cast

from marshmallow import ValidationError, fields, pre_load, validate, validates_schema

from service.domain.comparing import comparable
from service.domain.exact_json import Exact, document, numbers
from service.domain.request_fields import FIELDS, START, read_start
from service.domain.times import FIRST_YEAR, LAST_YEAR, is_plausible
from service.errors import InvalidFieldsError
from service.requests.strict import StrictSchema

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_FIELD = 500
LONGEST_NOTE = 10_000
LONGEST_METADATA = 16_384
DEEPEST_METADATA = 20

STORABLE = r"^[^\x00]*$"
"""For the OpenAPI document; what JSON cannot express need not be forbidden there."""
TIME = r"^\s*(([01]?[0-9]|2[0-3]):[0-5][0-9]|(0?[1-9]|1[0-2]):[0-5][0-9]\s*[AaPp]\.?[Mm]\.?)\s*$"
YEAR = r"^2[01][0-9]{2}-"
DATE = YEAR + r"[0-9]{2}-[0-9]{2}$"
"""What ``read_start`` reads, in plausible years, for the OpenAPI document."""


def storable(text: str) -> None:
    """Refuse text that PostgreSQL cannot hold, or that cannot be sent on."""
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise ValidationError("must not contain NUL or half of a surrogate pair")


_MARKS = r"\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
"""Control characters, line ends, and invisible characters that no script needs: refused in fields of one line."""
_JOINERS = r"\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u200c\u200d\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
"""Invisible characters that names in some scripts contain; no name consists of them alone."""
LINE = rf"^[^{_MARKS}]*[^\s{_MARKS}{_JOINERS}][^{_MARKS}]*$"
NUMBER = rf"^[^{_MARKS}{_JOINERS}]*[^\s{_MARKS}{_JOINERS}][^{_MARKS}{_JOINERS}]*$"
"""A name, and an MRN, for the OpenAPI document."""
_IN_NO_LINE = re.compile(f"[{_MARKS}]")
_IN_NO_NUMBER = re.compile(f"[{_MARKS}{_JOINERS}]")


def one_line(text: str) -> None:
    """Refuse a name that is invisible or contains invisible characters."""
    _refuse(text, _IN_NO_LINE)


def one_number(text: str) -> None:
    """Refuse an MRN as ``one_line`` does, and one whose compared form is too long for an index."""
    _refuse(text, _IN_NO_NUMBER)
    if len(text) <= LONGEST_FIELD:
        _brief(comparable(text))


def _refuse(text: str, unseen: re.Pattern[str]) -> None:
    if found := unseen.search(text):
        name = unicodedata.name(found[0], "a control character")
        raise ValidationError(f"Must be one line without U+{ord(found[0]):04X}, {name}.")
    if text and not comparable(text):
        raise ValidationError("Must not be blank.")


_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""NUL in JSON, but not the same six characters after an escaped backslash."""


def _is_deeper(value: Any, depth: int) -> bool:  # noqa: ANN401 (JSON)
    """Return whether JSON is nested deeper than this; the reader of it is recursive."""
    if isinstance(value, dict):
        value = list(value.values())
    return isinstance(value, list) and (depth == 0 or any(_is_deeper(item, depth - 1) for item in value))


def _text(*, longest: int = LONGEST_FIELD, description: str, example: str) -> fields.String:
    return fields.String(
        allow_none=True,
        validate=[validate.Length(min=1, max=longest), storable],
        metadata={"description": description, "example": example},
    )


def _line(
    *,
    required: bool = True,
    pattern: str = LINE,
    check: Callable[[str], None] = one_line,
    description: str,
    example: str,
) -> fields.String:
    return fields.String(
        required=required,
        allow_none=not required,
        validate=[validate.Length(min=1, max=LONGEST_FIELD), storable, check],
        metadata={"description": description, "example": example, "pattern": pattern},
    )


def _part_of_start(*, description: str, example: str, **form: str) -> fields.String:
    """Declare a part of the start; ``read_start`` checks it, and its form implies its length."""
    return fields.String(
        allow_none=True,
        validate=[_brief, storable],
        metadata={"description": description, "example": example, **form},
    )


def _brief(text: str) -> None:
    if len(text) > LONGEST_FIELD:
        raise ValidationError(f"Longer than maximum length {LONGEST_FIELD}.")


def _flag(description: str) -> fields.String:
    return fields.String(
        allow_none=True,
        validate=validate.OneOf(["true", "false"]),
        metadata={"description": description, "example": "true"},
    )


def _start_errors(data: dict[str, Any]) -> dict[str, list[str]]:
    """Return what is wrong with each part of a start; ``read_start`` stops at the first."""
    errors: dict[str, list[str]] = {}
    for good in ({}, {"date": "2025-01-31"}):
        try:
            read_start(data | good)
        except ValueError as error:
            field, fix = error.args
            errors[field] = [f"This {fix}."]
    return errors


class AppointmentIn(StrictSchema):
    """A request for an appointment: Cobalt's fields, passed on untouched, and two of ours.

    A field that Cobalt does not document is refused, because it is probably a typing error.
    """

    mrn = _line(
        pattern=NUMBER, check=one_number, description="The patient's medical record number", example="123456789"
    )
    location = _line(description="The location's id at Cobalt", example="123456789")
    date = _part_of_start(description="YYYY-MM-DD; goes with `time`", example="2025-01-01", pattern=DATE, format="date")
    time = _part_of_start(
        description="`10:00` or `10:00 am`, in the clinic's time zone; goes with `date`", example="10:00", pattern=TIME
    )
    datetime = _part_of_start(
        description="The start with an offset, instead of `date` and `time`",
        example="2025-01-01T10:00:00-05:00",
        pattern=YEAR,
        format="date-time",
    )
    provider = _line(description="The provider's id or name at Cobalt", example="Dr. Smith")
    secondary_provider = _line(required=False, description="A second provider", example="Dr. Jones")
    type = _line(description="The visit type", example="new_patient")
    note = _text(longest=LONGEST_NOTE, description="A note for the appointment", example="Prefers mornings")
    reason = _text(longest=LONGEST_NOTE, description="The reason for the visit", example="Check-up")
    new_patient = _flag("Whether the patient is new to the clinic")
    prevent_double_booking = _flag("Whether Cobalt first looks for another appointment at that time")
    duration = fields.String(
        allow_none=True,
        validate=validate.Regexp(r"^[0-9]{1,4}\Z", error="Must be minutes as digits, like 30."),
        metadata={"description": "Minutes, as digits", "example": "30", "pattern": "^[0-9]{1,4}$"},
    )
    account = _text(description="The linked EHR account; required if there are several", example="clinic_1")
    metadata = fields.Dict(
        load_default=dict,
        metadata={
            "description": "The caller's own data, returned unchanged. At most "
            f"{LONGEST_METADATA} characters of JSON with its numbers written out, nested {DEEPEST_METADATA} deep",
            "example": {"order": "o-17"},
        },
    )

    @pre_load
    def only_objects(self, data: Any, **_: Any) -> Any:  # noqa: ANN401
        """Refuse a body that is not a JSON object."""
        if not isinstance(data, dict):
            raise ValidationError("The body must be a JSON object.")
        return data

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def start_is_plain(self, data: dict[str, Any], given: dict[str, Any], **_: Any) -> None:
        """Check that the start is given once and can be read, whatever is wrong with other fields."""
        if any(given.get(name) is not None and name not in data for name in START):
            return  # what a part of it is, has been judged
        pair = {name for name in ("date", "time") if data.get(name) is not None}
        if data.get("datetime") is not None:
            if pair:
                raise ValidationError("Give either `datetime` or `date` and `time`, not both.", "datetime")
        elif pair != {"date", "time"}:
            missing = "date" if "date" not in pair else "time"
            raise ValidationError("Missing: give `date` and `time`, or `datetime`.", missing)
        try:
            start = read_start(data)
        except ValueError as error:
            raise ValidationError(_start_errors(data)) from error
        if not is_plausible(start.local):
            field = "date" if data.get("datetime") is None else "datetime"
            raise ValidationError(f"Must be in the years {FIRST_YEAR} to {LAST_YEAR}.", field)

    @validates_schema(skip_on_field_errors=False)
    def metadata_is_small(self, data: dict[str, Any], **_: Any) -> None:
        """Check the caller's own data: it is stored, so it must be storable and small."""
        if "metadata" not in data:
            return
        if _is_deeper(data["metadata"], DEEPEST_METADATA):
            raise ValidationError(f"Must not be nested deeper than {DEEPEST_METADATA}.", "metadata")
        found = list(numbers(data["metadata"]))
        if not all(math.isfinite(one) or isinstance(one, Exact) for one in found):
            raise ValidationError("Must not contain NaN or Infinity.", "metadata")
        try:
            text = document(data["metadata"]).decode()
        except TypeError as error:
            raise ValidationError("Must not contain half of a surrogate pair.", "metadata") from error
        if len(text) + sum(one.written_out for one in found if isinstance(one, Exact)) > LONGEST_METADATA:
            raise ValidationError(
                f"Must be at most {LONGEST_METADATA} characters of JSON, with its numbers written out.", "metadata"
            )
        if _ESCAPED_NUL.search(text):
            raise ValidationError("Must not contain NUL.", "metadata")

    @staticmethod
    def cobalt_fields(data: dict[str, Any]) -> dict[str, Any]:
        """Pick Cobalt's fields from validated data, in Cobalt's order; those given as null are left out."""
        return {name: data[name] for name in FIELDS if data.get(name) is not None}


class CorrectionIn(AppointmentIn):
    """What to change of a failed request; load it partially. Null removes an optional field."""

    class Meta(StrictSchema.Meta):
        """As for a request, but without the EHR account and the caller's own data, which cannot be corrected."""

        exclude = ("account", "metadata")

    @validates_schema(skip_on_field_errors=True)
    def start_is_plain(self, data: dict[str, Any], **_: Any) -> None:
        """Check that something changes; the start is checked together with the fields that stay."""
        if not data:
            raise ValidationError("Name at least one field to correct, or use the address `resubmit`.")

    @validates_schema(skip_on_field_errors=True)
    def metadata_is_small(self, data: dict[str, Any], **_: Any) -> None:
        """Check nothing: a correction has no metadata."""


def check_fields(fields_: dict[str, Any]) -> dict[str, Any]:
    """Check a whole request as it would be after a correction, and return its fields.

    Raises:
        InvalidFieldsError: The corrected request would be invalid.
    """
    try:
        return AppointmentIn.cobalt_fields(cast("dict[str, Any]", AppointmentIn().load(fields_)))
    except ValidationError as error:
        raise InvalidFieldsError(
            {f"/{name}": " ".join(messages) for name, messages in error.messages_dict.items()}
        ) from error
