"""Views made by hand for the tests of depth sensors: no physics moves in them and nothing is rendered."""

import zlib

import numpy as np

from twinlab import frames, meshes
from twinlab.cameras import Camera, Mounted
from twinlab.renderers import Frame
from twinlab.sensors import Moment, Sensor
from twinlab.snapshot import Light, Snapshot, Visual
from twinlab.world import World


class Draws:
    """A stream for each effect, as `sensing.Streams` gives."""

    def __init__(self, seed: int) -> None:
        self.seed, self.made = seed, {}

    def __call__(self, effect: str) -> np.random.Generator:
        return self.made.setdefault(effect, np.random.default_rng([self.seed, zlib.crc32(effect.encode())]))


def camera(focal: float, height: int, width: int) -> Mounted:
    """A camera of a focal length [px], exactly as it was calibrated."""
    made = Camera(width=width, height=height, fov=2 * np.arctan(height / 2 / focal))
    return Mounted(made, made.intrinsics(), made.mount())


def wall(
    depth: float | np.ndarray, shape: tuple[int, int], normal=(0, 0, -1), grey: int = 180, visual: int = 0
) -> Frame:
    """A view of one colour, or of `depth` (height, width) [m]; +inf is nothing."""
    z = np.broadcast_to(np.float32(depth), shape).copy()
    there = np.where(np.isfinite(z), visual, -1).astype(np.int16)
    normals = np.where(np.isfinite(z)[..., None], np.float32(normal), np.float32(0))
    return Frame(np.full((*shape, 3), grey, np.uint8), z, there, there, normals)


def surface(grey: float = 180 / 255, gloss: float = 0.0) -> Visual:
    """What a view shows: a colour and how much of the light is mirrored."""
    return Visual(0, 0, meshes.box((1, 1, 1)).mesh, frames.IDENTITY, (grey, grey, grey), gloss)


def shots(
    sensor: Sensor,
    frame: Frame,
    seen: Mounted,
    count: int = 1,
    seed: int = 0,
    visuals: tuple[Visual, ...] = (surface(),),
    light: Light = Light(),
    taken: dict | None = None,
) -> np.ndarray:
    """What a sensor measures so many times of the same view (count, …)."""
    still = Snapshot(0.0, (), (), np.empty((0, 7)), visuals, {}, light)
    draw, out = Draws(seed), []
    with World() as world:
        for _ in range(count):
            now = Moment(world, {"overhead": seen}, lambda: still, lambda *_: lambda: frame, None, taken)
            clean, state = sensor.read("eye", now, None)
            out.append(sensor.measure("eye", now, clean, state, draw)[0]["eye"])
    return np.stack(out)
