"""`fit`: from recorded episodes to a trained world model."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import xarray as xr
from lightning_fabric import Fabric

from twinlab.batches import Batch, Signals, Track, Windows, fitted, hold, split_of
from twinlab.errors import ModelError
from twinlab.model import Size, WorldModel
from twinlab.model.imitation import Cloning, clone, cost, lessons
from twinlab.model.objective import Draw, Objective, Weights

Progress = Callable[[int, int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Fit:
    """How a model is trained.

    Attributes:
        steps: how many [1].
        batch: windows in a step [1].
        window: ticks with pictures in a window [1].
        horizon: ticks foreseen after them [1].
        starts: ticks of each window from which the future is foreseen, at most `window` [1].
        rate: highest learning rate of AdamW; it rises over the first 5 % of the steps and falls as a cosine [1].
        decay: weight decay [1].
        clip: longest gradient [1].
        drop: share of windows in which readings are taken away, each with one half [1].
        blind: share of windows in which pictures are, in the same way [1]. More of it makes the model sturdier and
            blurs what it sees: with 0.15 of them a target's place was 34 instead of 24 mm off in the mean after 750
            steps of 64 frames, while missing vectors cost it nothing.
        look: mean share of the ticks after a window's first at which the cameras are looked at, above 0; it is all of
            them in some windows and none in many. Pictures of neighbouring ticks tell almost the same, and what is left
            out costs no time [1].
        gamma: discount of the return, per tick [1].
        seed: of first weights and all draws; the same seed gives the same model on the same machine.
        seconds: training ends after this time at the latest [s]; not repeatable. None for no limit.
        precision: of the numbers, as Lightning Fabric calls it.
        every: steps from one line of the log to the next [1].
        size: of the model.
        weights: of the loss's terms.
        cloning: how the actor is trained thereafter.
    """

    steps: int = 1500
    batch: int = 16
    window: int = 8
    horizon: int = 10
    starts: int = 8
    rate: float = 1e-3
    decay: float = 1e-4
    clip: float = 1.0
    drop: float = 0.15
    blind: float = 0.04
    look: float = 0.5
    gamma: float = 0.97
    seed: int = 0
    seconds: float | None = None
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    every: int = 50
    size: Size = Size()
    weights: Weights = Weights()
    cloning: Cloning = Cloning()


def fit(
    episodes: Iterable[xr.Dataset],
    settings: Fit = Fit(),
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> WorldModel:
    """A world model trained on episodes.

    Args:
        episodes: a store or any iterable; seeds say which are for training and which for validation, others are left.
        settings: how to train.
        out: folder for the checkpoint and `log.jsonl`; None keeps nothing.
        progress: called with steps done, steps in all and the last metrics.

    Returns:
        The model, ready for use; what it was trained on, how and how well stands in its `card`.

    Raises:
        ModelError: there is no training episode, or one does not fit the others.
    """
    began = time.monotonic()
    fabric = Fabric(accelerator="auto", devices=1, precision=settings.precision)
    tracks, signals = _held(episodes)
    windows = Windows(tracks["train"], signals, settings.window, settings.horizon, settings.gamma)
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        model = WorldModel(signals, settings.size)
        change = torch.from_numpy(typical_change(tracks["train"], signals, settings.horizon))
        objective = Objective(model, settings.window, settings.horizon, change, settings.weights)
    model.dynamics.start_linear(torch.from_numpy(one_tick(tracks["train"], signals)))
    model.worth_scale.copy_(torch.from_numpy(windows.worth_scale()))
    log = None if out is None else _log(Path(out))
    speed = _loop(fabric, objective, windows, settings, began, log, progress)
    metrics = speed | validate(objective, tracks["val"], settings)
    metrics |= _cloned(objective.model, tracks, settings)
    model.card |= card(tracks, settings, metrics)
    if out is not None:
        model.save(out)
    return model.eval()


def validate(objective: Objective, tracks: Iterable[Track], settings: Fit, count: int = 128) -> dict[str, float]:
    """Each term of the loss over evenly spaced windows of episodes, nothing taken away; empty if there are none."""
    tracks = list(tracks)
    if not tracks:
        return {}
    model = objective.model.eval()
    windows = Windows(tracks, model.signals, settings.window, settings.horizon, settings.gamma)
    which = np.linspace(0, len(windows) - 1, min(count, len(windows))).astype(int)
    rng = np.random.default_rng(0)
    sums: dict[str, float] = {}
    for part in np.array_split(which, max(1, len(which) // 32)):
        draw = draws(model, len(part), settings, rng, whole=True)
        with torch.no_grad():
            terms = objective(windows.take(part).to(model.device), draw)
        for name, value in terms.items():
            sums[f"val_{name}"] = sums.get(f"val_{name}", 0.0) + float(value) * len(part) / len(which)
    return sums


def _cloned(model: WorldModel, tracks: Mapping[str, list[Track]], settings: Fit) -> dict[str, float]:
    """Train the actor where there is a teacher; gives what its answers cost in validation, from beliefs alone."""
    model.eval()
    taught, unseen = (lessons(model, tracks[name]) for name in ("train", "val"))
    if taught is None:
        return {}
    clone(model, taught, settings.cloning, settings.seed)
    if unseen is None:
        return {}
    every = torch.arange(len(unseen), device=model.device)
    with torch.no_grad():
        return {"val_action": float(cost(model, unseen, every, torch.zeros_like(every, dtype=torch.bool)).mean())}


def draws(model: WorldModel, count: int, settings: Fit, rng: np.random.Generator, whole: bool = False) -> Draw:
    """The random choices of one step for `count` windows; `whole` takes no reading away."""
    ticks = settings.window
    present = {name: np.ones((count, ticks), bool) for name in model.readings}
    if not whole:
        seen = [name for view in model.perception.views for name in view.names]
        share = rng.random((count, 1)) ** (1 / settings.look - 1)
        present |= dict.fromkeys(seen, (rng.random((count, ticks)) < share) | (np.arange(ticks) == 0))
        poor = {name: settings.blind if name in seen else settings.drop for name in present}
        draw, gone = rng.random((count, 1)), {name: _gone(count, ticks, rng) for name in present}
        present = {name: value & ~((draw < poor[name]) & gone[name]) for name, value in present.items()}
    starts = np.stack([rng.permutation(ticks)[: settings.starts] for _ in range(count)])
    members = rng.integers(0, model.size.members, starts.size)
    shown = rng.integers(0, ticks, count)
    chosen = [torch.from_numpy(x).to(model.device) for x in (starts, members, shown)]
    return Draw({name: torch.from_numpy(value).to(model.device) for name, value in present.items()}, *chosen)


def _gone(count: int, ticks: int, rng: np.random.Generator) -> np.ndarray:
    """Where a reading is taken away (window, tick): whole, or from a random tick on or up to it, or not at all.

    Modality dropout (ModDrop, Neverova et al. 2016).
    """
    case, cut = rng.random((count, 1)), rng.integers(0, ticks + 1, (count, 1))
    late = (np.arange(ticks) < cut) ^ (rng.random((count, 1)) < 0.5)
    return (case < 0.25) | ((case < 0.5) & late)


def one_tick(tracks: Iterable[Track], signals: Signals, strength: float = 1e-3) -> np.ndarray:
    """Ridge weights (vector + actuator + 1, vector) from vector readings and a scaled action to one tick's change."""
    before, after, acts = [], [], []
    for track in tracks:
        values = stacked(track, signals)
        before.append(values[:-1])
        after.append(values[1:] - values[:-1])
        acts.append(scaled(track.values["action"][:-1], signals))
    told = np.concatenate([np.concatenate(before), np.concatenate(acts)], axis=1)
    return ridge(told, np.concatenate(after), strength).astype(np.float32)


