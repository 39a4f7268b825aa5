"""Readings in a few numbers, fitted on training episodes: their mean, directions of most variance, and their noise."""

from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass

import numpy as np
import xarray as xr

from twinlab.batches import Signal, Signals, Track, hold
from twinlab.errors import ModelError
from twinlab.evaluate._measures import NARROW, chamfer, numbers

COMPONENTS = 16  # principal components of each reading with many numbers
_FRAMES = 800  # of the training episodes, from which they are found
_APART = 10  # every so manieth tick tells the noise of readings with many numbers
_SIGMA = 0.6745 * 6**0.5  # median of a second difference's size, in standard deviations of white noise


@dataclass(frozen=True, eq=False)
class Basis:
    """A reading in a few numbers.

    Attributes:
        usual: training mean (number,).
        rows: directions of most variance, of length 1 (component, number); all axes where numbers are few.
        spread: standard deviation along each (component,).
        scale: root mean square error of always telling the training mean, in the reading's numbers; 1 for vectors.
    """

    usual: np.ndarray
    rows: np.ndarray
    spread: np.ndarray
    scale: float

    def features(self, value: np.ndarray) -> np.ndarray:
        """Components (N, component) of numbers (N, number); what is not told is as usual."""
        left = np.where(np.isfinite(value), value - self.usual, 0)
        return left @ self.rows.T / self.spread

    def rest(self, value: np.ndarray) -> np.ndarray:
        """What of numbers (N, number) the components leave out."""
        left = np.where(np.isfinite(value), value - self.usual, 0)
        return left - left @ self.rows.T @ self.rows

    def back(self, features: np.ndarray) -> np.ndarray:
        """The numbers (N, number) that components (N, component) stand for."""
        return self.usual + (features * self.spread) @ self.rows


def found_in(episodes: Iterable[xr.Dataset], wanted: Signals) -> tuple[dict[str, Basis], dict[str, float]]:
    """Bases of all readings, and what "nothing changes" costs each by its noise alone, as if that were white.

    Bases come from all ticks where numbers are few, from evenly spaced ones where they are many. White noise of
    standard deviation σ costs σ √2; σ is told by the median size of second differences, one tick apart, which a steady
    change or a few jolts do not touch; of clouds by the median distance from one tick to the next.

    Raises:
        ModelError: no episode came.
    """
    every = -(-_FRAMES // max(1, len(episodes))) if isinstance(episodes, Sized) else _FRAMES
    kept: dict[str, list[np.ndarray]] = {s.name: [] for s in wanted.all}
    clouds: dict[str, list[np.ndarray]] = {s.name: [] for s in wanted.all if s.kind == "cloud"}
    noise: dict[str, list[float]] = {s.name: [] for s in wanted.all}
    for track in tracks_of(episodes, wanted):
        some = np.unique(np.linspace(0, track.length - 1, min(every, track.length)).astype(int))
        for s in wanted.all:
            raw = track.values[s.name][:] if s.kind in NARROW else track.values[s.name][some]
            kept[s.name].append(numbers(s, raw))
            noise[s.name] += _noise(s, track)
            if s.name in clouds:
                clouds[s.name].append(raw)
    if not all(kept.values()):
        raise ModelError("training: no episode came; the linear baseline is fitted on them")
    bases = {s.name: _basis(s, np.concatenate(kept.pop(s.name))) for s in wanted.all}
    for name, raws in clouds.items():
        cloud, basis = np.concatenate(raws), bases[name]
        apart = chamfer(np.full((len(cloud), 1, 3), np.nan), cloud, basis.usual)
        bases[name] = Basis(basis.usual, basis.rows, basis.spread, float(np.sqrt(_mean(apart))))
    return bases, {name: float(np.sqrt(np.mean(some))) if some else 0.0 for name, some in noise.items()}


def _basis(signal: Signal, value: np.ndarray) -> Basis:
    """The basis of one reading, from its numbers (N, number)."""
    size = value.shape[1]
    if signal.kind == "vector":
        return Basis(np.zeros(size), np.eye(size), np.ones(size), 1.0)
    usual = _mean(value)
    left = np.where(np.isfinite(value), value - usual, 0).astype(np.float32)
    scale = float(np.sqrt((left.astype(np.float64) ** 2).sum() / max(1, np.isfinite(value).sum())))
    if size <= COMPONENTS:
        return Basis(usual, np.eye(size), np.ones(size), scale)
    powers, turns = np.linalg.eigh((left @ left.T).astype(np.float64))  # of ticks, which are fewer than numbers
    best = np.argsort(powers)[::-1][:COMPONENTS]
    best = best[powers[best] > 1e-9 * max(powers.max(), 1e-30)]
    rows = (turns[:, best] / np.sqrt(powers[best])).T @ left
    return Basis(usual.astype(np.float32), rows.astype(np.float32), np.sqrt(powers[best] / len(left)), scale)


def _noise(signal: Signal, track: Track) -> list[float]:
    """Mean square that "nothing changes" costs in one episode by noise; nothing where it is too short to tell."""
    at = np.arange(1, track.length - 1, 1 if signal.kind in NARROW else _APART)
    values = track.values[signal.name]
    if not len(at):
        return []
    if signal.kind == "cloud":
        apart = chamfer(values[at], values[at + 1], np.zeros(3))
        apart = apart[np.isfinite(apart)]
        return [float(np.median(apart))] if len(apart) else []
    before, now, after = (numbers(signal, values[at + i]) for i in (-1, 0, 1))
    bend = np.abs(after - 2 * now + before)
    if signal.kind in NARROW:
        return [float(2 * ((np.median(bend, axis=0) / _SIGMA) ** 2).mean())]
    bend = bend[np.isfinite(bend)]
    return [float(2 * (np.median(bend) / _SIGMA) ** 2)] if len(bend) else []


def tracks_of(episodes: Iterable[xr.Dataset], wanted: Signals) -> Iterator[Track]:
    """Episodes held compactly, one at a time."""
    for episode in episodes:
        yield hold([episode], wanted)[0][0]


def _mean(value: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is finite, 0 where nothing is."""
    known = np.isfinite(value)
    return np.where(known, value, 0).sum(axis=0, dtype=np.float64) / np.maximum(known.sum(axis=0), 1)
