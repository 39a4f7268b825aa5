"""A suction cup on an arm: it holds what it touches face on, until the load breaks its seal."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from twinlab import frames
from twinlab.bodies import Actuator, Body, Value
from twinlab.events import Item
from twinlab.world import World


@dataclass(frozen=True)
class Vacuum:
    """Whether a cup sucks.

    Attributes:
        on: whether its ejector runs.
        blow: since when it blows off, so that it does not seal again at once [s].
    """

    on: bool = False
    blow: float = -1.0


class Suction(Body):
    """A suction cup with an ejector.

    Its set-point is the ejector's: below -0.1 it sucks, above 0.1 it blows off, in between nothing changes; so closing
    and opening have the signs that they have for fingers. What a sealed cup holds hangs on a constraint that carries
    at most `force`; beyond it, or where the cup was pulled off by `gap`, the seal breaks.
    """

    of: str = Field("arm", description="the arm that it is mounted on")
    link: str = Field("cup_tip", description="the arm's link at the cup's mouth, whose z axis looks out of it")
    force: float = Field(60, gt=0, description="load at which the seal breaks: vacuum times area, less leakage [N]")
    reach: float = Field(0.003, gt=0, description="how near a face must be to the mouth to be sealed [m]")
    tilt: float = Field(0.26, gt=0, description="how far a face may be tilted against the mouth [rad]")
    gap: float = Field(0.006, gt=0, description="how far what is held may be pulled off the mouth [m]")
    settle: float = Field(0.15, ge=0, description="how long it blows off before it can seal again [s]")

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> Vacuum:
        """Nothing is held at first; the cup's shape is mounted by the arm."""
        world.pose(self._mouth())  # an unknown link is told here
        return Vacuum()

    def actuators(self, name: str) -> tuple[Actuator, ...]:
        """The ejector: -1 sucks, 1 blows off."""
        return (Actuator(name, -1.0, 1.0, "1"),)

    def command(self, name: str, world: World, state: Vacuum, values: Mapping[str, float], tick: float) -> Vacuum:
        """Switch the ejector; seal what is at the mouth, or let go."""
        wish = values[name]
        if wish > 0.1:
            world.untie(self._mouth())
            return Vacuum(False, world.time)
        if wish < -0.1:
            state = Vacuum(True, state.blow)
        if not state.on or world.time - state.blow < self.settle:
            return state
        if world.tied(self._mouth()):
            if self._broken(world):
                world.untie(self._mouth())
        elif found := self._faced(world):
            world.tie(self._mouth(), found, 2 * self.force)  # carries more than the seal, which is looked at each tick
        return state

    def holds(self, name: str, world: World) -> tuple[str, ...]:
        """What the cup is sealed to."""
        held = world.tied(self._mouth())
        return (held,) if held else ()

    def tags(self, name: str, world: World, state: Vacuum) -> Mapping[str, Value]:
        """The ejector's valve and the vacuum switch."""
        return {"on": state.on, "sealed": bool(world.tied(self._mouth()))}

    def _mouth(self) -> str:
        return f"{self.of}/{self.link}"

    def _broken(self, world: World) -> bool:
        return world.strain(self._mouth()) > self.force or world.stretch(self._mouth()) > self.gap

    def _faced(self, world: World) -> str:
        """The loose body whose face is at the mouth, "" for none."""
        mouth = world.pose(self._mouth())
        out = frames.axis(mouth, 2)
        contacts = world.contacts(self.of)
        for other, point, normal in zip(contacts.others, contacts.points, contacts.normals, strict=True):
            away = point - mouth[:3]
            level = abs(float(away @ out)) < self.reach
            square = float(-normal @ out) > np.cos(self.tilt)
            if level and square and world.loose(other) and np.linalg.norm(away) < 0.1:
                return other
        return ""
