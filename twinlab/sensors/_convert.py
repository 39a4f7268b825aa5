"""From what a sensor measures to what it gives: errors of calibration, saturation, steps, all in one pass."""

from typing import NamedTuple

import numba
import numpy as np


class Conversion(NamedTuple):
    """How the numbers of one variable are changed; `n` is how many it has, `k` the length of its last axis.

    Attributes:
        gain, offset: factor [1] and zero of each number, float64 (n,); empty where there are no such errors.
        most: largest magnitude, float64 (k,), inf for any.
        step: smallest step, float64 (k,), 0 for none.
    """

    gain: np.ndarray
    offset: np.ndarray
    most: np.ndarray
    step: np.ndarray


def converted(value: np.ndarray, how: Conversion) -> np.ndarray:
    """A value of any shape and of floating point after its conversion, in its own type."""
    return np.asarray(_converted(np.ascontiguousarray(value).reshape(-1), *how).reshape(value.shape))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _converted(
    value: np.ndarray, gain: np.ndarray, offset: np.ndarray, most: np.ndarray, step: np.ndarray
) -> np.ndarray:
    """The same of a flat value (n,); see `Conversion`."""
    out, k = np.empty_like(value), most.size
    whole = np.where(step > 0, step, 1.0)
    row = np.empty(k)
    # Short loops of one kind each over a row become vector instructions.
    for start in range(0, value.size, k):
        row[:] = value[start : start + k]
        if gain.size:
            for j in range(k):
                row[j] = row[j] * gain[start + j] + offset[start + j]
        for j in range(k):
            inside = min(max(row[j], -most[j]), most[j])
            row[j] = np.rint(inside / whole[j]) * step[j] if step[j] > 0 else inside
        out[start : start + k] = row
    return out
