"""A triangle mesh as data."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles, compared by identity so that renderers can keep what they uploaded.

    Attributes:
        vertices: positions [m], float32 (vertex, 3).
        faces: indices of vertices, counter-clockwise seen from outside, int32 (face, 3).
        colours: one sRGB colour a face in 0–1, float32 (face, 3); None takes the colour of the visual.
        coarser: the same with ever fewer triangles, for pictures in which that shows nowhere: the largest distance from
            the surface that all of them stand for [m], and the mesh.
    """

    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray | None = None
    coarser: tuple[tuple[float, "Mesh"], ...] = ()


def made(vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray | None = None) -> Mesh:
    """A mesh whose arrays nobody can write to, as it may be shared."""
    points, corners = np.array(vertices, np.float32), np.array(faces, np.int32)
    painted = None if colours is None else np.array(colours, np.float32)
    for array in (points, corners, painted):
        if array is not None:
            array.setflags(write=False)
    return Mesh(points, corners, painted)
