"""What a picture is drawn on: a framebuffer of `raster`, and how it is read back."""

import cv2
import moderngl
import numba
import numpy as np

from twinlab.renderers import Frame


class Sheet:
    """A framebuffer with all that a picture consists of.

    As few bytes a pixel as will do, because on a processor filling and reading them is what large pictures cost:
    colours in 8 bits, the inverse depth in 32, and in two times 32 the normal and one more than the visual's number,
    16 bits each. Zeros stand for nothing, so that one clearing does for all: each that leads to another framebuffer
    makes OpenGL finish what it has begun.
    """

    def __init__(self, context: moderngl.Context, width: int, height: int) -> None:
        self.colours = context.texture((width, height), 4, dtype="f1")
        self.colours.filter = (moderngl.NEAREST, moderngl.NEAREST)
        closeness = context.texture((width, height), 1, dtype="f4")
        surface = context.texture((width, height), 2, dtype="u4")
        hidden = context.depth_renderbuffer((width, height))
        self.framebuffer = context.framebuffer([self.colours, closeness, surface], hidden)
        self.painting = context.framebuffer([self.colours])
        self._held = (self.framebuffer, self.painting, hidden, self.colours, closeness, surface)
        # Written anew for each picture; no frame holds them.
        self._closeness, self._number = (np.empty((height, width), kind) for kind in (np.float32, np.uint16))
        self._colours, self._surface, self._turned = (
            np.empty((height, width, n), kind) for n, kind in ((4, np.uint8), (4, np.uint16), (3, np.uint16))
        )

    def clear(self, background: tuple[float, float, float] | None = None) -> None:
        """Put nothing everywhere, and a colour in 0–1 if one is given; leaves the framebuffer in use."""
        self.framebuffer.use()
        self.framebuffer.clear()
        if background is not None:
            self.painting.clear(*background, 1.0)
            self.framebuffer.use()

    def frame(self, bodies: np.ndarray, background: np.ndarray) -> Frame:
        """Read the picture back; row 0 is the top, as the shader puts it there.

        Args:
            bodies: the body of each visual, the last one for nothing, int16.
            background: the colour where nothing was painted, uint8 (3,).
        """
        # All channels at once, as they lie in memory: OpenGL takes five times as long to pick some out as OpenCV.
        parts = ((self._colours, 4, "f1"), (self._closeness, 1, "f4"), (self._surface, 2, "u4"))
        for i, (array, channels, kind) in enumerate(parts):
            self.framebuffer.read_into(array, components=channels, attachment=i, alignment=1, dtype=kind)
        # OpenCV takes channels apart at twice the speed of a loop, and a loop does the rest at twice that of NumPy.
        rgb = cv2.cvtColor(self._colours, cv2.COLOR_RGBA2RGB)
        cv2.cvtColor(self._surface, cv2.COLOR_RGBA2RGB, dst=self._turned)
        cv2.extractChannel(self._surface, 3, dst=self._number)
        drawn = self._colours, self._closeness, self._turned.view(np.int16), self._number.view(np.int16)
        return Frame(rgb, *_unpacked(rgb, *drawn, bodies, background))

    def release(self) -> None:
        """Give back what OpenGL holds."""
        for part in self._held:
            part.release()


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _unpacked(
    rgb: np.ndarray,
    colours: np.ndarray,
    closeness: np.ndarray,
    turned: np.ndarray,
    number: np.ndarray,
    bodies: np.ndarray,
    background: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What a `Frame` holds behind its colours, in its order; those get the background where nothing was painted.

    Args:
        rgb: colours, uint8 (height, width, 3).
        colours: the same, and whether something was painted, uint8 (height, width, 4).
        closeness: the inverse depth, float32 (height, width) [1/m].
        turned: the normal times 32,767, int16 (height, width, 3).
        number: the visual's number plus one, int16 (height, width).
        bodies, background: as in `Sheet.frame`.
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
            if number[v, u] == 0 and colours[v, u, 3] == 0:
                for i in range(3):
                    rgb[v, u, i] = background[i]
    return depth, mask, visual, normals
