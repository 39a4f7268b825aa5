"""Load what the gripper holds into a chuck: up, across, straight down onto its face, open."""

from dataclasses import dataclass

import numpy as np

from twinlab.skills import Aim, Now, towards


@dataclass(frozen=True)
class Load:
    """Set down upright within jaws; the aim is where the tool is when the part stands there.

    Attributes:
        clear: height at which the tool moves across [m].
        reach: sideways error up to which it may be lower than that [m].
        align: sideways error at which it may go all the way down [m].
        steep: slope of the funnel between them: how much height a sideways error is worth [1].
        near: how far above the aim it goes on slowly [m].
        depth: height error at which the fingers open [m].
        slow: speed with which it sets down [m/s].
        gain: how fast errors are mended [1/s].
        speed: highest speed [m/s].
        squeeze: closing and opening speed of the fingers [m/s].
    """

    clear: float = 0.4
    reach: float = 0.04
    align: float = 0.002
    steep: float = 10.0
    near: float = 0.01
    depth: float = 0.0015
    slow: float = 0.04
    gain: float = 5.0
    speed: float = 0.5
    squeeze: float = 0.2

    def act(self, now: Now, aim: Aim) -> np.ndarray:
        """Set-points of this tick."""
        aside = float(np.linalg.norm(aim.position[:2] - now.tool[:2]))
        low = float(aim.position[2])
        if aside > self.reach:  # up first, then across
            free = np.clip((now.tool[2] - self.clear + 0.05) / 0.04, 0.0, 1.0)
            across = now.tool[:2] + free * (aim.position[:2] - now.tool[:2])
            move = towards(now, np.array([*across, max(self.clear, low)]), aim.yaw, self.gain, self.speed)
            return np.array([*move, -self.squeeze])
        left = float(now.tool[2]) - low
        if left < self.depth and aside < 2 * self.align:
            return np.array([0.0, 0.0, 0.0, 0.0, self.squeeze])
        high = max(0.0, self.steep * (aside - self.align))
        move = towards(now, np.array([*aim.position[:2], low + high]), aim.yaw, self.gain, self.speed)
        if left < self.near + self.slow / self.gain and move[2] < 0:
            move[2] = -self.slow
        return np.array([*move, -self.squeeze])
