"""Turn valves until the gauges behind them show what is asked for, gently."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from pydantic import Field, model_validator

from twinlab import frames
from twinlab.errors import SceneError, did_you_mean
from twinlab.events import Event, Item
from twinlab.language import Meaning
from twinlab.readings import Kind, Readings, Role, Variable
from twinlab.snapshot import Touch
from twinlab.tasks import Order, Stage, Step, Task, order_variables, ordered
from twinlab.tasks._watch import DEPTH, REST, hits

Vector = tuple[float, float, float]
_VARIES: dict[str, Any] = {"varies": True}  # as `bodies.VARIES`, which stands in the same row of the house
_PULSE: tuple[str, str, Kind, Role] = ("bool", "1", "pulse", "truth")
_GRIP, _TURN, _LET_GO = 0, 1, 2  # places in `steps`
_DIGIT = 1e4  # set-points are whole steps of a tenth of a bar [Pa]
_HELD, _LOOSE = 0.15, 0.6  # share of the tolerance within which a valve in the hand, and one let go, is left alone
_ROOM = 0.05  # a wrist that has less left to turn lets go and grips anew [rad]
_CLEAR = 0.08  # a hand that is nearer to a handle than this backs off before it goes home [m]
_CALM = 0.05  # share of the tolerance that a needle at rest moves in a tick at most


@dataclass(frozen=True)
class Progress:
    """How far the valves are.

    Attributes:
        touched: valves that were gripped.
        decided: valves that are set, spoilt or too late.
        hit: fixtures that the robot ran into and still touches.
        shown: valve → what its gauge showed at the last tick [Pa].
        tool: where the tool was at the last tick (3,).
    """

    touched: frozenset[str] = frozenset()
    decided: frozenset[str] = frozenset()
    hit: frozenset[str] = frozenset()
    shown: dict[str, float] = field(default_factory=dict)
    tool: np.ndarray | None = None


@dataclass(frozen=True)
class Found:
    """What a tick knows of one valve.

    Attributes:
        angle: of its spindle [rad].
        torque, peak: on its handle, now and at most so far [N m].
        shown: by its gauge [Pa].
        wanted: angle at which the gauge would show the set-point [rad].
        slack: angle that the tolerance is worth [rad].
        handle: frame of the handle (7,).
        held: whether the hand holds it.
        touched: whether the robot touches it.
    """

    angle: float
    torque: float
    peak: float
    shown: float
    wanted: float
    slack: float
    handle: np.ndarray
    held: bool
    touched: bool

    @property
    def left(self) -> float:
        """How far it is still to be turned, counter-clockwise [rad]."""
        return self.wanted - self.angle


class Adjust(Task):
    """Each valve to its set-point, one after the other, without more torque than it bears and without a collision.

    A valve is right if its gauge shows the set-point within the tolerance once the hand has let go and the needle has
    come to rest; wrong if the hand goes on to another valve before, turns too hard, or runs into something while the
    valve's turn is. What is not decided at the deadline is judged by its gauge if it was gripped, and missed if not.
    """

    valves: tuple[str, ...] = Field(min_length=1, max_length=8, description="in the order in which they are set")
    gauges: tuple[str, ...] = Field(description="the gauge behind each of them")
    setpoints: tuple[float, ...] = Field(description="nominal pressure behind each of them [Pa]")
    spread: float = Field(
        5e4, ge=0, description="set-points vary by up to this [Pa]", json_schema_extra={"varies": True}
    )
    tolerance: float = Field(1.5e4, gt=0, description="how far off a gauge may be [Pa]")
    torque: float = Field(2.0, gt=0, description="what a handle may be turned with at most [N m]")
    fixtures: tuple[str, ...] = Field((), description="what the robot must not run into, beside the valves")
    bump: float = Field(20, gt=0, description="force of the robot on a fixture that is a collision [N]")
    within: float = Field(39, gt=0, description="time for all valves [s]")
    arm: str = Field("arm", description="the arm that turns them")
    tool: str = Field("arm/panda_grasptarget", description="link of its tool")
    fingers: tuple[str, ...] = Field(
        ("arm/panda_leftfinger", "arm/panda_rightfinger"), description="its links that may touch a valve"
    )
    handle: str = Field("handle", description="link of a valve that is turned")
    turn: Vector = Field((np.pi / 2, -np.pi / 4, np.pi / 2), description="the arm's field of the same name [rad]")
    reach: float = Field(1.9, gt=np.pi / 2, lt=np.pi, description="yaw that the wrist turns to, either way [rad]")

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        for key in ("gauges", "setpoints"):
            if len(getattr(self, key)) != len(self.valves):
                raise ValueError(f"{key} has {len(getattr(self, key))} entries for {len(self.valves)} valves")
        if min(self.setpoints) - self.spread <= 0:
            raise ValueError(f"setpoints reach {min(self.setpoints) - self.spread:.4g} Pa; wanted more than 0")
        return self

    def drawn(self, rng: np.random.Generator) -> Self:
        """The set-points of one episode, in whole tenths of a bar."""
        shift = self.spread * rng.uniform(-1, 1, len(self.valves))
        points = tuple((_DIGIT * np.round((np.array(self.setpoints) + shift) / _DIGIT)).tolist())
        return type(self).model_validate({**self.model_dump(), "setpoints": points, "spread": 0.0})

    def arms(self) -> tuple[str, ...]:
        """The one arm."""
        return (self.arm,)

    def meaning(self) -> Meaning:
        """Which valve gets which pressure."""
        return Meaning(
            "set", "valve", {v: v for v in self.valves}, settings=dict(zip(self.valves, self.setpoints, strict=True))
        )

    def instruction(self) -> str:
        """In words: "Set valve 1 to 3.2 bar, valve 2 to 1.8 bar and valve 3 to 4.0 bar."."""
        words = [f"{v.replace('_', ' ')} to {_bar(p)}" for v, p in zip(self.valves, self.setpoints, strict=True)]
        return f"Set {' and '.join([', '.join(words[:-1]), words[-1]]) if words[1:] else words[0]}."

    def misfit(self, places: Collection[str], kinds: Mapping[str, tuple[str, ...]]) -> str:
        """Each valve must be a place of the line."""
        for name in self.valves:
            if name not in places:
                return f"{name!r} is no body that can be set; there are {list(places)}.{did_you_mean(name, places)}"
        return ""

    def steps(self) -> tuple[Step, ...]:
        """Grip the next handle, turn it, let go."""
        return (Step("grip", "target"), Step("turn", "goal"), Step("let_go", "target"))

    def variables(self, items: tuple[Item, ...]) -> tuple[Variable, ...]:
        """Truth of the valve to set next, of all valves, and the reward."""
        names, on = self.valves, "target_present"
        each = (("valve",), (len(names),))
        return (
            Variable(
                "target", ("target_axis",), (5,), "float32", "m m m 1 1", "vector", "truth",
                ("x", "y", "z", "cos2yaw", "sin2yaw"), on,
            ),
            Variable(on, (), (), *_PULSE),
            Variable("target_held", (), (), *_PULSE),
            Variable("target_valve", (), (), "int64", "1", "label", "truth", names, on),
            Variable("target_left", (), (), "float32", "rad", "vector", "truth", (), on),
            Variable("setpoint", *each, "float32", "Pa", "vector", "truth", names),
            Variable("pressure", *each, "float32", "Pa", "vector", "truth", names),
            Variable("valve_angle", *each, "float32", "rad", "vector", "truth", names),
            Variable("valve_torque", *each, "float32", "N m", "vector", "truth", names),
            Variable("decided", *each, "bool", "1", "mask", "truth", names),
            Variable("contact", (), (), *_PULSE),
            Variable("reward", (), (), "float32", "1", "vector", "truth"),
            Variable("busy", (), (), *_PULSE),
            Variable("part_pose", ("part", "pose_axis"), (len(items), 7), "float32", "m", "pose", "truth"),
            Variable(
                "part_present", ("part",), (len(items),), "bool", "1", "mask", "truth", tuple(i.name for i in items)
            ),
            *order_variables(self),
        )  # fmt: skip

    def observe(self, stage: Stage, state: Progress | None) -> tuple[Readings, tuple[Event, ...], Progress]:
        """Follow hand, handles and gauges; see the class's text for what counts."""
        state = state or Progress()
        touches = stage.world.touches(self.arm)
        touched = {touch.other for touch in touches}
        found = {name: self._found(stage, name, name in touched) for name in self.valves}
        events, state = self._happened(stage, touches, found, state)
        tool = stage.snapshot.pose(self.tool)
        target = self._target(state)
        stopped = bool(stage.tags.get(f"{self.arm}.stopped"))
        order = self._order(tool, target, found, state, stopped)
        moved = state.tool is not None and math.dist(tool[:3], state.tool) > REST
        truth = self._truth(stage, target, found, state)
        truth["contact"] = np.array(any(one.touched for one in found.values()))
        truth["busy"] = np.array(bool(target) and (moved or found[target].held))
        truth["reward"] = np.array(sum(_reward(e) for e in events), np.float32)
        truth |= ordered(self, {self.arm: order} if order else {})
        shown = {name: one.shown for name, one in found.items()}
        return truth, tuple(events), replace(state, shown=shown, tool=tool[:3])

    def _found(self, stage: Stage, name: str, touched: bool) -> Found:
        number = self.valves.index(name)
        gauge, setpoint, tags = self.gauges[number], self.setpoints[number], stage.tags
        if f"{gauge}.supply" not in tags:
            raise SceneError(f"[task] gauges: {gauge!r} is no gauge of this line; add [bodies.{gauge}], kind 'gauge'")
        angle, torque, peak = (float(tags[f"{name}.{key}"]) for key in ("angle", "torque", "peak"))
        shown, supply = (float(tags[f"{gauge}.{key}"]) for key in ("value", "supply"))
        low, high = stage.world.limits(name, (self.handle,))
        travel = float(high[0] - low[0])
        return Found(
            angle, torque, peak, shown, travel * min(1.0, setpoint / supply), travel * self.tolerance / supply,
            stage.snapshot.pose(f"{name}/{self.handle}"), name in stage.held.get(self.arm, ()), touched,
        )  # fmt: skip

    def _happened(
        self, stage: Stage, touches: Sequence[Touch], found: Mapping[str, Found], state: Progress
    ) -> tuple[list[Event], Progress]:
        """What happened since the last tick, and which valves it decides."""
        now, events = stage.snapshot.time, []
        gripped = {name for name, one in found.items() if one.held} - state.touched
        events += [Event(now, "picked", name) for name in self.valves if name in gripped]
        state = replace(state, touched=state.touched | gripped)
        hit = self._hit(touches)
        spoilt = self._target(state) if hit - state.hit else ""
        events += [Event(now, "collided", self.arm, other) for other in sorted(hit - state.hit)]
        ends: dict[str, str] = {}
        for name in self.valves:
            if name in state.decided:
                continue
            if found[name].peak > self.torque:
                events.append(Event(now, "violation", self.arm, "torque"))
                ends[name] = "wrong"
            else:
                ends[name] = "wrong" if name == spoilt else self._verdict(name, found, state, now)
        for name, end in ends.items():
            if end == "missed":
                events.append(Event(now, "missed", name))
            elif end:
                events.append(Event(now, "placed", name, name, end == "right"))
        decided = state.decided | {name for name, end in ends.items() if end}
        return events, replace(state, hit=hit, decided=decided)

    def _verdict(self, name: str, found: Mapping[str, Found], state: Progress, now: float) -> str:
        """Whether a valve is set "right" or "wrong", was "missed", or "" for not decided yet."""
        one, late = found[name], now > self.within - 1e-6
        if name not in state.touched:
            return "missed" if late else ""
        off = abs(one.shown - self.setpoints[self.valves.index(name)])
        calm = abs(one.shown - state.shown.get(name, np.inf)) < _CALM * self.tolerance
        if late or (not one.touched and calm and off <= self.tolerance):
            return "right" if off <= self.tolerance else "wrong"
        return "wrong" if any(two.held for other, two in found.items() if other != name) else ""

    def _hit(self, touches: Sequence[Touch]) -> frozenset[str]:
        """The fixtures, and valves beside their handles' grips, that the robot runs into."""
        free = [t for t in touches if not (t.other in self.valves and t.link in self.fingers)]
        return frozenset(hits(free, (*self.fixtures, *self.valves), self.bump, DEPTH))

    def _target(self, state: Progress) -> str:
        return next((name for name in self.valves if name not in state.decided), "")

    def _order(
        self, tool: np.ndarray, target: str, found: Mapping[str, Found], state: Progress, stopped: bool
    ) -> Order | None:
        """Let go of what is done with; else grip the target, or turn it if it is held and the wrist can go on.

        A stopped arm lets go of the handle that it is at: a grip under tension would keep it stopped for ever.
        """
        for name, one in found.items():
            if one.held and (stopped or name != target):
                return Order(_LET_GO, one.handle[:3])
        if stopped or not target:
            near = min(found.values(), key=lambda one: math.dist(one.handle[:3], tool[:3]))
            if math.dist(near.handle[:3], tool[:3]) < _CLEAR:
                return Order(_LET_GO, near.handle[:3])
        if not target:
            return None
        one = found[target]
        if target in state.touched and abs(one.left) < (_HELD if one.held else _LOOSE) * one.slack:
            return Order(_LET_GO, one.handle[:3])
        yaw = frames.tool_yaw(tool, self.turn)
        if one.held and self._room(one, yaw) > min(_ROOM, abs(one.left)):
            return Order(_TURN, one.handle[:3], float(np.clip(yaw + one.left, -self.reach, self.reach)))
        return Order(_GRIP, one.handle[:3], self._grip(one, yaw))

    def _grip(self, one: Found, yaw: float) -> float:
        """The yaw along the handle from which the wrist can turn it furthest; of equals the nearest to its yaw now."""
        along = frames.tool_yaw(one.handle, self.turn)
        ways = [way for way in along + np.pi * np.array([-2, -1, 0, 1, 2]) if abs(way) <= self.reach]
        enough = abs(one.left) + 2 * _ROOM
        return float(min(ways, key=lambda way: (-round(min(self._room(one, way), enough), 2), abs(way - yaw))))

    def _room(self, one: Found, yaw: float) -> float:
        """How far a wrist at a yaw can turn the way that a valve is to be turned [rad]."""
        return self.reach - float(np.sign(one.left)) * yaw

    def _truth(self, stage: Stage, target: str, found: Mapping[str, Found], state: Progress) -> dict[str, np.ndarray]:
        what, left, number = np.zeros(5, np.float32), 0.0, 0
        if target:
            one, number = found[target], self.valves.index(target)
            twice = 2 * frames.tool_yaw(one.handle, self.turn)
            what, left = np.array([*one.handle[:3], np.cos(twice), np.sin(twice)], np.float32), one.left
        every = found.values()
        poses = [stage.snapshot.pose(f"{item.name}/{self.handle}") for item in stage.items]
        return {
            "target": what,
            "target_present": np.array(bool(target)),
            "target_held": np.array(bool(target) and found[target].held),
            "target_valve": np.array(number),
            "target_left": np.array(left, np.float32),
            "setpoint": np.array(self.setpoints, np.float32),
            "pressure": np.array([one.shown for one in every], np.float32),
            "valve_angle": np.array([one.angle for one in every], np.float32),
            "valve_torque": np.array([one.torque for one in every], np.float32),
            "decided": np.array([name in state.decided for name in self.valves], bool),
            "part_pose": np.array(poses, np.float32).reshape(-1, 7),
            "part_present": np.array([item.name in stage.spawned for item in stage.items], bool),
        }


def _bar(pressure: float) -> str:
    """A pressure [Pa] in words."""
    return f"{pressure / 1e5:.1f} bar"


def _reward(event: Event) -> float:
    if event.kind == "placed":
        return 1.0 if event.right else -1.0
    return -1.0 if event.kind == "missed" else 0.0
