"""Score a policy on a line: closed-loop runs over seeds, KPIs with intervals."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from twinlab import rooms
from twinlab.cell import Cell
from twinlab.episodes import Policy, policy_name, record, split_of
from twinlab.intervals import interval, text, wilson
from twinlab.kpi import UNITS, ends_of, kpis
from twinlab.scene import SceneSpec
from twinlab.workers import spread

_SHARES = ("correct", "wrong", "missed", "dropped")
SHOWN = (*_SHARES, "throughput", "cycle_time", "availability", "quality", "oee")


def score(
    cell: Cell,
    policy: Policy,
    seeds: Iterable[int],
    ticks: int | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    cluster: Any = None,
    without: Collection[str] = (),
) -> xr.Dataset:
    """The KPIs of closed-loop runs.

    Args:
        cell: the line; each run builds one of its own from the same spec, without cameras if the policy is blind.
        policy: who acts.
        seeds: one run each; those from 60,000 to 69,999 are for testing.
        ticks: length of each run; the line's own where it is not given.
        workers: processes.
        progress: called with how many runs are done, of how many.
        cluster: a `distributed.Client` whose workers run them instead, see `workers.spread`.
        without: names of sensors that are taken away from the line, so that the policy must do without them.

    Returns:
        A dataset with dim `seed`, in the order of the seeds, and one variable a metric, see `kpi.Kpis`. Its attribute
        `instruction` names the goals of all runs, with commas between. Where the task tells items apart (`Task.apart`),
        `items_right` and `items_decided` (seed, value of that property) count them as well.
    """
    seeds, ticks = list(seeds), ticks or cell.spec.ticks
    rows: dict[int, dict[str, float]] = {}
    goals: set[str] = set()
    counts: dict[int, dict[str, tuple[int, int]]] = {}
    answers = spread(run, [(cell.spec, policy, s, ticks, None, tuple(without)) for s in seeds], workers, cluster)
    for done, (seed, row, goal, counted) in enumerate(answers, 1):
        rows[seed], counts[seed] = row, counted
        goals.add(goal)
        if progress is not None:
            progress(done, len(seeds))
    out = xr.Dataset(coords={"seed": ("seed", seeds, {"units": "1"})})
    for name, unit in UNITS.items():
        out[name] = ("seed", np.array([rows[s][name] for s in seeds], float), {"units": unit})
    if apart := cell.spec.task.apart:
        values = sorted({value for counted in counts.values() for value in counted})
        told = np.array([[counts[s].get(value, (0, 0)) for value in values] for s in seeds], float)
        out = out.assign_coords({apart: values})
        for i, name in enumerate(("items_right", "items_decided")):
            out[name] = (("seed", apart), told[:, :, i], {"units": "1"})
    return out.assign_attrs(
        scene=cell.spec.name,
        scene_digest=cell.spec.digest,
        policy=policy_name(policy),
        instruction=",".join(sorted(goals)),
        ticks=ticks,
        split=",".join(sorted({split_of(s) for s in seeds})),
        **({"without": ",".join(without)} if without else {}),
    )


def summary(scores: xr.Dataset | Mapping[str, xr.Dataset]) -> xr.Dataset:
    """Means over seeds with 95 % intervals, and how much they rest on.

    Args:
        scores: what `score` gave, one or several by policy.

    Returns:
        A dataset over `policy` and `statistic` (mean, low, high), one variable a metric, with `seeds` and `items`
        (policy,). Shares of items are pooled over all items. Intervals are percentile bootstraps over seeds (Efron
        1979) with 2,000 resamples and a fixed seed, NaN under two seeds; where all seeds gave the same share, Wilson's
        interval over the items.
    """
    if isinstance(scores, xr.Dataset):
        scores = {str(scores.attrs["policy"]): scores}
    out = xr.Dataset(coords={"policy": list(scores), "statistic": ["mean", "low", "high"]})
    for name in (n for n in UNITS if n != "items"):
        values = [pooled(name, one[name].values, one["items"].values) for one in scores.values()]
        out[name] = (("policy", "statistic"), np.array(values), {"units": UNITS[name]})
    out["seeds"] = ("policy", [one.sizes["seed"] for one in scores.values()], {"units": "1"})
    out["items"] = ("policy", [int(one["items"].sum()) for one in scores.values()], {"units": "1"})
    return out


def pooled(metric: str, values: np.ndarray, items: np.ndarray) -> tuple[float, float, float]:
    """Mean, low and high of a metric over seeds, as `summary` tells them.

    Args:
        metric: its name; shares of items are pooled over all items, what is measured per run counts once a run.
        values: of it (seed,).
        items: how many items each run decided (seed,).
    """
    weights = items if metric in _SHARES else np.ones(len(values))
    return _interval(values, np.where(np.isnan(values), 0.0, weights), metric in _SHARES)


def rows(found: xr.Dataset, metrics: Iterable[str] = SHOWN) -> list[dict[str, str]]:
    """A summary as text, one row a policy: "0.93 [0.88, 0.97]"."""
    out = []
    for policy in found["policy"].values:
        one = found.sel(policy=policy)
        row = {"policy": str(policy), "seeds": str(int(one["seeds"])), "items": str(int(one["items"]))}
        for name in metrics:
            unit = found[name].attrs["units"]
            row[name if unit == "1" else f"{name} [{unit}]"] = text(*one[name].values)
        out.append(row)
    return out


def apart(scores: xr.Dataset) -> dict[str, str]:
    """The share of items right with its 95 % interval, for each kind of item that the task tells apart."""
    if "items_right" not in scores:
        return {}
    by = str(scores["items_right"].dims[1])
    told = {}
    for value in scores[by].values:
        right, decided = (scores[name].sel({by: value}).values for name in ("items_right", "items_decided"))
        share = np.divide(right, decided, out=np.full(len(right), np.nan), where=decided > 0)
        told[str(value)] = f"{text(*_interval(share, decided, True))} ({int(decided.sum())})"
    return told


TRIALS = {
    "expert": ("expert", 1.0, 1),
    "expert, substeps × 2": ("expert", 1.0, 2),
    "program, nominal": ("program", 0.0, 1),
    "program, half varied": ("program", 0.5, 1),
    "program, varied": ("program", 1.0, 1),
}
"""What every line is tried with: name → policy, share of what varies, factor of the physics' substeps."""


