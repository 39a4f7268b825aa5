"""Take an item with a suction cup: across above it, down onto its face, press lightly until the cup has sealed."""

from dataclasses import dataclass

import numpy as np

from twinlab.skills import Aim, Now
from twinlab.skills._led import BLOW, SUCK, across, braked, led, sinking


@dataclass(frozen=True)
class Suck:
    """Press a cup that sucks onto a face from above.

    The aim is where the cup's mouth is to be. Near the face the cup goes down by force: it presses with `push`.

    Attributes:
        clear: height at which the cup moves across [m].
        free: how far below that height it may begin to [m].
        reach: sideways error from which it does so [m].
        hover: how far above the face it waits until it is aligned [m].
        align: sideways error at which it may go down [m].
        square: yaw error at which it may [rad].
        near: how far above the face it goes on slowly [m].
        push: force that it presses with [N].
        weight: what the wrist carries besides, behind its sensor [N].
        give: speed for each newton that is too much or too little [m/s/N].
        slow: highest speed with which the face is met [m/s].
        gentle: highest speed once the lip lies on it [m/s].
        lip: how far the lip stands out [m].
        gain: how fast errors are mended [1/s].
        brake: deceleration of the arm [m/s^2].
        speed: highest speed [m/s].
    """

    clear: float = 0.31
    free: float = 0.02
    reach: float = 0.08
    hover: float = 0.04
    align: float = 0.006
    square: float = 0.05
    near: float = 0.004
    push: float = 8.0
    weight: float = 3.9
    give: float = 0.003
    slow: float = 0.025
    gentle: float = 0.004
    lip: float = 0.0015
    gain: float = 8.0
    brake: float = 2.1
    speed: float = 0.6

    def act(self, now: Now, aim: Aim) -> np.ndarray:
        """Set-points of this tick; the ejector sucks once the cup is near."""
        aside = float(np.linalg.norm(aim.position[:2] - now.tool[:2]))
        high = float(now.tool[2] - aim.position[2])
        if aside > self.reach:
            at = across(now, aim.position, max(self.clear, aim.position[2] + self.hover), self.free)
            return np.array([*led(now, at, aim.yaw, self.gain, self.speed, self.brake), BLOW])
        turned = abs((aim.yaw - now.tool[3] + np.pi) % (2 * np.pi) - np.pi)
        lined = aside < self.align and turned < self.square
        at = aim.position + np.array([0, 0, 0 if lined else self.hover])
        move = led(now, at, aim.yaw, self.gain, self.speed, self.brake)
        if lined and high < self.near:
            pressed = self.weight - now.wrench[2]
            touches = high < self.lip  # then it must neither rub nor turn
            most = self.gentle if touches else self.slow
            move *= 0.0 if touches else 0.5
            move[2] = np.clip(self.give * (pressed - self.push), -most, most)
        elif lined:
            fall = max(self.slow, braked(high - self.near, self.gain, self.speed, self.brake))
            move = sinking(move, fall, self.speed)
        return np.array([*move, SUCK if high < 2 * self.hover else BLOW])
