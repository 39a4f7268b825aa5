"""What the depth sensors share: edges, shadows, incidence, gloss and random fields that are correlated in the picture.

A real device has more pixels than a scene's camera, and what it gets wrong is declared in its own. A scene's pixel
stands for the device's pixel in its middle: it has that one's noise, undiminished, and `scale`, the focal length of
the scene's camera over the device's, turns lengths in the device's pixels into the camera's.
"""

import functools
from abc import ABC, abstractmethod
from typing import Any, Self

import cv2
import numba
import numpy as np
from pydantic import Field, model_validator
from scipy.special import ndtri

from twinlab.frames import Intrinsics
from twinlab.readings import Readings, Variable
from twinlab.renderers import Frame
from twinlab.sensors import Draw, Imager, Moment
from twinlab.sensors._normal import normal
from twinlab.snapshot import Visual

_RAGGED = 0.4  # share of single pixels in the field that makes holes, so that these have rough rims
_GAMMA = 2.2  # of sRGB, about
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # shares of red, green and blue in brightness (ITU-R BT.709)
_BOX = 12**-0.5  # standard deviation of a box of width 1
_QUANTILES = np.clip(ndtri(np.arange(256) / 255), -9, 9).astype(np.float32)


class DepthCamera(Imager, ABC):
    """A camera that measures the distance along its optical axis, +inf where it measures nothing."""

    near: float = Field(0.1, ge=0, description="nothing nearer is measured [m]")
    far: float = Field(10.0, gt=0, description="nothing farther is measured [m]")

    @model_validator(mode="after")
    def _has_a_range(self) -> Self:
        if self.near >= self.far:
            raise ValueError(f"near must be below far, came {self.near} and {self.far} m")
        return self

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """One picture [m]."""
        camera = moment.cameras[self.camera].camera
        dims = tuple(f"{self.camera}_{axis}" for axis in ("row", "column"))
        shape = (camera.height, camera.width)
        return (Variable(name, dims, shape, "float32", "m", "depth", "reading", about=camera.about()),)

    def read(self, name: str, moment: Moment, state: None) -> tuple[Readings, None]:
        """The renderer's picture as it is."""
        return {name: moment.picture(self.camera).depth}, None

    @abstractmethod
    def measure(self, name: str, moment: Moment, clean: Readings, state: Any, draw: Draw) -> tuple[Readings, Any]:
        """The picture with what its principle gets wrong."""

    def within(self, depth: np.ndarray) -> np.ndarray:
        """The depth [m], +inf where it is out of range."""
        if self.on("range"):
            _limit(depth, np.float32(self.near), np.float32(self.far))
        return depth


@functools.lru_cache(maxsize=32)
def slopes(lens: Intrinsics) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each pixel's ray: x over z (1, width), y over z (height, 1), and its length at z = 1 (height, width)."""
    x = ((np.arange(lens.width) - lens.cx) / lens.fx)[None]
    y = ((np.arange(lens.height) - lens.cy) / lens.fy)[:, None]
    return x.astype(np.float32), y.astype(np.float32), np.sqrt(x**2 + y**2 + 1).astype(np.float32)


def facing(frame: Frame, lens: Intrinsics) -> np.ndarray:
    """The cosine of the angle of incidence, float32 (height, width); 0 where nothing is."""
    return np.asarray(_facing(frame.normals, *slopes(lens)))


def albedo(frame: Frame, visuals: tuple[Visual, ...]) -> np.ndarray:
    """What share of a sensor's own light each pixel's surface scatters, float32 (height, width) [1]; 0 for nothing."""
    return np.take(albedos(visuals), frame.visual, mode="wrap")


def albedos(visuals: tuple[Visual, ...]) -> np.ndarray:
    """What share of a sensor's own light each visual scatters, and nothing, float32 (visual + 1,) [1].

    It is the brightness of the colour in linear light, as if infrared were visible, less what is mirrored. Shade does
    not matter to a sensor that brings its light along.
    """
    return _surfaces(visuals)[0]


