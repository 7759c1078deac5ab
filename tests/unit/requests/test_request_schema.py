"""What a field of a request may be: the schema refuses what its document forbids, and nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from marshmallow import ValidationError

from service.requests.schema import LINE, NUMBER, one_line, one_number

UNSEEN = "\u00ad\u034f\u061c\u115f\u180e\u200b\u200d\u200f\u2028\u202e\u2060\u2066\u3164\ufe0f\ufeff\uffa0\ufff9"
texts = st.text(
    st.sampled_from(f"a1 \u00e9\u00a0\u2003\u3000\t\n\r\x07\x1c\x7f\x85{UNSEEN}") | st.characters(max_codepoint=0xFFFF),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize(("pattern", "check"), [(LINE, one_line), (NUMBER, one_number)], ids=["a name", "an MRN"])
@given(text=texts)
@example(text="12\n")
@example(text="\u3164")
@example(text="a\u200d")
def test_the_document_forbids_what_is_refused(pattern: str, check: object, text: str) -> None:
    assert callable(check)
    try:
        check(text)
    except ValidationError:
        taken = False
    else:
        taken = True
    # As ECMAScript, in which the document is written, reads it: its end is no end of a line.
    assert bool(re.search(pattern.replace("$", r"\Z"), text)) is taken
