"""How numbers of each kind of signal are spread, as `Signal` keeps it: mean, std and what varies."""

from collections.abc import Sequence
from typing import Any

import numpy as np

_CONSTANT = 1e-5  # an axis that varies less than this, compared with its size, is taken as constant [1]


def of_vector(values: Sequence[np.ndarray], size: int) -> dict[str, Any]:
    """Mean, standard deviation and whether it varies of each of `size` numbers, over arrays (time, …)."""
    every = np.concatenate(values).reshape(-1, size).astype(np.float64)
    mean, std = every.mean(axis=0), every.std(axis=0)
    varies = std > _CONSTANT * np.maximum(1.0, np.abs(mean))
    std = np.where(varies, std, 1.0)
    return {"mean": tuple(mean.tolist()), "std": tuple(std.tolist()), "varies": tuple(varies.tolist())}


def of_picture(kind: str, some: np.ndarray) -> dict[str, Any]:
    """What is told of depth, tactile maps and clouds (time, …); of other kinds nothing."""
    found = {"depth": _of_depth, "tactile": _of_tactile, "cloud": _of_cloud}.get(kind)
    return {} if found is None else found(some.astype(np.float32))


def _of_depth(some: np.ndarray) -> dict[str, Any]:
    some = some[np.isfinite(some)]
    mean, std = (float(some.mean()), float(some.std())) if some.size else (0.0, 1.0)
    return {"mean": (mean,), "std": (std or 1.0,)}


def _of_tactile(some: np.ndarray) -> dict[str, Any]:
    """Mean 0, so that no touch stays 0, and the lower quartile of what is felt, a light touch."""
    felt = np.abs(some[np.isfinite(some) & (some != 0)])
    return {"mean": (0.0,), "std": (float(np.quantile(felt, 0.25)) if felt.size else 1.0,)}


def _of_cloud(some: np.ndarray) -> dict[str, Any]:
    """Each column's own; x, y and z share one std, so that distances keep their proportion."""
    points = some.reshape(-1, some.shape[-1])
    points = points[np.isfinite(points).all(axis=1)].astype(np.float64)
    if not len(points):
        return {"mean": (0.0,) * some.shape[-1], "std": (1.0,) * some.shape[-1]}
    mean, std = points.mean(axis=0), points.std(axis=0)
    std[:3] = np.sqrt((std[:3] ** 2).mean())
    std = np.where(std > _CONSTANT * np.maximum(1.0, np.abs(mean)), std, 1.0)
    return {"mean": tuple(mean.tolist()), "std": tuple(std.tolist())}
