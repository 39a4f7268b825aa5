"""What a model is worth on episodes it never saw: what it foresees, and what it perceives."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr

from twinlab.batches import Batch, Signals, Track, Windows, hold
from twinlab.errors import ModelError, did_you_mean
from twinlab.model import WorldModel
from twinlab.model.linear import ridge, scaled, stacked

PREDICTORS = ("model", "nothing changes", "linear")
_STRENGTH = 1e-4  # ridge penalty a sample; weaker and stronger ones did worse on validation episodes
_DRAWS = 1000  # of the bootstrap
_Z90 = 1.645  # half width of a Gaussian's 90 % interval, in standard deviations


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
        return cls(ridge(np.concatenate(told), np.concatenate(wanted), _STRENGTH), horizon)

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
    gone, squares, count = _checked(model, without), [], 0
    for batch in _batches(model, episodes, context, horizon, stride):
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
        pulses and labels (dim `what`) `accuracy`, and `usual`, that of always saying the most frequent value.
    """
    gone, told = _checked(model, without), []
    for batch in _batches(model, episodes, context, 0, stride):
        told.append([_told(model, batch, context, g) for g in gone])
    places = [s.name for s in _places(model)]
    what = [s.name for s in model.signals.of("truth", "pulse", "label") if s.name in model.truth.decoders]

    def column(i: int, name: str) -> np.ndarray:
        return np.concatenate([row[i][name] for row in told])

    far = [[column(i, name) for name in places] for i in range(len(gone))]
    inside = [[column(i, f"{name} within").mean() for name in places] for i in range(len(gone))]
    right = [[column(i, f"{name} right").mean() for name in what] for i in range(len(gone))]
    usual = [_usual(column(0, f"{name} true")) for name in what]
    dims, metres = ("without", "place"), {"units": "m"}
    share = {"units": "1"}
    quantiles: dict[str, Callable[[np.ndarray], Any]] = {
        "median": np.median,
        "mean": np.mean,
        "p90": lambda x: np.quantile(x, 0.9),
    }
    distances: dict[str, Any] = {
        k: (dims, [[float(f(d)) for d in row] for row in far], metres) for k, f in quantiles.items()
    }
    return xr.Dataset(
        distances
        | {
            "within": (dims, inside, share),
            "accuracy": (("without", "what"), right, share),
            "usual": ("what", usual, share),
        },
        coords={"without": list(gone), "place": places, "what": what},
        attrs={"episodes": len(told), "samples": len(column(0, f"{what[0]} true")) if what else 0},
    )


def table(result: xr.Dataset) -> str:
    """What `foresee` or `localise` found, as text."""
    return _foreseen_table(result) if "error" in result else _localised_table(result)


def _foreseen_table(result: xr.Dataset) -> str:
    lines = [
        f"{result.attrs['horizon']:g} s ahead, {result.attrs['episodes']} episodes, {result.attrs['windows']} windows: "
        f"error over standard deviation,\nmean over {result.sizes['variable']} vector readings [95 % interval]"
    ]
    for gone in result["without"].values:
        for predictor in PREDICTORS if gone == "" else PREDICTORS[:1]:
            row = result.sel(predictor=predictor, without=gone)
            name = f"{predictor} without {gone}" if gone else predictor
            lines.append(f"{name:40s} {float(row['mean']):.3f} [{float(row['low']):.3f}, {float(row['high']):.3f}]")
    return "\n".join(lines)


def _localised_table(result: xr.Dataset) -> str:
    lines = [f"perceived from readings only, {result.attrs['episodes']} episodes, {result.attrs['samples']} moments"]
    for gone in result["without"].values:
        lines.append(f"without {gone}:" if gone else "with all readings:")
        for name in result["place"].values:
            row = result.sel(without=gone, place=name)
            median, mean, p90 = (float(row[key]) * 1000 for key in ("median", "mean", "p90"))
            inside = float(row["within"])
            lines.append(
                f"  {name:16s} median {median:6.1f} mm, mean {mean:6.1f}, p90 {p90:6.1f}, in its 90 %: {inside:.2f}"
            )
        for name in result["what"].values:
            right, usual = float(result["accuracy"].sel(without=gone, what=name)), float(result["usual"].sel(what=name))
            lines.append(f"  {name:16s} right {right:.3f} (always the most frequent: {usual:.3f})")
    return "\n".join(lines)


def _checked(model: WorldModel, without: Sequence[str]) -> tuple[str, ...]:
    for name in without:
        if name not in model.readings:
            known = sorted(model.readings)
            raise ModelError(f"without: the model has no reading {name!r}; it has {known}.{did_you_mean(name, known)}")
    return ("", *without)


def _vectors_only(episodes: Iterable[xr.Dataset], signals: Signals) -> tuple[Track, ...]:
    wanted = Signals(signals.of("reading", "vector"), signals.actuators, signals.low, signals.high, signals.tick)
    return hold(episodes, wanted)[0]


def _batches(
    model: WorldModel, episodes: Iterable[xr.Dataset], context: int, horizon: int, stride: int
) -> Iterator[Batch]:
    """All windows of one episode after the other."""
    for episode in episodes:
        windows = Windows(hold([episode], model.signals)[0], model.signals, context, horizon)
        yield windows.take(range(0, len(windows), stride)).to(model.device)


def _beliefs(model: WorldModel, batch: Batch, context: int, gone: str) -> torch.Tensor:
    """Beliefs after the context (N, size)."""
    readings = {name: value[:, :context] for name, value in batch.readings.items() if name != gone}
    return model.observe(readings, batch.action[:, :context])[:, -1]


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
        foreseen = model.rollout(_beliefs(model, batch, context, name), actions)[:, -1, model.latent :]
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


def _places(model: WorldModel) -> list:
    return [s for s in model.signals.of("truth", "vector") if s.name in model.truth.decoders and "m" in s.units]


@torch.no_grad()
def _told(model: WorldModel, batch: Batch, context: int, gone: str) -> dict[str, np.ndarray]:
    """Per moment of an episode: distances, whether within the interval, whether right, and what was true."""
    belief = _beliefs(model, batch, context, gone)
    heads, spread = model.heads(belief), model.spread(belief)
    truth = {name: value[:, context - 1] for name, value in batch.truth.items()}
    out = {}
    for name, value in heads.items():
        s = model.signals[name]
        counts = truth[s.given].bool().cpu().numpy() if s.given else slice(None)
        if s in _places(model):
            metres = [i for i, unit in enumerate(s.units) if unit == "m"]
            left = (value - truth[name]).flatten(1)[:, metres]
            out[name] = left.norm(dim=1).cpu().numpy()[counts]
            inside = left.abs() <= _Z90 * spread[name].flatten(1)[:, metres]
            out[f"{name} within"] = inside.float().mean(dim=1).cpu().numpy()[counts]
        elif s.kind != "vector":
            said = value.argmax(dim=-1) if s.kind == "label" else value > 0.5
            right = (said == truth[name]).reshape(len(said), -1).float().mean(dim=1)
            out[f"{name} right"] = right.cpu().numpy()[counts]
            out[f"{name} true"] = truth[name].cpu().numpy()[counts]
    return out


def _usual(true: np.ndarray) -> float:
    """How often the most frequent value is true, mean over numbers."""
    columns = true.reshape(len(true), -1).astype(int).T
    return float(np.mean([np.bincount(c).max() / len(c) for c in columns])) if true.size else 1.0
