"""Depth from two imagers and a pattern of dots (active stereo)."""

import functools
from typing import ClassVar, Self

import cv2
import numba
import numpy as np
from pydantic import Field, model_validator

from twinlab.frames import Intrinsics
from twinlab.readings import Readings
from twinlab.renderers import Frame
from twinlab.sensors import Draw, Moment
from twinlab.sensors._depth import DepthCamera, albedos, close, edges, facing, hide, lose, smooth

_NONE = np.empty((0, 0), np.float32)


class Depth(DepthCamera):
    """Depth from two imagers and a pattern of dots (active stereo); defaults are those of a RealSense D435.

    A point is found in the second imager, to the right of the first, at a disparity of `focal` · `baseline` / z in
    the device's pixels. The disparity is wrong by `subpixel`, so that the depth is wrong by z² · `subpixel` /
    (`focal` · `baseline`) whatever the size of the scene's picture. See `_depth.py` for how the device's pixels
    become the scene's.

    The effect "noise" is the error of the disparity, "disparity" its steps, "shadow" what the second imager does not
    see, "edge" what is lost at jumps of depth, "texture" where nothing can be matched, "grazing" what is seen too
    much from the side, "range" what is too near or too far.
    """

    effects: ClassVar[tuple[str, ...]] = ("noise", "disparity", "shadow", "edge", "texture", "grazing", "range")
    latency: float = Field(0.065, ge=0, le=10, description="from taking a sample to having it [s]")
    quantum: tuple[float, ...] = Field((0.001,), description="smallest step of the depth [m]")
    near: float = Field(0.28, ge=0, description="nothing nearer is measured [m]")
    far: float = Field(10.0, gt=0, description="nothing farther is measured [m]")
    focal: float = Field(640, gt=0, description="focal length in pixels of the device's own picture [px]")
    columns: float = Field(1280, gt=0, description="width of the device's own picture [px]")
    baseline: float = Field(0.05, gt=0, description="from the first to the second imager [m]")
    subpixel: float = Field(0.072, ge=0, description="standard deviation of the disparity at 1 m [px]")
    falling: float = Field(
        0.1, ge=0, lt=1, description="how it falls with the range: by range to the power of minus this [1]"
    )
    window: float = Field(7, ge=1, description="edge of the window that is matched; noise is correlated in it [px]")
    step: float = Field(1 / 32, ge=0, description="smallest step of the disparity [px]")
    edge: float = Field(0.54, ge=0, le=1, description="share that is lost close to a jump of depth [1]")
    reach: float = Field(5, ge=0, description="what is close to a jump of depth [px]")
    jump: float = Field(1, gt=0, description="the least jump of the disparity that makes an edge [px]")
    missing: float = Field(0.07, ge=0, le=1, description="share that is lost on surfaces with enough texture [1]")
    projector: float = Field(1.0, ge=0, description="contrast of the dots on white 1 m away, 0 for no projector [1]")
    grain: float = Field(0.0, ge=0, description="contrast of fine texture that is not drawn, a share of brightness [1]")
    contrast: float = Field(0.01, gt=0, description="contrast that matching needs, as a share of white [1]")
    oblique: float = Field(1.05, ge=0, lt=np.pi / 2, description="incidence from which points begin to be lost [rad]")
    grazing: float = Field(1.40, gt=0, le=np.pi / 2, description="incidence from which all points are lost [rad]")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.oblique >= self.grazing:
            raise ValueError(f"oblique must be below grazing, came {self.oblique} and {self.grazing} rad")
        return self

    def measure(self, name: str, moment: Moment, clean: Readings, state: None, draw: Draw) -> tuple[Readings, None]:
        """The depth from noisy disparities, with what is not matched left out."""
        lens, frame, depth = moment.cameras[self.camera].lens, moment.picture(self.camera), clean[name]
        scale = float(lens.fx) / self.focal
        disparity = np.float32(self.focal * self.baseline) / depth
        out = self._matched(depth, disparity, scale, draw)
        chance = self._chance(moment, frame, lens, disparity, scale)
        if chance is not None:
            lose(out, draw("holes"), chance, self.window * scale)
        if self.on("shadow"):
            # The second imager's picture begins left of the scene's by what the device's is wider.
            hide(out, disparity, scale, -max(0.0, (self.columns * scale - lens.width) / 2) - 0.5)
        return {name: self.within(out)}, None

    def _matched(self, depth: np.ndarray, disparity: np.ndarray, scale: float, draw: Draw) -> np.ndarray:
        """The depth [m] from disparities with noise and steps [px], +inf where nothing is."""
        noisy, steps = self.on("noise") and self.subpixel > 0, self.on("disparity") and self.step > 0
        if not (noisy or steps):
            return depth.copy()
        product, step = self.focal * self.baseline, np.float32(self.step if steps else 0)
        if not noisy:
            return _depths(disparity, disparity, _powers(0.0), np.float32(0), step, np.float32(product))
        error = smooth(draw("noise"), depth.shape, self.window * scale)
        # The product is the disparity at 1 m, where the error is as large as declared.
        sigma = np.float32(self.subpixel * product**-self.falling)
        return _depths(disparity, error, _powers(self.falling), sigma, step, np.float32(product))

    def _chance(
        self, moment: Moment, frame: Frame, lens: Intrinsics, disparity: np.ndarray, scale: float
    ) -> np.ndarray | None:
        """How likely each pixel is lost, float32 (height, width); None where no effect makes holes."""
        near = found = cosine = _NONE
        if self.on("edge") and self.edge > 0:
            near = close(edges(disparity, self.jump), self.reach * scale)
        if self.on("texture"):
            found = self._contrast(moment, frame, disparity, scale)
        if self.on("grazing"):
            cosine = facing(frame, lens)
        if not (near.size or found.size or cosine.size):
            return None
        numbers = (self.edge, self.contrast, 1 - self.missing, np.cos(self.grazing), np.cos(self.oblique))
        return _chances(near, found, cosine, np.array(numbers, np.float32))

    def _contrast(self, moment: Moment, frame: Frame, disparity: np.ndarray, scale: float) -> np.ndarray:
        """The contrast of what can be matched, float32 (height, width) [1].

        The dots' light falls with the square of the range, is mirrored away by gloss and drowns in other light, to
        which the exposure adapts.
        """
        if not self.projector:
            return self._drawn(frame, scale)
        light = moment.snapshot.light
        brightness = max(light.sun + light.ambient, 1e-3)
        share = np.float32(self.projector / brightness / (self.focal * self.baseline) ** 2)
        found, least = _dots(disparity, frame.visual, albedos(moment.snapshot.visuals), share)
        return np.maximum(found, self._drawn(frame, scale), out=found) if least < self.contrast else found

    def _drawn(self, frame: Frame, scale: float) -> np.ndarray:
        """The contrast of the picture itself and of the grain that no picture shows, float32 (height, width) [1]."""
        side = max(3, 2 * round(self.window * scale / 2) + 1)
        grey, n = cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY), side // 2
        return _spread(cv2.copyMakeBorder(grey, n, n, n, n, cv2.BORDER_REFLECT_101), side, np.float32(self.grain))


