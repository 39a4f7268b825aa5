"""Positions, velocities and motor torques of a robot's joints."""

import numpy as np
from pydantic import Field

from twinlab.readings import Readings, Variable
from twinlab.sensors import Moment, Sensor


class Joints(Sensor):
    """Positions, velocities and motor torques of a robot's joints."""

    of: str = Field("arm", description="the robot")
    joints: tuple[str, ...] = Field(tuple(f"panda_joint{i}" for i in range(1, 8)), description="which joints")

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """Three vectors over the joints."""
        units = {"position": "rad", "velocity": "rad s-1", "torque": "N m"}
        dims, shape = (f"{self.of}_joint",), (len(self.joints),)
        return tuple(
            Variable(f"{name}_{what}", dims, shape, "float32", unit, "vector", labels=self.joints)
            for what, unit in units.items()
        )

    def read(self, name: str, moment: Moment, state: None) -> tuple[Readings, None]:
        """The joints as the physics has them."""
        joints = moment.snapshot.joints[self.of]
        which = [joints.names.index(j) for j in self.joints]
        values = {"position": joints.position, "velocity": joints.velocity, "torque": joints.torque}
        return {f"{name}_{what}": value[which].astype(np.float32) for what, value in values.items()}, None
