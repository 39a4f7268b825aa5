"""A box that stands still: a table, a frame, a wall."""

from pydantic import Field

from twinlab import frames, meshes
from twinlab.bodies import Body, Vector
from twinlab.events import Item
from twinlab.snapshot import Piece
from twinlab.world import World


class Box(Body):
    """A box that stands still."""

    position: Vector = Field((0, 0, 0), description="centre [m]")
    size: Vector = Field((1, 1, 0.02), description="edges [m]")
    yaw: float = Field(0, description="turn about z [rad]")
    colour: Vector = Field((0.55, 0.57, 0.6), description="sRGB in 0–1")
    friction: float = Field(0.6, ge=0, description="Coulomb friction coefficient [1]")

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> None:
        """Add the box."""
        piece = Piece(meshes.box(self.size), frames.IDENTITY, self.colour)
        world.add(name, [piece], frames.pose(self.position, self.yaw), friction=self.friction)