@functools.lru_cache(maxsize=8)
def _powers(exponent: float) -> np.ndarray:
    """Powers of the positive numbers that begin with each 16 bits of a float32, float32 (32768,).

    It is read ten times as fast as they are computed, and right within 0.4 % times the exponent.
    """
    bits = (np.arange(1 << 15, dtype=np.uint32) << 16) + (1 << 15)
    finite = np.minimum(bits, np.float32(np.finfo(np.float32).max).view(np.uint32))
    return np.asarray(finite.view(np.float32) ** np.float32(exponent))


# ---- one pass over the pixels each: i, j are row and column, all pictures are float32 (height, width)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _depths(
    disparity: np.ndarray,
    error: np.ndarray,
    size: np.ndarray,
    sigma: np.float32,
    step: np.float32,
    product: np.float32,
) -> np.ndarray:
    """The depth [m] from disparities [px] that are off.

    Args:
        disparity: without error [px].
        error: normal noise of unit variance.
        size: of the error as a multiple of sigma, for the first 16 bits of a disparity (32768,); see `_powers`.
        sigma: standard deviation where that is 1, 0 for no error [px].
        step: smallest step of what is found, 0 for none [px].
        product: the disparity at a range of 1 m [px m].
    """
    out, bits = np.empty(disparity.shape, np.float32), disparity.view(np.uint32)
    factor = np.empty(disparity.shape[1], np.float32)
    for i in range(disparity.shape[0]):
        for j in range(disparity.shape[1]):
            factor[j] = size[bits[i, j] >> np.uint32(16)]
        for j in range(disparity.shape[1]):
            found = disparity[i, j] + sigma * factor[j] * error[i, j]
            if step > 0:
                found = np.rint(found / step) * step
            depth = product / max(found, np.float32(1e-6))
            out[i, j] = depth if disparity[i, j] > 0 else np.float32(np.inf)
    return out


