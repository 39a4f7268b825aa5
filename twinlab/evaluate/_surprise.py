"""Whether a model's surprise finds faults: runs with and without them, and what a watcher says of these."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import chi2, rankdata

from twinlab import rooms
from twinlab.cell import Cell
from twinlab.errors import ModelError
from twinlab.evaluate._resampled import drawn, ends
from twinlab.evaluate._windows import provenance
from twinlab.faults import Fault
from twinlab.files import fingerprint, whole
from twinlab.intervals import wilson
from twinlab.model import WorldModel
from twinlab.model.checkpoint import digest
from twinlab.model.surprise import WARM, Trace, Usual, Watch, statistics, tuned
from twinlab.policies.cloned import load
from twinlab.readings import Readings
from twinlab.scene import SceneSpec
from twinlab.workers import spread

KINDS = (
    "dropout", "freeze", "bias", "drift", "noise_burst", "occlusion", "dirt", "mis_mount", "light_failure",
    "stuck", "slip", "jam", "wear",
)  # fmt: skip
OF_READINGS = KINDS[:9]  # those that change a reading by themselves; the others change the line
_SIZES = {"vector": 1.0, "depth": 0.02, "image": 20.0, "tactile": 1.0, "range": 0.02}  # std, m, 1 of 255, std, m
_SHARES = {"bias": ("size", 1.0), "drift": ("slope", 0.2), "noise_burst": ("sigma", 0.5)}  # of these; drift: a second
_ALL = "all of readings"
_DEAD = 10.0  # alarms without a fault that come closer are one [s]


@dataclass(frozen=True)
class Trial:
    """A fault to be found.

    Attributes:
        kind: file of the fault.
        of: what fails.
        settings: other fields of the fault.
    """

    kind: str
    of: str
    settings: tuple[tuple[str, float], ...] = ()

    @property
    def name(self) -> str:
        """In the scene's table of faults."""
        return "_".join(filter(None, ("try", self.kind, self.of.replace(".", "_"))))


@dataclass(frozen=True, eq=False)
class Run:
    """What a watcher kept of a run.

    Attributes:
        seed: of the run.
        trial: the fault that began, None without.
        onset: tick at which it began [1].
        trace: see `surprise.Trace`.
        prints: a number that differs where a reading differs (time, reading).
    """

    seed: int
    trial: Trial | None
    onset: int
    trace: Trace
    prints: np.ndarray


def trials(spec: SceneSpec, model: WorldModel, strength: float = 1.0) -> tuple[Trial, ...]:
    """Each kind of fault at each thing that it can act on and the model sees.

    At strength 1 biases are one training standard deviation of a vector reading (the median over a sensor's numbers),
    2 cm of a depth and 20 of 255 of a picture; drifts a fifth of that a second; noise half of it. A camera is turned by
    four of its pixels and moved by 1 cm; what hangs before it does so at half of its usual depth. Everything else is as
    the kinds' files say: all samples lost, 40 % of a picture covered, 20 % stained, 80 % of the light, half a belt's
    speed, half a gripper's force and friction lost.

    Args:
        spec: the line.
        model: of that line.
        strength: factor of biases, drifts and noise.
    """
    watched = Watch(model).usual.names
    out = []
    for kind in KINDS:
        fault: type[Fault] = rooms.load("faults", kind)
        for of in _targets(spec, fault, watched):
            if kind not in _SHARES:
                out.append(Trial(kind, of, _seen_from(spec, model, kind, of)))
                continue
            key, share = _SHARES[kind]
            signals = [model.signals[n] for n in readings_of(of, watched)]
            if all(s.kind in fault.kinds for s in signals):
                own = [std for s in signals for std, v in zip(s.std, s.varies, strict=False) if v]
                unit = float(np.median(own)) if signals[0].kind in ("vector", "tactile") else 1.0
                out.append(Trial(kind, of, ((key, strength * share * _SIZES[signals[0].kind] * unit),)))
    return tuple(out)


def readings_of(of: str, names: Iterable[str]) -> tuple[str, ...]:
    """The readings of a sensor or of all sensors of a camera, by the beginning of their names; all of a line's."""
    return tuple(n for n in names if not of or n == of or n.startswith(f"{of}_"))


