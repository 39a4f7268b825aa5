"""A sliding door: a panel on rails, driven by a motor that an obstacle stops."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from pydantic import Field

from twinlab import frames, meshes
from twinlab.bodies import VARIES, Body, Value, Vector, flag
from twinlab.events import Item
from twinlab.snapshot import Piece
from twinlab.world import Link, World

PANEL = "panel"  # the link that slides
_END = 0.002  # nearer to an end than this counts as there: where its limit switches sit [m]
_STEEL: Vector = (0.45, 0.47, 0.5)


@dataclass(frozen=True)
class Slid:
    """How a door stands.

    Attributes:
        asked: whether it shall be open.
        position: how far it is open [m].
    """

    asked: bool
    position: float


class Door(Body):
    """A door that slides level on two rails; over a machine it is a loading hatch, such as gantry loaders work through.

    Its motor presses with at most `force`, by default the 75 N that ISO 14120 allows a power-operated guard without
    further protection. So a panel that meets an obstacle stops there, and goes on when it is gone.
    """

    position: Vector = Field((0.5, 0, 0.25), description="middle of the panel's underside where it is closed [m]")
    yaw: float = Field(0, description="heading that it opens to [rad]")
    size: Vector = Field((0.2, 0.26, 0.008), description="panel: length along its way, width, thickness [m]")
    stroke: float = Field(0.2, gt=0, description="how far it opens [m]")
    speed: float = Field(0.3, ge=0, description="speed of its motor [m/s]")
    force: float = Field(75, gt=0, description="highest force of its motor [N]")
    mass: float = Field(2.0, gt=0, description="mass of the panel [kg]")
    opened: bool = Field(True, description="whether it is open at first")
    friction: float = Field(0.4, ge=0, description="Coulomb friction coefficient of the panel [1]")
    colour: Vector = Field((0.9, 0.62, 0.12), description="of the panel, sRGB in 0–1")
    spread: float = Field(0.3, ge=0, lt=1, description="speed varies by up to this share [1]", json_schema_extra=VARIES)

    def drawn(self, rng: np.random.Generator) -> Self:
        """The door as fast as it is in one episode."""
        speed = self.speed * (1 + self.spread * rng.uniform(-1, 1))
        return type(self).model_validate({**self.model_dump(), "speed": speed, "spread": 0.0})

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> Slid:
        """Add rails and panel, open or closed."""
        x, y, t = self.size
        beam = meshes.box((x + self.stroke, 0.01, 2 * t))
        rails = [Piece(beam, frames.pose((self.stroke / 2, side * (y / 2 + 0.007), t)), _STEEL) for side in (-1, 1)]
        panel = Link(
            PANEL, (Piece(meshes.box(self.size), frames.IDENTITY, self.colour, 0.2),), frames.pose((0, 0, t / 2)),
            joint="prismatic", axis=(1, 0, 0), low=0, high=self.stroke, mass=self.mass, friction=self.friction,
        )  # fmt: skip
        world.assemble(name, rails, [panel], frames.pose(self.position, self.yaw))
        at = self.stroke if self.opened else 0.0
        world.set_joints(name, {PANEL: at})
        return Slid(self.opened, at)

    def command(self, name: str, world: World, state: Slid, values: Mapping[str, float], tick: float) -> Slid:
        """Drive the panel to the end that is asked for, but not into it."""
        at = float(world.joints(name).position[0])
        left = (self.stroke if state.asked else 0.0) - at
        world.lead(name, [PANEL], [float(np.clip(left / tick, -self.speed, self.speed))], [self.force])
        return replace(state, position=at)

    def tags(self, name: str, world: World, state: Slid) -> Mapping[str, Value]:
        """Whether it is open, whether it is closed, how far it is open [m]: as sampled at the begin of the tick."""
        at = state.position
        return {"open": at > self.stroke - _END, "closed": at < _END, "position": at}

    def writable(self) -> tuple[str, ...]:
        """`open`: what is written is asked for, what is read is whether it is so."""
        return ("open",)

    def write(self, name: str, world: World, state: Slid, tag: str, value: Value) -> Slid:
        """Ask it to open or to close."""
        return replace(state, asked=flag(f"{name}.{tag}", value, "true to open, false to close"))
