"""Medians and ratios of the benchmark."""

import pytest
from click.testing import CliRunner

from service.cli import cli
from service.cobalt.signing import verify
from service.lab.bench.figures import Board, Figure, figure_of
from service.lab.bench.generator import Load
from service.lab.bench.pgbench import load_of
from service.lab.bench.requests import Events, Waiting, body_of


def figure(name: str, per_second: float, **costs: float) -> Figure:
    return Figure(name=name, per_second=per_second, p50=1, p95=2, p99=3, max=4, costs=costs)


def test_a_ratio_is_the_median_of_the_rounds_and_not_the_ratio_of_medians() -> None:
    board = Board()
    # The machine slowed down in the second round and all but stopped in the third.
    for ours, limit in ((50, 100), (30, 50), (1, 4)):
        board.add(figure("ours", ours))
        board.add(figure("limit", limit))

    assert board.ratio("ours", "limit") == 0.5
    assert board.ratio("ours", "never measured") is None


def test_medians_take_each_number_by_itself() -> None:
    board = Board()
    for per_second, cost in ((10, 3.0), (30, 1.0), (20, 2.0)):
        board.add(figure("ours", per_second, cpu=cost))

    (median,) = board.medians()

    assert (median.per_second, median.costs) == (20, {"cpu": 2.0})


def test_what_was_refused_does_not_count_as_done() -> None:
    load = Load(answered=100, seconds=2, p50=1, p95=1, p99=1, max=1, refused=20, broken=3)

    found = figure_of("ours", load)

    assert (found.per_second, found.refused) == (40, 23)


def test_percentiles_are_those_of_the_waits() -> None:
    load = load_of([float(wait) for wait in range(1, 102)], seconds=2)

    assert (load.answered, load.p50, load.p95, load.p99, load.max) == (101, 51, 96, 100, 101)


@pytest.mark.parametrize("count", [1, 500])
def test_every_event_has_its_own_id_and_a_good_signature(count: int) -> None:
    events = Events("whsec", "clinic_1")

    requests = [*events.created([Waiting("1", "2")] * count), *events.failed(Waiting("1", "2"), count)]

    bodies = [body_of(one) for one in requests]
    assert len(set(bodies)) == 2 * count
    for request, body in zip(requests, bodies, strict=True):
        head = request.decode().split("\r\n\r\n")[0]
        signature = dict(line.split(": ") for line in head.splitlines()[1:])["cobalt-verification"]
        assert verify(body, signature, ["whsec"])
        assert f"Content-Length: {len(body)}" in head


@pytest.mark.parametrize("parts", ["intake,nonsense", "growth,limits"])
def test_parts_that_make_no_sense_are_refused(parts: str) -> None:
    done = CliRunner().invoke(cli, ["bench", "--parts", parts])

    assert done.exit_code == 2
    assert "Invalid value" in done.stderr
