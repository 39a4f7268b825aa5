"""Every reading, several horizons ahead, against what needs no world model: what `predict` measures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr

from twinlab.batches import Batch, Windows, hold
from twinlab.errors import ModelError
from twinlab.evaluate._baselines import Baselines, Values
from twinlab.evaluate._events import eventful
from twinlab.evaluate._measures import chamfer, numbers, squares, unit
from twinlab.evaluate._windows import beliefs, checked, marks_of, provenance, seen, ticks_of
from twinlab.intervals import interval
from twinlab.model import WorldModel
from twinlab.model.linear import scaled

BASELINES = ("nothing changes", "linear", "constant velocity")
WINDOWS = ("all", "eventful", "quiet")
_ABOVE = 2.0  # a reading moves if "nothing changes" errs by more than so many times its noise


def predict(
    model: WorldModel,
    episodes: Iterable[xr.Dataset],
    training: Iterable[xr.Dataset],
    ahead: Sequence[float] = (0.25, 0.5, 1.0, 2.0),
    context: int = 8,
    stride: int = 10,
    without: Sequence[str] = (),
) -> xr.Dataset:
    """How well each reading is foreseen on held-out episodes, and whether better than by all that needs no model.

    How errors are measured, what the baselines do and which windows are eventful stands in `twinlab.evaluate`.

    Args:
        model: the model.
        episodes: held out; read one at a time.
        training: what the model was trained on; the baselines are fitted on it. Read twice, one at a time.
        ahead: how far [s], whole ticks.
        context: ticks that the model sees before, at least 2.
        stride: ticks from one window to the next.
        without: readings to take away from the model, one at a time, with the marks of their age and validity; each is
            one more predictor, "model without …". Baselines keep all.

    Returns:
        Over `predictor`, `ahead` [s], `reading` and `window` (all, eventful, quiet): `error` with its 95 % bootstrap
        interval over episodes, `low` and `high`. Over the last three: `best`, the baseline with the least error there;
        `difference`, the model's error less that one's, paired by episode, with `difference_low` and
        `difference_high`; and `finding`: "better" or "worse" where that interval is all below or all above 0, else
        "even", "" where it is not known. `windows` (ahead, window) counts them. `moves` (ahead, reading): the error of
        "nothing changes" is more than twice what the reading's noise alone costs it, `floor`. `scale` and `floor`
        (reading) are in `unit`, and not over `scale`. Attributes tell episodes, seeds, windows, digests of scenes and
        of weights.

    Raises:
        ModelError: an episode is too short or lacks a reading, or an argument cannot be.
    """
    ticks = ticks_of(ahead, model.signals.tick)
    if not ticks or min(ticks) < 1 or context < 2:
        raise ModelError(f"predict: ahead {tuple(ahead)} s and context {context} came; wanted at least 1 and 2 ticks")
    gone = checked(model, without)
    told: dict[str, list[str]] = {}
    base = Baselines.fit(training, model.signals, ticks)
    job = _Job(model, base, ticks, context, stride, gone)
    found = [job.episode(episode) for episode in seen(episodes, told)]
    if not found:
        raise ModelError("episodes: none came; record some on held-out seeds first")
    names = ("model", *BASELINES, *(f"model without {name}" for name in gone[1:]))
    out = _gathered(base, np.stack([f.error for f in found]), np.stack([f.count for f in found]))
    counts = np.sum([f.windows for f in found], axis=0)
    out["windows"] = (("ahead", "window"), counts)
    about = provenance(model, told) | {"windows": int(counts[0, 0]), "context": context, "found": "predict"}
    coords = {
        "predictor": list(names),
        "ahead": ("ahead", list(ahead), {"units": "s"}),
        "reading": [s.name for s in base.readings],
        "window": list(WINDOWS),
        "kind": ("reading", [s.kind for s in base.readings]),
        "unit": ("reading", [unit(s) for s in base.readings]),
    }
    return xr.Dataset(out, coords, about)


@dataclass(frozen=True, eq=False)
class _Found:
    """What one episode gave.

    Attributes:
        error: (predictor, ahead, reading, window).
        count: of how many windows each is (ahead, reading, window).
        windows: how many there were (ahead, window).
    """

    error: np.ndarray
    count: np.ndarray
    windows: np.ndarray


@dataclass(frozen=True, eq=False)
class _Job:
    """All that is the same for each episode."""

    model: WorldModel
    base: Baselines
    ticks: tuple[int, ...]
    context: int
    stride: int
    gone: tuple[str, ...]

    def episode(self, episode: xr.Dataset) -> _Found:
        """The errors of an episode; pictures are decoded at the asked ticks only."""
        signals, longest = self.model.signals, max(self.ticks)
        tracks, _ = hold([episode], signals)
        windows = Windows(tracks, signals, self.context, longest)
        starts = np.arange(0, len(windows), self.stride)
        now, values = starts + self.context - 1, tracks[0].values

        def raw(tick: np.ndarray) -> dict[str, np.ndarray]:
            return {s.name: values[s.name][tick] for s in self.base.readings}

        acts = scaled(values["action"][:], signals)[now[:, None] + np.arange(longest)]
        foreseen = self._foreseen(windows.take(starts).to(self.model.device))
        here, before = raw(now), raw(now - 1)
        shape = (1 + len(BASELINES) + len(self.gone) - 1, len(self.ticks), len(self.base.readings))
        square = np.empty((*shape, len(now)))
        events = np.stack([eventful(episode, now, k) for k in self.ticks])
        for i, k in enumerate(self.ticks):
            others = [self.base.nothing(here), self.base.linear(here, acts[:, :k]), self.base.velocity(here, before, k)]
            then = raw(now + k)
            for p, one in enumerate([foreseen[0][i], *others, *(f[i] for f in foreseen[1:])]):
                square[p, i] = self._squares(one, then)
        masks = np.stack([np.ones_like(events), events, ~events], axis=1)  # (ahead, window kind, window)
        known = np.isfinite(square[0])[:, :, None] & masks[:, None]
        count = known.sum(axis=-1)
        total = np.where(known, np.nan_to_num(square)[:, :, :, None], 0).sum(axis=-1)
        error = np.sqrt(np.where(count > 0, total / np.maximum(count, 1), np.nan))
        return _Found(error, count, masks.sum(axis=-1))

    @torch.no_grad()
    def _foreseen(self, batch: Batch) -> list[list[dict[str, np.ndarray]]]:
        """What the model foresees, comparable, by what is taken away and by tick."""
        first, names = self.context - 1, tuple(s.name for s in self.base.readings)
        actions, out = batch.action[:, first : first + max(self.ticks)], []
        for name in self.gone:
            away = marks_of(name, self.model.readings)
            ahead = self.model.rollout(beliefs(self.model, batch, self.context, away), actions)
            told = [self.model.decode(ahead[:, k - 1], names) for k in self.ticks]
            out.append([self._compared(one) for one in told])
        return out

    def _compared(self, told: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
        raw = {name: value.cpu().numpy() for name, value in told.items()}
        return {s.name: raw[s.name] if s.kind == "cloud" else numbers(s, raw[s.name]) for s in self.base.readings}

    def _squares(self, told: Values, then: Values) -> np.ndarray:
        """Mean square errors (reading, window) over the square of the scale."""
        rows = []
        for s in self.base.readings:
            basis, true = self.base.bases[s.name], then[s.name]
            if s.kind == "cloud":
                one = chamfer(told[s.name], true, basis.usual)
            else:
                one = squares(told[s.name], numbers(s, true), basis.usual)
            rows.append(one / basis.scale**2)
        return np.stack(rows)


def _gathered(base: Baselines, error: np.ndarray, count: np.ndarray) -> dict[str, tuple]:
    """Variables of the result, from errors (episode, predictor, ahead, reading, window) and their counts."""
    three = ("ahead", "reading", "window")
    every = np.apply_along_axis(_interval, 0, np.concatenate([error, np.broadcast_to(count[:, None], error.shape)]))
    mean = every[0]
    others = np.where(np.isfinite(mean[1 : 1 + len(BASELINES)]), mean[1 : 1 + len(BASELINES)], np.inf)
    best = others.argmin(axis=0)
    rival = np.take_along_axis(error, best[None, None] + 1, axis=1)[:, 0]
    apart = np.apply_along_axis(_interval, 0, np.concatenate([error[:, 0] - rival, count]))
    known = np.isfinite(apart[1])
    finding = np.where(apart[2] < 0, "better", np.where(apart[1] > 0, "worse", "even"))
    scale = np.array([base.bases[s.name].scale for s in base.readings])
    floor = np.array([base.floor[s.name] for s in base.readings])
    one = {"units": "1"}
    return {
        **{n: (("predictor", *three), v, one) for n, v in zip(("error", "low", "high"), every, strict=True)},
        "best": (three, np.where(np.isfinite(apart[0]), np.array(BASELINES)[best], "")),
        **{f"difference{n}": (three, v, one) for n, v in zip(("", "_low", "_high"), apart, strict=True)},
        "finding": (three, np.where(known, finding, "")),
        "moves": (("ahead", "reading"), mean[1, :, :, 0] > np.maximum(_ABOVE * floor / scale, 1e-9)),
        "scale": ("reading", scale),
        "floor": ("reading", floor),
    }


def _interval(both: np.ndarray) -> tuple[float, float, float]:
    """Mean and interval of values, which come first, by weights, which come second (2 * episode,)."""
    values, weights = np.split(both, 2)
    return interval(values, weights)
