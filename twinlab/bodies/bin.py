"""An open bin with a floor and four walls."""

import numpy as np
from pydantic import Field

from twinlab import frames, meshes
from twinlab.bodies import Body, Vector
from twinlab.events import Item
from twinlab.frames import Region
from twinlab.snapshot import Piece
from twinlab.world import World


class Bin(Body):
    """An open bin that stands on its floor."""

    position: Vector = Field((0.25, 0.3, 0), description="middle of the floor's underside [m]")
    size: Vector = Field((0.2, 0.2, 0.08), description="outer edges [m]")
    wall: float = Field(0.006, gt=0, description="thickness of floor and walls [m]")
    colour: Vector = Field((0.6, 0.6, 0.6), description="sRGB in 0–1")
    friction: float = Field(0.8, ge=0, description="Coulomb friction coefficient [1]")

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> None:
        """Add the bin as one body of five boxes."""
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
        """The space within its walls and up to 0.1 m above them, where a heap may reach."""
        half = np.array(self.size) / 2
        x, y, z = self.position
        return Region((x - half[0], y - half[1], z - 0.01), (x + half[0], y + half[1], z + self.size[2] + 0.1))
