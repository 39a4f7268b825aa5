"""Meshes cut by a plane."""

import numpy as np

from twinlab.meshes._mesh import Mesh, made


def clipped(mesh: Mesh, normal: np.ndarray, level: float) -> Mesh:
    """The faces of a mesh on the inner side of a plane, cut at it and left open there.

    Args:
        mesh: the original; its coarser ones are left out.
        normal: of the plane, towards what goes (3,), of any length.
        level: what positions on the plane give, multiplied with the normal.
    """
    corners = mesh.vertices[mesh.faces].astype(float)
    inside = corners @ normal <= level
    count = inside.sum(axis=1)
    found, painted = [corners[count == 3]], [np.flatnonzero(count == 3)]
    for odd in (1, 2):  # turn each face so that its odd corner comes first
        which = np.flatnonzero(count == odd)
        first = (inside[which] == (odd == 1)).argmax(axis=1)
        turn = (first[:, None] + np.arange(3)) % 3
        a, b, c = np.moveaxis(np.take_along_axis(corners[which], turn[:, :, None], axis=1), 1, 0)
        ab, ac = _crossing(a, b, normal, level), _crossing(a, c, normal, level)
        parts = [(a, ab, ac)] if odd == 1 else [(ab, b, c), (ab, c, ac)]
        found += [np.stack(part, axis=1) for part in parts]
        painted += [which] * len(parts)
    points = np.concatenate(found).reshape(-1, 3)
    colours = None if mesh.colours is None else mesh.colours[np.concatenate(painted)]
    return made(points, np.arange(len(points)).reshape(-1, 3), colours)


def _crossing(one: np.ndarray, other: np.ndarray, normal: np.ndarray, level: float) -> np.ndarray:
    """Where lines cross a plane (n, 3), each from a point on one side to one on the other."""
    start, end = one @ normal, other @ normal
    return one + ((level - start) / (end - start))[:, None] * (other - one)
