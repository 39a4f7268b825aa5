"""Sort the parts on a belt into bins by one of their properties, defective ones into the scrap bin."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from twinlab import frames
from twinlab.errors import did_you_mean
from twinlab.events import Event, Item
from twinlab.language import Meaning
from twinlab.readings import Kind, Readings, Role, Variable
from twinlab.tasks import Order, Stage, Step, Task, order_variables, ordered

_CLASSES = {"colour": ("red", "green", "blue"), "shape": ("cube", "cylinder")}
_REST = 0.002  # an item that moved less than this since the last tick lies still [m]


@dataclass(frozen=True)
class Progress:
    """How far the parts are.

    Attributes:
        carried: parts that were picked and not yet let go.
        decided: parts that reached a bin, passed the end or fell beside.
        last: part → where it was at the last tick (3,).
        tool: where the tool was at the last tick (3,).
    """

    carried: frozenset[str] = frozenset()
    decided: frozenset[str] = frozenset()
    last: dict[str, np.ndarray] = field(default_factory=dict)
    tool: np.ndarray | None = None


class Sort(Task):
    """Every part into the bin that its property names; a part that passes the end of the belt is missed."""

    by: Literal["colour", "shape"] = Field("colour", description="the property that decides")
    bins: dict[str, str] = Field(description="value of a property → name of the bin")
    scrap: str = Field("scrap", description="bin for defective parts")
    belt: str = Field("belt", description="the belt that brings the parts")
    along: int = Field(1, ge=0, le=1, description="world axis that the belt runs along: 0 for x, 1 for y")
    window: tuple[float, float] = Field((-0.4, 0.5), description="where on that axis parts can be picked [m]")
    tool: str = Field("arm/panda_grasptarget", description="link of the tool")

    @field_validator("window")
    @classmethod
    def _forwards(cls, window: tuple[float, float]) -> tuple[float, float]:
        if window[0] >= window[1]:
            raise ValueError("its first end must be below its second")
        return window

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    def meaning(self) -> Meaning:
        """Sort by the property, defects to scrap."""
        return Meaning("sort", self.by, dict(self.bins), self.scrap)

    def instruction(self) -> str:
        """In words."""
        return f"Sort the parts by {self.by}; put defective ones into the scrap bin."

    def misfit(self, places: Collection[str], kinds: Mapping[str, tuple[str, ...]]) -> str:
        """Bins, scrap and belt must be places of the line, and each value of the property needs a bin."""
        for name in (*self._bins(), self.belt):
            if name not in places:
                return (
                    f"{name!r} is no body at which parts can be; there are {list(places)}.{did_you_mean(name, places)}"
                )
        homeless = [value for value in kinds.get(self.by, ()) if value not in self.bins]
        return f"bins: no bin for {self.by} {homeless}, which the line's feeder brings" if homeless else ""

    def steps(self) -> tuple[Step, ...]:
        """Pick the next part, place it where it belongs."""
        return (Step("pick", "target"), Step("place", "goal"))

    def variables(self, items: tuple[Item, ...]) -> tuple[Variable, ...]:
        """Truth of the part to handle next, of all parts, and the reward."""
        names = tuple(i.name for i in items)
        pulse: tuple[str, str, Kind, Role] = ("bool", "1", "pulse", "truth")
        axes = ("x", "y", "z", "cos4yaw", "sin4yaw")
        on = "target_present"
        return (
            Variable("target", ("target_axis",), (5,), "float32", "m m m 1 1", "vector", "truth", axes, on),
            Variable("target_present", (), (), *pulse),
            Variable("target_held", (), (), *pulse),
            Variable("target_defect", (), (), *pulse, (), on),
            *(
                Variable(f"target_{key}", (), (), "int64", "1", "label", "truth", values, on)
                for key, values in _CLASSES.items()
            ),
            Variable("goal", ("goal_axis",), (3,), "float32", "m", "vector", "truth", ("x", "y", "z"), on),
            Variable("reward", (), (), "float32", "1", "vector", "truth"),
            Variable("busy", (), (), *pulse),
            Variable("part_pose", ("part", "pose_axis"), (len(names), 7), "float32", "m", "pose", "truth"),
            Variable("part_present", ("part",), (len(names),), "bool", "1", "mask", "truth", names),
            *order_variables(self),
        )

    def observe(self, stage: Stage, state: Progress | None) -> tuple[Readings, tuple[Event, ...], Progress]:
        """Follow each part on the line; see the module's text for what counts."""
        state = state or Progress()
        held = stage.in_hand()
        events: list[Event] = []
        for item in stage.items:
            if item.name in stage.spawned and item.name not in state.decided:
                told, state = self._follow(stage, item, held, state)
                events += told
        tool = stage.snapshot.pose(self.tool)[:3]
        last = {i.name: stage.snapshot.pose(i.name)[:3] for i in stage.items}
        moved = state.tool is not None and float(np.linalg.norm(tool - state.tool)) > _REST
        target = self._target(stage, held, state)
        truth = self._truth(stage, target, held)
        truth["reward"] = np.array(sum(_reward(e) for e in events), np.float32)
        truth["busy"] = np.array(target is not None and (moved or target.name in held))
        truth |= ordered(self, self._orders(stage, truth, target, held))
        return truth, tuple(events), replace(state, last=last, tool=tool)

    def _orders(self, stage: Stage, truth: Readings, target: Item | None, held: frozenset[str]) -> Mapping[str, Order]:
        """Bring what is held to its goal, else get the target."""
        if target is None:
            return {}
        if target.name in held:
            return {"arm": Order(1, truth["goal"])}
        x, y, z, cos, sin = truth["target"].astype(float)
        vx, vy, vz = stage.world.surface_velocity(self.belt)
        return {"arm": Order(0, np.array([x, y, z]), float(np.arctan2(sin, cos) / 4), (vx, vy, vz))}

    def _follow(
        self, stage: Stage, item: Item, held: frozenset[str], state: Progress
    ) -> tuple[tuple[Event, ...], Progress]:
        """What happened to one part since the last tick."""
        now, at = stage.snapshot.time, stage.snapshot.pose(item.name)[:3]
        belt = stage.places[self.belt]
        still = bool(np.linalg.norm(at - state.last.get(item.name, at + 1)) < _REST)
        carried, decided = state.carried | {item.name}, state.decided | {item.name}
        if item.name in held:
            lifted = at[2] > belt.low[2] + 0.05 or not belt.contains(at)
            if item.name in state.carried or not lifted:
                return (), state
            return (Event(now, "picked", item.name),), replace(state, carried=carried)
        where = next((b for b in self._bins() if still and stage.places[b].contains(at)), "")
        if where:
            right = where == self.meaning().place(item.properties, bool(item.defect))
            event = Event(now, "placed", item.name, where, right)
            return (event,), replace(state, carried=state.carried - {item.name}, decided=decided)
        if item.name in state.carried:
            on_belt = belt.contains(at) and at[2] < belt.low[2] + 0.04
            if not (on_belt or still):
                return (), state
            event = Event(now, "dropped", item.name)
            carried = state.carried - {item.name}
            return (event,), replace(state, carried=carried, decided=state.decided if on_belt else decided)
        if at[2] < belt.low[2] - 0.01 and not self._over_bin(stage, at):
            return (Event(now, "missed", item.name),), replace(state, decided=decided)
        return (), state

    def _bins(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.bins.values(), self.scrap)))

    def _over_bin(self, stage: Stage, at: np.ndarray) -> bool:
        return any(stage.places[b].contains(at) for b in self._bins())

    def _target(self, stage: Stage, held: frozenset[str], state: Progress) -> Item | None:
        """The part in hand, or else the one that leaves the window first."""
        open_ = [i for i in stage.items if i.name in stage.spawned and i.name not in state.decided]
        for item in open_:
            if item.name in held:
                return item
        low, high = self.window
        where = {i.name: stage.snapshot.pose(i.name) for i in open_}
        belt = stage.places[self.belt]
        near = [i for i in open_ if belt.contains(where[i.name][:3]) and low < where[i.name][self.along] < high]
        velocity = np.array(stage.world.surface_velocity(self.belt))[self.along]
        sign = -1.0 if velocity < 0 else 1.0
        return max(near, key=lambda i: sign * where[i.name][self.along], default=None)

    def _truth(self, stage: Stage, target: Item | None, held: frozenset[str]) -> dict[str, np.ndarray]:
        poses = np.array([stage.snapshot.pose(i.name) for i in stage.items], np.float32).reshape(-1, 7)
        present = np.array([i.name in stage.spawned for i in stage.items], bool)
        out: dict[str, np.ndarray] = {"part_pose": poses, "part_present": present}
        what, goal, bad = np.zeros(5, np.float32), np.zeros(3, np.float32), False
        labels = dict.fromkeys(_CLASSES, 0)
        if target is not None:
            pose = stage.snapshot.pose(target.name)
            turn = 4 * frames.yaw(pose) if target.symmetry else 0.0
            what = np.array([*pose[:3], np.cos(turn), np.sin(turn)], np.float32)
            bad = bool(target.defect)
            region = stage.places[self.meaning().place(target.properties, bad)]
            goal = np.array([*region.centre[:2], region.high[2]], np.float32)
            labels = {key: values.index(target.properties[key]) for key, values in _CLASSES.items()}
        out |= {"target": what, "goal": goal, "target_present": np.array(target is not None)}
        out["target_held"] = np.array(target is not None and target.name in held)
        out["target_defect"] = np.array(bad)
        return out | {f"target_{key}": np.array(number) for key, number in labels.items()}


def _reward(event: Event) -> float:
    if event.kind == "placed":
        return 1.0 if event.right else -1.0
    return -1.0 if event.kind in ("missed", "dropped") else 0.0
