"""Means with 95 % intervals, and which differences are significant: how numbers over seeds are told."""

import numpy as np
from scipy.stats import binomtest, bootstrap


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


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Low and high end of the 95 % interval of a share, such as 3 of 4 (Wilson 1927)."""
    found = binomtest(hits, count).proportion_ci(method="wilson")
    return (float(found.low), float(found.high))


def flipped(differences: np.ndarray) -> float:
    """Two-sided p-value of paired differences, under which each might as well have the other sign.

    A permutation test of the mean (Fisher 1935; Good 2005, ch. 3): exact up to 14 differences, with 9,999 random flips
    and a fixed seed beyond, where the differences as they came count as one more. With n differences it is never below
    2 / 2^n, so that fewer than six cannot be significant at 5 %.

    Args:
        differences: (pair,); NaN is left out.

    Returns:
        NaN where no difference is known.
    """
    known = differences[~np.isnan(differences)]
    n = len(known)
    if not n:
        return float("nan")
    if n <= 14:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], (10_000, n))
        signs[0] = 1
    sums = np.abs(signs @ known)
    return float((sums >= abs(known.sum()) - 1e-9 * np.abs(known).sum()).mean())


def holm(p: np.ndarray) -> np.ndarray:
    """P-values corrected so that one false finding among all is as unlikely as they say (Holm 1979); NaN stays."""
    order, count, out = _order(p)
    steps = p[order] * (count - np.arange(count))
    out[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return out


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """P-values corrected so that they bound the share of false findings (Benjamini & Hochberg 1995); NaN stays."""
    order, count, out = _order(p)
    steps = p[order] * count / (1 + np.arange(count))
    out[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    return out


def _order(p: np.ndarray) -> tuple[np.ndarray, int, np.ndarray]:
    """Where the known ones are, from the smallest on, how many they are, and an array of NaN for the answer."""
    count = int((~np.isnan(p)).sum())
    return np.argsort(p)[:count], count, np.full(len(p), np.nan)


def text(mean: float, low: float, high: float) -> str:
    """Such as "0.93 [0.88, 0.97]"; a dash where nothing is known."""
    if np.isnan(mean):
        return "–"
    digits = 0 if abs(mean) >= 100 else 2
    middle = f"{mean:.{digits}f}"
    return middle if np.isnan(low) else f"{middle} [{low:.{digits}f}, {high:.{digits}f}]"
