"""How rare a tick is: its residuals in a few features, each feature's p-value, and what comes together over ticks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twinlab.model.residuals import Residuals, mark_of

HOURS = 2.0  # running without faults in which one alarm is expected, so that one an hour is kept with room [h]
TAILS = np.array([0.5, 0.2, 0.1, 0.05, 0.02, 0.01])  # shares above the knots of a feature's distribution
NATS = -np.log(TAILS)
CAP = 15.0  # of one tick's negative logarithm; an alarm takes at least twice as much, so that one tick alone is none
FEATURES = 5
COUNTERS = ("still", "lost", "away")
FLOOR = 1e-3
_MEAN, _AWAY = 1 / 20, 1 / 40  # weight of the last tick in moving averages
_SLACK = np.array([3.0, 3.0, 0.15])  # beyond half as long again: ticks, ticks, share
_FAR = 20.0  # what is farther off than so many standard deviations is as far


@dataclass(frozen=True, eq=False)
class Usual:
    """What is usual in running without faults; R readings, S pairs of reading and source, W numbers of residuals.

    Attributes:
        names: the readings.
        mean, std: of each number of the residuals (W,).
        owner: which reading each pair belongs to (S,).
        knots: of each feature's distribution, at which a half, …, a hundredth of the ticks lies above (S, 5, knot).
        beyond: mean excess over the last knot (S, 5).
        reference: what a tick may add before it counts (R,).
        limit: height of the sum that is an alarm (R,).
        longest: the longest still, lost and the largest share away (R, 3).
        age: the oldest sample [s] (R,).
        hours, runs: on how much running this rests.
    """

    names: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    owner: np.ndarray
    knots: np.ndarray
    beyond: np.ndarray
    reference: np.ndarray
    limit: np.ndarray
    longest: np.ndarray
    age: np.ndarray
    hours: float
    runs: int

    def table(self) -> dict[str, Any]:
        """All of it as JSON can hold it, with five digits; `read` takes it back."""
        arrays = {key: _digits(getattr(self, key)) for key in _ARRAYS}
        return {"names": list(self.names), **arrays, "hours": self.hours, "runs": self.runs}

    def card(self) -> dict[str, object]:
        """What a model's card tells of it."""
        told = f"one alarm in {HOURS:g} h expected without faults, from {self.hours:.2f} h in {self.runs} runs"
        return {"readings": list(self.names), "thresholds": told}

    @classmethod
    def read(cls, table: Mapping[str, Any]) -> "Usual":
        """What `table` wrote."""
        arrays = {key: np.array(table[key], float) for key in _ARRAYS}
        return cls(tuple(table["names"]), **arrays, hours=float(table["hours"]), runs=int(table["runs"]))


_ARRAYS = ("mean", "std", "owner", "knots", "beyond", "reference", "limit", "longest", "age")


def surprises(usual: Usual, features: np.ndarray) -> np.ndarray:
    """Negative logarithm of each reading's p-value (…, R), from features (…, S, 5)."""
    knots, value = usual.knots, np.nan_to_num(features, nan=-np.inf)
    nats = np.where(value > knots[..., -1], NATS[-1] + (value - knots[..., -1]) / usual.beyond, 0)
    for i in range(len(TAILS) - 1):
        low, high = knots[..., i], knots[..., i + 1]
        share = (value - low) / np.maximum(high - low, 1e-12)
        inside = (value > low) & (value <= high)
        nats = np.where(inside, NATS[i] + np.clip(share, 0, 1) * (NATS[i + 1] - NATS[i]), nats)
    return _by_reading(usual, nats)


def _by_reading(usual: Usual, nats: np.ndarray) -> np.ndarray:
    """The largest of each reading's, less the logarithm of how many they are (Bonferroni), 0 at least (…, R)."""
    mine = [usual.owner == i for i in range(len(usual.names))]
    out = [nats[..., own, :].max(axis=(-1, -2)) - np.log(FEATURES * own.sum()) for own in mine]
    return np.stack([np.maximum(x, 0) for x in out], axis=-1)


