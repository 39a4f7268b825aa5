"""What tasks watch for: whether a robot runs into a fixture, whether an item sinks into one, whether it lies still."""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from twinlab.snapshot import Touch
from twinlab.tasks import Stage

DEPTH = 0.001  # penetration from which a contact is a collision [m]
REST = 0.002  # an item that moved less than this since the last tick lies still [m]
GONE = -1.0  # height below which an item has fallen off the line; nothing is below that would end its fall [m]


def hits(touches: Sequence[Touch], fixtures: Collection[str], force: float, depth: float = DEPTH) -> tuple[str, ...]:
    """The fixtures that a body runs into: touched harder than a force [N], or deeper than a depth [m].

    Args:
        touches: of the body, such as an arm, from `World.touches`.
        fixtures: bodies that stand there.
        force: sum of the normal forces on one fixture that is still gentle [N].
        depth: penetration that is still rounding [m].
    """
    load: dict[str, float] = {}
    found = []
    for _, other, push, deep in touches:
        if other not in fixtures:
            continue
        load[other] = load.get(other, 0.0) + push
        if deep > depth or load[other] > force:
            found.append(other)
    return tuple(dict.fromkeys(found))


def still(stage: Stage, item: str, last: Mapping[str, np.ndarray], rest: float = REST) -> bool:
    """Whether an item moved less than `rest` [m] since the last tick, in which it was at `last[item]` (3,).

    One that fell off the line counts as well: it lies nowhere that matters any more, and would fall for ever.
    """
    return item in last and (gone(stage, item) or math.dist(stage.poses[item][:3], last[item]) < rest)


def gone(stage: Stage, item: str) -> bool:
    """Whether an item fell off the line."""
    return bool(stage.poses[item][2] < GONE)


def positions(stage: Stage) -> dict[str, np.ndarray]:
    """Item → where it is (3,) [m]: what the next tick takes for `last`."""
    return {name: pose[:3] for name, pose in stage.poses.items()}
