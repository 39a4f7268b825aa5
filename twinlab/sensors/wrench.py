"""Force and torque at the wrist."""

import numpy as np
from pydantic import Field

from twinlab.readings import Readings, Variable
from twinlab.sensors import Moment, Sensor


class Wrench(Sensor):
    """Force and torque that the joint of a link carries, in that link's own frame, gravity of the tool included."""

    link: str = Field("arm/panda_hand", description="the link behind whose joint it sits")

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """fx, fy, fz [N] and tx, ty, tz [N m]."""
        labels = ("fx", "fy", "fz", "tx", "ty", "tz")
        return (Variable(name, (f"{name}_axis",), (6,), "float32", "N N N N m N m N m", "vector", labels=labels),)

    def read(self, name: str, moment: Moment, state: None) -> tuple[Readings, None]:
        """The constraint force that the solver found in the last physics step."""
        return {name: moment.world.reaction(self.link).astype(np.float32)}, None
