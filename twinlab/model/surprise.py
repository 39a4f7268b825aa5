"""Surprise: how far what came is from what was foreseen, which reading it is, and when that is an alarm.

A tick's residuals (see `residuals`) are divided by what is usual at each number in running without faults. Of each
source of each reading five features are taken: root mean square, largest and mean of these, and root mean square and
largest of their moving averages over a second. How rare a feature is, is told by its empirical distribution and, beyond
its 99th percentile, an exponential tail (peaks over threshold: Pickands 1975). The smallest of a reading's p-values,
times their number, is its own; its negative logarithm less a reference is summed up, never below 0 (CUSUM: Page 1954).

The alarm's threshold comes from the heights of that sum's excursions in running without faults, each run judged by the
distributions of others: how often they come and an exponential tail of how high they are say at which height one in
`HOURS` hours is expected over all readings together. Where less than that was run, this extrapolates, so that `tuned`
takes hours of running that no store need hold.

Three plain counters stand beside, because they need no model: how many ticks a reading was the very same (`still`), was
not valid or older than ever before (`lost`), and which share of two seconds that is (`away`). Each may be half as long
again as ever seen without faults.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from twinlab.batches import Track
from twinlab.errors import ModelError
from twinlab.model.rarity import (
    CAP,
    COUNTERS,
    FEATURES,
    FLOOR,
    HOURS,
    NATS,
    TAILS,
    Features,
    Marks,
    Sums,
    Usual,
    counted,
    surprises,
)
from twinlab.model.residuals import Residuals

WARM = 20  # first ticks of a run, in which the beliefs settle and nothing is told [1]
_REFERENCE = 0.95  # quantile of the negative logarithm that counts as usual
_SHRINK = 4.0  # runs


@dataclass(frozen=True)
class Surprise:
    """How surprising a tick is.

    Attributes:
        scores: reading → what has come together over what is an alarm [1].
        p: reading → how likely a tick as surprising as this one is without faults [1].
        alarm: whether any score is 1 or more.
        named: the reading with the highest score, "" without an alarm.
        why: "foreseen" where it came otherwise than foreseen, else the counter: "still", "lost" or "away"; "" without.
    """

    scores: Mapping[str, float]
    p: Mapping[str, float]
    alarm: bool = False
    named: str = ""
    why: str = ""


@dataclass(frozen=True, eq=False)
class Trace:
    """What a watcher keeps of a run without or with faults: enough for `tuned` and `statistics`, and no picture.

    Attributes:
        features: (time, S, 5), NaN where nothing is known.
        marks: whether a reading is the very same as a tick before, whether it is not valid, its age [s] (time, R, 3).
    """

    features: np.ndarray
    marks: np.ndarray


class Watch:
    """Watches a run and tells at each tick how surprising it is; it keeps beliefs of its own, as policies do.

    Args:
        model: a `WorldModel`, set to evaluation.
        usual: what is usual; the model's own if it is not given.

    Attributes:
        last: features (S, 5) and marks (R, 3) of the last tick, see `Trace`.

    Raises:
        ModelError: nobody told what is usual, or it is of another model.
    """

    def __init__(self, model: Any, usual: Usual | None = None) -> None:
        usual = usual or model.usual
        if usual is None:
            raise ModelError(
                "the model was never told what is usual: it was trained without validation episodes; record some with "
                "seeds from 50000 on and train again, or call surprise.usual(model, tracks)"
            )
        self.usual, self._residuals = usual, Residuals(model)
        if (usual.names, len(usual.mean)) != (self._residuals.names, self._residuals.width):
            raise ModelError(
                f"what is usual came for readings {list(usual.names)} with {len(usual.mean)} numbers; the model has "
                f"{list(self._residuals.names)} with {self._residuals.width}; fit it on this model"
            )
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._residuals.reset()
        self._features, self._marks = Features(self._residuals, self.usual), Marks(self.usual.names)
        self._sums = Sums(self.usual)
        self._ticks = 0

    def watch(self, readings: Mapping[str, np.ndarray], action: np.ndarray | None) -> Surprise:
        """How surprising what came is.

        Args:
            readings: of this tick, with `<name>_age` and `<name>_valid` where there are such; any may be missing.
            action: what was done before it (actuator,); None at the first tick.
        """
        row = self._residuals(readings, action)
        self.last = self._features(row), self._marks(readings)
        self._ticks += 1
        nats = surprises(self.usual, self.last[0]) if self._ticks > WARM else np.zeros(len(self.usual.names))
        ratios = self._sums(nats, self.last[1])
        best = ratios.max(axis=1)
        told = {n: float(x) for n, x in zip(self.usual.names, best, strict=True)}
        p = {n: float(np.exp(-x)) for n, x in zip(self.usual.names, nats, strict=True)}
        if best.max() < 1:
            return Surprise(told, p)
        i = int(best.argmax())
        return Surprise(told, p, True, self.usual.names[i], ("foreseen", *COUNTERS)[int(ratios[i].argmax())])


def usual(model: Any, tracks: Iterable[Track], most: int = 16) -> Usual | None:
    """What is usual in episodes without faults that trained nothing; None without episodes.

    Args:
        model: a `WorldModel`, set to evaluation.
        tracks: the episodes, held.
        most: how many are looked at.
    """
    residuals = Residuals(model)
    long = [track for track in tracks if track.length > 2 * WARM][:most]
    if not long:
        return None
    rows, marks = map(list, zip(*(_followed(residuals, model.readings, track) for track in long), strict=True))
    names, r = residuals.names, len(residuals.names)
    owner = np.array([names.index(name) for name, _ in residuals.segments])
    starts = np.array([part.start for part in residuals.segments.values()])
    pairs = (len(owner), FEATURES)
    blank = Usual(
        names, *_spread(rows, starts), owner, np.zeros((*pairs, len(TAILS))), np.ones(pairs), np.zeros(r), np.ones(r),
        np.zeros((r, 3)), np.zeros(r), 0.0, 0,
    )  # fmt: skip

    def features(before: Usual, some: Iterable[int]) -> list[np.ndarray]:
        out = []
        for i in some:
            told = Features(residuals, before)
            out.append(np.array([told(row) for row in rows[i]]))
        return out

    nats: list[np.ndarray] = [np.zeros(0)] * len(rows)
    for own, others in _folds(len(rows)):
        mean, std = _spread([rows[i] for i in others], starts)
        before = replace(blank, mean=mean, std=std)
        before = _tailed(before, features(before, others))
        for i, found in zip(own, features(before, own), strict=True):
            nats[i] = surprises(before, found[WARM:])
    return _alarming(_tailed(blank, features(blank, range(len(rows)))), nats, marks, model.signals.tick)


def tuned(before: Usual, traces: Iterable[Trace], tick: float) -> Usual:
    """The same with distributions and thresholds fitted anew on running without faults.

    Args:
        before: whose means and standard deviations hold.
        traces: what `Watch.last` gave, run by run.
        tick: length of a tick [s].

    Raises:
        ModelError: no run is longer than a second.
    """
    runs = [trace for trace in traces if len(trace.features) > WARM]
    if not runs:
        raise ModelError(f"traces: no run has more than {WARM} ticks; run the line without faults for longer")
    nats: list[np.ndarray] = [np.zeros(0)] * len(runs)
    for own, others in _folds(len(runs)):
        told = _tailed(before, [runs[i].features for i in others])
        for i in own:
            nats[i] = surprises(told, runs[i].features[WARM:])
    return _alarming(_tailed(before, [t.features for t in runs]), nats, [t.marks for t in runs], tick)


def _followed(residuals: Residuals, names: Iterable[str], track: Track) -> tuple[np.ndarray, np.ndarray]:
    """Residuals (time, W) and marks (time, R, 3) along an episode."""
    residuals.reset()
    rows, marks, mark = [], [], Marks(residuals.names)
    for t in range(track.length):
        readings = {name: track.values[name][t] for name in names}
        rows.append(residuals(readings, track.values["action"][t - 1] if t else None))
        marks.append(mark(readings))
    return np.array(rows), np.array(marks)


def _folds(count: int) -> list[tuple[list[int], list[int]]]:
    """Numbers of runs in up to four parts, each with all others, or with itself where it is alone."""
    parts = [list(range(first, count, min(4, count))) for first in range(min(4, count))]
    return [(own, [i for i in range(count) if i not in own] or own) for own in parts]


def _spread(rows: Sequence[np.ndarray], starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each number of the residuals over runs (time, W).

    The variance is drawn towards the mean of its pair (S, which begin at `starts`), as if that had been seen in
    `_SHRINK` runs: a block of a picture that never changed in a few runs may well do so in the next.
    """
    settled = np.concatenate([row[WARM:] for row in rows])
    there = np.isfinite(settled)
    count = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, settled, 0).sum(axis=0) / count
    own = (np.where(there, settled - mean, 0) ** 2).sum(axis=0) / count
    sizes = np.diff([*starts, len(own)])
    all_own = np.repeat(np.add.reduceat(own, starts) / sizes, sizes)
    return mean, np.maximum(np.sqrt((len(rows) * own + _SHRINK * all_own) / (len(rows) + _SHRINK)), FLOOR)


