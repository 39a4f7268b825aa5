"""A factorial experiment on a line: every combination of levels under every seed, as one labelled table.

Runs follow from line, policy, seed and code alone, not from where or in which order they are done. So each that is
done is kept by the digest of these, and a table that was begun, widened or asked for anew takes up what is there.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import twinlab
from twinlab.episodes import Policy, policy_name, split_of
from twinlab.errors import ExperimentError, did_you_mean
from twinlab.experiment._factors import Factor, Factors, Setting, factor_of, factors_of, settings_of
from twinlab.experiment._kept import Metric, code, keep, kept, key_of, policy_key
from twinlab.experiment._plot import plot
from twinlab.experiment._statistics import compare, rows, summarise
from twinlab.kpi import UNITS
from twinlab.scene import SceneSpec, read_scene
from twinlab.score import run
from twinlab.tracking import Run
from twinlab.workers import spread

__all__ = ["Factor", "Factors", "compare", "experiment", "factor_of", "factors_of", "plot", "rows", "summarise"]

Metrics = Iterable[str | Metric] | Mapping[str, str | Metric]
Progress = Callable[[int, int, float], None]


def experiment(
    scene: str | Path | SceneSpec,
    factors: Factors,
    seeds: Iterable[int],
    metrics: Metrics | None = None,
    *,
    ticks: int | None = None,
    policy: str | Policy | tuple[str, str] = "expert",
    model: str = "sorting",
    out: str | Path | None = None,
    workers: int = 1,
    cluster: Any = None,
    progress: Progress | None = None,
    into: Run | None = None,
) -> xr.Dataset:
    """Run every combination of levels under every seed; what was run before with the same code is not run again.

    Args:
        scene: the line.
        factors: name → levels. A name is a key of the scene, whole or as short as is unambiguous ("belt.speed",
            "faults.slip.onset"), `policy` (a name, (name, model) or a policy) or `vary` (share of all that differs
            between seeds). A mapping names its levels. Strings with units are converted.
        seeds: the same for every combination, so that differences are paired; 60,000 to 69,999 are for testing.
        metrics: KPIs (`kpi.UNITS`; all of them by default) and functions of an episode that give a number; a mapping
            gives them other names. Where there are such functions, cameras are always rendered.
        ticks: length of each run; the line's own where it is not given.
        policy: who acts, where that is no factor.
        model: name or folder of the model of learned policies that bring none of their own.
        out: folder of what is done, data/runs/experiments/<line> by default; several calls may write to it at once.
        workers: processes.
        cluster: a `distributed.Client` whose workers run them instead.
        progress: called with how many runs are done, of how many, and the time that is left [s], NaN at first.
        into: a tracked run that is told of progress and keeps the result.

    Returns:
        A dataset over the factors and `seed`, one variable a metric, and `items`, by which shares are pooled.

    Raises:
        ExperimentError: a factor, level or metric is unknown or does not fit; nothing was run.
        WorkerError: a run's process died each time; all other runs are kept.
    """
    spec = scene if isinstance(scene, SceneSpec) else read_scene(scene)
    chosen, own = _metrics(metrics)
    seeds, ticks = _seeds(seeds), ticks or spec.ticks
    levels = factors_of(spec, factors)
    settings = list(settings_of(spec, levels, policy, model))
    folder = Path(out) if out is not None else Path("data/runs/experiments") / spec.name
    spreading = partial(spread, _one, workers=workers, cluster=cluster)
    found = _ran(folder, settings, seeds, ticks, own, spreading, _told(progress, into))
    who = {} if "policy" in factors else {"policy": policy_name(settings[0].policy)}
    split = ",".join(sorted({split_of(seed) for seed in seeds}))
    about = {"scene": spec.name, "scene_digest": spec.digest, "ticks": ticks, "split": split, "code": code(), **who}
    table = _table(levels, seeds, chosen, found).assign_attrs(about, twinlab=twinlab.__version__)
    if into is not None:
        into.keep(table)
    return table


def _ran(
    folder: Path,
    settings: Sequence[Setting],
    seeds: Sequence[int],
    ticks: int,
    own: Mapping[str, Metric],
    spreading: Callable[[list[tuple[Any, ...]]], Iterable[Any]],
    tell: Progress,
) -> dict[tuple[int, ...], dict[str, float]]:
    """The numbers of each run by the indices of its levels and its seed; those that are not kept are run."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as told:
        raise ExperimentError(f"can't make the folder {str(folder)!r} ({told}); give another by `out`") from told
    found: dict[tuple[int, ...], dict[str, float]] = {}
    jobs: list[tuple[Any, ...]] = []
    keys: list[tuple[str, tuple[int, ...], dict[str, Any]]] = []
    for setting in settings:
        line, who = setting.spec.digest, policy_key(setting.policy)
        for index, seed in enumerate(seeds):
            key = key_of(line, who, seed, ticks, own)
            before = kept(folder, key)
            if before is not None:
                found[(*setting.at, index)] = before
            else:
                jobs.append((len(keys), setting.spec, setting.policy, seed, ticks, dict(own)))
                keys.append((key, (*setting.at, index), {"line": line, "seed": seed, "ticks": ticks}))
    of, start = len(found) + len(jobs), time.monotonic()
    tell(len(found), of, 0.0 if not jobs else float("nan"))
    for done, (job, metrics) in enumerate(spreading(jobs), 1):
        key, place, about = keys[job]
        keep(folder, key, about, metrics)
        found[place] = metrics
        tell(len(found), of, (time.monotonic() - start) / done * (len(jobs) - done))
    return found


