"""Seams: where the shells of a mesh meet without sharing corners, and what keeps them shut in coarser meshes."""

from typing import Any

import numpy as np

from twinlab.meshes._mesh import Mesh, made

_ACROSS = np.array([0.1, 0.4, 0.7, 1.0])  # where it is looked for a gap, as shares of a tongue's width
_ALONG = np.array([0.0, 0.5, 1.0])  # and of a border edge
_CORNER = 0.8  # cosine between an edge's way out and the mean at its end, from which on tongues don't follow the mean
_QUAD = np.array([(1, 0, 2), (1, 2, 3)])  # a tongue's corners, wound against the edge of the face beside it


def shut(mesh: Mesh, full: Any, own: Any, error: float, most: float) -> Mesh:
    """The mesh with a narrow tongue along each border beside which decimation has torn a seam open.

    Shells that only lie against each other are decimated each for itself, so that slits come between them, and what
    is behind the body would show through. A tongue leads on from a shell's border, a little below its neighbour. It
    comes only where nothing of the coarser mesh is, and only where the original has a surface: holes stay open.

    Args:
        mesh: the coarser mesh.
        full: Open3D's ray scene of the original.
        own: the same of the coarser mesh.
        error: how far it is off from the original [m]; gaps are at most twice as wide.
        most: how far tongues may be off from the original [m].
    """
    found = _borders(mesh)
    if not len(found[0]):
        return mesh
    ends, tips, up, face = _tongues(mesh, *found, error)
    spots = _spots(ends, tips)
    needed = _gaps(spots, up, own, error) & _covers(spots, full, most)
    if not needed.any():
        return mesh
    ends, tips, face = ends[needed], tips[needed], face[needed]
    start = len(mesh.vertices) + 4 * np.arange(len(ends)).reshape(-1, 1, 1)
    quads = (start + _QUAD).reshape(-1, 3)
    points = np.concatenate([mesh.vertices, np.concatenate([ends, tips], axis=1).reshape(-1, 3)])
    colours = None if mesh.colours is None else np.concatenate([mesh.colours, np.repeat(mesh.colours[face], 2, axis=0)])
    return made(points, np.concatenate([mesh.faces, quads]), colours)


def _borders(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Edges with a face on one side only: numbers of places (edge, 2), in the face's sense, and that face (edge,)."""
    _, place = np.unique(mesh.vertices, axis=0, return_inverse=True)
    edges = place.reshape(-1)[mesh.faces][:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    _, which, count = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True, return_counts=True)
    single = np.flatnonzero(count[which.reshape(-1)] == 1)
    return edges[single], single // 3


def _tongues(
    mesh: Mesh, edges: np.ndarray, face: np.ndarray, error: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Both ends of each border edge and of its tongue (edge, 2, 3), the way up (edge, 3) and the face beside it."""
    points = np.unique(mesh.vertices, axis=0).astype(float)
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces[face]].astype(float), 1, 0)
    up, ends = _unit(np.cross(b - a, c - a)), points[edges]
    out = np.cross(_unit(ends[:, 1] - ends[:, 0]), up)
    led = 2 * error * _around(edges, out, len(points)) - error / 2 * _around(edges, up, len(points))
    return ends, ends + led, up, face


def _around(edges: np.ndarray, vectors: np.ndarray, count: int) -> np.ndarray:
    """The mean direction at both ends of each border edge (edge, 2, 3), its own where the border turns a corner."""
    total = np.zeros((count, 3))
    for end in (0, 1):
        np.add.at(total, edges[:, end], vectors)
    mean, own = _unit(total[edges]), vectors[:, None]
    return np.where((mean * own).sum(axis=-1, keepdims=True) < _CORNER, own, mean)


def _spots(ends: np.ndarray, tips: np.ndarray) -> np.ndarray:
    """Points spread over each tongue (edge, spot, 3)."""
    i, j = (share.reshape(-1, 1) for share in np.meshgrid(_ALONG, _ACROSS))
    low, high = ((two[:, :1] * (1 - i) + two[:, 1:] * i) for two in (ends, tips))
    return low * (1 - j) + high * j


def _gaps(spots: np.ndarray, up: np.ndarray, own: Any, error: float) -> np.ndarray:
    """Where the mesh has no face somewhere above or below a tongue, seen from above (edge,)."""
    rays = np.concatenate(np.broadcast_arrays(spots + 3 * error * up[:, None], -up[:, None]), axis=-1)
    found = own.cast_rays(rays.astype(np.float32))
    shows = (found["primitive_normals"].numpy() * up[:, None]).sum(axis=-1) > 0
    return ~((found["t_hit"].numpy() < 6 * error) & shows).all(axis=1)


def _covers(spots: np.ndarray, full: Any, most: float) -> np.ndarray:
    """Where the original has a surface all along a tongue (edge,)."""
    return (full.compute_distance(spots.astype(np.float32)).numpy() <= most).all(axis=1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-30)
