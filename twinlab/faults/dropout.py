"""A sensor whose samples get lost, more than by its own drop-out."""

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from twinlab.faults import Fault, Target
from twinlab.readings import Readings


class Dropout(Fault):
    """Samples of a sensor are lost: a loose plug, a congested network."""

    target: ClassVar[Target] = "sensor"
    share: float = Field(1.0, gt=0, le=1, description="share of samples that are lost at full level [1]")

    def corrupt(
        self, values: Readings, level: float, past: float, state: Any, rng: np.random.Generator
    ) -> tuple[Readings | None, Any]:
        """Nothing, or the values."""
        return (None if rng.random() < self.share * level else values), state
