"""docs/states.md shows both state machines as their tables are."""

from __future__ import annotations

import re

from service.domain.submission import Cause
from tests.state_diagrams import PAGE, written

TEXT = PAGE.read_text()


def test_its_diagrams_and_tables_are_those_of_the_code() -> None:
    assert written(TEXT) == TEXT, "run: python -m tests.state_diagrams"
    assert TEXT.count("stateDiagram-v2") == 2


def test_it_explains_every_cause() -> None:
    explained = TEXT.partition("| cause |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| ([a-z ]+) \|", explained, re.MULTILINE) == [cause.value for cause in Cause]
