"""Windows of held-out episodes, and what a model believes after them."""

from collections.abc import Iterable, Iterator, Sequence

import torch
import xarray as xr

from twinlab.batches import Batch, Windows, hold
from twinlab.errors import ModelError, did_you_mean
from twinlab.model import WorldModel, checkpoint
from twinlab.model.residuals import MARKS


def checked(model: WorldModel, without: Sequence[str]) -> tuple[str, ...]:
    """Nothing, and then the readings to take away, which the model must have."""
    for name in without:
        if name not in model.readings:
            known = sorted(model.readings)
            raise ModelError(f"without: the model has no reading {name!r}; it has {known}.{did_you_mean(name, known)}")
    return ("", *without)


def marks_of(name: str, readings: Iterable[str]) -> set[str]:
    """A reading and what marks its age and whether it is valid, of those that there are."""
    return {name, *(name + end for end in MARKS)} & set(readings)


def batches(
    model: WorldModel, episodes: Iterable[xr.Dataset], context: int, horizon: int, stride: int
) -> Iterator[Batch]:
    """All windows of one episode after the other."""
    for episode in episodes:
        windows = Windows(hold([episode], model.signals)[0], model.signals, context, horizon)
        yield windows.take(range(0, len(windows), stride)).to(model.device)


def beliefs(model: WorldModel, batch: Batch, context: int, gone: Iterable[str] = ()) -> torch.Tensor:
    """Beliefs after the context (N, size), some readings taken away."""
    away = set(gone)
    readings = {name: value[:, :context] for name, value in batch.readings.items() if name not in away}
    return model.observe(readings, batch.action[:, :context])[:, -1]


def seen(episodes: Iterable[xr.Dataset], told: dict[str, list[str]]) -> Iterator[xr.Dataset]:
    """The episodes as they come; their seeds and scenes are added to what is told."""
    for episode in episodes:
        told.setdefault("seeds", []).append(str(episode.attrs.get("seed", "?")))
        told.setdefault("scenes", []).append(str(episode.attrs.get("scene_digest", "?")))
        yield episode


def provenance(model: WorldModel, told: dict[str, list[str]]) -> dict[str, object]:
    """Attributes of a result: episodes, their seeds, digests of their scenes and of the model's weights."""
    scenes = list(dict.fromkeys(told.get("scenes", [])))
    return {
        "episodes": len(told.get("seeds", [])),
        "seeds": told.get("seeds", []),
        "scenes": scenes,
        "weights": checkpoint.weights(model),
    }


def ticks_of(seconds: Sequence[float], tick: float) -> tuple[int, ...]:
    """Whole ticks of some times [s].

    Raises:
        ModelError: one is negative or no whole number of ticks.
    """
    for time in seconds:
        if time < 0 or abs(time / tick - round(time / tick)) > 1e-6:
            raise ModelError(f"ahead: {time:g} s came; wanted multiples of the tick, {tick:g} s, 0 or more")
    return tuple(round(time / tick) for time in seconds)
