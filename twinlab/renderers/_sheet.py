"""What a picture is drawn on: a framebuffer of `raster`, and how it is read back."""

from typing import Any

import cv2
import moderngl
import numba
import numpy as np

from twinlab.renderers import Frame
from twinlab.renderers._lit import Shade, light


class Sheet:
    """A framebuffer with all that a picture consists of.

    As few bytes a pixel as will do, because on a processor filling and reading them is what large pictures cost: paint
    and how far it is turned to the sun in four times 8 bits, how far upwards in 8, the inverse depth in 32, and in two
    times 32 the normal and one more than the visual's number, 16 bits each. Zeros stand for nothing, so that one
    clearing does for all: each that leads to another framebuffer makes OpenGL finish what it has begun.

    Attributes:
        size: width and height [px].
    """

    def __init__(self, context: moderngl.Context, width: int, height: int) -> None:
        self.size = width, height
        kinds = ((4, "f1"), (1, "f4"), (2, "u4"), (1, "f1"))
        parts = [context.texture((width, height), channels, dtype=kind) for channels, kind in kinds]
        hidden = context.depth_renderbuffer((width, height))
        self._framebuffer = context.framebuffer(parts, hidden)
        self._held: tuple[Any, ...] = (self._framebuffer, hidden, *parts)
        # Written anew for each picture; no frame holds them.
        self._closeness, self._number = (np.empty((height, width), kind) for kind in (np.float32, np.uint16))
        self._paint, self._surface, self._turned, self._zenith = (
            np.empty((height, width, n), kind)
            for n, kind in ((4, np.uint8), (4, np.uint16), (3, np.uint16), (1, np.uint8))
        )

    def clear(self) -> None:
        """Put nothing everywhere; leaves the framebuffer in use."""
        self._framebuffer.use()
        self._framebuffer.clear()

    def frame(self, bodies: np.ndarray, strength: tuple[float, float], shade: Shade, background: np.ndarray) -> Frame:
        """Read the picture back; row 0 is the top, as the shader puts it there.

        Args:
            bodies: the body of each visual, the last one for nothing, int16.
            strength, shade, background: what lights it, as in `light`.
        """
        # All channels at once, as they lie in memory: OpenGL takes five times as long to pick some out as OpenCV.
        parts = ((self._paint, 4, "f1"), (self._closeness, 1, "f4"), (self._surface, 2, "u4"), (self._zenith, 1, "f1"))
        for i, (array, channels, kind) in enumerate(parts):
            self._framebuffer.read_into(array, components=channels, attachment=i, alignment=1, dtype=kind)
        # OpenCV takes channels apart at twice the speed of a loop, and a loop does the rest at twice that of NumPy.
        cv2.cvtColor(self._surface, cv2.COLOR_RGBA2RGB, dst=self._turned)
        cv2.extractChannel(self._surface, 3, dst=self._number)
        depth, mask, visual, normals = _unpacked(
            self._closeness, self._turned.view(np.int16), self._number.view(np.int16), bodies
        )
        rgb = light(self._paint, self._zenith[..., 0], depth, normals, strength, shade, background)
        return Frame(rgb, depth, mask, visual, normals)

    def release(self) -> None:
        """Give back what OpenGL holds."""
        for part in self._held:
            part.release()


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _unpacked(
    closeness: np.ndarray, turned: np.ndarray, number: np.ndarray, bodies: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What a `Frame` holds behind its colours, in its order.

    Args:
        closeness: the inverse depth, float32 (height, width) [1/m].
        turned: the normal times 32,767, int16 (height, width, 3).
        number: the visual's number plus one, int16 (height, width).
        bodies: as in `Sheet.frame`.
    """
    high, wide = closeness.shape
    depth, normals = np.empty((high, wide), np.float32), np.empty((high, wide, 3), np.float32)
    mask, visual = np.empty((high, wide), np.int16), np.empty((high, wide), np.int16)
    flat, whole, unit = normals.reshape(-1), turned.reshape(-1), np.float32(1 / 32_767)
    for i in range(flat.size):
        flat[i] = whole[i] * unit
    for v in range(high):
        for u in range(wide):
            depth[v, u] = np.float32(1) / closeness[v, u]
            visual[v, u] = number[v, u] - np.int16(1)
        for u in range(wide):
            mask[v, u] = bodies[visual[v, u]]
    return depth, mask, visual, normals
