"""docs/states.md shows the three state machines as their tables are."""

from __future__ import annotations

import re

from service.domain import account_health
from service.domain.submission import Cause
from tests.state_diagrams import PAGE, written

TEXT = PAGE.read_text()


def test_its_diagrams_and_tables_are_those_of_the_code() -> None:
    assert written(TEXT) == TEXT, "run: python -m tests.state_diagrams"
    assert TEXT.count("stateDiagram-v2") == 3


def test_it_explains_every_cause() -> None:
    for causes, part in zip((Cause, account_health.Cause), TEXT.split("| cause |")[1:], strict=True):
        explained = re.findall(r"^\| ([a-z ]+) \|", part.partition("\n\n")[0], re.MULTILINE)
        assert explained == [cause.value for cause in causes]
