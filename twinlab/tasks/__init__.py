"""Tasks: a goal, told from truth. One file per kind; a scene's `[task]` table is its fields."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from twinlab.events import Event, Item
from twinlab.frames import Region
from twinlab.language import Meaning
from twinlab.readings import Readings, Variable
from twinlab.snapshot import Snapshot
from twinlab.world import World


@dataclass(frozen=True)
class Step:
    """One step that reaches the goal, as data: which skill, on what.

    Attributes:
        skill: the skill's name.
        what: "target" (the item to handle next) or "goal" (where it belongs).
    """

    skill: str
    what: str


@dataclass(frozen=True)
class Stage:
    """What a task may look at: truth, all of it.

    Attributes:
        world: the physics, for contacts.
        snapshot: poses.
        items: all items of the episode.
        places: body → the space in which an item counts as being there.
        spawned: names of the items that are on the line already.
    """

    world: World
    snapshot: Snapshot
    items: tuple[Item, ...]
    places: Mapping[str, Region]
    spawned: frozenset[str]


class Task(BaseModel, ABC):
    """A kind of goal: its fields come from the scene, its state goes in and comes out."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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
