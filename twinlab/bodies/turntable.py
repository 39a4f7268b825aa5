"""A rotary indexing table: a motor-driven disc that carries parts by friction from station to station."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from twinlab import frames, meshes
from twinlab.bodies import TAG, Body, Value, Vector
from twinlab.errors import CellError, did_you_mean
from twinlab.events import Event, Item
from twinlab.frames import Region
from twinlab.snapshot import Piece
from twinlab.world import Link, World

_MARK = (0.5, 0.51, 0.53)
_GAIN = 0.01  # share of an error in angle that is mended in a step; where more is, parts slip at every substep
_GAP = 0.003  # between pedestal and disc [m]


@dataclass(frozen=True)
class Progress:
    """How far a table is.

    Attributes:
        indexed: how many times it went on by a station.
        stood: for how long it has stood [s].
        moved: how much of a move is done, 0 while it stands.
        free: whether nothing that it waits for holds it.
    """

    indexed: int = 0
    stood: float = 0.0
    moved: float = 0.0
    free: bool = True


class Turntable(Body):
    """A disc that stands, then goes on by one station, counter-clockwise seen from above, and again.

    It moves as a cam indexer does, by the cycloidal law s - sin(2πs)/2π (Norton, Cam Design and Manufacturing
    Handbook): peak speed 2 and peak acceleration 2π, in stations over the time of the move and over its square. What
    lies on it is held by friction alone.
    """

    position: Vector = Field((0, 0, 0.25), description="middle of the disc's upper face [m]")
    radius: float = Field(0.21, gt=0, description="of the disc [m]")
    thickness: float = Field(0.02, gt=0, description="of the disc [m]")
    pedestal: float = Field(0.227, gt=0, description="height of what it stands on [m]")
    stations: int = Field(6, ge=2, description="by how many moves it comes round [1]")
    period: float = Field(
        2.0, gt=0.1, description="from station to station, the line's cycle [s]", json_schema_extra=TAG
    )
    move: float = Field(0.7, gt=0, description="how long one move takes; it stands for the rest of its period [s]")
    waits: tuple[str, ...] = Field((), description='tags that must be true before it moves, such as "ejector.home"')
    torque: float = Field(60, gt=0, description="highest torque of its motor [N m]")
    mass: float = Field(6, gt=0, description="of the disc [kg]")
    friction: float = Field(0.9, ge=0, description="Coulomb friction coefficient of the disc [1]")
    colour: Vector = Field((0.1, 0.11, 0.12), description="sRGB in 0–1")
    pace: float = Field(1.0, ge=0, le=1, description="speed of its own clock, 1 where nothing is jammed [1]")

    @model_validator(mode="after")
    def _stands(self) -> Self:
        if self.move >= self.period:
            raise ValueError(f"move of {self.move} s leaves no time to stand in a period of {self.period} s; lower it")
        return self

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> Progress:
        """Add pedestal and disc; lines on the disc lie halfway between the stations."""
        t, r = self.thickness, self.radius
        post = meshes.cylinder(0.4 * r, self.pedestal)
        pedestal = Piece(post, frames.pose((0, 0, -t - _GAP - self.pedestal / 2)), _MARK)
        disc = Piece(meshes.cylinder(r, t, 96), frames.IDENTITY, self.colour)
        line = meshes.surface(meshes.box((0.5 * r, 0.003, 0.0004)).mesh)
        marks = []
        for i in range(self.stations):
            angle = (i + 0.5) * self._pitch
            at = (0.7 * r * np.cos(angle), 0.7 * r * np.sin(angle), t / 2)
            marks.append(Piece(line, frames.pose(at, angle), _MARK))
        moving = Link("disc", (disc, *marks), frames.pose((0, 0, -t / 2)), mass=self.mass, friction=self.friction)
        world.assemble(name, [pedestal], [moving], frames.pose(self.position))
        world.set_joints(name, {"disc": 0.0})
        return Progress()

    def advance(self, name: str, world: World, state: Progress) -> tuple[Progress, tuple[Event, ...]]:
        """Lead the disc along its cycle; before a move it waits for what holds it."""
        angle, state = self._angle(state), self._on(state, self.pace * world.timestep)
        speed = (self._angle(state) - angle) / world.timestep
        world.drive(name, ["disc"], [angle], [self.torque], [speed], _GAIN)
        return state, ()

    def region(self) -> Region:
        """The space above the disc, up to 0.2 m high."""
        x, y, z = self.position
        return Region((x - self.radius, y - self.radius, z - 0.005), (x + self.radius, y + self.radius, z + 0.2))

    def tags(self, name: str, world: World, state: Progress) -> Mapping[str, Value]:
        """How often it went on, whether it stands, its angle [rad]."""
        angle = float(world.joints(name).position[0])
        return {"indexed": float(state.indexed), "standing": not state.moved, "angle": angle}

    def scan(
        self, name: str, state: Progress, tags: Mapping[str, Value], time: float
    ) -> tuple[Progress, Mapping[str, Value], tuple[Event, ...]]:
        """Look whether it may go on."""
        for tag in self.waits:
            if tag not in tags:
                raise CellError(f"{name}: waits: no tag {tag!r}; there are {list(tags)}.{did_you_mean(tag, tags)}")
        return replace(state, free=all(bool(tags[tag]) for tag in self.waits)), {}, ()

    @property
    def _pitch(self) -> float:
        return 2 * np.pi / self.stations

    def _angle(self, state: Progress) -> float:
        """Where the disc should be [rad]."""
        share = state.moved
        return float(self._pitch * (state.indexed + share - np.sin(2 * np.pi * share) / (2 * np.pi)))

    def _on(self, state: Progress, elapsed: float) -> Progress:
        """The state so much later by its own clock [s]."""
        if not state.moved:
            stood = state.stood + elapsed
            if stood < self.period - self.move + 1e-9 or not state.free:
                return replace(state, stood=stood)
        moved = state.moved + elapsed / self.move
        if moved < 1 - 1e-9:
            return replace(state, moved=moved)
        return replace(state, indexed=state.indexed + 1, stood=0.0, moved=0.0)
