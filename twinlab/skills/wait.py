"""Wait with open fingers at a place where nothing is in the way."""

from dataclasses import dataclass

import numpy as np

from twinlab.skills import Aim, Now, towards


@dataclass(frozen=True)
class Wait:
    """Go to the aim and stay there, fingers open.

    Attributes:
        gain: how fast errors are mended [1/s].
        speed: highest speed [m/s].
    """

    gain: float = 3.0
    speed: float = 0.4

    def act(self, now: Now, aim: Aim) -> np.ndarray:
        """Set-points of this tick."""
        return np.array([*towards(now, aim.position, aim.yaw, self.gain, self.speed), 0.2])
