"""Tasks: a goal, told from truth. One file per kind; a scene's `[task]` table is its fields."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from twinlab.events import Event, Item
from twinlab.frames import Region
from twinlab.language import Meaning
from twinlab.readings import Readings, Variable
from twinlab.snapshot import Snapshot
from twinlab.world import World

Value = bool | float | str


@dataclass(frozen=True)
class Step:
    """One step that reaches the goal, as data: which skill, on what.

    Attributes:
        skill: the skill's name.
        what: what it acts on, such as "target" (the item to handle next) or "goal" (where it belongs).
        settings: values of the skill's fields that differ from its defaults.
    """

    skill: str
    what: str
    settings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Order:
    """What an arm shall do now, told from truth.

    Attributes:
        step: number of the step in `Task.steps`.
        position: what the skill shall act on (3,) [m].
        yaw: how the tool shall be turned for it [rad].
        velocity: how it moves (3,) [m/s].
    """

    step: int
    position: np.ndarray
    yaw: float = 0.0
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Stage:
    """What a task may look at: truth, all of it.

    Attributes:
        world: the physics, for contacts.
        snapshot: poses.
        items: all items of the episode.
        places: body → the space in which an item counts as being there.
        spawned: names of the items that are on the line already.
        held: arm → the bodies that its hand holds.
        tags: what a controller sees of the line's devices, "door.open" → value.
        events: what the line's bodies did since the last tick.
    """

    world: World
    snapshot: Snapshot
    items: tuple[Item, ...]
    places: Mapping[str, Region]
    spawned: frozenset[str]
    held: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tags: Mapping[str, Value] = field(default_factory=dict)
    events: tuple[Event, ...] = ()

    @cached_property
    def poses(self) -> dict[str, np.ndarray]:
        """Item → its pose (7,)."""
        poses, rows = self.snapshot.poses, self.snapshot.rows
        return {item.name: poses[rows[item.name]] for item in self.items}

    def in_hand(self) -> frozenset[str]:
        """All bodies that some hand holds."""
        return frozenset(body for held in self.held.values() for body in held)


class Task(BaseModel, ABC):
    """A kind of goal: its fields come from the scene, its state goes in and comes out.

    Attributes:
        apart: the property of items by whose values success is told apart as well, "" for none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    apart: ClassVar[str] = ""

    def drawn(self, rng: np.random.Generator) -> Self:
        """The goal of one episode: the same task with what differs between seeds decided."""
        return self

    def arms(self) -> tuple[str, ...]:
        """The arms that get an order at each tick, see `ordered`."""
        return ("arm",)

    def devices(self) -> tuple[str, ...]:
        """The actuators beside the arms' own that get a set-point at each tick, see `ordered`."""
        return ()

    @abstractmethod
    def meaning(self) -> Meaning:
        """The goal as slots."""

    @abstractmethod
    def instruction(self) -> str:
        """The goal in words."""

    def misfit(self, places: Collection[str], kinds: Mapping[str, tuple[str, ...]]) -> str:
        """What about the task does not fit a line; "" if all does.

        Args:
            places: names of the bodies at which items can be.
            kinds: property → values, of the items that the line's bodies bring.
        """
        return ""

    @abstractmethod
    def steps(self) -> tuple[Step, ...]:
        """The steps that bring one item to its place, in order."""

    @abstractmethod
    def variables(self, items: tuple[Item, ...]) -> tuple[Variable, ...]:
        """The truth that `observe` gives each tick."""

    @abstractmethod
    def observe(self, stage: Stage, state: Any) -> tuple[Readings, tuple[Event, ...], Any]:
        """The truth of this tick, what happened since the last, and the new state (None at first)."""


AIM = ("x", "y", "z", "cos", "sin", "vx", "vy", "vz")


def order_variables(task: Task) -> tuple[Variable, ...]:
    """The truth that says what each of a task's arms shall do: `arm_step`, a class, and `arm_aim`, what to act on."""
    steps = ("wait", *(f"{step.skill} {step.what}" for step in task.steps()))
    units = "m m m 1 1 m/s m/s m/s"
    found = []
    for arm in task.arms():
        found += [
            Variable(f"{arm}_step", (), (), "int64", "1", "label", "truth", steps),
            Variable(f"{arm}_aim", (f"{arm}_aim_axis",), (8,), "float32", units, "vector", "truth", AIM, f"{arm}_step"),
        ]
    if devices := task.devices():
        shape = (len(devices),)
        found.append(Variable("setpoints", ("device",), shape, "float32", "1", "vector", "truth", devices))
    return tuple(found)


def order_names(task: Task) -> tuple[str, ...]:
    """The names of `order_variables`."""
    return tuple(v.name for v in order_variables(task))


def ordered(task: Task, orders: Mapping[str, Order], setpoints: Mapping[str, float] | None = None) -> Readings:
    """Values of `order_variables`: an arm without an order waits, a device without a set-point gets 0."""
    values: dict[str, np.ndarray] = {}
    for arm in task.arms():
        order, aim = orders.get(arm), np.zeros(8, np.float32)
        if order is not None:
            aim[:3], aim[5:] = order.position, order.velocity
            aim[3:5] = np.cos(order.yaw), np.sin(order.yaw)
        values |= {f"{arm}_step": np.array(0 if order is None else order.step + 1), f"{arm}_aim": aim}
    if devices := task.devices():
        values["setpoints"] = np.array([(setpoints or {}).get(name, 0.0) for name in devices], np.float32)
    return values


def goal(
    task: Task, kinds: Mapping[str, tuple[str, ...]], places: Mapping[str, Region]
) -> tuple[Readings, tuple[Variable, ...]]:
    """What a line is told of its goal, as the reading `meaning` of every tick; nothing where there is no goal.

    Args:
        task: of the episode.
        kinds: property → values, of the items that the line's bodies bring.
        places: body → the space in which an item counts as being there.
    """
    numbers = task.meaning().numbers(kinds, {name: region.centre.tolist() for name, region in places.items()})
    if not numbers:
        return {}, ()
    values, units = zip(*numbers.values(), strict=True)
    shape, names = (len(values),), tuple(numbers)
    told = Variable("meaning", ("meaning_slot",), shape, "float32", " ".join(units), "vector", "reading", names)
    return {"meaning": np.array(values, np.float32)}, (told,)
