"""What the depth sensors share: edges, shadows, incidence, gloss and random fields that are correlated in the picture.

A real device has more pixels than a scene's camera, and what it gets wrong is declared in its own. A scene's pixel
stands for the device's pixel in its middle: it has that one's noise, undiminished, and `scale`, the focal length of
the scene's camera over the device's, turns lengths in the device's pixels into the camera's.
"""

import functools
from abc import ABC, abstractmethod
from typing import Any, Self

import cv2
import numpy as np
from pydantic import Field, model_validator
from scipy.special import ndtri

from twinlab.frames import Intrinsics
from twinlab.readings import Readings, Variable
from twinlab.renderers import Frame
from twinlab.sensors import Draw, Moment, Sensor
from twinlab.sensors._normal import normal
from twinlab.snapshot import Visual

_RAGGED = 0.4  # share of single pixels in the field that makes holes, so that these have rough rims
_GAMMA = 2.2  # of sRGB, about
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # shares of red, green and blue in brightness (ITU-R BT.709)
_BOX = 12**-0.5  # standard deviation of a box of width 1
_QUANTILES = np.clip(ndtri(np.arange(256) / 255), -9, 9).astype(np.float32)


class DepthCamera(Sensor, ABC):
    """A camera that measures the distance along its optical axis, +inf where it measures nothing."""

    camera: str = Field("overhead", description="which of the scene's cameras")
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
            np.copyto(depth, np.float32(np.inf), where=(depth < np.float32(self.near)) | (depth > np.float32(self.far)))
        return depth


@functools.lru_cache(maxsize=32)
def slopes(lens: Intrinsics) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each pixel's ray: x over z (1, width), y over z (height, 1), and its length at z = 1 (height, width)."""
    x = ((np.arange(lens.width) - lens.cx) / lens.fx)[None]
    y = ((np.arange(lens.height) - lens.cy) / lens.fy)[:, None]
    return x.astype(np.float32), y.astype(np.float32), np.sqrt(x**2 + y**2 + 1).astype(np.float32)


def facing(frame: Frame, lens: Intrinsics) -> np.ndarray:
    """The cosine of the angle of incidence, float32 (height, width); 0 where nothing is."""
    out = np.einsum("ijk,ijk->ij", frame.normals, _inwards(lens))
    return np.asarray(np.maximum(out, np.float32(0), out=out))


@functools.lru_cache(maxsize=32)
def _inwards(lens: Intrinsics) -> np.ndarray:
    """Of each pixel the unit vector towards the camera, float32 (height, width, 3)."""
    x, y, length = slopes(lens)
    return -np.stack([x / length, y / length, 1 / length], axis=-1)


def albedo(frame: Frame, visuals: tuple[Visual, ...]) -> np.ndarray:
    """What share of a sensor's own light each pixel's surface scatters, float32 (height, width) [1]; 0 for nothing.

    It is the brightness of the colour in linear light, as if infrared were visible, less what is mirrored. Shade does
    not matter to a sensor that brings its light along.
    """
    return np.take(_surfaces(visuals)[0], frame.visual, mode="wrap")


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


def shadow(disparity: np.ndarray) -> np.ndarray:
    """Which pixels a second view to the right, or a projector there, does not see because something hides them.

    In a row of that view a point stands at its column less its disparity. Matching keeps the order of points along a
    row, so that a point is lost when one to its right comes to stand to its left.

    Args:
        disparity: float32 (height, width) in pixels of the picture itself [px].

    Returns:
        bool, (height, width).
    """
    at = np.arange(disparity.shape[1], dtype=np.float32) - disparity
    least = np.minimum.accumulate(at[:, ::-1], axis=1)[:, ::-1]
    out = np.zeros(disparity.shape, bool)
    # The rim of what hides stands half a pixel to the left of its first pixel's middle.
    np.less(least[:, 1:] - np.float32(0.5), at[:, :-1], out=out[:, :-1])
    return out


def edges(inverse: np.ndarray, step: float | np.ndarray) -> np.ndarray:
    """Which pixels stand at a jump of depth, uint8 (height, width), 1 for an edge.

    On a plane the inverse of the depth is linear in the picture, so that its second difference is zero at any slope.

    Args:
        inverse: something proportional to 1 / depth, float32 (height, width), 0 where nothing is.
        step: the least second difference that counts as a jump, in the same unit, one or one for each pixel.
    """
    across = np.abs(cv2.Sobel(inverse, cv2.CV_32F, 2, 0, ksize=1))
    down = np.abs(cv2.Sobel(inverse, cv2.CV_32F, 0, 2, ksize=1))
    across[:, [0, -1]] = 0  # there is no neighbour beyond the picture
    down[[0, -1]] = 0
    return (np.maximum(across, down) > step).astype(np.uint8)


def close(edge: np.ndarray, reach: float) -> np.ndarray:
    """How likely each pixel lies within `reach` [px] of an edge, float32 (height, width).

    An edge runs anywhere between two pixels' middles. Where `reach` is a part of a pixel, only as large a part of the
    pixels along an edge lies within it.

    Args:
        edge: 1 at pixels beside an edge, uint8 (height, width).
        reach: in the picture's own pixels [px].
    """
    if reach <= 1:
        return edge * np.float32(reach)
    away = cv2.distanceTransform(1 - edge, cv2.DIST_L2, 3)
    out = np.subtract(np.float32(reach), away, out=away)
    return np.minimum(np.maximum(out, np.float32(0), out=out), np.float32(1), out=out)


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


def lost(rng: np.random.Generator, chance: np.ndarray, window: float) -> np.ndarray:
    """Holes: each pixel is lost with its chance, and pixels within a window are mostly lost together.

    The less likely a hole, the fewer of the same holes there are: a smaller chance never adds one.

    Args:
        rng: its source.
        chance: float32 (height, width), in 0–1; taken in steps of 1/255.
        window: how far holes are correlated [px].

    Returns:
        bool, (height, width).
    """
    field, raw, weight = _field(rng, chance.shape, window)
    if weight < 1:
        field = field + np.float32(_RAGGED) * raw
        field *= np.float32((1 + _RAGGED**2 + 2 * _RAGGED * weight) ** -0.5)
    return np.asarray(field < cv2.LUT(cv2.convertScaleAbs(chance, alpha=255), _QUANTILES))


def _field(rng: np.random.Generator, shape: tuple[int, ...], window: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Correlated noise of unit variance, the white noise that it came from, and the correlation of the two."""
    kernel = _bell(round(window * _BOX, 3))
    margin = len(kernel) // 2
    raw = normal(rng, (shape[0] + 2 * margin, shape[1] + 2 * margin))
    if not margin:
        return raw, raw, 1.0
    inside = (slice(margin, -margin), slice(margin, -margin))
    return cv2.sepFilter2D(raw, cv2.CV_32F, kernel, kernel)[inside], raw[inside], float(kernel[margin, 0] ** 2)


@functools.lru_cache(maxsize=64)
def _bell(sigma: float) -> np.ndarray:
    """Weights of a Gaussian filter that keeps the variance of white noise, (n, 1); just one if it hardly blurs."""
    margin = int(np.ceil(3 * sigma)) if sigma > 0.25 else 0
    weights = cv2.getGaussianKernel(2 * margin + 1, max(sigma, 0.25), cv2.CV_64F)
    return (weights / np.linalg.norm(weights)).astype(np.float32)
