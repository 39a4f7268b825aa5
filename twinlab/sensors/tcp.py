"""Where the tool is, as the robot's own controller tells it from its joints."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from twinlab import frames
from twinlab.frames import DOWN
from twinlab.readings import Readings, Variable
from twinlab.sensors import Draw, Moment, Sensor, Vector

_SPREAD = 3.62  # ISO 9283: mean plus three standard deviations of the distance, in those of one axis (Maxwell)


class Tcp(Sensor):
    """Position and yaw of the tool centre point, as the controller computes them from the joints.

    What the controller takes the arm's lengths and zeros to be is a bit off (`offset_error`), and what the joints'
    encoders do not see, such as bending and play, differs from one moment to the next within the repeatability.
    Defaults are those of a calibrated Franka Panda.
    """

    effects: ClassVar[tuple[str, ...]] = ("repeatability",)
    offset_error: tuple[float, ...] = Field(
        (0.0002, 0.0002, 0.0002, 0.0005),
        description="standard deviation of the zero's error, per episode: x, y, z, yaw",
    )
    link: str = Field("arm/panda_grasptarget", description="the tool's link")
    turn: Vector = Field(DOWN, description="roll, pitch, yaw of the tool's frame when its yaw is 0, as the arm's [rad]")
    repeatability: float = Field(0.0001, ge=0, description="pose repeatability after ISO 9283 [m]")
    turning: float = Field(0.0002, ge=0, description="standard deviation of the yaw's noise [rad]")

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """x, y, z [m] and yaw [rad]."""
        axes, about = ("x", "y", "z", "yaw"), {"link": self.link, "turn": list(self.turn), **self._mounts(moment)}
        return (Variable(name, (f"{name}_axis",), (4,), "float32", "m m m rad", "vector", labels=axes, about=about),)

    def _mounts(self, moment: Moment) -> dict[str, list[float] | list[str]]:
        """Where on the tool the links of its arm are that carry cameras: their names, and one pose after another."""
        arm, tool = self.link.partition("/")[0], frames.inverse(moment.snapshot.pose(self.link))
        links = sorted({c.camera.link for c in moment.cameras.values()})
        links = [link for link in links if link.partition("/")[0] == arm]
        poses = [frames.compose(tool, moment.snapshot.pose(link)) for link in links]
        return {"mounts": links, "mount_poses": [float(x) for pose in poses for x in pose]} if links else {}

    def read(self, name: str, moment: Moment, state: None) -> tuple[Readings, None]:
        """Forward kinematics, by the physics."""
        pose = moment.snapshot.pose(self.link)
        return {name: np.array([*pose[:3], frames.tool_yaw(pose, self.turn)], np.float32)}, None

    def measure(self, name: str, moment: Moment, clean: Readings, state: None, draw: Draw) -> tuple[Readings, None]:
        """The same, within the repeatability."""
        if not self.on("repeatability"):
            return clean, None
        spread = np.array([*(self.repeatability / _SPREAD,) * 3, self.turning])
        return {name: (clean[name] + spread * draw("repeatability").standard_normal(4)).astype(np.float32)}, None
