"""What the pages under docs name is there, and their lists are complete."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from service.domain.arrivals import Source
from service.domain.states import Disposition, Status
from service.domain.submission import Submission

PROJECT = Path(__file__).parents[2]
DOCS = PROJECT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), PROJECT / "CONTRIBUTING.md", PROJECT / "SECURITY.md"]
DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))
ROW = re.compile(r"^\| \[(\d{4})]\(([\w.-]+)\) \| (.+) \| (\d{4}-\d\d-\d\d) \| (.+) \|$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_names_files_that_there_are(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), target
    for name in re.findall(r"`((?:service|migrations|deploy|tests|docs)/[\w./-]+)`", text):
        assert (PROJECT / name).exists(), name


def test_decisions_are_numbered_and_say_the_four_things() -> None:
    assert [page.name[:4] for page in DECISIONS] == [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]
    for page in DECISIONS:
        headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
        assert headings == ["What", "Why", "What was measured", "What it costs"], page.name


def test_the_index_of_decisions_has_each_with_its_title() -> None:
    index = (DOCS / "decisions" / "README.md").read_text()
    listed = [(number, name, title) for number, name, title, _, _ in ROW.findall(index)]
    titles = [page.read_text().splitlines()[0].removeprefix("# ") for page in DECISIONS]
    assert listed == [(page.name[:4], page.name, title) for page, title in zip(DECISIONS, titles, strict=True)]


def test_the_index_of_decisions_says_which_are_in_force() -> None:
    rows = ROW.findall((DOCS / "decisions" / "README.md").read_text())
    dates = [date.fromisoformat(day) for _, _, _, day, _ in rows]
    assert dates == sorted(dates)
    for number, _, _, _, status in rows:
        assert re.fullmatch(r"in force|(?:amended|superseded) by \d{4}(?:, \d{4})*", status), number
        assert all(number < later <= rows[-1][0] for later in re.findall(r"\d{4}", status)), number


def test_decisions_name_each_other_by_numbers_that_there_are() -> None:
    known = {page.name[:4] for page in DECISIONS}
    for page in DECISIONS:
        named = set(re.findall(r"(?<![\w`.,])(00\d\d)(?![\d`])", page.read_text()))
        assert named <= known, page.name


def test_the_glossary_is_sorted_and_explains_every_state() -> None:
    page = (DOCS / "glossary.md").read_text()
    words = re.findall(r"^\| (?!word )([^-|][^|]*) \| ", page, re.MULTILINE)
    assert len(words) > 20
    assert words == sorted(words, key=str.lower)
    for kind in (Status, Submission, Disposition, Source):
        assert {f"`{one.value}`" for one in kind} <= set(re.findall(r"`[^`]+`", page)), kind
