"""Plans that a model imagined, and what comes when they are replayed in the simulator."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr

from twinlab.batches import UNFORESEEN, Signal, Signals
from twinlab.cell import Cell
from twinlab.errors import ActionError, ModelError, did_you_mean
from twinlab.events import Event, EventKind
from twinlab.model import WorldModel
from twinlab.readings import Readings

HARD: tuple[EventKind, ...] = ("violation", "collided")
"""Kinds of events that no plan may bring about."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Actions, and what a model imagines would come of them; T counts ticks ahead, the first is that after one action.

    Attributes:
        actions: set-points (T, actuator), in the actuators' units.
        readings: name → what is imagined to be read (T, …), in its own units; pulses as probabilities.
        truth: name → likewise of the truth; pulses and labels as probabilities (T, …) and (T, class).
        reward: imagined at each tick (T,).
        signals: what the model works on: units, training standard deviations, names of actuators, length of a tick.
        spread: name → standard deviation of what is imagined (T, …), of those vectors of which the model tells it.

    Raises:
        ActionError: there are no actions, they do not fit the actuators, or are not finite.
        ModelError: what is imagined is unknown to the signals, has another shape, or is no number.
    """

    actions: np.ndarray
    readings: Mapping[str, np.ndarray]
    truth: Mapping[str, np.ndarray]
    reward: np.ndarray
    signals: Signals
    spread: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_actions(self.actions, self.signals)
        ticks = len(self.actions)
        shapes = {n: self._shape(self.signals[n]) for n in self.imagined} | {"reward": ()}
        for name, value in {**self.imagined, "reward": self.reward}.items():
            if np.shape(value) != (ticks, *shapes[name]):
                raise ModelError(
                    f"plan: {name!r} is imagined as {np.shape(value)}, wanted {(ticks, *shapes[name])}: a row for each "
                    f"action"
                )
            if np.isnan(value).any():
                raise ModelError(f"plan: {name!r} is imagined as nan; was the model trained, and is its belief finite?")

    def _shape(self, signal: Signal) -> tuple[int, ...]:
        """Of what is imagined at a tick; clouds come out with fewer points than they went in."""
        if signal.kind == "cloud":
            return np.shape(self.imagined[signal.name])[1:]
        return (len(signal.labels),) if signal.kind == "label" else signal.shape

    @property
    def actuators(self) -> tuple[str, ...]:
        """Names of the numbers of an action."""
        return self.signals.actuators

    @property
    def tick(self) -> float:
        """Length of a tick [s]."""
        return self.signals.tick

    @property
    def imagined(self) -> dict[str, np.ndarray]:
        """Readings and truth in one."""
        return {**self.readings, **self.truth}


class Verdict(NamedTuple):
    """Whether a plan may be executed.

    Attributes:
        ok: whether it may.
        why: the reason, in words.
    """

    ok: bool
    why: str


@torch.no_grad()
def imagine(model: WorldModel, belief: torch.Tensor, actions: np.ndarray, names: Collection[str] = ()) -> Plan:
    """What a model imagines will come of actions.

    Args:
        model: who imagines.
        belief: what it believes now (1, size).
        actions: set-points (T, actuator).
        names: the readings to imagine; without any all but pictures and clouds, whose decoding takes most of the time.

    Raises:
        ActionError: the actions do not fit.
        ModelError: a name is unknown, or the belief is none of this model's.
    """
    _check_actions(actions, model.signals)
    if tuple(belief.shape) != (1, model.dynamics.size):
        raise ModelError(
            f"plan: the belief came as {tuple(belief.shape)}, wanted (1, {model.dynamics.size}): that of one moment, "
            f"of the model that imagines"
        )
    for name in names:
        if name not in model.readings:
            known = sorted(model.readings)
            raise ModelError(f"plan: no reading {name!r}; the model knows {known}.{did_you_mean(name, known)}")
    wanted = tuple(names) or tuple(n for n, s in model.readings.items() if s.kind not in UNFORESEEN)
    given = torch.as_tensor(np.asarray(actions), dtype=torch.float32, device=model.device)
    ahead = model.rollout(belief, given[None])[0]
    parts = (model.decode(ahead, wanted) if wanted else {}, model.heads(ahead), model.spread(ahead))
    readings, truth, spread = ({name: value.cpu().numpy() for name, value in part.items()} for part in parts)
    return Plan(np.array(actions, float), readings, truth, model.reward(ahead).cpu().numpy(), model.signals, spread)


def check_plan(cell: Cell, plan: Plan, names: Collection[str] | None = None) -> xr.Dataset:
    """What came of a plan in the simulator, beside what was imagined.

    The plan is replayed from where the cell stands. Afterwards the cell stands there again: readings, truth, events and
    clock are those of before, to the bit. What comes next may differ by what `Cell.restore` does not bring back
    (below 1e-4 m), so that a line which must go on exactly is replayed in a twin of it.

    Args:
        cell: the line.
        plan: what was imagined.
        names: the readings and truths to compare; without any all that are imagined and that the cell gives.

    Returns:
        A dataset over `time`, ahead of now [s]. Of each name: `_imagined`, `_came`, their difference `_gap` in the
        signal's own units (of a label what was missing to certainty), `_off`, its root mean square over the numbers in
        training standard deviations, and `_spread`, where the model told it. What means nothing at a tick, because
        what it is `given` by is not there, has no gap (NaN). Likewise of the reward, which has no `_off`. Events that
        came stand over `event`, with times ahead.

    Raises:
        ActionError: the plan is for other actuators or another tick.
        ModelError: a name is unknown or left out by the cell, a shape is another line's, or nothing can be compared.
    """
    compared = _compared(cell, plan, names)
    needed = {*compared, *(s.given for s in compared.values() if s.given), "reward"}
    rows, events, now = _replayed(cell, plan.actions, needed)
    came = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    out: dict[str, Any] = {}
    units = {v.name: v.units for v in cell.variables}
    for signal in compared.values():
        out |= _beside(signal, units[signal.name], plan, came)
    out |= {"reward_imagined": ("time", plan.reward, {"units": "1"})}
    out |= {"reward_came": ("time", came["reward"], {"units": "1"})}
    out |= {"reward_gap": ("time", came["reward"] - plan.reward, {"units": "1"})}
    out["event_time"] = ("event", np.array([e.time - now for e in events], float), {"units": "s"})
    for key in ("kind", "item", "place"):
        out[f"event_{key}"] = ("event", np.array([getattr(e, key) for e in events], dtype=str), {"units": "1"})
    out["event_right"] = ("event", np.array([e.right for e in events], bool), {"units": "1"})
    time = plan.tick * np.arange(1, len(plan.actions) + 1)
    spec = cell.spec
    about = {"scene": spec.name, "scene_digest": spec.digest, "seed": cell.seed, "at": now, "tick": plan.tick}
    return xr.Dataset(out, {"time": ("time", time, {"units": "s"})}, about)


def trusted(gap: xr.Dataset, limit: float) -> Verdict:
    """Whether a plan may be executed: nothing that must not happen came, and no gap was too large.

    Args:
        gap: what `check_plan` gave.
        limit: the largest gap of any name at any tick [training standard deviations].

    Raises:
        ModelError: the limit is no number above 0.
    """
    if not (np.isfinite(limit) and limit > 0):
        raise ModelError(f"plan: limit came as {limit!r}; wanted training standard deviations, a number above 0")
    for kind, item, place, ahead in zip(
        *(gap[f"event_{key}"].values for key in ("kind", "item", "place", "time")), strict=True
    ):
        if kind in HARD:
            return Verdict(False, f"{kind}: {item} {place}".rstrip() + f", {ahead:.2f} s ahead")
    worst, name, when = -1.0, "", 0.0
    for key in (str(k) for k in gap.data_vars if str(k).endswith("_off")):
        off = gap[key].values
        if np.isfinite(off).any() and (most := float(np.nanmax(off))) > worst:
            worst, name, when = most, key.removesuffix("_off"), float(gap["time"].values[int(np.nanargmax(off))])
    if not name:
        return Verdict(False, "nothing of what was imagined could be compared with what came")
    told = f"{name} is {worst:.2g} training standard deviations off, {when:.2f} s ahead"
    return Verdict(worst <= limit, f"{told}; the limit is {limit:g}")


def _check_actions(actions: np.ndarray, signals: Signals) -> None:
    names, shape = list(signals.actuators), np.shape(actions)
    if len(shape) != 2 or not shape[0] or shape[1] != len(names):
        raise ActionError(
            f"plan: actions came as {shape}, wanted (tick, {len(names)}): at least one tick, and a number for each of "
            f"{names}"
        )
    if bad := int((~np.isfinite(np.asarray(actions, float))).sum()):
        raise ActionError(f"plan: {bad} numbers of its actions are not finite; wanted set-points for {names}")


def _compared(cell: Cell, plan: Plan, names: Collection[str] | None) -> dict[str, Signal]:
    """The signals to compare, by name; raises where plan and cell do not fit."""
    line, known = f"line {cell.spec.name!r}", {v.name: v for v in cell.variables}
    if plan.actuators != tuple(a.name for a in cell.actuators):
        raise ActionError(
            f"plan: it is for actuators {list(plan.actuators)}, but {line} has {[a.name for a in cell.actuators]}; "
            f"imagine it with a model of this line"
        )
    if abs(plan.tick - cell.spec.physics.tick) > 1e-9:
        raise ActionError(
            f"plan: its tick is {plan.tick:g} s, that of {line} {cell.spec.physics.tick:g} s; imagine it with a model "
            f"that was trained on this line"
        )
    imagined = plan.imagined
    for name in names or ():
        if name not in imagined:
            there = sorted(imagined)
            raise ModelError(f"plan: {name!r} is not imagined; there are {there}.{did_you_mean(name, there)}")
        if name not in known:
            raise ModelError(f"plan: {name!r} is not read by this cell of {line}; build one with that sensor")
        if plan.signals[name].kind == "cloud":
            raise ModelError(f"plan: {name!r} is a cloud, whose points have no order; compare others, such as depth")
    both = [n for n in imagined if n in known and plan.signals[n].kind != "cloud"]
    found = {name: plan.signals[name] for name in (both if names is None else names)}
    if not found:
        raise ModelError(
            f"plan: nothing of {sorted(imagined)} is known to {line}; imagine it with a model of this line"
        )
    for name, signal in found.items():
        if (known[name].shape, known[name].kind) != (signal.shape, signal.kind):
            raise ModelError(
                f"plan: {name!r} is a {signal.kind} {signal.shape}, but {line} has a {known[name].kind} "
                f"{known[name].shape}; imagine it with a model of this line"
            )
    return found


def _replayed(
    cell: Cell, actions: np.ndarray, names: Collection[str]
) -> tuple[list[Readings], tuple[Event, ...], float]:
    """What came at each tick, by name, the events, and the time at which that began [s]; the cell is as before."""
    saved, now, before = cell.save(), cell.time, len(cell.events)
    rows: list[Readings] = []
    try:
        for action in actions:
            seen = {**cell.step(action), **cell.truth}
            rows.append({name: np.array(value) for name, value in seen.items() if name in names})
        events = cell.events[before:]
    finally:
        cell.restore(saved)
        cell.forget(saved)
    return rows, events, now


def _beside(signal: Signal, units: str, plan: Plan, came: Readings) -> dict[str, Any]:
    """The variables of one name, which is in these units; see `check_plan`."""
    name = signal.name
    imagined, value = np.asarray(plan.imagined[name], float), came[name]
    dims, told, ticks = ("time", *signal.dims), ("time", *signal.dims), len(value)
    if signal.kind == "label":
        gap, told = 1 - imagined[np.arange(ticks), value.astype(int)], ("time", f"{name}_class")
    else:
        there = np.isfinite(imagined) & np.isfinite(value)
        gap = np.subtract(value, imagined, out=np.full(value.shape, np.nan), where=there)
    if signal.given in came:
        meant = came[signal.given].reshape(ticks, -1).any(axis=1)  # of a label the first class says that nothing is
        gap = np.where(meant.reshape(-1, *(1,) * (gap.ndim - 1)), gap, np.nan)
    std = np.reshape(signal.std, signal.shape) if len(signal.std) == signal.size else signal.std[0]
    out = {
        f"{name}_imagined": (told, imagined, {"units": units}),
        f"{name}_came": (dims, value, {"units": units}),
        f"{name}_gap": (dims, gap, {"units": units}),
        f"{name}_off": ("time", _rms(gap / std), {"units": "1"}),
    }
    if name in plan.spread:
        out[f"{name}_spread"] = (dims, plan.spread[name], {"units": units})
    return out


def _rms(values: np.ndarray) -> np.ndarray:
    """Root mean square over all axes but the first (T,), of what is a number; NaN where nothing is."""
    flat = values.reshape(len(values), -1)
    there = np.isfinite(flat)
    total = np.square(np.where(there, flat, 0.0)).sum(axis=1)
    count = there.sum(axis=1)
    return np.sqrt(np.divide(total, count, out=np.full(len(flat), np.nan), where=count > 0))