def ridge(told: np.ndarray, wanted: np.ndarray, strength: float) -> np.ndarray:
    """Weights (feature + 1, target) of least squares, penalty `strength` a sample; the last row is the offset."""
    told = np.concatenate([told, np.ones((len(told), 1))], axis=1).astype(np.float64)
    penalty = strength * len(told) * np.eye(told.shape[1])
    penalty[-1, -1] = 0
    return np.linalg.solve(told.T @ told + penalty, told.T @ wanted)


def stacked(track: Track, signals: Signals) -> np.ndarray:
    """All vector readings of an episode, normalised, one after the other (time, vector)."""
    parts = [
        (track.values[s.name].reshape(track.length, -1) - np.array(s.mean)) / np.array(s.std)
        for s in signals.of("reading", "vector")
    ]
    return np.concatenate([np.zeros((track.length, 0)), *parts], axis=1)


def scaled(action: np.ndarray, signals: Signals) -> np.ndarray:
    """Actions (time, actuator) as -1 to 1 of their limits."""
    low, high = np.array(signals.low), np.array(signals.high)
    return (action - low) / (high - low) * 2 - 1


def typical_change(tracks: Iterable[Track], signals: Signals, ticks: int) -> np.ndarray:
    """Root mean square change of each normalised vector reading over some ticks (vector,)."""
    changes = [values[ticks:] - values[:-ticks] for values in (stacked(track, signals) for track in tracks)]
    return np.sqrt((np.concatenate(changes) ** 2).mean(axis=0)).astype(np.float32)


