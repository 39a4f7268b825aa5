"""Turn what the hand holds about the way that the tool looks."""

from dataclasses import dataclass

import numpy as np

from twinlab.skills import Aim, Now
from twinlab.skills._slack import mended


@dataclass(frozen=True)
class Turn:
    """Turn to the aim's yaw with closed fingers, and stay in place: within the slack the spindle leads the hand.

    The wrist's yaw has a range with two ends: it never goes the short way across them.

    Attributes:
        gain: how fast errors are mended [1/s].
        turning: highest turning speed [rad/s].
        slack: error of the position that is not mended [m].
        creep: highest speed with which the rest of it is [m/s].
        squeeze: closing speed of the fingers [m/s].
    """

    gain: float = 4.0
    turning: float = 1.0
    slack: float = 0.002
    creep: float = 0.05
    squeeze: float = 0.2

    def act(self, now: Now, aim: Aim) -> np.ndarray:
        """Set-points of this tick."""
        back = mended(aim.position - now.tool[:3], self.slack, self.gain, self.creep)
        spin = float(np.clip(self.gain * (aim.yaw - now.tool[3]), -self.turning, self.turning))
        return np.array([*back, spin, -self.squeeze])
