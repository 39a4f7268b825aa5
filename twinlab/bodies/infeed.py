"""An infeed: brings cartons of several sizes onto a belt, and stops the belt while one stands at its end."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self
from zlib import crc32

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from twinlab import frames, meshes
from twinlab.bodies import VARIES, Body, Value, Vector
from twinlab.events import Event, Item
from twinlab.snapshot import Piece
from twinlab.world import World

_PARK = -10.0  # cartons that are not on the line yet wait here, below the floor [m]
_LIFT = 0.002  # how far above the belt they are let go [m]
_TAPE, _PROUD = 0.025, 0.0003  # width of the tape along a carton's middle, and how far it stands out [m]
_TAN = (0.82, 0.72, 0.55)  # colour of the tape


class Carton(BaseModel):
    """A size of cartons."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    edges: Vector = Field((0.144, 0.094, 0.096), description="length, width, height [m]")
    mass: float = Field(0.6, gt=0, description="nominal mass [kg]")
    colour: Vector = Field((0.66, 0.5, 0.33), description="sRGB in 0–1")

    @model_validator(mode="after")
    def _solid(self) -> Self:
        if min(self.edges) <= 0 or self.edges[0] < self.edges[1]:
            raise ValueError(f"edges came as {self.edges} m; wanted three above 0, the length not below the width")
        return self


_HOUSE = {
    "large": Carton(edges=(0.194, 0.144, 0.096), mass=1.0, colour=(0.6, 0.45, 0.3)),
    "medium": Carton(),
    "small": Carton(edges=(0.094, 0.068, 0.048), mass=0.3, colour=(0.76, 0.6, 0.42)),
}


@dataclass(frozen=True)
class Progress:
    """How far an infeed is.

    Attributes:
        items: all cartons of the episode, in the order in which they come.
        gone: how many of them were let go.
        late: how far its clock is behind the line's [s].
        runs: whether the belt runs.
        blocked: whether something stands in the light barrier.
    """

    items: tuple[Item, ...]
    gone: int = 0
    late: float = 0.0
    runs: bool = True
    blocked: bool = False


