"""Pictures by OpenGL on a headless EGL context: a GPU where there is one, else Mesa's llvmpipe on the processor."""

import functools
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import moderngl
import numba
import numpy as np

from twinlab import frames
from twinlab.errors import RendererError
from twinlab.frames import Intrinsics
from twinlab.renderers import Frame, _shaders, check
from twinlab.renderers._lit import Shade
from twinlab.renderers._look import look
from twinlab.renderers._shadow import OPEN, Shadow
from twinlab.renderers._sheet import Sheet
from twinlab.renderers._stage import Stage
from twinlab.snapshot import Snapshot

_SIZES = 8  # picture sizes for which a view keeps its framebuffers
_TAPS, _FINE_TAPS = 3, 16  # looks at the shadow map for each pixel, more of them for people's eyes
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Raster:
    """OpenGL: one sun with soft shadows, light from the sky and the ground around.

    It sees from 1 cm to 100 m. Faces show their outside only, as in PyBullet. A mesh that has coarser ones is drawn by
    the coarsest that is off by less than half a pixel where it is nearest.

    Attributes:
        shadows: whether the sun throws shadows.
        shadow_size: edge of the shadow map [texel]; a finer one draws sharper shadows and costs time.
        shadow_reach: what is further than this from the world's origin throws and takes no shadow [m].
        softness: how far the edge of a shadow is blurred to each side [m].
        background: sRGB in 0–1 where nothing is.
        samples: the colours of a pixel are the mean of this many squared; more is for people's eyes. Depth, mask and
            normals are always those of the pixel's centre.
    """

    shadows: bool = True
    shadow_size: int = 512
    shadow_reach: float = 3.0
    softness: float = 0.003
    background: tuple[float, float, float] = (0.93, 0.94, 0.96)
    samples: int = 1

    def __post_init__(self) -> None:
        for name in ("shadow_size", "shadow_reach", "samples"):
            if getattr(self, name) <= 0:
                raise RendererError(f"raster: {name} came as {getattr(self, name)}; wanted a number above 0")

    def open(self) -> "RasterView":
        """A view that is ready to render.

        Raises:
            RendererError: there is no EGL here, or this process was forked from one that had opened a raster.
        """
        return RasterView(self, _driver())


class RasterView:
    """An open raster; several may be open at once, and any thread may use them."""

    def __init__(self, settings: Raster, driver: "_Driver") -> None:
        self._driver = driver
        self._easel: _Easel | None = driver.run(_Easel, settings, driver)

    def render(self, snapshot: Snapshot, camera: Intrinsics, pose: np.ndarray) -> Frame:
        """The picture of a camera whose optical frame stands at `pose` (7,) in the world.

        Raises:
            RendererError: the view is closed, a pose is not finite, or the picture is too large.
        """
        return self.begin(snapshot, camera, pose)()

    def begin(self, snapshot: Snapshot, camera: Intrinsics, pose: np.ndarray) -> Callable[[], Frame]:
        """Begin a picture, as `render` would give it; call what comes back, before `close`, to have it.

        Raises:
            RendererError: the view is closed, a pose is not finite, or the picture is too large.
        """
        easel = self._opened()
        check(snapshot, pose)
        read = self._driver.run(easel.draw, snapshot, camera, pose)

        def frame() -> Frame:
            self._opened()
            return self._driver.run(read)

        return frame

    def _opened(self) -> "_Easel":
        if self._easel is None:
            raise RendererError("this raster view is closed; open another one: Raster().open()")
        return self._easel

    def close(self) -> None:
        """Give back all that OpenGL holds for this view; calling it twice does no harm."""
        if self._easel is not None:
            self._driver.run(self._easel.release)
            self._easel = None


