"""The task's steps on truth: what the line could do if everything were known."""

from dataclasses import dataclass, field

import numpy as np

from twinlab.language import Meaning
from twinlab.policies._acting import Acting
from twinlab.readings import Readings
from twinlab.scene import SceneSpec, read_scene


@dataclass
class Expert:
    """Runs the task's steps by the twin's truth; it says so by `sees_truth`.

    It keeps nothing from tick to tick: what it does follows from the readings and the truth of the moment.

    Attributes:
        spec: the line.
    """

    spec: SceneSpec = field(default_factory=lambda: read_scene("sorting"))
    sees_truth: bool = True
    sees_pictures: bool = False

    def __post_init__(self) -> None:
        self._acting = Acting(self.spec)

    def reset(self, seed: int, meaning: Meaning) -> None:
        """Nothing to forget: the goal comes with the truth."""

    def __call__(self, readings: Readings) -> np.ndarray:
        """Set-points (actuator,): what the task orders at this moment."""
        return self._acting(readings, readings)
