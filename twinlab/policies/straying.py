"""The expert, but now and then it strays or halts: it shows a model parts without the arm that follows them."""

from dataclasses import dataclass, field

import numpy as np

from twinlab.language import Meaning
from twinlab.policies._acting import Acting, Hand
from twinlab.readings import Readings
from twinlab.scene import SceneSpec, read_scene
from twinlab.skills import Aim


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
        self._acting = Acting(self.spec)

    def reset(self, seed: int, meaning: Meaning) -> None:
        """Begin as the expert; the seed fixes when and where it strays."""
        self._rng = np.random.default_rng([seed, 3])
        self._left, self._aims = 0, {hand.arm: hand.home for hand in self._acting.hands}

    def __call__(self, readings: Readings) -> np.ndarray:
        """Set-points (actuator,) of this tick."""
        tick = self.spec.physics.tick
        if self._left == 0 and self._rng.random() < tick / self.every:
            self._left = int(self._rng.uniform(0.3, self.longest) / tick)
            self._aims = {hand.arm: self._elsewhere(hand, readings) for hand in self._acting.hands}
        action = self._acting(readings, readings)
        if self._left == 0:
            return action
        self._left -= 1
        for hand in self._acting.hands:
            wish = self._acting.waiting(hand, readings, self._aims[hand.arm])
            wish[4:] *= self._left % 2  # fingers neither let go at once nor stay shut
            action[list(hand.numbers)] = wish
        return action

    def _elsewhere(self, hand: Hand, readings: Readings) -> Aim:
        place = self._rng.uniform(self.low, self.high)
        halts = self._rng.random() < 0.4
        return Aim(hand.now(readings).tool[:3] if halts else place, float(self._rng.uniform(-0.7, 0.7)))
