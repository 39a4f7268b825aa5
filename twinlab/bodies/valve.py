"""A valve with a T-handle on a spindle: friction holds it where it is let go, stops end its travel."""

import math
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple, Self

import numpy as np
from pydantic import Field

from twinlab import frames, meshes
from twinlab.bodies import VARIES, Body, Value, Vector
from twinlab.events import Event, Item
from twinlab.frames import Region
from twinlab.snapshot import Contacts, Piece
from twinlab.world import Link, World

HANDLE = "handle"  # the link that is turned
_TIP: Vector = (0.95, 0.95, 0.92)  # the painted end of the handle, which tells one half turn from the other
_STEEL: Vector = (0.62, 0.64, 0.67)
_YIELD = 0.002  # how far the packing gives way before it slides [rad]
_NEAR = 0.05  # farther than any robot moves in a tick [m]
_QUIET = 1e-4  # torque below which the filter counts as empty [N m]


class Turned(NamedTuple):
    """How a valve stands; a tuple, because each physics step makes a changed copy.

    Attributes:
        item: the valve as what the line handles.
        angle: of its spindle, 0 where it is shut [rad].
        stuck: where the packing holds it, within what it gives way [rad].
        torque: that what touches its handle gives it about the spindle, opening it, after the sensor's filter [N m].
        peak: the largest magnitude of it since reset [N m].
        near: whether something that moves can get to it within this tick.
    """

    item: Item
    angle: float
    stuck: float
    torque: float = 0.0
    peak: float = 0.0
    near: bool = False


