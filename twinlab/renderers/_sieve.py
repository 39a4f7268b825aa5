"""Which faces of finely meshed visuals can show in a picture: the others need not go through OpenGL's pipeline.

A robot of 13,000 triangles covers a few hundred pixels of a small picture. On a processor each triangle costs as much
as several pixels, whether it shows or not. At 64×64 px NumPy finds in 0.2 ms what spares OpenGL about 0.8 ms.
"""

from collections.abc import Sequence
from itertools import groupby
from weakref import WeakKeyDictionary

import numpy as np

from twinlab.meshes import Mesh

_CLOSE = 1 / 64  # OpenGL puts corners on a grid of 1/256 px: nearer than this to a pixel's centre counts as on it [px]
_LARGE = 300_000  # in a picture of more pixels almost every face that is turned to the camera covers one


class Sieve:
    """The faces of some meshes; `kept` is right to leave a face out, but may keep some that do not show.

    Args:
        meshes: what is looked at (mesh,).
        rows: what stands for each face of all of them, one after the other (face, 3); `kept` gives some of these.
    """

    def __init__(self, meshes: Sequence[Mesh], rows: np.ndarray) -> None:
        self._rows = rows
        solids = [_solid(mesh) for mesh in meshes]
        first = np.cumsum([0, *(len(points) for points, _, _ in solids)])
        self._runs = _runs(meshes)
        self._faces = np.concatenate(
            [faces + start for (_, faces, _), start in zip(solids, first, strict=False)], axis=1
        )
        self._own = np.arange(first[-1], dtype=np.int32) + (1 << 20)
        self._places = np.empty((first[-1], 3), np.float32)
        self._cells = np.empty((first[-1], 2), np.int32)
        self._heights = np.empty(self._faces.shape[1], np.float32)

    def kept(self, onto: np.ndarray, eyes: np.ndarray, size: tuple[int, int], near: float) -> np.ndarray:
        """The rows of the faces that may cover the centre of a pixel, in the order of the meshes.

        Args:
            onto: matrices (mesh, 3, 4) from each mesh's frame to the picture: column * depth, row * depth, depth;
                a pixel's centre is at whole numbers.
            eyes: where the picture is seen from, in each mesh's frame, homogeneous (mesh, 4).
            size: width and height of the picture [px].
            near: what is less deep is left to OpenGL to cut [m].
        """
        seats = np.ascontiguousarray(eyes[..., None], np.float32)
        for run, _, planes, _, at in self._runs:
            np.matmul(planes, seats[run], out=self._heights[at].reshape(-1, len(planes), 1))
        front = np.flatnonzero(self._heights > 0)
        if size[0] * size[1] > _LARGE:
            return self._rows.take(front, axis=0)
        matrices = np.ascontiguousarray(onto.transpose(0, 2, 1), np.float32)
        for run, points, _, at, _ in self._runs:
            np.matmul(points, matrices[run], out=self._places[at].reshape(-1, len(points), 3))
        cells = self._cell(size, near)
        a, b, c = (cells.take(corner.take(front)) for corner in self._faces)
        b ^= a
        c ^= a
        b |= c
        differ = b.view(np.int32).reshape(-1, 2)
        shows = differ[:, 0] != 0
        shows &= differ[:, 1] != 0
        return self._rows.take(front[shows], axis=0)

    def _cell(self, size: tuple[int, int], near: float) -> np.ndarray:
        """Between which pixel centres each point lies, two numbers of 32 bits in one of 64 (point,).

        A face whose corners are in the same column or row of cells covers no centre. A point that is too near a
        centre to tell has a cell of its own.
        """
        column, row, depth = np.ascontiguousarray(self._places.T)
        behind = depth < near
        depth[behind] = near
        for axis, (at, count) in enumerate(zip((column, row), size, strict=True)):
            at /= depth
            off = np.rint(at)
            off -= at
            np.floor(at, out=at)
            np.clip(at, -1, count - 1, out=at)
            self._cells[:, axis] = at
            np.copyto(self._cells[:, axis], self._own, where=np.abs(off, out=off) < _CLOSE)
        self._cells[behind] = -2
        return self._cells.view(np.int64)[:, 0]


_ready: WeakKeyDictionary[Mesh, tuple[np.ndarray, np.ndarray, np.ndarray]] = WeakKeyDictionary()


def _solid(mesh: Mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A mesh's points (point, 4), faces' corners (3, face) and faces' planes (face, 4); kept as long as the mesh is.

    Points are homogeneous, each there once, though many files repeat them for each face. A plane's first three
    numbers point outwards, and with a point it gives more than 0 in front.
    """
    if mesh not in _ready:
        points, place = np.unique(mesh.vertices, axis=0, return_inverse=True)
        faces = place.reshape(-1)[mesh.faces]
        a, b, c = points[faces].astype(float).transpose(1, 0, 2)
        across = np.cross(b - a, c - a)
        planes = np.column_stack([across, -(across * a).sum(axis=1)]).astype(np.float32)
        full = np.column_stack([points, np.ones(len(points))]).astype(np.float32)
        _ready[mesh] = full, np.ascontiguousarray(faces.T, np.intp), planes
    return _ready[mesh]


def _runs(meshes: Sequence[Mesh]) -> list[tuple[slice, np.ndarray, np.ndarray, slice, slice]]:
    """For each run of the same mesh: its places in `meshes`, points, planes, and places among all points and faces."""
    runs, start, point, face = [], 0, 0, 0
    for _, group in groupby(meshes, key=id):
        count = len(list(group))
        points, _, planes = _solid(meshes[start])
        spans = slice(point, point + count * len(points)), slice(face, face + count * len(planes))
        runs.append((slice(start, start + count), points, planes, *spans))
        start, point, face = start + count, spans[0].stop, spans[1].stop
    return runs
