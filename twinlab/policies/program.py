"""The rigid program: the task's steps at the nominal line's times and places, without perception."""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from twinlab.cell import Cell
from twinlab.language import Meaning
from twinlab.policies._acting import Acting
from twinlab.policies.expert import Expert
from twinlab.readings import Readings
from twinlab.scene import SceneSpec, read_scene
from twinlab.tasks import order_names


@dataclass
class Program:
    """What a teach-in programmer would leave behind: it is right as long as the line is as planned.

    It was taught on the nominal line: at each tick it runs the step that the expert ran there at that time, on what the
    expert acted on there. Of the readings it uses only the robot's own pose, gripper and wrist, as any robot controller
    does.

    Attributes:
        spec: the line; its nominal form is what the program was written for.
    """

    spec: SceneSpec = field(default_factory=lambda: read_scene("sorting"))
    sees_truth: bool = False
    sees_pictures: bool = False

    def __post_init__(self) -> None:
        self._acting = Acting(self.spec)

    def reset(self, seed: int, meaning: Meaning) -> None:
        """Begin at the program's first line."""
        self._tick = 0
        self._taught = taught(self.spec.vary(0).ideal())

    def __call__(self, readings: Readings) -> np.ndarray:
        """Set-points (actuator,) of this tick."""
        orders = self._taught.row(self._tick)
        self._tick += 1
        return self._acting(readings, orders)


class Taught:
    """The orders of a run of the expert on a nominal line, tick by tick, as far as they were asked for.

    Args:
        spec: the nominal line.
    """

    def __init__(self, spec: SceneSpec) -> None:
        self._cell = Cell(spec, without=spec.pictures)
        self._expert, self._names = Expert(spec), order_names(spec.task)
        self._readings = self._cell.reset(0)
        self._rows: list[dict[str, np.ndarray]] = []

    def row(self, tick: int) -> dict[str, np.ndarray]:
        """The orders of a tick."""
        while len(self._rows) <= tick:
            seen = {**self._readings, **self._cell.truth}
            self._rows.append({name: seen[name] for name in self._names})
            self._readings = self._cell.step(self._expert(seen))
        return self._rows[tick]


@lru_cache(maxsize=8)
def taught(spec: SceneSpec) -> Taught:
    """The same for a line whose program was run before in this process."""
    return Taught(spec)
