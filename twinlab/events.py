"""The contract of what happened: one event is a time, a kind, an item and a place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

EventKind = Literal[
    "spawned", "picked", "placed", "missed", "dropped", "inspected", "completed",
    "stop", "resumed", "started", "finished", "state",
    "fault", "recovered", "violation", "collided",
]  # fmt: skip
"""What can happen; `Event` says what each kind means, `kpi` what it counts for.

Of items: spawned, picked, placed, missed, dropped, inspected; of orders: completed. Of devices: stop, resumed, started,
finished, state. Of what must not be: fault, recovered, violation, collided.
"""


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
        size: how large its defect is, where that is measured [m].
        edges: of the box around it, along its own axes [m]; () where nobody needs to know.
    """

    name: str
    time: float
    pose: tuple[float, ...]
    properties: Mapping[str, str] = field(default_factory=dict)
    defect: str = ""
    height: float = 0.0
    symmetry: float = 0.0
    size: float = 0.0
    edges: tuple[float, ...] = ()


@dataclass(frozen=True)
class Event:
    """Something that happened on the line.

    | kind | it happened that | item | place | right |
    |---|---|---|---|---|
    | spawned | an item came onto the line | item | | |
    | picked | an item was taken up | item | | |
    | placed | an item was put where it can stay | item | bin, fixture, tray | whether the goal wants it there |
    | missed | an item left the line unhandled | item | | |
    | dropped | an item was lost; it may be picked again | item | | |
    | inspected | a verdict was given on an item | item | "pass" or "reject" | whether the verdict is true |
    | completed | an order (kit, pallet, tray, round) is done with | order | | whether all of it is as wanted |
    | stop | a device stopped: a protective stop, a machine that a fault halts | device | why, if known | |
    | resumed | it can go on | device | | |
    | started | a machine began a cycle | machine | the part in it, if known | |
    | finished | it ended the cycle | machine | the part in it, if known | whether the part came out as wanted |
    | state | a tag of a device changed | tag, such as "press.door" | its new value, such as "open" | |
    | fault | a fault came | fault | what fails | |
    | recovered | it went | fault | what failed | |
    | violation | a limit of safety was exceeded | arm | "joint", "speed", "force", "keep_out", "wrong_item" | |
    | collided | a robot hit what it must not touch | robot | what it hit | |

    What is so from the start (a machine in its cycle, a door that is open) is told at 0 s.

    Attributes:
        time: when, since reset [s].
        kind: what.
        item: to which item, order, device, tag or fault it happened.
        place: where it ended, or what else the kind says; "" where it says nothing.
        right: whether it was right, where the kind says so.
    """

    time: float
    kind: EventKind
    item: str
    place: str = ""
    right: bool = False
