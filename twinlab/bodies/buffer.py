"""A buffer on a belt: a stop gate behind which items queue up, and a counter of how many wait."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from pydantic import Field

from twinlab import frames, meshes
from twinlab.bodies import TAG, Actuator, Body, Value, Vector, flag
from twinlab.events import Item
from twinlab.frames import Region
from twinlab.snapshot import Piece
from twinlab.world import Link, World

_GATE = "gate"
_END = 0.002  # nearer to an end than this counts as there: where its limit switches sit [m]
_STEEL: Vector = (0.45, 0.47, 0.5)


class Queue(NamedTuple):
    """What waits.

    Attributes:
        asked: whether the gate shall be open.
        raised: how far it is [m].
        level: how many items are in the buffer.
    """

    asked: bool
    raised: float = 0.0
    level: int = 0


class Buffer(Body):
    """An accumulating stretch of a belt (first in, first out) that ends at a gate, which comes down from a portal.

    The gate presses with at most `force`: one that comes down on an item rests on it and closes when it has passed, so
    that nothing is crushed. Its set-point is a valve's: above 0.5 it opens, below -0.5 it closes, in between it stays.
    """

    position: Vector = Field((0.5, 0, 0.1), description="middle of the gate where it is down, on the belt's face [m]")
    yaw: float = Field(0, description="where the belt runs to, angle about z [rad]")
    length: float = Field(0.4, gt=0, description="of the stretch before the gate [m]")
    width: float = Field(0.26, gt=0, description="of the belt [m]")
    height: float = Field(0.08, gt=0, description="of the gate's plate; it opens as far [m]")
    gap: float = Field(0.004, ge=0, description="between the belt and the plate where it is down [m]")
    capacity: int = Field(
        6, ge=1, description="how many items it is meant to hold, from which on it is full [1]", json_schema_extra=TAG
    )
    speed: float = Field(0.4, gt=0, description="of the gate [m/s]")
    force: float = Field(15, gt=0, description="highest force of the gate [N]")
    opened: bool = Field(False, description="whether the gate is open at first")
    friction: float = Field(0.2, ge=0, description="Coulomb friction coefficient of the plate [1]")
    colour: Vector = Field((0.85, 0.75, 0.1), description="of the plate, sRGB in 0–1")

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> Queue:
        """Add the portal and its gate."""
        w, h, t = self.width, self.height, 0.012
        top = 2 * h + self.gap + 0.02
        posts = [
            Piece(meshes.box((t, t, top)), frames.pose((0, side * (w / 2 + 0.02), top / 2)), _STEEL) for side in (-1, 1)
        ]
        beam = Piece(meshes.box((t, w + 0.04 + t, t)), frames.pose((0, 0, top)), _STEEL)
        plate = Link(
            _GATE, (Piece(meshes.box((0.006, w - 0.01, h)), frames.IDENTITY, self.colour),),
            frames.pose((0, 0, self.gap + h / 2)), joint="prismatic", axis=(0, 0, 1), low=0, high=h, mass=0.3,
            friction=self.friction,
        )  # fmt: skip
        world.assemble(name, [*posts, beam], [plate], frames.pose(self.position, self.yaw))
        raised = h if self.opened else 0.0
        world.set_joints(name, {_GATE: raised})
        return Queue(self.opened, raised)

    def actuators(self, name: str) -> tuple[Actuator, ...]:
        """Its valve: 1 opens, -1 closes, 0 changes nothing."""
        return (Actuator(name, -1.0, 1.0, "1"),)

    def command(self, name: str, world: World, state: Queue, values: Mapping[str, float], tick: float) -> Queue:
        """Drive the gate to the end that is asked for, and count what waits."""
        wish = values.get(name, 0.0)
        asked = wish > 0 if abs(wish) > 0.5 else state.asked
        ((raised, _),) = world.motion(name, (_GATE,))
        left = (self.height if asked else 0.0) - raised
        world.lead(name, (_GATE,), [min(max(left / tick, -self.speed), self.speed)], (self.force,))
        return Queue(asked, raised, len(self._waiting(world)))

    def region(self) -> Region:
        """The box around the stretch before the gate, up to the gate's height, in the world's axes."""
        box = np.array([(x, y, z) for x in (-self.length, 0) for y in (-0.5, 0.5) for z in (0, self.height)])
        corners = frames.apply(frames.pose(self.position, self.yaw), box * (1, self.width, 1))
        (a, b, c), (d, e, f) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        return Region((a, b, c), (d, e, f))

    def tags(self, name: str, world: World, state: Queue) -> Mapping[str, Value]:
        """How many items wait, whether there is none or no more room, whether the gate is open or closed."""
        return {
            "level": float(state.level), "empty": state.level == 0, "full": state.level >= self.capacity,
            "open": state.raised > self.height - _END, "closed": state.raised < _END,
        }  # fmt: skip

    def writable(self) -> tuple[str, ...]:
        """`open`: what is written is asked for, what is read is whether it is so."""
        return ("open",)

    def write(self, name: str, world: World, state: Queue, tag: str, value: Value) -> Queue:
        """Ask the gate to open or to close."""
        return state._replace(asked=flag(f"{name}.{tag}", value, "true to open, false to close"))

    def _waiting(self, world: World) -> list[str]:
        """The loose bodies in the stretch before the gate."""
        own, space, found = frames.inverse(frames.pose(self.position, self.yaw)), self.region(), []
        for name in filter(world.loose, world.within(space.low, space.high)):
            x, y, z = frames.compose(own, world.pose(name))[:3].tolist()
            if -self.length < x < 0 and abs(y) < self.width / 2 and 0 < z < self.height:
                found.append(name)
        return found
