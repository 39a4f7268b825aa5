"""An inertial measurement unit: specific force and angular rate of the link that it is fixed to."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from twinlab import frames
from twinlab.readings import Readings, Variable
from twinlab.sensors import Draw, Moment, Sensor
from twinlab.sensors._noise import Filtered, flicker, low_pass, walk


@dataclass(frozen=True, eq=False)
class Stray:
    """How the errors of an IMU go on.

    Attributes:
        time: of the last sample [s].
        flicker: processes of the bias instability (3, ..., 2, 3), None if that is off.
        walk: random walk of the bias (..., 2, 3), None if that is off.
    """

    time: float
    flicker: np.ndarray | None
    walk: np.ndarray | None


@dataclass(frozen=True, eq=False)
class State:
    """What an IMU keeps between physics steps.

    Attributes:
        speed: of its link, linear [m/s] and angular [rad/s], in the world (6,).
        felt: specific force [m/s^2] and angular rate [rad/s] in its own axes (2, 3), without any effect.
        shown: the same behind its filter, None before the first physics step.
        stray: its errors, None before the first sample.
    """

    speed: np.ndarray
    felt: np.ndarray
    shown: Filtered | None = None
    stray: Stray | None = None


class Imu(Sensor):
    """Specific force and angular rate of a link in its own axes; at rest it feels gravity's reaction, upwards.

    The force is the change of the link's velocity in a physics step, which is the mean over that step. White noise,
    bias instability and random walk are those of IEEE Std 952, the same on all three axes; the turn-on bias is the
    common `offset_error`. A sample carries the white noise of the whole `bandwidth`, however rarely one is taken.

    Defaults are those of an Analog Devices ADIS16448.
    """

    effects: ClassVar[tuple[str, ...]] = ("filter", "white", "instability", "walk")
    steady: ClassVar[bool] = True
    gain_error: tuple[float, ...] = Field(
        (0.005,), description="standard deviation of the scale's error, per episode [1]"
    )
    offset_error: tuple[float, ...] = Field(
        (0.196, 0.0087), description="standard deviation of the turn-on bias in m/s^2, then in rad/s"
    )
    quantum: tuple[float, ...] = Field((0.00817, 0.000698), description="smallest step in m/s^2, then in rad/s")
    saturation: tuple[float, ...] = Field((176.5, 17.45), description="largest magnitude in m/s^2, then in rad/s")
    link: str = Field("arm/panda_hand", description="the link that it is fixed to")
    bandwidth: float = Field(
        50, gt=0, description="of its filter, where 3 dB are lost; none from half the physics' rate on [Hz]"
    )
    force_noise: float = Field(0.00226, ge=0, description="noise density of the specific force [m/s^2/Hz^0.5]")
    rate_noise: float = Field(0.000236, ge=0, description="noise density of the angular rate [rad/s/Hz^0.5]")
    force_instability: float = Field(0.00245, ge=0, description="lowest Allan deviation of the force [m/s^2]")
    rate_instability: float = Field(0.0000703, ge=0, description="lowest Allan deviation of the rate [rad/s]")
    force_walk: float = Field(0.0002, ge=0, description="random walk of the force's bias [m/s^2.5]")
    rate_walk: float = Field(0.000004, ge=0, description="random walk of the rate's bias [rad/s^1.5]")

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """Specific force [m/s^2] and angular rate [rad/s] along x, y, z."""
        units = {"force": "m s-2", "rate": "rad s-1"}
        return tuple(
            Variable(f"{name}_{what}", (f"{name}_axis",), (3,), "float32", unit, "vector", labels=("x", "y", "z"))
            for what, unit in units.items()
        )

    def read(self, name: str, moment: Moment, state: State | None) -> tuple[Readings, State]:
        """What the last physics step did to the link."""
        state = state or self._felt(moment, None)
        return _named(name, state.felt), state

    def advance(self, name: str, moment: Moment, state: State | None) -> State:
        """Take the change of velocity of this physics step, and let the filter go on."""
        new = self._felt(moment, state)
        if self.on("filter"):
            before = state.shown if state else None
            new = replace(new, shown=low_pass(new.felt[None], before, self.bandwidth, moment.world.timestep))
        return new

    def measure(self, name: str, moment: Moment, clean: Readings, state: State, draw: Draw) -> tuple[Readings, State]:
        """What was felt, behind the filter, with the sensor's noise and wandering bias."""
        error, stray = self.stray(state.stray, moment.time, draw)
        shown = state.felt if state.shown is None else state.shown.value
        return _named(name, shown + error), replace(state, stray=stray)

    def stray(
        self, before: Stray | None, time: float, draw: Draw, shape: tuple[int, ...] = ()
    ) -> tuple[np.ndarray, Stray]:
        """The errors of one sample and how they go on.

        Args:
            before: what the last call gave, None at first.
            time: of the sample [s].
            draw: the random stream of each effect.
            shape: of a set of IMUs that are followed at once, () for one.

        Returns:
            Errors of force [m/s^2] and rate [rad/s], (*shape, 2, 3), and what to keep.
        """
        shape = (*shape, 2, 3)
        elapsed = time - before.time if before else 0.0
        flickered = wandered = None
        error = np.zeros(shape)
        if self.on("white"):
            spread = np.array([[self.force_noise], [self.rate_noise]]) * np.sqrt(self.bandwidth)
            error += spread * draw("white").standard_normal(shape)
        if self.on("instability"):
            flickered = flicker(before.flicker if before else None, elapsed, shape, draw("instability"))
            error += np.array([[self.force_instability], [self.rate_instability]]) * flickered.sum(axis=0)
        if self.on("walk"):
            wandered = walk(before.walk if before else None, elapsed, shape, draw("walk"))
            error += np.array([[self.force_walk], [self.rate_walk]]) * wandered
        return error, Stray(time, flickered, wandered)

    def _felt(self, moment: Moment, state: State | None) -> State:
        """The state after a physics step; without a state before, nothing has changed its speed."""
        world = moment.world
        speed = world.velocity(self.link)
        force = -np.array([0, 0, world.gravity])
        if state is not None:
            force = force + (speed[:3] - state.speed[:3]) / world.timestep
        turn = frames.matrix(world.pose(self.link))[:3, :3]  # from the link's axes to the world's
        felt = np.array([force, speed[3:]]) @ turn
        return State(speed, felt, stray=state.stray if state else None)


def _named(name: str, values: np.ndarray) -> Readings:
    force, rate = values.astype(np.float32)
    return {f"{name}_force": force, f"{name}_rate": rate}
