"""Where the tool is, as the robot's own controller tells it from its joints."""

import numpy as np
from pydantic import Field

from twinlab import frames
from twinlab.readings import Readings, Variable
from twinlab.sensors import Moment, Sensor


class Tcp(Sensor):
    """Position and yaw of the tool centre point, as the controller computes them from the joints."""

    link: str = Field("arm/panda_grasptarget", description="the tool's link")

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """x, y, z [m] and yaw [rad]."""
        return (
            Variable(name, (f"{name}_axis",), (4,), "float32", "m m m rad", "vector", labels=("x", "y", "z", "yaw")),
        )

    def read(self, name: str, moment: Moment, state: None) -> tuple[Readings, None]:
        """Forward kinematics, by the physics."""
        pose = moment.snapshot.pose(self.link)
        return {name: np.array([*pose[:3], frames.yaw(pose)], np.float32)}, None