class Features:
    """Features (S, 5) of one row of residuals after the other, with moving averages over a second."""

    def __init__(self, residuals: Residuals, usual: Usual) -> None:
        self._usual = usual
        self._starts = np.array([part.start for part in residuals.segments.values()])
        self._average = np.zeros(residuals.width)

    def __call__(self, row: np.ndarray) -> np.ndarray:
        """The features of the next row (W,), NaN where nothing of a pair is known."""
        z = (row - self._usual.mean) / self._usual.std
        there = np.isfinite(z)
        z = np.where(there, np.clip(z, -_FAR, _FAR), 0)
        self._average += _MEAN * (z - self._average)
        count = np.add.reduceat(there, self._starts, dtype=float)
        whole, average = np.maximum(count, 1), self._average
        root, mean = np.sqrt(np.add.reduceat(z * z, self._starts) / whole), np.add.reduceat(z, self._starts) / whole
        largest, slow = (np.maximum.reduceat(np.abs(x), self._starts) for x in (z, average))
        slowly = np.sqrt(np.add.reduceat(average**2, self._starts) / whole)
        out = np.stack([root, largest, np.abs(mean), slowly, slow], axis=1)
        out[count == 0] = np.nan
        return out


class Marks:
    """Whether each reading is the very same, is not valid, and its age (R, 3), tick by tick."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names, self._before = names, dict[str, np.ndarray]()

    def __call__(self, readings: Mapping[str, np.ndarray]) -> np.ndarray:
        """The marks of the next tick's readings."""
        out = np.zeros((len(self._names), 3))
        for i, name in enumerate(self._names):
            value = None if name not in readings else np.asarray(readings[name])
            same = value is not None and name in self._before and np.array_equal(value, self._before[name])
            valid = value is not None and bool(np.all(mark_of(name, readings, "_valid", True)))
            out[i] = same, not valid, np.max(mark_of(name, readings, "_age", 0.0))
            if value is not None:
                self._before[name] = value
        return out


class Sums:
    """What comes together over the ticks of a run, over what is an alarm (R, 4)."""

    def __init__(self, usual: Usual) -> None:
        self._usual, count = usual, len(usual.names)
        self._sum, self._counts = np.zeros(count), np.zeros((count, len(COUNTERS)))
        self._most = 1.5 * usual.longest + _SLACK

    def __call__(self, nats: np.ndarray, marks: np.ndarray) -> np.ndarray:
        """What it is after the next tick's surprises (R,) and marks (R, 3)."""
        told = self._usual
        self._sum = np.clip(self._sum + np.minimum(nats, CAP) - told.reference, 0, 2 * told.limit)
        self._counts = count_on(self._counts, marks, told.age)
        return np.concatenate([(self._sum / told.limit)[:, None], self._counts / self._most], axis=1)


def count_on(before: np.ndarray, marks: np.ndarray, age: np.ndarray) -> np.ndarray:
    """The counters (R, 3) one tick on."""
    same, lost = marks[:, 0] > 0, (marks[:, 1] > 0) | (marks[:, 2] > 1.5 * age + FLOOR)
    still, gone = (before[:, 0] + 1) * same, (before[:, 1] + 1) * lost
    return np.stack([still, gone, before[:, 2] + _AWAY * (lost - before[:, 2])], axis=1)


def counted(marks: np.ndarray, age: np.ndarray) -> np.ndarray:
    """The counters along a run (time, R, 3)."""
    out, now = [], np.zeros((marks.shape[1], len(COUNTERS)))
    for mark in marks:
        now = count_on(now, mark, age)
        out.append(now)
    return np.array(out)


def _digits(value: np.ndarray) -> list[Any]:
    return [float(f"{x:.5g}") if np.ndim(x) == 0 else _digits(x) for x in value]
