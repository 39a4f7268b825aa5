"""Bodies: what stands in a cell. One file per kind of body; a scene's `[bodies.name]` table is its fields."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from twinlab.events import Event, Item
from twinlab.frames import Region
from twinlab.world import World

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Actuator:
    """One number of an action.

    Attributes:
        name: "arm.x".
        low, high: what it is limited to.
        units: SI unit.
    """

    name: str
    low: float
    high: float
    units: str


class Body(BaseModel, ABC):
    """A kind of body: its fields come from the scene, its state of the moment goes in and comes out.

    `build` must be written; the other verbs are for bodies that act, and do nothing unless written.

    Attributes:
        flaws: what can be wrong with its items.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    flaws: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def build(self, name: str, world: World, items: tuple[Item, ...]) -> Any:
        """Put the body into an empty place of the world and give its state at the start.

        Args:
            name: its name in the scene; bodies that it puts into the world are called so, or begin with it.
            items: what it brings: what `schedule` gave, after what goes wrong.
        """

    def tune(self, name: str, world: World) -> None:
        """Let changed fields act on the body that was built already: a fault has changed them."""

    def actuators(self, name: str) -> tuple[Actuator, ...]:
        """The numbers of an action that this body listens to."""
        return ()

    def command(self, name: str, world: World, state: Any, values: Mapping[str, float], tick: float) -> Any:
        """Take the set-points of one tick [s]: actuator → value within its limits. Gives the new state."""
        return state

    def advance(self, name: str, world: World, state: Any) -> tuple[Any, tuple[Event, ...]]:
        """Act just before a physics step. Gives the new state and what happened."""
        return state, ()

    def region(self) -> Region | None:
        """The space in which an item counts as being at this body, None if it is no place for items."""
        return None

    def items(self, state: Any) -> tuple[Item, ...]:
        """The items that this body brings onto the line."""
        return ()

    def kinds(self) -> Mapping[str, tuple[str, ...]]:
        """The properties that its items have, and which values these may take."""
        return {}

    def schedule(self, name: str, rng: np.random.Generator) -> tuple[Item, ...]:
        """The items that it brings under this random stream, the seed's for this body, if nothing goes wrong."""
        return ()
