"""A sensor that becomes noisy."""

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from twinlab.faults import Fault, Target, typed
from twinlab.readings import Readings


class NoiseBurst(Fault):
    """White noise is added to a sensor's values: a welder nearby, a broken shield."""

    target: ClassVar[Target] = "sensor"
    kinds: ClassVar[tuple[str, ...]] = ("vector", "depth", "image", "range", "tactile")
    sigma: float = Field(0.01, gt=0, description="standard deviation at full level, in the variable's unit")

    def corrupt(
        self, values: Readings, level: float, past: float, state: Any, rng: np.random.Generator
    ) -> tuple[Readings | None, Any]:
        """The values and the noise."""
        return {n: typed(v + self.sigma * level * rng.standard_normal(v.shape), v) for n, v in values.items()}, state
