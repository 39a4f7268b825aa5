"""Stack cartons of several sizes onto a pallet, each in the place that suits what stands there already."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from pydantic import Field

from twinlab import frames
from twinlab.errors import did_you_mean
from twinlab.events import Event, Item
from twinlab.frames import Region
from twinlab.language import Meaning
from twinlab.readings import Kind, Readings, Role, Variable
from twinlab.tasks import Order, Stage, Step, Task, order_variables, ordered
from twinlab.tasks._stacking import Spot, heights, spot
from twinlab.tasks._watch import REST, hits, positions, still

Vector = tuple[float, float, float]
_PULSE: tuple[str, str, Kind, Role] = ("bool", "1", "pulse", "truth")
_SUCK, _STACK, _WITHDRAW = 0, 1, 2  # places in `steps`
_LIFTED = 0.03  # a carton that is higher above where it lay than this is picked [m]
_EASY = 0.3  # of the yaws that bring a carton to the same place, the one nearest to this; far from all that occur [rad]


@dataclass(frozen=True)
class Progress:
    """How far the cartons are.

    Attributes:
        carried: cartons that were picked and not yet let go.
        decided: cartons that came to rest off the belt, or were not handled in time.
        plan: carton → where it is to stand, None if nothing is free for it.
        stood: carton → where it stood when it was placed (7,).
        spoilt: placed cartons that have moved or fallen since, and those that something ran into before.
        hit: what the robot or the carton in its hand runs into now.
        last: carton → where it was at the last tick (3,).
        tool: where the tool was (3,).
        order: what the arm was told.
        held: what its hand held, "" for nothing.
        since: when that changed last [s].
        complete: whether the pallet is done with.
    """

    carried: frozenset[str] = frozenset()
    decided: frozenset[str] = frozenset()
    plan: Mapping[str, Spot | None] = field(default_factory=dict)
    stood: Mapping[str, np.ndarray] = field(default_factory=dict)
    spoilt: frozenset[str] = frozenset()
    hit: frozenset[str] = frozenset()
    last: Mapping[str, np.ndarray] = field(default_factory=dict)
    tool: np.ndarray | None = None
    order: Order | None = None
    held: str = ""
    since: float = -1.0
    complete: bool = False


@dataclass(frozen=True)
class _Now:
    """What a tick shows.

    Attributes:
        stage: all of it.
        time: since reset [s].
        poses: carton → its pose (7,).
        last: carton → where it was at the last tick (3,).
        held: the cartons in the hand.
        tool: pose of the cup's mouth (7,).
        space: the loading space.
        belt: the space above the belt.
    """

    stage: Stage
    time: float
    poses: Mapping[str, np.ndarray]
    last: Mapping[str, np.ndarray]
    held: tuple[str, ...]
    tool: np.ndarray
    space: Region
    belt: Region

    def still(self, name: str) -> bool:
        """Whether a carton has hardly moved since the last tick."""
        return still(self.stage, name, self.last)

    def stands(self, name: str) -> bool:
        """Whether a carton is above the deck, however high."""
        at, low, high = self.poses[name], self.space.low, self.space.high
        return bool(low[0] <= at[0] <= high[0] and low[1] <= at[1] <= high[1] and at[2] > low[2])


class Palletise(Task):
    """Each carton into the lowest free place of the loading space, and the stack must stand.

    Where a carton belongs is decided when it is ready to be taken and nothing is in the hand: by `spot`, on what
    stands there then. It is right if it comes to rest there within `tolerance` and `angle`. One that moves by more than
    `shift`, tips by more than `angle` or falls off afterwards counts as wrong, or dropped, after all; so does, from the
    start, one whose handling runs into something: the robot into a fixture or a stacked carton, or the carton in its
    hand into anything. What came and is not done with after `within` is missed; then, or when all are done with, the
    pallet is completed.
    """

    pallet: str = Field("pallet", description="the pallet; its space is the loading space")
    belt: str = Field("belt", description="the belt that brings the cartons")
    station: Vector = Field((0.53, -0.33, 0.12), description="where on the belt's face cartons are taken [m]")
    reach: float = Field(0.09, gt=0, description="how far off the station a carton may stand to be taken [m]")
    ready: Vector = Field((0.53, -0.33, 0.31), description="where the tool waits [m]")
    tolerance: float = Field(0.015, gt=0, description="how far off its place a carton may stand [m]")
    angle: float = Field(0.0873, gt=0, description="how far turned or tilted, 5 degrees [rad]")
    shift: float = Field(0.005, gt=0, description="how far a placed carton may move afterwards [m]")
    gap: float = Field(0.006, gt=0, description="distance that cartons are planned to keep [m]")
    support: float = Field(0.75, gt=0, le=1, description="share of its base that a carton must lie on [1]")
    small: tuple[str, ...] = Field(("small",), description="sizes that fill the loading space from the near corner")
    cell: float = Field(0.002, gt=0, description="edge of a cell of the map of heights [m]")
    dwell: float = Field(0.1, ge=0, description="how long the cup stays after it sealed or let go [s]")
    speed: float = Field(0.8, gt=0, description="highest speed of the arm [m/s]")
    within: float = Field(64, gt=0, description="time for all cartons [s]")
    fixtures: tuple[str, ...] = Field((), description="what the robot must not run into")
    bump: float = Field(30, gt=0, description="force of the robot on a fixture that is a collision [N]")
    press: float = Field(100, gt=0, description="force on a carton in the hand that is a collision [N]")
    arm: str = Field("arm", description="the arm")
    tool: str = Field("arm/cup_tip", description="link of its tool")
    turn: Vector = Field((np.pi, 0, np.pi), description="the arm's field of the same name [rad]")

    def arms(self) -> tuple[str, ...]:
        """The one arm."""
        return (self.arm,)

    def meaning(self) -> Meaning:
        """All cartons onto the pallet, by size."""
        return Meaning("palletise", "size", dict.fromkeys(("large", "medium", "small"), self.pallet))

    def instruction(self) -> str:
        """In words."""
        return "Palletise the cartons: each into the lowest free place that carries it."

    def misfit(self, places: Collection[str], kinds: Mapping[str, tuple[str, ...]]) -> str:
        """Pallet and belt must be places of the line, and cartons have sizes."""
        for name in (self.pallet, self.belt):
            if name not in places:
                return f"{name!r} is no place for cartons; there are {list(places)}.{did_you_mean(name, places)}"
        return "" if "size" in kinds else f"nothing brings cartons of a size; items have {list(kinds)}"

    def steps(self) -> tuple[Step, ...]:
        """Suck the next carton, stack it, withdraw."""
        quick = {"speed": self.speed}
        return (Step("suck", "target", quick), Step("stack", "goal", quick), Step("withdraw", "target", quick))

    def variables(self, items: tuple[Item, ...]) -> tuple[Variable, ...]:
        """Truth of the carton to handle next, of the stack, of all cartons, and the reward."""
        names, on = tuple(i.name for i in items), "target_present"
        sizes = _sizes(items)
        axes, units = ("x", "y", "z", "cos2yaw", "sin2yaw"), "m m m 1 1"
        return (
            Variable("target", ("target_axis",), (5,), "float32", units, "vector", "truth", axes, on),
            Variable(on, (), (), *_PULSE),
            Variable("target_held", (), (), *_PULSE),
            Variable("target_size", (), (), "int64", "1", "label", "truth", sizes, on),
            Variable("goal", ("goal_axis",), (5,), "float32", units, "vector", "truth", axes, on),
            Variable("fill", (), (), "float32", "1", "vector", "truth"),
            Variable("height", (), (), "float32", "m", "vector", "truth"),
            Variable("shift", (), (), "float32", "m", "vector", "truth"),
            Variable("stable", (), (), *_PULSE),
            Variable("collision", (), (), *_PULSE),
            Variable("reward", (), (), "float32", "1", "vector", "truth"),
            Variable("busy", (), (), *_PULSE),
            Variable("part_pose", ("part", "pose_axis"), (len(names), 7), "float32", "m", "pose", "truth"),
            Variable("part_present", ("part",), (len(names),), "bool", "1", "mask", "truth", names),
            *order_variables(self),
        )

    def observe(self, stage: Stage, state: Progress | None) -> tuple[Readings, tuple[Event, ...], Progress]:
        """Follow each carton on the line; see the class's text for what counts."""
        state = state or Progress()
        now = self._now(stage, state)
        collisions, state = self._collisions(now, state)
        events = list(collisions)
        for item in stage.items:
            if item.name in stage.spawned:
                told, state = self._follow(now, item, state)
                events += told
        target, state = self._target(now, state)
        ended, state = self._completed(now, state)
        events += ended
        held = "".join(now.held[:1])
        state = state if held == state.held else replace(state, held=held, since=now.time)
        order = self._order(now, target, state)
        moved = state.tool is not None and math.dist(now.tool[:3], state.tool) > REST
        truth = self._truth(now, target, state)
        truth["busy"] = np.array(target is not None and (target.name in now.held or moved))
        truth["reward"] = np.array(sum(_reward(e) for e in events), np.float32)
        truth |= ordered(self, {self.arm: order})
        return truth, tuple(events), replace(state, last=positions(stage), tool=now.tool[:3], order=order)

    def _now(self, stage: Stage, state: Progress) -> _Now:
        poses = stage.poses
        held = tuple(name for name in stage.held.get(self.arm, ()) if name in poses)
        tool = stage.snapshot.pose(self.tool)
        places = stage.places[self.pallet], stage.places[self.belt]
        return _Now(stage, stage.snapshot.time, poses, state.last, held, tool, *places)

    def _collisions(self, now: _Now, state: Progress) -> tuple[tuple[Event, ...], Progress]:
        """What the robot, or the carton in its hand, newly runs into; the cartons that are in it are spoilt."""
        found = set(hits(now.stage.world.touches(self.arm), (*self.fixtures, *state.stood), self.bump))
        for name in now.held:
            others = [other for other in (*self.fixtures, *now.poses) if other != name]
            found |= set(hits(now.stage.world.touches(name), others, self.press))
        events = tuple(Event(now.time, "collided", self.arm, what) for what in sorted(found - state.hit))
        spoilt = state.spoilt | (found & state.stood.keys()) | (set(now.held) if events else set())
        return events, replace(state, hit=frozenset(found), spoilt=spoilt)

    def _follow(self, now: _Now, item: Item, state: Progress) -> tuple[tuple[Event, ...], Progress]:
        """What happened to one carton since the last tick."""
        name, pose = item.name, now.poses[item.name]
        if name in state.stood:
            return self._watched(now, item, state)
        if name in state.decided:
            return (), state
        left = replace(state, carried=state.carried - {name})
        ended = replace(left, decided=state.decided | {name})
        if now.time >= self.within:
            return (Event(now.time, "missed", name),), ended
        lifted = pose[2] - item.height / 2 > now.belt.low[2] + _LIFTED
        if name in now.held:
            if name in state.carried or not lifted:
                return (), state
            return (Event(now.time, "picked", name),), replace(state, carried=state.carried | {name})
        if now.belt.contains(pose[:3]) and not lifted:
            return ((Event(now.time, "dropped", name),) if name in state.carried else ()), left
        if not now.still(name):
            return (), state
        if not now.stands(name):
            return (Event(now.time, "dropped" if name in state.carried else "missed", name),), ended
        right = name not in state.spoilt and self._right(item, pose, state.plan.get(name))
        event = Event(now.time, "placed", name, self.pallet, right)
        return (event,), replace(ended, stood={**state.stood, name: pose})

    def _watched(self, now: _Now, item: Item, state: Progress) -> tuple[tuple[Event, ...], Progress]:
        """Whether a placed carton stays where it was put."""
        name = item.name
        if state.complete or not self._moved(now.poses[name], state.stood[name]):
            return (), state
        spoilt = replace(state, spoilt=state.spoilt | {name})
        if not now.stands(name):
            stood = {key: value for key, value in state.stood.items() if key != name}
            return (Event(now.time, "dropped", name),), replace(spoilt, stood=stood)
        told = (Event(now.time, "placed", name, self.pallet, False),)
        return (() if name in state.spoilt else told), spoilt

    def _right(self, item: Item, pose: np.ndarray, plan: Spot | None) -> bool:
        """Whether a carton stands where it was to."""
        if plan is None:
            return False
        near = np.linalg.norm(pose[:3] - plan.position) <= self.tolerance
        turned = abs(float(frames.wrap(frames.yaw(pose) - plan.yaw, item.symmetry or 2 * np.pi)))
        return bool(near and turned <= self.angle and _tilt(pose) <= self.angle)

    def _moved(self, pose: np.ndarray, stood: np.ndarray) -> bool:
        """Whether a placed carton has moved or tipped."""
        return math.dist(pose[:3], stood[:3]) > self.shift or _tilt(pose) > self.angle

    def _target(self, now: _Now, state: Progress) -> tuple[Item | None, Progress]:
        """The carton in the hand, or else the one that stands at the station, and where it is to stand."""
        if state.complete:
            return None, state
        for item in now.stage.items:
            if item.name not in now.stage.spawned or item.name in state.decided:
                continue
            at = now.poses[item.name][:3]
            there = math.dist(at[:2], self.station[:2]) < self.reach and now.belt.contains(at)
            free = not now.held and not state.carried and there and now.still(item.name)
            if item.name in now.held or free:
                state = state if item.name in state.plan else self._planned(now, item, state)
                return (item if state.plan[item.name] else None), state
        return None, state

    def _planned(self, now: _Now, item: Item, state: Progress) -> Progress:
        """Decide where a carton is to stand, by what stands on the pallet now."""
        others = [i for i in now.stage.items if i.name != item.name and now.stands(i.name)]
        poses = np.array([now.poses[i.name] for i in others]).reshape(-1, 7)
        edges = np.array([i.edges for i in others]).reshape(-1, 3)
        stack = heights(now.space, poses, edges, self.cell)
        near = item.properties["size"] in self.small
        found = spot(now.space, stack, item.edges, self.gap, self.support, self.cell, near)
        return replace(state, plan={**state.plan, item.name: found})

    def _completed(self, now: _Now, state: Progress) -> tuple[tuple[Event, ...], Progress]:
        """Whether the pallet is done with: all cartons decided and at rest, or time is up."""
        names = now.poses.keys()
        done = names <= state.decided and all(now.still(name) for name in names)
        if state.complete or not (done or now.time >= self.within):
            return (), state
        right = all(self._good(item, state) for item in now.stage.items)
        return (Event(now.time, "completed", self.pallet, "", right),), replace(state, complete=True)

    def _good(self, item: Item, state: Progress) -> bool:
        """Whether a carton was put where it belongs and stands there."""
        if item.name not in state.stood or item.name in state.spoilt:
            return False
        return self._right(item, state.stood[item.name], state.plan.get(item.name))

    def _order(self, now: _Now, target: Item | None, state: Progress) -> Order:
        """Stack what is held, else suck the target, else withdraw; stay a moment after the cup sealed or let go.

        A vacuum takes its time to build up and to go, and a program that runs by the clock needs some to spare.
        """
        dwells = now.time - state.since < self.dwell
        if dwells and not now.held and state.order is not None:
            return state.order
        plan = None if target is None else state.plan.get(target.name)
        if target is None or plan is None:
            return Order(_WITHDRAW, np.array(self.ready))
        pose, symmetry = now.poses[target.name], target.symmetry or 2 * np.pi
        top = pose[:3] + target.height / 2 * frames.axis(pose, 2)
        if target.name not in now.held or dwells:
            return Order(_SUCK, top, float(frames.wrap(frames.yaw(pose), symmetry)))
        yaw = frames.tool_yaw(now.tool, self.turn)
        turn = _EASY + float(frames.wrap(plan.yaw - frames.yaw(pose) + yaw - _EASY, symmetry))
        aside = frames.rotate(frames.pose(yaw=turn - yaw), now.tool[:3] - top)
        return Order(_STACK, np.array(plan.position) + np.array([0, 0, target.height / 2]) + aside, turn)

    def _truth(self, now: _Now, target: Item | None, state: Progress) -> dict[str, np.ndarray]:
        items = now.stage.items
        what, goal, label = np.zeros(5, np.float32), np.zeros(5, np.float32), 0
        if target is not None:
            pose, plan = now.poses[target.name], state.plan[target.name]
            what = _told(pose[:3], frames.yaw(pose))
            goal = goal if plan is None else _told(np.array(plan.position), plan.yaw)
            label = _sizes(items).index(target.properties["size"])
        room = math.prod(high - low for low, high in zip(now.space.low, now.space.high, strict=True))
        volume = sum(math.prod(item.edges) for item in items if self._good(item, state))
        tall = [now.poses[i.name][2] + i.height / 2 - now.space.low[2] for i in items if i.name in state.stood]
        moved = [math.dist(now.poses[name][:3], pose[:3]) for name, pose in state.stood.items()]
        upright = all(not self._moved(now.poses[name], pose) for name, pose in state.stood.items())
        fell = any(name in state.spoilt and name not in state.stood for name in state.decided)
        return {
            "target": what,
            "target_present": np.array(target is not None),
            "target_held": np.array(target is not None and target.name in now.held),
            "target_size": np.array(label),
            "goal": goal,
            "fill": np.array(volume / room, np.float32),
            "height": np.array(max(tall, default=0.0), np.float32),
            "shift": np.array(max(moved, default=0.0), np.float32),
            "stable": np.array(upright and not fell),
            "collision": np.array(bool(state.hit)),
            "part_pose": np.array(list(now.poses.values()), np.float32).reshape(-1, 7),
            "part_present": np.array([item.name in now.stage.spawned for item in items], bool),
        }


def _sizes(items: tuple[Item, ...]) -> tuple[str, ...]:
    return tuple(sorted({item.properties["size"] for item in items}))


def _told(position: np.ndarray, yaw: float) -> np.ndarray:
    return np.array([*position, np.cos(2 * yaw), np.sin(2 * yaw)], np.float32)


def _tilt(pose: np.ndarray) -> float:
    """How far a carton's upright axis is off the world's [rad]."""
    return math.acos(min(1.0, max(-1.0, float(frames.axis(pose, 2)[2]))))


def _reward(event: Event) -> float:
    if event.kind == "placed":
        return 1.0 if event.right else -1.0
    return -1.0 if event.kind in ("missed", "dropped") else 0.0
