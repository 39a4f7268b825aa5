"""A tray: parts of one kind lie or stand in it in a grid from the beginning."""

from collections.abc import Mapping
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from twinlab import frames, meshes
from twinlab.bodies import VARIES, Body, Vector
from twinlab.events import Event, Item
from twinlab.frames import Region
from twinlab.parts import Part
from twinlab.snapshot import Piece
from twinlab.world import World

_RIDGE = 0.003  # thickness of what stands on both sides of a groove [m]
_MOST = 5  # columns with grooves: beside plate and rim, PyBullet takes ten more boxes in one body


class Tray(Body):
    """A plate with a rim, and parts of one kind on it, in rows and columns; where each lies differs between seeds.

    Parts that fingers could not close around on a plate, such as washers, stand in grooves.
    """

    position: Vector = Field((0.4, 0.3, 0), description="middle of the plate's underside [m]")
    yaw: float = Field(0, description="turn of the tray about z [rad]")
    size: Vector = Field((0.16, 0.16, 0.012), description="outer edges [m]")
    plate: float = Field(0.005, gt=0, description="thickness of the plate [m]")
    wall: float = Field(0.004, gt=0, description="thickness of the rim [m]")
    colour: Vector = Field((0.45, 0.47, 0.5), description="sRGB in 0–1")
    friction: float = Field(0.6, ge=0, description="Coulomb friction coefficient of the tray [1]")
    groove: tuple[float, float] = Field((0, 0), description="width and depth of one along each column, 0 for none [m]")
    name: str = Field("part", description="what its parts are called, the value of their property `part`")
    part: Part = Part()
    others: dict[str, Part] = Field(default_factory=dict, description="what may have got into it by mistake, by name")
    rows: int = Field(2, ge=1, description="rows of parts, along the tray's x axis [1]")
    columns: int = Field(2, ge=1, description="columns of parts, along its y axis [1]")
    pitch: tuple[float, float] = Field((0.06, 0.06), description="from row to row and from column to column [m]")
    lift: float = Field(0.0005, ge=0, description="how far above the plate parts are put down [m]")
    lies: Vector = Field((0, 0, 0), description="roll, pitch, yaw of a part as it lies there [rad]")
    scatter: float = Field(0.004, ge=0, description="places vary by up to this [m]", json_schema_extra=VARIES)
    turn: float = Field(0.3, ge=0, description="yaws vary by up to this [rad]", json_schema_extra=VARIES)
    shift: float = Field(0.003, ge=0, description="the tray's place varies by up to this [m]", json_schema_extra=VARIES)
    twist: float = Field(0.02, ge=0, description="its own yaw varies by up to this [rad]", json_schema_extra=VARIES)
    mixed: float = Field(0, ge=0, le=1, description="share of parts of the others [1]", json_schema_extra=VARIES)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if any(self.groove) and not (min(self.groove) > 0 and self.columns <= _MOST):
            raise ValueError(
                f"groove came as {self.groove} for {self.columns} columns; wanted a width and a depth above 0, and at "
                f"most {_MOST} columns"
            )
        if self.mixed and not self.others:
            raise ValueError(f"mixed came as {self.mixed}, but there are no `others` to mix in; add some")
        if self.name in self.others:
            raise ValueError(f"others: {self.name!r} is what the tray's own parts are called; give the other a name")
        return self

    def drawn(self, rng: np.random.Generator) -> Self:
        """The tray where it was set down in one episode."""
        x, y, turn = rng.uniform(-1, 1, 3)
        at = np.add(self.position, (self.shift * x, self.shift * y, 0)).tolist()
        return type(self)(**{**self.model_dump(), "position": at, "yaw": self.yaw + self.twist * turn})

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> tuple[Item, ...]:
        """Add the tray, and its parts on it."""
        pieces = [Piece(meshes.box(size), frames.pose(at), self.colour) for size, at in self._boxes()]
        world.add(name, pieces, self._home(), friction=self.friction)
        for item in items:
            self._put(world, item)
        return items

    def advance(self, name: str, world: World, state: tuple[Item, ...]) -> tuple[tuple[Item, ...], tuple[Event, ...]]:
        """All parts are on the line from the first moment."""
        if world.steps:
            return state, ()
        return state, tuple(Event(world.time, "spawned", item.name) for item in state)

    def items(self, state: tuple[Item, ...]) -> tuple[Item, ...]:
        """Its parts."""
        return state

    def kinds(self) -> Mapping[str, tuple[str, ...]]:
        """Its own kind, and those that may have got into it."""
        return {"part": (self.name, *self.others)}

    def region(self) -> Region:
        """The space above the plate, within the rim, up to 0.1 m high."""
        corners = frames.apply(self._home(), np.array([(i, j, 0) for i in (-1, 1) for j in (-1, 1)]) * self.size / 2)
        low, high = corners.min(axis=0), corners.max(axis=0)
        return Region((low[0], low[1], low[2] - 0.001), (high[0], high[1], low[2] + 0.1))

    def schedule(self, name: str, rng: np.random.Generator) -> tuple[Item, ...]:
        """Where each part lies, in the height of the plate's face, and of which kind it is."""
        found, across = [], 0.0 if self.groove[1] else 1.0  # in a groove it is where the groove is
        for i, place in enumerate(self._places()):
            x, y, turn = rng.uniform(-1, 1, 3)
            mistaken, which = rng.random(2)
            at = frames.pose(
                (place[0] + self.scatter * x, place[1] + across * self.scatter * y, self.plate),
                across * self.turn * turn,
            )
            pose = frames.compose(self._home(), frames.compose(at, frames.from_euler((0, 0, 0), self.lies)))
            others = list(self.others)
            kind = others[int(which * len(others))] if mistaken < self.mixed else self.name
            symmetry = self._part(kind).symmetry
            found.append(Item(f"{name}_{i:02d}", 0.0, tuple(pose), {"part": kind}, symmetry=symmetry))
        return tuple(found)

    def _home(self) -> np.ndarray:
        return frames.pose(self.position, self.yaw)

    def _boxes(self) -> list[tuple[Vector, Vector]]:
        """Sizes and middles of the plate, the rim's sides and the ridges of grooves, in the tray's frame [m]."""
        x, y, z = self.size
        t, w = self.plate, self.wall
        found = [
            ((x, y, t), (0.0, 0.0, t / 2)),
            ((w, y, z), (-(x - w) / 2, 0.0, z / 2)),
            ((w, y, z), ((x - w) / 2, 0.0, z / 2)),
            ((x - 2 * w, w, z), (0.0, -(y - w) / 2, z / 2)),
            ((x - 2 * w, w, z), (0.0, (y - w) / 2, z / 2)),
        ]
        wide, deep = self.groove
        if deep:
            off = (wide + _RIDGE) / 2
            for _, middle in self._places()[: self.columns]:
                found += [((x - 2 * w, _RIDGE, deep), (0.0, middle + side * off, t + deep / 2)) for side in (-1, 1)]
        return found

    def _places(self) -> list[np.ndarray]:
        """The middles of the grid's fields in the tray's frame, each (2,) [m]."""
        grid = [(row, column) for row in range(self.rows) for column in range(self.columns)]
        return [(np.array(at) - ((self.rows - 1) / 2, (self.columns - 1) / 2)) * self.pitch for at in grid]

    def _part(self, kind: str) -> Part:
        return self.others.get(kind, self.part)

    def _put(self, world: World, item: Item) -> None:
        """Add a part so that its lowest point is just above the face."""
        part = self._part(item.properties["part"])
        pieces, pose = part.pieces(world.find), np.array(item.pose)
        corners = np.concatenate([frames.apply(p.pose, p.solid.mesh.vertices.astype(float)) for p in pieces])
        pose[2] += self.lift - frames.rotate(pose, corners)[:, 2].min()
        mass, gyration = part.weight(world.find), part.gyration(world.find)
        world.add(item.name, pieces, pose, mass, part.friction, part.rolling, gyration)
