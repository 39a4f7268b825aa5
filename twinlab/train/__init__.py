"""`fit`: from recorded episodes to a trained world model, in one process or in all that torchrun started."""

import hashlib
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from lightning_fabric import Fabric

from twinlab.batches import Scratch, Signal, Signals, Track, Windows, fitted, hold, split_of, thinned
from twinlab.errors import ModelError
from twinlab.model import WorldModel, calibration, checkpoint, surprise, team
from twinlab.model.imitation import clone, cost, lessons
from twinlab.model.linear import one_tick, typical_change
from twinlab.model.objective import Objective, draw
from twinlab.store import EpisodeStore
from twinlab.train import _kept
from twinlab.train._devices import started
from twinlab.train._run import Progress, Run
from twinlab.train._settings import Fit as Fit
from twinlab.train._settings import Stage as Stage
from twinlab.train._stage import descend

_ASIDE = ("memory", "scratch", "keep")  # settings that change no result


def fit(
    episodes: Iterable[xr.Dataset],
    settings: Fit = Fit(),
    out: str | Path | None = None,
    progress: Progress | None = None,
    anew: bool = False,
    start: WorldModel | None = None,
) -> WorldModel:
    """A world model trained on episodes.

    Under torchrun each process makes the same call, and gets the same model; the first one writes and tells.

    Args:
        episodes: a store or any iterable; seeds say which are for training and which for validation, others are left.
        settings: how to train.
        out: folder for the checkpoint and `log.jsonl`; None keeps nothing. A run that was killed goes on from its last
            kept state if it is called with the same folder, settings, episodes and number of processes, and ends in
            the same model, bit by bit. A run that is over begins anew.
        progress: called with steps done, steps in all and the last metrics.
        anew: forget a run that was killed, instead of going on from it.
        start: the model to train on from, with its weights, size and normalisation; it stays as it is.

    Returns:
        The model, ready for use; what it was trained on, how and how well stands in its `card`.

    Raises:
        ModelError: there is no training episode, or one does not fit the others; or `out` holds a run that was cut off
            and had other settings or episodes; or the episodes are not of the signals that `start` knows.
    """
    settings = settings if start is None else replace(settings, size=start.size)
    began, folder, fabric = time.monotonic(), None if out is None else Path(out), started(settings)
    with _scratch(settings, folder, fabric) as scratch:
        tracks, signals = _held(episodes, scratch, fabric, start)
        data = _data(episodes, tracks) | ({} if start is None else {"started from": checkpoint.weights(start)})
        run = _begun(fabric, settings, tracks, data, scratch, folder, progress, anew)
        model, single, objective = _built(tracks["train"], signals, settings, start)
        if team.count() > 1:
            team.join(model)
        if run.state is not None:
            model.load_state_dict(run.state.of("module.model."))
            model.perception.views.load_state_dict(run.state.of("views."), strict=run.at("cloning") is not None)
        model.to(fabric.device)
        if not run.past("seeing"):
            descend(run, "seeing", single, tracks["train"], settings.seeing)
        model.perception.views.requires_grad_(False)
        views = {f"views.{name}": value.clone() for name, value in model.perception.views.state_dict().items()}
        tracks = {name: _looked(model, part, scratch) for name, part in tracks.items()}
        if not run.past("following"):
            descend(run, "following", objective, tracks["train"], settings.following)
        checkpoint.rounded(model)
        metrics = validate(objective, tracks["val"], settings) | _cloned(run, model, tracks, views)
        _judged(checkpoint.rounded(model), tracks["val"])
        fabric.barrier()
    metrics = {"seconds": time.monotonic() - began} | metrics
    model.card |= card(tracks, settings, metrics) | {"Scale": _scale(fabric, settings)}
    model.card["Data"] |= data
    if folder is not None and team.rank() == 0:
        model.save(folder)
        run.end()
    return model.eval()


def look(model: WorldModel, track: Track) -> Track:
    """The episode with what the model's views find in its pictures."""
    found = _found(model, track)
    return track if found is None else replace(track, values={**track.values, "found": found})


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
            terms, _ = objective(windows.take(part).to(model.device), choices)
        for name, value in terms.items():
            sums[f"val_{name}"] = sums.get(f"val_{name}", 0.0) + float(value) * len(part) / len(which)
    return sums


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


