"""A conveyor belt: a real moving surface that carries by friction."""

from typing import Self

import numpy as np
from pydantic import Field

from twinlab import frames, meshes
from twinlab.bodies import TAG, VARIES, Body, Vector
from twinlab.events import Item
from twinlab.frames import Region
from twinlab.snapshot import Piece
from twinlab.world import World


class Belt(Body):
    """A conveyor belt that runs along its own x axis.

    The belt is a body that never moves: before each physics step its pose is put back and its velocity is set, so
    that what lies on it is carried by friction at exactly that speed. Without putting the pose back it drifts away.
    """

    position: Vector = Field((0.5, 0, 0.05), description="centre of the belt's body [m]")
    size: Vector = Field((1.6, 0.3, 0.1), description="length, width, height [m]")
    yaw: float = Field(0, description="where the belt runs to, angle of its x axis about z [rad]")
    speed: float = Field(0.1, ge=0, le=2, description="speed of the surface [m/s]", json_schema_extra=TAG)
    quicker: float = Field(
        0,
        ge=0,
        le=1,
        description="how much faster it runs in half of the episodes, a share [1]",
        json_schema_extra=VARIES,
    )
    friction: float = Field(0.9, ge=0, description="Coulomb friction coefficient [1]")
    colour: Vector = Field((0.16, 0.17, 0.18), description="sRGB in 0–1")

    def drawn(self, rng: np.random.Generator) -> Self:
        """One of its two speeds."""
        return type(self).model_validate(
            {**self.model_dump(), "speed": self.speed * (1 + self.quicker * rng.integers(2))}
        )

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> None:
        """Add the belt and let its surface run."""
        home = frames.pose(self.position, self.yaw)
        world.add(name, [Piece(meshes.box(self.size), frames.IDENTITY, self.colour)], home, friction=self.friction)
        self.tune(name, world)

    def tune(self, name: str, world: World) -> None:
        """Let its surface run at its speed."""
        world.surface(name, self.speed * self.direction())

    def direction(self) -> np.ndarray:
        """Where the belt runs to, a unit vector (3,)."""
        return np.array([np.cos(self.yaw), np.sin(self.yaw), 0.0])

    def region(self) -> Region:
        """The space above the belt, up to 0.3 m high."""
        corners = frames.apply(frames.pose(self.position, self.yaw), np.array(_CORNERS) * self.size / 2)
        low, high = corners.min(axis=0), corners.max(axis=0)
        return Region((low[0], low[1], high[2] - 0.005), (high[0], high[1], high[2] + 0.3))


_CORNERS = [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
