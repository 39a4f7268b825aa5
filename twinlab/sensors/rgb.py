"""A colour camera: exposure, motion blur, rolling shutter, lens distortion, and the noise of its sensor (EMVA 1288)."""

import functools
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from twinlab.cameras import Mounted
from twinlab.readings import Readings, Variable
from twinlab.sensors import Draw, Moment, Sensor
from twinlab.sensors._flow import Seen, flow
from twinlab.sensors._normal import normal

_PHOTONS = 4090.0  # of 555 nm that one lux brings per second and µm²: 1 lx = 1/683 W/m², 3.58e-19 J each
_LEVELS = 4096  # steps of the table that turns linear light into sRGB
_TAPS = 7  # moments within an exposure that a blurred picture is the mean of, at most


def _decoded(values: np.ndarray) -> np.ndarray:
    """SRGB in 0–1 as linear light in 0–1 (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _encoded(values: np.ndarray) -> np.ndarray:
    """Linear light in 0–1 as sRGB in 0–1 (IEC 61966-2-1)."""
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)


_LINEAR = _decoded(np.arange(256) / 255).astype(np.float32)
_SRGB = np.rint(255 * _encoded(np.linspace(0, 1, _LEVELS))).astype(np.uint8)


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


class Rgb(Sensor):
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
    camera: str = Field("overhead", description="which of the scene's cameras")
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
        light = self._light(moment, mounted, clean[name], exposure, state.seen, now)
        white = self._white() * (exposure if self.on("exposure") else self._full_exposure())
        scale = np.float32(self._factor() / self.full_well if self.on("exposure") else 1 / white)
        electrons = light * np.float32(white)
        electrons, pattern = self._noisy(electrons, state.pattern, draw)
        np.clip(electrons, 0, np.float32(self.full_well) if self.on("exposure") else None, out=electrons)
        electrons *= scale
        nxt = self._next(exposure, float(electrons.mean())) if self.auto else exposure
        level = (electrons * np.float32(_LEVELS - 1) + np.float32(0.5)).astype(np.int32)
        return {name: _SRGB.take(level, mode="clip")}, State(now, nxt, pattern)

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

    def _noisy(
        self, electrons: np.ndarray, pattern: tuple[np.ndarray, np.ndarray] | None, draw: Draw
    ) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray] | None]:
        """Electrons (height, width, 3) after the pixels' own gains, shot noise and read noise."""
        shape = electrons.shape
        uneven = self.on("pattern") and bool(self.unevenness or self.dark_unevenness)
        if uneven:
            if pattern is None:
                gain, dark = draw("pattern").standard_normal((2, *shape), np.float32)
                pattern = 1 + np.float32(self.unevenness) * gain, np.float32(self.dark_unevenness) * dark
            electrons *= pattern[0]
        # The sum of two independent normal variables is drawn at once, from the stream of whichever is on.
        shot, read = self.on("shot"), self.read_noise if self.on("read") else 0.0
        if shot or read:
            variance = electrons + np.float32(read**2) if shot else np.full(shape, read**2, np.float32)
            np.sqrt(variance, out=variance)
            variance *= normal(draw("noise"), shape)
            electrons += variance
        if uneven and pattern is not None:
            electrons += pattern[1]
        return electrons, pattern

    def _light(
        self,
        moment: Moment,
        mounted: Mounted,
        clean: np.ndarray,
        time: float,
        before: Seen | None,
        now: Seen | None,
    ) -> np.ndarray:
        """Linear light, float32 (height, width, 3), after lens, blur and shutter; `time` is the exposure [s]."""
        bends = self.on("distortion") and any(mounted.camera.distortion)
        margin = mounted.camera.margin() if bends else 0
        frame = moment.picture(self.camera, margin)
        light = np.asarray(cv2.LUT(frame.rgb if margin else clean, _LINEAR))
        size = (mounted.lens.height, mounted.lens.width)
        wide = mounted.widened(margin).lens
        row_time = self.row_time if self.on("shutter") else 0.0
        reach = max(time if self.on("blur") else 0.0, row_time * size[0])
        speed = None
        if before is not None and now is not None and reach:
            speed = flow(frame, wide, moment.snapshot.visuals, before, now, reach)
        if speed is None and not bends:
            return light
        at = mounted.camera.source() + np.float32(margin) if bends else _grid(*size)
        if speed is None:
            return _moved(light, at, cv2.INTER_LINEAR)
        if bends:
            speed = _moved(speed, at, cv2.INTER_NEAREST)
        smear = float(np.abs(speed).max()) * (time if self.on("blur") else 0.0)
        taps = int(np.clip(np.ceil(smear) + 1, 1, _TAPS))
        late = row_time * (np.arange(size[0], dtype=np.float32) - size[0] / 2)[:, None, None]
        total = np.zeros((*size, 3), np.float32)
        for tap in range(taps):
            # What is here at this moment of the exposure is, in the picture of now, further along its way.
            offset = time * ((tap + 0.5) / taps - 0.5) if taps > 1 else 0.0
            total += _moved(light, at - speed * (late + np.float32(offset)), cv2.INTER_LINEAR)
        return total / np.float32(taps)


def _moved(picture: np.ndarray, source: np.ndarray, how: int) -> np.ndarray:
    """The picture whose pixels come from columns and rows (height, width, 2) of another."""
    return np.asarray(cv2.remap(picture, source[..., 0], source[..., 1], how, borderMode=cv2.BORDER_REPLICATE))


@functools.lru_cache(maxsize=32)
def _grid(height: int, width: int) -> np.ndarray:
    u, v = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.stack([u, v], axis=-1)
