"""Kinds of parts: a form or a mesh file, what it weighs, how it is drawn and what it collides with."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from twinlab import frames, meshes
from twinlab.errors import SceneError
from twinlab.meshes import Bulk, Mesh, Solid
from twinlab.snapshot import Piece

Find = Callable[[str], Path]
_UNITS = {"m": 1.0, "mm": 0.001, "cm": 0.01, "inch": 0.0254}  # [m]
_SIZES = {
    "box": (0.04, 0.04, 0.04),
    "cylinder": (0.04, 0.04),
    "prism": (0.04, 0.04),
    "tube": (0.04, 0.02, 0.04),
    "mesh": (),
}  # what each form's lengths are if none are given [m]
_STAVES, _SPAN = 12, 3  # a tube's contact shape: so many convex staves, each over so many sides of the drawn one
_DENSITY = 1000.0  # of a part without mass or density [kg/m^3]
_FACES, _SHARE = 200, 0.005  # a drawn mesh has about so many triangles, within this share of its longest edge
_LEAST = 0.0001  # what a cut leaves of a hull is left out if it is thinner than this [m]


class Part(BaseModel):
    """One kind of part; its frame lies in its centre of mass, with the axes of its form or file.

    Contacts are those of boxes, cylinders and convex hulls. Faces of hulls are where they are drawn to 0.03 mm; their
    edges are rounded by 0.4 mm, or by a quarter of the thickness of what is thinner than 1.6 mm, so that a part that
    leans on edges lies up to 0.3 mm deeper.

    A mesh becomes several hulls by CoACD (`contact = "parts"`), which takes from half a second to half a minute and is
    then kept on disk, or its one convex hull (`contact = "hull"`), which steps faster. A single hull, a prism or a
    chipped box too, gets one new contact point a step, and may tremble on an edge for ever if it is small: dropped
    from 5 cm, 28 of 30 prisms of 40 mm and 11 of 15 mm lay still after 3 s, against all of 30 bolts, nuts and washers
    of several hulls (240 Hz, 60 iterations). What rolls needs rolling friction, such as 0.0003 m.

    Attributes:
        flaws: what can be wrong with a part.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    flaws: ClassVar[tuple[str, ...]] = ("chipped", "oversized")
    form: Literal["box", "cylinder", "prism", "tube", "mesh"] = Field("box", description="what it is made of")
    size: tuple[float, ...] = Field(
        (),
        validate_default=True,
        description="box: edges x, y, z; cylinder: diameter, height; prism: width across corners, height; "
        "tube: outer and inner diameter, height; mesh: none [m]",
    )
    sides: int = Field(6, ge=3, le=64, description="sides of a prism [1]")
    mesh: str = Field("", description="STL, OBJ, PLY or DAE file of a mesh, from the scene's folder")
    unit: Literal["", "m", "mm", "cm", "inch"] = Field(
        "", description="unit of the mesh file; a DAE file tells its own"
    )
    mass: float | None = Field(None, gt=0, description="mass without flaws, instead of a density [kg]")
    density: float | None = Field(None, gt=0, description="density, 1000 if there is no mass either [kg/m^3]")
    colour: tuple[float, float, float] = Field((0.6, 0.61, 0.63), description="sRGB in 0–1")
    gloss: float = Field(0.1, ge=0, le=1, description="share of light that it mirrors [1]")
    friction: float = Field(0.6, ge=0, description="Coulomb friction coefficient [1]")
    rolling: float = Field(0.0, ge=0, description="rolling friction coefficient [m]")
    symmetry: float = Field(
        -1.0, ge=-1, le=2 * np.pi, validate_default=True,
        description="turned about z by this it looks the same, 0 for any angle, -1 for what its form tells [rad]",
    )  # fmt: skip
    contact: Literal["parts", "hull"] = Field("parts", description="a mesh collides as several hulls or as one")
    threshold: float = Field(
        0.05, ge=0.01, lt=1, description="largest concavity of one of several hulls, in halves of the longest edge [1]"
    )
    scale: float = Field(1.0, gt=0, description="its lengths over those given [1]")
    chip: float = Field(
        0.0, ge=0, lt=1, description="depth of the cut across its corner, as a share of the way to its centre [1]"
    )

    @field_validator("size")
    @classmethod
    def _fits(cls, size: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        form = info.data.get("form", "mesh")
        wanted = _SIZES[form]
        size = size or wanted
        if len(size) != len(wanted) or not all(length > 0 for length in size):
            raise ValueError(f"a {form} has {len(wanted)} lengths above 0, not {list(size)}")
        if form == "tube" and size[1] >= size[0]:
            raise ValueError(f"a tube's inner diameter must be below its outer one, {size[1]} is not below {size[0]}")
        return size

    @field_validator("colour")
    @classmethod
    def _shown(cls, colour: tuple[float, float, float]) -> tuple[float, float, float]:
        if not all(0 <= share <= 1 for share in colour):
            raise ValueError("red, green and blue are between 0 and 1")
        return colour

    @field_validator("symmetry")
    @classmethod
    def _told(cls, symmetry: float, info: ValidationInfo) -> float:
        if symmetry >= 0:
            return symmetry
        form, size = info.data.get("form"), info.data.get("size", ())
        if form == "box" and size:
            return np.pi / 2 if size[0] == size[1] else np.pi
        turns = {"cylinder": 0.0, "tube": 0.0, "prism": 2 * np.pi / info.data.get("sides", 6)}
        return turns.get(form or "mesh", 2 * np.pi)

    @model_validator(mode="after")
    def _agrees(self) -> "Part":
        if (self.form == "mesh") != bool(self.mesh):
            raise ValueError(
                f'form came as "{self.form}" and mesh as "{self.mesh}"; form = "mesh" and a file go together'
            )
        if self.mass is not None and self.density is not None:
            raise ValueError(f"mass came as {self.mass} and density as {self.density}; give one of them")
        tells = self.mesh.lower().endswith(".dae")
        if bool(self.unit) != (self.form == "mesh" and not tells):
            wanted = "leave it out" if self.unit else f"wanted one of {list(_UNITS)}, as the file does not tell"
            raise ValueError(f'unit came as "{self.unit}" for form "{self.form}", mesh "{self.mesh}"; {wanted}')
        return self

    def pieces(self, find: Find) -> tuple[Piece, ...]:
        """What it is made of: what is drawn and what collides; the same objects as long as the file is the same.

        Args:
            find: the path of a file that the scene names; raises if it is not there.

        Raises:
            MeshError: the mesh file is broken, flat or of another format.
        """
        return self._made(find).pieces

    def weight(self, find: Find) -> float:
        """Its mass with its flaws [kg]; that of a mesh is density times the volume within it, not within its hulls."""
        made = self._made(find)
        density = self.mass / made.whole if self.mass is not None else self.density or _DENSITY
        return density * made.volume

    def inertia(self, find: Find) -> np.ndarray:
        """Moments of inertia about its frame's axes (3,) [kg m^2]; products of inertia are left out."""
        return self.gyration(find) * self.weight(find)

    def gyration(self, find: Find) -> np.ndarray:
        """Moments of inertia over mass about its frame's axes (3,) [m^2], for `World.add`."""
        return self._made(find).gyration

    def extent(self, find: Find) -> np.ndarray:
        """Edges of the box around it, along its frame's axes (3,) [m]."""
        low, high = self._made(find).bounds
        return np.asarray(high - low)

    def foot(self, find: Find) -> float:
        """How high its frame is above the face it rests on, when it stands as in its form or file [m]."""
        return -float(self._made(find).bounds[0][2])

    def notes(self, find: Find) -> tuple[str, ...]:
        """What is worth knowing about its mesh: how well hulls stand for it, what had to be assumed."""
        return self._made(find).notes

    def flawed(self, defect: str, chip: float = 0.3, oversize: float = 1.3) -> "Part":
        """The part with a defect; without one it is the part itself.

        Args:
            defect: "", "chipped" (a corner is cut off) or "oversized".
            chip: depth of that cut, as a share of the way from the corner to the centre.
            oversize: lengths of an oversized part over those of a good one.

        Raises:
            SceneError: there is no such defect.
        """
        if defect not in ("", *self.flaws):
            raise SceneError(f"no defect {defect!r} of a part; there are {list(self.flaws)}")
        changes: dict[str, dict[str, Any]] = {
            "": {},
            "chipped": {"chip": chip, "symmetry": 2 * np.pi},
            "oversized": {"scale": self.scale * oversize},
        }
        return Part(**{**self.model_dump(), **changes[defect]})

    def _made(self, find: Find) -> "_Made":
        if not self.mesh:
            return _made(self, None, ())
        path = Path(find(self.mesh))
        state = path.stat() if path.is_file() else None  # whoever reads it says so
        return _made(self, path, (state.st_mtime_ns, state.st_size) if state else ())


@dataclass(frozen=True, eq=False)
class _Made:
    """A part, worked out: `whole` is the volume without flaws."""

    pieces: tuple[Piece, ...]
    volume: float
    whole: float
    gyration: np.ndarray
    bounds: tuple[np.ndarray, np.ndarray]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Shape:
    """What collides and what is drawn instead, if something is, before scale and cut."""

    solids: tuple[Solid, ...]
    drawn: Mesh | None
    bulk: Bulk
    notes: tuple[str, ...] = ()


@functools.lru_cache(maxsize=512)
def _made(part: Part, path: Path | None, stamp: tuple[int, ...]) -> _Made:
    shape = _mesh(part, path) if path is not None else _form(part)
    whole = shape.bulk.volume / part.scale**3
    if part.chip:
        shape = _chipped(shape, part.chip)
    bulk = shape.bulk
    at = frames.IDENTITY if not bulk.centre.any() else frames.pose(-bulk.centre)
    seen = shape.drawn is not None
    pieces = [Piece(solid, at, part.colour, part.gloss, hidden=seen) for solid in shape.solids]
    if shape.drawn is not None:
        pieces.insert(0, Piece(meshes.surface(shape.drawn), at, part.colour, part.gloss))
    points = np.concatenate([p.solid.mesh.vertices for p in pieces if not p.hidden]).astype(float) - bulk.centre
    bounds = points.min(axis=0), points.max(axis=0)
    return _Made(tuple(pieces), bulk.volume, whole, bulk.gyration, bounds, shape.notes)


def _form(part: Part) -> _Shape:
    size = tuple(part.scale * length for length in part.size)
    if part.form == "box":
        solid = meshes.box((size[0], size[1], size[2]))
        return _Shape((solid,), None, meshes.bulk(solid.mesh))
    if part.form == "prism":
        solid = meshes.prism(part.sides, size[0] / 2, size[1])
        return _Shape((solid,), None, meshes.bulk(solid.mesh))
    if part.form == "cylinder":
        return _Shape((meshes.cylinder(size[0] / 2, size[1]),), None, _round(size[0] / 2, 0.0, size[1]))
    outer, inner, height = size[0] / 2, size[1] / 2, size[2]
    return _Shape(_staves(outer, inner, height), _tube(outer, inner, height), _round(outer, inner, height))


def _round(outer: float, inner: float, height: float) -> Bulk:
    """The volume of a tube along z, of a cylinder without an inner radius."""
    volume = np.pi * (outer**2 - inner**2) * height
    spin = volume * (outer**2 + inner**2) / 2
    across = spin / 2 + volume * height**2 / 12
    return Bulk(volume, np.zeros(3), np.diag([across, across, spin]), True)


def _rings(outer: float, inner: float, height: float) -> np.ndarray:
    """Corners of a tube: outside top and bottom, inside bottom and top (4, side, 3)."""
    angle = 2 * np.pi * np.arange(_STAVES * _SPAN) / (_STAVES * _SPAN)
    way = np.column_stack([np.cos(angle), np.sin(angle), np.ones(len(angle))])
    levels = ((outer, 1), (outer, -1), (inner, -1), (inner, 1))
    return np.stack([way * (radius, radius, end * height / 2) for radius, end in levels])


def _staves(outer: float, inner: float, height: float) -> tuple[Solid, ...]:
    rings = _rings(outer, inner, height)
    around = [np.arange(i * _SPAN, (i + 1) * _SPAN + 1) % (_STAVES * _SPAN) for i in range(_STAVES)]
    return tuple(meshes.hull(rings[:, own].reshape(-1, 3)) for own in around)


def _tube(outer: float, inner: float, height: float) -> Mesh:
    count = _STAVES * _SPAN
    ring, side = (axis.reshape(-1) for axis in np.meshgrid(np.arange(4), np.arange(count), indexing="ij"))
    a, b = ring * count + side, (ring + 1) % 4 * count + side
    c, d = (ring + 1) % 4 * count + (side + 1) % count, ring * count + (side + 1) % count
    faces = np.concatenate([np.column_stack([a, b, c]), np.column_stack([a, c, d])])
    return meshes.made(_rings(outer, inner, height).reshape(-1, 3), faces)


def _mesh(part: Part, path: Path) -> _Shape:
    unit = _UNITS.get(part.unit, 1.0)
    found = meshes.convex(path, unit, 1.0 if part.contact == "hull" else part.threshold)
    points = np.concatenate([solid.mesh.vertices for solid in found.solids])
    drawn = meshes.cached(path, _FACES, round(_SHARE * float(np.ptp(points, axis=0).max()), 6), unit)
    s, bulk = part.scale, found.bulk
    scaled = Bulk(bulk.volume * s**3, bulk.centre * s, bulk.inertia * s**5, bulk.closed)
    solids = found.solids if s == 1 else tuple(meshes.hull(solid.mesh.vertices * s) for solid in found.solids)
    return _Shape(solids, meshes.scaled(drawn, s), scaled, _notes(part, found))


def _notes(part: Part, found: meshes.Convex) -> tuple[str, ...]:
    count = len(found.solids)
    told = [
        f"{part.mesh}: {count} hull{'s' * (count > 1)}, {found.excess:+.1%} of its volume; its surface is up to "
        f"{1e3 * found.lacking:.2f} mm outside them, they stand out by up to {1e3 * found.standing:.2f} mm"
    ]
    if not found.bulk.closed:
        told += [f"{part.mesh}: not a closed surface; its volume and centre are taken to be those of its convex hull"]
    moments = np.diag(found.bulk.inertia)
    skew = np.abs(found.bulk.inertia - np.diag(moments)).max() / moments.max()
    if skew > 0.05:
        told += [
            f"{part.mesh}: products of inertia of {skew:.0%} of its largest moment are left out; turn it in its file"
        ]
    return tuple(told)


def _chipped(shape: _Shape, share: float) -> _Shape:
    """The shape without its corner towards +x +y +z; what that takes from its bulk is told by its hulls."""
    points = np.concatenate([solid.mesh.vertices for solid in shape.solids]).astype(float) - shape.bulk.centre
    normal = 1 / np.abs(points).max(axis=0)
    level = (points @ normal).max() * (1 - share) + shape.bulk.centre @ normal
    kept = tuple(one for solid in shape.solids if (one := _remainder(solid, normal, level)) is not None)
    before, after = _together(shape.solids), _together(kept)
    bulk = Bulk(
        shape.bulk.volume * after.volume / before.volume,
        shape.bulk.centre + after.centre - before.centre,
        shape.bulk.inertia * np.outer(*[np.sqrt(np.diag(after.inertia) / np.diag(before.inertia))] * 2),
        shape.bulk.closed,
    )
    drawn = None if shape.drawn is None else _capped(shape.drawn, kept, normal, level)
    return _Shape(kept, drawn, bulk, shape.notes)


def _remainder(solid: Solid, normal: np.ndarray, level: float) -> Solid | None:
    """The solid on the inner side of a plane, None if next to nothing is left."""
    height = solid.mesh.vertices.astype(float) @ normal
    if height.max() <= level:
        return solid
    if (level - height.min()) / np.linalg.norm(normal) < _LEAST:
        return None
    return meshes.cut(solid, normal, level)


def _together(solids: Sequence[Solid]) -> Bulk:
    """Bulk of several solids; where they overlap it counts twice."""
    bulks = [meshes.bulk(solid.mesh) for solid in solids]
    volume = sum(one.volume for one in bulks)
    centre = sum((one.volume * one.centre for one in bulks), np.zeros(3)) / volume
    inertia = np.zeros((3, 3))
    for one in bulks:
        off = one.centre - centre
        inertia += one.inertia + one.volume * (off @ off * np.eye(3) - np.outer(off, off))
    return Bulk(volume, centre, inertia, True)


def _capped(drawn: Mesh, kept: Sequence[Solid], normal: np.ndarray, level: float) -> Mesh:
    """A surface cut by a plane; the hulls' faces in that plane close it, those of a single hull its hollows too."""
    cut = meshes.cut(meshes.surface(drawn), normal, level).mesh
    reach = _LEAST / 10 * np.linalg.norm(normal)
    lids = []
    for solid in kept:
        corners = solid.mesh.vertices[solid.mesh.faces]
        lids.append(corners[(np.abs(corners.astype(float) @ normal - level) < reach).all(axis=1)])
    points = np.concatenate([cut.vertices, *(lid.reshape(-1, 3) for lid in lids)])
    colours = cut.colours
    if colours is not None:
        colours = np.concatenate([colours, np.tile(colours.mean(axis=0), (sum(map(len, lids)), 1))])
    return meshes.made(points, np.arange(len(points)).reshape(-1, 3), colours)