@contextmanager
def _scratch(settings: Fit, out: Path | None, fabric: Fabric) -> Iterator[Scratch]:
    """Room for what does not fit in memory: one folder for the processes of a machine, gone afterwards."""
    aside = settings.scratch or ("" if out is None else str(out))
    name = team.shared(f"twinlab-{secrets.token_hex(4)}", 0) if settings.scratch or out is None else "scratch"
    folder = Path(aside or tempfile.gettempdir()) / f"{name}-{fabric.node_rank}"
    writes = fabric.local_rank == 0
    if writes:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        yield Scratch(folder, settings.memory, writes)
    finally:
        if writes:
            shutil.rmtree(folder, ignore_errors=True)


def _held(
    episodes: Iterable[xr.Dataset], scratch: Scratch, fabric: Fabric, start: WorldModel | None
) -> tuple[dict[str, list[Track]], Signals]:
    wanted = (e for e in episodes if split_of(int(e.attrs.get("seed", 0))) != "test")
    every, signals = hold(wanted, scratch=scratch)
    fabric.barrier()  # one process of each machine writes files
    tracks = {name: [t for t in every if split_of(t.seed) == name] for name in ("train", "val")}
    if not tracks["train"]:
        raise ModelError(f"no training episode among {len(every)}; record some with seeds below 50000")
    if start is not None:
        _same(start.signals, signals)
        return tracks, start.signals
    return tracks, fitted(signals, tracks["train"])


def _same(known: Signals, came: Signals) -> None:
    """Raise unless a model's signals are those that episodes hold; normalisation, calibration and units aside."""

    def plain(signals: Signals) -> dict[str, Signal]:
        return {s.name: replace(s, mean=(), std=(), varies=(), camera=(), units=()) for s in signals.all}

    one, other = plain(known), plain(came)
    differ = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    if differ or replace(known, all=()) != replace(came, all=()):
        raise ModelError(
            f"start is a model of other signals: {differ or 'actuators, limits or the tick'} differ from those of the "
            "episodes; train on from a model of this line, or anew without start"
        )


def _data(episodes: Iterable[xr.Dataset], tracks: Mapping[str, list[Track]]) -> dict[str, str]:
    """Which episodes these are: the digest of all, and the store's name if they came from one."""
    sums = "".join(track.sum for part in tracks.values() for track in part)
    store = {"store": episodes.path.name} if isinstance(episodes, EpisodeStore) else {}
    return {"digest": hashlib.sha256(sums.encode()).hexdigest()[:16], **store}


def _begun(
    fabric: Fabric,
    settings: Fit,
    tracks: Mapping[str, list[Track]],
    data: Mapping[str, str],
    scratch: Scratch,
    out: Path | None,
    progress: Progress | None,
    anew: bool,
) -> Run:
    """The run, at its beginning or where it was cut off."""
    kept = {name: value for name, value in asdict(settings).items() if name not in _ASIDE}
    about = {"settings": kept, "episodes": data["digest"], "processes": team.count()}
    about |= {name: data[name] for name in data if name == "started from"}
    if out is not None and anew and team.rank() == 0:
        shutil.rmtree(out / "resume", ignore_errors=True)
    fabric.barrier()
    state = None if out is None else _kept.read(out / "resume", about)
    taught = any("intent" in t.values for t in tracks["train"])
    steps = {
        "seeing": settings.seeing.steps,
        "following": settings.following.steps,
        "cloning": settings.cloning.steps if taught else 0,
    }
    run = Run(fabric, settings, steps, about, scratch, out, progress, state)
    run.begin()
    fabric.barrier()
    return run


def _built(
    train: list[Track], signals: Signals, settings: Fit, start: WorldModel | None
) -> tuple[WorldModel, Objective, Objective]:
    """The model as it starts, and what is to be made small in seeing and in following."""
    some = thinned(train, [t.length for t in train])
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        model = WorldModel(signals, settings.size)
        change = torch.from_numpy(typical_change(some, signals, settings.following.horizon))
        single = Objective(model, settings.seeing.window, settings.seeing.horizon, change, settings.weights)
        objective = Objective(model, settings.following.window, settings.following.horizon, change, settings.weights)
    if start is None:
        model.dynamics.start_linear(torch.from_numpy(one_tick(some, signals)))
    else:
        model.load_state_dict(start.state_dict())
        windows = Windows(train, signals, settings.seeing.window, settings.seeing.horizon, settings.gamma)
        _scaled(model, torch.from_numpy(windows.worth_scale()))
    return model, single, objective


