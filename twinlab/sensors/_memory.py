"""What force sensors remember: a value that goes another way down than up."""

import numpy as np


def play(before: np.ndarray | None, value: np.ndarray, width: float) -> np.ndarray:
    """A value with hysteresis: rising it shows too little, falling too much, and 0 at 0.

    Args:
        before: what the last call gave, of the same shape; None at first.
        value: 0 or more.
        width: between the ways up and down, as a share of the value [1].
    """
    return np.clip(value if before is None else before, value * (1 - width / 2), value * (1 + width / 2))
