"""A sensor whose zero wanders off."""

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from twinlab.faults import Fault, Target, typed
from twinlab.readings import Readings


class Drift(Fault):
    """What is added to a sensor's values grows steadily from the onset: warming up, creep, a leak."""

    target: ClassVar[Target] = "sensor"
    kinds: ClassVar[tuple[str, ...]] = ("vector", "depth", "image", "range", "tactile")
    slope: float = Field(0.001, description="growth per second at full level, in the variable's unit [1/s]")

    def corrupt(
        self, values: Readings, level: float, past: float, state: Any, rng: np.random.Generator
    ) -> tuple[Readings | None, Any]:
        """The values and what has come together since the onset."""
        return {name: typed(value + self.slope * past * level, value) for name, value in values.items()}, state