def prone(spec: SceneSpec, tried: Iterable[Trial]) -> SceneSpec:
    """The line with these faults, each to be triggered and for ever."""
    made = {t.name: rooms.build("faults", t.kind, of=t.of, chance=0, duration=0, **dict(t.settings)) for t in tried}
    return spec.change({f"faults.{name}": fault for name, fault in made.items()})


def watched(
    spec: SceneSpec,
    model: str,
    jobs: Sequence[tuple[int, Trial | None]],
    folder: str | Path,
    seconds: float = 30.0,
    onset: float = 8.0,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[Run]:
    """Runs of the expert with a watcher beside, in the order of the jobs; what was run is not run again.

    No picture is kept: 3 MB an hour and reading. For the same seed, runs with and without a fault are alike up to its
    onset, but for what the policy does of itself.

    Args:
        spec: the line with all faults, see `prone`; their number must not differ between runs that are compared.
        model: folder or name of a model that knows what is usual.
        jobs: seed and fault of each run.
        folder: where they are kept.
        seconds: length of a run [s].
        onset: when faults begin [s].
        workers: processes.
        progress: called with how many are done, of how many.
    """
    ticks, start = (round(s / spec.physics.tick) for s in (seconds, onset))
    usual = load(model).usual
    about = {"scene": spec.digest, "model": digest(model), "usual": None if usual is None else usual.table()["mean"]}
    begin = fingerprint(about | {"onset": start})
    paths = [Path(folder) / f"{begin}-{trial.name if trial else 'none'}-{ticks}-{seed}.npz" for seed, trial in jobs]
    Path(folder).mkdir(parents=True, exist_ok=True)
    todo = [(spec, model, s, t, ticks, start, p) for (s, t), p in zip(jobs, paths, strict=True) if not p.is_file()]
    for done, _ in enumerate(spread(_watch, todo, workers), 1):
        if progress is not None:
            progress(done, len(todo))
    return [_read(seed, trial, start, path) for (seed, trial), path in zip(jobs, paths, strict=True)]


def tune(model: WorldModel, runs: Iterable[Run]) -> Usual:
    """What is usual for a model with distributions and thresholds of these runs without faults; set in the model."""
    before = Watch(model).usual
    model.usual = tuned(before, (run.trace for run in runs), model.signals.tick)
    return model.usual


def surprised(model: WorldModel, free: Sequence[Run], faulty: Sequence[Run], window: float = 8.0) -> xr.Dataset:
    """How well a model's surprise tells faults from running without.

    A run's score is the largest that any reading has within the window after the onset; that of running without faults
    is taken of windows as long, one after the other. Runs in which the fault changed no reading within the window, by
    comparison with the run of the same seed without it, are counted and left out.

    Args:
        model: it knows what is usual.
        free: runs without faults, among them one of each seed of the others.
        faulty: runs with one.
        window: how long after the onset [s].

    Returns:
        Over `fault` (kinds, and "all of readings" for those that change a reading by themselves): `auroc` (Hanley and
        McNeil 1982) with its 95 % bootstrap interval over runs; `detected`, the share with an alarm, and `named`, the
        share of these in which the reading with the highest score at the first alarm is one of what fails, both with
        Wilson's intervals; `delay`, the median from onset to alarm [s]; `runs` and `unchanged` count them. Attributes
        tell the false alarms, those closer than 10 s being one, and their rate [1/h] with its exact 95 % Poisson
        interval (Garwood 1936), over how many hours.

    Raises:
        ModelError: there are no runs without, none of a faulty one's seed, or one is shorter than the window.
    """
    if not free or not faulty:
        raise ModelError(f"{len(free)} runs without and {len(faulty)} with faults came; wanted some of each")
    usual, tick = Watch(model).usual, model.signals.tick
    long = round(window / tick)
    ratios = [statistics(usual, run.trace).max(axis=2) for run in free]
    quiet = [[r[t : t + long].max() for t in range(WARM, len(r) - long + 1, long)] for r in ratios]
    found, unchanged = _sorted(usual, {run.seed: run for run in free}, faulty, long, tick)
    columns = [_judged(found[kind], quiet) for kind in found]
    out = xr.Dataset(coords={"fault": list(found)})
    for name in columns[0]:
        out[name] = ("fault", np.array([c[name] for c in columns]), {"units": "s" if name == "delay" else "1"})
    out["unchanged"] = ("fault", [unchanged[kind] for kind in found], {"units": "1"})
    about = _rate(sum(_alarms(r.max(axis=1), tick) for r in ratios), sum(map(len, ratios)) * tick / 3600)
    about |= {"window": window, "windows": sum(map(len, quiet)), "found": "surprised"}
    about |= {"usual_hours": usual.hours, "usual_runs": usual.runs, "readings": list(usual.names)}
    return out.assign_attrs(provenance(model, {"seeds": [str(r.seed) for r in (*free, *faulty)]}) | about)


def _rate(count: int, hours: float) -> dict[str, Any]:
    """False alarms, over how long [h], and their rate with its interval [1/h]."""
    low, high = chi2.ppf(0.025, 2 * count) / 2 if count else 0.0, chi2.ppf(0.975, 2 * count + 2) / 2
    ends = {"rate_low": float(low) / hours, "rate_high": float(high) / hours}
    return {"hours": hours, "false_alarms": count, "rate": count / hours, **ends}


def _sorted(
    usual: Usual, plain: Mapping[int, Run], faulty: Sequence[Run], long: int, tick: float
) -> tuple[dict[str, list[tuple[float, float, float]]], dict[str, int]]:
    """What was found of each kind of fault, in the order of `KINDS`, and in how many runs it changed nothing."""
    every = (*KINDS, _ALL)
    found: dict[str, list[tuple[float, float, float]]] = {}
    unchanged = dict.fromkeys(every, 0)
    for run in faulty:
        assert run.trial is not None
        names = [run.trial.kind, *([_ALL] if run.trial.kind in OF_READINGS else [])]
        changed = _changed(plain, run, long)
        for name in names:
            unchanged[name] += not changed
            found.setdefault(name, []).extend([_found(usual, run, long, tick)] if changed else [])
    return {name: found[name] for name in every if name in found}, unchanged


def _seen_from(spec: SceneSpec, model: WorldModel, kind: str, of: str) -> tuple[tuple[str, float], ...]:
    """How strong a fault of a camera is, by what that camera sees."""
    if kind == "mis_mount":
        camera = spec.cameras[of]
        return (("turn", 4 * camera.fov / camera.height), ("shift", 0.01))
    depths = [s.mean[0] for s in model.signals.of("reading", "depth") if s.name in readings_of(of, [s.name])]
    return (("distance", 0.5 * depths[0]),) if kind == "occlusion" and depths else ()


def _targets(spec: SceneSpec, fault: type[Fault], watched: Sequence[str]) -> list[str]:
    """What a kind of fault can act on in a line."""
    if fault.target == "sensor":
        return [name for name in spec.sensors if readings_of(name, watched)]
    if fault.target == "camera":
        return [name for name in spec.cameras if any(s.sees() == name for s in spec.sensors.values())]
    if fault.target == "actuator":
        return list(dict.fromkeys(a.name.partition(".")[0] for a in spec.actuators))
    if fault.target == "body":
        keys = fault().fields(1.0)
        return [name for name, body in spec.bodies.items() if set(keys) <= set(type(body).model_fields)]
    return [""]


def _watch(spec: SceneSpec, model: str, seed: int, trial: Trial | None, ticks: int, onset: int, path: Path) -> None:
    """One run, kept in a file."""
    watch, features, marks, prints = Watch(load(model)), [], [], []
    policy = rooms.build("policies", "expert", spec=spec)
    action: np.ndarray | None = None
    with Cell(spec) as cell:
        readings = cell.reset(seed)
        policy.reset(seed, cell.task.meaning())
        for tick in range(ticks):
            watch.watch(readings, action)
            features.append(watch.last[0].astype(np.float32))
            marks.append(watch.last[1].astype(np.float32))
            prints.append(_prints(watch.usual.names, readings))
            if trial is not None and tick == onset:
                cell.trigger(trial.name)
            readings = cell.step(policy({**readings, **cell.truth}))
            action = cell.action
    with whole(path) as draft, draft.open("wb") as file:
        np.savez_compressed(file, features=np.array(features), marks=np.array(marks), prints=np.array(prints))


def _prints(names: Iterable[str], readings: Readings) -> np.ndarray:
    told = [hashlib.blake2b(np.ascontiguousarray(readings[n]).data, digest_size=4).digest() for n in names]
    return np.frombuffer(b"".join(told), np.uint32)


def _read(seed: int, trial: Trial | None, onset: int, path: Path) -> Run:
    with np.load(path, allow_pickle=False) as kept:
        trace = Trace(kept["features"].astype(float), kept["marks"].astype(float))
        return Run(seed, trial, onset, trace, kept["prints"])


def _changed(plain: Mapping[int, Run], run: Run, long: int) -> bool:
    """Whether any reading differs from the run without a fault within the window."""
    if run.seed not in plain:
        raise ModelError(f"there is no run without faults of seed {run.seed}; run one, to see what the fault changed")
    other, here = plain[run.seed].prints, slice(run.onset + 1, run.onset + 1 + long)
    if min(len(other), len(run.prints)) < here.stop:
        raise ModelError(
            f"the runs of seed {run.seed} have {len(other)} and {len(run.prints)} ticks, wanted {here.stop} for a "
            f"window of {long} after the onset at {run.onset}; run longer or look at a shorter window"
        )
    return bool((other[here] != run.prints[here]).any())


def _found(usual: Usual, run: Run, long: int, tick: float) -> tuple[float, float, float]:
    """Largest score, delay of the alarm [s] and whether it names what fails; NaN where there is none."""
    assert run.trial is not None
    after = statistics(usual, run.trace).max(axis=2)[run.onset + 1 : run.onset + 1 + long]
    score, over = float(after.max()), np.flatnonzero(after.max(axis=1) >= 1)
    if not len(over):
        return score, np.nan, np.nan
    named = usual.names[int(after[over[0]].argmax())]
    mine = readings_of(run.trial.of, usual.names)
    return score, (over[0] + 1) * tick, float(named in mine) if mine else np.nan


def _judged(runs: Sequence[tuple[float, float, float]], quiet: Sequence[Sequence[float]]) -> dict[str, float]:
    """One column of the result."""
    scores, delays, named = (np.array(part) for part in zip(*runs, strict=True)) if runs else (np.zeros(0),) * 3
    out = {"runs": float(len(scores))}
    out |= dict(zip(("auroc", "auroc_low", "auroc_high"), _auroc(scores, quiet), strict=True))
    for key, hits in (("detected", np.isfinite(delays)), ("named", named[np.isfinite(named)])):
        out |= dict(zip((key, f"{key}_low", f"{key}_high"), _share(hits), strict=True))
    return out | {"delay": float(np.nanmedian(delays)) if np.isfinite(delays).any() else np.nan}


def _auroc(scores: np.ndarray, quiet: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Area under the curve, and its interval over runs."""
    every = np.concatenate([np.asarray(q, float) for q in quiet])
    if not len(scores) or not len(every):
        return (np.nan, np.nan, np.nan)
    ranks = rankdata(np.concatenate([scores, every]))
    area = (ranks[: len(scores)].sum() - len(scores) * (len(scores) + 1) / 2) / (len(scores) * len(every))
    wins = np.array([[(s > np.asarray(q)).sum() + 0.5 * (s == np.asarray(q)).sum() for q in quiet] for s in scores])
    sizes = np.array([len(q) for q in quiet], float)
    mine, theirs = drawn(len(scores)), drawn(len(quiet))
    pairs = np.einsum("ds,sq,dq->d", mine, wins, theirs[::-1]) / (len(scores) * np.maximum(theirs[::-1] @ sizes, 1))
    return (float(area), *ends(pairs, len(scores)))


def _share(hits: np.ndarray) -> tuple[float, float, float]:
    if not len(hits):
        return (np.nan, np.nan, np.nan)
    return (float(hits.mean()), *wilson(int(hits.sum()), len(hits)))


def _alarms(ratio: np.ndarray, tick: float) -> int:
    """How many alarms there are along a run (time,); those that come close are one."""
    over = np.flatnonzero(ratio >= 1) * tick
    return int((np.diff(over, prepend=-np.inf) > _DEAD).sum())
