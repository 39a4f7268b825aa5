"""The shadow map of `raster`: how far the sun's light gets."""

import moderngl
import numba
import numpy as np

from twinlab import frames
from twinlab.renderers._stage import Stage
from twinlab.snapshot import Light, Snapshot

_STRAIGHT = np.eye(4)  # from the world to the world


class Shadow:
    """A depth picture seen from the sun, drawn once for all cameras that see the same snapshot.

    Args:
        context: OpenGL's.
        size: its edge [texel].
        reach: what is further than this from the world's origin is left out [m].
        softness: how far the edge of a shadow is blurred to each side [m].

    Attributes:
        texture: the picture.
        texture_from_world: the matrix (4, 4) that leads to it, in 0–1.
        extent: its width and height in the world (2,) [m].
    """

    def __init__(self, context: moderngl.Context, size: int, reach: float, softness: float) -> None:
        self._context, self._size, self._reach, self._softness = context, size, reach, softness
        self.texture = context.depth_texture((size, size))
        self.texture.compare_func = "<="
        self._framebuffer = context.framebuffer(depth_attachment=self.texture)
        self._drawn: Snapshot | None = None
        self._sun: tuple[Light | None, np.ndarray] = None, np.eye(4)
        self.texture_from_world, self.extent = np.eye(4), np.ones(2)

    def cast(self, stage: Stage) -> None:
        """Draw the map, unless it is of this snapshot already."""
        if self._drawn is stage.snapshot:
            return
        assert stage.snapshot is not None  # it was placed
        light = self._light(stage.snapshot.light)
        low, high = self._bounds(stage, light)
        self.extent = high[:2] - low[:2]
        fit = np.diag([*(2 / (high - low)), 1.0])
        fit[:3, 3] = -(high + low) / (high - low)
        half = np.diag([0.5, 0.5, 0.5, 1.0])
        half[:3, 3] = 0.5
        self.texture_from_world = half @ fit @ light
        self._framebuffer.use()
        self._framebuffer.clear()
        self._context.enable_only(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        self._context.front_face, self._context.depth_func = "cw", "<"
        middle = self._size / 2
        pixels = np.array([[middle, 0, 0, middle - 0.5], [0, middle, 0, middle - 0.5], [0, 0, 0, 1.0]])
        # What is shaded lies further off than that.
        hidden = np.full(len(stage.visuals), self.extent.max() / self._size + self._softness)
        seat = -light[2] * (1, 1, 1, 0)
        matrices, _, _ = stage.seen(fit @ light)
        stage.draw(stage.casting, matrices, pixels, seat, (self._size,) * 2, hidden)
        self._drawn = stage.snapshot

    def _light(self, light: Light) -> np.ndarray:
        """The matrix (4, 4) from the world to a frame that looks along the sun's rays."""
        if self._sun[0] != light:
            x, y, z = np.divide(light.direction, np.linalg.norm(light.direction)).tolist()
            self._sun = light, frames.matrix(frames.inverse(frames.look_at((x, y, z), (0, 0, 0))))
        return self._sun[1]

    def _bounds(self, stage: Stage, light: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Low and high corner (3,) in the light's frame of what is within reach, in steps of 0.1 m to be steady."""
        return _bounds(*stage.seen(_STRAIGHT)[1:], *stage.seen(light)[1:], self._reach)

    def release(self) -> None:
        """Give back what OpenGL holds."""
        for held in (self._framebuffer, self.texture):
            held.release()


@numba.njit(cache=True, nogil=True)
def _bounds(
    low: np.ndarray, high: np.ndarray, lows: np.ndarray, highs: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Low and high corner (3,) of what is within reach, along the light's axes, in steps of 0.1 m [m].

    Args:
        low, high: the visuals' boxes along the world's axes (visual, 3) [m].
        lows, highs: the same along the light's.
        reach: from the world's origin [m].
    """
    least, most = np.full(3, np.inf), np.full(3, -np.inf)
    for n in range(len(low)):
        away = 0.0
        for i in range(3):
            away += min(max(0.0, low[n, i]), high[n, i]) ** 2
        if away <= reach * reach:
            for i in range(3):
                least[i], most[i] = min(least[i], lows[n, i]), max(most[i], highs[n, i])
    if least[0] == np.inf:
        return -np.ones(3), np.ones(3)
    for i in range(2):
        least[i], most[i] = min(max(least[i], -reach), reach), min(max(most[i], -reach), reach)
    return np.floor(least * 10 - 1) / 10, np.ceil(most * 10 + 1) / 10
