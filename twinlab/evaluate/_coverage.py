"""Whether a model's doubt is right: how often the truth lies in the intervals that it believes."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
import xarray as xr

from twinlab.batches import Batch
from twinlab.errors import ModelError
from twinlab.evaluate._windows import batches, beliefs, provenance, seen, ticks_of
from twinlab.intervals import interval
from twinlab.model import WorldModel


def coverage(
    model: WorldModel,
    episodes: Iterable[xr.Dataset],
    levels: Sequence[float] = (0.5, 0.8, 0.9, 0.95),
    ahead: Sequence[float] = (0.0, 0.5, 1.0),
    context: int = 8,
    stride: int = 10,
) -> xr.Dataset:
    """How often what is true lies in the central intervals that the model believes, now and some time ahead.

    The vector codec takes errors as Laplace's and tells their standard deviation σ; the central interval that holds a
    share p of a Laplace distribution reaches -ln(1 - p) σ / √2 to either side. (`localise` takes them as Gaussian.)
    Numbers that never varied in training are left out.

    Args:
        model: the model; whatever `spread` tells is looked at: truth vectors, and readings if it tells them.
        episodes: held out; read one at a time.
        levels: shares p that the intervals should hold.
        ahead: how far what is believed lies ahead [s], whole ticks; 0 is now.
        context: ticks that the model sees.
        stride: ticks from one window to the next.

    Returns:
        Over `ahead` [s], `what` and `level`: `share` of the numbers within the interval, with its 95 % bootstrap
        interval over episodes, `low` and `high`; `finding`: "overconfident" where that is all below the level,
        "doubtful" where it is all above, else "right", "" where it is not known. Attributes tell episodes, moments,
        seeds, digests of scenes and weights.

    Raises:
        ModelError: a level is not between 0 and 1, no episode came, or one is too short.
    """
    if not ahead:
        raise ModelError("ahead: nothing came; wanted times [s], 0 for now")
    if not levels or not all(0 < level < 1 for level in levels):
        raise ModelError(f"levels came as {tuple(levels)}; wanted shares between 0 and 1")
    ticks = ticks_of(ahead, model.signals.tick)
    told: dict[str, list[str]] = {}
    reach = -np.log1p(-np.asarray(levels, float)) / np.sqrt(2)
    shares, counts, moments = [], [], 0
    names: list[str] = []
    for batch in batches(model, seen(episodes, told), context, max(ticks), stride):
        names, share, count = _within(model, batch, context, ticks, reach)
        shares.append(share)
        counts.append(count)
        moments += len(batch.action)
    if not shares:
        raise ModelError("episodes: none came; record some on held-out seeds first")
    every, weights = np.stack(shares), np.stack(counts)  # (episode, ahead, what, level), (episode, ahead, what)
    found = np.empty((3, *every.shape[1:]))
    for at in np.ndindex(every.shape[1:]):
        found[(slice(None), *at)] = interval(every[(slice(None), *at)], weights[(slice(None), *at[:-1])])
    finding = np.where(found[2] < levels, "overconfident", np.where(found[1] > levels, "doubtful", "right"))
    dims = ("ahead", "what", "level")
    ends = {name: (dims, value, {"units": "1"}) for name, value in zip(("share", "low", "high"), found, strict=True)}
    return xr.Dataset(
        {**ends, "finding": (dims, np.where(np.isfinite(found[1]), finding, ""))},
        {"ahead": ("ahead", list(ahead), {"units": "s"}), "what": names, "level": list(levels)},
        provenance(model, told) | {"moments": moments, "context": context, "found": "coverage"},
    )


@torch.no_grad()
def _within(
    model: WorldModel, batch: Batch, context: int, ticks: tuple[int, ...], reach: np.ndarray
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, share of an episode's numbers within (ahead, what, level), and of how many numbers (ahead, what)."""
    now = beliefs(model, batch, context)
    ahead = model.rollout(now, batch.action[:, context - 1 : context - 1 + max(ticks)]) if max(ticks) else now[:, None]
    names = [n for n in model.spread(now) if any(model.signals[n].varies)]
    share = np.full((len(ticks), len(names), len(reach)), np.nan)
    count = np.zeros((len(ticks), len(names)))
    for i, k in enumerate(ticks):
        belief = ahead[:, k - 1] if k else now
        spread, told = model.spread(belief), model.heads(belief)
        for j, name in enumerate(names):
            s = model.signals[name]
            every = batch.truth if s.role == "truth" else batch.readings
            then = every[name][:, context - 1 + k]
            value = told[name] if name in told else model.decode(belief, (name,))[name]
            off = ((value - then).abs() / spread[name]).reshape(len(then), -1)[:, list(s.varies)]
            if s.given:
                off = off[batch.truth[s.given][:, context - 1 + k].bool()]
            inside = off.flatten().cpu().numpy()[:, None] <= reach
            count[i, j] = len(inside)
            share[i, j] = inside.mean(axis=0) if len(inside) else np.nan
    return names, share, count
