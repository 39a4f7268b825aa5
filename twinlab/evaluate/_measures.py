"""What is compared of each kind of reading: rows of numbers, alike for what was measured and what was told."""

from collections.abc import Callable

import numpy as np
import torch

from twinlab.batches import Signal

NARROW = ("vector", "pulse", "label")  # few numbers, each of its own meaning
_POINTS = 256  # of a cloud that are compared at most
_UNITS = {
    "vector": "std",
    "pulse": "1",
    "label": "1",
    "image": "1",
    "depth": "m",
    "normals": "1",
    "tactile": "symlog",
    "cloud": "m",
}


def unit(signal: Signal) -> str:
    """What `numbers` of a signal are in: "std" is the training standard deviation, "symlog" as in the codec."""
    return _UNITS.get(signal.kind, " ".join(signal.units[:1]) or "1")


def numbers(signal: Signal, value: np.ndarray) -> np.ndarray:
    """Values (N, *shape), or what a decoder tells instead, as numbers to compare (N, number); NaN where there is none.

    Vectors less their training mean over their training standard deviation, only those numbers that vary in training;
    pulses as 0 to 1, labels as one number a class; images as 0 to 1; depth in metres; normals as unit vectors; tactile
    maps as symlogs of what is felt over its typical size; clouds as their points' mean [m]; any other kind as it is.
    """
    if signal.kind == "label":
        whole = value.ndim == 1
        return (np.eye(len(signal.labels))[value.astype(int)] if whole else value).astype(np.float32)
    if signal.kind == "cloud":
        points = value.reshape(len(value), -1, value.shape[-1])[..., :3].astype(np.float32)
        there = np.isfinite(points).all(axis=-1, keepdims=True)
        count = there.sum(axis=1)
        return np.where(count > 0, np.where(there, points, 0).sum(axis=1) / np.maximum(count, 1), np.nan)
    flat = value.reshape(len(value), -1).astype(np.float32)
    return _NUMBERS.get(signal.kind, _finite)(signal, flat)


def extrapolated(signal: Signal, now: np.ndarray, before: np.ndarray, ticks: int) -> np.ndarray:
    """Numbers (N, number) some ticks after now, if they go on changing as since the tick before; within their range."""
    then = now + ticks * np.where(np.isfinite(before), now - before, 0)
    return within(signal, then)


def within(signal: Signal, told: np.ndarray) -> np.ndarray:
    """Numbers clipped to the range of their kind: 0 to 1, no negative depth, normals of length 1."""
    if signal.kind in ("image", "mask", "pulse", "label"):
        return np.clip(told, 0, 1)
    if signal.kind == "depth":
        return np.maximum(told, 0)
    if signal.kind == "normals":
        return _units(signal, told)
    return told


def squares(told: np.ndarray, true: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Mean square error of each window (N,), over the numbers that were measured; NaN where none was.

    Args:
        told, true: (N, number).
        usual: the training mean (number,), which counts as told where nothing was.
    """
    known = np.isfinite(true)
    apart = np.where(known, np.where(np.isfinite(told), told, usual) - np.where(known, true, 0), 0)
    count = known.sum(axis=1)
    return np.where(count > 0, (apart.astype(np.float64) ** 2).sum(axis=1) / np.maximum(count, 1), np.nan)


def chamfer(told: np.ndarray, true: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Squared mean distance between clouds (N,) [m²], NaN where none was measured.

    That distance is the mean over the points of either cloud to the nearest of the other, both halves alike (Fan et
    al. 2017, not squared); of each cloud at most 256 points, evenly spaced.

    Args:
        told, true: (N, …, column), x, y and z first [m]; points that are not finite are none.
        usual: the training mean (3,), which counts as told where no point was.
    """
    out = np.full(len(true), np.nan)
    for i, (a, b) in enumerate(zip(told, true, strict=True)):
        one, other = points(a), points(b)
        if len(other):
            one = one if len(one) else usual[None]
            apart = torch.cdist(torch.from_numpy(one).double(), torch.from_numpy(other).double())
            out[i] = float((apart.amin(dim=0).mean() + apart.amin(dim=1).mean()) / 2) ** 2
    return out


def points(cloud: np.ndarray) -> np.ndarray:
    """The points of one cloud that are there, evenly spaced ones if there are many (point, 3)."""
    rows = cloud.reshape(-1, cloud.shape[-1])[:, :3].astype(np.float32)
    rows = rows[np.isfinite(rows).all(axis=1)]
    return rows[:: -(-len(rows) // _POINTS) or 1]


def _vector(signal: Signal, flat: np.ndarray) -> np.ndarray:
    return ((flat - np.array(signal.mean)) / np.array(signal.std))[:, list(signal.varies)].astype(np.float32)


def _image(signal: Signal, flat: np.ndarray) -> np.ndarray:
    return flat / 255


def _finite(signal: Signal, flat: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(flat), flat, np.nan)


def _units(signal: Signal, flat: np.ndarray) -> np.ndarray:
    rows = flat.reshape(len(flat), -1, 3)
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    there = np.isfinite(length) & (length > 0)
    return np.where(there, rows / np.where(there, length, 1), np.nan).reshape(flat.shape)


def _symlog(signal: Signal, flat: np.ndarray) -> np.ndarray:
    felt = _finite(signal, flat) / signal.std[0]
    return np.sign(felt) * np.log1p(np.abs(felt))


_NUMBERS: dict[str, Callable[[Signal, np.ndarray], np.ndarray]] = {
    "vector": _vector,
    "image": _image,
    "normals": _units,
    "tactile": _symlog,
}
