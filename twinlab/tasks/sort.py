"""Sort the parts on a belt into bins by one of their properties, defective ones into the scrap bin."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator

from twinlab import frames
from twinlab.errors import did_you_mean
from twinlab.events import Event, Item
from twinlab.language import Meaning
from twinlab.readings import Kind, Readings, Role, Variable
from twinlab.tasks import Order, Stage, Step, Task, order_variables, ordered
from twinlab.tasks._watch import REST, positions, still

_CLASSES = {"colour": ("red", "green", "blue"), "shape": ("cube", "cylinder")}
_PULSE: tuple[str, str, Kind, Role] = ("bool", "1", "pulse", "truth")


@dataclass(frozen=True)
class Progress:
    """How far the parts are.

    Attributes:
        carried: parts that were picked and not yet let go.
        decided: parts that reached a bin, passed the end or fell beside.
        held: parts that were in a hand at the last tick.
        last: part → where it was at the last tick (3,).
        tools: arm → where its tool was at the last tick (3,).
    """

    carried: frozenset[str] = frozenset()
    decided: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    last: dict[str, np.ndarray] = field(default_factory=dict)
    tools: dict[str, np.ndarray] = field(default_factory=dict)


class Sort(Task):
    """Every part into the bin that its property names; a part that passes the end of the belt is missed."""

    by: Literal["colour", "shape"] = Field("colour", description="the property that decides")
    bins: dict[str, str] = Field(description="value of a property → name of the bin")
    scrap: str = Field("scrap", description="bin for defective parts")
    belt: str = Field("belt", description="the belt that brings the parts")
    along: int = Field(1, ge=0, le=1, description="world axis that the belt runs along: 0 for x, 1 for y")
    window: tuple[float, float] = Field((-0.4, 0.5), description="where on that axis parts can be picked [m]")
    windows: dict[str, tuple[float, float]] = Field(default_factory=dict, description="the same of one arm, by arm [m]")
    crew: dict[str, tuple[str, ...]] = Field({"arm": ()}, min_length=1, description="arm → the bins it serves; () all")
    tool: str = Field("panda_grasptarget", description="link of each arm that is its tool")
    diverter: str = Field("", description='the diverter that leads parts into the lane, "" for none')
    lane: str = Field("", description="the place that the diverter leads to, where no arm brings parts")
    gate: tuple[float, float] = Field((-0.4, -0.1), description="where on the axis a part decides how it is set [m]")

    @field_validator("window", "gate", "windows")
    @classmethod
    def _forwards(cls, given: Any) -> Any:
        for window in given.values() if isinstance(given, dict) else (given,):
            if window[0] >= window[1]:
                raise ValueError("its first end must be below its second")
        return given

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    def meaning(self) -> Meaning:
        """Sort by the property, defects to scrap."""
        return Meaning("sort", self.by, dict(self.bins), self.scrap)

    def instruction(self) -> str:
        """In words."""
        return f"Sort the parts by {self.by}; put defective ones into the scrap bin."

    def misfit(self, places: Collection[str], kinds: Mapping[str, tuple[str, ...]]) -> str:
        """Bins, scrap, lane and belt must be places of the line, and each value of the property needs a bin."""
        lane = (self.lane,) if self.lane else ()
        for name in (*self._bins(), *lane, self.belt):
            if name not in places:
                return (
                    f"{name!r} is no body at which parts can be; there are {list(places)}.{did_you_mean(name, places)}"
                )
        homeless = [value for value in kinds.get(self.by, ()) if value not in self.bins]
        return f"bins: no bin for {self.by} {homeless}, which the line's feeder brings" if homeless else ""

    def arms(self) -> tuple[str, ...]:
        """Those of the crew."""
        return tuple(self.crew)

    def devices(self) -> tuple[str, ...]:
        """The diverter, where there is one."""
        return (self.diverter,) if self.diverter else ()

    def steps(self) -> tuple[Step, ...]:
        """Pick the next part, place it where it belongs."""
        return (Step("pick", "target"), Step("place", "goal"))

    def variables(self, items: tuple[Item, ...]) -> tuple[Variable, ...]:
        """Truth of the part to handle next, of all parts, and the reward."""
        names = tuple(i.name for i in items)
        return (
            *(v for arm in self.crew for v in self._target_variables(arm)),
            Variable("reward", (), (), "float32", "1", "vector", "truth"),
            Variable("busy", (), (), *_PULSE),
            Variable("part_pose", ("part", "pose_axis"), (len(names), 7), "float32", "m", "pose", "truth"),
            Variable("part_present", ("part",), (len(names),), "bool", "1", "mask", "truth", names),
            *(self._gate_variables() if self.diverter else ()),
            *order_variables(self),
        )

    def _gate_variables(self) -> tuple[Variable, ...]:
        """Whether a part is at the gate and whether it belongs into the lane: what the diverter hangs on."""
        return (Variable("gate_present", (), (), *_PULSE), Variable("gate_lane", (), (), *_PULSE, (), "gate_present"))

    def _target_variables(self, arm: str) -> tuple[Variable, ...]:
        """The truth of the part that an arm handles next; of the first arm's without its name."""
        own = self._own(arm)
        on, axes = f"{own}target_present", ("x", "y", "z", "cos4yaw", "sin4yaw")
        named = (f"{own}target", (f"{own}target_axis",), (5,))
        goal = (f"{own}goal", (f"{own}goal_axis",), (3,))
        return (
            Variable(*named, "float32", "m m m 1 1", "vector", "truth", axes, on),
            Variable(on, (), (), *_PULSE),
            Variable(f"{own}target_held", (), (), *_PULSE),
            Variable(f"{own}target_defect", (), (), *_PULSE, (), on),
            *(
                Variable(f"{own}target_{key}", (), (), "int64", "1", "label", "truth", values, on)
                for key, values in _CLASSES.items()
            ),
            Variable(*goal, "float32", "m", "vector", "truth", ("x", "y", "z"), on),
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
        tools = {arm: stage.snapshot.pose(f"{arm}/{self.tool}")[:3] for arm in self.crew}
        truth: dict[str, np.ndarray] = {}
        orders, busy = {}, False
        for arm in self.crew:
            target = self._target(stage, arm, state)
            mine = target is not None and target.name in stage.held.get(arm, ())
            truth |= self._truth(stage, arm, target, mine)
            if target is not None:
                orders[arm] = self._order(stage, arm, truth, mine)
                busy |= mine or (arm in state.tools and math.dist(tools[arm], state.tools[arm]) > REST)
        truth |= {"busy": np.array(busy), "reward": np.array(sum(_reward(e) for e in events), np.float32)}
        truth["part_pose"] = np.array(list(stage.poses.values()), np.float32).reshape(-1, 7)
        truth["part_present"] = np.array([i.name in stage.spawned for i in stage.items], bool)
        gate = self._gate(stage, state)
        truth |= gate
        truth |= ordered(self, orders, self._setpoints(gate))
        return truth, tuple(events), replace(state, held=held, last=positions(stage), tools=tools)

    def _order(self, stage: Stage, arm: str, truth: Readings, mine: bool) -> Order:
        """Bring what is held to its goal, else get the target."""
        own, ahead = self._own(arm), frames.yaw(stage.snapshot.pose(arm))
        if mine:
            return Order(1, truth[f"{own}goal"], ahead)
        x, y, z, cos, sin = truth[f"{own}target"].astype(float)
        yaw = ahead + float(frames.wrap(np.arctan2(sin, cos) / 4 - ahead, np.pi / 2))  # of four, the arm's easiest
        vx, vy, vz = stage.world.surface_velocity(self.belt)
        return Order(0, np.array([x, y, z]), yaw, (vx, vy, vz))

    def _gate(self, stage: Stage, state: Progress) -> dict[str, np.ndarray]:
        """What is at the gate; of several parts the first counts, what a hand carries over it does not."""
        if not self.diverter:
            return {}
        aloft = stage.in_hand()
        there = [item for item in self._near(stage, state, self.gate) if item.name not in aloft]
        into = bool(there) and self._place(there[0]) == self.lane
        return {"gate_present": np.array(bool(there)), "gate_lane": np.array(into)}

    def _setpoints(self, gate: Readings) -> Mapping[str, float]:
        """Divert, unless the part at the gate does not belong into the lane.

        An empty gate diverts too, as what no arm takes belongs there as a rule. With "leave it as it is" instead, a
        clone (24 episodes, 500 steps) diverted at 0 to 24 % of the ticks at which it should have: it was not sure.
        """
        if not gate:
            return {}
        return {self.diverter: -1.0 if gate["gate_present"] and not gate["gate_lane"] else 1.0}

    def _follow(
        self, stage: Stage, item: Item, held: frozenset[str], state: Progress
    ) -> tuple[tuple[Event, ...], Progress]:
        """What happened to one part since the last tick."""
        now, at = stage.snapshot.time, stage.poses[item.name][:3]
        belt = stage.places[self.belt]
        # what was let go a moment ago has not begun to fall
        rests = still(stage, item.name, state.last) and item.name not in state.held
        carried, decided = state.carried | {item.name}, state.decided | {item.name}
        if item.name in held:
            lifted = at[2] > belt.low[2] + 0.05 or not belt.contains(at)
            if item.name in state.carried or not lifted:
                return (), state
            return (Event(now, "picked", item.name),), replace(state, carried=carried)
        where = next((b for b in self._bins() if rests and stage.places[b].contains(at)), "")
        if where:
            right = where == self._place(item)
            event = Event(now, "placed", item.name, where, right)
            return (event,), replace(state, carried=state.carried - {item.name}, decided=decided)
        if item.name in state.carried:
            on_belt = belt.contains(at) and at[2] < belt.low[2] + 0.04
            if not (on_belt or rests):
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

    def _own(self, arm: str) -> str:
        """What an arm's truth begins with."""
        return "" if arm == next(iter(self.crew)) else f"{arm}_"

    def _place(self, item: Item) -> str:
        return self.meaning().place(item.properties, bool(item.defect))

    def _target(self, stage: Stage, arm: str, state: Progress) -> Item | None:
        """The part in the arm's hand, or else the one of its own that leaves the window first."""
        mine, others = stage.held.get(arm, ()), stage.in_hand()
        for item in stage.items:
            if item.name in mine and item.name in stage.spawned and item.name not in state.decided:
                return item
        serves = self.crew[arm] or self._bins()
        near = self._near(stage, state, self.windows.get(arm, self.window))
        wanted = (i for i in near if i.name not in others and self._place(i) in serves and self._place(i) != self.lane)
        return next(wanted, None)

    def _near(self, stage: Stage, state: Progress, window: tuple[float, float]) -> list[Item]:
        """The open parts on the belt within a window, the one that leaves it first first."""
        belt = stage.places[self.belt]
        velocity = stage.world.surface_velocity(self.belt)[self.along]
        found = []
        for item in stage.items:
            if item.name in stage.spawned and item.name not in state.decided:
                at = stage.poses[item.name][:3]
                if belt.contains(at) and window[0] < at[self.along] < window[1]:
                    found.append((at[self.along] if velocity < 0 else -at[self.along], item))
        return [item for _, item in sorted(found, key=lambda one: one[0])]

    def _truth(self, stage: Stage, arm: str, target: Item | None, mine: bool) -> dict[str, np.ndarray]:
        own = self._own(arm)
        what, goal, bad = np.zeros(5, np.float32), np.zeros(3, np.float32), False
        labels = dict.fromkeys(_CLASSES, 0)
        if target is not None:
            pose = stage.poses[target.name]
            turn = 4 * frames.yaw(pose) if target.symmetry else 0.0
            what = np.array([*pose[:3], np.cos(turn), np.sin(turn)], np.float32)
            bad = bool(target.defect)
            region = stage.places[self._place(target)]
            goal = np.array([*region.centre[:2], region.high[2]], np.float32)
            labels = {key: values.index(target.properties[key]) for key, values in _CLASSES.items()}
        out = {"target": what, "goal": goal, "target_present": np.array(target is not None)}
        out |= {"target_held": np.array(mine), "target_defect": np.array(bad)}
        out |= {f"target_{key}": np.array(number) for key, number in labels.items()}
        return {f"{own}{name}": value for name, value in out.items()}


def _reward(event: Event) -> float:
    if event.kind == "placed":
        return 1.0 if event.right else -1.0
    return -1.0 if event.kind in ("missed", "dropped") else 0.0
