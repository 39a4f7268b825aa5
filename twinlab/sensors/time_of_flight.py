"""Depth from how long light takes to come back (continuous wave time of flight)."""

from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from twinlab.readings import Readings
from twinlab.sensors import Draw, Moment
from twinlab.sensors._depth import DepthCamera, albedo, edges, facing, gloss, ramp, slopes
from twinlab.sensors._normal import normal

_CROSS = np.ones((3, 3), np.uint8)
_CORNER = 0.05  # by what share the surroundings are nearer in a corner that counts as a full one


class TimeOfFlight(DepthCamera):
    """Depth from how long light takes to come back; defaults are those of an Azure Kinect, narrow and unbinned.

    The amplitude of the returned light is albedo · cos(incidence) / range², 1 for white seen face on 1 m away. The
    noise follows from it as in Lange and Seitz, "Solid-state time-of-flight range camera", 2001: it grows with the
    square root of all light over the amplitude. The albedo is the brightness of the surface's colour less what it
    mirrors. See `_depth.py` for how the device's pixels become the scene's.

    The effect "flying" mixes the depths of both sides of an edge, "multipath" adds light that came by a detour over
    shiny surfaces and corners, "noise" is the error of the range, "wrap" its ambiguity, "amplitude" leaves out what
    sends back too little light, "grazing" what is seen too much from the side, "range" what is too near or too far.
    """

    effects: ClassVar[tuple[str, ...]] = ("flying", "multipath", "noise", "wrap", "amplitude", "grazing", "range")
    latency: float = Field(0.1, ge=0, le=10, description="from taking a sample to having it [s]")
    quantum: tuple[float, ...] = Field((0.001,), description="smallest step of the depth [m]")
    near: float = Field(0.5, ge=0, description="nothing nearer is measured [m]")
    far: float = Field(3.86, gt=0, description="nothing farther is measured [m]")
    focal: float = Field(504, gt=0, description="focal length in pixels of the device's own picture [px]")
    noise: float = Field(0.0012, ge=0, description="standard deviation of the range at amplitude 1 in the dark [m]")
    ambient: float = Field(0.01, ge=0, description="light that is not the sensor's own, as an amplitude [1]")
    least: float = Field(0.008, ge=0, description="amplitude below which nothing is measured [1]")
    footprint: float = Field(1.5, ge=0, description="width of the spot that a pixel sees [px]")
    jump: float = Field(0.02, gt=0, description="jump of depth that makes an edge, as a share of the range [1]")
    multipath: float = Field(0.1, ge=0, le=1, description="share of light that comes by a detour in a corner [1]")
    detour: float = Field(0.1, ge=0, description="by how much that way makes the range longer [m]")
    ambiguity: float = Field(18.7, gt=0, description="range after which the phase begins anew [m]")
    grazing: float = Field(1.45, gt=0, le=np.pi / 2, description="incidence from which nothing is measured [rad]")

    def measure(self, name: str, moment: Moment, clean: Readings, state: None, draw: Draw) -> tuple[Readings, None]:
        """The depth from light that is mixed, strays, is noisy and too weak here and there."""
        lens, frame, depth = moment.cameras[self.camera].lens, moment.picture(self.camera), clean[name]
        seen = np.isfinite(depth)
        mirrored = gloss(frame, moment.snapshot.visuals)
        cosine, length = facing(frame, lens), slopes(lens)[2]
        out = np.where(seen, depth, np.float32(0))
        if self.on("flying") and self.footprint:
            self._mix(out, depth, self.footprint * lens.fx / self.focal, draw)
        if self.on("multipath") and self.multipath:
            out += self._detour(depth, mirrored, lens.fx / self.focal) / length
        amplitude = albedo(frame, moment.snapshot.visuals) * cosine
        amplitude /= np.maximum((out * length) ** 2, np.float32(1e-6))
        if self.on("noise") and self.noise:
            error = self.sigma(amplitude)
            error *= normal(draw("noise"), out.shape)
            out += error / length
        if self.on("wrap"):
            out = np.mod(out * length, np.float32(self.ambiguity)) / length
        np.copyto(out, np.float32(np.inf), where=~seen)
        if self.on("amplitude"):
            np.copyto(out, np.float32(np.inf), where=amplitude < np.float32(self.least))
        if self.on("grazing"):
            np.copyto(out, np.float32(np.inf), where=cosine < np.float32(np.cos(self.grazing)))
        return {name: self.within(out)}, None

    def sigma(self, amplitude: np.ndarray) -> np.ndarray:
        """The standard deviation of the range at amplitudes (height, width) [m]."""
        weak = np.maximum(amplitude, np.float32(1e-4))
        return np.asarray(np.float32(self.noise) * np.sqrt(weak + np.float32(self.ambient)) / weak)

    def _mix(self, out: np.ndarray, depth: np.ndarray, spot: float, draw: Draw) -> None:
        """Mix in the depth of an edge's other side, by the share of the pixel's spot that lies there.

        An edge runs anywhere within the pixel between two middles; the nearer side sends back more light.

        Args:
            out: depth, 0 where nothing is, (height, width) [m]; changed in place.
            depth: the same with +inf where nothing is [m].
            spot: width of the spot in the picture's pixels [px].
            draw: for where edges run.
        """
        inverse = np.float32(1) / depth
        rows, columns = np.nonzero(edges(inverse, np.maximum(np.float32(self.jump) * inverse, np.float32(1e-6))))
        away = draw("flying").random(out.shape, np.float32)[rows, columns]
        share = np.clip(0.5 - away / np.float32(spot), 0, None)
        farther, nearer = cv2.dilate(out, _CROSS)[rows, columns], cv2.erode(depth, _CROSS)[rows, columns]
        here = out[rows, columns]
        other = np.where(farther - here > here - nearer, farther, nearer)
        mixed = (here > 0) & (share > 0) & (other != here)
        here, other, share = here[mixed], other[mixed], share[mixed]
        own, else_ = (1 - share) / (here * here), share / (other * other)
        out[rows[mixed], columns[mixed]] = (own * here + else_ * other) / (own + else_)

    def _detour(self, depth: np.ndarray, mirrored: np.ndarray | None, scale: float) -> np.ndarray:
        """By how much light that came by a detour lengthens the range, float32 (height, width) [m].

        Where the surroundings are nearer than a plane through the pixel would be, they light it up.
        """
        inverse = np.float32(1) / depth
        side = max(3, 2 * round(20 * scale / 2) + 1)
        around = cv2.blur(inverse, (side, side), borderType=cv2.BORDER_REPLICATE)
        share = ramp((around - inverse) / np.maximum(inverse, np.float32(1e-3)), 0, _CORNER)
        if mirrored is not None:
            share = np.minimum(share + mirrored, np.float32(1))
        share = share * np.float32(self.multipath)
        return np.asarray(np.float32(self.detour) * share / (1 + share))
