"""Which sensor is worth its price: what is perceived with all, with each one removed, and under noise."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import xarray as xr

from twinlab.batches import Batch
from twinlab.errors import ModelError
from twinlab.evaluate import _resampled
from twinlab.evaluate._localised import places
from twinlab.evaluate._noise import noisy
from twinlab.evaluate._windows import batches, checked, marks_of, provenance, seen
from twinlab.intervals import interval
from twinlab.model import WorldModel
from twinlab.model.perception import Percept
from twinlab.model.residuals import is_mark

_ANGLE = re.compile(r"^cos(\d*)(\w*)$")
_MEASURES = ("median", "mean", "p90")


def perceive(
    model: WorldModel,
    episodes: Iterable[xr.Dataset],
    without: Sequence[str] | None = None,
    noise: Sequence[float] = (0.1, 0.3, 1.0),
    context: int = 8,
    stride: int = 10,
) -> xr.Dataset:
    """How well the truth is perceived from readings only: with all, with each one removed, and under noise.

    Args:
        model: the model.
        episodes: held out; read one at a time.
        without: readings to take away, with the marks of their age and validity, one at a time; "a+b" for two or more
            together. None takes each that is no mark and varied in training.
        noise: how much noise is put on all readings, a case each: 1 is the training standard deviation of vectors,
            depth and clouds, a quarter of the range of images, the typical size of what tactile maps tell.
        context: ticks that the model sees.
        stride: ticks from one window to the next.

    Returns:
        Over `case` ("all readings", "without …", "noise …") and, each with `…_low` and `…_high`, the 95 % bootstrap
        interval over episodes: `median`, `mean` and `p90` [m] of the distance between believed and true, by `place`,
        the truth vectors with numbers in metres; `yaw_median`, `yaw_mean` and `yaw_p90` [rad] likewise, by `angle`,
        where a truth tells cosine and sine of an angle (or of some times it, which symmetry asks for); `f1` by `what`,
        the truth labels, mean over their classes (macro), and pulses, of being true; `f1_class` by `class`. A class
        that never came nor was said counts as nothing; F1 is NaN where that holds for all. What a truth needs to be
        there (`given`) was there. Attributes tell episodes, moments, seeds, digests of scenes and weights.

    Raises:
        ModelError: the model has no such reading, a noise is negative, or no episode came.
    """
    if any(not level >= 0 for level in noise):
        raise ModelError(f"noise came as {tuple(noise)}; wanted numbers, 0 or more")
    own = model.readings
    taken = [s.name for s in own.values() if not is_mark(s.name, own) and any(s.varies)] if without is None else without
    checked(model, [name for group in taken for name in group.split("+")])
    cases = [_Case("all readings"), *(_without(model, group) for group in taken)]
    cases += [_Case(f"noise {level:g}", noise=level) for level in noise]
    told: dict[str, list[str]] = {}
    found: list[list[_Said]] = []
    moments = 0
    for batch in batches(model, seen(episodes, told), context, 0, stride):
        seed = len(found)
        looked = _looked(model, batch, context)
        found.append(
            [_said(model, _percepts(model, case, batch, context, seed, looked), batch, context) for case in cases]
        )
        moments += len(batch.action)
    if not found:
        raise ModelError("episodes: none came; record some on held-out seeds first")
    columns = [[row[i] for row in found] for i in range(len(cases))]
    values, coords = _distances(model, columns)
    scores, more = _scores(model, columns)
    about = provenance(model, told) | {"moments": moments, "context": context, "found": "perceive"}
    return xr.Dataset(values | scores, {"case": [case.name for case in cases], **coords, **more}, about)


@dataclass(frozen=True)
class _Case:
    """What is done to the readings."""

    name: str
    gone: frozenset[str] = frozenset()
    noise: float = 0.0


@dataclass(frozen=True, eq=False)
class _Said:
    """What was said of the truth in one episode: name → distances [m], angles off [rad], counts (true, said)."""

    far: dict[str, np.ndarray] = field(default_factory=dict)
    turned: dict[str, np.ndarray] = field(default_factory=dict)
    confusion: dict[str, np.ndarray] = field(default_factory=dict)


def _without(model: WorldModel, group: str) -> _Case:
    return _Case(f"without {group}", frozenset().union(*(marks_of(n, model.readings) for n in group.split("+"))))


def _pictures(model: WorldModel) -> frozenset[str]:
    return frozenset(name for view in model.perception.views for name in view.names)


def _looked(model: WorldModel, batch: Batch, context: int) -> torch.Tensor | None:
    """What is found in all pictures, which takes most of the time; None where there are none."""
    pictures = {name: batch.readings[name][:, :context].flatten(0, 1) for name in sorted(_pictures(model))}
    return model.look(pictures) if pictures else None


@torch.no_grad()
def _percepts(
    model: WorldModel, case: _Case, batch: Batch, context: int, seed: int, looked: torch.Tensor | None
) -> Percept:
    """What the readings of a case tell (N, T); pictures are looked at again only if they are other ones."""
    readings = {name: value[:, :context] for name, value in batch.readings.items() if name not in case.gone}
    if not readings:
        raise ModelError(f"perceive: nothing is left {case.name}; take fewer away")
    if case.noise:
        readings = noisy(model.readings, readings, case.noise, seed)
    pictures = _pictures(model)
    again = bool(case.noise or case.gone & pictures) or pictures >= set(readings)
    flat = {name: value.flatten(0, 1) for name, value in readings.items() if again or name not in pictures}
    return model.encode(flat, found=None if again else looked).unflatten((len(batch.action), context))


@torch.no_grad()
def _said(model: WorldModel, percepts: Percept, batch: Batch, context: int) -> _Said:
    heads = model.heads(model.follow(percepts, batch.action[:, :context])[:, -1])
    truth = {name: value[:, context - 1].cpu() for name, value in batch.truth.items()}
    out, angles = _Said(), _angles(model)
    where = {s.name for s in places(model)}
    for name, value in heads.items():
        s = model.signals[name]
        counts = truth[s.given].bool() if s.given else torch.ones(len(value), dtype=torch.bool)
        said, true = value.cpu()[counts], truth[name][counts]
        said = said.reshape(len(said), s.numbers)
        if s.kind == "label":
            out.confusion[name] = _counted(true.numpy(), said.argmax(dim=-1).numpy(), len(s.labels))
        elif s.kind == "pulse":
            out.confusion[name] = _counted(true.numpy(), (said > 0.5).numpy(), 2)
        elif name in where:
            metres = [i for i, unit in enumerate(s.units) if unit == "m"]
            out.far[name] = (said - true.reshape(said.shape))[:, metres].norm(dim=1).numpy()
        if name in angles and len(said):
            out.turned[name] = _turned(said.numpy(), true.reshape(said.shape).numpy(), angles[name])
    return out


def _counted(true: np.ndarray, said: np.ndarray, classes: int) -> np.ndarray:
    """Counts (true class, said class)."""
    return np.bincount(true.ravel().astype(int) * classes + said.ravel().astype(int), minlength=classes**2).reshape(
        classes, classes
    )


def _angles(model: WorldModel) -> dict[str, tuple[int, int, int]]:
    """Truth vector → where it tells the cosine and the sine of how many times its angle."""
    out = {}
    for s in model.signals.of("truth", "vector"):
        for i, label in enumerate(s.labels):
            if s.name in model.truth.names and (hit := _ANGLE.match(label)) and "sin" + label[3:] in s.labels:
                out[s.name] = (i, s.labels.index("sin" + label[3:]), int(hit[1] or 1))
    return out


def _turned(said: np.ndarray, true: np.ndarray, where: tuple[int, int, int]) -> np.ndarray:
    """How far angles are off [rad], 0 to π over the times, where there is one at all."""
    cos, sin, times = where
    there = np.hypot(true[:, cos], true[:, sin]) > 0.5
    off = np.arctan2(said[:, sin], said[:, cos]) - np.arctan2(true[:, sin], true[:, cos])
    return np.abs((off[there] + np.pi) % (2 * np.pi) - np.pi) / times


def _distances(model: WorldModel, columns: list[list[_Said]]) -> tuple[dict, dict]:
    """Distances and angles off, with intervals, by case."""
    where, angles = [s.name for s in places(model)], list(_angles(model))
    values: dict[str, tuple] = {}
    for prefix, key, names, unit in (("", "far", where, "m"), ("yaw_", "turned", angles, "rad")):
        dims = ("case", "place" if key == "far" else "angle")
        every = np.full((3, 3, len(columns), len(names)), np.nan)  # (measure, end, case, name)
        for i, column in enumerate(columns):
            for j, name in enumerate(names):
                every[:, :, i, j] = _summed([getattr(said, key).get(name, np.zeros(0)) for said in column])
        for measure, ends in zip(_MEASURES, every, strict=True):
            for end, value in zip(("", "_low", "_high"), ends, strict=True):
                values[f"{prefix}{measure}{end}"] = (dims, value, {"units": unit})
    return values, {"place": where, "angle": angles}


def _summed(parts: list[np.ndarray]) -> list[tuple[float, float, float]]:
    """Median, mean and 90 % quantile of all values, each with its interval over the parts."""
    means = np.array([part.mean() if len(part) else np.nan for part in parts])
    weights = np.array([len(part) for part in parts], float)
    return [_resampled.quantile(parts, 0.5), interval(means, weights), _resampled.quantile(parts, 0.9)]


def _scores(model: WorldModel, columns: list[list[_Said]]) -> tuple[dict, dict]:
    """F1 by truth and by class, with intervals, by case."""
    known = [s for s in model.signals.of("truth", "pulse", "label") if s.name in model.truth.names]
    classes = [f"{s.name} {c}" if s.kind == "label" else s.name for s in known for c in (s.labels or ("",))]
    whole, single = np.empty((3, len(columns), len(known))), np.empty((3, len(columns), len(classes)))
    for i, column in enumerate(columns):
        at = 0
        for j, s in enumerate(known):
            counts = np.stack([said.confusion[s.name] for said in column])
            first = 1 if s.kind == "pulse" else 0
            drawn = np.tensordot(_resampled.drawn(len(column)), counts, axes=1)
            mean, draws = _resampled.f1(counts.sum(axis=0))[first:], _resampled.f1(drawn)[:, first:]
            whole[:, i, j] = _ended(float(_resampled.macro(mean)), _resampled.macro(draws), len(column))
            for c in range(len(mean)):
                single[:, i, at + c] = _ended(mean[c], draws[:, c], len(column))
            at += len(mean)
    out: dict[str, tuple] = {}
    for name, dim, every in (("f1", "what", whole), ("f1_class", "class", single)):
        for end, value in zip(("", "_low", "_high"), every, strict=True):
            out[name + end] = (("case", dim), value, {"units": "1"})
    return out, {"what": [s.name for s in known], "class": classes}


def _ended(value: float, draws: np.ndarray, episodes: int) -> tuple[float, float, float]:
    return (float(value), *_resampled.ends(draws, episodes))
