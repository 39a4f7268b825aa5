"""A pressure gauge behind a valve: a dial whose needle a spring and the pressure turn."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from twinlab import frames, meshes
from twinlab.bodies import VARIES, Body, Value, Vector
from twinlab.events import Event, Item
from twinlab.snapshot import Piece
from twinlab.world import Link, World

_SWEEP = 1.5 * np.pi  # of the scale, symmetrical about straight up, as EN 837-1 has it [rad]
_NEEDLE = "needle"
_SLOW = 1e-4  # speed below which the needle stands [rad/s]
_TORQUE = 0.5  # of the movement that turns the needle [N m]
_MARKS = 9  # of the scale, both ends included
_INK: Vector = (0.08, 0.08, 0.1)
_FACE: Vector = (0.96, 0.96, 0.94)


@dataclass(frozen=True)
class Pointed:
    """Where a gauge's needle stands.

    Attributes:
        pressure: behind the valve [Pa].
        value: what the needle shows, which follows the pressure within the gauge's lag [Pa].
    """

    pressure: float
    value: float


class Gauge(Body):
    """A dial gauge that shows the pressure behind a valve: that before the valve, times the opening.

    The needle follows with a lag of first order. The valve must stand above it in the scene.
    """

    position: Vector = Field((0.7, 0, 0.85), description="middle of the dial's back [m]")
    facing: float = Field(np.pi, description="heading that the dial faces [rad]")
    radius: float = Field(0.08, gt=0.02, description="of the dial [m]")
    of: str = Field("", description='the valve whose opening it follows, "" for none')
    supply: float = Field(6e5, gt=0, description="pressure before the valve, above that of the air [Pa]")
    full: float = Field(8e5, gt=0, description="end of the scale [Pa]")
    lag: float = Field(0.15, gt=0, description="time constant of the needle [s]")
    swing: float = Field(
        0.12, ge=0, lt=1, description="supply varies by up to this share [1]", json_schema_extra=VARIES
    )

    @model_validator(mode="after")
    def _shows_all(self) -> Self:
        most = self.supply * (1 + self.swing)
        if most > self.full:
            raise ValueError(f"supply reaches {most:.4g} Pa on a scale up to {self.full:.4g} Pa; wanted a longer scale")
        return self

    def drawn(self, rng: np.random.Generator) -> Self:
        """The gauge under the supply pressure of one episode."""
        supply = self.supply * (1 + self.swing * rng.uniform(-1, 1))
        return type(self).model_validate({**self.model_dump(), "supply": supply, "swing": 0.0})

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> Pointed:
        """Add the dial, its needle where the valve stands already."""
        needle = Link(_NEEDLE, self._needle(), frames.pose((0, 0, 0.037)), mass=0.02)
        world.assemble(name, self._dial(), [needle], self._home())
        value = self.supply * _opening(world, self.of)
        world.set_joints(name, {_NEEDLE: self.turned(value)})
        return Pointed(value, value)

    def command(self, name: str, world: World, state: Pointed, values: Mapping[str, float], tick: float) -> Pointed:
        """Let the movement turn the needle evenly to what it shows at the end of the tick."""
        value = state.pressure + (state.value - state.pressure) * math.exp(-tick / self.lag)
        ((angle, _),) = world.motion(name, (_NEEDLE,))
        speed = (self.turned(value) - angle) / tick
        world.lead(name, (_NEEDLE,), [speed if abs(speed) > _SLOW else 0.0], (_TORQUE,))
        return state if value == state.value else replace(state, value=value)

    def needs(self) -> tuple[str, ...]:
        """Its valve."""
        return (self.of,) if self.of else ()

    def scan(
        self, name: str, state: Pointed, tags: Mapping[str, Value], time: float
    ) -> tuple[Pointed, Mapping[str, Value], tuple[Event, ...]]:
        """Take the pressure that follows from the valve's opening."""
        opening = float(tags[f"{self.of}.opening"]) if self.of else 0.0
        return replace(state, pressure=self.supply * opening), {}, ()

    def tags(self, name: str, world: World, state: Pointed) -> Mapping[str, Value]:
        """What the needle shows and the pressure before the valve [Pa]."""
        return {"value": state.value, "supply": self.supply}

    def turned(self, value: float) -> float:
        """The needle's angle [rad] that shows a pressure [Pa], counter-clockwise from straight up."""
        return _SWEEP * (0.5 - value / self.full)

    def _home(self) -> np.ndarray:
        """The dial's frame: z out of its face, x down, y to the right of who looks at it."""
        return frames.from_euler(self.position, (0, np.pi / 2, self.facing))

    def _dial(self) -> list[Piece]:
        """A case, its face, and the marks of the scale."""
        case = Piece(meshes.cylinder(self.radius, 0.03), frames.pose((0, 0, 0.015)), _INK, 0.2)
        face = meshes.surface(meshes.cylinder(0.92 * self.radius, 0.002).mesh)
        mark = meshes.surface(meshes.box((0.14 * self.radius, 0.05 * self.radius, 0.002)).mesh)
        marks = []
        for share in np.linspace(0, 1, _MARKS):
            angle = self.turned(float(share) * self.full)
            at = 0.8 * self.radius * np.array([-np.cos(angle), -np.sin(angle)])
            marks.append(Piece(mark, frames.pose((*at, 0.032), angle), _INK))
        return [case, Piece(face, frames.pose((0, 0, 0.031)), _FACE), *marks]

    def _needle(self) -> tuple[Piece, ...]:
        """A bar that points up where its joint stands at zero, with a short tail, and the hub."""
        r = self.radius
        bar = Piece(meshes.box((0.85 * r, 0.11 * r, 0.003)), frames.pose((-0.275 * r, 0, 0)), (0.85, 0.1, 0.08))
        hub = Piece(meshes.surface(meshes.cylinder(0.12 * r, 0.006).mesh), frames.IDENTITY, _INK)
        return (bar, hub)


def _opening(world: World, valve: str) -> float:
    """The share of its travel [1] at which a valve in the world stands, 0 for none."""
    if not valve:
        return 0.0
    joints = world.joints(valve)
    low, high = world.limits(valve, joints.names)
    return float((joints.position[0] - low[0]) / (high[0] - low[0]))
