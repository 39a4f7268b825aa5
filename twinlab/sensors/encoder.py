"""A belt's encoder: how far its surface has run, and how fast it runs."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from twinlab.readings import Readings, Variable
from twinlab.sensors import Draw, Moment, Sensor


@dataclass(frozen=True)
class State:
    """What an encoder and its counter keep.

    Attributes:
        wheel: how much further than the belt the wheel seems to run, a share.
        index: where between two counts it started [1].
        passed: counts that have passed.
        lost: those of them that were missed.
        time: of the last sample [s].
    """

    wheel: float
    index: float
    passed: int
    lost: int
    time: float


class Encoder(Sensor):
    """An incremental encoder whose wheel runs on a belt; a counter makes travel and speed of its pulses.

    Speed is the counts since the last sample over the time since then, or one count over the time that it took.

    Defaults are those of a wheel of 200 mm with 2,000 pulses a turn, such as SICK DFV60, all four edges counted.
    """

    effects: ClassVar[tuple[str, ...]] = ("wheel", "count", "miss")
    of: str = Field("belt", description="the belt")
    pulses: float = Field(10_000, gt=0, description="pulses per metre of travel [1/m]")
    edges: Literal[1, 2, 4] = Field(4, description="counts per pulse [1]")
    wheel: float = Field(0.001, ge=0, description="standard deviation of the wheel's error, a share, per episode [1]")
    miss: float = Field(0.0, ge=0, lt=1, description="share of counts that are missed [1]")
    method: Literal["count", "period"] = Field("count", description="how speed is measured")
    timer: float = Field(1e6, gt=0, description="rate of the clock that measures periods [Hz]")
    timeout: float = Field(0.5, gt=0, description="a longer period is shown as standing still [s]")

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """Travel [m] and speed [m/s]."""
        labels = ("travel", "speed")
        return (Variable(name, (f"{name}_axis",), (2,), "float32", "m m s-1", "vector", labels=labels),)

    def read(self, name: str, moment: Moment, state: State | None) -> tuple[Readings, State | None]:
        """What the physics drives the surface with."""
        return {name: np.array(moment.world.travel(self.of), np.float32)}, state

    def measure(
        self, name: str, moment: Moment, clean: Readings, state: State | None, draw: Draw
    ) -> tuple[Readings, State]:
        """What the counter makes of the pulses."""
        travel, speed = moment.world.travel(self.of)
        if state is None:
            wheel = self.wheel * draw("wheel").standard_normal()
            state = State(wheel, draw("count").random(), 0, 0, moment.time)
        scale = 1 + state.wheel if self.on("wheel") else 1.0
        step = 1 / (self.pulses * self.edges)
        passed = int(np.floor(travel * scale / step + state.index))
        came, lost, elapsed = passed - state.passed, state.lost, moment.time - state.time
        if self.on("miss") and self.miss and came:
            lost += int(draw("miss").binomial(abs(came), self.miss) * np.sign(came))
        travel, speed = travel * scale - lost * step, speed * scale
        if self.on("count"):
            travel = (passed - lost) * step
            speed = self._speed(speed, came - (lost - state.lost), elapsed, step)
        after = State(state.wheel, state.index, passed, lost, moment.time)
        return {name: np.array((travel, speed), np.float32)}, after

    def _speed(self, speed: float, counts: int, elapsed: float, step: float) -> float:
        """The speed that is shown [m/s].

        Args:
            speed: of the wheel [m/s].
            counts: since the last sample.
            elapsed: since the last sample [s]; at the first, 0, the wheel's own speed is shown.
            step: of travel that is one count [m].
        """
        if self.method == "count":
            return counts * step / elapsed if elapsed > 0 else speed
        ticks = np.rint(step / max(abs(speed), 1e-12) * self.timer)
        return float(np.sign(speed) * step * self.timer / max(ticks, 1)) if ticks <= self.timeout * self.timer else 0.0
