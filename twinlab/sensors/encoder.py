"""A belt's encoder: how far its surface has run, and how fast it runs."""

import numpy as np
from pydantic import Field

from twinlab.readings import Readings, Variable
from twinlab.sensors import Moment, Sensor


class Encoder(Sensor):
    """How far a belt's surface has run since reset, and its speed."""

    of: str = Field("belt", description="the belt")

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """Travel [m] and speed [m/s]."""
        labels = ("travel", "speed")
        return (Variable(name, (f"{name}_axis",), (2,), "float32", "m m s-1", "vector", labels=labels),)

    def read(self, name: str, moment: Moment, state: None) -> tuple[Readings, None]:
        """What the physics drives the surface with."""
        return {name: np.array(moment.world.travel(self.of), np.float32)}, None
