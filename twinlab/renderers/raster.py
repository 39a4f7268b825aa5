"""Pictures by OpenGL on a headless EGL context: a GPU where there is one, else Mesa's llvmpipe on the processor."""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import moderngl
import numpy as np

from twinlab import frames
from twinlab.errors import RendererError
from twinlab.frames import Intrinsics
from twinlab.meshes import Mesh, shading_normals
from twinlab.renderers import Frame, _shaders, check
from twinlab.snapshot import Light, Snapshot, Visual

_SIZES = 8  # picture sizes for which a view keeps its framebuffers
# Of a picture's colours, depth, visuals and normals: channels of the texture, channels that are read (0 for no axis of
# their own), OpenGL's type, NumPy's type.
_PARTS = ((4, 3, "f1", "u1"), (1, 0, "f4", "f4"), (1, 0, "i2", "i2"), (4, 3, "f4", "f4"))
_VERTEX = np.dtype([("at", "f4", 3), ("normal", "f4", 3), ("paint", "u1", 4), ("which", "i4")])
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Raster:
    """OpenGL: one sun with soft shadows, light from the sky and the ground around.

    It sees from 1 cm to 100 m. Faces show their outside only, as in PyBullet.

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
        if self._easel is None:
            raise RendererError("this raster view is closed; open another one: Raster().open()")
        check(snapshot, pose)
        return self._driver.run(self._easel.draw, snapshot, camera, pose)

    def close(self) -> None:
        """Give back all that OpenGL holds for this view; calling it twice does no harm."""
        if self._easel is not None:
            self._driver.run(self._easel.release)
            self._easel = None


class _Driver:
    """The process's one OpenGL context, on a thread of its own, as a context belongs to a thread."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="raster")
        self._programs: dict[tuple[str, str], moderngl.Program] = {}
        self.context: moderngl.Context = self.run(_context)

    def run(self, job: Callable[..., _Result], *args: Any) -> _Result:
        """What the job gives, done on the context's thread."""
        return self._worker.submit(job, *args).result()

    def program(self, vertex: str, fragment: str) -> moderngl.Program:
        """A program, compiled once for all views; call it on the context's thread."""
        if (vertex, fragment) not in self._programs:
            compiled = self.context.program(vertex_shader=vertex, fragment_shader=fragment)
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
    """What OpenGL holds for one view; used on the context's thread only."""

    def __init__(self, settings: Raster, driver: _Driver) -> None:
        self._settings, self._context = settings, driver.context
        taps = 0 if not settings.shadows else 4 if settings.samples == 1 else 16
        self._paint = driver.program(_shaders.PAINT_VERTEX, _shaders.paint_fragment(taps))
        self._cast = driver.program(_shaders.CAST_VERTEX, _shaders.CAST_FRAGMENT)
        self._empty = self._context.vertex_array(driver.program(_shaders.SCREEN_VERTEX, _shaders.EMPTY_FRAGMENT), [])
        self._shrink = self._context.vertex_array(driver.program(_shaders.SCREEN_VERTEX, _shaders.SHRINK_FRAGMENT), [])
        self._sheets: dict[tuple[int, int], _Sheet] = {}
        self._stage: _Stage | None = None
        self._shadow = _Shadow(settings, self._context) if settings.shadows else None

    def draw(self, snapshot: Snapshot, camera: Intrinsics, pose: np.ndarray) -> Frame:
        """The picture; called by `RasterView.render`."""
        view = frames.matrix(frames.inverse(pose))
        stage = self._staged(snapshot) if snapshot.visuals else None
        if stage is not None:
            if self._shadow is not None:
                self._shadow.cast(stage, self._cast)
            stage.poses.write(np.ascontiguousarray((view @ stage.world)[:, :3], np.float32))
            self._light(view, snapshot.light)
        sheet = self._sheet(camera.width, camera.height)
        self._pass(sheet, stage, camera)
        if self._settings.samples > 1:
            self._refine(sheet, stage, camera)
        return sheet.frame(stage.bodies if stage is not None else np.array([-1], np.int16))

    def release(self) -> None:
        """Free everything."""
        for held in (*self._sheets.values(), self._stage, self._shadow, self._empty, self._shrink):
            if held is not None:
                held.release()

    def _staged(self, snapshot: Snapshot) -> "_Stage":
        if self._stage is None or self._stage.visuals is not snapshot.visuals:
            if self._stage is not None:
                self._stage.release()
            self._stage = _Stage(self._context, snapshot.visuals, self._paint, self._cast)
        self._stage.place(snapshot)
        return self._stage

    def _light(self, view: np.ndarray, light: Light) -> None:
        """Tell the shader where sun and sky are, seen from the camera."""
        sun = view[:3, :3] @ np.array(light.direction)
        self._paint["sun"] = tuple(sun / np.linalg.norm(sun) * light.sun)
        # The ground sends back about half of what comes from the sky, so what looks down is darker.
        self._paint["sky"] = (*(view[:3, 2] * 0.26 * light.ambient), 0.74 * light.ambient)
        if self._shadow is not None:
            to_light = self._shadow.texture_from_world @ np.linalg.inv(view)
            self._paint["to_light"] = tuple(to_light.T.reshape(-1))
            self._paint["blur"] = tuple(self._settings.softness / self._shadow.extent)
            texel = self._shadow.extent.max() / self._settings.shadow_size
            self._paint["lift"] = float(texel + self._settings.softness)  # so that no face shades itself

    def _pass(self, sheet: "_Sheet", stage: "_Stage | None", camera: Intrinsics) -> None:
        """Fill a sheet: first with what there is, then with nothing."""
        sheet.framebuffer.use()
        self._context.enable_only(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        self._context.front_face = "cw"  # as rows run downwards, what is counter-clockwise shows clockwise
        sheet.framebuffer.clear()
        if stage is not None:
            self._scene(stage, camera)
        self._context.depth_func = "<="
        self._empty.program["background"] = self._settings.background
        self._empty.render(vertices=3)  # wherever nothing was drawn

    def _scene(self, stage: "_Stage", camera: Intrinsics) -> None:
        """Draw all that there is."""
        self._context.depth_func = "<"
        w, h, c = camera.width, camera.height, camera
        # Pixel centres are whole numbers in `Intrinsics` and halves in OpenGL.
        self._paint["lens"] = (2 * c.fx / w, 2 * c.fy / h, (2 * c.cx + 1) / w - 1, (2 * c.cy + 1) / h - 1)
        self._paint["rays"] = (1 / c.fx, 1 / c.fy, -(c.cx + 0.5) / c.fx, -(c.cy + 0.5) / c.fy)
        self._paint["poses"] = 0
        if self._shadow is not None:
            self._paint["shadow"] = 1
            self._shadow.texture.use(1)
        stage.poses.use(0)
        stage.painted.render()

    def _refine(self, sheet: "_Sheet", stage: "_Stage | None", camera: Intrinsics) -> None:
        """Put the mean of a larger picture's colours in the place of a sheet's own."""
        n = self._settings.samples
        lens = ((c + 0.5) * n - 0.5 for c in (camera.cx, camera.cy))
        fine = Intrinsics(camera.width * n, camera.height * n, camera.fx * n, camera.fy * n, *lens)
        large = self._sheet(fine.width, fine.height)
        self._pass(large, stage, fine)
        sheet.colours.use()
        self._context.enable_only(moderngl.NOTHING)
        large.textures[0].use(0)
        self._shrink.program["fine"] = 0
        self._shrink.program["samples"] = n
        self._shrink.render(vertices=3)

    def _sheet(self, width: int, height: int) -> "_Sheet":
        limit = self._context.info["GL_MAX_TEXTURE_SIZE"]
        if max(width, height) > limit:
            raise RendererError(
                f"a picture of {width}×{height} px is more than OpenGL draws here ({limit}); "
                "lower the camera's width and height, or the raster's samples"
            )
        sheet = self._sheets.pop((width, height), None) or _Sheet(self._context, width, height)
        self._sheets[width, height] = sheet  # the last one used stands last
        if len(self._sheets) > _SIZES:
            self._sheets.pop(next(iter(self._sheets))).release()
        return sheet


class _Sheet:
    """A framebuffer with all that a picture consists of."""

    def __init__(self, context: moderngl.Context, width: int, height: int) -> None:
        self.textures = [context.texture((width, height), n, dtype=kind) for n, _, kind, _ in _PARTS]
        self.textures[0].filter = (moderngl.NEAREST, moderngl.NEAREST)
        self._hidden = context.depth_renderbuffer((width, height))
        self.framebuffer = context.framebuffer(self.textures, self._hidden)
        self.colours = context.framebuffer(self.textures[:1])

    def frame(self, bodies: np.ndarray) -> Frame:
        """Read the picture back; row 0 is the top, as the shader puts it there.

        Args:
            bodies: the body of each visual, the last one for nothing.
        """
        width, height = self.framebuffer.size
        arrays = [np.empty((height, width, n) if n else (height, width), kind) for _, n, _, kind in _PARTS]
        for i, (array, (_, n, kind, _)) in enumerate(zip(arrays, _PARTS, strict=True)):
            self.framebuffer.read_into(array, components=max(1, n), attachment=i, alignment=1, dtype=kind)
        rgb, depth, visual, normals = arrays
        return Frame(rgb, depth, bodies[visual], visual, normals)

    def release(self) -> None:
        held: list[Any] = [self.framebuffer, self.colours, self._hidden, *self.textures]
        for part in held:
            part.release()


class _Shadow:
    """The shadow map: how far the sun's light gets, drawn once for all cameras that see the same snapshot."""

    def __init__(self, settings: Raster, context: moderngl.Context) -> None:
        self._settings, self._context = settings, context
        self.texture = context.depth_texture((settings.shadow_size, settings.shadow_size))
        self.texture.compare_func = "<="
        self._framebuffer = context.framebuffer(depth_attachment=self.texture)
        self._drawn: Snapshot | None = None
        self._light = np.eye(4)
        self.texture_from_world, self.extent = np.eye(4), np.ones(2)

    def cast(self, stage: "_Stage", program: moderngl.Program) -> None:
        """Draw the map, unless it is of this snapshot already."""
        if self._drawn is stage.snapshot:
            return
        assert stage.snapshot is not None  # it was placed
        direction = np.divide(stage.snapshot.light.direction, np.linalg.norm(stage.snapshot.light.direction))
        self._light = frames.matrix(frames.inverse(frames.look_at(tuple(direction), (0, 0, 0))))
        low, high = self._bounds(stage)
        self.extent = high[:2] - low[:2]
        fit = np.diag([*(2 / (high - low)), 1.0])
        fit[:3, 3] = -(high + low) / (high - low)
        stage.lights.write(np.ascontiguousarray((fit @ self._light @ stage.world)[:, :3], np.float32))
        half = np.diag([0.5, 0.5, 0.5, 1.0])
        half[:3, 3] = 0.5
        self.texture_from_world = half @ fit @ self._light
        self._framebuffer.use()
        self._framebuffer.clear()
        self._context.enable_only(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        self._context.front_face, self._context.depth_func = "cw", "<"
        program["poses"] = 0
        stage.lights.use(0)
        stage.casting.render()
        self._drawn = stage.snapshot

    def _bounds(self, stage: "_Stage") -> tuple[np.ndarray, np.ndarray]:
        """Low and high corner (3,) in the light's frame of what is within reach, in steps of 0.1 m to be steady."""
        reach = self._settings.shadow_reach
        corners = stage.corners()
        nearest = np.clip(0, corners.min(axis=1), corners.max(axis=1))
        near = corners[np.linalg.norm(nearest, axis=1) <= reach].reshape(-1, 3)
        if not len(near):
            return -np.ones(3), np.ones(3)
        points = near @ self._light[:3, :3].T + self._light[:3, 3]
        low, high = points.min(axis=0), points.max(axis=0)
        low[:2], high[:2] = np.clip([low[:2], high[:2]], -reach, reach)
        return np.floor(low * 10 - 1) / 10, np.ceil(high * 10 + 1) / 10

    def release(self) -> None:
        for held in (self._framebuffer, self.texture):
            held.release()


class _Stage:
    """The meshes of one tuple of visuals, uploaded once as one buffer; per snapshot only their matrices."""

    def __init__(
        self, context: moderngl.Context, visuals: tuple[Visual, ...], paint: moderngl.Program, cast: moderngl.Program
    ) -> None:
        self.visuals = visuals
        self._links = np.array([v.link for v in visuals])
        self._mounts = frames.matrix(np.stack([v.pose for v in visuals]))
        ends = np.stack([[v.mesh.vertices.min(axis=0), v.mesh.vertices.max(axis=0)] for v in visuals])
        self._box = np.stack([ends[:, [i, j, k], [0, 1, 2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)], axis=1)
        self.snapshot: Snapshot | None = None
        self.world = self._mounts
        self.bodies = np.array([*(v.body for v in visuals), -1], np.int16)  # of each visual, the last one for nothing
        vertices, faces = (context.buffer(array) for array in _merged(visuals))
        every, some = ("at", "normal", "paint", "which"), ("at", "which")
        self.painted = context.vertex_array(paint, [(vertices, "3f4 3f4 4f1 i4", *every)], faces)
        self.casting = context.vertex_array(cast, [(vertices, "3f4 4x4 i4", *some)], faces)
        # The upper three rows of each visual's matrix: to the camera's frame, to the light's.
        self.poses, self.lights = (context.texture((3, len(visuals)), 4, dtype="f4") for _ in range(2))
        self._held = (self.painted, self.casting, vertices, faces, self.poses, self.lights)

    def place(self, snapshot: Snapshot) -> None:
        """Set `world`, the matrix (visual, 4, 4) of each visual's frame."""
        if snapshot is not self.snapshot:
            self.world = frames.matrix(snapshot.poses[self._links]) @ self._mounts
            self.snapshot = snapshot

    def corners(self) -> np.ndarray:
        """The corners of a box around each visual in the world, (visual, 8, 3) [m]."""
        return self._box @ self.world[:, :3, :3].transpose(0, 2, 1) + self.world[:, None, :3, 3]

    def release(self) -> None:
        for held in self._held:
            held.release()


def _merged(visuals: tuple[Visual, ...]) -> tuple[np.ndarray, np.ndarray]:
    """One array of vertices and one of faces for all visuals; each vertex knows its visual and its body."""
    parts, faces, first = [], [], 0
    large_last = np.argsort([np.ptp(v.mesh.vertices, axis=0).max() for v in visuals], kind="stable")
    for number in large_last:  # so that a floor need not be painted where something stands on it
        visual = visuals[number]
        welded, corners = _welded(visual.mesh)
        part = welded.copy()
        part["which"] = number
        if visual.mesh.colours is None:
            part["paint"][:, :3] = np.round(np.clip(visual.colour, 0, 1) * np.array(255.0))
        parts.append(part)
        faces.append(corners + first)
        first += len(part)
    return np.concatenate(parts), np.concatenate(faces).astype(np.int32)


_ready: WeakKeyDictionary[Mesh, tuple[np.ndarray, np.ndarray]] = WeakKeyDictionary()


def _welded(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """A mesh's vertices and faces, with a vertex for each place, normal and colour; kept as long as the mesh is."""
    if mesh not in _ready:
        corners = np.zeros(mesh.faces.size, _VERTEX)
        corners["at"] = mesh.vertices[mesh.faces].reshape(-1, 3)
        corners["normal"] = shading_normals(mesh).reshape(-1, 3).round(4) + 0.0  # no -0.0
        if mesh.colours is not None:
            corners["paint"][:, :3] = np.repeat(np.round(mesh.colours.clip(0, 1) * 255), 3, axis=0)
        _, chosen, place = np.unique(corners.view(f"V{_VERTEX.itemsize}"), return_index=True, return_inverse=True)
        _ready[mesh] = corners[chosen], place.reshape(-1, 3)
    return _ready[mesh]
