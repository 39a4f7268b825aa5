"""Tend a machine: load each part into its chuck, start it, wait, take the part out and put it where it belongs."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from pydantic import Field

from twinlab import frames
from twinlab.errors import did_you_mean
from twinlab.events import Event, Item
from twinlab.language import Meaning
from twinlab.readings import Kind, Readings, Role, Variable
from twinlab.snapshot import Touch
from twinlab.tasks import Order, Stage, Step, Task, order_variables, ordered
from twinlab.tasks._watch import DEPTH, REST, hits, positions, still

_PULSE: tuple[str, str, Kind, Role] = ("bool", "1", "pulse", "truth")
_PICK, _LOAD, _LEAVE, _PLACE, _PRESS = range(5)  # places in `steps`
_PHASES = ("waiting", "closing", "working", "opening", "done", "stopped")
_LIFTED = 0.01  # a part that was raised so far is picked [m]
_UPRIGHT = 0.97  # cosine of the tilt up to which a part can be gripped [1]
_BESIDE = 0.012  # how far beside the axis a part in the chuck is at most [m]
_OVER = 0.008  # how far above the face its end is at most [m]
_ABOVE = 0.0005  # how far above the face a part is led, so that it is not pressed onto it [m]
_HEADROOM = 0.09  # from a bin's floor to where a part's end is when it is let go [m]


@dataclass(frozen=True)
class Progress:
    """How far the parts are.

    Attributes:
        half: part → from its middle to its end [m].
        carried: parts that were picked and are neither in the chuck nor let go.
        decided: parts that are in a bin, lost or too late.
        outcome: part that was machined → whether it is good.
        hit: fixtures that the robot runs into.
        spoilt: parts whose turn it was when the robot ran into something, or that sank into the chuck.
        last: part → where it was at the last tick (3,).
        tool: where the tool was at the last tick (3,).
    """

    half: dict[str, float] = field(default_factory=dict)
    carried: frozenset[str] = frozenset()
    decided: frozenset[str] = frozenset()
    outcome: dict[str, bool] = field(default_factory=dict)
    hit: frozenset[str] = frozenset()
    spoilt: frozenset[str] = frozenset()
    last: dict[str, np.ndarray] = field(default_factory=dict)
    tool: np.ndarray | None = None


@dataclass(frozen=True)
class Seen:
    """What a tick knows of the part whose turn it is.

    Attributes:
        item: it.
        mine: whether the hand holds it.
        loaded: whether it stands in the chuck.
        machined: whether it had its cycle.
        at: where it is (3,) [m].
        goal: where the tool is when it stands where it belongs next (3,) [m]: in the chuck, or above its bin.
    """

    item: Item
    mine: bool
    loaded: bool
    machined: bool
    at: np.ndarray
    goal: np.ndarray


class Tend(Task):
    """Each part of a tray through the machine, then into the bin that its outcome asks for.

    A part is right in the bin for good ones if the machine finished it well, and right in the scrap bin if it did not.
    It is wrong anywhere else, unmachined, or if the robot ran into something while it was its turn. A part that is
    dropped may be picked again as long as it stands in the tray.
    """

    tray: str = Field("tray", description="where the parts come from")
    machine: str = Field("machine", description="the machine's controller")
    chuck: str = Field("chuck", description="its chuck, whose set-point is the robot's digital output")
    button: str = Field("button", description="its start button")
    door: str = Field("door", description="its door")
    good: str = Field("good_bin", description="bin for good parts")
    scrap: str = Field("scrap_bin", description="bin for faulty ones")
    part: str = Field("blank", description="what a part is called")
    tool: str = Field("arm/panda_grasptarget", description="link of the tool")
    fixtures: tuple[str, ...] = Field((), description="what the robot must not run into, beside bins, tray and machine")
    grip: float = Field(0.012, description="how far above its middle a part is gripped [m]")
    clear: float = Field(0.4, gt=0, description="height at which the tool is clear of the machine [m]")
    near: float = Field(0.15, gt=0, description="how far from the chuck's axis it must be that high [m]")
    low: float = Field(0.3, gt=0, description="height below which the tool does not travel across the line [m]")
    spots: float = Field(0.05, ge=0, description="from where one part to where the next is put in a bin [m]")
    bump: float = Field(30, gt=0, description="force of the robot on a fixture that is a collision [N]")
    within: float = Field(59, gt=0, description="time for all parts; what is in no bin then is missed [s]")

    def devices(self) -> tuple[str, ...]:
        """The chuck: the robot's hand-shake with it."""
        return (self.chuck,)

    def meaning(self) -> Meaning:
        """Good parts into one bin, faulty ones to scrap."""
        return Meaning("machine", "part", {self.part: self.good}, self.scrap)

    def instruction(self) -> str:
        """In words."""
        good, scrap = (name.replace("_", " ") for name in (self.good, self.scrap))
        return f"Machine each {self.part} of the tray; put good parts into the {good}, faulty ones into the {scrap}."

    def misfit(self, places: Collection[str], kinds: Mapping[str, tuple[str, ...]]) -> str:
        """Tray, chuck, button and bins must be places of the line."""
        for name in (self.tray, self.chuck, self.button, self.good, self.scrap):
            if name not in places:
                known = list(places)
                return f"{name!r} is no place of this line; there are {known}.{did_you_mean(name, places)}"
        return ""

    def steps(self) -> tuple[Step, ...]:
        """Pick a part, load it, leave the machine, put it into its bin; press the button in between."""
        return (
            Step("pick", "target", {"hover": 0.3, "align": 0.004, "depth": 0.004}),
            Step("load", "goal", {"clear": self.clear}),
            Step("wait", "goal"),
            Step("place", "goal", {"clear": self.clear}),
            Step("press", "goal", {"tip": 0.006}),
        )

    def variables(self, items: tuple[Item, ...]) -> tuple[Variable, ...]:
        """Truth of the part whose turn it is, of the machine, of all parts, and the reward."""
        names, on, axes = tuple(i.name for i in items), "target_present", ("x", "y", "z")
        one = ((), (), "float32")
        return (
            Variable("target", ("target_axis",), (3,), "float32", "m", "vector", "truth", axes, on),
            Variable(on, (), (), *_PULSE),
            *(Variable(f"target_{key}", (), (), *_PULSE, (), on) for key in ("held", "loaded", "machined", "faulty")),
            Variable("goal", ("goal_axis",), (3,), "float32", "m", "vector", "truth", axes, on),
            Variable("phase", (), (), "int64", "1", "label", "truth", _PHASES),
            Variable("progress", *one, "1", "vector", "truth"),
            Variable("door_position", *one, "m", "vector", "truth"),
            *(Variable(key, (), (), *_PULSE) for key in ("clamped", "inside", "contact", "busy")),
            Variable("reward", *one, "1", "vector", "truth"),
            Variable("part_machined", ("part",), (len(names),), "bool", "1", "mask", "truth", names),
            Variable("part_pose", ("part", "pose_axis"), (len(names), 7), "float32", "m", "pose", "truth"),
            Variable("part_present", ("part",), (len(names),), "bool", "1", "mask", "truth", names),
            *order_variables(self),
        )

    def observe(self, stage: Stage, state: Progress | None) -> tuple[Readings, tuple[Event, ...], Progress]:
        """Follow parts, robot and machine; see the class's text for what counts."""
        state = state or Progress({i.name: float(stage.poses[i.name][2] - i.pose[2]) for i in stage.items})
        arm, tool = self.tool.partition("/")[0], stage.snapshot.pose(self.tool)[:3]
        done = {e.place: e.right for e in stage.events if e.kind == "finished" and e.item == self.machine}
        state = replace(state, outcome=state.outcome | done)
        touched = stage.world.touches(self.chuck)
        told, state = self._harm(stage, arm, touched, state)
        events = list(told)
        for item in stage.items:
            if item.name in stage.spawned and item.name not in state.decided:
                new, state = self._follow(stage, item, state)
                events += new
        seen = self._seen(stage, tool, state)
        moved = state.tool is not None and math.dist(tool, state.tool) > REST
        truth = self._truth(stage, seen, state)
        truth["contact"] = np.array(bool(touched))
        truth["busy"] = np.array(seen is not None and (seen.mine or moved))
        truth["reward"] = np.array(sum(_reward(e) for e in events), np.float32)
        order = self._order(stage, seen, tool)
        truth |= ordered(self, {arm: order} if order else {}, {self.chuck: self._setpoint(stage, seen)})
        return truth, tuple(events), replace(state, last=positions(stage), tool=tool)

    # ---- what happened

    def _harm(self, stage: Stage, arm: str, touched: Sequence[Touch], state: Progress) -> tuple[list[Event], Progress]:
        """What the robot runs into, and parts that sink into the chuck; both spoil the part whose turn it is."""
        now = stage.snapshot.time
        fixtures = (*self.fixtures, self.tray, self.chuck, self.button, self.door, self.good, self.scrap)
        hit = frozenset(hits(stage.world.touches(arm), fixtures, self.bump))
        events = [Event(now, "collided", arm, name) for name in sorted(hit - state.hit)]
        target = self._target(stage, state)
        spoilt = {target.name} if events and target is not None else set()
        deep = {touch.other for touch in touched if touch.depth > DEPTH}
        for item in stage.items:
            if item.name in deep and item.name not in state.spoilt | state.decided:
                events.append(Event(now, "collided", item.name, self.chuck))
                spoilt.add(item.name)
        return events, replace(state, hit=hit, spoilt=state.spoilt | spoilt)

    def _follow(self, stage: Stage, item: Item, state: Progress) -> tuple[tuple[Event, ...], Progress]:
        """What happened to one part since the last tick."""
        now, pose, name = stage.snapshot.time, stage.poses[item.name], item.name
        decided, free = state.decided | {name}, state.carried - {name}
        if now > self.within - 1e-6:
            return (Event(now, "missed", name),), replace(state, decided=decided)
        if name in stage.in_hand():
            if name in state.carried or pose[2] - self._foot(stage, item, state) < _LIFTED:
                return (), state
            return (Event(now, "picked", name),), replace(state, carried=state.carried | {name})
        if not still(stage, name, state.last):
            return (), state
        for place in (self.good, self.scrap):
            if stage.places[place].contains(pose[:3]):
                right = place == self._place(name, state) and name not in state.spoilt
                return (Event(now, "placed", name, place, right),), replace(state, decided=decided, carried=free)
        if self._loaded(stage, item, state):
            return (), replace(state, carried=free)
        lost = frames.axis(pose, 2)[2] < _UPRIGHT or not stage.places[self.tray].contains(pose[:3])
        if name not in state.carried and not lost:
            return (), state
        state = replace(state, carried=free, decided=decided if lost else state.decided)
        return (Event(now, "dropped", name),), state

    def _face(self, stage: Stage) -> np.ndarray:
        """The middle of the chuck's face (3,) [m]."""
        return stage.snapshot.pose(self.chuck)[:3]

    def _foot(self, stage: Stage, item: Item, state: Progress) -> float:
        """The height of a part's middle where it stands: in the chuck if it is above that, else in the tray [m]."""
        above = stage.places[self.chuck].contains(stage.poses[item.name][:3])
        return float(self._face(stage)[2] if above else item.pose[2]) + state.half[item.name]

    def _loaded(self, stage: Stage, item: Item, state: Progress) -> bool:
        """Whether a part stands in the chuck."""
        pose, face = stage.poses[item.name], self._face(stage)
        high = pose[2] - state.half[item.name] - face[2]
        beside = float(np.linalg.norm(pose[:2] - face[:2]))
        return beside < _BESIDE and abs(high) < _OVER and frames.axis(pose, 2)[2] > _UPRIGHT

    def _place(self, name: str, state: Progress) -> str:
        """The bin that a part belongs into, "" before it is machined."""
        if name not in state.outcome:
            return ""
        return self.good if state.outcome[name] else self.scrap

    # ---- what is to be done

    def _target(self, stage: Stage, state: Progress) -> Item | None:
        """The part in hand, or else the one in the chuck, or else the first of the tray."""
        held = stage.in_hand()
        open_ = [i for i in stage.items if i.name in stage.spawned and i.name not in state.decided]
        mine = [i for i in open_ if i.name in held]
        return next(iter(mine or [i for i in open_ if self._loaded(stage, i, state)] or open_), None)

    def _seen(self, stage: Stage, tool: np.ndarray, state: Progress) -> Seen | None:
        """The part whose turn it is, as it is now."""
        item = self._target(stage, state)
        if item is None:
            return None
        mine, at = item.name in stage.in_hand(), stage.poses[item.name][:3]
        off = tool - at if mine else np.array([0, 0, self.grip])
        foot, place = state.half[item.name], self._place(item.name, state)
        if place:
            room, number = stage.places[place], [i.name for i in stage.items].index(item.name)
            along = self.spots * (number - (len(stage.items) - 1) / 2)
            goal = off + np.array([room.centre[0] + along, room.centre[1], room.low[2] + _HEADROOM + foot])
        else:
            goal = off + self._face(stage) + np.array([0, 0, foot + _ABOVE])
        return Seen(item, mine, self._loaded(stage, item, state), bool(place), at, goal)

    def _order(self, stage: Stage, seen: Seen | None, tool: np.ndarray) -> Order | None:
        """What the arm shall do now, None to wait at home with open fingers."""
        face, tags = self._face(stage), stage.tags
        inside = bool(np.linalg.norm(tool[:2] - face[:2]) < self.near and tool[2] < self.clear - 0.03)
        leave = Order(_LEAVE, np.array([*(face if inside else tool)[:2], self.clear]))
        home = leave if inside or tool[2] < self.low else None
        if seen is None:
            return home
        phase, clear = tags[f"{self.machine}.phase"], bool(tags[f"{self.chuck}.open"])
        pick = Order(_PICK, seen.at + np.array([0, 0, self.grip]))
        if seen.mine and seen.machined:
            return pick if seen.loaded and not clear else Order(_PLACE, seen.goal)
        if seen.mine:
            ready = phase == "waiting" and clear and bool(tags[f"{self.door}.open"])
            return Order(_LOAD, seen.goal) if seen.loaded or ready else Order(_PICK, tool)  # held where the hand is
        if seen.loaded and seen.machined and phase == "done":
            return pick
        if seen.loaded and not seen.machined and phase == "waiting" and not tags[f"{self.chuck}.clamped"]:
            return Order(_LOAD, seen.goal) if inside else home
        if inside:
            return leave
        if phase == "stopped" or (seen.loaded and phase == "waiting"):
            button = stage.places[self.button]
            return Order(_PRESS, np.array([*button.centre[:2], button.high[2]]))
        if seen.loaded:
            return home
        far = np.linalg.norm(tool[:2] - seen.at[:2]) > self.near and tool[2] < self.low
        return leave if seen.machined or far else pick  # what lies in a bin already is not followed

    def _setpoint(self, stage: Stage, seen: Seen | None) -> float:
        """What the robot tells the chuck: to clamp what was let go in it, to open for what is gripped in it."""
        if seen is None or not seen.loaded:
            return 1.0
        if not seen.machined:
            return 0.0 if seen.mine else -1.0
        return 1.0 if seen.mine and stage.tags[f"{self.machine}.phase"] == "done" else 0.0

    def _truth(self, stage: Stage, seen: Seen | None, state: Progress) -> dict[str, np.ndarray]:
        tags = stage.tags
        item = seen.item.name if seen is not None else ""
        return {
            "target": np.array(seen.at if seen is not None else np.zeros(3), np.float32),
            "target_present": np.array(seen is not None),
            "target_held": np.array(seen is not None and seen.mine),
            "target_loaded": np.array(seen is not None and seen.loaded),
            "target_machined": np.array(seen is not None and seen.machined),
            "target_faulty": np.array(not state.outcome.get(item, True)),
            "goal": np.array(seen.goal if seen is not None else np.zeros(3), np.float32),
            "phase": np.array(_PHASES.index(str(tags[f"{self.machine}.phase"]))),
            "progress": np.array(tags[f"{self.machine}.progress"], np.float32),
            "door_position": np.array(tags[f"{self.door}.position"], np.float32),
            "clamped": np.array(bool(tags[f"{self.chuck}.clamped"])),
            "inside": np.array(bool(tags[f"{self.machine}.inside"])),
            "part_machined": np.array([i.name in state.outcome for i in stage.items], bool),
            "part_pose": np.array(list(stage.poses.values()), np.float32).reshape(-1, 7),
            "part_present": np.array([i.name in stage.spawned for i in stage.items], bool),
        }


def _reward(event: Event) -> float:
    if event.kind == "placed":
        return 1.0 if event.right else -1.0
    return -1.0 if event.kind in ("missed", "dropped") else 0.0
