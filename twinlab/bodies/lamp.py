"""A signal tower: lenses one above the other, of which one is lit."""

from collections.abc import Mapping

from pydantic import Field, field_validator, model_validator

from twinlab import frames, meshes
from twinlab.bodies import Body, Value, Vector
from twinlab.errors import CellError, did_you_mean
from twinlab.events import Item
from twinlab.snapshot import Piece
from twinlab.world import Link, World

OFF = "off"
_LIT: dict[str, Vector] = {
    "red": (1.0, 0.12, 0.1), "yellow": (1.0, 0.85, 0.1), "green": (0.1, 1.0, 0.3), "blue": (0.2, 0.45, 1.0),
    "white": (1.0, 1.0, 1.0),
}  # fmt: skip
_DULL = 0.28  # brightness of a lens that is not lit [1]
_AWAY = 3.0  # how far down a lens that is not lit is kept, out of sight [m]
_HOLD = 10.0  # force that keeps a lens where it is [N]
_POLE: Vector = (0.3, 0.31, 0.33)


class Lamp(Body):
    """A signal tower with the colours of IEC 60204-1, one of which is lit at most.

    What is drawn of a body keeps its colour, so each lens is there twice: a dull one that stands still and a bright
    one around it, which waits out of sight below until it is lit. So poses that were recorded show the lamp as it was.
    """

    position: Vector = Field((0.7, 0.2, 0.25), description="foot of its pole [m]")
    lenses: tuple[str, ...] = Field(("blue", "green", "yellow", "red"), min_length=1, description="from below to above")
    radius: float = Field(0.022, gt=0, description="of a lens [m]")
    height: float = Field(0.03, gt=0, description="of a lens [m]")
    pole: float = Field(0.04, gt=0, description="height of the pole below the lenses [m]")
    lit: str = Field(OFF, description='the lens that is lit at first, "off" for none')

    @field_validator("lenses")
    @classmethod
    def _known(cls, lenses: tuple[str, ...]) -> tuple[str, ...]:
        if any(colour not in _LIT for colour in lenses) or len(set(lenses)) < len(lenses):
            raise ValueError(f"each is one of {list(_LIT)}, and there once")
        return lenses

    @model_validator(mode="after")
    def _there(self) -> "Lamp":
        if self.lit not in (*self.lenses, OFF):
            raise ValueError(f"lit came as {self.lit!r}; wanted one of {[*self.lenses, OFF]}")
        return self

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> str:
        """Add pole and lenses; the state is the colour that is lit."""
        dull = meshes.surface(meshes.cylinder(self.radius, self.height).mesh)
        bright = meshes.cylinder(self.radius + 0.001, self.height - 0.003)
        pieces = [Piece(meshes.cylinder(0.4 * self.radius, self.pole), frames.pose((0, 0, self.pole / 2)), _POLE)]
        links = []
        for i, colour in enumerate(self.lenses):
            at, (r, g, b) = frames.pose((0, 0, self.pole + (i + 0.5) * self.height)), _LIT[colour]
            pieces.append(Piece(dull, at, (_DULL * r, _DULL * g, _DULL * b)))
            lens = Piece(bright, frames.IDENTITY, _LIT[colour])
            links.append(Link(colour, (lens,), at, "prismatic", low=-_AWAY, high=0, mass=0.01, drag=_HOLD))
        world.assemble(name, pieces, links, frames.pose(self.position))
        return self.write(name, world, OFF, "colour", self.lit)

    def tags(self, name: str, world: World, state: str) -> Mapping[str, Value]:
        """The colour that is lit, and whether one is."""
        return {"colour": state, "on": state != OFF}

    def writable(self) -> tuple[str, ...]:
        """The colour."""
        return ("colour",)

    def write(self, name: str, world: World, state: str, tag: str, value: Value) -> str:
        """Light another lens, or none."""
        known = [*self.lenses, OFF]
        if value not in known:
            raise CellError(
                f"tag '{name}.{tag}': came {value!r}; wanted one of {known}.{did_you_mean(str(value), known)}"
            )
        world.set_joints(name, {colour: 0.0 if colour == value else -_AWAY for colour in self.lenses})
        return str(value)
