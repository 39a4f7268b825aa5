"""The expert, but now and then it strays or halts: it shows a model parts without the arm that follows them."""

from dataclasses import dataclass, field

import numpy as np

from twinlab import rooms
from twinlab.language import Meaning
from twinlab.policies.expert import Expert
from twinlab.readings import Readings
from twinlab.scene import SceneSpec, read_scene
from twinlab.skills import Aim, Now, Skill


@dataclass
class Straying:
    """Acts by truth as the expert does, and in between goes to random places or halts for a while.

    A model that has only seen the expert believes that a part is where the arm goes (causal confusion, de Haan et al.
    2019). Recorded with the expert as its teacher, these runs show parts without the arm, and the way back.

    Attributes:
        spec: the line.
        every: mean time from one straying to the next [s].
        longest: how long it strays at most [s].
        low, high: corners of the space in which it strays [m].
    """

    spec: SceneSpec = field(default_factory=lambda: read_scene("sorting"))
    every: float = 3.0
    longest: float = 4.0
    low: tuple[float, float, float] = (0.4, -0.1, 0.12)
    high: tuple[float, float, float] = (0.6, 0.45, 0.32)
    sees_truth: bool = True
    sees_pictures: bool = False

    def __post_init__(self) -> None:
        self._expert = Expert(self.spec)
        self._wait: Skill = rooms.build("skills", "wait")

    def reset(self, seed: int, meaning: Meaning) -> None:
        """Begin as the expert; the seed fixes when and where it strays."""
        self._expert.reset(seed, meaning)
        self._rng = np.random.default_rng([seed, 3])
        self._left, self._aim = 0, Aim(np.zeros(3))

    def __call__(self, readings: Readings) -> np.ndarray:
        """Set-points (5,) of this tick."""
        now, tick = Now(readings["tcp"].astype(float), float(readings["width"])), self.spec.physics.tick
        if self._left == 0 and self._rng.random() < tick / self.every:
            self._left = int(self._rng.uniform(0.3, self.longest) / tick)
            place = self._rng.uniform(self.low, self.high)
            self._aim = Aim(now.tool[:3] if self._rng.random() < 0.4 else place, float(self._rng.uniform(-0.7, 0.7)))
        if self._left == 0:
            return self._expert(readings)
        self._left -= 1
        action = self._wait.act(now, self._aim)
        action[4] *= self._left % 2  # fingers neither let go at once nor stay shut
        return action
