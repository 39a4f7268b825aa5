"""The triangles of all meshes that a picture may show, as flat arrays for kernels of numba."""

from collections.abc import Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from twinlab.meshes import Mesh


class Solids(NamedTuple):
    """Meshes one after the other; a visual has one for each size in which it can be drawn.

    Attributes:
        points: each place once, though many files repeat it for each face (point, 3) [m], float32.
        faces: the points of their corners (face, 3), int32.
        planes: what gives more than 0 with a homogeneous point in front of the face (face, 4), float32; the first
            three numbers point outwards.
        first, ends: where each mesh's points and faces begin (mesh + 1,).
        of: the visual of each mesh (mesh,).
        errors, nexts: how far each mesh is off, and the next coarser one of its visual (mesh,) [m].
    """

    points: np.ndarray
    faces: np.ndarray
    planes: np.ndarray
    first: np.ndarray
    ends: np.ndarray
    of: np.ndarray
    errors: np.ndarray
    nexts: np.ndarray


def solids(entries: Sequence[tuple[int, Mesh, float, float]]) -> Solids:
    """What each visual's number, a mesh of it, that one's error and the next one's [m] make."""
    parts = [_solid(mesh) for _, mesh, _, _ in entries]
    first = np.cumsum([0, *(len(points) for points, _, _ in parts)])
    return Solids(
        np.concatenate([points for points, _, _ in parts]),
        np.concatenate([faces + np.int32(start) for (_, faces, _), start in zip(parts, first, strict=False)]),
        np.concatenate([planes for _, _, planes in parts]),
        first,
        np.cumsum([0, *(len(faces) for _, faces, _ in parts)]),
        np.array([number for number, *_ in entries]),
        *(np.array([entry[i] for entry in entries]) for i in (2, 3)),
    )


_ready: WeakKeyDictionary[Mesh, tuple[np.ndarray, np.ndarray, np.ndarray]] = WeakKeyDictionary()


def _solid(mesh: Mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A mesh's points, faces and planes, as in `Solids`; kept as long as the mesh is."""
    if mesh not in _ready:
        points, place = np.unique(mesh.vertices, axis=0, return_inverse=True)
        faces = place.reshape(-1)[mesh.faces]
        a, b, c = points[faces].astype(float).transpose(1, 0, 2)
        across = np.cross(b - a, c - a)
        planes = np.column_stack([across, -(across * a).sum(axis=1)]).astype(np.float32)
        _ready[mesh] = points.astype(np.float32), faces.astype(np.int32), planes
    return _ready[mesh]
