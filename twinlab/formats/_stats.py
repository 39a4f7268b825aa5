"""Statistics as LeRobot keeps them: of each feature, per episode and over all."""

from collections.abc import Mapping

import numpy as np

Stats = Mapping[str, np.ndarray]
QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}


def of_numbers(values: np.ndarray) -> Stats:
    """Of a vector over time (time, n), or of a number (time,): each of shape (n,) or (1,)."""
    return _stats(values.reshape(len(values), -1).astype(float), len(values))


def of_pictures(values: np.ndarray, scale: float = 255.0) -> Stats:
    """Of pictures (time, row, column, channel): each of shape (channel, 1, 1), of values between 0 and 1.

    Args:
        values: the pictures; depth as one channel.
        scale: what counts as 1.
    """
    channels = values.shape[-1]
    found = _stats(values.reshape(-1, channels) / scale, len(values))
    return {name: x if name == "count" else x.reshape(channels, 1, 1) for name, x in found.items()}


def merged(first: Stats | None, second: Stats) -> Stats:
    """Statistics of both together; quantiles are weighted means, as LeRobot merges them."""
    if first is None:
        return second
    n, m = first["count"], second["count"]
    share = m / (n + m)
    mean = first["mean"] + share * (second["mean"] - first["mean"])
    spread = [s["std"] ** 2 + (s["mean"] - mean) ** 2 for s in (first, second)]
    out = {
        "min": np.minimum(first["min"], second["min"]),
        "max": np.maximum(first["max"], second["max"]),
        "mean": mean,
        "std": np.sqrt((1 - share) * spread[0] + share * spread[1]),
        "count": n + m,
    }
    return out | {name: (1 - share) * first[name] + share * second[name] for name in QUANTILES}


def _stats(rows: np.ndarray, count: int) -> Stats:
    rows = rows[np.isfinite(rows).all(axis=1)]  # JSON knows no infinity, and a policy could not be normalised by it
    rows = rows if len(rows) else np.zeros((1, rows.shape[1]))
    out = {"min": rows.min(axis=0), "max": rows.max(axis=0), "mean": rows.mean(axis=0), "std": rows.std(axis=0)}
    quantiles = np.quantile(rows, list(QUANTILES.values()), axis=0)
    return out | {"count": np.array([count])} | dict(zip(QUANTILES, quantiles, strict=True))
