"""The enclosure of a machine: a skirt, windows all around and a roof with a hatch."""

from pydantic import Field

from twinlab import frames, meshes
from twinlab.bodies import Body, Vector
from twinlab.events import Item
from twinlab.snapshot import Piece
from twinlab.world import World


class Enclosure(Body):
    """A machine's guard that is open at the top, where a door slides.

    Windows are of clear polycarbonate: they collide, and cameras look through them as if they were not there.
    """

    position: Vector = Field((0.58, 0, 0), description="middle of its underside [m]")
    size: Vector = Field((0.36, 0.34, 0.24), description="outer edges [m]")
    hatch: tuple[float, float] = Field((0.19, 0.25), description="opening in the roof, along x and y [m]")
    skirt: float = Field(0.07, gt=0, description="height of the sheet below the windows [m]")
    wall: float = Field(0.008, gt=0, description="thickness of walls, windows and roof [m]")
    friction: float = Field(0.4, ge=0, description="Coulomb friction coefficient [1]")
    colour: Vector = Field((0.82, 0.84, 0.86), description="sRGB in 0–1")

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> None:
        """Add it as one body of boxes; corner posts are only drawn."""
        x, y, z = self.size
        t, s = self.wall, self.skirt
        pieces = [
            *self._ring((x - 2 * t, y - 2 * t), s, s / 2),
            *self._ring((x - 2 * t, y - 2 * t), z - s - t, (z + s - t) / 2, True),
        ]
        pieces += self._ring(self.hatch, t, z - t / 2)
        post = meshes.surface(meshes.box((2 * t, 2 * t, z - t)).mesh)
        for i, j in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
            pieces.append(Piece(post, frames.pose((i * (x / 2 - t), j * (y / 2 - t), (z - t) / 2)), self.colour))
        world.add(name, pieces, frames.pose(self.position), friction=self.friction)

    def _ring(self, hole: tuple[float, float], height: float, middle: float, clear: bool = False) -> list[Piece]:
        """Four boxes from the outer edges to a hole, of a height [m], at a height of their middles [m]."""
        x, y, _ = self.size
        along, across = (x - hole[0]) / 2, (y - hole[1]) / 2
        boxes: list[tuple[Vector, Vector]]
        boxes = [((along, y, height), (side * (x - along) / 2, 0.0, middle)) for side in (-1, 1)]
        boxes += [((hole[0], across, height), (0.0, side * (y - across) / 2, middle)) for side in (-1, 1)]
        return [Piece(meshes.box(size), frames.pose(at), self.colour, hidden=clear) for size, at in boxes]
