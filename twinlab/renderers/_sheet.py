"""What a picture is drawn on: a framebuffer of `raster`, and how it is read back."""

import cv2
import moderngl
import numpy as np

from twinlab.renderers import Frame


class Sheet:
    """A framebuffer with all that a picture consists of.

    As few bytes a pixel as will do, because on a processor filling and reading them is what large pictures cost:
    colours in 8 bits, the inverse depth in 32, and in two times 32 the normal and one more than the visual's number,
    16 bits each. Zeros stand for nothing, so that one clearing does for all.
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
        self._colours, self._surface, self._turned = (
            np.empty((height, width, n), kind) for n, kind in ((4, np.uint8), (4, np.uint16), (3, np.uint16))
        )

    def clear(self, background: tuple[float, float, float]) -> None:
        """Put nothing everywhere, and a colour in 0–1; leaves the framebuffer in use."""
        self.framebuffer.clear()
        self.painting.clear(*background, 1.0)
        self.framebuffer.use()

    def frame(self, bodies: np.ndarray) -> Frame:
        """Read the picture back; row 0 is the top, as the shader puts it there.

        Args:
            bodies: the body of each visual, the last one for nothing, int16.
        """
        depth = np.empty(self._surface.shape[:2], np.float32)
        # All channels at once, as they lie in memory: OpenGL takes five times as long to pick some out as OpenCV.
        parts = ((self._colours, 4, "f1"), (depth, 1, "f4"), (self._surface, 2, "u4"))
        for i, (array, channels, kind) in enumerate(parts):
            self.framebuffer.read_into(array, components=channels, attachment=i, alignment=1, dtype=kind)
        with np.errstate(divide="ignore"):
            np.reciprocal(depth, out=depth)
        rgb = cv2.cvtColor(self._colours, cv2.COLOR_RGBA2RGB)
        visual = cv2.extractChannel(self._surface, 3).view(np.int16)
        visual -= 1
        cv2.cvtColor(self._surface, cv2.COLOR_RGBA2RGB, dst=self._turned)
        normals = np.multiply(self._turned.view(np.int16), np.float32(1 / 32_767), dtype=np.float32)
        return Frame(rgb, depth, _looked_up(bodies, visual), visual, normals)

    def release(self) -> None:
        """Give back what OpenGL holds."""
        for part in self._held:
            part.release()


def _looked_up(bodies: np.ndarray, visual: np.ndarray) -> np.ndarray:
    """`bodies[visual]`, int16; OpenCV's table of 256 is more than twice as fast as NumPy's."""
    if len(bodies) > 256:
        return bodies[visual]
    table = np.full(256, bodies[-1], np.int16)
    table[: len(bodies) - 1] = bodies[:-1]
    return cv2.LUT(visual.astype(np.uint8), table)