def card(tracks: Mapping[str, list[Track]], settings: Fit, metrics: Mapping[str, float]) -> dict[str, Any]:
    """What a model's card tells of its data, training and quality."""
    every = [track for part in tracks.values() for track in part]
    seeds = {f"{name} seeds": sorted(t.seed for t in part) for name, part in tracks.items()}
    return {
        "Data": {
            "scenes": sorted({f"{t.scene} {t.digest}" for t in every}),
            "ticks": sum(t.length for t in tracks["train"]),
            **seeds,
        },
        "Settings": asdict(settings),
        "Metrics": {name: round(value, 5) for name, value in metrics.items()},
    }


def _held(episodes: Iterable[xr.Dataset]) -> tuple[dict[str, list[Track]], Signals]:
    every, signals = hold(e for e in episodes if split_of(int(e.attrs.get("seed", 0))) != "test")
    tracks = {name: [t for t in every if split_of(t.seed) == name] for name in ("train", "val")}
    if not tracks["train"]:
        raise ModelError(f"no training episode among {len(every)}; record some with seeds below 50000")
    return tracks, fitted(signals, tracks["train"])


def _loop(
    fabric: Fabric,
    objective: Objective,
    windows: Windows,
    settings: Fit,
    began: float,
    log: Path | None,
    progress: Progress | None,
) -> dict[str, float]:
    """Train in place; gives steps, frames a second and seconds."""
    optimizer = torch.optim.AdamW(objective.parameters(), lr=settings.rate, weight_decay=settings.decay)
    wrapped, optimizer = fabric.setup(objective, optimizer)
    wrapped.train()
    rng, started, share, step = np.random.default_rng(settings.seed), time.monotonic(), 0.0, 0
    while step < settings.steps and share < 1:
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * min(1.0, share / 0.05 + 0.02) * (0.5 + 0.5 * np.cos(np.pi * share))
        terms = _step(fabric, wrapped, optimizer, windows.sample(rng, settings.batch), settings, rng)
        step += 1
        spent = time.monotonic() - began
        share = max(step / settings.steps, spent / settings.seconds if settings.seconds else 0.0)
        if step % settings.every == 0 or step == settings.steps or share >= 1:
            numbers = {name: float(value) for name, value in terms.items()} | {"seconds": spent}
            if log is not None:
                with log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"step": step, **{k: round(v, 5) for k, v in numbers.items()}}) + "\n")
            if progress is not None:
                progress(step, settings.steps, numbers)
    spent = time.monotonic() - started
    return {"steps": step, "frames_per_s": step * settings.batch * settings.window / spent, "seconds": spent}


def _step(
    fabric: Fabric, wrapped: Any, optimizer: Any, batch: Batch, settings: Fit, rng: np.random.Generator
) -> dict[str, torch.Tensor]:
    model = wrapped.module.model
    terms = wrapped(batch.to(model.device), draws(model, settings.batch, settings, rng))
    optimizer.zero_grad()
    fabric.backward(terms["loss"])
    fabric.clip_gradients(wrapped, optimizer, max_norm=settings.clip)
    optimizer.step()
    return {name: term.detach() for name, term in terms.items()}


def _log(out: Path) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    log = out / "log.jsonl"
    log.write_text("", encoding="utf-8")
    return log
