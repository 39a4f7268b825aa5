"""A scale: the mass that stands on a body, weighed by a load cell."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from twinlab.readings import Readings, Variable
from twinlab.sensors import Draw, Moment, Sensor, Vector
from twinlab.sensors._memory import play
from twinlab.sensors._noise import Filtered, low_pass, walk


@dataclass(frozen=True, eq=False)
class State:
    """What a scale keeps; all masses are arrays of no dimension [kg].

    Attributes:
        tare: what stood on it at reset.
        filtered: the low-pass.
        crept: the load that the cell's body has crept after.
        shown: the load with hysteresis, None before the first sample.
        zero: how far its zero has wandered, for a drift of 1.
        time: of the last sample [s].
    """

    tare: np.ndarray
    filtered: Filtered
    crept: np.ndarray
    shown: np.ndarray | None = None
    zero: np.ndarray | None = None
    time: float = 0.0


class Scale(Sensor):
    """A load cell under a body, tared at reset; the clean value is what presses on the body at that instant.

    Forces count that press on the body and that rub on it, so that what leans on a wall weighs what it should.

    Defaults are those of a 3 kg cell of class C3 (OIML R 60) with a 24-bit converter HX711 at 10 samples a second.
    """

    effects: ClassVar[tuple[str, ...]] = ("filter", "creep", "hysteresis", "drift", "noise")
    steady: ClassVar[bool] = True
    rate: float = Field(10, ge=0, description="samples per second, 0 for one each tick [Hz]")
    quantum: tuple[float, ...] = Field((0.001,), description="smallest step of a value, in its unit")
    saturation: tuple[float, ...] = Field((3.0,), description="largest magnitude of a value, in its unit")
    of: str = Field("red_bin", description="the body that stands on the cell")
    low: Vector = Field((-10, -10, -10), description="only what touches it above this corner counts [m]")
    high: Vector = Field((10, 10, 10), description="only what touches it below this corner counts [m]")
    gravity: float = Field(9.81, gt=0, description="with which forces become masses [m/s^2]")
    cutoff: float = Field(3.0, gt=0, description="of the low-pass, of second order [Hz]")
    creep: float = Field(0.000245, ge=0, description="what a load gains in time, a share [1]")
    creep_time: float = Field(600, gt=0, description="time constant of that [s]")
    hysteresis: float = Field(0.0002, ge=0, lt=1, description="between loading and unloading, a share [1]")
    drift: float = Field(7e-7, ge=0, description="random walk of the zero, per root of time [kg/s^0.5]")
    noise: float = Field(1.5e-5, ge=0, description="standard deviation of a sample [kg]")

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """The mass [kg]."""
        return (Variable(name, (), (), "float32", "kg", "vector"),)

    def read(self, name: str, moment: Moment, state: State | None) -> tuple[Readings, State]:
        """What presses on the body now, over gravity."""
        load = self._load(moment)
        state = state or self._rest(load, moment)
        return {name: np.array(load - state.tare, np.float32)}, state

    def advance(self, name: str, moment: Moment, state: State | None) -> State:
        """Filter the load of this step, and let the cell creep after it."""
        load = self._load(moment)
        state = state or self._rest(load, moment)
        step = moment.world.timestep
        filtered = low_pass((load - state.tare)[None], state.filtered, self.cutoff, step)
        return replace(
            state, filtered=filtered, crept=state.crept + (load - state.tare - state.crept) * step / self.creep_time
        )

    def measure(self, name: str, moment: Moment, clean: Readings, state: State, draw: Draw) -> tuple[Readings, State]:
        """What the converter gives."""
        mass = np.asarray(state.filtered.value if self.on("filter") else clean[name], float)
        if self.on("creep"):
            mass = mass + self.creep * state.crept
        shown, zero = state.shown, state.zero
        if self.on("hysteresis"):
            # Only what the cell carries goes another way down: a filter's overshoot below 0 does not.
            shown = play(shown, np.maximum(mass, 0), self.hysteresis)
            mass = shown + np.minimum(mass, 0)
        if self.on("drift"):
            zero = walk(zero, max(0.0, moment.time - state.time), (), draw("drift"))
            mass = mass + self.drift * zero
        if self.on("noise"):
            mass = mass + self.noise * draw("noise").standard_normal()
        return {name: np.array(mass, np.float32)}, replace(state, shown=shown, zero=zero, time=moment.time)

    def _rest(self, load: np.ndarray, moment: Moment) -> State:
        """A cell that has carried nothing but its tare for ever."""
        nothing = np.zeros(())
        return State(load, low_pass(nothing[None], None, self.cutoff, moment.world.timestep), nothing, time=moment.time)

    def _load(self, moment: Moment) -> np.ndarray:
        """The mass whose weight presses on the body now, an array of no dimension [kg]."""
        found = moment.world.contacts(self.of)
        upward = found.force * found.normals[:, 2] + found.friction[:, 2]
        here = ((found.points >= self.low) & (found.points <= self.high)).all(axis=1)
        return np.array(-upward[here].sum() / self.gravity)
