"""Put as many parts of each kind into the boxes of a kit as an order says, and no others."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from twinlab import frames
from twinlab.errors import did_you_mean
from twinlab.events import Event, Item
from twinlab.frames import Region
from twinlab.language import Meaning
from twinlab.readings import Kind, Readings, Role, Variable
from twinlab.tasks import Order, Stage, Step, Task, order_variables, ordered
from twinlab.tasks._watch import REST, hits, positions, still

_VARIES: dict[str, Any] = {"varies": True}  # marks a field that differs between seeds, as `bodies.VARIES` does
_PULSE: tuple[str, str, Kind, Role] = ("bool", "1", "pulse", "truth")
_LIFTED = 0.012  # a part that was raised so far is picked [m]
_BACK = 0.003  # how far above its tray a part is let go that is put back [m]
_FALLEN = 0.004  # a part whose height changed by so much lies as it should not [m]
_FIRM = 3  # ticks after which fingers that touch a part press it [1]
_NEAR = 0.02  # a hand that is so near to a box, and low, first goes up [m]


@dataclass(frozen=True)
class Progress:
    """How far the kit is.

    Attributes:
        carried: parts that were picked and not yet let go.
        decided: parts that are in the kit, lost or too late.
        inside: part → box in which it was put.
        spoilt: parts that were handled when the robot ran into something, or pressed into something.
        wrong: parts in the kit that the order does not want there.
        hit: fixtures that the robot runs into now.
        firm: ticks for which the part in hand has been there.
        late: whether the deadline has come.
        verdict: what was told of the kit, None as long as nothing was.
        start: part → where it was at the beginning (3,) [m].
        last: part → where it was at the last tick (3,).
        tool: where the tool was at the last tick (3,).
    """

    carried: frozenset[str] = frozenset()
    decided: frozenset[str] = frozenset()
    inside: Mapping[str, str] = field(default_factory=dict)
    spoilt: frozenset[str] = frozenset()
    wrong: frozenset[str] = frozenset()
    hit: frozenset[str] = frozenset()
    firm: int = 0
    late: bool = False
    verdict: bool | None = None
    start: Mapping[str, np.ndarray] = field(default_factory=dict)
    last: dict[str, np.ndarray] = field(default_factory=dict)
    tool: np.ndarray | None = None


class Grasp(BaseModel):
    """How parts of one kind are gripped, and let go in their box."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    at: tuple[float, float, float] = Field((0, 0, 0), description="the point that is gripped, in the part's frame [m]")
    lift: float = Field(0, description="how far above that point the tool is [m]")
    axis: int = Field(0, ge=0, le=2, description="the part's axis that the fingers' faces lie along: 0 for x, 2 for z")
    every: float = Field(0, ge=0, description="turned by this about the vertical it is gripped alike, 0 for any [rad]")
    release: float = Field(0.04, description="how far above the box's floor the tool lets go [m]")