class _Driver:
    """The process's one OpenGL context; it goes to whichever thread has a job for it, one after the other."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._lock = threading.Lock()
        self._programs: dict[tuple[str, str], moderngl.Program] = {}
        self.context = _context()
        self.context.enable_only(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        self.context.depth_func = "<"
        self.context.front_face = "cw"  # as rows run downwards, what is counter-clockwise shows clockwise
        self.context.__exit__(None, None, None)  # a new context belongs to the thread that made it

    def run(self, job: Callable[..., _Result], *args: Any) -> _Result:
        """What the job gives, done with the context: 2 µs to take it, where a thread of its own cost 34 µs."""
        with self._lock, self.context:
            return job(*args)

    def program(self, vertex: str, fragment: str) -> moderngl.Program:
        """A program, compiled once for all views; call it within `run`."""
        if (vertex, fragment) not in self._programs:
            compiled = self.context.program(vertex_shader=vertex, fragment_shader=fragment)
            for place, sampler in enumerate(("poses", "pictures")):
                if sampler in compiled:
                    compiled[sampler] = place
            self._programs[vertex, fragment] = compiled
        return self._programs[vertex, fragment]


@functools.cache
def _process_driver() -> _Driver:
    return _Driver()


def _driver() -> _Driver:
    driver = _process_driver()
    if driver.process != os.getpid():
        raise RendererError(
            "this process was forked from one that had opened a raster, and OpenGL does not survive that; "
            "start worker processes with multiprocessing.get_context('spawn')"
        )
    return driver


def _context() -> moderngl.Context:
    backend: dict[str, Any] = {"backend": "egl"}
    try:
        return moderngl.create_context(require=330, standalone=True, **backend)
    except Exception as told:  # moderngl and glcontext raise bare ones
        raise RendererError(
            f"no OpenGL 3.3 without a screen (EGL) on this machine: {told}; "
            "on Debian and Ubuntu install it: apt install libegl1 libgl1"
        ) from told


class _Easel:
    """What OpenGL holds for one view; used within `_Driver.run` only."""

    def __init__(self, settings: Raster, driver: _Driver) -> None:
        self._settings, self._driver, self._context = settings, driver, driver.context
        self._look = self._context.buffer(reserve=80, dynamic=True)  # of `look`, 20 times float32
        self._dot = self._context.renderbuffer((1, 1))
        self._spur = self._context.framebuffer([self._dot])
        self._sheets: list[Sheet] = []  # that are free, the one last used last
        self._begun: list[_Begun] = []
        self._background = np.round(np.clip(settings.background, 0, 1) * np.array(255.0)).astype(np.uint8)
        self._stage: Stage | None = None
        self._shadow: Shadow | None = None
        if settings.shadows:
            taps = _TAPS if settings.samples == 1 else _FINE_TAPS
            self._shadow = Shadow(settings.shadow_size, settings.shadow_reach, settings.softness, taps)

    def draw(self, snapshot: Snapshot, camera: Intrinsics, pose: np.ndarray) -> Callable[[], Frame]:
        """Begin the picture; called by `RasterView.begin`."""
        stage = self._staged(snapshot) if snapshot.visuals else None
        whole = self._pass(stage, camera, pose)
        if self._settings.samples == 1:
            return whole.frame
        n = self._settings.samples
        middle = ((c + 0.5) * n - 0.5 for c in (camera.cx, camera.cy))
        lens = Intrinsics(camera.width * n, camera.height * n, camera.fx * n, camera.fy * n, *middle)
        fine = self._pass(stage, lens, pose)
        return lambda: replace(whole.frame(), rgb=_mean(fine.frame().rgb, n))

    def release(self) -> None:
        """Free everything."""
        sheets = (*self._sheets, *(one.sheet for one in self._begun))
        for held in (*sheets, self._stage, self._look, self._spur, self._dot):
            if held is not None:
                held.release()

    def _staged(self, snapshot: Snapshot) -> Stage:
        if self._stage is None or self._stage.visuals is not snapshot.visuals:
            if self._stage is not None:
                self._stage.release()
            textured = any(visual.texture is not None for visual in snapshot.visuals)
            self._paint = self._driver.program(*_shaders.paint(textured))
            self._stage = Stage(self._context, snapshot.visuals, self._paint)
        if snapshot is not self._stage.snapshot:
            for one in tuple(self._begun):  # what lights them is about to change
                one.frame()
        self._stage.place(snapshot)
        return self._stage

    def _pass(self, stage: Stage | None, camera: Intrinsics, pose: np.ndarray) -> "_Begun":
        """Begin a picture of all that a camera sees."""
        sheet = self._sheet(camera.width, camera.height)
        sheet.clear()
        if stage is None or stage.snapshot is None:
            return self._kept(sheet, np.array([-1], np.int16), (0.0, 0.0), OPEN)
        back, light, c = frames.matrix(pose), stage.snapshot.light, camera
        lens = np.array((c.width, c.height, c.fx, c.fy, c.cx, c.cy), float)
        sun = np.array(light.direction, float)
        block, matrices, hidden, pixels = look(back, lens, sun, stage.world, *stage.boxes)
        self._look.write(block)
        self._look.bind_to_uniform_block(0)
        stage.draw(matrices, pixels, back[:3, 3].copy(), (c.width, c.height), hidden)
        self._spur.clear()  # to turn to another framebuffer makes OpenGL begin; what follows goes on beside it
        shade = OPEN if self._shadow is None else self._shadow.shade(stage, camera, back)
        return self._kept(sheet, stage.bodies, (float(light.sun), float(light.ambient)), shade)

    def _kept(self, sheet: Sheet, bodies: np.ndarray, strength: tuple[float, float], shade: Shade) -> "_Begun":
        one = _Begun(self, sheet, lambda: sheet.frame(bodies, strength, shade, self._background))
        self._begun.append(one)
        return one

    def done(self, one: "_Begun") -> None:
        """Take back the sheet of a picture that was read."""
        self._begun.remove(one)
        self._sheets.append(one.sheet)
        if len(self._sheets) > _SIZES:
            self._sheets.pop(0).release()

    def _sheet(self, width: int, height: int) -> Sheet:
        limit = self._context.info["GL_MAX_TEXTURE_SIZE"]
        if max(width, height) > limit:
            raise RendererError(
                f"a picture of {width}×{height} px is more than OpenGL draws here ({limit}); "
                "lower the camera's width and height, or the raster's samples"
            )
        for i, sheet in enumerate(self._sheets):
            if sheet.size == (width, height):
                return self._sheets.pop(i)
        return Sheet(self._context, width, height)


class _Begun:
    """A picture that was begun, and its sheet, which no other may use until it was read; within `_Driver.run` only."""

    def __init__(self, easel: _Easel, sheet: Sheet, read: Callable[[], Frame]) -> None:
        self.sheet, self._easel, self._read = sheet, easel, read
        self._frame: Frame | None = None

    def frame(self) -> Frame:
        """The picture; read once."""
        if self._frame is None:
            self._frame = self._read()
            self._easel.done(self)
        return self._frame


@numba.njit(cache=True, nogil=True)
def _mean(rgb: np.ndarray, n: int) -> np.ndarray:
    """A picture (n * height, n * width, 3) made smaller, uint8 (height, width, 3): the mean of the squares."""
    out = np.empty((rgb.shape[0] // n, rgb.shape[1] // n, 3), np.uint8)
    for v in range(out.shape[0]):
        for u in range(out.shape[1]):
            for i in range(3):
                sum_ = 0.0
                for k in range(n * n):
                    sum_ += float(rgb[v * n + k // n, u * n + k % n, i]) ** 2
                out[v, u, i] = np.uint8(np.sqrt(sum_ / (n * n)) + 0.5)
    return out
