"""A suction cup on an arm: it holds what its lip lies on all around, until the load breaks its seal."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from pydantic import Field

from twinlab import frames
from twinlab.bodies import Actuator, Body, Value
from twinlab.events import Event, Item
from twinlab.world import World

_MOST = 1.0  # what the constraint carries along each axis, over the holding force; beyond it the rubber gives way
_RAYS = 8  # around the lip, which tell whether a face is below it everywhere
_BESIDE, _ABOVE = 0.003, 0.01  # how far beside the lip and behind the mouth these rays start [m]


@dataclass(frozen=True)
class Vacuum:
    """What a cup does.

    Attributes:
        on: whether its ejector sucks.
        lost: when it last let go; it does not seal again at once [s].
        load: share of what it can hold that hangs on it, smoothed as its rubber does [1].
    """

    on: bool = False
    lost: float = -1.0
    load: float = 0.0


class Suction(Body):
    """A suction cup with an ejector.

    Its set-point is the ejector's: below -0.1 it sucks, above 0.1 it blows off, in between nothing changes; so closing
    and opening have the signs that they have for fingers. Its lip is soft and stands out from the solid that collides
    by `reach`; it seals on the face of a loose body that is that near, level with the mouth, and reaches beyond the lip
    on all sides. What is sealed hangs on a constraint that carries pressure, pull, shear and torques, along each axis
    up to the holding force; while it does, it does not collide with the cup, as pressure would then be carried twice.

    The vacuum presses cup and face together with `force`. A pull takes from that pressure, a shear needs it times the
    friction coefficient to be held, a torque shifts it to one side of the lip. The seal breaks when

        pull + shear / friction + torque / radius > force,

    the first two terms as in the load cases of Schmalz ("Theoretical holding force of a suction cup": m (g + a / mu) S
    for a cup that is moved sideways), the third by the balance of a lip that is about to lift on one side. A twist
    about the mouth's axis counts as friction of a ring does, as shear of twist / radius. Loads are smoothed over
    `give`, what the rubber takes up: an arm that changes its speed between two physics steps jerks harder than a real
    one.
    """

    of: str = Field("arm", description="the arm that it is mounted on")
    link: str = Field("cup_tip", description="the arm's link at the cup's mouth, whose z axis looks out of it")
    diameter: float = Field(0.05, gt=0, description="of the lip [m]")
    force: float = Field(60, gt=0, description="what presses it on: vacuum times area, less what leaks [N]")
    friction: float = Field(0.5, gt=0, description="Coulomb friction coefficient between lip and face [1]")
    reach: float = Field(0.002, gt=0, description="how far the lip stands out of the mouth [m]")
    tilt: float = Field(0.1, gt=0, lt=0.5, description="how far a face may be tilted against the mouth [rad]")
    gap: float = Field(0.006, gt=0, description="how far what is held may be off its place at the mouth [m]")
    settle: float = Field(0.15, ge=0, description="how long after letting go it can seal again [s]")
    give: float = Field(0.02, gt=0, description="time constant of the rubber [s]")

    def needs(self) -> tuple[str, ...]:
        """Its arm."""
        return (self.of,)

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> Vacuum:
        """Nothing is held at first; the cup's shape is mounted by the arm."""
        world.pose(self._mouth())  # an unknown link is told here
        return Vacuum()

    def actuators(self, name: str) -> tuple[Actuator, ...]:
        """The ejector: -1 sucks, 1 blows off."""
        return (Actuator(name, -1.0, 1.0, "1"),)

    def command(self, name: str, world: World, state: Vacuum, values: Mapping[str, float], tick: float) -> Vacuum:
        """Switch the ejector; blowing lets go."""
        if values[name] > 0.1:
            world.untie(self._mouth())
            return Vacuum(False, world.time)
        return replace(state, on=True) if values[name] < -0.1 else state

    def advance(self, name: str, world: World, state: Vacuum) -> tuple[Vacuum, tuple[Event, ...]]:
        """Seal what is at the mouth; let go what hangs too heavily on it."""
        mouth = self._mouth()
        if world.tied(mouth):
            share = min(1.0, world.timestep / self.give)
            load = state.load + share * (self.load(world) - state.load)
            if load > 1 or world.stretch(mouth) > self.gap:
                world.untie(mouth)
                return replace(state, load=0.0, lost=world.time), ()
            return replace(state, load=load), ()
        if state.on and world.time - state.lost >= self.settle and (found := self._faced(world)):
            world.tie(mouth, found, _MOST * self.force)
        return state, ()

    def holds(self, name: str, world: World) -> tuple[str, ...]:
        """What the cup is sealed to."""
        held = world.tied(self._mouth())
        return (held,) if held else ()

    def tags(self, name: str, world: World, state: Vacuum) -> Mapping[str, Value]:
        """The ejector's valve, the vacuum switch, and how much of what it can hold hangs on it [1]."""
        return {"on": state.on, "sealed": bool(world.tied(self._mouth())), "load": state.load}

    def load(self, world: World) -> float:
        """The share of what it can hold that hung on it in the last step [1]; below 0 where it is pressed on."""
        fx, fy, pull, tx, ty, twist = world.burden(self._mouth()).tolist()
        radius = self.diameter / 2
        shear = math.hypot(fx, fy) + abs(twist) / radius
        return (pull + shear / self.friction + math.hypot(tx, ty) / radius) / self.force

    def _mouth(self) -> str:
        return f"{self.of}/{self.link}"

    def _faced(self, world: World) -> str:
        """The loose body that lies before the mouth wherever the lip is, "" for none."""
        mouth, reach = world.pose(self._mouth()), self.diameter + _ABOVE
        if not any(world.loose(other) for other in world.within(mouth[:3] - reach, mouth[:3] + reach)):
            return ""
        angle = 2 * np.pi * np.arange(_RAYS) / _RAYS
        radius, slope = self.diameter / 2 + _BESIDE, self.diameter * np.tan(self.tilt)
        lip = np.column_stack([radius * np.cos(angle), radius * np.sin(angle), np.full(_RAYS, -_ABOVE)])
        length = _ABOVE + self.reach + slope
        middle = np.array([[0, 0, -_ABOVE], [0, 0, length - _ABOVE]])
        if not world.hits(*frames.apply(mouth, middle)[:, None])[1][0]:
            return ""
        shares, met = world.hits(frames.apply(mouth, lip), frames.apply(mouth, lip + np.array([0, 0, length])))
        level = np.ptp(shares) * length < slope and shares.min() * length < _ABOVE + self.reach
        return met[0] if level and set(met) == {met[0]} and met[0] and world.loose(met[0]) else ""
