"""Grip a handle in front of a tool that looks ahead: line up off it, come on, close."""

from dataclasses import dataclass

import numpy as np

from twinlab.skills import Aim, Now
from twinlab.skills._slack import mended


@dataclass(frozen=True)
class Grip:
    """Come to a handle along the way that the tool looks, and close the fingers on it.

    A hand that is at the wall but not lined up with the aim opens first, then backs off; only then it moves sideways
    or turns, so that it neither hits nor turns what it leaves. One that has begun to close goes on under wider errors.
    The wrist's yaw has a range with two ends: it never goes the short way across them.

    Attributes:
        heading: the level heading that the tool looks along [rad].
        off: how far off the aim the hand lines up [m].
        clear: how far off it may move sideways and turn [m].
        align: sideways error at which the hand may come on [m].
        square: yaw error at which it may come on [rad].
        depth: error along the way at which the fingers may close [m].
        ease: by which factor these errors may be wider once it closes [1].
        slack: error that is not mended while it closes, so that fingers that hold do not drag the hand along [m].
        wide: opening at which a hand at the wall may back off [m].
        gain: how fast errors are mended [1/s].
        speed: highest speed [m/s].
        creep: highest speed while it closes [m/s].
        turning: highest turning speed [rad/s].
        squeeze: closing speed of the fingers [m/s].
        open: their opening speed [m/s].
    """

    heading: float = 0.0
    off: float = 0.11
    clear: float = 0.08
    align: float = 0.012
    square: float = 0.12
    depth: float = 0.006
    ease: float = 2.0
    slack: float = 0.002
    wide: float = 0.06
    gain: float = 5.0
    speed: float = 0.4
    creep: float = 0.05
    turning: float = 1.8
    squeeze: float = 0.1
    open: float = 0.2

    def act(self, now: Now, aim: Aim) -> np.ndarray:
        """Set-points of this tick; fingers close once the handle is between them and are open before."""
        way = np.array([np.cos(self.heading), np.sin(self.heading), 0.0])
        left = aim.position - now.tool[:3]
        ahead = float(left @ way)
        aside = left - ahead * way
        turn = aim.yaw - now.tool[3]
        ease = self.ease if now.width < self.wide else 1.0
        lined = float(np.linalg.norm(aside)) < ease * self.align and abs(turn) < ease * self.square
        if lined and abs(ahead) < ease * self.depth:
            return np.array([*mended(left, self.slack, self.gain, self.creep), 0.0, -self.squeeze])
        if lined:
            wish, free = ahead, 1.0
        else:
            wish = ahead - self.off if ahead >= self.clear or now.width > self.wide else 0.0
            free = float(np.clip((ahead - self.clear) / 0.02, 0, 1))
        velocity = self.gain * (wish * way + free * aside)
        velocity *= min(1.0, self.speed / max(float(np.linalg.norm(velocity)), 1e-9))
        spin = free * float(np.clip(self.gain * turn, -self.turning, self.turning))
        return np.array([*velocity, spin, self.open])
