"""Place what the gripper holds: up, across, down into the place, open."""

from dataclasses import dataclass

import numpy as np

from twinlab.skills import Aim, Now, towards


@dataclass(frozen=True)
class Place:
    """Carry to a place and let go above it.

    Attributes:
        clear: height at which the tool carries [m].
        above: how far above the aim the fingers open [m].
        reach: sideways error at which the fingers may open [m].
        level: height error at which they may open [m].
        gain: how fast errors are mended [1/s].
        speed: highest speed [m/s].
        squeeze: closing and opening speed of the fingers [m/s].
    """

    clear: float = 0.26
    above: float = 0.0
    reach: float = 0.03
    level: float = 0.02
    gain: float = 5.0
    speed: float = 0.6
    squeeze: float = 0.2

    def act(self, now: Now, aim: Aim) -> np.ndarray:
        """Set-points of this tick."""
        aside = float(np.linalg.norm(aim.position[:2] - now.tool[:2]))
        low = aim.position[2] + self.above
        height = low if aside < 2 * self.reach else max(self.clear, low)
        at = np.array([*aim.position[:2], height])
        if aside >= 2 * self.reach:  # up first, then across
            ready = np.clip((now.tool[2] - self.clear + 0.1) / 0.06, 0.0, 1.0)
            at[:2] = now.tool[:2] + ready * (at[:2] - now.tool[:2])
        move = towards(now, at, aim.yaw, self.gain, self.speed)
        ready = aside < self.reach and now.tool[2] - low < self.level
        return np.array([*move, self.squeeze if ready else -self.squeeze])
