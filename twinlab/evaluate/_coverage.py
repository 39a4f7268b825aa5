"""Whether a model's doubt is right: how often what is so lies in the intervals that it tells."""

from collections.abc import Iterable, Sequence

import numpy as np
import xarray as xr

from twinlab.batches import Track, hold
from twinlab.errors import ModelError
from twinlab.evaluate._windows import provenance, seen, ticks_of
from twinlab.intervals import interval
from twinlab.model import WorldModel
from twinlab.model.calibration import errors

_KINDS = ("told", "believed")  # calibrated, and as the head believes


def coverage(
    model: WorldModel,
    episodes: Iterable[xr.Dataset],
    levels: Sequence[float] = (0.5, 0.8, 0.9, 0.95),
    ahead: Sequence[float] = (0.0, 0.5, 1.0),
    context: int = 8,
    stride: int = 10,
) -> xr.Dataset:
    """How often what is so lies in the intervals that the model tells, now and some time ahead.

    The model follows each episode from its start. Judged are `WorldModel.intervals`, of truth vectors and of vector
    readings that are foreseen; and, beside, what the heads believed before calibration: the vector codec takes errors
    as Laplace's and tells their standard deviation σ, so that the central interval which holds a share p reaches
    -ln(1 - p) σ / √2 to either side. A model that was not calibrated is judged by the latter alone, truth vectors
    only. (`localise` takes errors as Gaussian.) Numbers that never varied in training are left out.

    Args:
        model: the model.
        episodes: held out, from validation too; read one at a time.
        levels: shares p that the intervals should hold.
        ahead: how far what is believed lies ahead [s], whole ticks; 0 is now.
        context: ticks that the model has seen at the first moment.
        stride: ticks from one moment to the next.

    Returns:
        Over `ahead` [s], `what` and `level`: `share` of the numbers within the interval, with its 95 % bootstrap
        interval over episodes, `low` and `high`; `believed`, the share within what was believed before calibration,
        NaN for readings; `finding`: "overconfident" where the interval of the share is all below the level, "doubtful"
        where it is all above, else "right", "" where it is not known. Attributes tell `calibrated`, on how many
        validation episodes (0: not at all), episodes, moments, seeds, digests of scenes and weights.

    Raises:
        ModelError: a level is not between 0 and 1 or beyond what was calibrated, no episode came, or one is too short.
    """
    if not ahead:
        raise ModelError("ahead: nothing came; wanted times [s], 0 for now")
    if not levels or not all(0 < level < 1 for level in levels):
        raise ModelError(f"levels came as {tuple(levels)}; wanted shares between 0 and 1")
    ticks = ticks_of(ahead, model.signals.tick)
    told: dict[str, list[str]] = {}
    names = [s.name for s in model.signals.all if s.kind == "vector" and _judged(model, s.name)]
    parts, moments = [], 0
    for episode in seen(episodes, told):
        track = hold([episode], model.signals)[0][0]
        if track.length < context + max(ticks):
            raise ModelError(f"no episode has {context + max(ticks)} ticks; record longer ones or look less far")
        moments += len(range(context - 1, track.length - max(ticks), stride))
        parts.append(_within(model, track, names, levels, ticks, (context, stride)))
    if not parts:
        raise ModelError("episodes: none came; record some on held-out seeds first")
    about = {
        "moments": moments,
        "context": context,
        "calibrated": model.calibration.episodes if model.calibration else 0,
    }
    coords = {"ahead": ("ahead", list(ahead), {"units": "s"}), "what": names, "level": list(levels)}
    values = _shares(parts, levels, model.calibration is not None)
    return xr.Dataset(values, coords, provenance(model, told) | about | {"found": "coverage"})


def _shares(
    parts: Sequence[tuple[np.ndarray, np.ndarray]], levels: Sequence[float], calibrated: bool
) -> dict[str, tuple[tuple[str, ...], np.ndarray, dict[str, str]]]:
    """The variables of the result, from shares and counts of each episode."""
    shares, counts = (np.stack(part) for part in zip(*parts, strict=True))  # (episode, kind, ahead, …)
    found = np.full((len(_KINDS), 3, *shares.shape[2:]), np.nan)
    for kind, *at in np.ndindex(shares.shape[1:]):
        found[(kind, slice(None), *at)] = interval(shares[(slice(None), kind, *at)], counts[(slice(None), *at[:-1])])
    judged = found[0 if calibrated else 1]
    finding = np.where(judged[2] < levels, "overconfident", np.where(judged[1] > levels, "doubtful", "right"))
    dims, one = ("ahead", "what", "level"), {"units": "1"}
    ends = {name: (dims, value, one) for name, value in zip(("share", "low", "high"), judged, strict=True)}
    finding = np.where(np.isfinite(judged[1]), finding, "")
    return {**ends, "believed": (dims, found[1, 0], one), "finding": (dims, finding, {})}


def _judged(model: WorldModel, name: str) -> bool:
    """Whether there is an interval of a vector to judge."""
    s = model.signals[name]
    if model.calibration is None:
        return s.role == "truth" and name in model.truth.names and any(s.varies)
    return name in model.calibration.factors


def _within(
    model: WorldModel,
    track: Track,
    names: Sequence[str],
    levels: Sequence[float],
    ticks: tuple[int, ...],
    moments: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Share of an episode's numbers within (kind, ahead, what, level), and of how many (ahead, what)."""
    share = np.full((len(_KINDS), len(ticks), len(names), len(levels)), np.nan)
    count = np.zeros((len(ticks), len(names)))
    found = errors(model, track, ticks, *moments)
    laplace = -np.log1p(-np.asarray(levels, float)) / np.sqrt(2)
    for i, k in enumerate(ticks):
        for j, name in enumerate(names):
            if name not in found[k]:
                continue
            off, doubt = found[k][name]
            s = model.signals[name]
            there = np.isfinite(off).all(axis=1)
            off, doubt, count[i, j] = off[there], doubt[there], there.sum() * off.shape[1]
            if not len(off):
                continue
            if s.role == "truth":
                share[1, i, j] = [(off <= reach * doubt).mean() for reach in laplace]
            if model.calibration is not None:
                for m, level in enumerate(levels):
                    factor, floor = model.calibration.reach(name, level, k * model.signals.tick)
                    varies = list(s.varies)
                    share[0, i, j, m] = (off <= factor[varies] * (doubt + floor[varies])).mean()
    return share, count
