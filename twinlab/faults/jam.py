"""A feeder that is jammed."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from twinlab.faults import Fault, Target


class Jam(Fault):
    """A feeder stands still or runs slower; what it holds comes later, nothing is lost."""

    target: ClassVar[Target] = "body"
    share: float = Field(1.0, gt=0, le=1, description="share of its pace that is lost at full level [1]")

    def fields(self, level: float) -> Mapping[str, float]:
        """The pace of the feeder's clock."""
        return {"pace": 1 - self.share * level}
