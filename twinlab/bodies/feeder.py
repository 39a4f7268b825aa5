"""A feeder: drops parts of several kinds onto a belt, at times, places and yaws that vary."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from twinlab import frames, meshes
from twinlab.bodies import VARIES, Body, Vector
from twinlab.events import Event, Item
from twinlab.meshes import Solid
from twinlab.snapshot import Piece
from twinlab.world import World

Colour = Literal["red", "green", "blue"]
Shape = Literal["cube", "cylinder"]
_COLOURS: dict[str, Vector] = {"red": (0.83, 0.18, 0.16), "green": (0.16, 0.6, 0.3), "blue": (0.15, 0.36, 0.8)}
_ROLLING = 0.0005  # rolling friction coefficient of what can roll; for every contact it costs the solver much [m]
_PARK = -10.0  # parts that are not on the line yet wait here, below the floor [m]


@dataclass(frozen=True)
class Progress:
    """How far a feeder is.

    Attributes:
        items: all parts of the episode, in the order in which they come.
        gone: how many of them were let go.
        late: how far its clock is behind the line's [s].
    """

    items: tuple[Item, ...]
    gone: int = 0
    late: float = 0.0


class Feeder(Body):
    """Drops parts one by one; fields marked "varies" are what differs between seeds.

    The nominal feeder (all that varies is 0) gives the kinds in turn, one each `period`, in the middle, not turned and
    without defects.
    """

    flaws: ClassVar[tuple[str, ...]] = ("chipped", "oversized")
    position: Vector = Field((0.5, 0.7, 0.13), description="where a part is let go [m]")
    along: float = Field(0, description="direction across which parts scatter, angle about z [rad]")
    count: int = Field(10, ge=1, le=200, description="how many parts an episode has at most [1]")
    first: float = Field(0.5, ge=0, description="when the first part comes [s]")
    period: float = Field(5.0, gt=0, description="nominal time from part to part [s]")
    jitter: float = Field(1.0, ge=0, description="times vary by up to this, either way [s]", json_schema_extra=VARIES)
    scatter: float = Field(0.05, ge=0, description="places vary by up to this [m]", json_schema_extra=VARIES)
    turn: float = Field(0.6, ge=0, description="yaws vary by up to this [rad]", json_schema_extra=VARIES)
    mixing: float = Field(1.0, ge=0, le=1, description="share of parts out of turn [1]", json_schema_extra=VARIES)
    defects: float = Field(0.1, ge=0, le=1, description="share of defective parts [1]", json_schema_extra=VARIES)
    colours: tuple[Colour, ...] = Field(("red", "green", "blue"), min_length=1)
    shapes: tuple[Shape, ...] = Field(("cube", "cylinder"), min_length=1)
    size: float = Field(0.04, gt=0, description="edge of a cube; diameter and height of a cylinder [m]")
    oversize: float = Field(1.3, gt=1, description="edge of an oversized part over that of a good one [1]")
    mass: float = Field(0.08, gt=0, description="mass of a part [kg]")
    friction: float = Field(0.8, ge=0, description="Coulomb friction coefficient of a part [1]")
    gloss: float = Field(0.1, ge=0, le=1, description="share of light that a part mirrors [1]")
    pace: float = Field(1.0, ge=0, le=1, description="speed of its own clock, 1 where nothing is jammed [1]")

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> Progress:
        """Add all parts of the episode, out of sight; they are a pool from which one after the other is let go."""
        items = tuple(replace(i, height=self._edge(i.defect), symmetry=self._symmetry(i.properties)) for i in items)
        for i, item in enumerate(items):
            solid = self._solid(item)
            piece = Piece(solid, frames.IDENTITY, _COLOURS[item.properties["colour"]], self.gloss)
            park = frames.pose((0.2 * i, 0, _PARK))
            rolling = _ROLLING if item.properties["shape"] == "cylinder" else 0.0
            gyration = None  # PyBullet knows that of whole cubes and cylinders; what is cut it takes for its bounds
            if item.defect == "chipped":
                gyration = meshes.bulk(solid.mesh).gyration
            world.add(item.name, [piece], park, friction=self.friction, rolling=rolling, gyration=gyration)
        return Progress(items)

    def advance(self, name: str, world: World, state: Progress) -> tuple[Progress, tuple[Event, ...]]:
        """Let the next part go when its time has come by the feeder's own clock."""
        if self.pace < 1:
            state = replace(state, late=state.late + (1 - self.pace) * world.timestep)
        if state.gone == len(state.items) or world.time - state.late + 1e-9 < state.items[state.gone].time:
            return state, ()
        item = state.items[state.gone]
        world.place(item.name, np.array(item.pose), mass=self.mass)
        return replace(state, gone=state.gone + 1), (Event(world.time, "spawned", item.name),)

    def items(self, state: Progress) -> tuple[Item, ...]:
        """All parts of the episode, those to come included."""
        return state.items

    def kinds(self) -> Mapping[str, tuple[str, ...]]:
        """Colours and shapes."""
        return {"colour": self.colours, "shape": self.shapes}

    def schedule(self, name: str, rng: np.random.Generator) -> tuple[Item, ...]:
        """Which part comes when, where and how: the same seed gives the same parts."""
        kinds = list(product(self.shapes, self.colours))
        items = []
        for i in range(self.count):
            late, aside, yaw, mixed, bad = rng.uniform(-1, 1, 5)
            other, flaw = rng.integers(len(kinds)), rng.integers(len(self.flaws))
            shape, colour = kinds[other if (mixed + 1) / 2 < self.mixing else i % len(kinds)]
            defect = self.flaws[flaw] if (bad + 1) / 2 < self.defects else ""
            across = self.scatter * aside * np.array([np.cos(self.along), np.sin(self.along), 0])
            time = max(0.0, self.first + i * self.period + self.jitter * late)
            pose = frames.pose(np.array(self.position) + across, self.turn * yaw)
            properties = {"colour": colour, "shape": shape}
            height = self._edge(defect)
            items.append(
                Item(f"{name}_{i:02d}", time, tuple(pose), properties, defect, height, self._symmetry(properties))
            )
        return tuple(sorted(items, key=lambda item: item.time))

    def _symmetry(self, properties: Mapping[str, str]) -> float:
        return np.pi / 2 if properties["shape"] == "cube" else 0.0

    def _edge(self, defect: str) -> float:
        return self.size * (self.oversize if defect == "oversized" else 1)

    def _solid(self, item: Item) -> Solid:
        edge = self._edge(item.defect)
        cube = item.properties["shape"] == "cube"
        solid = meshes.box((edge, edge, edge)) if cube else meshes.cylinder(edge / 2, edge)
        return meshes.chipped(solid) if item.defect == "chipped" else solid
