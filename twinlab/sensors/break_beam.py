"""A light barrier: on when something stands in its beam."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import Field, model_validator

from twinlab.readings import Readings, Variable
from twinlab.sensors import Draw, Moment, Sensor, Vector
from twinlab.sensors._switch import Output, across, disc, settled


@dataclass(frozen=True)
class State:
    """What a light barrier keeps.

    Attributes:
        dark: whether its comparator found too little light last.
        output: what it showed.
    """

    dark: bool
    output: Output


class BreakBeam(Sensor):
    """A through-beam light barrier: the clean value is that of a line from sender to receiver.

    What it measures is the light that a beam of some width brings. It switches when less arrives than it needs, which
    is the full light over the excess gain: with 2, when half of the beam is hidden.

    Defaults are those of a photoelectric sensor Omron E3Z-T61 whose sensitivity was turned down to its target.
    """

    effects: ClassVar[tuple[str, ...]] = ("beam", "noise", "hysteresis", "response", "glitch")
    start: Vector = Field((0.35, 0.5, 0.12), description="sender [m]")
    end: Vector = Field((0.65, 0.5, 0.12), description="receiver [m]")
    diameter: float = Field(0.012, gt=0, description="of the beam [m]")
    excess_gain: float = Field(2.0, gt=1, description="light that arrives over the light that is needed [1]")
    hysteresis: float = Field(0.1, ge=0, description="how much more light switches back, a share [1]")
    noise: float = Field(0.01, ge=0, description="standard deviation of the light, as a share of the full light [1]")
    response: float = Field(0.001, ge=0, description="time for which a change must last before it is shown [s]")
    glitch: float = Field(1e-5, ge=0, lt=1, description="share of samples that are wrong [1]")

    @model_validator(mode="after")
    def _has_length(self) -> "BreakBeam":
        if self.start == self.end:
            raise ValueError(f"start and end are both {self.start}; wanted a sender and a receiver at two places")
        return self

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """One bit."""
        return (Variable(name, (), (), "bool", "1", "pulse"),)

    def read(self, name: str, moment: Moment, state: State | None) -> tuple[Readings, State | None]:
        """Whether a ray from sender to receiver meets anything."""
        met = moment.world.hits(np.array([self.start]), np.array([self.end]))[0] < 1
        return {name: met[0].reshape(())}, state

    def measure(
        self, name: str, moment: Moment, clean: Readings, state: State | None, draw: Draw
    ) -> tuple[Readings, State]:
        """What the receiver makes of the light that arrives."""
        light = self._light(moment) if self.on("beam") else 1.0 - float(clean[name])
        if self.on("noise"):
            light += self.noise * draw("noise").standard_normal()
        needed = 1 / self.excess_gain
        if state is not None and state.dark and self.on("hysteresis"):
            needed *= 1 + self.hysteresis
        dark = light < needed
        response = self.response if self.on("response") else 0.0
        output = settled(state.output if state else None, dark, moment.time, response, draw("response"))
        wrong = self.on("glitch") and draw("glitch").random() < self.glitch
        return {name: np.array(output.on ^ wrong)}, State(dark, output)

    def _light(self, moment: Moment) -> float:
        """The share of the beam that gets through."""
        aside = self.diameter / 2 * disc() @ across(np.subtract(self.end, self.start))
        return float((moment.world.hits(aside + self.start, aside + self.end)[0] == 1).mean())
