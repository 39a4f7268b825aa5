"""The linear model of vector readings: where the dynamics start, and what a model must beat."""

from collections.abc import Iterable

import numpy as np

from twinlab.batches import Signals, Track


def one_tick(tracks: Iterable[Track], signals: Signals, strength: float = 1e-3) -> np.ndarray:
    """Ridge weights (vector + actuator + 1, vector) from vector readings and a scaled action to one tick's change."""
    before, after, acts = [], [], []
    for track in tracks:
        values = stacked(track, signals)
        before.append(values[:-1])
        after.append(values[1:] - values[:-1])
        acts.append(scaled(track.values["action"][:-1], signals))
    told = np.concatenate([np.concatenate(before), np.concatenate(acts)], axis=1)
    return ridge(told, np.concatenate(after), strength).astype(np.float32)


def ridge(told: np.ndarray, wanted: np.ndarray, strength: float) -> np.ndarray:
    """Weights (feature + 1, target) of least squares, penalty `strength` a sample; the last row is the offset."""
    told = np.concatenate([told, np.ones((len(told), 1))], axis=1).astype(np.float64)
    return solved(told.T @ told, told.T @ wanted, strength * len(told))


def solved(gram: np.ndarray, cross: np.ndarray, penalty: float) -> np.ndarray:
    """Ridge weights (feature, target) of sums of products over samples; the last feature, the offset, costs nothing.

    Args:
        gram: features by features (feature, feature).
        cross: features by targets (feature, target).
        penalty: on squared weights, altogether.
    """
    diagonal = np.full(len(gram), penalty)
    diagonal[-1] = 0
    return np.linalg.solve(gram + np.diag(diagonal), cross)


def stacked(track: Track, signals: Signals) -> np.ndarray:
    """All vector readings of an episode, normalised, one after the other (time, vector)."""
    parts = [
        (track.values[s.name].reshape(track.length, -1) - np.array(s.mean)) / np.array(s.std)
        for s in signals.of("reading", "vector")
    ]
    return np.concatenate([np.zeros((track.length, 0)), *parts], axis=1)


def scaled(action: np.ndarray, signals: Signals) -> np.ndarray:
    """Actions (time, actuator) as -1 to 1 of their limits."""
    low, high = np.array(signals.low), np.array(signals.high)
    return (action - low) / (high - low) * 2 - 1


def typical_change(tracks: Iterable[Track], signals: Signals, ticks: int) -> np.ndarray:
    """Root mean square change of each normalised vector reading over some ticks (vector,)."""
    changes = [values[ticks:] - values[:-ticks] for values in (stacked(track, signals) for track in tracks)]
    return np.sqrt((np.concatenate(changes) ** 2).mean(axis=0)).astype(np.float32)
