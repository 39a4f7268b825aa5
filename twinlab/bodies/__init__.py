"""Bodies: what stands in a cell. One file per kind of body; a scene's `[bodies.name]` table is its fields."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from twinlab.errors import CellError
from twinlab.events import Event, Item
from twinlab.frames import Region
from twinlab.world import World

Vector = tuple[float, float, float]
Value = bool | float | str
VARIES: dict[str, Any] = {"varies": True}  # marks a field that differs between seeds: `SceneSpec.vary` scales it
TAG: dict[str, Any] = {"tag": True}  # marks a field that is a tag as well: a running line can be given another value


@dataclass(frozen=True)
class Actuator:
    """One number of an action.

    Attributes:
        name: "arm.x".
        low, high: what it is limited to.
        units: SI unit.
        safe: what it is set to while a line is halted: zero asks for nothing, but a verdict rejects.
    """

    name: str
    low: float
    high: float
    units: str
    safe: float = 0.0


def flag(tag: str, value: Value, wanted: str = "true or false") -> bool:
    """The value that is written to a tag such as "door.open", if it is true or false.

    Raises:
        CellError: it is something else.
    """
    if not isinstance(value, bool):
        raise CellError(f"tag {tag!r}: came {value!r}; wanted {wanted}")
    return value


class Body(BaseModel, ABC):
    """A kind of body: its fields come from the scene, its state of the moment goes in and comes out.

    `build` must be written; the other verbs are for bodies that act, and do nothing unless written.

    Attributes:
        flaws: what can be wrong with its items.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    flaws: ClassVar[tuple[str, ...]] = ()

    def drawn(self, rng: np.random.Generator) -> Self:
        """The body of one episode: the same with what differs between seeds decided, from the seed's stream for it."""
        return self

    @abstractmethod
    def build(self, name: str, world: World, items: tuple[Item, ...]) -> Any:
        """Put the body into an empty place of the world and give its state at the start.

        Args:
            name: its name in the scene; bodies that it puts into the world are called so, or begin with it.
            items: what it brings: what `schedule` gave, after what goes wrong.
        """

    def needs(self) -> tuple[str, ...]:
        """The names of bodies that it works with; a scene must have them."""
        return ()

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

    def holds(self, name: str, world: World) -> tuple[str, ...]:
        """What this body's hand holds now: names of bodies."""
        return ()

    def tags(self, name: str, world: World, state: Any) -> Mapping[str, Value]:
        """What a controller (PLC) would see of its state: name without the body's → value."""
        return {}

    def write(self, name: str, world: World, state: Any, tag: str, value: Value) -> Any:
        """Take a value for one of its tags; gives the new state. Only tags that `writable` names come here."""
        return state

    def writable(self) -> tuple[str, ...]:
        """The tags among `tags` that can be written."""
        return ()

    def scan(
        self, name: str, state: Any, tags: Mapping[str, Value], time: float
    ) -> tuple[Any, Mapping[str, Value], tuple[Event, ...]]:
        """One cycle of its controller (IEC 61131-3: read, decide, write), once a tick after the set-points.

        Args:
            name: its name.
            state: its own.
            tags: all tags of the line, "door.open" → value, as they are at the beginning of the cycle.
            time: since reset [s].

        Returns:
            The new state, the tags that are to be written, what happened.
        """
        return state, {}, ()

    def kinds(self) -> Mapping[str, tuple[str, ...]]:
        """The properties that its items have, and which values these may take."""
        return {}

    def schedule(self, name: str, rng: np.random.Generator) -> tuple[Item, ...]:
        """The items that it brings under this random stream, the seed's for this body, if nothing goes wrong."""
        return ()
