"""Solids: convex bodies that collide and are drawn, surfaces that are only drawn."""

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from twinlab.errors import MeshError
from twinlab.meshes._cut import clipped
from twinlab.meshes._mesh import Mesh, made


@dataclass(frozen=True, eq=False)
class Solid:
    """A convex body that collides and is drawn, or a surface of any shape that is only drawn.

    Attributes:
        form: "box", "cylinder", "hull" (the convex hull of the mesh) or "surface" (nothing collides with it).
        size: box: edges x, y, z; cylinder: radius, height; hull and surface: () [m].
        mesh: its surface, in the solid's own frame (origin at the centre).
    """

    form: Literal["box", "cylinder", "hull", "surface"]
    size: tuple[float, ...]
    mesh: Mesh


@functools.lru_cache(maxsize=1024)
def box(size: tuple[float, float, float]) -> Solid:
    """A box with edges x, y, z [m]."""
    x, y, z = _positive("box", size)
    corners = np.array([(i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]) * (x, y, z) / 2
    return Solid("box", (x, y, z), _hullmade(corners))


@functools.lru_cache(maxsize=1024)
def cylinder(radius: float, height: float, sides: int = 32) -> Solid:
    """A cylinder along z [m]; it is drawn as a prism of that many sides, which lies within it."""
    radius, height = _positive("cylinder", (radius, height))
    return Solid("cylinder", (radius, height), _hullmade(_ring(sides, radius, height)))


@functools.lru_cache(maxsize=1024)
def prism(sides: int, radius: float, height: float) -> Solid:
    """A regular prism along z, such as a hexagonal nut; `radius` reaches to its edges [m]."""
    radius, height = _positive("prism", (radius, height))
    return Solid("hull", (), _hullmade(_ring(sides, radius, height)))


def hull(points: np.ndarray) -> Solid:
    """The convex hull of points (n, 3) [m].

    Raises:
        MeshError: fewer than four points, or all in one plane.
    """
    return Solid("hull", (), _hullmade(points))


def surface(mesh: Mesh) -> Solid:
    """A surface that is drawn and that nothing collides with; hulls stand for it in contacts."""
    return Solid("surface", (), mesh)


@functools.lru_cache(maxsize=1024)
def chipped(solid: Solid, share: float = 0.3) -> Solid:
    """The solid with the corner towards +x +y +z cut off by a plane.

    Args:
        solid: what to damage.
        share: how deep the cut goes, as a share of the way from that corner to the centre, in (0, 1).
    """
    if not 0 < share < 1:
        raise MeshError(f"chipped: share came as {share}; wanted a number between 0 and 1")
    points = solid.mesh.vertices.astype(float)
    normal = 1 / np.abs(points).max(axis=0)
    return cut(solid, normal, (points @ normal).max() * (1 - share))


def cut(solid: Solid, normal: np.ndarray, level: float) -> Solid:
    """What lies on the inner side of a plane, of a solid that lies on both: its convex hull, or an open surface.

    Args:
        solid: what to cut.
        normal: of the plane, towards what goes (3,), of any length.
        level: what positions on the plane give, multiplied with the normal.
    """
    if solid.form == "surface":
        return surface(clipped(solid.mesh, normal, level))
    points = solid.mesh.vertices.astype(float)
    height = points @ normal
    edges = solid.mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    a, b = edges[(height[edges[:, 0]] > level) & (height[edges[:, 1]] < level)].T
    along = (height[a] - level) / (height[a] - height[b])
    cut = points[a] + along[:, None] * (points[b] - points[a])
    return hull(np.concatenate([points[height <= level], cut]))


def _positive(form: str, sizes: tuple[float, ...]) -> tuple[float, ...]:
    if not all(np.isfinite(s) and s > 0 for s in sizes):
        raise MeshError(f"{form}: sizes came as {tuple(sizes)} m; wanted numbers above 0")
    return tuple(float(s) for s in sizes)


def _ring(sides: int, radius: float, height: float) -> np.ndarray:
    """The corners of a prism, (2 * sides, 3); an edge points along +x."""
    if sides < 3:
        raise MeshError(f"a prism came with {sides} sides; wanted 3 at least")
    angle = 2 * np.pi * np.arange(sides) / sides
    circle = np.column_stack([radius * np.cos(angle), radius * np.sin(angle), np.full(sides, height / 2)])
    return np.concatenate([circle, circle * (1, 1, -1)])


def _hullmade(points: np.ndarray) -> Mesh:
    points = np.unique(np.asarray(points, float), axis=0)
    try:
        found = ConvexHull(points)
    except (QhullError, ValueError) as told:
        raise MeshError(
            f"{len(points)} points have no hull with a volume; wanted four or more, not in one plane"
        ) from told
    faces = np.searchsorted(found.vertices[order := np.argsort(found.vertices)], found.simplices)
    vertices = points[found.vertices[order]]
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    inwards = (np.cross(b - a, c - a) * found.equations[:, :3]).sum(axis=1) < 0
    faces[inwards] = faces[inwards][:, ::-1]
    return made(vertices, faces)
