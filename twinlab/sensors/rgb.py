"""A colour camera: exposure, motion blur, rolling shutter, lens distortion, and the noise of its sensor (EMVA 1288)."""

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from twinlab.cameras import Mounted
from twinlab.readings import Readings, Variable
from twinlab.sensors import Draw, Imager, Moment
from twinlab.sensors._expose import SRGB, exposed, smeared
from twinlab.sensors._flow import Seen, flow, stride
from twinlab.sensors._normal import drawn, quantiles

_PHOTONS = 4090.0  # of 555 nm that one lux brings per second and µm²: 1 lx = 1/683 W/m², 3.58e-19 J each
_NONE = np.empty((0, 0, 0), np.float32)
_QUIET = np.empty(0, np.uint16)


def _decoded(values: np.ndarray) -> np.ndarray:
    """SRGB in 0–1 as linear light in 0–1 (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


_LINEAR = _decoded(np.arange(256) / 255).astype(np.float32)


@dataclass(frozen=True, eq=False)
class State:
    """What a camera keeps between pictures.

    Attributes:
        seen: where everything was at the last one.
        exposure: set for the next one [s].
        pattern: gain (3, height, width) of each pixel over the mean and its dark signal [e], None before the first.
    """

    seen: Seen | None
    exposure: float
    pattern: tuple[np.ndarray, np.ndarray] | None = None


class Rgb(Imager):
    """The colours that a camera sees.

    The renderer's picture is taken as the light that a scene of `illuminance` sends back; it becomes electrons, gets
    the sensor's noise and becomes sRGB again. Each pixel measures all three colours: there is no colour mosaic. Shot
    noise is drawn from a normal distribution, which is right from some 10 electrons on.

    Defaults are those of a machine vision camera with Sony's IMX273 behind an f/2.8 lens.
    """

    effects: ClassVar[tuple[str, ...]] = (
        "distortion", "blur", "shutter", "exposure", "shot", "read", "pattern",
    )  # fmt: skip
    latency: float = Field(0.04, ge=0, le=10, description="from taking a sample to having it [s]")
    exposure: float = Field(0.008, gt=0, le=10, description="how long the sensor collects light [s]")
    gain: float = Field(4.0, ge=0, le=60, description="of the amplifier, in decibels (20 dB is tenfold) [1]")
    auto: bool = Field(False, description="whether the exposure follows the brightness of the last picture")
    target: float = Field(0.18, gt=0, lt=1, description="mean linear brightness that the automatic aims at [1]")
    longest: float = Field(0.03, gt=0, le=10, description="longest exposure that the automatic sets [s]")
    speed: float = Field(0.3, gt=0, le=1, description="share of the error that the automatic mends a picture [1]")
    illuminance: float = Field(1000, gt=0, description="on a surface that the renderer shows as white [lx]")
    aperture: float = Field(2.8, gt=0, description="f-number of the lens [1]")
    transmission: float = Field(0.9, gt=0, le=1, description="share of light that the lens lets through [1]")
    pixel: float = Field(3.45e-6, gt=0, description="edge of a pixel [m]")
    efficiency: float = Field(0.62, gt=0, le=1, description="electrons per photon [1]")
    full_well: float = Field(10_470, gt=0, description="electrons at which a pixel is full [1]")
    read_noise: float = Field(2.3, ge=0, description="temporal dark noise, standard deviation in electrons [1]")
    unevenness: float = Field(0.006, ge=0, description="photo response non-uniformity, a share [1]")
    dark_unevenness: float = Field(0.9, ge=0, description="dark signal non-uniformity in electrons [1]")
    row_time: float = Field(0.0, ge=0, description="from one row to the next of a rolling shutter, 0 for global [s]")

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """One picture [1]."""
        camera = moment.cameras[self.camera].camera
        dims = tuple(f"{self.camera}_{axis}" for axis in ("row", "column", "channel"))
        shape, labels = (camera.height, camera.width, 3), ("red", "green", "blue")
        about = camera.about() | ({"distortion": list(camera.distortion)} if self.on("distortion") else {})
        return (Variable(name, dims, shape, "uint8", "1", "image", "reading", labels, about=about),)

    def read(self, name: str, moment: Moment, state: State | None) -> tuple[Readings, State | None]:
        """The renderer's picture as it is."""
        return {name: moment.picture(self.camera).rgb}, state

    def measure(
        self, name: str, moment: Moment, clean: Readings, state: State | None, draw: Draw
    ) -> tuple[Readings, State]:
        """The picture through lens, shutter and sensor."""
        mounted = moment.cameras[self.camera]
        now = None
        if self.on("blur") or (self.on("shutter") and self.row_time):
            now = Seen(moment.time, moment.snapshot.poses, mounted.pose(moment.snapshot))
        state = state or State(now, self.exposure)
        exposure = state.exposure if self.auto else self.exposure
        limited = self.on("exposure")
        white = self._white() * (exposure if limited else self._full_exposure())
        light = self._light(moment, mounted, clean[name], np.float32(white), exposure, (state.seen, now))
        pattern = self._uneven(light.shape, state.pattern, draw)
        gain, dark = pattern or (_NONE, _NONE)
        # The sum of two independent normal variables is drawn at once, from the stream of whichever is on.
        shot, read = self.on("shot"), self.read_noise if self.on("read") else 0.0
        noise = drawn(draw("noise"), light.size) if shot or read else _QUIET
        full = self.full_well if limited else np.inf
        scale = self._factor() / self.full_well if limited else 1 / white
        numbers = (np.float32(value) for value in (shot, read**2, full, scale))
        picture, mean = exposed(light, gain, dark, noise, quantiles(), SRGB, *numbers)
        return {name: picture}, State(now, self._next(exposure, mean) if self.auto else exposure, pattern)

    def _white(self) -> float:
        """Electrons per second in a pixel that shows white."""
        on_sensor = self.illuminance * self.transmission / (4 * self.aperture**2)
        return on_sensor * _PHOTONS * (self.pixel * 1e6) ** 2 * self.efficiency

    def _factor(self) -> float:
        return 10 ** (self.gain / 20)

    def _full_exposure(self) -> float:
        """The exposure at which white fills a pixel: what is taken where the effect of exposure is switched off."""
        return self.full_well / self._white()

    def _next(self, exposure: float, mean: float) -> float:
        wanted = exposure * (self.target / max(mean, 1e-3)) ** self.speed
        return float(np.clip(wanted, 1e-5, self.longest))

    def _uneven(
        self, shape: tuple[int, ...], pattern: tuple[np.ndarray, np.ndarray] | None, draw: Draw
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Gain [1] and dark signal [e] of each pixel (height, width, 3), drawn at the first picture; None if even."""
        if not self.on("pattern") or not (self.unevenness or self.dark_unevenness):
            return None
        if pattern is None:
            gain, dark = draw("pattern").standard_normal((2, *shape), np.float32)
            pattern = 1 + np.float32(self.unevenness) * gain, np.float32(self.dark_unevenness) * dark
        return pattern

    def _light(
        self,
        moment: Moment,
        mounted: Mounted,
        clean: np.ndarray,
        white: np.float32,
        time: float,
        seen: tuple[Seen | None, Seen | None],
    ) -> np.ndarray:
        """Light after lens, blur and shutter.

        Args:
            moment, mounted, clean: what is seen, by which camera, and the renderer's picture of it.
            white: electrons in a pixel that shows white [e].
            time: the exposure [s].
            seen: where everything was at the last picture, and is.

        Returns:
            Mean electrons, float32 (height, width, 3) [e].
        """
        bends = self.on("distortion") and any(mounted.camera.distortion)
        margin = mounted.camera.margin() if bends else 0
        frame = moment.picture(self.camera, margin)
        light = np.asarray(cv2.LUT(frame.rgb if margin else clean, _LINEAR * white))
        height = mounted.lens.height
        wide = mounted.widened(margin).lens
        row_time = self.row_time if self.on("shutter") else 0.0
        reach = max(time if self.on("blur") else 0.0, row_time * height)
        speed = None
        if seen[0] is not None and seen[1] is not None and reach:
            speed = flow(frame, wide, moment.snapshot.visuals, seen[0], seen[1], reach)
        if speed is None and not bends:
            return light
        at = mounted.camera.source() + np.float32(margin) if bends else _NONE
        late = np.float32(row_time) * (np.arange(height, dtype=np.float32) - np.float32(height / 2))
        blur = np.float32(time if self.on("blur") else 0)
        return np.asarray(smeared(light, at, _NONE if speed is None else speed, stride(light.shape[0]), late, blur))
