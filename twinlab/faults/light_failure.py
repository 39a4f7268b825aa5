"""The lamps fail."""

from typing import ClassVar

from pydantic import Field

from twinlab.faults import Fault, Target


class LightFailure(Fault):
    """The line's light gets weaker, for all cameras: an aged or broken lamp."""

    target: ClassVar[Target] = "line"
    share: float = Field(0.8, gt=0, le=1, description="share of the light that is lost at full level [1]")

    def light(self, level: float) -> float:
        """What is left."""
        return 1 - self.share * level