def _one(
    index: int, spec: SceneSpec, policy: Policy, seed: int, ticks: int, own: Mapping[str, Metric]
) -> tuple[int, dict[str, float]]:
    return index, run(spec, policy, seed, ticks, own)[1]


def _told(progress: Progress | None, into: Run | None) -> Progress:
    def tell(done: int, of: int, left: float) -> None:
        if progress is not None:
            progress(done, of, left)
        if into is not None:
            into.log(done, runs=float(done), share=done / of)

    return tell


def _table(
    levels: Sequence[Factor],
    seeds: Sequence[int],
    metrics: Mapping[str, str],
    found: Mapping[tuple[int, ...], Mapping[str, float]],
) -> xr.Dataset:
    dims = [*(factor.name for factor in levels), "seed"]
    shape = (*(len(factor.levels) for factor in levels), len(seeds))
    about = {factor.name: {"units": factor.units} | ({"key": factor.path} if factor.path else {}) for factor in levels}
    coords = {factor.name: (factor.name, list(factor.labels), about[factor.name]) for factor in levels}
    table = xr.Dataset(coords=coords | {"seed": ("seed", list(seeds), {"units": "1"})})
    for name, source in metrics.items():
        values = np.full(shape, np.nan)
        for place, row in found.items():
            values[place] = row[source]
        table[name] = (dims, values, {"units": UNITS.get(source, "1"), "metric": source})
    return table


def _metrics(metrics: Metrics | None) -> tuple[dict[str, str], dict[str, Metric]]:
    """Name in the table → name in a run, `items` included, and the functions among them."""
    if metrics is None:
        metrics = list(UNITS)
    if isinstance(metrics, Mapping):
        named = dict(metrics)
    else:
        listed: list[Any] = [metrics] if isinstance(metrics, str) or callable(metrics) else list(metrics)
        named = {one if isinstance(one, str) else getattr(one, "__name__", repr(one)): one for one in listed}
    chosen: dict[str, str] = {}
    own: dict[str, Metric] = {}
    for name, one in named.items():
        if callable(one):
            if name in UNITS or not name.isidentifier():
                raise ExperimentError(f"metric {name!r}: a function needs a name of its own; give {{name: function}}")
            own[name] = one
        elif one not in UNITS:
            raise ExperimentError(f"metric {one!r} is no KPI; there are {list(UNITS)}.{did_you_mean(str(one), UNITS)}")
        chosen[name] = name if callable(one) else one
    return chosen | {"items": "items"}, own


def _seeds(seeds: Iterable[int]) -> list[int]:
    out = [int(seed) for seed in seeds]
    if not out or len(set(out)) < len(out):
        raise ExperimentError(f"seeds came as {out}; wanted at least one, each once")
    return out