def _scaled(model: WorldModel, scale: torch.Tensor) -> None:
    """Let reward and value be told in parts of another scale (2,), so that they stay what they were."""
    last: Any = model.worth[-1]
    with torch.no_grad():
        share = model.worth_scale / scale
        last.weight.mul_(share[:, None])
        last.bias.mul_(share)
        model.worth_scale.copy_(scale)


def _found(model: WorldModel, track: Track) -> np.ndarray | None:
    names = [name for view in model.perception.views for name in view.names]
    if not names:
        return None
    pictures = {name: torch.from_numpy(np.asarray(track.values[name])) for name in names}
    found: np.ndarray = model.eval().look(pictures).cpu().numpy()
    return found


def _looked(model: WorldModel, tracks: list[Track], scratch: Scratch) -> list[Track]:
    """Each episode with what is found in its pictures; each process looks at some and tells the others."""
    out: list[Track] = []
    for first in range(0, len(tracks), team.count()):
        some = tracks[first : first + team.count()]
        mine = _found(model, some[team.rank()]) if team.rank() < len(some) else None
        for owner, track in enumerate(some):
            found = team.shared(mine, owner)
            more = {} if found is None else scratch.keep({"found": found})
            out.append(replace(track, values={**track.values, **more}))
    return out


def _cloned(
    run: Run, model: WorldModel, tracks: Mapping[str, list[Track]], views: Mapping[str, torch.Tensor]
) -> dict[str, float]:
    """Train the actor where there is a teacher; gives what its answers cost in validation, from beliefs alone.

    What the views found is not that of the rounded ones, so that a state holds `views`, as they were then.
    """
    model.eval()
    run.fabric.barrier()
    aside = run.scratch.folder if run.scratch.full else None
    taught, unseen = (lessons(model, tracks[n], None if aside is None else aside / n) for n in ("train", "val"))
    if taught is None:
        return {}
    settings, state, actor = run.settings, run.at("cloning"), model.actor
    before, began = 0.0 if state is None else state.spent, time.monotonic()

    def start(optimizer: torch.optim.Optimizer, rng: torch.Generator) -> int:
        if state is None:
            return 0
        _kept.restore(state, actor, optimizer, "model.actor.")
        rng.set_state(state.tensors["rng"])
        return state.step

    def after(step: int, loss: torch.Tensor, optimizer: torch.optim.Optimizer, rng: torch.Generator) -> None:
        spent = before + time.monotonic() - began
        if step % settings.every == 0 or step == settings.cloning.steps:
            numbers = {"loss": float(team.total(loss) / team.count())}
            run.tell("cloning", step, numbers | {"seconds": spent})
        if run.due("cloning", step):
            whole = {f"module.model.{name}": value.cpu() for name, value in model.state_dict().items()}
            trained = _kept.gathered(actor, optimizer, "model.actor.")
            tensors = whole | trained | {"rng": rng.get_state(), **{n: v.cpu() for n, v in views.items()}}
            run.keep(_kept.State("cloning", step, spent, None, tensors))

    clone(model, taught, settings.cloning, settings.seed, start, after, settings.accumulate)
    if unseen is None:
        return {}
    every = torch.arange(len(unseen), device=model.device)
    with torch.no_grad():
        costs = [cost(model, unseen, part, torch.zeros_like(part, dtype=torch.bool)) for part in every.split(1 << 16)]
        return {"val_action": float(torch.cat(costs).mean())}


def _judged(model: WorldModel, unseen: list[Track]) -> None:
    """Tell the model how wrong it is and what is usual, by validation episodes; nothing where there are none."""
    model.eval()
    model.calibration = calibration.fitted(model, unseen)
    model.usual = surprise.usual(model, unseen)
    told = {"validation episodes": 0} if model.calibration is None else model.calibration.card()
    model.card["Calibration"] = told
    model.card["Surprise"] = {"hours": 0.0} if model.usual is None else model.usual.card()


def _scale(fabric: Fabric, settings: Fit) -> dict[str, Any]:
    """On how much a model was trained."""
    world, alone = team.count(), team.count() == 1
    return {
        "processes": world,
        "device": fabric.device.type,
        "strategy": "alone" if alone else settings.strategy.replace("auto", "ddp"),
        "windows a step": {
            name: stage.batch * world * settings.accumulate
            for name, stage in (("seeing", settings.seeing), ("following", settings.following))
        },
    }
