"""The opening between a gripper's fingers."""

import numpy as np
from pydantic import Field

from twinlab.readings import Readings, Variable
from twinlab.sensors import Moment, Sensor


class Width(Sensor):
    """The opening between a gripper's fingers, told in steps; what homing took for zero is a bit off."""

    offset_error: tuple[float, ...] = Field(
        (0.0002,), description="standard deviation of the zero's error, per episode [m]"
    )
    quantum: tuple[float, ...] = Field((0.0001,), description="smallest step of the width [m]")
    of: str = Field("arm", description="the robot that has the fingers")
    joints: tuple[str, ...] = Field(("panda_finger_joint1", "panda_finger_joint2"), description="the fingers' joints")

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """One number [m]."""
        return (Variable(name, (), (), "float32", "m", "vector"),)

    def read(self, name: str, moment: Moment, state: None) -> tuple[Readings, None]:
        """The sum of the fingers' positions."""
        joints = moment.snapshot.joints[self.of]
        opening = sum(joints.position[joints.names.index(j)] for j in self.joints)
        return {name: np.array(opening, np.float32)}, None
