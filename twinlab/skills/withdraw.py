"""Withdraw a suction cup: blow off, straight up, then to where the next item is awaited."""

from dataclasses import dataclass

import numpy as np

from twinlab.skills import Aim, Now
from twinlab.skills._led import BLOW, across, led


@dataclass(frozen=True)
class Withdraw:
    """Go up, then across to the aim; what is not held is let go.

    Attributes:
        reach: sideways error from which the cup goes up first [m].
        free: how far below the aim's height it may begin to move across [m].
        gain: how fast errors are mended [1/s].
        brake: deceleration of the arm [m/s^2].
        speed: highest speed [m/s].
    """

    reach: float = 0.08
    free: float = 0.02
    gain: float = 8.0
    brake: float = 2.1
    speed: float = 0.6

    def act(self, now: Now, aim: Aim) -> np.ndarray:
        """Set-points of this tick; the ejector blows."""
        aside = float(np.linalg.norm(aim.position[:2] - now.tool[:2]))
        at = across(now, aim.position, float(aim.position[2]), self.free) if aside > self.reach else aim.position
        return np.array([*led(now, at, aim.yaw, self.gain, self.speed, self.brake), BLOW])
