"""An inductive proximity switch: on when metal is near its face."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import Field, model_validator

from twinlab.readings import Readings, Variable
from twinlab.sensors import Draw, Moment, Sensor, Vector
from twinlab.sensors._switch import Output, across, disc, settled

_BEHIND = 0.02  # how far behind the face its rays start, so that what touches it is not missed [m]
_FAR = 3.0  # how far they look, in nominal sensing distances


@dataclass(frozen=True)
class State:
    """What a switch keeps.

    Attributes:
        near: whether it found a target last.
        output: what it showed.
        share: its own sensing distance over the nominal one [1].
    """

    near: bool
    output: Output
    share: float


class Proximity(Sensor):
    """An inductive switch: the clean value says whether half of its face has a target within the sensing distance.

    Bodies have no material here: all but those in `ignores` are taken to be of the one metal that `factor` stands for.

    Defaults are those of Pepperl+Fuchs NBB4-12GM45-E2, above the sorting line's belt, where it sees parts of 40 mm.
    """

    effects: ClassVar[tuple[str, ...]] = ("spread", "hysteresis", "repeat", "response")
    position: Vector = Field((0.53, 0.6, 0.143), description="middle of its face [m]")
    direction: Vector = Field((0, 0, -1), description="where its face looks, of any length [1]")
    face: float = Field(0.012, gt=0, description="diameter of its face [m]")
    distance: float = Field(0.004, gt=0, description="nominal sensing distance, for mild steel [m]")
    factor: float = Field(1.0, gt=0, le=2, description="reduction factor of the targets' metal, 1 for mild steel [1]")
    ignores: tuple[str, ...] = Field(("belt",), description="bodies that are not of metal")
    spread: float = Field(0.1, ge=0, lt=1, description="how far its own distance may be off the nominal, a share [1]")
    hysteresis: float = Field(0.05, ge=0, description="how much further away it switches off, a share [1]")
    repeat: float = Field(0.0167, ge=0, description="standard deviation of its distance, a share [1]")
    response: float = Field(0.000625, ge=0, description="time for which a change must last before it is shown [s]")

    @model_validator(mode="after")
    def _looks_somewhere(self) -> "Proximity":
        if not np.any(self.direction):
            raise ValueError("direction must not be (0, 0, 0); take (0, 0, -1)")
        return self

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """One bit."""
        return (Variable(name, (), (), "bool", "1", "pulse"),)

    def read(self, name: str, moment: Moment, state: State | None) -> tuple[Readings, State | None]:
        """Whether a target is within the nominal sensing distance for its metal."""
        return {name: np.array(self._gap(moment) <= self.distance * self.factor)}, state

    def measure(
        self, name: str, moment: Moment, clean: Readings, state: State | None, draw: Draw
    ) -> tuple[Readings, State]:
        """Whether this switch, of this distance, shows a target."""
        share = state.share if state else 1 + self.spread * draw("spread").uniform(-1, 1)
        reach = self.distance * self.factor * (share if self.on("spread") else 1.0)
        if self.on("repeat"):
            reach *= 1 + self.repeat * draw("repeat").standard_normal()
        if state is not None and state.near and self.on("hysteresis"):
            reach *= 1 + self.hysteresis
        near = self._gap(moment) <= reach
        response = self.response if self.on("response") else 0.0
        output = settled(state.output if state else None, near, moment.time, response, draw("response"))
        return {name: np.array(output.on)}, State(near, output, share)

    def _gap(self, moment: Moment) -> float:
        """The distance within which half of the face has a target [m], +inf where it has none."""
        ahead = np.divide(self.direction, np.linalg.norm(self.direction))
        starts = self.face / 2 * disc() @ across(ahead) + self.position - _BEHIND * ahead
        length = _BEHIND + _FAR * self.distance
        share, bodies = moment.world.hits(starts, starts + length * ahead)
        gaps = np.maximum(share * length - _BEHIND, 0)
        gaps[[not body or body in self.ignores for body in bodies]] = np.inf
        return float(np.sort(gaps)[len(gaps) // 2 - 1])
