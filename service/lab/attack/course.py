"""The course of an attack: part after part on the same stack, which must still stand after each."""

from collections.abc import Callable, Iterable, Mapping

from service.lab.attack import bodies, cobalts, descriptors, events, floods, framing, guessing, leaks, logs, slow, soak
from service.lab.attack.finding import Finding
from service.lab.attack.scene import Scene
from service.lab.processes import ProcessError

ATTACKS: Mapping[str, Callable[[Scene], Iterable[Finding]]] = {
    "floods": floods.attack,
    "bodies": bodies.attack,
    "slow": slow.attack,
    "descriptors": descriptors.attack,
    "framing": framing.attack,
    "leaks": leaks.attack,
    "cobalts": cobalts.attack,
    "events": events.attack,
    "guessing": guessing.attack,
    "logs": logs.attack,
    "soak": soak.attack,
}


def run_course(scene: Scene) -> dict[str, list[Finding]]:
    """Attack; returns what each part found."""
    found: dict[str, list[Finding]] = {}
    for part in scene.plan.parts:
        scene.telling.say(f"{part}:")
        mine = found.setdefault(part, [])
        scene.restore_web()
        for finding in ATTACKS[part](scene):
            mine.append(finding)
            scene.telling.say(f"  {finding.verdict}: {finding.tried}: {finding.came}")
        try:
            scene.stack.check()
        except ProcessError as error:
            mine.append(Finding(tried=f"{part}: is all still running?", came=str(error), limit="yes", hurts=True))
            return found
    return found
