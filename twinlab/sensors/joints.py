"""Positions, velocities and torques of a robot's joints."""

from typing import ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from twinlab.readings import Readings, Variable
from twinlab.sensors import Draw, Moment, Sensor


class Joints(Sensor):
    """Positions, velocities and torques of a robot's joints.

    An encoder on the joint's own side gives whole steps; what it calls zero is a bit off (`offset_error`). Velocities
    are the controller's, torques those of torque sensors behind the gears. Defaults are those of a Franka Panda.
    """

    effects: ClassVar[tuple[str, ...]] = ("encoder", "velocity", "torque")
    offset_error: tuple[float, ...] = Field(
        (0.0002, 0, 0), description="standard deviation of the zero's error, per episode: position, velocity, torque"
    )
    of: str = Field("arm", description="the robot")
    joints: tuple[str, ...] = Field(tuple(f"panda_joint{i}" for i in range(1, 8)), description="which joints")
    bits: int = Field(20, ge=1, le=32, description="of the encoders: a turn has 2 to the power of so many steps [1]")
    velocity_noise: float = Field(0.005, ge=0, description="standard deviation of the velocity's noise [rad/s]")
    torque_noise: tuple[float, ...] = Field(
        (0.125, 0.178, 0.114, 0.169, 0.078, 0.089, 0.025),
        description="standard deviation of the torque's noise, one for all joints or one each [N m]",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.torque_noise) not in (1, len(self.joints)) or min(self.torque_noise) < 0:
            raise ValueError(
                f"torque_noise came as {self.torque_noise}; wanted 1 number or {len(self.joints)}, one for each of "
                f"{list(self.joints)}, 0 or more"
            )
        return self

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

    def measure(self, name: str, moment: Moment, clean: Readings, state: None, draw: Draw) -> tuple[Readings, None]:
        """The joints as encoders and torque sensors have them."""
        position, velocity, torque = (clean[f"{name}_{what}"] for what in ("position", "velocity", "torque"))
        if self.on("encoder"):
            step = 2 * np.pi / 2**self.bits
            position = (np.rint(position.astype(float) / step) * step).astype(np.float32)
        if self.on("velocity"):
            noise = self.velocity_noise * draw("velocity").standard_normal(velocity.shape)
            velocity = (velocity + noise).astype(np.float32)
        if self.on("torque"):
            noise = np.array(self.torque_noise) * draw("torque").standard_normal(torque.shape)
            torque = (torque + noise).astype(np.float32)
        return {f"{name}_position": position, f"{name}_velocity": velocity, f"{name}_torque": torque}, None
