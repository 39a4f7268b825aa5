"""Episodes: what a policy did on a line and what was measured, as one labelled dataset."""

import json
from collections.abc import Callable, Collection
from importlib import metadata
from typing import Any, Protocol, runtime_checkable

import numpy as np
import xarray as xr

import twinlab
from twinlab.cell import Cell, SavedCell
from twinlab.errors import ActionError, CellError, did_you_mean
from twinlab.language import Meaning
from twinlab.readings import Readings, Variable

Episode = xr.Dataset
SPLITS = {"train": (0, 50_000), "val": (50_000, 60_000), "test": (60_000, 70_000)}
_LIBRARIES = ("pybullet", "numpy", "moderngl", "xarray")


class Policy(Protocol):
    """A way to act. It sees readings only, unless it says that it sees truth.

    Attributes:
        sees_truth: whether truth is added to what it is called with; only the expert says so.
        sees_pictures: whether it looks at the cameras; where it does not, nothing is rendered for its scores.
    """

    sees_truth: bool
    sees_pictures: bool

    def reset(self, seed: int, meaning: Meaning) -> None:
        """Forget the past and take a goal; the seed fixes all its random choices."""
        ...

    def __call__(self, readings: Readings) -> np.ndarray:
        """The set-points of this tick (actuator,)."""
        ...


@runtime_checkable
class Learned(Protocol):
    """A policy that acts by a trained model and says by which."""

    def lineage(self) -> dict[str, str]:
        """The model's name and the digest of its weights."""
        ...


def lineage(policy: Policy, teacher: Policy | None = None) -> dict[str, str]:
    """What an episode says of the models behind it: JSON as attribute `lineage`, nothing where no model acts."""
    who = {"policy": policy, "teacher": teacher or policy}
    found = {role: one.lineage() for role, one in who.items() if isinstance(one, Learned)}
    return {"lineage": json.dumps(found, sort_keys=True)} if found else {}


def policy_name(policy: Policy) -> str:
    """The name of a policy: that of its file."""
    return type(policy).__module__.rpartition(".")[2]


def split_of(seed: int) -> str:
    """What a seed is for: "train", "val", "test", or "" beyond these."""
    return next((name for name, (low, high) in SPLITS.items() if low <= seed < high), "")


def record(
    cell: Cell,
    policy: Policy,
    ticks: int,
    seed: int,
    noise: float = 0.0,
    progress: Callable[[int], None] | None = None,
    keep: Collection[str] | None = None,
    teacher: Policy | None = None,
    start: SavedCell | None = None,
) -> Episode:
    """Run a policy on a line, from reset or from a saved moment, and keep everything.

    Args:
        cell: the line.
        policy: who acts.
        ticks: how long; the episode has so many rows.
        seed: of the cell, the policy and the noise; from a saved moment of the latter two, the cell keeps its own.
        noise: standard deviation of the disturbance added to the policy's set-points, as a share of their limits; it
            wanders over about half a second, so that the data show how mistakes are mended (DART, Laskey et al. 2017).
        progress: called with the number of ticks done.
        keep: names of the readings and truths that are kept; None keeps all.
        teacher: whose set-points are kept as `intent` while the policy acts (DAgger, Ross et al. 2011); None for the
            policy itself.
        start: the moment to go on from, of this cell and since its last reset, as often as wanted; the policy begins
            there as after a reset. None for the beginning.

    Returns:
        A dataset over `time`: readings, truth, `action` (what was done), `intent` (what the policy wanted), and the
        events over `event`. At each time stand the readings before that time's action. From a saved moment on `time`
        begins at it, which the attribute `branched_at` tells [s], and the events are those after it.

    Raises:
        CellError: `ticks`, `noise` or `keep` cannot be, or the cell was reset since `start`.
        ActionError: the policy is one for another line.
    """
    kept = _kept(cell, ticks, noise, keep)
    readings = cell.reset(seed) if start is None else cell.restore(start)
    before = 0 if start is None else len(cell.events)
    for one in (policy, teacher):
        if one is not None:
            one.reset(seed, cell.task.meaning())
    values, times = _run(cell, readings, policy, teacher or policy, ticks, (seed, noise), kept, progress)
    told = _provenance(cell, policy, noise, teacher) | ({} if start is None else {"branched_at": float(times[0])})
    return _dataset(cell, kept, values, times, before).assign_attrs(told)