class Infeed(Body):
    """Puts cartons onto a belt one by one, and is the belt's controller: an accumulating conveyor of one zone.

    While the light barrier at the belt's end is interrupted the belt stands, and with it all that is on it; no carton
    is let go while the belt stands or the one before is still in the way. The nominal infeed (all that varies is 0)
    brings the sizes in the order of `order` again and again, one each `period`, in the middle, square to the belt and
    with their nominal masses. What differs between seeds keeps how many there are of each size.
    """

    position: Vector = Field((0.5, -1.0, 0.12), description="where cartons are put down, on the belt's face [m]")
    yaw: float = Field(np.pi / 2, description="where the belt runs to, angle about z [rad]")
    belt: str = Field("belt", description="the belt")
    speed: float = Field(0.2, gt=0, le=2, description="at which the belt runs when it runs [m/s]")
    barrier: tuple[Vector, Vector] = Field(
        ((0.3, -0.3, 0.14), (0.7, -0.3, 0.14)), description="sender and receiver of the barrier at the belt's end [m]"
    )
    cartons: dict[str, Carton] = Field(_HOUSE, min_length=1, description="size → what cartons of it are like")
    order: tuple[str, ...] = Field((), description="sizes in the order in which they come; () for each once")
    count: int = Field(10, ge=1, le=200, description="how many cartons an episode has [1]")
    first: float = Field(0.5, ge=0, description="when the first carton comes [s]")
    period: float = Field(4.0, gt=0, description="nominal time from carton to carton [s]")
    room: float = Field(0.25, gt=0, description="how far the carton before must be away [m]")
    jitter: float = Field(1.0, ge=0, description="times vary by up to this, either way [s]", json_schema_extra=VARIES)
    scatter: float = Field(0.03, ge=0, description="places vary across by up to this [m]", json_schema_extra=VARIES)
    turn: float = Field(0.35, ge=0, description="yaws vary by up to this [rad]", json_schema_extra=VARIES)
    spread: float = Field(0.2, ge=0, lt=1, description="masses vary by up to this share [1]", json_schema_extra=VARIES)
    mixing: float = Field(1.0, ge=0, le=1, description="how far the order is shuffled [1]", json_schema_extra=VARIES)
    friction: float = Field(0.6, ge=0, description="Coulomb friction coefficient of cartons [1]")
    pace: float = Field(1.0, ge=0, le=1, description="speed of its own clock, 1 where nothing is jammed [1]")
    draw: int = Field(0, ge=0, description="what masses follow from; each episode draws another [1]")

    @model_validator(mode="after")
    def _known(self) -> Self:
        if unknown := [size for size in self.order if size not in self.cartons]:
            raise ValueError(f"order: no cartons {unknown}; there are {list(self.cartons)}")
        return self

    def drawn(self, rng: np.random.Generator) -> Self:
        """With masses of its own."""
        return type(self).model_validate({**self.model_dump(), "draw": int(rng.integers(2**31))})

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> Progress:
        """Add all cartons of the episode, out of sight; they are a pool from which one after the other is let go."""
        for i, item in enumerate(sorted(items, key=lambda item: item.name)):
            pieces = _pieces(self.cartons[item.properties["size"]])
            world.add(item.name, pieces, frames.pose((0.3 * i, 0, _PARK)), friction=self.friction)
        return Progress(items)

    def command(self, name: str, world: World, state: Progress, values: Mapping[str, float], tick: float) -> Progress:
        """Look at the light barrier."""
        shares, _ = world.hits(np.array([self.barrier[0]]), np.array([self.barrier[1]]))
        return replace(state, blocked=bool(shares[0] < 1))

    def scan(
        self, name: str, state: Progress, tags: Mapping[str, Value], time: float
    ) -> tuple[Progress, Mapping[str, Value], tuple[Event, ...]]:
        """Let the belt run as long as nothing stands at its end."""
        key, speed = f"{self.belt}.speed", 0.0 if state.blocked else self.speed
        writes = {key: speed} if key in tags and tags[key] != speed else {}
        return replace(state, runs=not state.blocked), writes, ()

    def advance(self, name: str, world: World, state: Progress) -> tuple[Progress, tuple[Event, ...]]:
        """Put the next carton down when its time has come by the infeed's clock, the belt runs and there is room."""
        if self.pace < 1:
            state = replace(state, late=state.late + (1 - self.pace) * world.timestep)
        if state.gone == len(state.items) or not state.runs:
            return state, ()
        item = state.items[state.gone]
        if world.time - state.late + 1e-9 < item.time or not self._free(world, state):
            return state, ()
        world.place(item.name, np.array(item.pose), mass=self.mass(item))
        return replace(state, gone=state.gone + 1), (Event(world.time, "spawned", item.name),)

    def items(self, state: Progress) -> tuple[Item, ...]:
        """All cartons of the episode, those to come included."""
        return state.items

    def tags(self, name: str, world: World, state: Progress) -> Mapping[str, Value]:
        """The light barrier, and how many cartons were let go."""
        return {"blocked": state.blocked, "gone": float(state.gone)}

    def kinds(self) -> Mapping[str, tuple[str, ...]]:
        """Sizes."""
        return {"size": tuple(self.cartons)}

    def schedule(self, name: str, rng: np.random.Generator) -> tuple[Item, ...]:
        """Which carton comes when, where and how: the same seed gives the same cartons."""
        order, number = self.order or tuple(self.cartons), np.arange(self.count)
        drawn = rng.uniform(-1, 1, (4, self.count))
        place = np.argsort(np.argsort(number + self.mixing * self.count / 2 * drawn[0], kind="stable"))
        across = np.array([-np.sin(self.yaw), np.cos(self.yaw), 0.0])
        items = []
        for i in np.argsort(place):
            size = order[i % len(order)]
            edges, turn = self.cartons[size].edges, self.turn * drawn[3, i]
            time = max(0.0, self.first + float(place[i]) * self.period + self.jitter * drawn[1, i])
            at = np.array(self.position) + self.scatter * drawn[2, i] * across + (0, 0, edges[2] / 2 + _LIFT)
            pose = tuple(frames.pose(at, self.yaw + np.pi / 2 + turn).tolist())  # the long side lies across the belt
            square = np.pi / 2 if edges[0] == edges[1] else np.pi
            items.append(Item(f"{name}_{i:02d}", time, pose, {"size": size}, "", edges[2], square, edges=edges))
        return tuple(sorted(items, key=lambda item: item.time))

    def mass(self, item: Item) -> float:
        """What a carton weighs [kg]."""
        own = np.random.default_rng([self.draw, crc32(item.name.encode())]).uniform(-1, 1)
        return self.cartons[item.properties["size"]].mass * (1 + self.spread * float(own))

    def _free(self, world: World, state: Progress) -> bool:
        """Whether the carton before is out of the way."""
        if not state.gone:
            return True
        before = world.pose(state.items[state.gone - 1].name)[:2]
        return float(np.hypot(*(before - self.position[:2]))) > self.room


def _pieces(carton: Carton) -> tuple[Piece, ...]:
    """The carton, and a strip of tape that is only drawn, along its length and down its ends."""
    length, _, height = carton.edges
    tape = meshes.surface(meshes.box((length + 2 * _PROUD, _TAPE, height + 2 * _PROUD)).mesh)
    return (
        Piece(meshes.box(carton.edges), frames.IDENTITY, carton.colour),
        Piece(tape, frames.IDENTITY, _TAN, gloss=0.3),
    )
