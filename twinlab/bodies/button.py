"""A push button on a console: a spring-loaded plunger that closes a contact."""

from collections.abc import Mapping

import numpy as np
from pydantic import Field

from twinlab import frames, meshes
from twinlab.bodies import Body, Value, Vector
from twinlab.events import Item
from twinlab.frames import Region
from twinlab.snapshot import Piece
from twinlab.world import Link, World

PLUNGER = "plunger"  # the link that is pushed
_CAP = 0.014  # how far the plunger stands out where nothing pushes it [m]
_GREY: Vector = (0.3, 0.31, 0.33)
_RING: Vector = (0.75, 0.76, 0.78)


class Button(Body):
    """A push button that is pushed down, such as the start button of a machine.

    Its spring is preloaded, so that its force is about the same over the short travel: a motor that pulls back with
    that force. The contact closes at half of the travel.
    """

    position: Vector = Field((0.35, 0.1, 0), description="middle of the console's underside [m]")
    size: Vector = Field((0.07, 0.07, 0.1), description="edges of the console [m]")
    radius: float = Field(0.018, gt=0, description="of the plunger [m]")
    travel: float = Field(0.008, gt=0, lt=_CAP, description="how far it can be pushed [m]")
    force: float = Field(8, gt=0, description="force of its spring [N]")
    mass: float = Field(0.05, gt=0, description="mass of the plunger [kg]")
    colour: Vector = Field((0.15, 0.65, 0.25), description="of the plunger, sRGB in 0–1")

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> float:
        """Add console and plunger; the state is how far it is pushed [m]."""
        z, r = self.size[2], self.radius
        console = Piece(meshes.box(self.size), frames.pose((0, 0, z / 2)), _GREY)
        ring = Piece(meshes.surface(meshes.cylinder(1.3 * r, 0.004).mesh), frames.pose((0, 0, z)), _RING)
        cap = Piece(meshes.cylinder(r, _CAP), frames.pose((0, 0, -_CAP / 2)), self.colour, 0.2)
        plunger = Link(
            PLUNGER, (cap,), frames.pose((0, 0, z + _CAP)), joint="prismatic", axis=(0, 0, 1), low=-self.travel, high=0,
            mass=self.mass,
        )  # fmt: skip
        world.assemble(name, [console, ring], [plunger], frames.pose(self.position))
        world.set_joints(name, {PLUNGER: 0.0})
        return 0.0

    def command(self, name: str, world: World, state: float, values: Mapping[str, float], tick: float) -> float:
        """Let the spring pull it back, and sample where it is."""
        world.drive(name, [PLUNGER], [0.0], [self.force])
        return max(0.0, -float(world.joints(name).position[0]))

    def region(self) -> Region:
        """The space of the plunger where nothing pushes it; its highest z is the plunger's face."""
        x, y, z = np.add(self.position, (0, 0, self.size[2])).tolist()
        r = self.radius
        return Region((x - r, y - r, z), (x + r, y + r, z + _CAP))

    def tags(self, name: str, world: World, state: float) -> Mapping[str, Value]:
        """Whether its contact is closed, and how far it is pushed [m]: as sampled at the begin of the tick."""
        return {"pressed": state > self.travel / 2, "position": state}
