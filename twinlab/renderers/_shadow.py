"""The shadow map of `raster`: how far the sun's light gets."""

import numba
import numpy as np

from twinlab import frames
from twinlab.frames import Intrinsics
from twinlab.renderers._cast import cast
from twinlab.renderers._lit import Shade
from twinlab.renderers._look import seen
from twinlab.renderers._stage import Stage
from twinlab.snapshot import Light, Snapshot

OPEN = Shade(np.empty((0, 0), np.uint16), np.zeros((3, 4)), (1.0, 1.0, 0.0, 0.0), 0.0, np.zeros((1, 2)))
"""The sun's light gets everywhere."""


class Shadow:
    """A depth picture seen from the sun, drawn once for all cameras that see the same snapshot.

    Args:
        size: its edge [texel].
        reach: what is further than this from the world's origin is left out [m].
        softness: how far the edge of a shadow is blurred to each side [m].
        taps: how many places are looked at for each pixel.
    """

    def __init__(self, size: int, reach: float, softness: float, taps: int) -> None:
        self._reach, self._softness, self._disc = reach, softness, _disc(taps)
        self._map = np.empty((size, size), np.uint16)
        self._drawn: Snapshot | None = None
        self._sun: tuple[Light | None, np.ndarray] = None, np.eye(4)
        self._from_world, self._room, self._taps = np.eye(4), 0.0, self._disc

    def shade(self, stage: Stage, camera: Intrinsics, back: np.ndarray) -> Shade:
        """The shade in a picture of what is on the stage.

        Args:
            stage: where what throws shadows was placed.
            camera: whose picture it is.
            back: the matrix (4, 4) from its optical frame to the world.
        """
        if self._drawn is not stage.snapshot:
            self._cast(stage)
        lens = (camera.fx, camera.fy, camera.cx, camera.cy)
        return Shade(self._map, (self._from_world @ back)[:3], lens, self._room, self._taps)

    def _cast(self, stage: Stage) -> None:
        assert stage.snapshot is not None  # it was placed
        light = self._light(stage.snapshot.light)
        size = len(self._map)
        texture, extent, within = _fitted(light, size, stage.world, *stage.boxes, self._reach)
        self._room = float(extent.max() / size + self._softness)
        # What is shaded lies further off than that.
        cast(stage.solids, stage.world, within, self._room, texture, stage.places, self._map)
        self._from_world, self._taps = texture, self._disc * self._softness * size / extent
        self._drawn = stage.snapshot

    def _light(self, light: Light) -> np.ndarray:
        """The matrix (4, 4) from the world to a frame that looks along the sun's rays."""
        if self._sun[0] != light:
            x, y, z = np.divide(light.direction, np.linalg.norm(light.direction)).tolist()
            self._sun = light, frames.matrix(frames.inverse(frames.look_at((x, y, z), (0, 0, 0))))
        return self._sun[1]


def _disc(taps: int) -> np.ndarray:
    """Places spread evenly over a disc of radius 1 (Vogel 1979), columns and rows (tap, 2).

    Up to four are on a ring whose mean square distance from the middle is that of a disc.
    """
    number = np.arange(taps)
    if taps > 4:
        radius, angle = np.sqrt((number + 0.5) / taps), number * np.pi * (3 - np.sqrt(5))
    else:
        radius, angle = np.full(taps, np.sqrt(0.5)), number * 2 * np.pi / taps
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


@numba.njit(cache=True, nogil=True)
def _fitted(
    light: np.ndarray, size: int, world: np.ndarray, middle: np.ndarray, half: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the map is, in steps of 0.1 m to be steady.

    Args:
        light: the matrix (4, 4) from the world to the frame that looks along the sun's rays.
        size: of the map [texel].
        world, middle, half: of the visuals, as in `seen`.
        reach: from the world's origin [m].

    Returns:
        The matrix (4, 4) from the world to column, row and depth of the map; its extent (2,) [m]; which visuals are
        within reach (visual,).
    """
    _, low, high = seen(np.eye(4), world, middle, half)
    _, lows, highs = seen(light, world, middle, half)
    within = np.empty(len(low), np.bool_)
    least, most = np.full(3, np.inf), np.full(3, -np.inf)
    for n in range(len(low)):
        away = 0.0
        for i in range(3):
            away += min(max(0.0, low[n, i]), high[n, i]) ** 2
        within[n] = away <= reach * reach
        if within[n]:
            for i in range(3):
                least[i], most[i] = min(least[i], lows[n, i]), max(most[i], highs[n, i])
    if least[0] == np.inf:
        least, most = -np.ones(3), np.ones(3)
    for i in range(2):
        least[i], most[i] = min(max(least[i], -reach), reach), min(max(most[i], -reach), reach)
    least, most = np.floor(least * 10 - 1) / 10, np.ceil(most * 10 + 1) / 10
    texture = light.copy()
    texture[:3, 3] -= least
    for i, texels in enumerate((float(size), float(size), 1.0)):
        texture[i] *= texels / (most[i] - least[i])
    return texture, (most - least)[:2], within
