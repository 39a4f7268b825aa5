"""How fast a model is trained, what of that is loading, and how much slower a step is than its passes alone.

Episodes of a scene are recorded and trained on. `frames_per_s` is that of seeing and following together, whole steps
(drawing, loading, passes, clipping, optimizer, log) in the numbers that `Fit()` has of them. Of each stage come its own
`frames_per_s`, `loading_share`, the share of the time in which a step waited for its windows, and
`over_bare`, a whole step over forward and backward pass on a batch that stays the same. For that each step of a second
training is followed by one such pass, and the figure is the median of their quotients. Figures are medians over turns.

    python benchmarks/training.py [--scene NAME] [--episodes N] [--ticks N] [--steps N] [--turns N] [--filed] [--small]
"""

import os

for _name in ("LP_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # figures of one core

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from turns import tell

from twinlab import rooms
from twinlab.batches import Track, Windows, hold
from twinlab.collect import collect
from twinlab.model import Size, WorldModel
from twinlab.model.imitation import Cloning, cost, lessons
from twinlab.model.objective import Objective, draw
from twinlab.scene import read_scene
from twinlab.store import EpisodeStore
from twinlab.train import Fit, Stage, fit, look

Losses = dict[str, Callable[[], torch.Tensor]]
SMALL = Fit(
    seeing=Stage(4, 8, 1, 0, 1, 1e-3),
    following=Stage(4, 4, 8, 4, 2, 1e-3),
    cloning=Cloning(steps=4, batch=64),
    size=Size(32, 32, 8, 2, 2),
)


def steps(
    settings: Fit, store: EpisodeStore, out: Path
) -> tuple[WorldModel, dict[str, tuple[list[float], float | None]]]:
    """The trained model; of each stage the times of its steps [s] and the share of waiting in them."""
    fit(store, settings, out)
    told: dict[str, list[dict[str, float]]] = {}
    for line in map(json.loads, (out / "log.jsonl").read_text(encoding="utf-8").splitlines()):
        told.setdefault(line["stage"], []).append(line)
    spent = {name: np.diff([0.0, *(line["seconds"] for line in lines)])[1:].tolist() for name, lines in told.items()}
    return WorldModel.load(out), {name: (spent[name], lines[-1].get("waiting")) for name, lines in told.items()}


def passes(model: WorldModel, tracks: list[Track], stage: Stage, settings: Fit) -> Callable[[], torch.Tensor]:
    """The loss of a batch that stays the same."""
    windows = Windows(tracks, model.signals, stage.window, stage.horizon, settings.gamma)
    change = torch.ones(sum(v.size for v in model.vectors))
    objective = Objective(model, stage.window, stage.horizon, change, settings.weights).train()
    model.perception.views.train(windows.looks).requires_grad_(windows.looks)
    rng = np.random.default_rng(0)
    batch = windows.sample(rng, stage.batch)
    choices = draw(model, stage.batch, stage.window, rng, stage.starts, settings.drop, settings.blind)
    return lambda: objective(batch, choices)[0]["loss"]


def over_bare(settings: Fit, store: EpisodeStore, model: WorldModel, losses: Losses) -> dict[str, float]:
    """Median of a step's time over that of the passes which follow it, by stage."""
    found: dict[str, list[float]] = {name: [] for name in losses}
    ends = np.cumsum([settings.seeing.steps, settings.following.steps])
    last: dict[str, Any] = {"stage": "", "seconds": 0.0, "paused": 0.0}

    def progress(done: int, _: int, numbers: Mapping[str, float]) -> None:
        stage = list(losses)[int(np.searchsorted(ends, done))]
        if stage != "cloning":
            model.perception.views.requires_grad_(stage == "seeing").train(stage == "seeing")
        start = time.monotonic()
        losses[stage]().backward()
        passed = time.monotonic() - start
        if stage == last["stage"]:
            found[stage].append((numbers["seconds"] - last["seconds"] - last["paused"]) / passed)
        last.update(stage=stage, seconds=numbers["seconds"], paused=time.monotonic() - start)

    fit(store, settings, progress=progress)
    return {name: float(np.median(quotients[1:])) for name, quotients in found.items()}


def imitating(model: WorldModel, tracks: list[Track], batch: int) -> Callable[[], torch.Tensor]:
    """The same of cloning."""
    taught = lessons(model.eval(), tracks)
    assert taught is not None, "the expert that recorded is a teacher"
    which = torch.randint(len(taught), (batch,), generator=torch.Generator().manual_seed(0))
    return lambda: cost(model, taught, which, which % 4 == 0).mean()


def turn(settings: Fit, store: EpisodeStore, out: Path) -> dict[str, float]:
    """The figures of one training, by name."""
    model, spent = steps(settings, store, out)
    tracks = list(hold(store, model.signals)[0])
    seen = [look(model, track) for track in tracks]
    losses: Losses = {
        "seeing": passes(model, tracks, settings.seeing, settings),
        "following": passes(model, seen, settings.following, settings),
        "cloning": imitating(model, seen, settings.cloning.batch),
    }
    frames = {
        "seeing": settings.seeing.batch * settings.seeing.window,
        "following": settings.following.batch * settings.following.window,
        "cloning": settings.cloning.batch,
    }
    told: dict[str, float] = {}
    for stage, (times, waiting) in spent.items():
        told[f"{stage}_frames_per_s"] = frames[stage] / float(np.median(times))
        if waiting is not None:  # cloning draws from what lies in memory as tensors
            told[f"{stage}_loading_share"] = waiting
    plain, ticks = Fit(), {name: float(np.median(times)) for name, (times, _) in spent.items()}
    counts = {"seeing": plain.seeing.steps, "following": plain.following.steps}
    frames_all = sum(count * frames[stage] for stage, count in counts.items())
    told["frames_per_s"] = frames_all / sum(count * ticks[stage] for stage, count in counts.items())
    quotients = over_bare(settings, store, model, losses)
    return told | {f"{stage}_over_bare": value for stage, value in quotients.items()}


def sizes(store: EpisodeStore, out: Path) -> dict[str, float]:
    """How large a model and its recordings are, by name."""
    files = [p for p in store.path.rglob("*") if p.is_file()]
    tracks, _ = hold(store)
    ticks = sum(track.length for track in tracks)
    return {
        "model_bytes": (out / "model.safetensors").stat().st_size,
        "model_parameters": sum(p.numel() for p in WorldModel.load(out).parameters()),
        "store_bytes_per_tick": sum(p.stat().st_size for p in files) / ticks,
        "store_files_per_episode": len(files) / len(store),
        "held_bytes_per_tick": sum(v.nbytes for t in tracks for v in t.values.values()) / ticks,
    }


def unit(name: str) -> str:
    """A figure's unit, from its name."""
    return "1/s" if name.endswith("per_s") else "B" if "bytes" in name else "1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scene", default="sorting")
    parser.add_argument("--episodes", type=int, default=4)
    parser.add_argument("--ticks", type=int, default=300)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--filed", action="store_true", help="episodes are read from files instead of memory")
    parser.add_argument("--small", action="store_true", help="a tiny model and 4 steps: to see that all of it runs")
    asked = parser.parse_args()
    spec, plain = read_scene(asked.scene), Fit()
    settings = SMALL if asked.small else plain.of(asked.steps)
    if not asked.small:
        settings = replace(settings, cloning=replace(plain.cloning, steps=asked.steps))
    settings = replace(settings, every=1, keep=0, memory=0 if asked.filed else plain.memory)
    with tempfile.TemporaryDirectory() as folder:
        expert = rooms.build("policies", "expert", spec=spec)
        collect(Path(folder) / "store", spec, expert, range(asked.episodes), asked.ticks, workers=1)
        store, out = EpisodeStore(Path(folder) / "store"), Path(folder) / "model"
        turns = [turn(settings, store, out) for _ in range(asked.turns)]
        for name in turns[0]:
            tell(name, [found[name] for found in turns], unit(name))
        for name, value in sizes(store, out).items():
            print(json.dumps({"name": name, "value": round(value, 1), "unit": unit(name), "n": len(store)}))


if __name__ == "__main__":
    main()
