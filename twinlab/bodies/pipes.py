"""Pipes: straight round tubes between points, as they run along a wall."""

from typing import Self

import numpy as np
from pydantic import Field, model_validator
from scipy.spatial.transform import Rotation

from twinlab import frames, meshes
from twinlab.bodies import Body, Vector
from twinlab.events import Item
from twinlab.snapshot import Piece
from twinlab.world import World


class Pipes(Body):
    """Straight pipes that stand still, each between two points."""

    runs: tuple[tuple[Vector, Vector], ...] = Field(
        (((0.7, -0.5, 0.6), (0.7, 0.5, 0.6)),), min_length=1, max_length=16, description="both ends of each pipe [m]"
    )
    radius: float = Field(0.025, gt=0, description="of all of them, outside [m]")
    colour: Vector = Field((0.3, 0.5, 0.55), description="sRGB in 0–1")
    friction: float = Field(0.5, ge=0, description="Coulomb friction coefficient [1]")

    @model_validator(mode="after")
    def _long(self) -> Self:
        for a, b in self.runs:
            if np.linalg.norm(np.subtract(b, a)) < self.radius:
                raise ValueError(f"a pipe came from {a} to {b}; wanted it longer than its radius of {self.radius} m")
        return self

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> None:
        """Add them as one body of cylinders."""
        pieces = [Piece(*self._cylinder(np.array(a), np.array(b)), self.colour, 0.15) for a, b in self.runs]
        world.add(name, pieces, frames.IDENTITY, friction=self.friction)

    def _cylinder(self, start: np.ndarray, end: np.ndarray) -> tuple[meshes.Solid, np.ndarray]:
        """A pipe's solid and its pose (7,), its z axis along it."""
        way = end - start
        turn, _ = Rotation.align_vectors([way], [[0, 0, 1]])
        solid = meshes.cylinder(self.radius, float(np.linalg.norm(way)))
        return solid, np.concatenate([(start + end) / 2, turn.as_quat()])
