"""How paint becomes a colour: light from the sun as far as it gets, light from the sky and the ground around.

Colours are mixed as their squares, which is close to linear light. The ground sends back about half of what comes from
the sky, so what looks down is darker.
"""

from typing import NamedTuple

import numba
import numpy as np

DEEPEST = 65_535  # how a shadow map, of 16 bits, writes that nothing is in the sun's way
_SKY, _GROUND = 0.74, 0.26  # shares of the light around: what all surfaces get, and what looking upwards adds or takes


class Shade(NamedTuple):
    """Where the sun's light gets in a picture.

    Attributes:
        map: how deep it gets, uint16 (row, column); empty for everywhere.
        to_map: the matrix (3, 4) from the camera's frame to column, row and depth of the map.
        lens: fx, fy, cx, cy, as in `Intrinsics` [px].
        room: by how much shadows are looked up in front of a surface, so that no face shades itself [m].
        taps: places around it that are looked at, columns and rows (tap, 2) [texel].
    """

    map: np.ndarray
    to_map: np.ndarray
    lens: tuple[float, float, float, float]
    room: float
    taps: np.ndarray


@numba.njit(cache=True, nogil=True, error_model="numpy")
def light(
    paint: np.ndarray,
    zenith: np.ndarray,
    depth: np.ndarray,
    normals: np.ndarray,
    strength: tuple[float, float],
    shade: Shade,
    background: np.ndarray,
) -> np.ndarray:
    """The colours of a picture, uint8 (height, width, 3).

    Args:
        paint: colour of the surface, and how far it is turned to the sun, uint8 (height, width, 4).
        zenith: how far it is turned upwards, uint8 (height, width): 0 downwards, 255 upwards.
        depth, normals: as in `Frame`.
        strength: of the sun and of the light around, as in `Light` [1].
        shade: where the sun's light gets.
        background: the colour where nothing is, uint8 (3,).
    """
    high, wide = depth.shape
    out, bright = np.empty((high, wide, 3), np.uint8), np.empty((4, wide), np.float32)
    sun, around = np.float32(strength[0] / 255), np.float32(strength[1])
    low, rise = around * np.float32(_SKY - _GROUND), around * np.float32(2 * _GROUND / 255)
    matrix, room = shade.to_map.astype(np.float32), np.float32(shade.room)
    fx, fy, cx, cy = shade.lens
    across, down = np.float32(1 / fx), np.float32(1 / fy)
    left, top = np.float32(-cx / fx), np.float32(-cy / fy)
    taps = shade.taps.astype(np.float32)
    reach = int(np.ceil(np.abs(taps).max() + 0.5))
    for v in range(high):
        lit = bright[3]
        lit[:] = 1
        if shade.map.size:
            _place(bright, across, left, down * np.float32(v) + top, depth[v], normals[v], room, matrix)
            _fall(bright, paint[v], shade.map, taps, reach)
        for u in range(wide):
            lit[u] = np.sqrt(low + rise * np.float32(zenith[v, u]) + sun * np.float32(paint[v, u, 3]) * lit[u])
        for u in range(wide):
            there = depth[v, u] < np.inf
            for i in range(3):
                shown = np.uint8(min(np.float32(paint[v, u, i]) * lit[u] + np.float32(0.5), np.float32(255)))
                out[v, u, i] = shown if there else background[i]
    return out


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _place(
    at: np.ndarray,
    across: np.float32,
    left: np.float32,
    down: np.float32,
    depth: np.ndarray,
    normals: np.ndarray,
    room: np.float32,
    m: np.ndarray,
) -> None:
    """Write where in the map a row of a picture is looked up.

    Args:
        at: column, row and depth (3, width).
        across, left, down: the ray of pixel u is (across * u + left, down, 1).
        depth, normals: what the row shows.
        room, m: as `room` and `to_map` in `Shade`.
    """
    x, y, z = at[0], at[1], at[2]
    for u in range(len(depth)):
        a = depth[u] * (across * np.float32(u) + left) + room * normals[u, 0]
        b = depth[u] * down + room * normals[u, 1]
        c = depth[u] + room * normals[u, 2]
        x[u] = m[0, 0] * a + m[0, 1] * b + m[0, 2] * c + m[0, 3]
        y[u] = m[1, 0] * a + m[1, 1] * b + m[1, 2] * c + m[1, 3]
        z[u] = (m[2, 0] * a + m[2, 1] * b + m[2, 2] * c + m[2, 3]) * np.float32(DEEPEST)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _fall(at: np.ndarray, paint: np.ndarray, map_: np.ndarray, taps: np.ndarray, reach: int) -> None:
    """Write how much of the sun's light gets to a row of a picture into the last row of `at` (4, width).

    What is off the map, or turned away from the sun, is left as it is. Most places lie before or behind all nine
    texels that the taps of a soft edge can reach, so that they need not be looked at one by one.
    """
    near, far = np.float32(reach), np.float32(reach + 1)
    right, bottom = np.float32(map_.shape[1]) - far, np.float32(map_.shape[0]) - far
    wide, deepest = np.uintp(map_.shape[1]), np.float32(DEEPEST)
    flat = map_.reshape(-1)
    for u in range(at.shape[1]):
        x, y, z = at[0, u], at[1, u], at[2, u]
        if not (paint[u, 3] and x >= near and y >= near and z > 0 and x < right and y < bottom and z < deepest):
            continue
        start = np.uintp(np.int32(y) - reach) * wide + np.uintp(np.int32(x) - reach)
        least, most = _span(flat, start, wide) if reach == 1 else (np.uint16(0), np.uint16(DEEPEST))
        if z > most:
            at[3, u] = 0
        elif z > least:
            at[3, u] = _mixed(map_, x, y, z, taps)


@numba.njit(cache=True, nogil=True, inline="always")
def _span(flat: np.ndarray, start: np.uintp, wide: np.uintp) -> tuple[np.uint16, np.uint16]:
    """The least and the most of 3×3 texels, of which `start` is the first, in rows of a width; no loop is as fast."""
    one, two, lower = np.uintp(1), np.uintp(2), start + wide
    last = lower + wide
    a, b, c = flat[start], flat[start + one], flat[start + two]
    d, e, f = flat[lower], flat[lower + one], flat[lower + two]
    g, h, i = flat[last], flat[last + one], flat[last + two]
    return min(a, b, c, d, e, f, g, h, i), max(a, b, c, d, e, f, g, h, i)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _mixed(map_: np.ndarray, x: np.float32, y: np.float32, z: np.float32, taps: np.ndarray) -> np.float32:
    """How much of the light gets to a place at the edge of a shadow: at each tap a mix of the four texels around it.

    Args:
        map_: how deep the light gets (row, column).
        x, y, z: column, row and depth of the place.
        taps: as in `Shade`.
    """
    one, half, through = np.float32(1), np.float32(0.5), np.float32(0)
    for tap in range(len(taps)):
        column, row = x + taps[tap, 0] - half, y + taps[tap, 1] - half
        left, top = np.floor(column), np.floor(row)
        p, q = column - left, row - top
        i, k = np.uintp(np.int32(left)), np.uintp(np.int32(top))
        j, m = i + np.uintp(1), k + np.uintp(1)
        upper = (one - p) * np.float32(map_[k, i] >= z) + p * np.float32(map_[k, j] >= z)
        lower = (one - p) * np.float32(map_[m, i] >= z) + p * np.float32(map_[m, j] >= z)
        through += (one - q) * upper + q * lower
    return through / np.float32(len(taps))
