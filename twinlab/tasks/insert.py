"""Insert pegs into the holes that they are made for, gently.

A peg is placed when it was let go, lies still and fills enough of a hole. That is right in its own hole, if its socket
was never pressed too hard and nothing was run into. A peg that was let go elsewhere is dropped, for good if it lies on
its side; what is not placed in time is missed.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from twinlab import frames
from twinlab.errors import did_you_mean
from twinlab.events import Event, Item
from twinlab.language import Meaning
from twinlab.readings import Kind, Readings, Role, Variable
from twinlab.tasks import Order, Stage, Step, Task, order_variables, ordered
from twinlab.tasks._watch import DEPTH, REST, gone, hits, positions, still

_PULSE: tuple[str, str, Kind, Role] = ("bool", "1", "pulse", "truth")
_LIFTED = 0.01  # a peg that was raised so far is picked [m]
_UPRIGHT = 0.97  # cosine of the tilt up to which a peg can be gripped [1]
_SHAKE = 0.002  # speed of the shaking in a chamfer [m/s]
_SHAKEN = 8.0  # how fast its direction turns [rad/s]
_BESIDE = 0.02  # a tool that is so near sideways is at the peg [m]
_MOUTH = 0.00015  # a peg that is so deep is in the chamfer, where only a small search is needed [m]


@dataclass(frozen=True)
class Progress:
    """How far the pegs are.

    Attributes:
        carried: pegs that were picked and not yet let go.
        decided: pegs that are in a hole, lost or too late.
        hit: fixtures that the robot ran into.
        spoilt: pegs that it held when it did, or that were pressed too hard.
        searched: for how long the peg in hand has looked for its hole [s].
        time: of the last tick [s].
        last: peg → where it was at the last tick (3,).
        tool: where the tool was at the last tick (3,).
        order: what the arm was told at the last tick.
    """

    carried: frozenset[str] = frozenset()
    decided: frozenset[str] = frozenset()
    hit: frozenset[str] = frozenset()
    spoilt: frozenset[str] = frozenset()
    searched: float = 0.0
    time: float = 0.0
    last: dict[str, np.ndarray] = field(default_factory=dict)
    tool: np.ndarray | None = None
    order: Order | None = None


class Insert(Task):
    """Each peg into its own socket, deep enough, without pressing harder than a limit and without a collision."""

    apart: ClassVar[str] = "peg"
    sockets: dict[str, str] = Field(description="peg → name of the socket that it belongs into")
    rack: str = Field("rack", description="where the pegs come from")
    fixtures: tuple[str, ...] = Field(("table",), description="what else the robot must not run into")
    share: float = Field(0.9, gt=0, le=1, description="share of the hole's depth that is deep enough [1]")
    force: float = Field(20, gt=0, description="what a socket may be pressed with at most [N]")
    bump: float = Field(10, gt=0, description="force of the robot itself on a fixture that is a collision [N]")
    grip: float = Field(0.01, description="how far above its middle a peg is gripped [m]")
    pitch: float = Field(0.0006, gt=0, description="from turn to turn of the spiral on which a hole is searched [m]")
    widest: float = Field(0.003, gt=0, description="largest radius of that search, after which it begins anew [m]")
    pace: float = Field(0.003, gt=0, description="speed of that search [m/s]")
    rise: float = Field(0.06, gt=0, description="how far the tool rises from a peg before it gets the next one [m]")
    period: float = Field(12, gt=0, description="time from peg to peg, if the one before is done [s]")
    within: float = Field(41.5, gt=0, description="time for all pegs; what is not in its hole then is missed [s]")
    tool: str = Field("arm/panda_grasptarget", description="link of the tool")

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    def meaning(self) -> Meaning:
        """Insert by peg."""
        return Meaning("insert", "peg", dict(self.sockets))

    def instruction(self) -> str:
        """In words."""
        return f"Insert each peg into its own socket, pressing with {self.force:g} newtons at most."

    def misfit(self, places: Collection[str], kinds: Mapping[str, tuple[str, ...]]) -> str:
        """Sockets and rack must be places of the line, and each peg needs a socket."""
        for name in (*self.sockets.values(), self.rack):
            if name not in places:
                known = list(places)
                return f"{name!r} is no body at which pegs can be; there are {known}.{did_you_mean(name, places)}"
        homeless = [peg for peg in kinds.get("peg", ()) if peg not in self.sockets]
        return f"sockets: no socket for {homeless}, which the line's rack brings" if homeless else ""

    def steps(self) -> tuple[Step, ...]:
        """Pick the next peg, insert it and withdraw."""
        return (
            Step("pick", "target", {"hover": 0.08, "align": 0.001, "depth": 0.003, "squeeze": 0.1}),
            Step("insert", "goal"),
        )

    def variables(self, items: tuple[Item, ...]) -> tuple[Variable, ...]:
        """Truth of the peg to handle next, of its socket, of all pegs, and the reward."""
        names, on = tuple(i.name for i in items), "target_present"
        axes, pegs = ("x", "y", "z", "cos4yaw", "sin4yaw"), tuple(self.sockets)
        units = "m m m 1 1"
        return (
            Variable("target", ("target_axis",), (5,), "float32", units, "vector", "truth", axes, on),
            Variable("target_present", (), (), *_PULSE),
            Variable("target_held", (), (), *_PULSE),
            Variable("target_peg", (), (), "int64", "1", "label", "truth", pegs, on),
            Variable("goal", ("goal_axis",), (5,), "float32", units, "vector", "truth", axes, on),
            Variable("target_depth", (), (), "float32", "m", "vector", "truth", (), on),
            Variable("socket_force", ("socket",), (len(pegs),), "float32", "N", "vector", "truth", pegs),
            Variable("reward", (), (), "float32", "1", "vector", "truth"),
            Variable("busy", (), (), *_PULSE),
            Variable("part_pose", ("part", "pose_axis"), (len(names), 7), "float32", "m", "pose", "truth"),
            Variable("part_present", ("part",), (len(names),), "bool", "1", "mask", "truth", names),
            *order_variables(self),
        )

    def observe(self, stage: Stage, state: Progress | None) -> tuple[Readings, tuple[Event, ...], Progress]:
        """Follow each peg; the module's text says what counts."""
        state = state or Progress()
        held = stage.in_hand()
        told, state = self._harm(stage, held, state)
        events = list(told)
        for item in stage.items:
            if item.name in stage.spawned and item.name not in state.decided:
                told, state = self._follow(stage, item, held, state)
                events += told
        target = self._target(stage, held, state)
        state = replace(state, searched=self._searched(stage, target, held, state))
        orders = self._orders(stage, target, held, state)
        tool = stage.snapshot.pose(self.tool)[:3]
        moved = state.tool is not None and math.dist(tool, state.tool) > REST / 4
        truth = self._truth(stage, target, held)
        truth["reward"] = np.array(sum(_reward(e) for e in events), np.float32)
        truth["busy"] = np.array(target is not None and (moved or target.name in held))
        truth |= ordered(self, orders)
        order, time = next(iter(orders.values()), None), stage.snapshot.time
        return truth, tuple(events), replace(state, last=positions(stage), tool=tool, order=order, time=time)

    def _harm(self, stage: Stage, held: frozenset[str], state: Progress) -> tuple[tuple[Event, ...], Progress]:
        """What was run into or pressed too hard since the last tick, each told once."""
        arm, now = self.tool.partition("/")[0], stage.snapshot.time
        fixtures = (*self.fixtures, self.rack, *self.sockets.values())
        pegs = {item.name for item in stage.items}
        hit = set(hits(stage.world.touches(arm), fixtures, self.bump))
        for peg in held & pegs:
            hit |= set(hits(stage.world.touches(peg), fixtures, np.inf))
        events = [Event(now, "collided", arm, name) for name in sorted(hit - state.hit)]
        spoilt = set(held & pegs) if hit else set()
        for item in (i for i in stage.items if i.name not in state.spoilt | state.decided):
            socket = self.sockets[item.properties["peg"]]
            if float(stage.tags[f"{socket}.peak"]) > self.force:
                events.append(Event(now, "violation", arm, "force"))
                spoilt.add(item.name)
            elif float(stage.tags[f"{socket}.penetration"]) > DEPTH:
                events.append(Event(now, "collided", arm, socket))
                spoilt.add(item.name)
        return tuple(events), replace(state, hit=state.hit | hit, spoilt=state.spoilt | spoilt)

    def _follow(
        self, stage: Stage, item: Item, held: frozenset[str], state: Progress
    ) -> tuple[tuple[Event, ...], Progress]:
        """What happened to one peg since the last tick."""
        now, pose = stage.snapshot.time, stage.snapshot.pose(item.name)
        carried, decided = state.carried | {item.name}, state.decided | {item.name}
        if now > self.within:
            return (Event(now, "missed", item.name),), replace(state, decided=decided)
        if item.name in held:
            if item.name in state.carried or pose[2] - item.pose[2] < _LIFTED:
                return (), state
            return (Event(now, "picked", item.name),), replace(state, carried=carried)
        if not still(stage, item.name, state.last):
            return (), state
        for socket in dict.fromkeys(self.sockets.values()):
            if self._depth(stage, item, socket) < self.share:
                continue
            right = socket == self.sockets[item.properties["peg"]] and item.name not in state.spoilt
            return (Event(now, "placed", item.name, socket, right),), replace(state, decided=decided)
        fell = gone(stage, item.name)
        if item.name not in state.carried and not fell:
            return (), state
        lost = fell or frames.axis(pose, 2)[2] < _UPRIGHT
        state = replace(state, carried=state.carried - {item.name}, decided=decided if lost else state.decided)
        return (Event(now, "dropped", item.name),), state

    def _depth(self, stage: Stage, item: Item, socket: str) -> float:
        """Which share of a socket's hole a peg fills; 0 outside of it."""
        hole, end = stage.places[socket], _end(stage, item)
        if np.linalg.norm(end[:2] - hole.centre[:2]) > (hole.high[0] - hole.low[0]) / 2:
            return 0.0
        return max(0.0, float((hole.high[2] - end[2]) / (hole.high[2] - hole.low[2])))

    def _target(self, stage: Stage, held: frozenset[str], state: Progress) -> Item | None:
        """The peg in hand, or else the first that is due and not decided."""
        due = stage.items[: 1 + int((stage.snapshot.time + 1e-9) / self.period)]
        open_ = [i for i in due if i.name in stage.spawned and i.name not in state.decided]
        return next((i for i in open_ if i.name in held), open_[0] if open_ else None)

    def _searched(self, stage: Stage, target: Item | None, held: frozenset[str], state: Progress) -> float:
        """For how long the peg in hand has been on the rim without finding the hole."""
        if target is None or target.name not in held:
            return 0.0
        hole, height = stage.places[self.sockets[target.properties["peg"]]], stage.snapshot.pose(target.name)[2]
        end = _end(stage, target) - [*hole.centre[:2], hole.high[2]]
        on_rim = abs(end[2]) < 0.001 and np.linalg.norm(end[:2]) < 2 * self.widest
        still = target.name in state.last and abs(height - state.last[target.name][2]) < 0.0001
        going = stage.snapshot.time - state.time if on_rim and still else 0.0
        return state.searched + going if end[2] < 0.001 else 0.0

    def _orders(self, stage: Stage, target: Item | None, held: frozenset[str], state: Progress) -> Mapping[str, Order]:
        """Bring what is held into its hole, withdraw from it until the next peg is due, then get that."""
        arm, tool = self.tool.partition("/")[0], stage.snapshot.pose(self.tool)
        if target is not None and target.name in held:
            return {arm: self._inserted(stage, target, tool, state.searched)}
        if state.order is not None and state.order.step == 1 and (target is None or self._low(stage, state, tool)):
            return {arm: state.order}
        if target is None:
            return {}
        pose = stage.snapshot.pose(target.name)
        return {arm: Order(0, pose[:3] + np.array([0, 0, self.grip]), _quarter(frames.yaw(pose)))}

    def _low(self, stage: Stage, state: Progress, tool: np.ndarray) -> bool:
        """Whether the tool has still to rise from a peg that it has just put into its hole."""
        assert state.order is not None
        at = state.order.position
        done = [stage.snapshot.pose(name)[:2] for name in state.decided]
        beside = any(np.linalg.norm(place - at[:2]) < _BESIDE for place in done)
        return beside and bool(np.linalg.norm(tool[:2] - at[:2]) < _BESIDE and tool[2] < at[2] + self.rise)

    def _inserted(self, stage: Stage, target: Item, tool: np.ndarray, searched: float) -> Order:
        """Where the tool is, and how turned, when the end of the peg that it holds is on the bottom of its hole."""
        socket = self.sockets[target.properties["peg"]]
        hole, end = stage.places[socket], _end(stage, target)
        turn = _quarter(frames.yaw(stage.snapshot.pose(socket)) - frames.yaw(stage.snapshot.pose(target.name)))
        way = frames.rotate(frames.pose(yaw=turn), (tool[:3] - end)[None])[0]
        aside = float(np.linalg.norm(end[:2] - hole.centre[:2]))
        sunk = hole.high[2] - end[2] > _MOUTH and aside < self.pitch
        bottom = np.array([*hole.centre[:2], hole.low[2]])
        yaw = float(frames.wrap(frames.tool_yaw(tool, frames.DOWN) + turn))
        return Order(1, bottom + way, yaw, self._search(searched, sunk))

    def _search(self, since: float, sunk: bool) -> tuple[float, float, float]:
        """How the tool moves to find the hole [m/s]: on the rim in a spiral, in the chamfer it shakes.

        Args:
            since: for how long it has searched [s].
            sunk: whether the peg is in the chamfer already.
        """
        if since == 0:
            return (0.0, 0.0, 0.0)
        if sunk:
            angle = _SHAKEN * since
            return (-_SHAKE * np.sin(angle), _SHAKE * np.cos(angle), _SHAKE * np.sin(2.3 * angle))
        x, y = (self._spiral(since + 1e-4) - self._spiral(since)) / 1e-4
        return (float(x), float(y), 0.0)

    def _spiral(self, since: float) -> np.ndarray:
        """Where a search is after a time [s]: on an Archimedean spiral (2,) [m], at an even pace."""
        whole = np.pi * self.widest**2 / self.pitch / self.pace  # time until it begins anew
        angle = np.sqrt(4 * np.pi * self.pace * (since % whole) / self.pitch)
        return self.pitch * angle / (2 * np.pi) * np.array([np.cos(angle), np.sin(angle)])

    def _truth(self, stage: Stage, target: Item | None, held: frozenset[str]) -> dict[str, np.ndarray]:
        poses = np.array([stage.snapshot.pose(i.name) for i in stage.items], np.float32).reshape(-1, 7)
        present = np.array([i.name in stage.spawned for i in stage.items], bool)
        what, goal, label, depth = np.zeros(5, np.float32), np.zeros(5, np.float32), 0, 0.0
        if target is not None:
            socket = self.sockets[target.properties["peg"]]
            hole, home = stage.places[socket], stage.snapshot.pose(socket)
            what, goal = _told(stage.snapshot.pose(target.name)), _told(home)
            goal[2] = hole.high[2]
            label = list(self.sockets).index(target.properties["peg"])
            depth = self._depth(stage, target, socket) * (hole.high[2] - hole.low[2])
        forces = [float(stage.tags[f"{socket}.force"]) for socket in self.sockets.values()]
        return {
            "part_pose": poses, "part_present": present, "target": what, "goal": goal, "target_peg": np.array(label),
            "target_present": np.array(target is not None), "target_depth": np.array(depth, np.float32),
            "target_held": np.array(target is not None and target.name in held),
            "socket_force": np.array(forces, np.float32),
        }  # fmt: skip


def _end(stage: Stage, peg: Item) -> np.ndarray:
    """Where the lower end of a peg is (3,) [m]."""
    out: np.ndarray = frames.apply(stage.snapshot.pose(peg.name), np.array([0, 0, -peg.height / 2]))
    return out


def _quarter(angle: float) -> float:
    """The same angle of a square section, nearest to 0 [rad]."""
    return float(frames.wrap(angle, np.pi / 2))


def _told(pose: np.ndarray) -> np.ndarray:
    turn = 4 * frames.yaw(pose)
    return np.array([*pose[:3], np.cos(turn), np.sin(turn)], np.float32)


def _reward(event: Event) -> float:
    if event.kind == "placed":
        return 1.0 if event.right else -1.0
    return -1.0 if event.kind in ("missed", "dropped") else 0.0