def _tailed(before: Usual, features: Sequence[np.ndarray]) -> Usual:
    """The same with the distributions of features (time, S, 5) run by run."""
    every = np.concatenate([part[WARM:] for part in features])
    there = np.isfinite(every)
    low = np.where(there, every, -1.0)  # features are 0 or more
    knots = np.maximum(np.quantile(low, 1 - TAILS, axis=0), 0).transpose(1, 2, 0)
    excess = np.where(every > knots[..., -1], every - knots[..., -1], 0)
    beyond = excess.sum(axis=0) / np.maximum((excess > 0).sum(axis=0), 1)
    beyond = np.maximum(beyond, (knots[..., -1] - knots[..., 0]) / (NATS[-1] - NATS[0]))  # few runs tell no tail
    return replace(before, knots=knots, beyond=np.maximum(beyond, FLOOR))


def _alarming(before: Usual, nats: Sequence[np.ndarray], marks: Sequence[np.ndarray], tick: float) -> Usual:
    """The same with thresholds from surprises (time, R) and marks (time, R, 3), run by run.

    The surprises of a run are best told by distributions of other runs, so that they are those of a run to come.
    """
    reference = np.maximum(np.quantile(np.minimum(np.concatenate(nats), CAP), _REFERENCE, axis=0), 1.0)
    hours, count = sum(map(len, marks)) * tick / 3600, len(before.names)
    limit = np.array([_limit([n[:, i] for n in nats], reference[i], hours, count) for i in range(count)])
    age = np.max([mark[..., 2].max(axis=0) for mark in marks], axis=0)
    longest = np.max([counted(mark, age).max(axis=0) for mark in marks], axis=0)
    told = {"reference": reference, "limit": limit, "longest": longest, "age": age}
    return replace(before, **told, hours=hours, runs=len(marks))


def statistics(usual: Usual, trace: Trace) -> np.ndarray:
    """Over what is an alarm: the sum and the three counters of each reading along a run (time, R, 4)."""
    sums = Sums(usual)
    nats = surprises(usual, trace.features)
    nats[:WARM] = 0
    return np.array([sums(n, m) for n, m in zip(nats, trace.marks, strict=True)])


def _limit(nats: Sequence[np.ndarray], reference: float, hours: float, readings: int) -> float:
    """The height that a reading's sum passes as seldom as it may, from its negative logarithms (time,) run by run."""
    peaks: list[float] = []
    for run in nats:
        now, peak = 0.0, 0.0
        for step in np.minimum(run, CAP) - reference:
            now = max(now + step, 0.0)
            peak = max(peak, now)
            if not now and peak:
                peaks.append(peak)
                peak = 0.0
        peaks += [peak] if peak else []
    if not peaks:
        return 2 * CAP
    high = np.sort(peaks)[::-1]
    last = max(1, len(high) // 10) if len(high) > 50 else min(len(high), 5)  # how many tell the tail
    start = high[last] if last < len(high) else 0.0
    excess = float((high[:last] - start).mean())
    return max(float(start + excess * np.log(last / hours * HOURS * readings)), 2 * CAP)
