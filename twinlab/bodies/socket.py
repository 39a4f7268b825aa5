"""A socket: a block with a square hole for a peg, on a fixture that measures how hard it is pressed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from twinlab import frames, meshes
from twinlab.bodies import VARIES, Body, Value, Vector
from twinlab.events import Event, Item
from twinlab.frames import Region
from twinlab.snapshot import Piece
from twinlab.world import World

_NEAR = 0.05  # farther than any robot moves in a tick [m]
_SLOW = 0.002  # what moves less has come to rest [m/s]
_QUIET = 1e-3  # force below which the filter counts as empty [N]
_FLOOR = 0.004  # least thickness of the block under the hole [m]


@dataclass(frozen=True)
class Load:
    """What a socket's force sensor keeps.

    Attributes:
        force: that what touches the socket gives it, after the sensor's filter (3,) [N].
        peak: the largest magnitude of it since reset [N].
        deepest: the deepest penetration of any contact since reset [m].
        near: whether it is looked at in this tick; what stands in it alone presses as it did.
        there: what was near at the begin of this tick.
    """

    force: tuple[float, float, float] = (0.0, 0.0, 0.0)
    peak: float = 0.0
    deepest: float = 0.0
    near: bool = True
    there: tuple[str, ...] = ()


class Socket(Body):
    """A block with a square vertical hole that is a bit wider than its peg, and a chamfer at 45 degrees that leads in.

    It is built of boxes, the only solids of PyBullet's without a margin beside cylinders; contact sinks in by 0.01 to
    0.02 mm. What slides over the chamfer's end catches there unless contacts are forgotten at once: with less than
    0.05 mm of play to each side the scene's `physics.apart` should be 0.0005.
    """

    position: Vector = Field((0.5, 0.15, 0), description="middle of the block's underside [m]")
    yaw: float = Field(0, description="turn of the block about z [rad]")
    size: Vector = Field((0.07, 0.07, 0.035), description="outer edges of the block [m]")
    width: float = Field(0.016, gt=0, description="edge of the peg [m]")
    clearance: float = Field(0.0005, gt=0, description="how much wider the hole is than the peg [m]")
    depth: float = Field(0.025, gt=0, description="of the hole [m]")
    chamfer: float = Field(0.001, ge=0, description="width and depth of the lead-in [m]")
    friction: float = Field(0.4, ge=0, description="Coulomb friction coefficient [1]")
    colour: Vector = Field((0.6, 0.62, 0.66), description="sRGB in 0–1")
    bandwidth: float = Field(50, gt=0, description="of the force sensor's filter, where 3 dB are lost [Hz]")
    scatter: float = Field(
        0.003, ge=0, description="place varies by up to this, in x and y [m]", json_schema_extra=VARIES
    )
    turn: float = Field(0.06, ge=0, description="yaw varies by up to this [rad]", json_schema_extra=VARIES)

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if self.depth + _FLOOR > self.size[2] or self.chamfer > self.depth / 2:
            raise ValueError(
                f"depth came as {self.depth} m and chamfer as {self.chamfer} m in a block {self.size[2]} m high; "
                f"wanted {_FLOOR} m of floor and a chamfer of half the depth at most"
            )
        if self.width + self.clearance + 2 * self.chamfer > min(self.size[:2]) - 0.004:
            raise ValueError(
                f"width came as {self.width} m in a block of {self.size[:2]} m; wanted walls of 2 mm or more"
            )
        return self

    def drawn(self, rng: np.random.Generator) -> Self:
        """The socket where it stands in one episode."""
        x, y, z = self.position
        aside, turn = self.scatter * rng.uniform(-1, 1, 2), self.turn * rng.uniform(-1, 1)
        at = {"position": (x + aside[0], y + aside[1], z), "yaw": self.yaw + turn}
        return type(self).model_validate({**self.model_dump(), **at})

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> Load:
        """Add the block."""
        pieces = [Piece(meshes.box(size), pose, self.colour) for size, pose in self._boxes()]
        world.add(name, pieces, frames.pose(self.position, self.yaw), friction=self.friction)
        return Load()

    def command(self, name: str, world: World, state: Load, values: Mapping[str, float], tick: float) -> Load:
        """Look whether a robot can get to it within this tick, something has come or moves there."""
        low, high = np.array(self.position) - self.size[0] - _NEAR, np.array(self.position) + self.size[0] + _NEAR
        there = world.within(low, high)
        near = there != state.there or any(
            not world.loose(other) or np.linalg.norm(world.velocity(other)[:3]) > _SLOW for other in there
        )
        return state if (near, there) == (state.near, state.there) else replace(state, near=near, there=there)

    def advance(self, name: str, world: World, state: Load) -> tuple[Load, tuple[Event, ...]]:
        """Filter what the last physics step found."""
        if not state.near:
            return state, ()
        pressed, deepest = world.net(name)
        if not deepest and not any(pressed) and not any(state.force):
            return state, ()
        share = 1 - math.exp(-math.tau * self.bandwidth * world.timestep)
        x, y, z = (f + share * (p - f) for f, p in zip(state.force, pressed, strict=True))
        size = math.sqrt(x * x + y * y + z * z)
        force = (x, y, z) if size > _QUIET else (0.0, 0.0, 0.0)
        return Load(force, max(state.peak, size), max(state.deepest, deepest), True, state.there), ()

    def region(self) -> Region:
        """The space of the hole; its highest z is the block's face, its lowest the hole's bottom."""
        x, y, z = self.position
        reach, face = self.width / 2, z + self.size[2]
        return Region((x - reach, y - reach, face - self.depth), (x + reach, y + reach, face))

    def tags(self, name: str, world: World, state: Load) -> Mapping[str, Value]:
        """How hard it is pressed now, and how hard it was pressed at most [N]."""
        return {
            "force": math.hypot(*state.force),
            "peak": state.peak,
            "penetration": state.deepest,
        }

    def _boxes(self) -> list[tuple[Vector, np.ndarray]]:
        """Sizes of the boxes and where they stand in the block's frame: the floor, then wall after wall."""
        x, y, z = self.size
        floor = z - self.depth
        found = [((x, y, floor), frames.pose((0, 0, floor / 2)))]
        for i in range(4):
            outer, across = (x, y) if i % 2 == 0 else (y, x)
            found += [
                (size, frames.compose(frames.pose(yaw=i * np.pi / 2), at)) for size, at in self._wall(outer, across)
            ]
        return found

    def _wall(self, outer: float, across: float) -> list[tuple[Vector, np.ndarray]]:
        """The wall towards x of a block with edges `outer` along x and `across` along y [m]: below, slope, rim."""
        hole, lead, face = (self.width + self.clearance) / 2, self.chamfer, self.size[2]
        floor, thick = face - self.depth, outer / 2 - hole
        deep = self.depth - lead
        below = ((thick, across, deep), frames.pose((hole + thick / 2, 0, floor + deep / 2)))
        if not lead:
            return [below]
        rim = ((thick - lead, across, lead), frames.pose((hole + (lead + outer / 2 - hole) / 2, 0, face - lead / 2)))
        middle = np.array([hole + lead / 2, 0, face - lead / 2]) + np.array([1, 0, -1]) * lead / 4
        slope = (
            (lead * np.sqrt(2), 2 * (hole + lead), lead / np.sqrt(2)),
            frames.from_euler(middle, (0, -np.pi / 4, 0)),
        )
        return [below, slope, rim]
