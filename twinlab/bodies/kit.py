"""A box of a kit: an open box for parts of one order, set down where it was not quite before."""

from typing import Self

import numpy as np
from pydantic import Field

from twinlab import frames, meshes
from twinlab.bodies import VARIES, Body, Vector
from twinlab.events import Item
from twinlab.frames import Region
from twinlab.snapshot import Piece
from twinlab.world import World


class Kit(Body):
    """An open box that stands on its floor; a kit is one of them or several side by side."""

    position: Vector = Field((0.35, 0, 0), description="middle of the floor's underside [m]")
    size: Vector = Field((0.09, 0.09, 0.03), description="outer edges [m]")
    wall: float = Field(0.003, gt=0, description="thickness of floor and walls [m]")
    colour: Vector = Field((0.32, 0.44, 0.62), description="sRGB in 0–1")
    friction: float = Field(0.6, ge=0, description="Coulomb friction coefficient [1]")
    shift: float = Field(0.003, ge=0, description="its place varies by up to this [m]", json_schema_extra=VARIES)

    def drawn(self, rng: np.random.Generator) -> Self:
        """The box where it was set down in one episode."""
        x, y = self.shift * rng.uniform(-1, 1, 2)
        return type(self)(**{**self.model_dump(), "position": np.add(self.position, (x, y, 0)).tolist()})

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> None:
        """Add the box as one body of five."""
        x, y, z = self.size
        t = self.wall
        boxes = [
            ((x, y, t), (0, 0, t / 2)),
            ((t, y, z), (-(x - t) / 2, 0, z / 2)),
            ((t, y, z), ((x - t) / 2, 0, z / 2)),
            ((x - 2 * t, t, z), (0, -(y - t) / 2, z / 2)),
            ((x - 2 * t, t, z), (0, (y - t) / 2, z / 2)),
        ]
        pieces = [Piece(meshes.box(size), frames.pose(at), self.colour) for size, at in boxes]
        world.add(name, pieces, frames.pose(self.position), friction=self.friction)

    def region(self) -> Region:
        """The space within its walls, from its floor to 20 mm above its rim, where a heap may reach."""
        half = np.array(self.size[:2]) / 2 - self.wall
        x, y, z = self.position
        return Region((x - half[0], y - half[1], z + self.wall), (x + half[0], y + half[1], z + self.size[2] + 0.02))
