"""How far the sun's light gets: a depth picture along its rays, drawn on the processor.

Most faces of a robot cover some texels, and OpenGL on a processor takes half a microsecond for each of them. These
loops take a tenth of that.
"""

import numba
import numpy as np

from twinlab.renderers._lit import DEEPEST
from twinlab.renderers._solids import Solids

_EDGE = 1e-6  # so far beyond its edges a face is drawn, so that no ray slips through between two [texel]


@numba.njit(cache=True, nogil=True)
def cast(
    solids: Solids,
    world: np.ndarray,
    within: np.ndarray,
    room: float,
    texture: np.ndarray,
    places: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write how deep the first face is that each ray of a picture meets.

    Args:
        solids: what throws shadows.
        world: from the visuals to the world (visual, 4, 4).
        within: which visuals are drawn, bool (visual,).
        room: how far a surface may be off [m].
        texture: the matrix (4, 4) from the world to column and row of the picture [texel], and depth in 0–1.
        places: room for column, row and depth of points (point, 3).
        out: the picture, uint16 (row, column), depths times `DEEPEST`; that where nothing is.
    """
    out[:] = DEEPEST
    points, faces, first, ends, of = solids.points, solids.faces, solids.first, solids.ends, solids.of
    t = np.empty((3, 4))
    for m in range(len(of)):
        if not (within[of[m]] and solids.errors[m] <= room < solids.nexts[m]):
            continue
        w = world[of[m]]
        for i in range(3):
            for j in range(4):
                t[i, j] = texture[i, 0] * w[0, j] + texture[i, 1] * w[1, j] + texture[i, 2] * w[2, j]
            t[i, 3] += texture[i, 3]
        t[2] *= DEEPEST
        t[:2, 3] -= 0.5  # a texel's centre is at a half
        for p in range(first[m], first[m + 1]):
            for i in range(3):
                at = t[i, 0] * points[p, 0] + t[i, 1] * points[p, 1] + t[i, 2] * points[p, 2] + t[i, 3]
                places[p, i] = at
        for f in range(ends[m], ends[m + 1]):
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            _fill(
                (places[a, 0], places[a, 1], places[a, 2]),
                (places[b, 0], places[b, 1], places[b, 2]),
                (places[c, 0], places[c, 1], places[c, 2]),
                out,
            )


_Corner = tuple[float, float, float]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _fill(a: _Corner, b: _Corner, c: _Corner, out: np.ndarray) -> None:
    """Write the depth of a face that is turned to the light wherever it is the least.

    Args:
        a, b, c: column, row and depth of its corners, counter-clockwise seen from outside.
        out: the picture (row, column).
    """
    area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
    if area >= 0:  # rows run downwards, so what is counter-clockwise turns to the left
        return
    high, wide = out.shape
    top, bottom = max(np.ceil(min(a[1], b[1], c[1])), 0.0), min(np.floor(max(a[1], b[1], c[1])), high - 1.0)
    left, right = max(np.ceil(min(a[0], b[0], c[0])), 0.0), min(np.floor(max(a[0], b[0], c[0])), wide - 1.0)
    if top > bottom or left > right:
        return
    across = ((b[2] - a[2]) * (c[1] - a[1]) - (c[2] - a[2]) * (b[1] - a[1])) / area
    down = ((b[0] - a[0]) * (c[2] - a[2]) - (c[0] - a[0]) * (b[2] - a[2])) / area
    least, most, step = np.float32(min(a[2], b[2], c[2])), np.float32(max(a[2], b[2], c[2])), np.float32(across)
    ab, bc, ca = (b[0] - a[0]) / (b[1] - a[1]), (c[0] - b[0]) / (c[1] - b[1]), (a[0] - c[0]) / (a[1] - c[1])
    for row in range(int(top), int(bottom) + 1):
        begin, end = left - _EDGE, right + _EDGE
        begin, end = _cut(begin, end, a[0] + (row - a[1]) * ab, b[1] - a[1])
        begin, end = _cut(begin, end, b[0] + (row - b[1]) * bc, c[1] - b[1])
        begin, end = _cut(begin, end, c[0] + (row - c[1]) * ca, a[1] - c[1])
        start, count = int(np.ceil(begin)), int(np.floor(end)) - int(np.ceil(begin)) + 1
        if count > 0:
            deep = np.float32(a[2] + (start - a[0]) * across + (row - a[1]) * down)
            _line(out[row, start : start + count], deep, step, least, most)


@numba.njit(cache=True, nogil=True)
def _line(out: np.ndarray, deep: np.float32, step: np.float32, least: np.float32, most: np.float32) -> None:
    """Write the depths of a face along a row wherever they are the least.

    Args:
        out: a part of the row (column,).
        deep, step: the depth at its first column, and what each column adds to it.
        least, most: those of the nearest and the furthest corner; slivers may seem to reach beyond.
    """
    for i in range(len(out)):
        z = min(max(deep + np.float32(np.int32(i)) * step, least), most)
        out[i] = min(out[i], np.uint16(np.int32(z)))


@numba.njit(cache=True, nogil=True)
def _cut(begin: float, end: float, at: float, down: float) -> tuple[float, float]:
    """What an edge that crosses a row at a column leaves of it, by how far it leads down."""
    if down > 0:
        return max(begin, at - _EDGE), end
    return begin, min(end, at + _EDGE) if down < 0 else end
