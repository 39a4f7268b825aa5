"""The currents of a robot's motors, as Hall sensors in their leads tell them."""

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from twinlab.readings import Readings, Variable
from twinlab.sensors import Draw, Moment, Sensor


@dataclass(frozen=True, eq=False)
class State:
    """What current sensors keep.

    Attributes:
        start: time of the first sample [s].
        zero: where the zero of each goes as it warms up [A] (joint,).
    """

    start: float
    zero: np.ndarray


class Current(Sensor):
    """The current that makes torque in each motor of a robot, with its sign.

    A motor turns its joint and overcomes the friction of motor and gear: current = (torque + friction)/constant. The
    friction grows with the velocity to a limit, and stands against it. What static friction holds, and what a motor
    takes without a load beyond friction, are left out.

    Defaults are those of an Allegro ACS712-20A in front of a converter of 12 bits and 5 V; friction is a Franka
    Panda's.
    """

    effects: ClassVar[tuple[str, ...]] = ("noise", "drift")
    gain_error: tuple[float, ...] = Field(
        (0.015,), description="standard deviation of the scale's error, per episode [1]"
    )
    quantum: tuple[float, ...] = Field((0.0122,), description="smallest step of a current [A]")
    saturation: tuple[float, ...] = Field((20,), description="largest magnitude of a current [A]")
    of: str = Field("arm", description="the robot")
    joints: tuple[str, ...] = Field(tuple(f"panda_joint{i}" for i in range(1, 8)), description="which joints")
    constant: tuple[float, ...] = Field(
        (13.6, 14.3, 11.4, 11.4, 11.8, 11.8, 11.8),
        description="torque at the joint by current: the motor's constant times the gear's ratio [N m/A]",
    )
    friction: tuple[float, ...] = Field(
        (0.273, 0.436, 0.320, 0.640, 0.420, 0.152, 0.282), description="friction of a joint that moves fast [N m]"
    )
    knee: tuple[float, ...] = Field(
        (0.391, 0.221, 0.197, 0.358, 0.240, 0.117, 0.193),
        description="velocity at which friction has reached 0.76 of that [rad/s]",
    )
    noise: float = Field(0.0167, ge=0, description="standard deviation of the noise [A]")
    drift: float = Field(0.014, ge=0, description="standard deviation of how far the zero goes in warming up [A]")
    warm_up: float = Field(600, gt=0, description="time in which it has gone 0.63 of that way [s]")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for key in ("constant", "friction", "knee"):
            given = getattr(self, key)
            low = 0 if key == "friction" else 1e-9
            if len(given) not in (1, len(self.joints)) or min(given) < low:
                raise ValueError(
                    f"{key} came as {given}; wanted 1 number or {len(self.joints)}, one for each of "
                    f"{list(self.joints)}, {'0 or more' if key == 'friction' else 'above 0'}"
                )
        return self

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """One current a joint [A]."""
        shape = (len(self.joints),)
        return (Variable(name, (f"{self.of}_joint",), shape, "float32", "A", "vector", labels=self.joints),)

    def read(self, name: str, moment: Moment, state: State | None) -> tuple[Readings, State | None]:
        """The true currents, from the torques and velocities of the physics."""
        joints = moment.snapshot.joints[self.of]
        which = [joints.names.index(j) for j in self.joints]
        return {name: self.drawn(joints.torque[which], joints.velocity[which]).astype(np.float32)}, state

    def drawn(self, torque: np.ndarray, velocity: np.ndarray) -> np.ndarray:
        """The currents (joint,) [A] of motors at torques [N m] and velocities [rad/s] of their joints (joint,)."""
        friction = np.array(self.friction) * np.tanh(velocity / np.array(self.knee))
        return np.asarray((torque + friction) / np.array(self.constant))

    def measure(
        self, name: str, moment: Moment, clean: Readings, state: State | None, draw: Draw
    ) -> tuple[Readings, State | None]:
        """The currents after noise and drift of the zero."""
        value = clean[name]
        if self.on("drift"):
            state = state or State(moment.time, self.drift * draw("drift").standard_normal(value.shape))
            value = value + state.zero * -math.expm1((state.start - moment.time) / self.warm_up)
        if self.on("noise"):
            value = value + self.noise * draw("noise").standard_normal(value.shape)
        return {name: value.astype(np.float32)}, state
