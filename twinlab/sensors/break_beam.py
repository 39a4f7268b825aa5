"""A light barrier: on when something stands in its beam."""

import numpy as np
from pydantic import Field

from twinlab.readings import Readings, Variable
from twinlab.sensors import Moment, Sensor

Vector = tuple[float, float, float]


class BreakBeam(Sensor):
    """A through-beam light barrier, an ideal line from sender to receiver."""

    start: Vector = Field((0.35, 0.5, 0.12), description="sender [m]")
    end: Vector = Field((0.65, 0.5, 0.12), description="receiver [m]")

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """One bit."""
        return (Variable(name, (), (), "bool", "1", "pulse"),)

    def read(self, name: str, moment: Moment, state: None) -> tuple[Readings, None]:
        """Whether a ray from sender to receiver meets anything."""
        return {name: (moment.world.rays(np.array([self.start]), np.array([self.end])) < 1)[0].reshape(())}, None
