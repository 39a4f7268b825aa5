"""The shadow map of `raster`: how far the sun's light gets."""

import moderngl
import numba
import numpy as np

from twinlab import frames
from twinlab.renderers._cast import cast
from twinlab.renderers._look import seen
from twinlab.renderers._stage import Stage
from twinlab.snapshot import Light, Snapshot


class Shadow:
    """A depth picture seen from the sun, drawn once for all cameras that see the same snapshot.

    Args:
        context: OpenGL's.
        size: its edge [texel].
        reach: what is further than this from the world's origin is left out [m].
        softness: how far the edge of a shadow is blurred to each side [m].

    Attributes:
        texture: the picture.
        texture_from_world: the matrix (4, 4) that leads to column and row [texel], and depth in 0–1.
        blur: how far shadows are blurred along columns and rows [texel], and how far in front of a surface they are
            looked up, so that no face shades itself [m] (3,).
    """

    def __init__(self, context: moderngl.Context, size: int, reach: float, softness: float) -> None:
        self._reach, self._softness = reach, softness
        self._picture = np.empty((size, size), np.uint16)
        self.texture = context.texture((size, size), 1, dtype="u2")
        self.texture.filter = (moderngl.NEAREST, moderngl.NEAREST)
        self._drawn: Snapshot | None = None
        self._sun: tuple[Light | None, np.ndarray] = None, np.eye(4)
        self.texture_from_world, self.blur = np.eye(4), np.zeros(3)

    def cast(self, stage: Stage) -> None:
        """Draw the map, unless it is of this snapshot already."""
        if self._drawn is stage.snapshot:
            return
        assert stage.snapshot is not None  # it was placed
        light = self._light(stage.snapshot.light)
        size = len(self._picture)
        self.texture_from_world, extent, within = _fitted(light, size, stage.world, *stage.boxes, self._reach)
        room = extent.max() / size + self._softness
        self.blur = np.array((*(self._softness * size / extent), room))
        # What is shaded lies further off than that.
        cast(stage.solids, stage.world, within, room, self.texture_from_world, stage.places, self._picture)
        self.texture.write(self._picture)
        self._drawn = stage.snapshot

    def _light(self, light: Light) -> np.ndarray:
        """The matrix (4, 4) from the world to a frame that looks along the sun's rays."""
        if self._sun[0] != light:
            x, y, z = np.divide(light.direction, np.linalg.norm(light.direction)).tolist()
            self._sun = light, frames.matrix(frames.inverse(frames.look_at((x, y, z), (0, 0, 0))))
        return self._sun[1]

    def release(self) -> None:
        """Give back what OpenGL holds."""
        self.texture.release()


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
