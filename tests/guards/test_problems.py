"""docs/problems.md lists every problem that a caller can be answered, and says what to do about each."""

from __future__ import annotations

import re
from http import HTTPStatus
from pathlib import Path

import pytest
from werkzeug.exceptions import HTTPException

from service.web.policy.problems import problem_body

PROJECT = Path(__file__).parents[2]
DOCS = (PROJECT / "docs" / "problems.md").read_text()
ROWS = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \| (.+) \| (.+) \|$", DOCS, re.MULTILINE)
LISTED = {int(status) for _, status, _, _ in ROWS}
# What the web process answers with, and nothing that only the worker or the sandbox does.
ANSWERING = list((PROJECT / "service" / "web").rglob("*.py"))


def used() -> set[int]:
    """The statuses of errors that the code names: as a member, a number, or an exception of werkzeug's."""
    text = "\n".join(path.read_text() for path in ANSWERING)
    found = {HTTPStatus[name].value for name in re.findall(r"HTTPStatus\.([A-Z_]+)", text)}
    found |= {int(number) for number in re.findall(r"\babort\((\d{3})", text)}
    imported = re.findall(r"^from werkzeug\.exceptions import (.+)$", text, re.MULTILINE)
    raised = {name.strip() for names in imported for name in names.split(",")}
    found |= {one.code for one in HTTPException.__subclasses__() if one.__name__ in raised and one.code}
    return {status for status in found if status >= 400}


def test_every_problem_is_listed() -> None:
    assert {400, 405, 422, 503} <= used() <= LISTED


@pytest.mark.parametrize(("name", "status", "what", "remedy"), ROWS)
def test_each_is_named_as_it_is_answered(name: str, status: str, what: str, remedy: str) -> None:
    assert problem_body(int(status), "")["type"] == f"urn:cobalt-appointments:problem:{name}"
    assert what
    assert remedy


def test_none_is_listed_twice_or_in_another_form() -> None:
    statuses = [int(status) for _, status, _, _ in ROWS]
    assert statuses == sorted(set(statuses))
    assert len(ROWS) == DOCS.count("\n| `")
