"""Depth from a projected pattern and one camera (structured light)."""

from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from twinlab.readings import Readings
from twinlab.renderers import Frame
from twinlab.sensors import Draw, Moment
from twinlab.sensors._depth import DepthCamera, facing, gloss, hide, lose, smooth
from twinlab.sensors._normal import normal

_STEEPEST = 1.5  # the formulas of the noise have a pole at a right angle [rad]


class StructuredLight(DepthCamera):
    """Depth from a projected pattern and one camera (structured light); defaults are those of the first Kinect.

    The noise is that of Nguyen, Izadi and Lovell, "Modeling Kinect Sensor Noise for Improved 3D Reconstruction and
    Tracking", 2012. See `_depth.py` for how the device's pixels become the scene's.

    The effect "noise" is the error along the axis, "lateral" the one in the picture, "disparity" the steps of the
    disparity, "shadow" what the projector does not reach, "grazing" what is seen too much from the side, "gloss" what
    mirrors the pattern away, "range" what is too near or too far.
    """

    effects: ClassVar[tuple[str, ...]] = ("noise", "lateral", "disparity", "shadow", "grazing", "gloss", "range")
    latency: float = Field(0.1, ge=0, le=10, description="from taking a sample to having it [s]")
    quantum: tuple[float, ...] = Field((0.001,), description="smallest step of the depth [m]")
    near: float = Field(0.4, ge=0, description="nothing nearer is measured [m]")
    far: float = Field(4.5, gt=0, description="nothing farther is measured [m]")
    focal: float = Field(580, gt=0, description="focal length in pixels of the device's own picture [px]")
    baseline: float = Field(0.075, gt=0, description="from the camera to the projector on its right [m]")
    step: float = Field(1 / 8, ge=0, description="smallest step of the disparity [px]")
    window: float = Field(9, ge=1, description="edge of the window that is matched; noise is correlated in it [px]")
    axial: float = Field(0.0012, ge=0, description="standard deviation of the depth at its best [m]")
    axial_growth: float = Field(0.0019, ge=0, description="by how much it grows with the squared range [1/m]")
    axial_from: float = Field(0.4, ge=0, description="range at which it is at its best [m]")
    axial_oblique: float = Field(
        0.0001, ge=0, description="of z^-1/2 · th² / (pi/2 - th)², added from 60 degrees of incidence on [m^1.5]"
    )
    lateral: float = Field(0.8, ge=0, description="standard deviation in the picture, seen face on [px]")
    lateral_oblique: float = Field(0.035, ge=0, description="of th / (pi/2 - th), which is added to it [px]")
    grazing: float = Field(1.40, gt=0, le=np.pi / 2, description="incidence from which nothing is measured [rad]")

    def measure(self, name: str, moment: Moment, clean: Readings, state: None, draw: Draw) -> tuple[Readings, None]:
        """The depth from shifted and noisy disparities, with what the pattern does not reach left out."""
        lens, frame, depth = moment.cameras[self.camera].lens, moment.picture(self.camera), clean[name]
        scale, product = lens.fx / self.focal, self.focal * self.baseline
        cosine = facing(frame, lens) if any(map(self.on, ("noise", "lateral", "grazing"))) else None
        out = depth.copy()
        if self.on("lateral") and cosine is not None:
            out = self._shaken(out, cosine, scale, draw)
        if self.on("noise") and cosine is not None:
            sigma = self.sigma(np.where(np.isfinite(out), out, np.float32(0)), cosine)
            out += sigma * smooth(draw("noise"), out.shape, self.window * scale)
        if self.on("disparity") and self.step:
            there = np.rint(np.float32(product / self.step) / np.maximum(out, np.float32(1e-3)))
            # A disparity of less than half a step cannot be told from that of what is infinitely far away.
            np.divide(np.float32(product / self.step), there, out=out, where=there > 0)
            np.copyto(out, np.float32(np.inf), where=there == 0)
        if self.on("shadow"):
            hide(out, np.float32(product * scale) / depth)
        if self.on("grazing") and cosine is not None:
            np.copyto(out, np.float32(np.inf), where=cosine < np.float32(np.cos(self.grazing)))
        if self.on("gloss"):
            self._mirrored(out, frame, moment, scale, draw)
        return {name: self.within(out)}, None

    def sigma(self, depth: np.ndarray, cosine: np.ndarray) -> np.ndarray:
        """The standard deviation along the axis at depths [m] and cosines of incidence (height, width) [m]."""
        away = depth - np.float32(self.axial_from)
        out = np.float32(self.axial) + np.float32(self.axial_growth) * away * away
        steep = (cosine < np.float32(0.5)) & (depth > 0)
        if self.axial_oblique and steep.any():
            angle = np.minimum(np.arccos(cosine[steep]), np.float32(_STEEPEST))
            ratio = angle / (np.float32(np.pi / 2) - angle)
            out[steep] += np.float32(self.axial_oblique) / np.sqrt(depth[steep]) * ratio * ratio
        return np.asarray(out)

    def _shaken(self, depth: np.ndarray, cosine: np.ndarray, scale: float, draw: Draw) -> np.ndarray:
        """The depth whose pixels are taken from places that are off by the lateral noise."""
        angle = np.minimum(np.arccos(np.minimum(cosine, np.float32(1))), np.float32(_STEEPEST))
        sigma = np.float32(self.lateral) + np.float32(self.lateral_oblique) * angle / (np.float32(np.pi / 2) - angle)
        sigma *= np.float32(scale)
        off = normal(draw("lateral"), (2, *depth.shape)) * sigma
        off[0] += np.arange(depth.shape[1], dtype=np.float32)
        off[1] += np.arange(depth.shape[0], dtype=np.float32)[:, None]
        return np.asarray(cv2.remap(depth, off[0], off[1], cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE))

    def _mirrored(self, out: np.ndarray, frame: Frame, moment: Moment, scale: float, draw: Draw) -> None:
        """Leave out glossy pixels, each as likely as it mirrors."""
        mirrored = gloss(frame, moment.snapshot.visuals)
        if mirrored is not None:
            lose(out, draw("gloss"), mirrored, self.window * scale)
