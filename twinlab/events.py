"""The contract of what happened: one event is a time, a kind, an item and a place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

EventKind = Literal["spawned", "picked", "placed", "missed", "dropped", "stop", "fault", "recovered"]


@dataclass(frozen=True)
class Item:
    """A piece of material that the line handles, as the twin knows it.

    Attributes:
        name: its body's name in the world.
        time: when it comes onto the line, since reset [s].
        pose: where it comes onto the line (7,), as a tuple.
        properties: what it is told apart by, such as {"colour": "red", "shape": "cube"}.
        defect: what is wrong with it, "" for a good one.
        height: from the face it lies on to the one above [m].
        symmetry: by which angle [rad] it can be turned about z and look the same, 0 for any angle.
    """

    name: str
    time: float
    pose: tuple[float, ...]
    properties: Mapping[str, str] = field(default_factory=dict)
    defect: str = ""
    height: float = 0.0
    symmetry: float = 0.0


@dataclass(frozen=True)
class Event:
    """Something that happened on the line.

    Attributes:
        time: when, since reset [s].
        kind: what: spawned, picked, placed, missed, dropped, stop (a protective stop of the robot), fault or recovered.
        item: which part, which device for a stop, or which fault.
        place: where it ended: a bin's name for placed, what fails for a fault, else "".
        right: whether a placed item is where the goal wants it.
    """

    time: float
    kind: EventKind
    item: str
    place: str = ""
    right: bool = False
