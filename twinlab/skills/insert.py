"""Insert what the gripper holds: up, across, down to the rim, in by force, open at the bottom, straight up again."""

from dataclasses import dataclass

import numpy as np

from twinlab.skills import Aim, Now, towards


@dataclass(frozen=True)
class Insert:
    """Push a peg into a hole, pressing gently and giving way sideways.

    The aim is where the tool is when the peg stands on the bottom of its hole, its velocity how to search. Above the
    rim the tool goes to the aim; once it feels the rim it goes as the search goes, and where chamfers and walls push it
    (admittance control, Whitney 1982): the spring of a compliant arm does the rest.

    Attributes:
        depth: of the hole [m].
        width: opening of the fingers that hold the peg [m].
        loose: how much wider they are when they hold it no more [m].
        clear: how far above the rim the peg's end is carried [m].
        near: how far above the rim the peg goes on slowly [m].
        within: how far below the rim the walls lead it [m].
        last: how far above the bottom it may be let go, once it resists [m].
        resist: force that tells rim and bottom, as a share of `push` [1].
        align: sideways error at which the peg may go down to the rim [m].
        reach: sideways error from which it is carried [m].
        push: force that it is pressed down with [N].
        weight: what the wrist carries besides, hand and peg [N].
        dull: sideways force that friction and the sensor's zero explain, which is not yielded to [N].
        give: speed for each newton that is too much or too little [m/s/N].
        slow: highest speed with which rim and bottom are met [m/s].
        quick: highest speed between them [m/s].
        gain: how fast errors are mended [1/s].
        speed: highest speed [m/s].
        squeeze: closing and opening speed of the fingers [m/s].
    """

    depth: float = 0.025
    width: float = 0.016
    loose: float = 0.003
    clear: float = 0.06
    near: float = 0.004
    within: float = 0.0015
    last: float = 0.002
    resist: float = 0.5
    align: float = 0.002
    reach: float = 0.02
    push: float = 6.0
    weight: float = 10.7
    dull: float = 1.0
    give: float = 0.004
    slow: float = 0.006
    quick: float = 0.015
    gain: float = 5.0
    speed: float = 0.4
    squeeze: float = 0.2

    def act(self, now: Now, aim: Aim) -> np.ndarray:
        """Set-points of this tick."""
        aside = float(np.linalg.norm(aim.position[:2] - now.tool[:2]))
        high = now.tool[2] - aim.position[2] - self.depth
        if now.width > self.width + self.loose and aside > self.reach:  # it is not held yet
            return np.array([0, 0, 0, 0, -self.squeeze])
        if now.width > self.width + self.loose:  # it was let go
            above = np.array([*now.tool[:2], aim.position[2] + self.depth + self.clear])
            return np.array([*towards(now, above, now.tool[3], self.gain, self.speed), self.squeeze])
        if high > self.near or aside > self.reach:
            return np.array([*self._brought(now, aim, aside, high), -self.squeeze])
        pressed = self.weight - now.wrench[2]
        there = high < self.last - self.depth and pressed > self.resist * self.push
        return np.array([*self._pressed(now, aim, high, pressed), self.squeeze if there else -self.squeeze])

    def _brought(self, now: Now, aim: Aim, aside: float, high: float) -> np.ndarray:
        """Up first, then across, then down along a funnel (4,)."""
        rim = aim.position[2] + self.depth
        at = np.array([*aim.position[:2], rim + self.clear])
        if aside > self.reach:
            ready = np.clip((high - self.clear) / 0.02 + 1, 0.0, 1.0)
            at[:2] = now.tool[:2] + ready * (at[:2] - now.tool[:2])
            return towards(now, at, aim.yaw, self.gain, self.speed)
        turned = abs((aim.yaw - now.tool[3] + np.pi) % (2 * np.pi) - np.pi)
        off = max(0.0, aside - self.align) + 0.05 * max(0.0, turned - 0.005)
        at[2] = rim + min(self.clear, self.near + 5 * off) - self.slow / self.gain * (off == 0)
        return towards(now, at, aim.yaw, self.gain, self.speed)

    def _pressed(self, now: Now, aim: Aim, high: float, pressed: float) -> np.ndarray:
        """Down by force; to the aim until the rim is felt, then as the search goes and as walls push (4,)."""
        felt = pressed > self.resist * self.push or high < -self.within
        move = np.array([*aim.velocity[:2], 0.0, 0.0])
        if not felt:
            move = towards(now, np.array([*aim.position[:2], now.tool[2]]), aim.yaw, self.gain, self.slow)
        beside = float(np.linalg.norm(now.wrench[:2]))
        yielded = self.give * now.wrench[:2] * max(0.0, 1 - self.dull / max(beside, 1e-9))
        move[:2] = np.clip(move[:2] - yielded, -self.slow, self.slow)
        free = -self.within > high > 2 * self.last - self.depth  # neither rim nor bottom can be hit
        fastest = self.quick if free else self.slow
        move[2] = np.clip(self.give * (pressed - self.push) + aim.velocity[2], -fastest, fastest)
        return move