class Kit(Task):
    """So many of each kind into the box that belongs to it; there are more parts, and kinds, than are wanted.

    Each part that is put into a box is `placed`: right if it is of the right kind and not one too many, and if the
    robot ran into nothing with it. A part that the hand lost on a tray is `dropped` and can be picked again, unless no
    more of its kind are wanted; one that lies anywhere else is dropped for good, and a spare one takes its place. What
    lacks at the deadline is `missed`. Parts that the order does not want are never decided unless they are moved. The
    kit is `completed` when nothing lacks or the deadline has come, and again if its verdict changes afterwards; it is
    right if all counts are and nothing is wrong.
    """

    order: dict[str, int] = Field(description="kind → how many are wanted, in the order of picking [1]")
    boxes: dict[str, str] = Field(description="kind → the box that it belongs into")
    trays: tuple[str, ...] = Field(min_length=1, description="where parts come from")
    grasps: dict[str, Grasp] = Field(default_factory=dict, description="kind → how it is gripped")
    changes: float = Field(0.67, ge=0, le=1, description="share of counts one off [1]", json_schema_extra=_VARIES)
    mixing: float = Field(1.0, ge=0, le=1, description="share of shuffled orders [1]", json_schema_extra=_VARIES)
    words: dict[str, tuple[str, str]] = Field(default_factory=dict, description="kind → word for one, and for several")
    saying: str = Field("Put {parts} into the kit.", description="the instruction; {parts} are counts and words")
    kit: str = Field("kit", description="what the whole of the boxes is called")
    critical: bool = Field(False, description="whether a wrong part is a violation, after which no kit is right")
    within: float = Field(40, gt=0, description="time for the kit; what lacks then is missed [s]")
    slots: tuple[int, int] = Field((1, 1), description="places in a box that are filled in turn, along x and y [1]")
    inset: tuple[float, float] = Field((0, 0), description="from a box's walls to its outer places, along x and y [m]")
    clear: float = Field(0.12, gt=0, description="height at which parts are carried [m]")
    up: float = Field(0.0, ge=0, description="a hand that is lower than this over a box first goes up [m]")
    fixtures: tuple[str, ...] = Field(("table",), description="what else the robot must not run into")
    bump: float = Field(30, gt=0, description="force of the robot itself on a fixture that is a collision [N]")
    tool: str = Field("arm/panda_grasptarget", description="link of the tool")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for kind, count in self.order.items():
            if count < 0 or kind not in self.boxes:
                raise ValueError(
                    f"order: {count} of {kind!r}; wanted 0 or more, of kinds that have a box: {list(self.boxes)}"
                )
        if not any(self.order.values()):
            raise ValueError("order: nothing is wanted; give at least one kind a count above 0")
        if "{parts}" not in self.saying or not self.saying.endswith("."):
            raise ValueError(f"saying came as {self.saying!r}; wanted a sentence with {{parts}} in it")
        return self

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    def drawn(self, rng: np.random.Generator) -> Self:
        """The order of one episode: counts may be one off, at least one part is wanted, kinds come in another order."""
        shuffled = rng.permutation(len(self.order))
        mixed = rng.random() < self.mixing
        change, down = rng.random(len(self.order)) < self.changes, rng.random(len(self.order)) < 0.5
        counts = {
            kind: max(0, count + (0 if not other else -1 if less else 1))
            for (kind, count), other, less in zip(self.order.items(), change, down, strict=True)
        }
        kinds = [list(counts)[i] for i in shuffled] if mixed else list(counts)
        wanted = {kind: counts[kind] for kind in kinds} if any(counts.values()) else self.order
        return type(self)(**{**self.model_dump(), "order": wanted})

    def meaning(self) -> Meaning:
        """What it begins with, by part; the counts."""
        return Meaning(self.saying.split()[0].lower(), "part", dict(self.boxes), counts=dict(self.order))

    def instruction(self) -> str:
        """In words: "Put 3 bolts, 2 nuts and 4 washers into the kit."."""
        told = [f"{n} {self._word(kind, n)}" for kind, n in self.order.items() if n]
        parts = " and ".join([", ".join(told[:-1]), told[-1]] if told[1:] else told)
        return self.saying.format(parts=parts)

    def misfit(self, places: Collection[str], kinds: Mapping[str, tuple[str, ...]]) -> str:
        """Boxes and trays must be places of the line."""
        for name in (*self.boxes.values(), *self.trays):
            if name not in places:
                return (
                    f"{name!r} is no body at which parts can be; there are {list(places)}.{did_you_mean(name, places)}"
                )
        return ""

    def steps(self) -> tuple[Step, ...]:
        """Pick the next part, place it into its box, go up out of it."""
        pick = {"hover": 0.06, "steep": 4.0, "align": 0.0025, "depth": 0.0015, "gain": 8.0, "squeeze": 0.07}
        place = {"clear": self.clear, "reach": 0.004, "gain": 6.0}
        return (Step("pick", "target", pick), Step("place", "goal", place), Step("wait", "goal", {"gain": 8.0}))

    def variables(self, items: tuple[Item, ...]) -> tuple[Variable, ...]:
        """Truth of the part to handle next, of the order, of all parts, and the reward."""
        names, on, kinds = tuple(i.name for i in items), "target_present", tuple(self.boxes)
        axes, count = ("x", "y", "z", "cos2yaw", "sin2yaw"), (len(kinds),)
        return (
            Variable("target", ("target_axis",), (5,), "float32", "m m m 1 1", "vector", "truth", axes, on),
            Variable(on, (), (), *_PULSE),
            Variable("target_held", (), (), *_PULSE),
            Variable("target_part", (), (), "int64", "1", "label", "truth", kinds, on),
            Variable("goal", ("goal_axis",), (3,), "float32", "m", "vector", "truth", ("x", "y", "z"), on),
            Variable("wanted_count", ("part_kind",), count, "float32", "1", "vector", "truth", kinds),
            Variable("placed_count", ("part_kind",), count, "float32", "1", "vector", "truth", kinds),
            Variable("wrong_count", (), (), "float32", "1", "vector", "truth"),
            Variable("reward", (), (), "float32", "1", "vector", "truth"),
            Variable("busy", (), (), *_PULSE),
            Variable("part_pose", ("part", "pose_axis"), (len(names), 7), "float32", "m", "pose", "truth"),
            Variable("part_present", ("part",), (len(names),), "bool", "1", "mask", "truth", names),
            *order_variables(self),
        )

    def observe(self, stage: Stage, state: Progress | None) -> tuple[Readings, tuple[Event, ...], Progress]:
        """Follow each part; see the class's text for what counts."""
        if state is None:
            state = Progress(start=positions(stage))
        held = stage.in_hand()
        told, state = self._harm(stage, held, state)
        events = list(told)
        for item in stage.items:
            if item.name in stage.spawned and item.name not in state.decided:
                told, state = self._follow(stage, item, held, state)
                events += told
        told, state = self._ended(stage, held, state)
        events += told
        target = self._target(stage, held, state)
        state = replace(state, firm=state.firm + 1 if target is not None and target.name in held else 0)
        tool = stage.snapshot.pose(self.tool)[:3]
        moved = state.tool is not None and math.dist(tool, state.tool) > REST
        truth = self._truth(stage, target, held, state)
        truth["reward"] = np.array(sum(_reward(e) for e in events), np.float32)
        truth["busy"] = np.array(target is not None and (moved or target.name in held))
        truth |= ordered(self, self._orders(stage, target, state, truth))
        return truth, tuple(events), replace(state, last=positions(stage), tool=tool)

    # ---- what happened

    def _harm(self, stage: Stage, held: frozenset[str], state: Progress) -> tuple[list[Event], Progress]:
        """What the robot ran into since the last tick, itself or with what it holds; the part in question is spoilt."""
        arm, now = self.tool.partition("/")[0], stage.snapshot.time
        fixtures = (*self.fixtures, *self.trays, *dict.fromkeys(self.boxes.values()))
        hit = set(hits(stage.world.touches(arm), fixtures, self.bump))
        spoilt = set(state.spoilt)
        if hit - state.hit:
            target = self._target(stage, held, state)
            spoilt |= {target.name} if target else set()
        for item in held - state.decided:
            if stage.world.loose(item):
                deep = hits(stage.world.touches(item), fixtures, self.bump)
                hit |= set(deep)
                spoilt |= {item} if deep else set()
        events = [Event(now, "collided", arm, name) for name in sorted(hit - state.hit)]
        return events, replace(state, hit=frozenset(hit), spoilt=frozenset(spoilt))

    def _follow(self, stage: Stage, item: Item, held: frozenset[str], state: Progress) -> tuple[list[Event], Progress]:
        """What happened to one part since the last tick."""
        now, at = stage.snapshot.time, stage.snapshot.pose(item.name)[:3]
        if item.name not in held | state.carried and math.dist(at, state.start[item.name]) < REST:
            return [], state  # most lie where they lay
        tray = any(stage.places[name].contains(at) for name in self.trays)
        if item.name in held:
            if item.name in state.carried or (tray and at[2] - state.start[item.name][2] < _LIFTED):
                return [], state
            return [Event(now, "picked", item.name)], replace(state, carried=state.carried | {item.name})
        if not still(stage, item.name, state.last):
            return [], state
        gone = replace(state, carried=state.carried - {item.name}, decided=state.decided | {item.name})
        boxes = [name for name in dict.fromkeys(self.boxes.values()) if stage.places[name].contains(at)]
        if boxes:
            return self._placed(stage, item, boxes[0], gone)
        if not tray:
            return [Event(now, "dropped", item.name)], gone
        if item.name in state.carried:
            back = [] if self._surplus(stage, item, state) else [Event(now, "dropped", item.name)]
            return back, replace(state, carried=gone.carried)
        return [], state

    def _placed(self, stage: Stage, item: Item, box: str, state: Progress) -> tuple[list[Event], Progress]:
        """A part came to rest in a box."""
        now, kind = stage.snapshot.time, item.properties["part"]
        wanted = box == self.boxes.get(kind) and self._count(stage, state, kind) < self.order.get(kind, 0)
        right = wanted and item.name not in state.spoilt
        state = replace(state, inside={**state.inside, item.name: box})
        events = [Event(now, "placed", item.name, box, right)]
        if not right:
            state = replace(state, wrong=state.wrong | {item.name})
        if self.critical and not wanted:
            events.append(Event(now, "violation", self.tool.partition("/")[0], "wrong_item"))
        return events, state

    def _count(self, stage: Stage, state: Progress, kind: str) -> int:
        """How many parts of a kind are in its box."""
        return sum(
            item.properties["part"] == kind and state.inside.get(item.name) == self.boxes[kind] for item in stage.items
        )

    def _lack(self, stage: Stage, state: Progress) -> dict[str, int]:
        """Kind → how many are still to come, below 0 where there are too many."""
        return {kind: count - self._count(stage, state, kind) for kind, count in self.order.items()}

    def _surplus(self, stage: Stage, item: Item, state: Progress) -> bool:
        """Whether the order does not want any more of a part's kind."""
        return self._lack(stage, state).get(item.properties["part"], 0) <= 0

    def _ended(self, stage: Stage, held: frozenset[str], state: Progress) -> tuple[list[Event], Progress]:
        """What is missed at the deadline, and the verdict on the kit, told when it changes."""
        now, lack, events = stage.snapshot.time, self._lack(stage, state), []
        late = now >= self.within - 1e-9
        if late and not state.late:
            for kind, count in lack.items():
                left = [i.name for i in stage.items if i.properties["part"] == kind and i.name not in state.decided]
                missed = [name for name in left if name in state.carried] + left
                missed = list(dict.fromkeys(missed))[: max(0, count)]
                events += [Event(now, "missed", name) for name in missed]
                state = replace(state, decided=state.decided | set(missed))
        full = max(lack.values()) <= 0
        if not (full or late or state.verdict is not None):
            return events, state
        verdict = full and not state.wrong and min(lack.values()) == 0
        if verdict != state.verdict:
            events.append(Event(now, "completed", self.kit, "", verdict))
        return events, replace(state, verdict=verdict, late=late)

    # ---- what to do

    def _target(self, stage: Stage, held: frozenset[str], state: Progress) -> Item | None:
        """The part in hand, or else that on a tray of the first kind that lacks which is nearest to the tool.

        Fallen ones come last. Any part of the kind will do, and a rule by slots would have to be guessed.
        """
        open_ = [i for i in stage.items if i.name in stage.spawned and i.name not in state.decided]
        mine = next((i for i in open_ if i.name in held), None)
        if mine is not None:
            return mine
        if state.late:
            return None
        lack, tool = self._lack(stage, state), stage.snapshot.pose(self.tool)[:3]

        def costs(item: Item) -> tuple[bool, float]:
            return self._fallen(stage, item, state), math.dist(tool[:2], stage.snapshot.pose(item.name)[:2])

        for kind in self.order:
            here = [i for i in open_ if i.properties["part"] == kind and self._on_tray(stage, i)]
            if lack[kind] > 0 and here:
                return min(here, key=costs)
        return None

    def _fallen(self, stage: Stage, item: Item, state: Progress) -> bool:
        return bool(abs(stage.snapshot.pose(item.name)[2] - state.start[item.name][2]) > _FALLEN)

    def _on_tray(self, stage: Stage, item: Item) -> bool:
        return any(stage.places[name].contains(stage.snapshot.pose(item.name)[:3]) for name in self.trays)

    def _orders(self, stage: Stage, target: Item | None, state: Progress, truth: Readings) -> Mapping[str, Order]:
        """Bring what is held firmly into its box, go up out of a box, else get the target."""
        arm = self.tool.partition("/")[0]
        if target is not None and (state.firm >= _FIRM or (state.firm and target.name in state.carried)):
            return {arm: Order(1, truth["goal"].astype(float))}
        tool = stage.snapshot.pose(self.tool)[:3]
        if tool[2] < self.up and any(_above(stage.places[box], tool) for box in self.boxes.values()):
            return {arm: Order(2, np.array([*tool[:2], self.clear]))}
        if target is None:
            return {}
        at, yaw = self._gripped(stage, target)
        return {arm: Order(0, at, yaw)}

    def _gripped(self, stage: Stage, item: Item) -> tuple[np.ndarray, float]:
        """Where the tool is, and how turned, when it grips a part."""
        grasp, pose = self._grasp(item.properties["part"]), stage.snapshot.pose(item.name)
        at = frames.apply(pose, np.array([grasp.at]))[0] + [0, 0, grasp.lift]
        if grasp.every == 0:
            return at, 0.0
        x, y, _ = frames.axis(pose, grasp.axis)
        return at, float(frames.wrap(np.arctan2(y, x), grasp.every))

    def _goal(self, stage: Stage, item: Item, state: Progress) -> np.ndarray:
        """Where the tool lets a part go: over the next free place of its box, or where it came from."""
        kind = item.properties["part"]
        if self._surplus(stage, item, state):
            return state.start[item.name] + [0, 0, self._grasp(kind).lift + _BACK]
        box = self.boxes[kind]
        region, count = stage.places[box], sum(where == box for where in state.inside.values())
        number = np.array(divmod(count % (self.slots[0] * self.slots[1]), self.slots[1]))
        low, high = np.array(region.low[:2]) + self.inset, np.array(region.high[:2]) - self.inset
        share = np.where(np.array(self.slots) > 1, number / np.maximum(1, np.array(self.slots) - 1), 0.5)
        return np.array([*(low + share * (high - low)), region.low[2] + self._grasp(kind).release])

    def _truth(self, stage: Stage, target: Item | None, held: frozenset[str], state: Progress) -> dict[str, np.ndarray]:
        what, goal, label, kinds = np.zeros(5, np.float32), np.zeros(3, np.float32), 0, list(self.boxes)
        if target is not None:
            at, yaw = self._gripped(stage, target)
            what = np.array([*at, np.cos(2 * yaw), np.sin(2 * yaw)], np.float32)
            goal = self._goal(stage, target, state).astype(np.float32)
            kind = target.properties["part"]
            label = kinds.index(kind) if kind in kinds else 0
        counts = [[self.order.get(kind, 0), self._count(stage, state, kind)] for kind in kinds]
        wanted, placed = np.array(counts, np.float32).T
        return {
            "target": what, "goal": goal, "target_part": np.array(label),
            "target_present": np.array(target is not None),
            "target_held": np.array(target is not None and target.name in held),
            "wanted_count": wanted, "placed_count": placed, "wrong_count": np.array(len(state.wrong), np.float32),
            "part_pose": np.array([stage.snapshot.pose(i.name) for i in stage.items], np.float32).reshape(-1, 7),
            "part_present": np.array([i.name in stage.spawned for i in stage.items], bool),
        }  # fmt: skip

    def _grasp(self, kind: str) -> Grasp:
        return self.grasps.get(kind, Grasp())

    def _word(self, kind: str, count: int) -> str:
        one, several = self.words.get(kind, (kind, f"{kind}s"))
        return one if count == 1 else several


def _above(region: Region, tool: np.ndarray) -> bool:
    """Whether a hand is over a box or beside it so closely that it could hit what is in there."""
    low, high = np.array(region.low[:2]), np.array(region.high[:2])
    return bool((low - _NEAR < tool[:2]).all() and (tool[:2] < high + _NEAR).all())


def _reward(event: Event) -> float:
    if event.kind == "placed":
        return 1.0 if event.right else -1.0
    return -1.0 if event.kind in ("missed", "dropped") else 0.0
