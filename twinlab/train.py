"""`fit`: from recorded episodes to a trained world model."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import xarray as xr
from lightning_fabric import Fabric

from twinlab.batches import Signals, Track, Windows, fitted, hold, split_of
from twinlab.errors import ModelError
from twinlab.model import Size, WorldModel, checkpoint
from twinlab.model.imitation import Cloning, clone, cost, lessons
from twinlab.model.linear import one_tick, typical_change
from twinlab.model.objective import Objective, Weights, draw

Progress = Callable[[int, int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Stage:
    """Steps of gradient descent on one kind of windows.

    Attributes:
        steps: how many [1].
        batch: windows in a step [1].
        window: ticks over which beliefs are followed [1].
        horizon: ticks foreseen after them [1].
        starts: ticks of each window from which the future is foreseen, at most `window` [1].
        rate: highest learning rate of AdamW; it rises over the first 5 % of the steps and falls as a cosine [1].
    """

    steps: int
    batch: int
    window: int
    horizon: int
    starts: int
    rate: float

    def __post_init__(self) -> None:
        sizes = {
            "steps": self.steps,
            "batch": self.batch,
            "window": self.window,
            "starts": self.starts,
            "rate": self.rate,
        }
        for name, value in sizes.items():
            if not value > 0:
                raise ModelError(f"a training stage's {name} came as {value}; wanted more than 0")
        if self.horizon < 0 or self.starts > self.window:
            raise ModelError(
                f"a training stage's horizon came as {self.horizon} and its starts as {self.starts}; wanted 0 or more "
                f"ticks ahead, from at most the {self.window} ticks of its window"
            )


@dataclass(frozen=True)
class Fit:
    """How a model is trained: to see, then to follow and foresee, then to act.

    Attributes:
        seeing: single ticks, from which the cameras' views and all else that perceives is learnt. Ticks from anywhere
            differ more than those of a window do: the mean error of a target's place is half of what windows of 8
            ticks led to in three times as long.
        following: windows of many ticks; what the views find in the pictures is fixed from then on, so that looking
            costs nothing any more.
        cloning: how the actor is trained at last.
        decay: weight decay [1].
        clip: longest gradient [1].
        drop: share of windows in which readings are taken away, each with one half [1].
        blind: share of windows in which pictures are, in the same way [1]. More of it makes the model sturdier and
            blurs what it sees: with 0.15 of them a target's place was 34 instead of 24 mm off in the mean after 750
            steps of 64 ticks, while missing vectors cost it nothing.
        gamma: discount of the return, per tick [1].
        seed: of first weights and all draws; the same seed gives the same model on the same machine.
        seconds: training before cloning ends after this time at the latest, half of it for seeing [s]; not repeatable.
            None for no limit.
        precision: of the numbers, as Lightning Fabric calls it.
        every: steps from one line of the log to the next [1].
        size: of the model.
        weights: of the loss's terms.
    """

    seeing: Stage = Stage(steps=750, batch=64, window=1, horizon=0, starts=1, rate=4e-3)
    following: Stage = Stage(steps=450, batch=32, window=24, horizon=10, starts=4, rate=2e-3)
    cloning: Cloning = Cloning()
    decay: float = 1e-4
    clip: float = 100.0
    drop: float = 0.15
    blind: float = 0.1
    gamma: float = 0.97
    seed: int = 0
    seconds: float | None = None
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    every: int = 50
    size: Size = Size()
    weights: Weights = Weights()

    def of(self, steps: int | None) -> "Fit":
        """The same with so many steps of seeing and of following; None changes nothing."""
        if steps is None:
            return self
        return replace(self, seeing=replace(self.seeing, steps=steps), following=replace(self.following, steps=steps))


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
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        model = WorldModel(signals, settings.size)
        change = torch.from_numpy(typical_change(tracks["train"], signals, settings.following.horizon))
        single = Objective(model, settings.seeing.window, settings.seeing.horizon, change, settings.weights)
        objective = Objective(model, settings.following.window, settings.following.horizon, change, settings.weights)
    model.dynamics.start_linear(torch.from_numpy(one_tick(tracks["train"], signals)))
    log = None if out is None else _log(Path(out))
    _loop(fabric, single, tracks["train"], settings, settings.seeing, log, progress)
    model.perception.views.requires_grad_(False)
    tracks = {name: [look(model, track) for track in part] for name, part in tracks.items()}
    _loop(fabric, objective, tracks["train"], settings, settings.following, log, progress)
    checkpoint.rounded(model)
    metrics = {"seconds": time.monotonic() - began} | validate(objective, tracks["val"], settings)
    metrics |= _cloned(model, tracks, settings)
    checkpoint.rounded(model)
    model.card |= card(tracks, settings, metrics)
    if out is not None:
        model.save(out)
    return model.eval()


def look(model: WorldModel, track: Track) -> Track:
    """The episode with what the model's views find in its pictures."""
    names = [name for view in model.perception.views for name in view.names]
    if not names:
        return track
    pictures = {name: torch.from_numpy(track.values[name]) for name in names}
    return replace(track, values={**track.values, "found": model.eval().look(pictures).cpu().numpy()})


