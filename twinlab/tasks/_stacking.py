"""Where the next carton goes: how high the stack is everywhere, and the deepest place that holds a carton."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter1d

from twinlab import frames
from twinlab.frames import Region

_SAME = 0.003  # faces that differ less in height than this carry a carton together [m]


@dataclass(frozen=True)
class Spot:
    """Where a carton is to stand.

    Attributes:
        position: of its centre (3,) [m].
        yaw: of its length [rad], 0 or a quarter turn.
        support: share of its base that lies on something [1].
    """

    position: tuple[float, float, float]
    yaw: float
    support: float


def heights(deck: Region, poses: np.ndarray, edges: np.ndarray, cell: float) -> np.ndarray:
    """How high the stack is above the deck, cell by cell (x, y) [m].

    Args:
        deck: the loading space; its low face is the deck.
        poses: of the cartons that stand there (carton, 7).
        edges: length, width, height of each (carton, 3) [m].
        cell: edge of a cell [m].
    """
    count = np.round((np.array(deck.high[:2]) - deck.low[:2]) / cell).astype(int)
    x, y = np.meshgrid(*(deck.low[i] + cell * (np.arange(count[i]) + 0.5) for i in (0, 1)), indexing="ij")
    out = np.zeros(count)
    for pose, (length, width, height) in zip(poses, edges, strict=True):
        yaw = frames.yaw(pose)
        along = np.abs((x - pose[0]) * np.cos(yaw) + (y - pose[1]) * np.sin(yaw))
        across = np.abs((y - pose[1]) * np.cos(yaw) - (x - pose[0]) * np.sin(yaw))
        covered = (along < length / 2) & (across < width / 2)
        out[covered] = np.maximum(out[covered], pose[2] + height / 2 - deck.low[2])
    return out


def spot(
    deck: Region, stack: np.ndarray, edges: tuple[float, ...], gap: float, least: float, cell: float, near: bool = False
) -> Spot | None:
    """The place for a carton: the lowest; of these the one farthest along x, then along y. None where there is none.

    With `near` it is the nearest along both instead: small cartons that begin at the other end leave whole faces to
    large ones. It is the rule of deepest-bottom-left packing (Karabulut and İnceoğlu 2004, after Baker, Coffman and
    Rivest 1980) on a map of heights, so that what stands elsewhere than planned is taken as it is. A carton must lie on
    `least` of its base, keep `gap` to what is higher, and stay within the loading space.

    Args:
        deck: the loading space.
        stack: what `heights` gave.
        edges: length, width, height of the carton [m].
        gap: distance to what stands beside it [m].
        least: share of its base that must lie on something [1].
        cell: edge of a cell [m].
        near: whether to begin at the near corner.
    """
    found = []
    for yaw in (0.0, np.pi / 2):
        base = edges[:2] if yaw == 0 else edges[1::-1]
        size = np.ceil(np.array(base) / cell - 1e-6).astype(int)
        around = int(np.ceil(gap / cell - 1e-6))
        if (size > stack.shape).any():
            continue
        level = _highest(np.pad(stack, around), size + 2 * around)
        support = _support(stack, level, size)
        fits = (support >= least) & (level + edges[2] <= deck.high[2] - deck.low[2])
        if fits.any():
            i, j = np.nonzero(fits)
            x, y = (i, j) if near else (-i - size[0], -j - size[1])
            step = np.round(level[i, j] / _SAME)
            best = np.lexsort((y, x, step))[0]
            at = int(i[best]), int(j[best])
            key = (float(step[best]), int(x[best]), int(y[best]), yaw)
            found.append((key, at, size, float(level[at]), float(support[at])))
    if not found:
        return None
    (_, _, _, yaw), corner, size, low, share = min(found, key=lambda one: one[0])
    x, y = (deck.low[n] + cell * (corner[n] + size[n] / 2) for n in (0, 1))
    return Spot((float(x), float(y), float(deck.low[2] + low + edges[2] / 2)), float(yaw), share)


def _highest(stack: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The highest cell of each window of a size that lies within the map."""
    for axis in (0, 1):
        n, most = int(size[axis]), stack.shape[axis]
        filtered = maximum_filter1d(stack, n, axis=axis)
        stack = np.take(filtered, np.arange(n // 2, n // 2 + most - n + 1), axis=axis)
    return stack


def _support(stack: np.ndarray, level: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The share of each window that is as high as its level."""
    out = np.zeros(level.shape)
    steps = np.round(level / _SAME)
    for step in np.unique(steps):
        there = np.pad(np.cumsum(np.cumsum(np.abs(stack - step * _SAME) < _SAME, axis=0), axis=1), ((1, 0), (1, 0)))
        a, b = size
        inside = there[a:, b:] - there[:-a, b:] - there[a:, :-b] + there[:-a, :-b]
        out = np.where(steps == step, inside / (a * b), out)
    return out
