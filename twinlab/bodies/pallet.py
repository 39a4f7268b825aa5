"""A pallet: a deck on blocks, and the loading space above it."""

import numpy as np
from pydantic import Field

from twinlab import frames, meshes
from twinlab.bodies import Body, Vector
from twinlab.events import Item
from twinlab.frames import Region
from twinlab.snapshot import Piece
from twinlab.world import World


class Pallet(Body):
    """A four-way pallet built as EN 13698-1 builds them: boards on nine blocks on three runners.

    By default it is half a pallet of 800 x 600 mm at a scale of 1 to 2. The deck collides as one flat plate; the boards
    that it is drawn as are in the plate's place.
    """

    position: Vector = Field((0.53, 0.14, 0), description="middle of what it stands on [m]")
    size: Vector = Field((0.3, 0.4, 0.072), description="edges: depth, width, height of the deck [m]")
    board: float = Field(0.011, gt=0, description="thickness of boards and runners [m]")
    load: float = Field(0.2, gt=0, description="height of the loading space above the deck [m]")
    friction: float = Field(0.6, ge=0, description="Coulomb friction coefficient of the deck [1]")
    colour: Vector = Field((0.71, 0.58, 0.4), description="sRGB in 0–1")

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> None:
        """Add the pallet as one body of boxes."""
        world.add(name, self._pieces(), frames.pose(self.position), friction=self.friction)

    def region(self) -> Region:
        """The loading space: above the deck, within its edges, up to the height of the load."""
        half = np.array(self.size) / 2
        x, y, z = self.position
        top = z + self.size[2]
        return Region((x - half[0], y - half[1], top), (x + half[0], y + half[1], top + self.load))

    def _pieces(self) -> list[Piece]:
        x, y, z = self.size
        t = self.board
        block, tall = (0.14 * x, 0.15 * y), z - 2 * t
        pieces = [Piece(meshes.box((x, y, t)), frames.pose((0, 0, z - t / 2)), self.colour, hidden=True)]
        for i in range(5):  # seven parts of board, two of gap between them
            middle = x * (i - 2) * (1 - 0.16) / 4
            plank = meshes.surface(meshes.box((0.16 * x, y, t)).mesh)
            pieces.append(Piece(plank, frames.pose((middle, 0, z - t / 2)), self.colour))
        for i in (-1, 0, 1):
            along = i * (y - block[1]) / 2
            runner = meshes.box((x, block[1], t))
            pieces.append(Piece(runner, frames.pose((0, along, t / 2)), self.colour))
            for j in (-1, 0, 1):
                at = (j * (x - block[0]) / 2, along, t + tall / 2)
                pieces.append(Piece(meshes.box((*block, tall)), frames.pose(at), self.colour))
        return pieces
