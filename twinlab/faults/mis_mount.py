"""A camera that was knocked out of its place."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from twinlab import frames
from twinlab.faults import Fault, Target


class MisMount(Fault):
    """A camera stands and looks elsewhere than it was calibrated for, in a direction that follows from the seed."""

    target: ClassVar[Target] = "camera"
    turn: float = Field(0.0087, ge=0, le=3, description="by how much it is turned at full level, half a degree [rad]")
    shift: float = Field(0.002, ge=0, le=1, description="by how much it is moved at full level [m]")

    def moved(self, level: float, seed: int) -> np.ndarray:
        """Turned about one axis, moved along another."""
        axis, way = np.random.default_rng([seed, 1]).normal(size=(2, 3))
        way *= self.shift * level / np.linalg.norm(way)
        return frames.from_rotvec(way, axis * self.turn * level / np.linalg.norm(axis))
