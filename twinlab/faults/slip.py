"""A belt that slips on its drum."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from twinlab.faults import Fault, Target


class Slip(Fault):
    """A belt runs slower than its drive; an encoder on the belt shows it, one on the drive would not."""

    target: ClassVar[Target] = "body"
    share: float = Field(0.5, gt=0, le=1, description="share of the speed that is lost at full level [1]")

    def fields(self, level: float) -> Mapping[str, float]:
        """The speed."""
        return {"speed": 1 - self.share * level}
