"""Depth from two imagers and a pattern of dots (active stereo)."""

from typing import ClassVar, Self

import cv2
import numpy as np
from pydantic import Field, model_validator

from twinlab.frames import Intrinsics
from twinlab.readings import Readings
from twinlab.renderers import Frame
from twinlab.sensors import Draw, Moment
from twinlab.sensors._depth import DepthCamera, albedo, close, edges, facing, lost, ramp, shadow, smooth


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
        scale = lens.fx / self.focal
        disparity = np.float32(self.focal * self.baseline) / depth
        out = self._matched(depth, disparity, scale, draw)
        gone = disparity == 0
        chance = self._chance(moment, frame, lens, disparity, scale)
        if chance is not None:
            gone |= lost(draw("holes"), chance, self.window * scale)
        if self.on("shadow"):
            gone |= shadow(disparity * np.float32(scale))
            gone |= self._beyond(disparity, lens, scale)
        np.copyto(out, np.float32(np.inf), where=gone)
        return {name: self.within(out)}, None

    def _matched(self, depth: np.ndarray, disparity: np.ndarray, scale: float, draw: Draw) -> np.ndarray:
        """The depth [m] from disparities with noise and steps [px]; of no meaning where nothing is."""
        noisy, steps = self.on("noise") and self.subpixel > 0, self.on("disparity") and self.step > 0
        if not (noisy or steps):
            return depth.copy()
        product = self.focal * self.baseline
        found = disparity
        if noisy:
            error = smooth(draw("noise"), depth.shape, self.window * scale)
            error *= np.float32(self.subpixel)
            if self.falling:
                error *= cv2.pow(disparity * np.float32(1 / product), self.falling)
            found = disparity + error
        if steps:
            found = np.rint(found * np.float32(1 / self.step)) * np.float32(self.step)
        return np.asarray(np.float32(product) / np.maximum(found, np.float32(1e-6)))

    def _chance(
        self, moment: Moment, frame: Frame, lens: Intrinsics, disparity: np.ndarray, scale: float
    ) -> np.ndarray | None:
        """How likely each pixel is lost, float32 (height, width); None where no effect makes holes."""
        kept: np.ndarray | None = None
        if self.on("edge") and self.edge:
            kept = 1 - np.float32(self.edge) * close(edges(disparity, self.jump), self.reach * scale)
        if self.on("texture"):
            found = self._textured(moment, frame, disparity, scale)
            kept = found if kept is None else kept * found
        if self.on("grazing"):
            seen = ramp(facing(frame, lens), np.cos(self.grazing), np.cos(self.oblique))
            kept = seen if kept is None else kept * seen
        return None if kept is None else 1 - kept

    def _textured(self, moment: Moment, frame: Frame, disparity: np.ndarray, scale: float) -> np.ndarray:
        """How likely the texture of each pixel is enough, float32 (height, width).

        The dots' light falls with the square of the range, is mirrored away by gloss and drowns in other light, to
        which the exposure adapts.
        """
        light = moment.snapshot.light
        brightness = max(light.sun + light.ambient, 1e-3)
        found = disparity * disparity
        found *= np.float32(self.projector / brightness / (self.focal * self.baseline) ** 2)
        found *= albedo(frame, moment.snapshot.visuals)
        if float(found.min()) < self.contrast:
            found = np.maximum(found, self._drawn(frame, scale))
        found *= np.float32(1 / self.contrast)
        return np.asarray(np.minimum(found, np.float32(1 - self.missing), out=found))

    def _drawn(self, frame: Frame, scale: float) -> np.ndarray:
        """The contrast of the picture itself and of the grain that no picture shows, float32 (height, width) [1]."""
        side = max(3, 2 * round(self.window * scale / 2) + 1)
        grey = cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
        mean = cv2.blur(grey, (side, side))
        variance = cv2.blur(grey * grey, (side, side)) - mean * mean
        return np.asarray(np.sqrt(np.maximum(variance, 0) + (self.grain * mean) ** 2) * np.float32(1 / 255))

    def _beyond(self, disparity: np.ndarray, lens: Intrinsics, scale: float) -> np.ndarray:
        """What lies beyond the left rim of the second imager's picture, bool (height, width)."""
        free = max(0.0, (self.columns - lens.width / scale) / 2)
        return disparity > (free + (np.arange(lens.width) + 0.5) / scale).astype(np.float32)
