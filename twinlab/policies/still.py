"""Do nothing: the score that every other policy must beat."""

from dataclasses import dataclass

import numpy as np

from twinlab.language import Meaning
from twinlab.readings import Readings


@dataclass
class Still:
    """Set-points of zero, for ever.

    Attributes:
        actuators: how many numbers an action has [1].
    """

    actuators: int = 6
    sees_truth: bool = False
    sees_pictures: bool = False

    def reset(self, seed: int, meaning: Meaning) -> None:
        """Nothing to forget."""

    def __call__(self, readings: Readings) -> np.ndarray:
        """Zeros (actuator,)."""
        return np.zeros(self.actuators, np.float32)
