"""A sensor that gives the same value again and again, as if it were new."""

from typing import Any, ClassVar

import numpy as np

from twinlab.faults import Fault, Target
from twinlab.readings import Readings


class Freeze(Fault):
    """A sensor repeats the value of the onset with fresh time stamps: a hung driver, a stuck needle."""

    target: ClassVar[Target] = "sensor"

    def corrupt(
        self, values: Readings, level: float, past: float, state: Readings | None, rng: np.random.Generator
    ) -> tuple[Readings | None, Any]:
        """The values of the onset."""
        frozen = values if state is None else state
        return frozen, frozen
