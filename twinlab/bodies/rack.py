"""A rack: square pegs stand in pockets with play."""

from collections.abc import Mapping
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from twinlab import frames, meshes
from twinlab.bodies import VARIES, Body, Vector
from twinlab.events import Event, Item
from twinlab.frames import Region
from twinlab.snapshot import Piece
from twinlab.world import World

_LIFT = 0.0005  # how far above the pocket's floor a peg is put down [m]


class Peg(BaseModel):
    """A square peg of steel or plastic that stands upright."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    name: str = Field("loose", description="what it is called, the value of its property `peg`")
    width: float = Field(0.016, gt=0, description="edges of its section [m]")
    length: float = Field(0.06, gt=0, description="its height [m]")
    mass: float = Field(0.08, gt=0, description="mass [kg]")
    colour: Vector = Field((0.75, 0.6, 0.25), description="sRGB in 0–1")


class Rack(Body):
    """A block with a row of pockets, a peg in each; which stands where, and how, differs between seeds."""

    position: Vector = Field((0.5, -0.2, 0), description="middle of the block's underside [m]")
    yaw: float = Field(0, description="turn of the rack about z; the row runs along its x axis [rad]")
    pegs: tuple[Peg, ...] = Field(
        (Peg(),), min_length=1, max_length=4, description="from one end of the row to the other"
    )
    pitch: float = Field(0.08, gt=0, description="from pocket to pocket [m]")
    pocket: float = Field(0.021, gt=0, description="edges of a pocket [m]")
    depth: float = Field(0.012, gt=0, description="of a pocket [m]")
    floor: float = Field(0.006, gt=0, description="thickness of the block under a pocket [m]")
    wall: float = Field(0.01, gt=0, description="from a pocket to the edges of the block [m]")
    colour: Vector = Field((0.3, 0.33, 0.36), description="sRGB in 0–1")
    friction: float = Field(0.5, ge=0, description="Coulomb friction coefficient of rack and pegs [1]")
    scatter: float = Field(
        0.0015, ge=0, description="places vary by up to this, in x and y [m]", json_schema_extra=VARIES
    )
    turn: float = Field(0.08, ge=0, description="yaws vary by up to this [rad]", json_schema_extra=VARIES)
    mixing: float = Field(
        1.0, ge=0, le=1, description="share of racks filled in any order [1]", json_schema_extra=VARIES
    )
    rough: float = Field(
        0.3, ge=0, lt=1, description="friction varies by up to this share [1]", json_schema_extra=VARIES
    )

    @model_validator(mode="after")
    def _stand(self) -> Self:
        for peg in self.pegs:
            swept = peg.width * (np.cos(self.turn) + np.sin(self.turn)) + 2 * self.scatter
            if swept > self.pocket:
                raise ValueError(
                    f"peg {peg.name!r} takes up to {swept:.4f} m of a pocket with edges of {self.pocket} m; wanted a "
                    "wider pocket, or less scatter or turn"
                )
        if self.pitch < self.pocket + 0.002:
            raise ValueError(f"pitch came as {self.pitch} m; wanted pockets of {self.pocket} m with 2 mm between them")
        return self

    def drawn(self, rng: np.random.Generator) -> Self:
        """The friction of one episode."""
        share = 1 + self.rough * rng.uniform(-1, 1)
        return type(self).model_validate({**self.model_dump(), "friction": self.friction * share})

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> tuple[Item, ...]:
        """Add the block, and its pegs in it."""
        pieces = [Piece(meshes.box(size), frames.pose(at), self.colour) for size, at in self._boxes()]
        world.add(name, pieces, frames.pose(self.position, self.yaw), friction=self.friction)
        pegs = {peg.name: peg for peg in self.pegs}
        for item in items:
            peg = pegs[item.properties["peg"]]
            piece = Piece(meshes.box((peg.width, peg.width, peg.length)), frames.IDENTITY, peg.colour, 0.3)
            world.add(item.name, [piece], np.array(item.pose), peg.mass, self.friction)
        return items

    def advance(self, name: str, world: World, state: tuple[Item, ...]) -> tuple[tuple[Item, ...], tuple[Event, ...]]:
        """All pegs are on the line from the first moment."""
        if world.steps:
            return state, ()
        return state, tuple(Event(world.time, "spawned", item.name) for item in state)

    def items(self, state: tuple[Item, ...]) -> tuple[Item, ...]:
        """Its pegs."""
        return state

    def kinds(self) -> Mapping[str, tuple[str, ...]]:
        """What its pegs are called."""
        return {"peg": tuple(peg.name for peg in self.pegs)}

    def region(self) -> Region:
        """The space above the block, up to 0.1 m high."""
        x, y = (self._length() / 2, self.pocket / 2 + self.wall)
        corners = frames.apply(
            frames.pose(self.position, self.yaw), np.array([(i * x, j * y, 0) for i in (-1, 1) for j in (-1, 1)])
        )
        low, high = corners.min(axis=0), corners.max(axis=0)
        return Region((low[0], low[1], low[2]), (high[0], high[1], low[2] + 0.1))

    def schedule(self, name: str, rng: np.random.Generator) -> tuple[Item, ...]:
        """Which peg stands where; item `<rack>_<peg>` is the same peg under every seed."""
        order = rng.permutation(len(self.pegs))
        if rng.random() >= self.mixing:
            order = np.arange(len(self.pegs))
        found = []
        for peg, pocket in zip(self.pegs, order, strict=True):
            aside, turn = self.scatter * rng.uniform(-1, 1, 2), self.turn * rng.uniform(-1, 1)
            along = (int(pocket) - (len(self.pegs) - 1) / 2) * self.pitch
            stands = frames.pose((along + aside[0], aside[1], self.floor + peg.length / 2 + _LIFT), turn)
            pose = frames.compose(frames.pose(self.position, self.yaw), stands)
            found.append(Item(f"{name}_{peg.name}", 0.0, tuple(pose), {"peg": peg.name}, "", peg.length, np.pi / 2))
        return tuple(found)

    def _length(self) -> float:
        return (len(self.pegs) - 1) * self.pitch + self.pocket + 2 * self.wall

    def _boxes(self) -> list[tuple[Vector, tuple[float, float, float]]]:
        """Sizes of the boxes and their middles: the floor, two long walls, and the walls between pockets."""
        x, y, p = self._length(), self.pocket + 2 * self.wall, self.pocket
        high = self.floor + self.depth
        found = [((x, y, self.floor), (0.0, 0.0, self.floor / 2))]
        for side in (-1, 1):
            found.append(((x, self.wall, high), (0.0, side * (p + self.wall) / 2, high / 2)))
        edges = [-x / 2]
        for i in range(len(self.pegs)):
            middle = (i - (len(self.pegs) - 1) / 2) * self.pitch
            edges += [middle - p / 2, middle + p / 2]
        edges.append(x / 2)
        for low, up in zip(edges[::2], edges[1::2], strict=True):
            found.append(((up - low, p, high), ((low + up) / 2, 0.0, high / 2)))
        return found