def _run(
    cell: Cell,
    readings: Readings,
    policy: Policy,
    teacher: Policy,
    ticks: int,
    disturbance: tuple[int, float],
    kept: tuple[Variable, ...],
    progress: Callable[[int], None] | None,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What is kept of some ticks from now on, by name (time, …), and their times (time,) [s]."""
    seed, noise = disturbance
    limits = np.array([a.high for a in cell.actuators])
    rng, push = np.random.default_rng([seed, 1]), np.zeros(len(limits))
    values = {v.name: np.empty((ticks, *v.shape), v.dtype) for v in kept}
    values |= {name: np.empty((ticks, len(limits)), np.float32) for name in ("action", "intent")}
    times = np.empty(ticks)
    for tick in range(ticks):
        seen = {**readings, **cell.truth}
        for v in kept:
            values[v.name][tick] = seen[v.name]
        times[tick] = cell.time
        wish = _asked(policy, seen if policy.sees_truth else readings, limits.shape)
        intent = wish if teacher is policy else _asked(teacher, seen if teacher.sees_truth else readings, limits.shape)
        push = 0.9 * push + noise * np.sqrt(1 - 0.9**2) * limits * rng.normal(size=len(limits))
        readings = cell.step(wish + push)
        values["intent"][tick] = np.clip(intent, -limits, limits)
        values["action"][tick] = cell.action
        if progress is not None:
            progress(tick + 1)
    return values, times


def _kept(cell: Cell, ticks: int, noise: float, keep: Collection[str] | None) -> tuple[Variable, ...]:
    if ticks < 1:
        raise CellError(f"ticks came as {ticks}; an episode has at least 1")
    if not (np.isfinite(noise) and noise >= 0):
        raise CellError(f"noise came as {noise}; wanted a share of the limits, 0 or more")
    known = [v.name for v in cell.variables]
    for name in keep or ():
        if name not in known:
            raise CellError(f"keep: no variable {name!r}; there are {known}.{did_you_mean(name, known)}")
    return tuple(v for v in cell.variables if keep is None or v.name in keep)


def _asked(policy: Policy, readings: Readings, shape: tuple[int, ...]) -> np.ndarray:
    """The set-points that a policy wants; a wrong shape would be broadcast when noise is added."""
    wish = np.asarray(policy(readings), np.float32)
    if wish.shape != shape:
        raise ActionError(f"policy {policy_name(policy)!r}: its action came with shape {wish.shape}, wanted {shape}")
    return wish


def _dataset(
    cell: Cell, variables: tuple[Variable, ...], values: dict[str, np.ndarray], times: np.ndarray, before: int
) -> Episode:
    out: dict[str, tuple[Any, ...]] = {}  # one Dataset of all is made in a tenth of the time that one by one takes
    for v in variables:
        attrs: dict[str, Any] = {"units": v.units, "kind": v.kind, "role": v.role}
        if v.labels:
            attrs["labels"] = list(v.labels)
        if v.given:
            attrs["given"] = v.given
        attrs |= v.about
        out[v.name] = (("time", *v.dims), values[v.name], attrs)
    for name in ("action", "intent"):
        limits = {"low": [a.low for a in cell.actuators], "high": [a.high for a in cell.actuators]}
        units = " ".join(a.units for a in cell.actuators)
        told = {"units": units, "kind": "vector", "role": "action", **limits}
        out[name] = (("time", "actuator"), values[name], told)
    events = [e for e in cell.events[before:] if e.time <= times[-1] + cell.spec.physics.tick]
    plain = {"kind": "event", "role": "truth"}
    out["event_time"] = ("event", np.array([e.time for e in events], float), {"units": "s", **plain})
    for key in ("kind", "item", "place"):
        text = np.array([getattr(e, key) for e in events], dtype=str)
        out[f"event_{key}"] = ("event", text, {"units": "1", **plain})
    out["event_right"] = ("event", np.array([e.right for e in events], bool), {"units": "1", **plain})
    coords = {"time": ("time", times, {"units": "s"}), "actuator": [a.name for a in cell.actuators]}
    return xr.Dataset(out, coords)


def _provenance(cell: Cell, policy: Policy, noise: float, teacher: Policy | None) -> dict[str, str | int | float]:
    versions = {name: metadata.version(name) for name in _LIBRARIES} | {"twinlab": twinlab.__version__}
    return {
        "scene": cell.spec.name,
        "scene_digest": cell.spec.digest,
        "seed": cell.seed,
        "instruction": cell.task.instruction(),
        "policy": policy_name(policy),
        "teacher": policy_name(teacher or policy),
        "noise": float(noise),
        "tick": cell.spec.physics.tick,
        "planned_run_time": cell.spec.planned_run_time,
        "versions": json.dumps(versions, sort_keys=True),
        **lineage(policy, teacher),
    }
