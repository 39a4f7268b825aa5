"""Where things are and what they are, from readings only: what `localise` measures."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from twinlab.batches import Batch, Signal
from twinlab.evaluate._windows import batches, beliefs, checked
from twinlab.model import WorldModel

_Z90 = 1.645  # half width of a Gaussian's 90 % interval, in standard deviations


def localise(
    model: WorldModel,
    episodes: Iterable[xr.Dataset],
    context: int = 8,
    stride: int = 10,
    without: Sequence[str] = (),
) -> xr.Dataset:
    """How well the truth is perceived on held-out episodes, from readings only.

    Args:
        model: the model.
        episodes: held out.
        context: ticks that the model sees.
        stride: ticks from one window to the next.
        without: readings to take away, one at a time.

    Returns:
        By `without`: for truth vectors with numbers in metres (dim `place`) the distance between believed and true:
        `median`, `mean` and `p90` [m], and `within`, the share of their numbers in the believed 90 % interval; for
        pulses and labels (dim `what`) `accuracy`, and `usual`, that of always saying the most frequent value. NaN of a
        truth that never was.
    """
    gone, told = checked(model, without), []
    for batch in batches(model, episodes, context, 0, stride):
        told.append([_told(model, batch, context, g) for g in gone])
    where = [s.name for s in places(model)]
    what = [s.name for s in model.signals.of("truth", "pulse", "label") if s.name in model.truth.names]

    def column(i: int, name: str) -> np.ndarray:
        return np.concatenate([row[i][name] for row in told])

    far = [[column(i, name) for name in where] for i in range(len(gone))]
    inside = [[_of(np.mean, column(i, f"{name} within")) for name in where] for i in range(len(gone))]
    right = [[_of(np.mean, column(i, f"{name} right")) for name in what] for i in range(len(gone))]
    usual = [_usual(column(0, f"{name} true")) for name in what]
    dims, metres = ("without", "place"), {"units": "m"}
    share = {"units": "1"}
    quantiles: dict[str, Callable[[np.ndarray], Any]] = {
        "median": np.median,
        "mean": np.mean,
        "p90": lambda x: np.quantile(x, 0.9),
    }
    distances: dict[str, Any] = {
        k: (dims, [[_of(f, d) for d in row] for row in far], metres) for k, f in quantiles.items()
    }
    return xr.Dataset(
        distances
        | {
            "within": (dims, inside, share),
            "accuracy": (("without", "what"), right, share),
            "usual": ("what", usual, share),
        },
        coords={"without": list(gone), "place": where, "what": what},
        attrs={"episodes": len(told), "samples": len(column(0, f"{what[0]} true")) if what else 0},
    )


def places(model: WorldModel) -> list[Signal]:
    """Truth vectors with numbers in metres that the model perceives."""
    return [s for s in model.signals.of("truth", "vector") if s.name in model.truth.names and "m" in s.units]


@torch.no_grad()
def _told(model: WorldModel, batch: Batch, context: int, gone: str) -> dict[str, np.ndarray]:
    """Per moment of an episode: distances, whether within the interval, whether right, and what was true."""
    belief = beliefs(model, batch, context, [gone])
    heads, spread = model.heads(belief), model.spread(belief)
    truth = {name: value[:, context - 1] for name, value in batch.truth.items()}
    out = {}
    for name, value in heads.items():
        s = model.signals[name]
        counts = truth[s.given].bool().cpu().numpy() if s.given else slice(None)
        if s in places(model):
            metres = [i for i, unit in enumerate(s.units) if unit == "m"]
            left = (value - truth[name]).reshape(len(value), -1)[:, metres]
            out[name] = left.norm(dim=1).cpu().numpy()[counts]
            inside = left.abs() <= _Z90 * spread[name].reshape(len(value), -1)[:, metres]
            out[f"{name} within"] = inside.float().mean(dim=1).cpu().numpy()[counts]
        elif s.kind != "vector":
            said = value.argmax(dim=-1) if s.kind == "label" else value > 0.5
            right = (said == truth[name]).reshape(len(said), -1).float().mean(dim=1)
            out[f"{name} right"] = right.cpu().numpy()[counts]
            out[f"{name} true"] = truth[name].cpu().numpy()[counts]
    return out


def _of(measure: Callable[[np.ndarray], Any], values: np.ndarray) -> float:
    """A measure of values, NaN of none: what a truth is given by may never have been there."""
    return float(measure(values)) if values.size else float("nan")


def _usual(true: np.ndarray) -> float:
    """How often the most frequent value is true, mean over numbers; 1 where there is none."""
    if not true.size:
        return 1.0
    columns = true.reshape(len(true), -1).astype(int).T
    return float(np.mean([np.bincount(c).max() / len(c) for c in columns]))
