"""What needs no world model, and what a model must beat: nothing changes, all goes on as before, a linear model."""

from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from twinlab.batches import Signal, Signals
from twinlab.errors import ModelError
from twinlab.evaluate._bases import Basis, found_in, tracks_of
from twinlab.evaluate._foreseen import STRENGTH
from twinlab.evaluate._measures import NARROW, extrapolated, numbers, within
from twinlab.model.linear import scaled, solved

Values = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Baselines:
    """Three predictors of all readings, fitted on training episodes alone.

    The linear one is a ridge regression, penalty 1e-4 a sample, from now and all actions to come to then: vector
    readings from vector readings, as in `Linear`; all others from vector readings and everything else too. Readings
    with many numbers are told by 16 principal components; what these leave out is told to stay, as much as it did in
    training. A cloud moves as a whole, as its mean is told to.

    Attributes:
        readings: what they tell: no ages, and nothing that never varies in training; vectors first.
        bases: name → how it is told by few numbers.
        weights: ticks ahead → of vector features and of all others (feature, target).
        stays: ticks ahead → name → how much of what components leave out is still there (least squares).
        floor: name → what "nothing changes" costs where only noise differs, in the reading's numbers.
    """

    readings: tuple[Signal, ...]
    bases: Mapping[str, Basis]
    weights: Mapping[int, tuple[np.ndarray, np.ndarray]]
    stays: Mapping[int, Mapping[str, float]]
    floor: Mapping[str, float]

    @classmethod
    def fit(cls, training: Iterable[xr.Dataset], signals: Signals, ticks: Sequence[int]) -> "Baselines":
        """Fitted on training episodes, which are read twice, one at a time, for these ticks ahead.

        Raises:
            ModelError: no episode came, or all are shorter than the farthest.
        """
        episodes = training if isinstance(training, Sized) else tuple(training)
        found = tuple(s for s in signals.of("reading") if not s.name.endswith("_age") and any(s.varies))
        bases, floor = found_in(episodes, replace(signals, all=found))
        varying = sorted((s for s in found if bases[s.name].scale > 0), key=lambda s: s.kind != "vector")
        wanted = replace(signals, all=tuple(varying))
        sums = _sums(episodes, wanted, bases, ticks)
        split = sum(len(bases[s.name].spread) for s in varying if s.kind == "vector")
        many = sum(len(bases[s.name].spread) for s in varying)
        weights = {k: _solved(sums[k].gram, sums[k].count, split, many) for k in ticks}
        stays = {k: {name: float(a / b) if b > 0 else 0.0 for name, (a, b) in sums[k].rest.items()} for k in ticks}
        return cls(wanted.all, bases, weights, stays, floor)

    def nothing(self, now: Values) -> dict[str, np.ndarray]:
        """All readings as they are, raw (N, *shape) in, what `errors` compares out."""
        return {s.name: _compared(s, now[s.name]) for s in self.readings}

    def velocity(self, now: Values, before: Values, ticks: int) -> dict[str, np.ndarray]:
        """All readings some ticks later, if they go on changing as since the tick before; raw values in."""
        out = {}
        for s in self.readings:
            here = numbers(s, now[s.name])
            then = extrapolated(s, here, numbers(s, before[s.name]), ticks)
            out[s.name] = _moved(now[s.name], then - here) if s.kind == "cloud" else then
        return out

    def linear(self, now: Values, actions: np.ndarray) -> dict[str, np.ndarray]:
        """All readings after scaled actions (N, ticks, actuator), by the linear model; raw values in."""
        ticks = actions.shape[1]
        here = {s.name: numbers(s, now[s.name]) for s in self.readings}
        parts = [self.bases[s.name].features(here[s.name]) for s in self.readings]
        told = np.concatenate([*parts, actions.reshape(len(actions), -1), np.ones((len(actions), 1))], axis=1)
        by_vectors, by_all = self.weights[ticks]
        split = by_vectors.shape[1]
        few = np.concatenate([told[:, :split], told[:, sum(p.shape[1] for p in parts) :]], axis=1)
        then = np.concatenate([few @ by_vectors, told @ by_all], axis=1)
        ends = np.cumsum([p.shape[1] for p in parts])[:-1]
        out = {}
        for s, part in zip(self.readings, np.split(then, ends, axis=1), strict=True):
            basis = self.bases[s.name]
            if s.kind == "cloud":
                out[s.name] = _moved(now[s.name], basis.back(part) - here[s.name])
            else:
                stay = self.stays[ticks][s.name]
                out[s.name] = within(s, basis.back(part) + (stay * basis.rest(here[s.name]) if stay else 0))
        return out


class _Sum:
    """Sums over training ticks for one horizon."""

    def __init__(self) -> None:
        self.gram: Any = 0.0
        self.count = 0
        self.rest: dict[str, np.ndarray] = {}


def _sums(
    episodes: Iterable[xr.Dataset], wanted: Signals, bases: Mapping[str, Basis], ticks: Sequence[int]
) -> dict[int, _Sum]:
    """Sums of products of features, actions and features to come, and of what components leave out, over all ticks."""
    out = {k: _Sum() for k in ticks}
    for track in tracks_of(episodes, wanted):
        parts = []
        for s in wanted.all:
            value = numbers(s, track.values[s.name][:])
            parts.append(bases[s.name].features(value))
            _add_rest(out, s.name, bases[s.name].rest(value) if s.kind not in NARROW else None)
        now, acts = np.concatenate(parts, axis=1).astype(np.float64), scaled(track.values["action"][:], wanted)
        for k, one in out.items():
            starts = np.arange(track.length - k)
            if not len(starts):
                continue
            ahead = np.stack([acts[starts + i] for i in range(k)], axis=1).reshape(len(starts), -1)
            every = np.concatenate([now[starts], ahead, np.ones((len(starts), 1)), now[starts + k]], axis=1)
            one.gram, one.count = one.gram + every.T @ every, one.count + len(starts)
    if short := [k for k, one in out.items() if not one.count]:
        raise ModelError(f"training: no episode has more than {min(short)} ticks; record longer ones or look less far")
    return out


def _add_rest(sums: Mapping[int, _Sum], name: str, rest: np.ndarray | None) -> None:
    for k, one in sums.items():
        both = np.zeros(2)
        if rest is not None and len(rest) > k:
            now, then = rest[:-k].ravel(), rest[k:].ravel()
            both = np.array([np.dot(now, then), np.dot(now, now)], float)
        one.rest[name] = one.rest.get(name, np.zeros(2)) + both


def _solved(gram: np.ndarray, count: int, split: int, many: int) -> tuple[np.ndarray, np.ndarray]:
    """Ridge weights of vector features from vector features, and of all others from all."""
    told = len(gram) - many
    every = np.arange(told)
    few = np.concatenate([every[:split], every[many:]])

    def weights(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return solved(gram[np.ix_(rows, rows)], gram[np.ix_(rows, columns)], STRENGTH * count)

    return weights(few, told + np.arange(split)), weights(every, told + np.arange(split, many))


def _compared(signal: Signal, value: np.ndarray) -> np.ndarray:
    return value if signal.kind == "cloud" else numbers(signal, value)


def _moved(cloud: np.ndarray, by: np.ndarray) -> np.ndarray:
    """The points of clouds (N, …, column), each cloud moved by its own shift (N, 3)."""
    shift = by.reshape(len(by), *[1] * (cloud.ndim - 2), 3)
    return cloud[..., :3].astype(np.float32) + shift
