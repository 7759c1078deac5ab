"""What the tests against PostgreSQL share: an engine, and a Cobalt in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fake_cobalt import FakeCobalt
from tests.records import open_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A pool of connections to the test's own database."""
    with open_engine(database_url) as engine:
        yield engine


@pytest.fixture
def cobalt() -> FakeCobalt:
    """A Cobalt in memory, that says what a test makes it say."""
    return FakeCobalt()
