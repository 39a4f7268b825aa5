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

    A model that has only seen the expert believes that a part is where the arm goes, and that it belongs where the arm
    carries it (causal confusion, de Haan et al. 2019). Recorded with the expert as its teacher, these runs show parts
    without the arm, parts carried to the wrong place, and the way back. It strays to somewhere around its home, over
    one of the line's places, or halts; what it holds it keeps in half of the cases and may lose in the others.

    Where there is no arm it strays all the time, by its devices' set-points: a model that has only seen true verdicts
    reads off the last one what a part is, and in closed loop believes itself (delusion, Ortega et al. 2021).

    Attributes:
        spec: the line.
        every: mean time from one straying to the next [s].
        longest: how long it strays at most [s].
        around: how far beside its home, or beside a point above a place, an arm strays at most, in x, y and z [m].
    """

    spec: SceneSpec = field(default_factory=lambda: read_scene("sorting"))
    every: float = 3.0
    longest: float = 4.0
    around: tuple[float, float, float] = (0.1, 0.27, 0.1)
    sees_truth: bool = True
    sees_pictures: bool = False

    def __post_init__(self) -> None:
        self._acting = Acting(self.spec)
        self._devices = () if self._acting.hands else self.spec.actuators
        regions = (body.region() for body in self.spec.bodies.values())
        self._places = [np.array([*r.centre[:2], r.high[2]]) for r in regions if r is not None]

    def reset(self, seed: int, meaning: Meaning) -> None:
        """Begin as the expert; the seed fixes when and where it strays."""
        self._rng = np.random.default_rng([seed, 3])
        self._left, self._keeps = 0, False
        self._aims = {hand.arm: hand.home for hand in self._acting.hands}

    def __call__(self, readings: Readings) -> np.ndarray:
        """Set-points (actuator,) of this tick."""
        tick = self.spec.physics.tick
        if self._left == 0 and (not self._acting.hands or self._rng.random() < tick / self.every):
            self._left = int(self._rng.uniform(0.3, self.longest) / tick)
            self._keeps = bool(self._rng.random() < 0.5)
            self._aims = {hand.arm: self._elsewhere(hand, readings) for hand in self._acting.hands}
            self._wrong = np.array([self._rng.uniform(a.low, a.high) for a in self._devices])
        if not self._acting.hands:
            self._left -= 1
            return self._wrong
        action = self._acting(readings, readings)
        if self._left == 0:
            return action
        self._left -= 1
        for hand in self._acting.hands:
            wish = self._acting.waiting(hand, readings, self._aims[hand.arm])
            fingers = action[list(hand.numbers)][4:]
            wish[4:] = fingers if self._keeps else wish[4:] * (self._left % 2)  # neither let go at once nor stay shut
            action[list(hand.numbers)] = wish
        return action

    def _elsewhere(self, hand: Hand, readings: Readings) -> Aim:
        case, yaw = self._rng.random(), float(self._rng.uniform(-0.7, 0.7))
        away = self._rng.uniform(-1, 1, 3) * self.around
        if case < 0.3:
            return Aim(hand.now(readings).tool[:3], yaw)
        if case < 0.6 and self._places:
            place = self._places[int(self._rng.integers(len(self._places)))]
            return Aim(place + np.array([0.2, 0.2, 1.0]) * away + np.array([0.0, 0.0, 0.1]), yaw)
        return Aim(hand.home.position + away, yaw)
