"""A self-centring chuck: jaws around a face, which clamp what stands on it by force and hold it by friction."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from pydantic import Field

from twinlab import frames, meshes
from twinlab.bodies import Actuator, Body, Value, Vector, flag
from twinlab.events import Event, Item
from twinlab.frames import Region
from twinlab.snapshot import Piece
from twinlab.world import Link, World

_ASK = 0.5  # a set-point beyond this is an order
_LEAD = 0.002  # how far ahead of the jaws their motors are sent: enough for their full force [m]
_SLACK = 0.0005  # how far from its end a jaw is there [m]
_STIFF = 4.0  # what couples the jaws bears so many times the force of one
_CALM = 0.0002  # jaws that moved less in a tick stand still [m]
_BODY: Vector = (0.32, 0.33, 0.36)
_STEEL: Vector = (0.66, 0.68, 0.71)


@dataclass(frozen=True)
class Clamp:
    """How a chuck stands.

    Attributes:
        clamp: whether it shall clamp.
        locked: whether it may not open, because the machine runs.
        radius: where its jaws are, from the axis to their faces, on average [m].
        goal: where they are sent [m].
        still: whether they stand.
        part: the body that touches its face or jaws, "" for none.
    """

    clamp: bool
    locked: bool
    radius: float
    goal: float
    still: bool
    part: str


class Chuck(Body):
    """A vertical power chuck, its axis along z, whose jaws move alike as a scroll or a wedge moves them.

    Its set-point is a robot's digital output: below -0.5 it clamps, above 0.5 it opens, between it stays as it is.
    While it is locked it does not open. One jaw presses with `force`, and the others follow it stiffly, so that what
    is clamped stands in the middle; what they press with follows from balance and friction.
    """

    position: Vector = Field((0.58, 0, 0.1), description="middle of the face that parts stand on [m]")
    radius: float = Field(0.06, gt=0, description="of its body [m]")
    height: float = Field(0.1, gt=0, description="of its body, below the face [m]")
    jaws: int = Field(3, ge=2, le=6, description="how many [1]")
    jaw: Vector = Field((0.03, 0.016, 0.022), description="length along its way, width and height of a jaw [m]")
    opening: float = Field(0.026, gt=0, description="from the axis to a jaw's face where it is open [m]")
    travel: float = Field(0.012, gt=0, description="way of a jaw [m]")
    speed: float = Field(0.02, gt=0, description="of the jaws [m/s]")
    force: float = Field(80, gt=0, description="of each jaw [N]")
    mass: float = Field(1.0, gt=0, description="mass of a jaw [kg]")
    friction: float = Field(0.6, ge=0, description="Coulomb friction coefficient of face and jaws [1]")

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> Clamp:
        """Add body and jaws, open."""
        long, _, high = self.jaw
        solid = Piece(meshes.box(self.jaw), frames.pose((long / 2, 0, high / 2)), _STEEL, 0.3)
        base = Piece(meshes.cylinder(self.radius, self.height), frames.pose((0, 0, -self.height / 2)), _BODY, 0.2)
        links = [
            Link(
                joint, (solid,), frames.pose(yaw=2 * np.pi * i / self.jaws), "prismatic", (1, 0, 0),
                self.opening - self.travel, self.opening, self.mass, friction=self.friction,
            )
            for i, joint in enumerate(self._joints())
        ]  # fmt: skip
        world.assemble(name, [base], links, frames.pose(self.position))
        self.tune(name, world)
        world.set_joints(name, dict.fromkeys(self._joints(), self.opening))
        return Clamp(False, False, self.opening, self.opening, True, "")

    def tune(self, name: str, world: World) -> None:
        """Give the jaws their friction, which wear changes."""
        world.pad(name, self._joints(), self.friction, 0.0)

    def actuators(self, name: str) -> tuple[Actuator, ...]:
        """The order to clamp or to open."""
        return (Actuator(name, -1, 1, "1"),)

    def command(self, name: str, world: World, state: Clamp, values: Mapping[str, float], tick: float) -> Clamp:
        """Take the order, sample jaws and face, and send the jaws on by a tick of their speed."""
        asked = values[name]
        clamp = (state.clamp or asked < -_ASK) and (state.locked or asked <= _ASK)
        radius, way = float(world.joints(name).position.mean()), self.speed * tick
        least = max(self.opening - self.travel, radius - _LEAD - way)
        goal = max(state.goal - way, least) if clamp else min(max(state.goal, radius) + way, self.opening)
        still, part = abs(radius - state.radius) < _CALM, self._part(name, world)
        state = replace(state, clamp=clamp, goal=goal, radius=radius, still=still, part=part)
        self._press(name, world, state)
        return state

    def advance(self, name: str, world: World, state: Clamp) -> tuple[Clamp, tuple[Event, ...]]:
        """Keep the jaws alike while they clamp."""
        if state.clamp:
            self._press(name, world, state)
        return state, ()

    def region(self) -> Region:
        """The space above its face, up to 0.1 m high."""
        x, y, z = self.position
        return Region((x - self.radius, y - self.radius, z - 0.002), (x + self.radius, y + self.radius, z + 0.1))

    def tags(self, name: str, world: World, state: Clamp) -> Mapping[str, Value]:
        """What its switches tell, as sampled at the begin of the tick; see `Clamp`."""
        least = self.opening - self.travel + _SLACK
        holds = state.clamp and state.still and least < state.radius < self.opening - _SLACK
        return {
            "clamp": state.clamp, "clamped": holds, "open": state.radius > self.opening - _SLACK,
            "locked": state.locked, "part_present": bool(state.part), "part": state.part, "radius": state.radius,
        }  # fmt: skip

    def writable(self) -> tuple[str, ...]:
        """Whether it shall clamp, and whether it is locked."""
        return ("clamp", "locked")

    def write(self, name: str, world: World, state: Clamp, tag: str, value: Value) -> Clamp:
        """Take an order of the controller; what is locked keeps clamping."""
        wish = flag(f"{name}.{tag}", value)
        if tag == "locked":
            return replace(state, locked=wish)
        return replace(state, clamp=wish or (state.locked and state.clamp))

    def _joints(self) -> tuple[str, ...]:
        return tuple(f"jaw_{i + 1}" for i in range(self.jaws))

    def _press(self, name: str, world: World, state: Clamp) -> None:
        """Drive the first jaw by force and let the others follow it, as what couples them is stiff."""
        leader, *others = self._joints()
        at = float(world.joints(name).position[0]) if state.clamp else state.goal
        positions, stiff = [state.goal, *[at] * len(others)], _STIFF * self.force
        world.drive(name, (leader, *others), positions, [self.force, *[stiff] * len(others)])

    def _part(self, name: str, world: World) -> str:
        """What touches face or jaws and can be moved."""
        return next((t.other for t in world.touches(name) if world.loose(t.other)), "")
