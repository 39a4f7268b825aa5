"""How a tool that brakes with a known deceleration is led to a place, and over what stands in between."""

import numpy as np

from twinlab.skills import Now

SUCK, BLOW = -0.2, 0.2  # set-points of an ejector: closed and open fingers have these signs


def led(
    now: Now, position: np.ndarray, yaw: float, gain: float, speed: float, brake: float, turning: float = 2.0
) -> np.ndarray:
    """Set-points (4,) that lead the tool to a position (3,) [m] and yaw [rad] without running past it.

    Args:
        now: where the tool is.
        position: where to.
        yaw: how turned.
        gain: speed for each metre that is left, near the end [1/s].
        speed: highest speed [m/s].
        brake: deceleration that it can rely on [m/s^2].
        turning: highest turning speed [rad/s].
    """
    left = np.asarray(position, float) - now.tool[:3]
    distance = float(np.linalg.norm(left))
    turn = (yaw - now.tool[3] + np.pi) % (2 * np.pi) - np.pi
    velocity = left * (braked(distance, gain, speed, brake) / max(distance, 1e-9))
    return np.array([*velocity, np.clip(4.0 * turn, -turning, turning)])


def braked(distance: float, gain: float, speed: float, brake: float) -> float:
    """The speed [m/s] at a distance from the end [m]: steady braking, at last in proportion to what is left."""
    near = brake / gain**2  # here both laws have the same speed and the same slope
    if distance < near:
        return min(speed, gain * distance)
    return float(min(speed, np.sqrt(2 * brake * (distance - near / 2))))


def sinking(move: np.ndarray, down: float, speed: float) -> np.ndarray:
    """Set-points (4,) that go down by so much [m/s] instead, altogether no faster than `speed` [m/s]."""
    velocity = np.array([*move[:2], -down])
    velocity *= min(1.0, speed / max(float(np.linalg.norm(velocity)), 1e-9))
    return np.array([*velocity, move[3]])


def across(now: Now, position: np.ndarray, height: float, free: float) -> np.ndarray:
    """Where to go next (3,) [m] on the way to a position at a height: up first, then across.

    Args:
        now: where the tool is.
        position: where to.
        height: at which it moves across [m].
        free: how far below that height it may begin to [m].
    """
    ready = np.clip((now.tool[2] - height + free) / 0.03, 0.0, 1.0)
    return np.array([*(now.tool[:2] + ready * (position[:2] - now.tool[:2])), height])
