"""A vacuum switch: whether a suction cup has sealed."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from twinlab.readings import Readings, Variable
from twinlab.sensors import Draw, Moment, Sensor
from twinlab.sensors._switch import Output, settled


class Vacuum(Sensor):
    """A pressure switch in a suction cup's line: on when the cup has sealed, after the time that evacuation takes."""

    effects: ClassVar[tuple[str, ...]] = ("response",)
    link: str = Field("arm/cup_tip", description="the link at the cup's mouth")
    response: float = Field(0.05, ge=0, description="time for which a change must last before it is shown [s]")

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """One bit."""
        return (Variable(name, (), (), "bool", "1", "pulse"),)

    def read(self, name: str, moment: Moment, state: Output | None) -> tuple[Readings, Output | None]:
        """Whether something is sealed to the cup."""
        return {name: np.array(bool(moment.world.tied(self.link)))}, state

    def measure(
        self, name: str, moment: Moment, clean: Readings, state: Output | None, draw: Draw
    ) -> tuple[Readings, Output]:
        """The same, a while later."""
        response = self.response if self.on("response") else 0.0
        output = settled(state, bool(clean[name]), moment.time, response, draw("response"))
        return {name: np.array(output.on)}, output
