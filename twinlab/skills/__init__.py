"""Skills: one motion primitive a file; from poses to set-points, closed loop, without memory of its own.

A skill looks only at where the tool is and where the item is, so that whoever imitates it needs to see no more.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Now:
    """What the robot knows of itself.

    Attributes:
        tool: x, y, z [m] and yaw [rad] of the tool (4,).
        width: opening of the gripper [m].
        wrench: force [N] and torque [N m] that the hand gives its surroundings, in the world's axes (6,).
    """

    tool: np.ndarray
    width: float = 0.0
    wrench: np.ndarray = field(default_factory=lambda: np.zeros(6))


@dataclass(frozen=True)
class Aim:
    """What a skill shall act on.

    Attributes:
        position: its centre (3,) [m].
        yaw: how the gripper shall be turned for it [rad].
        velocity: how it moves (3,) [m/s].
    """

    position: np.ndarray
    yaw: float = 0.0
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)


class Skill(Protocol):
    """A motion primitive: a frozen dataclass with a default for every field."""

    def act(self, now: Now, aim: Aim) -> np.ndarray:
        """Set-points x, y, z [m/s], yaw [rad/s], gripper [m/s] of this tick, (5,)."""
        ...


def towards(now: Now, position: np.ndarray, yaw: float, gain: float, speed: float) -> np.ndarray:
    """Set-points (4,) that lead the tool to a position (3,) [m] and yaw [rad], slower the nearer it is.

    Args:
        now: where the tool is.
        position: where to.
        yaw: how turned.
        gain: speed for each metre that is left [1/s].
        speed: highest speed [m/s].
    """
    left = np.asarray(position, float) - now.tool[:3]
    velocity = gain * left
    velocity *= min(1.0, speed / max(float(np.linalg.norm(velocity)), 1e-9))
    turn = (yaw - now.tool[3] + np.pi) % (2 * np.pi) - np.pi
    return np.array([*velocity, np.clip(4.0 * turn, -2.0, 2.0)])