def gloss(frame: Frame, visuals: tuple[Visual, ...]) -> np.ndarray | None:
    """How much of the light each pixel's surface mirrors, float32 (height, width) [1]; None if nothing does."""
    table = _surfaces(visuals)[1]
    return np.take(table, frame.visual, mode="wrap") if table.any() else None


@functools.lru_cache(maxsize=8)
def _surfaces(visuals: tuple[Visual, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Albedo and gloss of each visual, and of nothing, which comes last because its index is -1."""
    colours = np.array([_colour(v) for v in visuals]).reshape(-1, 3)
    mirrored = np.array([v.gloss for v in visuals])
    scattered = colours**_GAMMA @ _LUMINANCE * (1 - mirrored)
    return np.append(scattered, 0).astype(np.float32), np.append(mirrored, 0).astype(np.float32)


def _colour(visual: Visual) -> np.ndarray:
    """The mean colour of a visual's faces, sRGB in 0–1 (3,)."""
    colours = visual.mesh.colours
    colour = np.array(visual.colour, float) if colours is None else colours.astype(float).mean(axis=0)
    if visual.texture is not None:
        colour = colour * visual.texture.picture[..., :3].mean(axis=(0, 1)) / 255
    return np.asarray(colour)


def hide(depth: np.ndarray, disparity: np.ndarray, scale: float = 1, rim: float = -np.inf) -> None:
    """Make +inf what a second view to the right, or a projector there, does not see because something hides it.

    In a row of that view a point stands at its column less its disparity. Matching keeps the order of points along a
    row, so that a point is lost when one to its right comes to stand to its left.

    Args:
        depth: changed in place, float32 (height, width) [m].
        disparity: float32 (height, width) [px].
        scale: the picture's own pixels in one of the disparity's [1].
        rim: column at which that view begins, in the picture's own pixels [px].
    """
    _hide(depth, disparity, np.float32(scale), np.float32(rim))


def edges(inverse: np.ndarray, step: float | np.ndarray) -> np.ndarray:
    """Which pixels stand at a jump of depth, bool (height, width).

    On a plane the inverse of the depth is linear in the picture, so that its second difference is zero at any slope.

    Args:
        inverse: something proportional to 1 / depth, float32 (height, width), 0 where nothing is.
        step: the least second difference that counts as a jump, in the same unit, one or one for each pixel.
    """
    return np.asarray(_bends(inverse) > step)


def close(edge: np.ndarray, reach: float) -> np.ndarray:
    """How likely each pixel lies within `reach` [px] of an edge, float32 (height, width).

    An edge runs anywhere between two pixels' middles. Where `reach` is a part of a pixel, only as large a part of the
    pixels along an edge lies within it.

    Args:
        edge: whether a pixel stands beside an edge, bool (height, width).
        reach: in the picture's own pixels [px].
    """
    return edge * np.float32(reach) if reach <= 1 else _stamped(edge, _stamp(reach))


@functools.lru_cache(maxsize=64)
def _stamp(reach: float) -> np.ndarray:
    """How likely the pixels around one beside an edge lie within `reach` [px] of it, float32 (2n + 1, 2n + 1)."""
    n = int(reach * 1.05)  # a step along a row counts as 0.955 in OpenCV's measure
    apart = np.ones((2 * n + 1, 2 * n + 1), np.uint8)
    apart[n, n] = 0
    away = cv2.distanceTransform(apart, cv2.DIST_L2, 3)
    return np.clip(np.float32(reach) - away, 0, 1).astype(np.float32)


def ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """From 0 at `low` to 1 at `high`, float32, straight between them."""
    out = (values - np.float32(low)) * np.float32(1 / (high - low))
    return np.asarray(np.minimum(np.maximum(out, np.float32(0), out=out), np.float32(1), out=out))


def smooth(rng: np.random.Generator, shape: tuple[int, ...], window: float) -> np.ndarray:
    """Normal noise of unit variance, float32, which is correlated as the mean over a window of so many pixels is.

    Args:
        rng: its source.
        shape: height and width of the picture.
        window: width of the window [px]; a bell of the same variance takes its place.
    """
    return _field(rng, shape, window)[0]


def lose(depth: np.ndarray, rng: np.random.Generator, chance: np.ndarray, window: float) -> None:
    """Make holes of +inf: each pixel is lost with its chance, and pixels within a window are mostly lost together.

    The less likely a hole, the fewer of the same holes there are: a smaller chance never adds one.

    Args:
        depth: changed in place, float32 (height, width) [m].
        rng: source of the holes.
        chance: float32 (height, width), in 0–1; taken in steps of 1/255.
        window: how far holes are correlated [px].
    """
    field, raw, weight = _field(rng, chance.shape, window)
    ragged = _RAGGED if weight < 1 else 0.0
    size = (1 + ragged**2 + 2 * ragged * weight) ** -0.5
    _lose(depth, field, raw, chance, np.float32(size), np.float32(ragged * size), _QUANTILES)


def _field(rng: np.random.Generator, shape: tuple[int, ...], window: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Correlated noise of unit variance, the white noise that it came from, and the correlation of the two.

    The white noise is wider than the picture by the same margin on every side.
    """
    kernel = _bell(round(window * _BOX, 3))
    margin = len(kernel) // 2
    raw = normal(rng, (shape[0] + 2 * margin, shape[1] + 2 * margin))
    if not margin:
        return raw, raw, 1.0
    return _filtered(raw, kernel), raw, float(kernel[margin] ** 2)


@functools.lru_cache(maxsize=64)
def _bell(sigma: float) -> np.ndarray:
    """Weights of a Gaussian filter that keeps the variance of white noise, (n,); just one if it hardly blurs."""
    margin = int(np.ceil(3 * sigma)) if sigma > 0.25 else 0
    weights = cv2.getGaussianKernel(2 * margin + 1, max(sigma, 0.25), cv2.CV_64F)
    return (weights / np.linalg.norm(weights)).astype(np.float32)[:, 0].copy()


# ---- one pass over the pixels each: i, j are row and column, all pictures are float32 (height, width) if not told


@numba.njit(cache=True, nogil=True)
def _limit(depth: np.ndarray, near: np.float32, far: np.float32) -> None:
    """Make +inf what is out of range [m], in place."""
    for i in range(depth.shape[0]):
        for j in range(depth.shape[1]):
            z = depth[i, j]
            depth[i, j] = np.float32(np.inf) if z < near or z > far else z


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _facing(normals: np.ndarray, across: np.ndarray, down: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The cosine between normals (height, width, 3) and the way back along rays, not below 0; see `slopes`."""
    out = np.empty(length.shape, np.float32)
    for i in range(length.shape[0]):
        y = down[i, 0]
        for j in range(length.shape[1]):
            along = normals[i, j, 0] * across[0, j] + normals[i, j, 1] * y + normals[i, j, 2]
            out[i, j] = max(-along / length[i, j], np.float32(0))
    return out


@numba.njit(cache=True, nogil=True)
def _hide(depth: np.ndarray, disparity: np.ndarray, scale: np.float32, rim: np.float32) -> None:
    """Make +inf what is hidden from the right or beyond the rim, in place; see `hide`."""
    height, width = disparity.shape
    at, half = np.empty(width, np.float32), np.float32(0.5)
    for i in range(height):
        hidden = 0
        for j in range(width):
            at[j] = np.float32(j) - disparity[i, j] * scale
        for j in range(width):
            depth[i, j] = np.float32(np.inf) if at[j] < rim else depth[i, j]
        for j in range(width - 1):
            # The rim of what hides stands half a pixel to the left of its first pixel's middle.
            hidden += at[j + 1] - half < at[j]
        if not hidden:
            continue
        least = np.float32(np.inf)  # where the leftmost of the points to the right stands
        for j in range(width - 1, -1, -1):
            if least - half < at[j]:
                depth[i, j] = np.float32(np.inf)
            least = min(least, at[j])


@numba.njit(cache=True, nogil=True)
def _bends(inverse: np.ndarray) -> np.ndarray:
    """The larger of the second differences across and down, in size; none where a neighbour is beyond the picture."""
    height, width = inverse.shape
    out = np.zeros(inverse.shape, np.float32)
    for i in range(height):
        for j in range(1, width - 1):
            out[i, j] = abs(inverse[i, j - 1] + inverse[i, j + 1] - 2 * inverse[i, j])
    for i in range(1, height - 1):
        for j in range(width):
            down = abs(inverse[i - 1, j] + inverse[i + 1, j] - 2 * inverse[i, j])
            out[i, j] = max(out[i, j], down)
    return out


@numba.njit(cache=True, nogil=True, fastmath={"nnan"})
def _stamped(edge: np.ndarray, stamp: np.ndarray) -> np.ndarray:
    """The largest of the stamps (2n + 1, 2n + 1) that are put on the pixels of an edge, bool (height, width)."""
    height, width = edge.shape
    size = len(stamp)
    out = np.zeros((height + size - 1, width + size - 1), np.float32)
    columns = np.empty(width + 1, np.uintp)
    for i in range(height):
        count = 0  # of the row's edge pixels; they are listed first, because a branch at each pixel takes longer
        for j in range(width):
            columns[count] = j
            count += edge[i, j]
        for a in range(size if count else 0):
            row, line = out[i + a], stamp[a]
            for j in columns[:count]:
                for b in range(np.uintp(size)):
                    row[j + b] = max(row[j + b], line[b])
    n = size // 2
    return out[n : n + height, n : n + width]


@numba.njit(cache=True, nogil=True, fastmath={"contract"})
def _filtered(raw: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """A picture (height + 2n, width + 2n) after a filter of symmetric weights (2n + 1,), first down, then across."""
    n = len(kernel) // 2
    out = np.empty((raw.shape[0] - 2 * n, raw.shape[1] - 2 * n), np.float32)
    down = np.empty(raw.shape[1], np.float32)
    for i in range(out.shape[0]):
        middle = raw[i + n]
        for j in range(len(down)):
            down[j] = kernel[n] * middle[j]
        for k in range(n):
            weight, above, below = kernel[k], raw[i + k], raw[i + 2 * n - k]
            for j in range(len(down)):
                down[j] += weight * (above[j] + below[j])
        across, middle = out[i], down[n:]
        for j in range(len(across)):
            across[j] = kernel[n] * middle[j]
        for k in range(n):
            weight, left, right = kernel[k], down[k:], down[2 * n - k :]
            for j in range(len(across)):
                across[j] += weight * (left[j] + right[j])
    return out


@numba.njit(cache=True, nogil=True)
def _lose(
    depth: np.ndarray,
    field: np.ndarray,
    raw: np.ndarray,
    chance: np.ndarray,
    smooth: np.float32,
    rough: np.float32,
    table: np.ndarray,
) -> None:
    """Make +inf where noise is below what its chance allows, in place; see `lose`.

    Args:
        depth: float32 (height, width) [m].
        field: correlated noise.
        raw: white noise, wider by the same margin on every side.
        chance: of being lost [1].
        smooth: weight of the correlated noise.
        rough: weight of the white noise.
        table: quantiles of the normal distribution at 0/255 to 255/255 (256,).
    """
    height, width = chance.shape
    margin = (raw.shape[0] - height) // 2
    place, least = np.empty(width, np.int32), np.empty(width, np.float32)
    # Loops of one kind each: in a single one every hole is a branch that the processor guesses wrong.
    for i in range(height):
        here, some, white = depth[i], field[i], raw[i + margin, margin : margin + width]
        for j in range(width):
            place[j] = np.int32(chance[i, j] * np.float32(255) + np.float32(0.5))
        for j in range(width):
            least[j] = table[np.uint32(place[j])]
        for j in range(width):
            z = here[j]
            here[j] = np.float32(np.inf) if smooth * some[j] + rough * white[j] < least[j] else z