def trial(spec: SceneSpec, name: str, seeds: Iterable[int], workers: int = 1) -> xr.Dataset:
    """The scores of one of `TRIALS` on a line.

    Args:
        spec: the line, as it stands in its file.
        name: of the trial.
        seeds: one run each.
        workers: processes.
    """
    policy, share, finer = TRIALS[name]
    varied = spec.vary(share).change({"physics.substeps": finer * spec.physics.substeps})
    with Cell(varied, without=list(varied.sensors)) as cell:
        return score(cell, rooms.build("policies", policy, spec=varied), seeds, workers=workers)


def acting(name: str, spec: SceneSpec, model: str | Path = "") -> Policy:
    """A policy by its name, for a line and, if it needs one, with the model of a name or in a folder."""
    known = {field.name for field in fields(rooms.load("policies", name))}
    given: dict[str, Any] = {"spec": spec, "model": str(model), "actuators": len(spec.actuators)}
    policy: Policy = rooms.build("policies", name, **{key: given[key] for key in given if key in known})
    return policy


def run(
    spec: SceneSpec,
    policy: Policy,
    seed: int,
    ticks: int,
    own: Mapping[str, Callable[[xr.Dataset], float]] | None = None,
    without: Collection[str] = (),
) -> tuple[int, dict[str, float], str, dict[str, tuple[int, int]]]:
    """One closed-loop run.

    Args:
        spec: the line; its cameras are left out where the policy is blind and only KPIs are asked for.
        policy: who acts.
        seed: of the line and the policy.
        ticks: length.
        own: more metrics, functions of the whole episode.
        without: names of sensors that are taken away.

    Returns:
        The seed, its KPIs and other metrics, its goal in words, and how many items are right, of how many, by what the
        task tells apart.
    """
    unseen = () if policy.sees_pictures or own else spec.pictures
    with Cell(spec, without=[*unseen, *without]) as cell:
        episode = record(cell, policy, ticks, seed, keep=None if own else ("busy",))
        ends, by = ends_of(cell.events), spec.task.apart
        ways: dict[str, list[str]] = {}
        for item in cell.items if by else ():
            ways.setdefault(item.properties[by], []).append(ends.get(item.name, ""))
    counted = {value: (each.count("correct"), sum(map(bool, each))) for value, each in ways.items()}
    row = asdict(kpis(episode)) | {name: float(metric(episode)) for name, metric in (own or {}).items()}
    return seed, row, str(episode.attrs["instruction"]), counted


def _interval(values: np.ndarray, weights: np.ndarray, share: bool) -> tuple[float, float, float]:
    mean, low, high = interval(values, weights)
    if share and low == high:  # resampling would claim certainty
        count = int(weights.sum())
        return (mean, *wilson(round(mean * count), count))
    return (mean, low, high)
