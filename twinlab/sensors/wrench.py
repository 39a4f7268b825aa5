"""Force and torque at the wrist."""

from typing import ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from twinlab.readings import Readings, Variable
from twinlab.sensors import Draw, Moment, Sensor
from twinlab.sensors._noise import Filtered, low_pass, walk

_AXES = ("fx", "fy", "fz", "tx", "ty", "tz")


class State(NamedTuple):
    """What a force-torque sensor keeps.

    Attributes:
        loads: of the physics steps since the last sample, which its filter has still to take, each (6,).
        shown: what its filter gave, None before the first physics step.
        time: of the last sample [s].
        cross: how much of each component (column) shows in the others (row), (6, 6), None before the first sample.
        bias: what it shows without a load (6,), None before the first sample.
        walk: how far that has wandered since (6,), in units of the declared drift.
    """

    loads: tuple[np.ndarray, ...] = ()
    shown: Filtered | None = None
    time: float = 0.0
    cross: np.ndarray | None = None
    bias: np.ndarray | None = None
    walk: np.ndarray | None = None


class Wrench(Sensor):
    """Force and torque that the joint of a link carries, in that link's own frame, gravity of the tool included.

    What it shows is lowpass((I + X) load) + bias + drift + noise, with cross-talk X and bias of this episode.
    Defaults are those of a Robotiq FT 300-S.
    """

    effects: ClassVar[tuple[str, ...]] = ("filter", "crosstalk", "bias", "drift", "noise")
    steady: ClassVar[bool] = True
    gain_error: tuple[float, ...] = Field(
        (0.005,), description="standard deviation of the scale's error, per episode [1]"
    )
    quantum: tuple[float, ...] = Field(
        (0.01, 0.01, 0.01, 0.001, 0.001, 0.001), description="smallest step of forces in N, then of torques in N m"
    )
    saturation: tuple[float, ...] = Field(
        (300, 300, 300, 30, 30, 30), description="largest magnitude of forces in N, then of torques in N m"
    )
    link: str = Field("arm/panda_hand", description="the link behind whose joint it sits")
    bandwidth: float = Field(
        50, gt=0, description="of its filter, where 3 dB are lost; none from half the physics' rate on [Hz]"
    )
    force_noise: float = Field(0.1, ge=0, description="standard deviation of a force's noise [N]")
    torque_noise: float = Field(0.005, ge=0, description="standard deviation of a torque's noise [N m]")
    force_bias: float = Field(0.5, ge=0, description="standard deviation of a force's bias, per episode [N]")
    torque_bias: float = Field(0.02, ge=0, description="standard deviation of a torque's bias, per episode [N m]")
    force_drift: float = Field(0.01, ge=0, description="random walk of a force's bias [N/s^0.5]")
    torque_drift: float = Field(0.001, ge=0, description="random walk of a torque's bias [N m/s^0.5]")
    crosstalk: float = Field(
        0.005, ge=0, description="share of full scale that full scale of another axis brings, standard deviation [1]"
    )
    lever: float = Field(0.1, gt=0, description="full scale of the torques over that of the forces [m]")

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """fx, fy, fz [N] and tx, ty, tz [N m]."""
        return (Variable(name, (f"{name}_axis",), (6,), "float32", "N N N N m N m N m", "vector", labels=_AXES),)

    def read(self, name: str, moment: Moment, state: State | None) -> tuple[Readings, State | None]:
        """The constraint force that the solver found in the last physics step."""
        return {name: moment.world.reaction(self.link).astype(np.float32)}, state

    def advance(self, name: str, moment: Moment, state: State | None) -> State | None:
        """Keep the load of this step for the filter, which takes all that came since the last sample at once."""
        if not self.on("filter"):
            return state
        state = state or State()
        return state._replace(loads=(*state.loads, moment.world.reaction(self.link)))

    def measure(
        self, name: str, moment: Moment, clean: Readings, state: State | None, draw: Draw
    ) -> tuple[Readings, State]:
        """The load after filter, cross-talk, bias, drift and noise."""
        state = state or State()
        if state.loads:
            filtered = low_pass(np.array(state.loads), state.shown, self.bandwidth, moment.world.timestep)
            state = state._replace(loads=(), shown=filtered)
        state = self.begun(state, moment.time, draw)
        shown = clean[name] if state.shown is None else state.shown.value
        if state.cross is not None:
            shown = shown + state.cross @ shown
        if state.bias is not None:
            shown = shown + state.bias
        if state.walk is not None:
            shown = shown + self._each(self.force_drift, self.torque_drift) * state.walk
        if self.on("noise"):
            shown = shown + self._each(self.force_noise, self.torque_noise) * draw("noise").standard_normal(6)
        return {name: shown.astype(np.float32)}, state

    def begun(self, state: State, time: float, draw: Draw) -> State:
        """The state at the time of a sample [s]: this episode's constants drawn, the bias wandered on."""
        cross, bias, gone = state.cross, state.bias, state.walk
        if self.on("crosstalk") and cross is None:
            full = self._each(1.0, self.lever)
            cross = self.crosstalk * draw("crosstalk").standard_normal((6, 6)) * full[:, None] / full
            np.fill_diagonal(cross, 0)  # that would be an error of the scale
        if self.on("bias") and bias is None:
            bias = self._each(self.force_bias, self.torque_bias) * draw("bias").standard_normal(6)
        if self.on("drift"):
            gone = walk(gone, time - state.time, (6,), draw("drift"))
        return State(state.loads, state.shown, time, cross, bias, gone)

    @staticmethod
    def _each(force: float, torque: float) -> np.ndarray:
        return np.array([force, force, force, torque, torque, torque])
