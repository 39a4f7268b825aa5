"""Meshes with fewer triangles, within an error that is measured and not assumed."""

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from twinlab.meshes._mesh import Mesh, made
from twinlab.meshes._seams import shut

_SAMPLES = 20_000  # points on each surface at which errors are measured
_STEPS = (
    0.0028,
    0.004,
    0.0056,
    0.008,
    0.0112,
    0.016,
)  # errors of the coarser meshes at most, each 1.4 times another [m]
_NEARER = (1.0, 0.9, 0.8, 0.6)  # how near tongues stay, in errors of their mesh: between points it may be more
_FEWEST, _MOST = 24, 4000  # faces of meshes whose errors are worth measuring


def decimated(mesh: Mesh, faces: int = 200, tolerance: float = 0.002) -> Mesh:
    """The mesh with fewer triangles, nowhere further from the original than a tolerance.

    Quadric decimation (Garland & Heckbert 1997, Open3D's); its error is measured, not assumed: the largest distance
    between the surfaces, from 20,000 points of each to the other. The number of faces grows by quarters until it holds.

    Args:
        mesh: the original; it comes back as it is if it has no more faces than wanted.
        faces: how many are wanted.
        tolerance: largest distance between both surfaces [m].
    """
    while faces < len(mesh.faces):
        smaller = _quadric(mesh, faces)
        if distance(mesh, smaller) <= tolerance:
            return smaller
        faces += max(1, faces // 4)
    return mesh


def distance(one: Mesh, other: Mesh) -> float:
    """The largest distance between two surfaces, measured at points of each to the other [m]."""
    (scene, points), (others_scene, others_points) = _measure(one), _measure(other)
    there, back = others_scene.compute_distance(points).numpy(), scene.compute_distance(others_points).numpy()
    return float(max(there.max(), back.max()))


def _quadric(mesh: Mesh, faces: int) -> Mesh:
    import open3d  # takes a second or more, and a mesh in the cache does not need it

    vertices = open3d.utility.Vector3dVector(mesh.vertices.astype(float))
    full = open3d.geometry.TriangleMesh(vertices, open3d.utility.Vector3iVector(mesh.faces.copy()))
    full.remove_duplicated_vertices().remove_degenerate_triangles()
    small = full.simplify_quadric_decimation(faces).remove_degenerate_triangles()
    points, kept = np.asarray(small.vertices, np.float32), np.asarray(small.triangles)
    if mesh.colours is None:
        return made(points, kept)
    nearest = _ray_scene(mesh).compute_closest_points(points[kept].mean(axis=1))["primitive_ids"].numpy()
    return made(points, kept, mesh.colours[nearest])


_measures: WeakKeyDictionary[Mesh, tuple[Any, np.ndarray]] = WeakKeyDictionary()


def _measure(mesh: Mesh) -> tuple[Any, np.ndarray]:
    """What distances are measured with: a scene of the mesh and points on it; kept as long as the mesh is."""
    if mesh not in _measures:
        _measures[mesh] = _ray_scene(mesh), _spread(mesh)
    return _measures[mesh]


def _ray_scene(mesh: Mesh) -> Any:
    import open3d

    scene: Any = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(mesh.vertices.copy(), mesh.faces.astype(np.uint32))
    return scene


def _spread(mesh: Mesh) -> np.ndarray:
    """Points on the surface (n, 3), float32: its vertices and points spread evenly over its area, always the same."""
    rng = np.random.default_rng(0)
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces].astype(float), 1, 0)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    face = rng.choice(len(area), _SAMPLES, p=area / area.sum())
    u, v = rng.random((2, _SAMPLES, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    points = a[face] + u * (b - a)[face] + v * (c - a)[face]
    return np.concatenate([np.unique(mesh.vertices, axis=0), points.astype(np.float32)])


def laddered(full: Mesh, faces: int, tolerance: float) -> Mesh:
    """A mesh with fewer triangles within a tolerance, and ever coarser ones beside it.

    How few triangles an error allows is much a matter of luck, so several ways down are tried: in one step, and in
    many of two sizes. Of each error on a ladder the mesh with the fewest triangles within it is taken, and its torn
    seams are shut.

    Args:
        full: the original, against which all errors are measured.
        faces: how many are wanted of the finest; it comes as it is if it has no more.
        tolerance: largest error of the finest [m].
    """
    first = decimated(full, faces, tolerance)
    if first is full:
        return full
    found = [(distance(full, first), first)]
    for start, share in ((first, 0.8), (full, 0.8), (full, 0.6)):
        found += _down(start, share, full)
    steps = (tolerance, *(step for step in _STEPS if step > tolerance))
    best = [min((one for one in found if one[0] <= most), key=lambda one: len(one[1].faces)) for most in steps]
    (_, torn), *others = dict.fromkeys(best)  # one may be the best of several
    finest = _shut(torn, full, tolerance)
    coarser = [(error, _shut(one, full, error)) for error, one in others]
    return Mesh(finest.vertices, finest.faces, finest.colours, tuple(coarser))


def _shut(mesh: Mesh, full: Mesh, error: float) -> Mesh:
    """A mesh whose seams are shut as far as it stays within an error."""
    for share in _NEARER:
        found = shut(mesh, _measure(full)[0], _ray_scene(mesh), error, share * error)
        if found is mesh or distance(full, found) <= error:
            return found
    return mesh


def _down(mesh: Mesh, share: float, full: Mesh) -> list[tuple[float, Mesh]]:
    """Ever coarser meshes, each a share of the triangles of the one before, with their errors against the original."""
    found: list[tuple[float, Mesh]] = []
    while len(mesh.faces) * share > _FEWEST and (not found or found[-1][0] <= _STEPS[-1]):
        mesh = _quadric(mesh, int(len(mesh.faces) * share))
        if len(mesh.faces) < _MOST:
            found.append((distance(full, mesh), mesh))
    return found
