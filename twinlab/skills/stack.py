"""Stack what a suction cup holds: up, across above the stack, down until it stands, blow off."""

from dataclasses import dataclass

import numpy as np

from twinlab.skills import Aim, Now
from twinlab.skills._led import BLOW, SUCK, across, braked, led, sinking


@dataclass(frozen=True)
class Stack:
    """Put down from straight above.

    The aim is where the cup is when what it holds stands in its place. It is let go there, or a little above if its
    weight is gone from the wrist: then it stands already.

    Attributes:
        clear: height at which the cup moves across; there it waits until it is aligned [m].
        free: how far below that height it may begin to move across [m].
        reach: sideways error from which it goes across [m].
        align: sideways error at which it may go down [m].
        square: yaw error at which it may [rad].
        near: how far above the place it goes on slowly, and may be told by the wrist that it stands [m].
        last: how far above the place it is let go in any case [m].
        weight: what the wrist carries without what is held, behind its sensor [N].
        rest: load beyond that which does not count [N].
        slow: highest speed with which it comes to stand [m/s].
        gain: how fast errors are mended [1/s].
        brake: deceleration of the arm [m/s^2].
        speed: highest speed [m/s].
        turning: highest turning speed; it begins slowly, as what is jerked twists the cup off [rad/s].
    """

    clear: float = 0.4
    free: float = 0.08
    reach: float = 0.08
    align: float = 0.006
    square: float = 0.03
    near: float = 0.004
    last: float = 0.001
    weight: float = 3.9
    rest: float = 1.0
    slow: float = 0.025
    gain: float = 8.0
    brake: float = 2.1
    speed: float = 0.6
    turning: float = 1.2

    def act(self, now: Now, aim: Aim) -> np.ndarray:
        """Set-points of this tick; the ejector sucks until it blows off."""
        aside = float(np.linalg.norm(aim.position[:2] - now.tool[:2]))
        turned = abs((aim.yaw - now.tool[3] + np.pi) % (2 * np.pi) - np.pi)
        high, clear = float(now.tool[2] - aim.position[2]), max(self.clear, float(aim.position[2]) + self.near)
        if aside > self.reach:
            at = across(now, aim.position, clear, self.free)
            turning = self.turning * float(np.clip(1 - (clear - now.tool[2]) / self.free, 0, 1))  # not while it lies
            return np.array([*led(now, at, aim.yaw, self.gain, self.speed, self.brake, turning), SUCK])
        if high < self.last or (high < self.near and now.wrench[2] < self.weight + self.rest):
            return np.array([0.0, 0.0, 0.0, 0.0, BLOW])
        lined = aside < self.align and turned < self.square
        above = now.tool[2] > clear - self.free
        at = np.array([*aim.position[:2], clear if above else now.tool[2]])
        move = led(now, at, aim.yaw, self.gain, self.speed, self.brake, self.turning)
        if lined or high < self.near:
            fall = max(self.slow, braked(high - self.near, self.gain, self.speed, self.brake))
            move = sinking(move, fall, self.speed)
        return np.array([*move, SUCK])
