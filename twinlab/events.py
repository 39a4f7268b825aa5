"""The contract of what happened: one event is a time, a kind, an item and a place."""

from dataclasses import dataclass
from typing import Literal

EventKind = Literal["spawned", "picked", "placed", "missed", "dropped", "stop"]


@dataclass(frozen=True)
class Event:
    """Something that happened on the line.

    Attributes:
        time: when, since reset [s].
        kind: what: spawned, picked, placed, missed, dropped, or stop (a protective stop of the robot).
        item: which part, or which device for a stop.
        place: where it ended: a bin's name for placed, else "".
    """

    time: float
    kind: EventKind
    item: str
    place: str = ""
