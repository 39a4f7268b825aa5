"""Convex hulls that stand for a mesh in contacts, and what a mesh's volume weighs and turns like."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull

from twinlab.meshes._mesh import Mesh
from twinlab.meshes._reduced import _measure


@dataclass(frozen=True, eq=False)
class Bulk:
    """The volume within a closed surface.

    Attributes:
        volume: [m^3].
        centre: its centre (3,) [m].
        inertia: moments and products of inertia about the centre, at a density of 1 kg/m^3 (3, 3) [kg m^2].
        closed: whether the surface is closed; if not, this is the volume of its convex hull.
    """

    volume: float
    centre: np.ndarray
    inertia: np.ndarray
    closed: bool

    @property
    def gyration(self) -> np.ndarray:
        """Moments of inertia over mass about the centre, along the mesh's axes (3,) [m^2]; products are left out."""
        out: np.ndarray = np.diag(self.inertia) / self.volume
        return out


def bulk(mesh: Mesh) -> Bulk:
    """The volume, centre and inertia within a mesh, or within its convex hull if it is not closed.

    Sums over the tetrahedra between the origin and each face (Tonon 2004, J. Math. Stat. 1(1), 8-11).
    """
    points, faces = _welded(mesh)
    closed = _closed(faces)
    if not closed:
        points, faces = _hull_faces(points)
    a, b, c = np.moveaxis(points[faces], 1, 0)
    sixth = (np.cross(a, b) * c).sum(axis=1) / 6
    volume = sixth.sum()
    if volume < 0:  # wound inwards all over
        sixth, volume = -sixth, -volume
    centre = (sixth[:, None] * (a + b + c)).sum(axis=0) / 4 / volume
    corners = np.stack([a, b, c]) - centre
    sixth = (np.cross(corners[0], corners[1]) * corners[2]).sum(axis=1) / 6
    sixth *= np.sign(sixth.sum())
    total = corners.sum(axis=0)
    second = np.einsum("f,fi,fj->ij", sixth, total, total) + np.einsum("f,kfi,kfj->ij", sixth, corners, corners)
    return Bulk(float(volume), centre, (np.trace(second) * np.eye(3) - second) / 20, closed)


def hulls(mesh: Mesh, threshold: float) -> tuple[np.ndarray, ...]:
    """Points of convex hulls that together stand for a mesh, (n, 3) [m] each; always the same ones.

    CoACD (Wei et al. 2022, ACM Trans. Graph. 41(4), 42) with its seed fixed; a surface that is not closed or not
    manifold is remeshed by CoACD first.

    Args:
        mesh: the original.
        threshold: largest concavity of a hull, in halves of the mesh's longest edge, 0.01–1.
    """
    import coacd  # a quarter of a second, and a mesh in the cache does not need it

    coacd.set_log_level("error")
    points, faces = _welded(mesh)
    found = coacd.run_coacd(coacd.Mesh(points, faces), threshold=threshold, seed=0)
    return tuple(one for one, _ in found if _thick(one))


def thinned(points: np.ndarray, corners: int) -> np.ndarray:
    """At most that many of a hull's corners (n, 3) [m]: always the one that is furthest outside the others is added."""
    points = points[ConvexHull(points).vertices]
    if len(points) <= corners:
        return points
    chosen, rest = [0], points - points[0]
    for _ in range(3):  # a tetrahedron to begin with: what is furthest from the point, the line, the plane so far
        chosen.append(int(np.linalg.norm(rest, axis=1).argmax()))
        way = rest[chosen[-1]] / np.linalg.norm(rest[chosen[-1]])
        rest = rest - np.outer(rest @ way, way)
    while len(chosen) < corners:
        planes = ConvexHull(points[chosen]).equations
        outside = (points @ planes[:, :3].T + planes[:, 3]).max(axis=1)
        outside[chosen] = -1.0
        chosen.append(int(outside.argmax()))
    return points[chosen]


def misfit(mesh: Mesh, parts: Sequence[Mesh], closed: bool) -> tuple[float, float]:
    """How far a mesh's surface lies outside convex parts, and how far they stand out of it, at most [m].

    Measured at 20,000 points of each surface and at all vertices.

    Args:
        mesh: the original.
        parts: surfaces of the hulls.
        closed: whether the mesh has an inside; if not, all of a hull's surface counts as standing out.
    """
    scene, points = _measure(mesh)
    outside = np.full(len(points), np.inf)
    out = 0.0
    for part in parts:
        own, on_part = _measure(part)
        outside = np.minimum(outside, np.maximum(own.compute_signed_distance(points).numpy(), 0))
        gap = scene.compute_signed_distance(on_part) if closed else scene.compute_distance(on_part)
        out = max(out, float(gap.numpy().max()))
    return float(outside.max()), out


def _thick(points: np.ndarray) -> bool:
    """Whether points do not lie in one plane; what is flat to a millionth stands for nothing."""
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return bool(spread[2] > 1e-6 * spread[0])


def _welded(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (vertex, 3) float64 without doubles, and faces without those that have no area."""
    points, place = np.unique(mesh.vertices, axis=0, return_inverse=True)
    faces = place.reshape(-1)[mesh.faces]
    alive = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    return points.astype(float), faces[alive].astype(np.int32)


def _closed(faces: np.ndarray) -> bool:
    """Whether each edge has one face on either side, wound the same way."""
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).astype(np.int64)
    size = faces.max() + 1
    there, back = edges[:, 0] * size + edges[:, 1], edges[:, 1] * size + edges[:, 0]
    return len(np.unique(there)) == len(there) and np.array_equal(np.sort(there), np.sort(back))


def _hull_faces(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = ConvexHull(points)
    a, b, c = np.moveaxis(points[found.simplices], 1, 0)
    inwards = (np.cross(b - a, c - a) * found.equations[:, :3]).sum(axis=1) < 0
    faces = found.simplices.copy()
    faces[inwards] = faces[inwards][:, ::-1]
    return points, faces
