"""Press a button with closed fingers: across above it, down along a funnel, slowly on."""

from dataclasses import dataclass

import numpy as np

from twinlab.skills import Aim, Now, towards


@dataclass(frozen=True)
class Press:
    """Push down what the aim is the face of; the fingertips push.

    Attributes:
        hover: how far above the face the tool comes across [m].
        steep: slope of the funnel: how much height a sideways error is worth [1].
        align: sideways error at which it may go down [m].
        shut: opening at which the fingers count as closed [m].
        near: how far above the face it goes on slowly [m].
        deep: how far below the face it pushes [m].
        tip: how far the fingertips reach beyond the tool's point [m].
        slow: speed with which it pushes [m/s].
        gain: how fast errors are mended [1/s].
        speed: highest speed [m/s].
        squeeze: closing speed of the fingers [m/s].
    """

    hover: float = 0.25
    steep: float = 3.0
    align: float = 0.005
    shut: float = 0.004
    near: float = 0.01
    deep: float = 0.006
    tip: float = 0.0
    slow: float = 0.03
    gain: float = 5.0
    speed: float = 0.5
    squeeze: float = 0.2

    def act(self, now: Now, aim: Aim) -> np.ndarray:
        """Set-points of this tick; the fingers are closed before they touch."""
        aside = float(np.linalg.norm(aim.position[:2] - now.tool[:2]))
        face = aim.position[2] + self.tip
        high = float(np.clip(self.steep * (aside - self.align), self.near, self.hover))
        if aside < self.align and now.width < self.shut:
            high = -self.deep
        move = towards(now, np.array([*aim.position[:2], face + high]), aim.yaw, self.gain, self.speed)
        if now.tool[2] - face < self.near + self.slow / self.gain:
            move[2] = max(move[2], -self.slow)
        return np.array([*move, -self.squeeze])
