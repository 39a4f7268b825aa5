"""How a hand that holds something fixed mends its place: only what is beyond a slack, so that it does not strain."""

import numpy as np


def mended(left: np.ndarray, slack: float, gain: float, speed: float) -> np.ndarray:
    """Velocity (3,) [m/s] that mends what an error (3,) [m] has beyond a slack [m], at most at a speed [m/s].

    Args:
        left: from where the hand is to where it should be.
        slack: error that is left alone; a stiff arm that mends it pulls ever harder at what it cannot move.
        gain: speed for each metre beyond the slack [1/s].
        speed: highest speed.
    """
    size = float(np.linalg.norm(left))
    out: np.ndarray = left / max(size, 1e-9) * min(speed, gain * max(0.0, size - slack))
    return out
