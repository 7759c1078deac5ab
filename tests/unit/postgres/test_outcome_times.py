"""How exactly a histogram of outcome times tells their percentiles."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.postgres.queries.outcome_times import RATIO, RELATIVE_ERROR, percentile


def bucket(seconds: float) -> int:
    return math.floor(math.log(seconds) / math.log(RATIO))


@given(
    st.lists(st.floats(min_value=0.001, max_value=1e7), min_size=1, max_size=200),
    st.sampled_from([0.5, 0.9, 0.95, 0.99]),
)
def test_a_percentile_is_off_by_at_most_what_it_says(times: list[float], share: float) -> None:
    exact = sorted(times)[max(0, math.ceil(share * len(times)) - 1)]
    found = percentile(Counter(map(bucket, times)), share)
    assert found is not None
    assert abs(found - exact) <= RELATIVE_ERROR * exact


def test_most_of_many_outcomes_say_more_than_a_few_late_ones() -> None:
    histogram = {bucket(60): 98, bucket(3600): 2}
    assert percentile(histogram, 0.5) == pytest.approx(60, rel=RELATIVE_ERROR)
    assert percentile(histogram, 0.98) == pytest.approx(60, rel=RELATIVE_ERROR)
    assert percentile(histogram, 0.99) == pytest.approx(3600, rel=RELATIVE_ERROR)


def test_there_is_no_percentile_of_no_outcomes() -> None:
    assert percentile({}, 0.5) is None