@numba.njit(cache=True, nogil=True)
def _dots(
    disparity: np.ndarray, visual: np.ndarray, scattered: np.ndarray, share: np.float32
) -> tuple[np.ndarray, np.float32]:
    """The contrast of the projector's dots [1] at disparities [px] on visuals that scatter a part, and the least."""
    out, least = np.empty(disparity.shape, np.float32), np.float32(np.inf)
    for i in range(disparity.shape[0]):
        for j in range(disparity.shape[1]):
            out[i, j] = share * disparity[i, j] * disparity[i, j] * scattered[visual[i, j]]
            least = min(least, out[i, j])
    return out, least


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _spread(grey: np.ndarray, side: int, grain: np.float32) -> np.ndarray:
    """The contrast [1] within a square around each pixel of a grey picture, and of a grain that is a share of it.

    Args:
        grey: uint8, wider than the picture by half a side all around.
        side: of the square [px].
        grain: see above [1].
    """
    out = np.empty((grey.shape[0] - side + 1, grey.shape[1] - side + 1), np.float32)
    columns = np.zeros((2, grey.shape[1]), np.int32)  # sum and sum of squares of a column's part in the squares
    whole, share = np.empty((2, out.shape[1]), np.int32), np.float32(1 / side**2)
    for k in range(side - 1):
        _count(columns, grey[k], np.int32(1))
    for i in range(out.shape[0]):
        _count(columns, grey[i + side - 1], np.int32(1))
        whole[:] = 0
        for k in range(side):
            whole += columns[:, k : k + out.shape[1]]
        for j in range(out.shape[1]):
            mean = np.float32(whole[0, j]) * share
            square, grains = np.float32(whole[1, j]) * share - mean * mean, grain * mean
            out[i, j] = np.sqrt(max(square, np.float32(0)) + grains * grains) * np.float32(1 / 255)
        _count(columns, grey[i], np.int32(-1))
    return out


@numba.njit(cache=True, nogil=True)
def _count(columns: np.ndarray, row: np.ndarray, sign: np.int32) -> None:
    """Add the numbers of a row (n,) and their squares to the sums of columns (2, n), or take them away."""
    for j in range(len(row)):
        value = np.int32(row[j])
        columns[0, j] += sign * value
        columns[1, j] += sign * value * value


@numba.njit(cache=True, nogil=True)
def _chances(near: np.ndarray, found: np.ndarray, cosine: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """How likely each pixel is lost [1]; a picture that is empty takes no part.

    Args:
        near: how likely it is close to a jump of depth [1].
        found: contrast that is found there [1].
        cosine: of the incidence [1].
        numbers: share that is lost close to a jump, contrast that is needed, share that is kept at most, and the
            cosines at which nothing and everything is kept (5,) [1].
    """
    zero, one = np.float32(0), np.float32(1)
    edge, needed, most, low, high = numbers
    height, width = near.shape if near.size else found.shape if found.size else cosine.shape
    out = np.empty((height, width), np.float32)
    for i in range(out.shape[0]):
        kept = out[i]
        kept[:] = one
        if near.size:
            for j in range(len(kept)):
                kept[j] -= edge * near[i, j]
        if found.size:
            for j in range(len(kept)):
                kept[j] *= min(found[i, j] * (one / needed), most)
        if cosine.size:
            for j in range(len(kept)):
                kept[j] *= min(max((cosine[i, j] - low) * (one / (high - low)), zero), one)
        for j in range(len(kept)):
            kept[j] = one - kept[j]
    return out
