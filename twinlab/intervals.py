"""Means with 95 % intervals: the one way in which numbers over seeds are told."""

import numpy as np
from scipy.stats import bootstrap


def interval(values: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float, float]:
    """Mean of independent values, low and high end of its 95 % interval.

    A percentile bootstrap (Efron 1979) with 2,000 resamples and a fixed seed; where all values are the same, it is that
    value.

    Args:
        values: (value,); NaN is left out.
        weights: (value,); each value counts as much; the same for all by default.

    Returns:
        NaN for the ends where fewer than two values are known, for all where none is.
    """
    weights = np.ones(len(values)) if weights is None else weights
    known = ~np.isnan(values) & (weights > 0)
    values, weights = values[known], weights[known]
    if not len(values):
        return (np.nan, np.nan, np.nan)
    mean = float(np.average(values, weights=weights))
    if len(values) < 2:
        return (mean, np.nan, np.nan)
    if np.ptp(values) == 0:
        return (mean, mean, mean)

    def pooled(v: np.ndarray, w: np.ndarray, axis: int) -> np.ndarray:
        return (v * w).sum(axis=axis) / w.sum(axis=axis)

    found = bootstrap(
        (values, weights), pooled, paired=True, vectorized=True, method="percentile", n_resamples=2000,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    return (mean, float(found.confidence_interval.low), float(found.confidence_interval.high))


def text(mean: float, low: float, high: float) -> str:
    """Such as "0.93 [0.88, 0.97]"; a dash where nothing is known."""
    if np.isnan(mean):
        return "–"
    digits = 0 if abs(mean) >= 100 else 2
    middle = f"{mean:.{digits}f}"
    return middle if np.isnan(low) else f"{middle} [{low:.{digits}f}, {high:.{digits}f}]"
