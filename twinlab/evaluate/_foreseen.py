"""One horizon, vector readings only: what `foresee` measures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr

from twinlab.batches import Batch, Signals, Track, hold
from twinlab.evaluate._windows import batches, beliefs, checked
from twinlab.model import WorldModel
from twinlab.model.linear import ridge, scaled, stacked

PREDICTORS = ("model", "nothing changes", "linear")
STRENGTH = 1e-4  # ridge penalty a sample; weaker and stronger ones did worse on validation episodes
_DRAWS = 1000  # of the bootstrap


@dataclass(frozen=True, eq=False)
class Linear:
    """The baseline: ridge regression from the vector readings of now and all actions to come to those then.

    Attributes:
        weights: (vector + horizon * actuator + 1, vector).
        horizon: ticks ahead.
    """

    weights: np.ndarray
    horizon: int

    @classmethod
    def fit(cls, tracks: Iterable[Track], signals: Signals, horizon: int) -> "Linear":
        """The baseline of training episodes; `signals` brings the normalisation."""
        told, wanted = [], []
        for track in tracks:
            values, acts = stacked(track, signals), scaled(track.values["action"], signals)
            starts = np.arange(track.length - horizon)
            ahead = np.stack([acts[starts + k] for k in range(horizon)], axis=1)
            told.append(np.concatenate([values[starts], ahead.reshape(len(starts), -1)], axis=1))
            wanted.append(values[starts + horizon])
        return cls(ridge(np.concatenate(told), np.concatenate(wanted), STRENGTH), horizon)

    def __call__(self, now: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Normalised vector readings then (N, vector) from those of now and scaled actions (N, horizon, actuator)."""
        return np.concatenate([now, actions.reshape(len(now), -1), np.ones((len(now), 1))], axis=1) @ self.weights


def foresee(
    model: WorldModel,
    episodes: Iterable[xr.Dataset],
    training: Iterable[xr.Dataset],
    horizon: int = 10,
    context: int = 8,
    stride: int = 10,
    without: Sequence[str] = (),
) -> xr.Dataset:
    """How well vector readings are foreseen on held-out episodes.

    Args:
        model: the model.
        episodes: held out.
        training: what the model was trained on; the linear baseline is fitted on it.
        horizon: ticks ahead.
        context: ticks that the model sees before.
        stride: ticks from one window to the next.
        without: readings to take away, one at a time; the baselines keep all of them.

    Returns:
        `error`: root mean square error over the training standard deviation, by predictor, `without` ("" for all there)
        and vector reading; `mean`: its mean over these; `low`, `high`: 95 % bootstrap interval of that mean over
        episodes.
        Attributes tell the horizon [s] and how many episodes and windows.
    """
    signals = model.signals
    linear = Linear.fit(_vectors_only(training, signals), signals, horizon)
    gone, squares, count = checked(model, without), [], 0
    for batch in batches(model, episodes, context, horizon, stride):
        squares.append(_squares(model, linear, batch, context, gone))
        count += len(batch.action)
    every = np.stack(squares)  # (episode, predictor, without, variable)
    low, high = _interval(every)
    names = [s.name for s in signals.of("reading", "vector") if any(s.varies)]
    dims, one = ("predictor", "without"), {"units": "1"}
    error = np.sqrt(every.mean(axis=0))
    values = {"mean": error.mean(axis=-1), "low": low, "high": high}
    return xr.Dataset(
        {"error": ((*dims, "variable"), error, one)} | {name: (dims, value, one) for name, value in values.items()},
        coords={"predictor": list(PREDICTORS), "without": list(gone), "variable": names},
        attrs={"horizon": horizon * signals.tick, "episodes": len(every), "windows": count},
    )


def _vectors_only(episodes: Iterable[xr.Dataset], signals: Signals) -> tuple[Track, ...]:
    return hold(episodes, replace(signals, all=signals.of("reading", "vector")))[0]


@torch.no_grad()
def _squares(model: WorldModel, linear: Linear, batch: Batch, context: int, gone: Sequence[str]) -> np.ndarray:
    """Mean square errors of an episode (predictor, without, variable), normalised."""
    signals, ahead = model.signals, linear.horizon
    vectors = signals.of("reading", "vector")

    def at(tick: int) -> np.ndarray:
        parts = [
            (batch.readings[s.name][:, tick].flatten(1) if s.shape else batch.readings[s.name][:, tick, None])
            for s in vectors
        ]
        flat = [(p.cpu().numpy() - np.array(s.mean)) / np.array(s.std) for p, s in zip(parts, vectors, strict=True)]
        return np.concatenate(flat, axis=1)

    now, then = at(context - 1), at(context - 1 + ahead)
    actions = batch.action[:, context - 1 : context - 1 + ahead]
    plain = [now, linear(now, scaled(actions.cpu().numpy(), signals))]
    out = np.empty((len(PREDICTORS), len(gone), sum(any(s.varies) for s in vectors)))
    for i, name in enumerate(gone):
        foreseen = model.rollout(beliefs(model, batch, context, [name]), actions)[:, -1, model.read_at :]
        out[:, i] = [_by_variable(vectors, found - then) for found in (foreseen.cpu().numpy(), *plain)]
    return out


def _by_variable(vectors: tuple, error: np.ndarray) -> np.ndarray:
    """Mean square by vector reading, of errors (N, vector), over the numbers that vary in training."""
    ends = np.cumsum([s.size for s in vectors])
    parts = np.split(error, ends[:-1], axis=1)
    return np.array([(e[:, list(s.varies)] ** 2).mean() for s, e in zip(vectors, parts, strict=True) if any(s.varies)])


def _interval(every: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % bootstrap interval over episodes (first axis) of the mean over variables (last axis) of the root."""
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(every), (_DRAWS, len(every)))
    means = np.stack([np.sqrt(every[d].mean(axis=0)).mean(axis=-1) for d in draws])
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return low, high
