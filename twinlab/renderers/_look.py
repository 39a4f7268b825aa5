"""All numbers of a picture that follow from where its camera and the visuals are, by kernels of numba."""

import numba
import numpy as np

from twinlab.renderers import _shaders


@numba.njit(cache=True, nogil=True)
def look(
    back: np.ndarray,
    lens: np.ndarray,
    sun: np.ndarray,
    world: np.ndarray,
    middle: np.ndarray,
    half: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What the shaders and the sieve are given.

    Args:
        back: the matrix (4, 4) from the camera's optical frame to the world.
        lens: width, height, fx, fy, cx, cy, as in `Intrinsics` (6,) [px].
        sun: where the sun stands, a direction (3,) in the world.
        world, middle, half: as in `seen`.

    Returns:
        The shaders' block `Look` (5, 4), float32; the matrices from the visuals' frames to the camera's
        (visual, 3, 4), float32; how far each may be off before it shows, as from `_hidden` (visual,) [m]; the matrix
        from the camera's frame to the picture: column * depth, row * depth, depth (3, 4).
    """
    wide, high, fx, fy, cx, cy = lens
    view = np.zeros((4, 4))
    for i in range(3):
        for j in range(3):
            view[i, j] = back[j, i]
            view[i, 3] -= back[j, 3] * back[j, i]
    view[3, 3] = 1
    block = np.zeros((5, 4), np.float32)
    # Pixel centres are whole numbers in `Intrinsics` and halves in OpenGL.
    block[0] = np.array((2 * fx / wide, 2 * fy / high, (2 * cx + 1) / wide - 1, (2 * cy + 1) / high - 1))
    block[1] = np.array((1 / fx, 1 / fy, -(cx + 0.5) / fx, -(cy + 0.5) / fy))
    size = np.sqrt(sun[0] ** 2 + sun[1] ** 2 + sun[2] ** 2)
    for i in range(3):
        block[2, i] = (view[i, 0] * sun[0] + view[i, 1] * sun[1] + view[i, 2] * sun[2]) / size
        block[3, i] = view[i, 2]
    block[4, 0], block[4, 1] = fx, fy
    matrices, low, high_corners = seen(view, world, middle, half)
    pixels = np.array(((fx, 0.0, cx, 0.0), (0.0, fy, cy, 0.0), (0.0, 0.0, 1.0, 0.0)))
    return block, matrices, _hidden(low, high_corners, pixels, wide, high), pixels


@numba.njit(cache=True, nogil=True)
def seen(
    view: np.ndarray, world: np.ndarray, middle: np.ndarray, half: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a matrix makes of each visual.

    Args:
        view: the matrix (4, 4) from the world.
        world: from the visuals' frames to the world (visual, 4, 4).
        middle, half: as in `Stage.boxes`.

    Returns:
        The matrices from the visuals' frames (visual, 3, 4), float32; low and high corners (visual, 3) of a box
        around each visual, along the axes to which they lead [m].
    """
    count = len(world)
    matrices, low, high = np.empty((count, 3, 4), np.float32), np.empty((count, 3)), np.empty((count, 3))
    for n in range(count):
        w = world[n]
        for i in range(3):
            x, y, z = view[i, 0], view[i, 1], view[i, 2]
            at = x * w[0, 3] + y * w[1, 3] + z * w[2, 3] + view[i, 3]
            matrices[n, i, 3] = at
            reach = 0.0
            for j in range(3):
                turn = x * w[0, j] + y * w[1, j] + z * w[2, j]
                matrices[n, i, j] = turn
                at += turn * middle[n, j]
                reach += abs(turn) * half[n, j]
            low[n, i], high[n, i] = at - reach, at + reach
    return matrices, low, high


@numba.njit(cache=True, nogil=True)
def _hidden(low: np.ndarray, high: np.ndarray, pixels: np.ndarray, wide: float, tall: float) -> np.ndarray:
    """How far off what is in each box may be before it shows, half a pixel; +inf for what is out of the picture [m].

    Args:
        low, high: boxes along the axes of a camera's optical frame (box, 3) [m].
        pixels: from there to the picture: column * depth, row * depth, depth (3, 4).
        wide, tall: size of the picture [px].
    """
    hidden = np.empty(len(low))
    for n in range(len(low)):
        near, far = low[n, 2], high[n, 2]
        out = far < _shaders.NEAR
        for axis in range(2):
            focal, before = pixels[axis, axis], pixels[axis, 2] + 0.5  # pixels on this side of the principal point
            behind = (wide, tall)[axis] - before
            out |= focal * high[n, axis] + max(before * near, before * far) < 0
            out |= focal * low[n, axis] - max(behind * near, behind * far) > 0
        hidden[n] = np.inf if out else max(near, 0.0) / (2 * max(pixels[0, 0], pixels[1, 1]))
    return hidden
