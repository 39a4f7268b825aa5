"""A sensor whose zero is off."""

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from twinlab.faults import Fault, Target, typed
from twinlab.readings import Readings


class Bias(Fault):
    """A constant is added to all that a sensor gives: a knocked zero, a wrong tare."""

    target: ClassVar[Target] = "sensor"
    kinds: ClassVar[tuple[str, ...]] = ("vector", "depth", "image", "range", "tactile")
    size: float = Field(0.01, description="what is added at full level, in the variable's unit")

    def corrupt(
        self, values: Readings, level: float, past: float, state: Any, rng: np.random.Generator
    ) -> tuple[Readings | None, Any]:
        """The values and the constant."""
        return {name: typed(value + self.size * level, value) for name, value in values.items()}, state
