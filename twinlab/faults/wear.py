"""A worn gripper."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from twinlab.faults import Fault, Target


class Wear(Fault):
    """A gripper presses less and its pads hold less: worn rubber, a leak, a tired spring."""

    target: ClassVar[Target] = "body"
    force: float = Field(0.5, ge=0, lt=1, description="share of the force that is lost at full level [1]")
    friction: float = Field(0.5, ge=0, le=1, description="share of the pads' friction that is lost at full level [1]")

    def fields(self, level: float) -> Mapping[str, float]:
        """Force and friction."""
        return {"force": 1 - self.force * level, "friction": 1 - self.friction * level}
