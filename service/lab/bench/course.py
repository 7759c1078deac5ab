"""The course of a benchmark: everything in turn, round after round, so that what disturbs one disturbs all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain

from service.lab.bench.dataset import checkpoint, waiting_appointments
from service.lab.bench.figures import Board, Figure
from service.lab.bench.growth import TableSize, name_at, table_sizes
from service.lab.bench.intake import Intake
from service.lab.bench.limits import Limits
from service.lab.bench.meters import memory
from service.lab.bench.plan import Plan
from service.lab.bench.progress import Telling
from service.lab.bench.reading import Reading
from service.lab.bench.scene import Place, Scene
from service.lab.bench.starting import start_up_times
from service.lab.bench.submission import Submission

# The service cannot answer more requests a second than so many times what the empty application answers: that one
# has Flask in the way, which webhooks have not.
HEADROOM = 2.5

Step = Callable[[], Figure]


@dataclass
class Outcome:
    """What a benchmark found.

    Attributes:
        problems: what was not as it should be; speed aside.
        memory: which process, at which time -> resident megabytes of each.
        start_up: kind of process -> seconds.
        body_bytes: of an event, on average.
    """

    board: Board = field(default_factory=Board)
    problems: list[str] = field(default_factory=list)
    memory: dict[str, Sequence[float]] = field(default_factory=dict)
    start_up: Mapping[str, float] = field(default_factory=dict)
    table_sizes: Sequence[TableSize] = ()
    body_bytes: float = 0.0


def run_course(plan: Plan, scene: Scene, telling: Telling) -> Outcome:
    """Measure everything in each round. Raises BenchError when a measurement cannot be made."""
    outcome = Outcome()
    if "cost" in plan.parts:
        telling.say("starting the web process and the worker a few times")
        outcome.start_up = start_up_times(scene.stack)
    telling.say("warming up")
    limits = Limits(scene, plan)
    fastest = limits.warm_up() * HEADROOM
    intakes = [Intake(place, plan, fastest) for place in scene.places]
    for intake, place in zip(intakes, scene.places, strict=True):
        intake.warm_up()
        waiting_appointments(place.database_url, place.account, round(fastest * plan.seconds))
    outcome.body_bytes = intakes[0].body_bytes
    readings = [Reading(place, plan) for place in scene.places]
    submission = Submission(scene, plan, fastest)
    checkpoint(scene.places[0].database_url)
    outcome.memory["web process, warm"] = memory(scene.stack.webs[0])
    steps = (
        _growth_steps(scene.places, intakes, readings)
        if "growth" in plan.parts
        else _steps(plan, limits, intakes[0], submission, readings[0])
    )
    with telling.bar("measuring", plan.rounds * len(steps)) as advance:
        for number in range(1, plan.rounds + 1):
            for step in steps:
                figure = step()
                outcome.board.add(figure)
                speed = f"{figure.per_second:,.0f}/s, p99 {figure.p99:.0f} ms"
                telling.say(f"round {number} of {plan.rounds}: {figure.name}: {speed}")
                advance(1)
            for web in scene.stack.webs:
                web.check()
    outcome.memory["web process, in the end"] = memory(scene.stack.webs[0])
    outcome.memory["empty web process"] = memory(scene.empty)
    outcome.memory["worker, after each round"] = submission.worker_memory
    outcome.table_sizes = table_sizes(scene.places)
    outcome.problems += chain(submission.problems, *(one.problems for one in intakes))
    return outcome


def _steps(plan: Plan, limits: Limits, intake: Intake, submission: Submission, reading: Reading) -> list[Step]:
    steps: dict[str, list[Step]] = {
        "limits": [limits.inserted, limits.pgbench, limits.plain, limits.empty],
        "intake": [intake.new, intake.duplicates, intake.hot, intake.unmatched],
        "submission": [submission.post, submission.worker],
        "reads": [reading.one, reading.page],
    }
    if plan.smoke:
        steps |= {
            "limits": [limits.pgbench, limits.empty],
            "intake": [intake.new, intake.duplicates],
            "reads": [reading.one],
        }
    return [step for part, part_steps in steps.items() if part in plan.parts for step in part_steps]


def _growth_steps(places: Sequence[Place], intakes: Sequence[Intake], readings: Sequence[Reading]) -> list[Step]:
    """The same at every size before the next begins, so that no size has the quieter minutes."""
    by_size = [
        [
            partial(_named, step, place.size)
            for step in (
                intake.new,
                reading.one,
                reading.page,
                reading.filtered,
                reading.deep,
                reading.stats,
                reading.changes,
            )
        ]
        for place, intake, reading in zip(places, intakes, readings, strict=True)
    ]
    return [step for same in zip(*by_size, strict=True) for step in same]


def _named(step: Step, size: int) -> Figure:
    figure = step()
    return replace(figure, name=name_at(figure.name, size))
