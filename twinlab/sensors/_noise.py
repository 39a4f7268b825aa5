"""What force, inertial and current sensors share: a low-pass of second order, and noise that wanders (IEEE Std 952)."""

import functools
import math
from typing import NamedTuple

import numba
import numpy as np

_SPANS = (10.0, 100.0, 1000.0)  # correlation times of the processes that make flicker [s]


class Filtered(NamedTuple):
    """What a low-pass gives, and what it keeps for the next step (direct form II, transposed).

    Attributes:
        value: what comes out, of any shape.
        memory: two numbers for each of its `n`, (2, n).
    """

    value: np.ndarray
    memory: np.ndarray


@functools.lru_cache(maxsize=32)
def _butterworth(cutoff: float, step: float) -> tuple[float, float, float, float] | None:
    """First two coefficients above and both below the line; None for a cutoff that so coarse a step cannot show."""
    if 2 * cutoff * step >= 1:
        return None
    k = math.tan(math.pi * cutoff * step)
    size = 1 + math.sqrt(2) * k + k * k
    return k * k / size, 2 * k * k / size, 2 * (k * k - 1) / size, (1 - math.sqrt(2) * k + k * k) / size


def low_pass(values: np.ndarray, before: Filtered | None, cutoff: float, step: float) -> Filtered:
    """A Butterworth filter of second order, by the bilinear transform with the cutoff kept.

    Args:
        values: what goes in at one step or several, (steps, …).
        before: what the last call gave; None at first: then the first value is taken to have been there for ever.
        cutoff: where it has lost 3 dB [Hz]; from half the sampling rate on, everything passes.
        step: time between two values [s].
    """
    found, rows = _butterworth(cutoff, step), values.reshape(len(values), -1)
    if found is None:
        return Filtered(values[-1], np.stack([rows[-1], rows[-1]]))
    b0, _, _, a2 = found
    memory = np.stack([(1 - b0) * rows[0], (b0 - a2) * rows[0]]) if before is None else before.memory
    out, memory = _filtered(rows, memory, *found)
    return Filtered(out.reshape(values.shape[1:]), memory)


@numba.njit(cache=True, nogil=True)
def _filtered(
    values: np.ndarray, memory: np.ndarray, b0: float, b1: float, a1: float, a2: float
) -> tuple[np.ndarray, np.ndarray]:
    """What comes out after values (steps, n), and the memory then; see `Filtered` and `_butterworth`."""
    out, after = np.empty(values.shape[1]), memory.copy()
    for value in values:
        for i in range(out.size):
            head = b0 * value[i]
            out[i] = head + after[0, i]
            after[0, i] = b1 * value[i] - a1 * out[i] + after[1, i]
            after[1, i] = head - a2 * out[i]
    return out, after


def _allan(ratio: float) -> float:
    """Allan variance of a Gauss–Markov process of variance 1, at an averaging time of `ratio` correlation times."""
    return 2 / ratio * (1 - (3 - 4 * math.exp(-ratio) + math.exp(-2 * ratio)) / (2 * ratio))


_MIDDLE = 60.0  # averaging time at which their sum is between its highest and lowest [s]
_SIZE = 1 / math.sqrt(sum(_allan(_MIDDLE / span) for span in _SPANS))


def flicker(before: np.ndarray | None, elapsed: float, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Bias instability as three Gauss–Markov processes, (3, *shape); their sum is the noise.

    The sum's Allan deviation is flat, 1 within 4 %, for averaging times of 20 to 1,500 s.

    Args:
        before: what the last call gave, None at first.
        elapsed: time since then [s].
        shape: of the noise.
        rng: one stream, drawn from once.
    """
    drawn = _SIZE * rng.standard_normal((len(_SPANS), *shape))
    if before is None:
        return drawn
    keep = np.exp(-elapsed / np.array(_SPANS)).reshape(-1, *(1,) * len(shape))
    return np.asarray(keep * before + np.sqrt(1 - keep**2) * drawn)


def walk(before: np.ndarray | None, elapsed: float, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A random walk from 0 whose standard deviation is the square root of the time passed [s], of a shape."""
    if before is None:
        return np.zeros(shape)
    return np.asarray(before + math.sqrt(elapsed) * rng.standard_normal(shape))
