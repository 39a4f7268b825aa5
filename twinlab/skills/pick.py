"""Pick an item that may move: hover above it, come down along a funnel, close when it is between the fingers."""

from dataclasses import dataclass

import numpy as np

from twinlab.skills import Aim, Now, towards


@dataclass(frozen=True)
class Pick:
    """Pick by friction between two fingers.

    Attributes:
        hover: how far above the item the tool waits until it is aligned [m].
        steep: slope of the funnel: how much height a sideways error is worth [1].
        align: sideways error at which the tool may be all the way down [m].
        depth: height error at which the fingers may close [m].
        lead: how far ahead a moving item is aimed at, the robot's own lag [s].
        gain: how fast errors are mended [1/s].
        speed: highest speed towards the item, beyond its own [m/s].
        squeeze: closing speed of the fingers [m/s].
    """

    hover: float = 0.1
    steep: float = 5.0
    align: float = 0.008
    depth: float = 0.008
    lead: float = 0.06
    gain: float = 5.0
    speed: float = 0.5
    squeeze: float = 0.2

    def act(self, now: Now, aim: Aim) -> np.ndarray:
        """Set-points of this tick; fingers close once the item is between them and are open before."""
        velocity = np.array(aim.velocity)
        at = aim.position + self.lead * velocity
        aside = float(np.linalg.norm(at[:2] - now.tool[:2]))
        turned = abs((aim.yaw - now.tool[3] + np.pi) % (2 * np.pi) - np.pi)
        high = np.clip(self.steep * (aside - self.align) + 0.3 * max(0.0, turned - 0.1), 0.0, self.hover)
        move = towards(now, at + np.array([0, 0, high]), aim.yaw, self.gain, self.speed)
        move[:3] += velocity
        ready = aside < 2 * self.align and abs(now.tool[2] - at[2]) < self.depth
        return np.array([*move, -self.squeeze if ready else self.squeeze])
