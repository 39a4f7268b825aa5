"""Intervals over episodes of what is no mean of theirs: quantiles, F1."""

from collections.abc import Sequence

import numpy as np

_DRAWS = 2000


def drawn(episodes: int) -> np.ndarray:
    """How often each episode comes in each of 2,000 bootstrap draws (draw, episode); always the same."""
    return np.random.default_rng(0).multinomial(episodes, np.full(episodes, 1 / episodes), _DRAWS)


def ends(values: np.ndarray, episodes: int) -> tuple[float, float]:
    """Low and high end of the 95 % interval of what the draws gave (draw,); NaN of fewer than two episodes."""
    known = values[np.isfinite(values)]
    if episodes < 2 or not len(known):
        return (np.nan, np.nan)
    low, high = np.quantile(known, [0.025, 0.975])
    return (float(low), float(high))


def quantile(parts: Sequence[np.ndarray], share: float) -> tuple[float, float, float]:
    """A quantile of all values, each episode's in one part, with its interval; NaN where there are none."""
    every = np.concatenate(parts)
    if not len(every):
        return (np.nan, np.nan, np.nan)
    order = np.argsort(every)
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])[order]
    found = np.full(_DRAWS, np.nan)
    for i, counts in enumerate(drawn(len(parts))):
        sums = counts[owner].cumsum()
        if sums[-1]:
            found[i] = every[order[np.searchsorted(sums, share * sums[-1])]]
    return (float(np.quantile(every, share)), *ends(found, len(parts)))


def f1(confusion: np.ndarray) -> np.ndarray:
    """F1 of each class (…, class) from counts (…, true class, said class); NaN for one that never came nor was said."""
    right = np.diagonal(confusion, axis1=-2, axis2=-1).astype(float)
    both = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    return np.where(both > 0, 2 * right / np.maximum(both, 1), np.nan)


def macro(scores: np.ndarray) -> np.ndarray:
    """Mean over the classes (last axis) that are known; NaN where none is."""
    known = np.isfinite(scores)
    return np.where(
        known.any(axis=-1), np.where(known, scores, 0).sum(axis=-1) / np.maximum(known.sum(axis=-1), 1), np.nan
    )