class Valve(Body):
    """A regulating valve on a pipe, with stops and packing friction; counter-clockwise opens it.

    Its friction is Coulomb's with a bit of give (Dahl 1968): a motor pulls the spindle with at most `drag` to where it
    is stuck, and what slides takes that place along. A brake on its speed alone would creep under a steady load. The
    torque on the handle is summed from the contacts on it, as a torque cell in the spindle would measure it.
    """

    position: Vector = Field((0.7, 0, 0.6), description="where the spindle meets the axis of the pipe [m]")
    facing: float = Field(np.pi, description="heading that the spindle points to [rad]")
    stem: float = Field(0.1, gt=0.05, description="from the axis of the pipe to the middle of the handle [m]")
    handle: Vector = Field((0.1, 0.02, 0.024), description="length, thickness and depth of the handle [m]")
    mass: float = Field(0.15, gt=0, description="mass of the handle [kg]")
    travel: float = Field(4.5, gt=0, description="angle from shut to open, between the stops [rad]")
    opening: float = Field(0.3, ge=0, le=1, description="share of the travel at which it stands at first [1]")
    drag: float = Field(0.4, ge=0, description="friction torque of its packing [N m]")
    bandwidth: float = Field(20, gt=0, description="of the torque cell's filter [Hz]")
    friction: float = Field(0.4, ge=0, description="Coulomb friction coefficient of the handle's surface [1]")
    colour: Vector = Field((0.75, 0.16, 0.14), description="of the handle, sRGB in 0–1")
    scatter: float = Field(
        0.006, ge=0, description="place varies by up to this across and along z [m]", json_schema_extra=VARIES
    )
    ajar: float = Field(0.05, ge=0, lt=1, description="opening varies by up to this [1]", json_schema_extra=VARIES)
    wear: float = Field(0.4, ge=0, lt=1, description="drag varies by up to this share [1]", json_schema_extra=VARIES)

    def drawn(self, rng: np.random.Generator) -> Self:
        """The valve as it is in one episode: moved across its facing and along z, more or less open and stiff."""
        across, up, ajar, wear = rng.uniform(-1, 1, 4)
        side = np.array([-np.sin(self.facing), np.cos(self.facing), 0.0])
        at = np.array(self.position) + self.scatter * (across * side + up * np.array([0, 0, 1.0]))
        opening = float(np.clip(self.opening + self.ajar * ajar, 0, 1))
        one = {"position": tuple(at.tolist()), "opening": opening, "drag": self.drag * (1 + self.wear * wear)}
        return type(self).model_validate({**self.model_dump(), **one})

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> Turned:
        """Add housing and handle, the handle where the opening says."""
        handle = Link(
            HANDLE, self._handle(), frames.pose((0, 0, self.stem)), low=0, high=self.travel, mass=self.mass,
            friction=self.friction, drag=self.drag,
        )  # fmt: skip
        world.assemble(name, self._housing(), [handle], self._home())
        angle = self.opening * self.travel
        world.set_joints(name, {HANDLE: angle})
        return Turned(items[0] if items else self._item(name), angle, angle)

    def command(self, name: str, world: World, state: Turned, values: Mapping[str, float], tick: float) -> Turned:
        """Let the packing hold on; told anew each tick, as a reset or a fault may have changed it."""
        angle, stuck = self._held(name, world, state)
        middle, reach = _spindle(self.position, self.facing, self.stem)[1], self.handle[0] / 2 + _NEAR
        there = world.within([x - reach for x in middle], [x + reach for x in middle])
        near = any(other != name for other in there)
        return state._replace(angle=angle, stuck=stuck, near=near)

    def advance(self, name: str, world: World, state: Turned) -> tuple[Turned, tuple[Event, ...]]:
        """Follow spindle and torque while something touches the handle; the valve is there from the first moment."""
        events = () if world.steps else (Event(world.time, "spawned", name),)
        if not state.torque and (not state.near or not world.touches(name)):
            return state, events
        torque = self._torque(name, world.contacts(name))
        torque = state.torque + (1 - math.exp(-math.tau * self.bandwidth * world.timestep)) * (torque - state.torque)
        torque = 0.0 if abs(torque) < _QUIET else torque
        angle, stuck = self._held(name, world, state)
        return Turned(state.item, angle, stuck, torque, max(state.peak, abs(torque)), state.near), events

    def items(self, state: Turned) -> tuple[Item, ...]:
        """The valve itself: it is what is handled."""
        return (state.item,)

    def region(self) -> Region:
        """The space that the handle sweeps, and as much again around it."""
        (_, (x, y, z)), reach = _spindle(self.position, self.facing, self.stem), self.handle[0]
        return Region((x - reach, y - reach, z - reach), (x + reach, y + reach, z + reach))

    def tags(self, name: str, world: World, state: Turned) -> Mapping[str, Value]:
        """Angle [rad] and opening [1] of the spindle, torque on the handle now and at most [N m]."""
        opening = min(1.0, max(0.0, state.angle / self.travel))  # stops give way by a hair
        return {"angle": state.angle, "opening": opening, "torque": state.torque, "peak": state.peak}

    def schedule(self, name: str, rng: np.random.Generator) -> tuple[Item, ...]:
        """The valve as the one item that it brings."""
        return (self._item(name),)

    def _held(self, name: str, world: World, state: Turned) -> tuple[float, float]:
        """Where the spindle is now, and where it is stuck; it is held there."""
        ((angle, _),) = world.motion(name, (HANDLE,))
        stuck = min(max(state.stuck, angle - _YIELD), angle + _YIELD)
        world.drive(name, (HANDLE,), [stuck], [self.drag])
        return angle, stuck

    def _item(self, name: str) -> Item:
        return Item(name, 0.0, tuple(self._home().tolist()), {"valve": name}, "", self.stem, np.pi)

    def _home(self) -> np.ndarray:
        """The housing's frame: z along the spindle, out of the pipe; x down."""
        return _housed(self.position, self.facing)

    def _torque(self, name: str, contacts: Contacts) -> float:
        """The moment about the spindle of what touches the handle [N m], positive where it opens the valve."""
        own, (axis, middle) = f"{name}/{HANDLE}", _spindle(self.position, self.facing, self.stem)
        forces = (contacts.force[:, None] * contacts.normals + contacts.friction).tolist()
        total = 0.0
        for link, point, force in zip(contacts.links, contacts.points.tolist(), forces, strict=True):
            if link == own:
                (x, y, z), (u, v, w) = (p - m for p, m in zip(point, middle, strict=True)), force
                total += axis[0] * (y * w - z * v) + axis[1] * (z * u - x * w) + axis[2] * (x * v - y * u)
        return total

    def _housing(self) -> list[Piece]:
        """A bonnet that carries the spindle, on a piece of pipe with two flanges; the pipe runs along y."""
        top = self.stem - self.handle[2] / 2 - 0.004
        along = (-np.pi / 2, 0.0, 0.0)
        return [
            Piece(meshes.cylinder(0.016, top), frames.pose((0, 0, top / 2)), _STEEL, 0.2),
            Piece(meshes.cylinder(0.034, 0.07), frames.from_euler((0, 0, 0), along), _STEEL, 0.2),
            *(
                Piece(meshes.cylinder(0.042, 0.01), frames.from_euler((0, side * 0.04, 0), along), _STEEL, 0.2)
                for side in (-1, 1)
            ),
        ]

    def _handle(self) -> tuple[Piece, ...]:
        """A bar along x, one end painted, and a nut on it that is only drawn."""
        long, thick, deep = self.handle
        cap = meshes.surface(meshes.box((0.3 * long, thick + 0.002, deep + 0.002)).mesh)
        nut = meshes.surface(meshes.cylinder(0.35 * thick, deep + 0.004, 6).mesh)
        return (
            Piece(meshes.box(self.handle), frames.IDENTITY, self.colour),
            Piece(cap, frames.pose((0.36 * long, 0, 0)), _TIP),
            Piece(nut, frames.IDENTITY, _STEEL, 0.3),
        )


def _housed(position: Vector, facing: float) -> np.ndarray:
    return frames.from_euler(position, (0, np.pi / 2, facing))


@cache
def _spindle(position: Vector, facing: float, stem: float) -> tuple[Vector, Vector]:
    """Where a spindle points to (3,), and where the middle of its handle is (3,) [m]."""
    home = _housed(position, facing)
    (a, b, c), (x, y, z) = frames.axis(home, 2).tolist(), frames.apply(home, np.array([[0, 0, stem]]))[0].tolist()
    return (a, b, c), (x, y, z)
