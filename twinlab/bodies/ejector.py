"""An ejector: a pusher that sweeps a part off a turntable when the verdict on it was to reject it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from pydantic import Field

from twinlab import frames, meshes
from twinlab.bodies import Actuator, Body, Value, Vector
from twinlab.events import Event, Item
from twinlab.snapshot import Piece
from twinlab.world import Link, World

_HOME = 0.002  # nearer to where it rests counts as home [m]
_GAIN = 0.05  # share of an error in place that is mended in a step
_CREEP = 0.01  # speed with which it starts [m/s]


@dataclass(frozen=True)
class Progress:
    """How far an ejector is.

    Attributes:
        wish: its set-point of this tick.
        held: its set-point when the table stood last.
        standing: whether the table stood at the last scan.
        register: the verdicts on the parts between the place of inspection and here, the next to come first.
        verdicts: how many were given.
        rejects: whether the last one was to reject.
        out: whether it goes out.
        reach: how far out its rod should be now [m].
    """

    register: tuple[bool, ...]
    wish: float = 0.0
    held: float = 0.0
    standing: bool = True
    verdicts: int = 0
    rejects: bool = False
    out: bool = False
    reach: float = 0.0


class Ejector(Body):
    """A pneumatic pusher and its shift register, as the PLC of a line keeps one.

    Its actuator takes the verdict on the part that stands where parts are inspected: above 0 rejects it. What it says
    when the table starts to move counts. The verdict then goes along with its part, `delay` moves of the table, and the
    pusher goes out once if it was to reject.
    """

    position: Vector = Field((0.112, 0, 0.252), description="lower edge of the plate where it rests [m]")
    yaw: float = Field(0, description="where it pushes to, angle about z [rad]")
    of: str = Field("table", description="the turntable whose moves it counts")
    delay: int = Field(1, ge=1, description="moves of the table from where parts are inspected to the ejector [1]")
    stroke: float = Field(0.112, gt=0, description="how far it goes out [m]")
    speed: float = Field(0.6, gt=0, le=3, description="of the pusher [m/s]")
    acceleration: float = Field(2, gt=0, description="with which it goes out [m/s^2]")
    force: float = Field(40, gt=0, description="highest force of the pusher [N]")
    plate: Vector = Field((0.006, 0.04, 0.02), description="thickness, width and height of its plate [m]")
    mass: float = Field(0.3, gt=0, description="of rod and plate [kg]")
    friction: float = Field(0.3, ge=0, description="Coulomb friction coefficient of the plate [1]")
    colour: Vector = Field((0.85, 0.55, 0.1), description="sRGB in 0–1 of the plate")

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> Progress:
        """Add the cylinder, and rod and plate that slide in it."""
        t, w, h = self.plate
        back = -t - 0.3 * self.stroke  # front of the cylinder
        rod = self.stroke - back - t
        cylinder = Piece(
            meshes.box((0.6 * self.stroke, 0.9 * w, 1.5 * h)), _at(back - 0.3 * self.stroke, 0.75 * h), _GREY
        )
        plate = Piece(meshes.box(self.plate), _at(-t / 2, h / 2), self.colour)
        bar = Piece(meshes.box((rod, 0.008, 0.008)), _at(-t - rod / 2, 0.6 * h), _STEEL)
        pusher = Link(
            "pusher", (plate, bar), joint="prismatic", axis=(1, 0, 0), low=0, high=self.stroke, mass=self.mass,
            friction=self.friction,
        )  # fmt: skip
        world.assemble(name, [cylinder], [pusher], frames.pose(self.position, self.yaw))
        world.set_joints(name, {"pusher": 0.0})
        return Progress((False,) * (self.delay - 1))

    def actuators(self, name: str) -> tuple[Actuator, ...]:
        """The verdict: above 0 rejects, which is what a part gets that nobody can judge."""
        return (Actuator(name, -1, 1, "1", safe=1.0),)

    def command(self, name: str, world: World, state: Progress, values: Mapping[str, float], tick: float) -> Progress:
        """Take the verdict of this tick."""
        return replace(state, wish=values[name])

    def advance(self, name: str, world: World, state: Progress) -> tuple[Progress, tuple[Event, ...]]:
        """Lead the pusher out and, from the end of its stroke, back again."""
        if not state.out and not state.reach:
            world.drive(name, ["pusher"], [0.0], [self.force], [0.0], _GAIN)
            return state, ()
        speed = min(self.speed, (_CREEP**2 + 2 * self.acceleration * state.reach) ** 0.5) if state.out else -self.speed
        reach = min(self.stroke, max(0.0, state.reach + speed * world.timestep))
        speed = (reach - state.reach) / world.timestep
        world.drive(name, ["pusher"], [state.reach], [self.force], [speed], _GAIN)
        return replace(state, reach=reach, out=state.out and reach < self.stroke), ()

    def tags(self, name: str, world: World, state: Progress) -> Mapping[str, Value]:
        """How many verdicts were given, whether the last was to reject, how far it is out [m], whether it is home."""
        out = float(world.joints(name).position[0])
        home = not state.out and out < _HOME
        return {"verdicts": float(state.verdicts), "rejects": state.rejects, "reach": out, "home": home}

    def scan(
        self, name: str, state: Progress, tags: Mapping[str, Value], time: float
    ) -> tuple[Progress, Mapping[str, Value], tuple[Event, ...]]:
        """Take a verdict when the table starts, act on the oldest when it stops."""
        standing = bool(tags.get(f"{self.of}.standing", True))
        if standing == state.standing:
            return replace(state, held=state.wish if standing else state.held), {}, ()
        if standing:
            return replace(state, standing=True, out=state.register[0], register=state.register[1:], held=0.0), {}, ()
        verdict = state.held > 0
        register = (*state.register, verdict)
        return replace(state, standing=False, register=register, rejects=verdict, verdicts=state.verdicts + 1), {}, ()


_GREY, _STEEL = (0.35, 0.36, 0.38), (0.7, 0.71, 0.73)


def _at(x: float, z: float) -> np.ndarray:
    return frames.pose((x, 0, z))
