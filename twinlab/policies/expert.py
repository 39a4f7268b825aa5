"""The task's steps on truth: what the line could do if everything were known."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twinlab import rooms
from twinlab.language import Meaning
from twinlab.readings import Readings
from twinlab.scene import SceneSpec, read_scene
from twinlab.skills import Aim, Now, Skill


@dataclass
class Expert:
    """Picks and places by the twin's truth; it says so by `sees_truth`.

    It keeps nothing from tick to tick: what it does follows from the readings and the truth of the moment.

    Attributes:
        spec: the line.
    """

    spec: SceneSpec = field(default_factory=lambda: read_scene("sorting"))
    sees_truth: bool = True
    sees_pictures: bool = False

    def __post_init__(self) -> None:
        self._skills: dict[str, Skill] = {s.what: rooms.build("skills", s.skill) for s in self.spec.task.steps()}
        self._wait: Skill = rooms.build("skills", "wait")
        task: Any = self.spec.task
        belt: Any = self.spec.bodies[task.belt]
        arm: Any = self.spec.bodies["arm"]
        self._direction, self._home = belt.direction(), np.array(arm.home[:3])

    def reset(self, seed: int, meaning: Meaning) -> None:
        """Nothing to forget: the goal comes with the truth."""

    def __call__(self, readings: Readings) -> np.ndarray:
        """Set-points (5,): bring what is held to its goal, else get the target, else wait."""
        now = Now(readings["tcp"].astype(float), float(readings["width"]))
        if readings["target_held"]:
            return self._skills["goal"].act(now, Aim(readings["goal"].astype(float)))
        if readings["target_present"]:
            x, y, z, cos, sin = readings["target"].astype(float)
            velocity = float(readings["encoder"][1]) * self._direction
            return self._skills["target"].act(now, Aim(np.array([x, y, z]), float(np.arctan2(sin, cos) / 4), velocity))
        return self._wait.act(now, Aim(self._home))
