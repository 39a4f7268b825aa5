"""A loader: puts machined housings onto the free nest of a turntable each time it stands; some are defective."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self
from zlib import crc32

import numpy as np
from pydantic import Field, field_validator

from twinlab import frames
from twinlab.bodies import VARIES, Body, Value, Vector
from twinlab.bodies._housing import EDGE, HEIGHT, MIDDLE, SITES, SYMMETRY, TALL, Flaw, pieces
from twinlab.events import Event, Item
from twinlab.world import World

Kind = Literal["", "scratch", "dent", "missing", "dimension"]
_FLAWS = ("scratch", "dent", "missing", "dimension")
_PARK = -10.0  # parts that are not on the line yet wait here, below the floor [m]
_LIFT = 0.0005  # how far above the table parts are let go [m]
_METAL = np.array([0.66, 0.67, 0.69])


@dataclass(frozen=True)
class Progress:
    """How far a loader is.

    Attributes:
        items: all parts of the episode, in the order in which they come.
        gone: how many of them were put down.
        late: how far its clock is behind the line's [s].
        ready: whether the table stands with a nest that got no part yet.
        nest: how often the table had gone on when a nest got its part last, -1 before the first.
        indexed: how often it has gone on.
    """

    items: tuple[Item, ...]
    gone: int = 0
    late: float = 0.0
    ready: bool = False
    nest: int = -1
    indexed: int = 0


class Loader(Body):
    """Puts housings down one by one; fields marked "varies" are what differs between seeds.

    The nominal loader (all that varies is 0) brings a set of master parts, good and with known flaws of middling size,
    in a fixed order, as they are run through an inspection at the beginning of a shift. Beside each part stands, out of
    sight, its twin as designed, `<part>_designed`: what a sensor of ground truth compares it with. What each flaw's
    size and site mean stands in `_housing.Flaw`.
    """

    flaws: ClassVar[tuple[str, ...]] = _FLAWS
    position: Vector = Field(
        (-0.08, -0.13856, 0.25), description="the nest on the table's face, where parts are put [m]"
    )
    yaw: float = Field(-np.pi / 6, description="how parts are put down, turn about z [rad]")
    of: str = Field("table", description="the turntable")
    count: int = Field(11, ge=1, le=200, description="how many parts an episode has at most [1]")
    first: float = Field(0.3, ge=0, description="when the first part is there [s]")
    period: float = Field(2.0, gt=0, description="nominal time from part to part [s]")
    jitter: float = Field(0.2, ge=0, description="times vary by up to this, either way [s]", json_schema_extra=VARIES)
    scatter: float = Field(0.003, ge=0, description="places vary by up to this [m]", json_schema_extra=VARIES)
    turn: float = Field(0.3, ge=0, description="yaws vary by up to this [rad]", json_schema_extra=VARIES)
    mixing: float = Field(
        1.0, ge=0, le=1, description="share of parts that are no masters [1]", json_schema_extra=VARIES
    )
    spread: float = Field(
        1.0, ge=0, le=1, description="share of their range that sizes use [1]", json_schema_extra=VARIES
    )
    shade: float = Field(
        0.15, ge=0, lt=0.4, description="brightness varies by up to this share [1]", json_schema_extra=VARIES
    )
    defects: float = Field(0.35, ge=0, le=1, description="share of defective parts among those that are no masters [1]")
    masters: tuple[Kind, ...] = Field(
        ("", "scratch", "", "", "dent", "", "missing", "", "", "dimension", ""),
        min_length=1,
        description='flaws of the master parts, "" for a good one',
    )
    scratch: tuple[float, float] = Field(
        (0.006, 0.024), description="shortest and longest scratch; it is 1 mm wide [m]"
    )
    dent: tuple[float, float] = Field((0.003, 0.01), description="shallowest and deepest dent of a corner [m]")
    missing: tuple[float, float] = Field(
        (0.003, 0.008), description="least and most of a pin's 8 mm that is missing [m]"
    )
    dimension: tuple[float, float] = Field(
        (0.001, 0.004), description="least and most that the boss, 12 mm high and 20 mm wide, is off [m]"
    )
    mass: float = Field(0.1, gt=0, description="mass of a part [kg]")
    friction: float = Field(0.6, ge=0, description="Coulomb friction coefficient of a part [1]")
    gloss: float = Field(0.15, ge=0, le=1, description="share of light that a part mirrors [1]")
    pace: float = Field(1.0, ge=0, le=1, description="speed of its own clock, 1 where nothing is jammed [1]")
    draw: int = Field(0, ge=0, description="what sizes, sites and shades follow from; each episode draws another [1]")

    @field_validator("scratch", "dent", "missing", "dimension")
    @classmethod
    def _upwards(cls, given: tuple[float, float]) -> tuple[float, float]:
        if not 0 < given[0] <= given[1] <= EDGE / 2 + 1e-9:
            raise ValueError(f"wanted two sizes above 0 and up to {EDGE / 2} m, the smaller one first")
        return given

    @field_validator("missing", "dimension")
    @classmethod
    def _no_more_than_there_is(cls, given: tuple[float, float]) -> tuple[float, float]:
        if given[1] > TALL:
            raise ValueError(f"of a pin or a boss no more than {TALL} m can be missing")
        return given

    def drawn(self, rng: np.random.Generator) -> Self:
        """With sizes, sites and shades of its own."""
        return type(self).model_validate({**self.model_dump(), "draw": int(rng.integers(2**31))})

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> Progress:
        """Add all parts of the episode and their twins, out of sight; one after the other is put down."""
        items = tuple(replace(item, size=self._flaw(item.name, item.defect).size) for item in items)
        for i, item in enumerate(items):
            colour = self._colour(item.name)
            made = pieces(colour, self.gloss, self._flaw(item.name, item.defect))
            world.add(item.name, made, frames.pose((0.2 * i, 0, _PARK)), friction=self.friction)
            designed = pieces(colour, self.gloss, Flaw())
            world.add(f"{item.name}_designed", designed, frames.pose((0.2 * i, 1, _PARK)))
        return Progress(items)

    def advance(self, name: str, world: World, state: Progress) -> tuple[Progress, tuple[Event, ...]]:
        """Put the next part down when its time has come by its own clock, the table stands and the nest is free."""
        if self.pace < 1:
            state = replace(state, late=state.late + (1 - self.pace) * world.timestep)
        if not state.ready or state.gone == len(state.items):
            return state, ()
        item = state.items[state.gone]
        if world.time - state.late + 1e-9 < item.time or not self._free(world, state):
            return state, ()
        world.place(item.name, np.array(item.pose), mass=self.mass)
        state = replace(state, gone=state.gone + 1, ready=False, nest=state.indexed)
        return state, (Event(world.time, "spawned", item.name),)

    def items(self, state: Progress) -> tuple[Item, ...]:
        """All parts of the episode, those to come included."""
        return state.items

    def scan(
        self, name: str, state: Progress, tags: Mapping[str, Value], time: float
    ) -> tuple[Progress, Mapping[str, Value], tuple[Event, ...]]:
        """Look whether the table stands, and whether the nest in front of it is a new one."""
        indexed, standing = int(tags.get(f"{self.of}.indexed", 0)), bool(tags.get(f"{self.of}.standing", False))
        return replace(state, indexed=indexed, ready=standing and indexed > state.nest), {}, ()

    def kinds(self) -> Mapping[str, tuple[str, ...]]:
        """The one kind."""
        return {"part": ("housing",)}

    def schedule(self, name: str, rng: np.random.Generator) -> tuple[Item, ...]:
        """Which part comes when, where and with which flaw: the same seed gives the same parts."""
        items = []
        for i in range(self.count):
            late, x, y, yaw = rng.uniform(-1, 1, 4)
            mixed, bad, which = rng.random(3)
            flaw: str = self.masters[i % len(self.masters)]
            if mixed < self.mixing:
                flaw = _FLAWS[int(which * len(_FLAWS))] if bad < self.defects else ""
            at = np.add(self.position, (self.scatter * x, self.scatter * y, MIDDLE + _LIFT))
            time = max(0.0, self.first + i * self.period + self.jitter * late)
            called = f"{name}_{i:02d}"
            size = self._flaw(called, flaw).size
            pose = tuple(frames.pose(at, self.yaw + self.turn * yaw))
            items.append(Item(called, time, pose, {"part": "housing"}, flaw, HEIGHT, SYMMETRY, size))
        return tuple(sorted(items, key=lambda item: item.time))

    def _own(self, item: str) -> np.ndarray:
        """Four numbers in 0–1 of one part: whether it is no master, its flaw's size and site, its shade."""
        return np.random.default_rng([self.draw, crc32(item.encode())]).random(4)

    def _flaw(self, item: str, kind: str) -> Flaw:
        mixed, size, site, _ = self._own(item)
        if kind not in _FLAWS:
            return Flaw()
        low, high = getattr(self, kind)
        share = 0.5 + self.spread * (size - 0.5)
        return Flaw(kind, float(low + share * (high - low)), int(site * SITES) if mixed < self.mixing else 0)

    def _colour(self, item: str) -> Vector:
        red, green, blue = (_METAL * (1 + self.shade * (2 * self._own(item)[3] - 1))).tolist()
        return red, green, blue

    def _free(self, world: World, state: Progress) -> bool:
        """Whether no part that went round lies where the next one is to be put."""
        ways = (world.pose(item.name)[:2] - self.position[:2] for item in state.items[: state.gone])
        return all(float(np.hypot(*way)) > 1.5 * EDGE for way in ways)