def validate(objective: Objective, tracks: Iterable[Track], settings: Fit, count: int = 128) -> dict[str, float]:
    """Each term of the loss over evenly spaced windows of episodes, nothing taken away; empty if there are none."""
    tracks = list(tracks)
    if not tracks:
        return {}
    model, ticks = objective.model.eval(), objective.window
    windows = Windows(tracks, model.signals, ticks, objective.horizon, settings.gamma)
    which = np.linspace(0, len(windows) - 1, min(count, len(windows))).astype(int)
    rng = np.random.default_rng(0)
    sums: dict[str, float] = {}
    for part in np.array_split(which, max(1, len(which) // 32)):
        with torch.no_grad():
            choices = draw(model, len(part), ticks, rng, settings.following.starts)
            terms = objective(windows.take(part).to(model.device), choices)
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
    tracks: Iterable[Track],
    settings: Fit,
    stage: Stage,
    log: Path | None,
    progress: Progress | None,
) -> None:
    """Train in place."""
    model = objective.model
    windows = Windows(tracks, model.signals, stage.window, stage.horizon, settings.gamma)
    model.worth_scale.copy_(torch.from_numpy(windows.worth_scale()))
    learnt = [p for p in objective.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learnt, lr=stage.rate, weight_decay=settings.decay)
    wrapped, optimizer = fabric.setup(objective, optimizer)
    wrapped.train()
    model.perception.views.train(windows.looks)
    rng, began, share, step = np.random.default_rng([settings.seed, stage.window]), time.monotonic(), 0.0, 0
    before = 0 if stage is settings.seeing else settings.seeing.steps
    while step < stage.steps and share < 1:
        for group in optimizer.param_groups:
            group["lr"] = stage.rate * min(1.0, share / 0.05 + 0.02) * (0.5 + 0.5 * np.cos(np.pi * share))
        batch = windows.sample(rng, stage.batch).to(model.device)
        choices = draw(model, stage.batch, stage.window, rng, stage.starts, settings.drop, settings.blind)
        terms = wrapped(batch, choices)
        optimizer.zero_grad()
        fabric.backward(terms["loss"])
        fabric.clip_gradients(wrapped, optimizer, max_norm=settings.clip)
        optimizer.step()
        step += 1
        spent = time.monotonic() - began
        share = max(step / stage.steps, spent / (settings.seconds / 2) if settings.seconds else 0.0)
        if step % settings.every == 0 or step == stage.steps or share >= 1:
            numbers = {name: float(value.detach()) for name, value in terms.items()} | {"seconds": spent}
            _tell(before + step, settings.seeing.steps + settings.following.steps, numbers, log, progress)


def _tell(step: int, steps: int, numbers: Mapping[str, float], log: Path | None, progress: Progress | None) -> None:
    if log is not None:
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **{k: round(v, 5) for k, v in numbers.items()}}) + "\n")
    if progress is not None:
        progress(step, steps, numbers)


def _log(out: Path) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    log = out / "log.jsonl"
    log.write_text("", encoding="utf-8")
    return log
