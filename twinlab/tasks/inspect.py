"""Inspect the parts on a turntable: reject defective ones, pass good ones, at the line's speed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from pydantic import Field

from twinlab import frames
from twinlab.errors import did_you_mean
from twinlab.events import Event, Item
from twinlab.language import Meaning
from twinlab.readings import Kind, Readings, Role, Variable
from twinlab.tasks import Stage, Step, Task, order_variables, ordered
from twinlab.tasks._watch import DEPTH, positions, still

_PULSE: tuple[str, str, Kind, Role] = ("bool", "1", "pulse", "truth")
_NONE = "none"  # the flaw of a good part
_BESIDE = 0.03  # what is further below the table and in no bin fell beside [m]


@dataclass(frozen=True)
class Progress:
    """How far the parts are.

    Attributes:
        decided: parts that reached a bin, went round or fell beside.
        damaged: parts that a device pressed too hard.
        last: part → where it was at the last tick (3,).
        target: the part that stood where parts are inspected at the last tick, "" for none.
        verdicts: how many verdicts the ejector had taken.
        came: part → how often the table had gone on when it came.
    """

    decided: frozenset[str] = frozenset()
    damaged: frozenset[str] = frozenset()
    last: dict[str, np.ndarray] = field(default_factory=dict)
    target: str = ""
    verdicts: float = 0.0
    came: dict[str, float] = field(default_factory=dict)


class Inspect(Task):
    """Each defective part into the reject bin, each good one into the other; the ejector takes the verdicts.

    A part's verdict is an `inspected` event, its end is `placed`, and both say whether they were right. A part that is
    on the table for more than `longest` moves is missed, one that falls beside is dropped. Where a device presses a
    part harder than `force`, or the two sink into each other by more than 1 mm, that is a collision, and the part ends
    wrong wherever it goes.
    """

    part: str = Field("housing", description="what the parts are called, the value of their property `part`")
    good: str = Field("good_bin", description="bin for good parts")
    reject: str = Field("reject_bin", description="bin for defective parts")
    table: str = Field("table", description="the turntable")
    ejector: str = Field("ejector", description="the device that takes verdicts")
    station: tuple[float, float] = Field((0.08, -0.13856), description="where parts are inspected, x and y [m]")
    reach: float = Field(0.04, gt=0, description="how far off a part that is inspected may be [m]")
    longest: int = Field(5, ge=1, description="for how many moves a part may be on the table [1]")
    fixtures: tuple[str, ...] = Field(("ejector", "plough"), description="what must not press parts too hard")
    force: float = Field(50, gt=0, description="highest force that a part stands [N]")
    flaws: tuple[str, ...] = Field(
        ("scratch", "dent", "missing", "dimension"), description="what can be wrong with a part"
    )

    def meaning(self) -> Meaning:
        """Good parts go on, defective ones are rejected."""
        return Meaning("inspect", "flaw", {_NONE: self.good, **dict.fromkeys(self.flaws, self.reject)}, self.reject)

    def instruction(self) -> str:
        """In words."""
        return f"Inspect each {self.part}; pass good ones, reject those with a {' or '.join(self.flaws)}."

    def misfit(self, places: Collection[str], kinds: Mapping[str, tuple[str, ...]]) -> str:
        """Table and bins must be places of the line, and the parts of the kind that it inspects."""
        for name in (self.table, self.good, self.reject):
            if name not in places:
                return f"{name!r} is no place for parts; there are {list(places)}.{did_you_mean(name, places)}"
        others = [value for value in kinds.get("part", ()) if value != self.part]
        return f"part: it inspects {self.part!r}, but the line brings {others}" if others else ""

    def arms(self) -> tuple[str, ...]:
        """There is none."""
        return ()

    def devices(self) -> tuple[str, ...]:
        """The ejector, which takes verdicts."""
        return (self.ejector,)

    def steps(self) -> tuple[Step, ...]:
        """None: there is no arm, and a verdict is one number."""
        return ()

    def variables(self, items: tuple[Item, ...]) -> tuple[Variable, ...]:
        """Truth of the part under inspection, of all parts, and the reward."""
        names, on = tuple(i.name for i in items), "target_present"
        axes = ("x", "y", "z", "cos2yaw", "sin2yaw")
        return (
            Variable("target", ("target_axis",), (5,), "float32", "m m m 1 1", "vector", "truth", axes, on),
            Variable(on, (), (), *_PULSE),
            Variable("target_defect", (), (), *_PULSE, (), on),
            Variable("target_flaw", (), (), "int64", "1", "label", "truth", (_NONE, *self.flaws), on),
            Variable("target_size", (), (), "float32", "m", "vector", "truth", (), "target_defect"),
            Variable("goal", ("goal_axis",), (3,), "float32", "m", "vector", "truth", ("x", "y", "z"), on),
            Variable("reward", (), (), "float32", "1", "vector", "truth"),
            Variable("busy", (), (), *_PULSE),
            Variable("part_pose", ("part", "pose_axis"), (len(names), 7), "float32", "m", "pose", "truth"),
            Variable("part_present", ("part",), (len(names),), "bool", "1", "mask", "truth", names),
            *order_variables(self),
        )

    def observe(self, stage: Stage, state: Progress | None) -> tuple[Readings, tuple[Event, ...], Progress]:
        """Follow each part on the line; see the class's text for what counts."""
        state = state or Progress()
        collisions, state = self._collisions(stage, state)
        verdicts, state = self._verdicts(stage, state)
        events = [*collisions, *verdicts]
        moves = float(stage.tags[f"{self.table}.indexed"])
        came = dict(state.came)
        for item in stage.items:
            if item.name not in stage.spawned or item.name in state.decided:
                continue
            came.setdefault(item.name, moves)
            event = self._end(stage, item, state, moves - came[item.name])
            if event is not None:
                events.append(event)
                state = replace(state, decided=state.decided | {item.name})
        target = self._target(stage, state)
        standing = bool(stage.tags[f"{self.table}.standing"])
        truth = self._truth(stage, target)
        truth["busy"] = np.array(target is not None and standing)
        truth["reward"] = np.array(sum(_reward(event) for event in events), np.float32)
        truth["part_pose"] = np.array([stage.snapshot.pose(i.name) for i in stage.items], np.float32).reshape(-1, 7)
        truth["part_present"] = np.array([i.name in stage.spawned for i in stage.items], bool)
        wish = 0.0 if target is None else 1.0 if target.defect else -1.0
        truth |= ordered(self, {}, {self.ejector: wish})
        name = "" if target is None else target.name
        return truth, tuple(events), replace(state, last=positions(stage), target=name, came=came)

    def _collisions(self, stage: Stage, state: Progress) -> tuple[tuple[Event, ...], Progress]:
        """Parts that a fixture presses too hard, each told once."""
        parts, hit = {item.name for item in stage.items} - state.damaged, {}
        for fixture in self.fixtures:
            for _, other, force, depth in stage.world.touches(fixture):
                if other in parts and (force > self.force or depth > DEPTH):
                    hit[other] = fixture
        events = tuple(Event(stage.snapshot.time, "collided", fixture, part) for part, fixture in hit.items())
        return events, replace(state, damaged=state.damaged | hit.keys())

    def _verdicts(self, stage: Stage, state: Progress) -> tuple[tuple[Event, ...], Progress]:
        """The verdict that the ejector took since the last tick, on the part that stood there then."""
        verdicts = float(stage.tags[f"{self.ejector}.verdicts"])
        if verdicts == state.verdicts:
            return (), state
        state = replace(state, verdicts=verdicts)
        item = next((i for i in stage.items if i.name == state.target), None)
        if item is None:
            return (), state
        rejects = bool(stage.tags[f"{self.ejector}.rejects"])
        place = "reject" if rejects else "pass"
        return (Event(stage.snapshot.time, "inspected", item.name, place, rejects == bool(item.defect)),), state

    def _end(self, stage: Stage, item: Item, state: Progress, moves: float) -> Event | None:
        """How a part on its way ended, None where it has not."""
        now, at = stage.snapshot.time, stage.snapshot.pose(item.name)[:3]
        table = stage.places[self.table]
        bins = [name for name in (self.good, self.reject) if stage.places[name].contains(at)]
        if bins:
            right = bins[0] == self._place(item) and item.name not in state.damaged
            return Event(now, "placed", item.name, bins[0], right) if still(stage, item.name, state.last) else None
        if at[2] < table.low[2] - _BESIDE:
            return Event(now, "dropped", item.name) if still(stage, item.name, state.last) else None
        return Event(now, "missed", item.name) if moves > self.longest else None

    def _target(self, stage: Stage, state: Progress) -> Item | None:
        """The part on the table that is where parts are inspected."""
        for item in stage.items:
            if item.name in stage.spawned and item.name not in state.decided:
                at = stage.snapshot.pose(item.name)[:3]
                near = np.hypot(*(at[:2] - self.station)) < self.reach
                if near and stage.places[self.table].contains(at):
                    return item
        return None

    def _truth(self, stage: Stage, target: Item | None) -> dict[str, np.ndarray]:
        what, goal, flaw, size = np.zeros(5, np.float32), np.zeros(3, np.float32), 0, 0.0
        if target is not None:
            pose = stage.snapshot.pose(target.name)
            turn = 2 * frames.yaw(pose)
            what = np.array([*pose[:3], np.cos(turn), np.sin(turn)], np.float32)
            region = stage.places[self._place(target)]
            goal = np.array([*region.centre[:2], region.high[2]], np.float32)
            flaw = 1 + self.flaws.index(target.defect) if target.defect else 0
            size = target.size
        return {
            "target": what,
            "target_present": np.array(target is not None),
            "target_defect": np.array(flaw > 0),
            "target_flaw": np.array(flaw),
            "target_size": np.array(size, np.float32),
            "goal": goal,
        }

    def _place(self, item: Item) -> str:
        return self.reject if item.defect else self.good


def _reward(event: Event) -> float:
    if event.kind == "placed":
        return 1.0 if event.right else -1.0
    return -1.0 if event.kind in ("missed", "dropped") else 0.0
