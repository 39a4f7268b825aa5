"""Pictures and single rays by Open3D's RaycastingScene (Embree) on the processor; it needs no OpenGL."""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from twinlab import frames
from twinlab.errors import RendererError
from twinlab.frames import Intrinsics
from twinlab.meshes import Mesh, shading_normals
from twinlab.renderers import Frame, Hits, _rays, check
from twinlab.renderers._rays import LOCK, Met, Rays, Stage
from twinlab.renderers._shaders import FAR, NEAR
from twinlab.snapshot import Light, Snapshot, Visual


@dataclass(frozen=True)
class Raycast:
    """Rays through pixel centres: what `raster` draws without shadows, and what lidars meet.

    Pictures show what lies between 1 cm and 100 m, and faces their outside only, as in `raster`.

    Attributes:
        background: sRGB in 0–1 where nothing is.
        threads: how many cast rays; 0 for as many as `OMP_NUM_THREADS` says, or all there are.
    """

    background: tuple[float, float, float] = (0.93, 0.94, 0.96)
    threads: int = 0

    def __post_init__(self) -> None:
        if self.threads < 0:
            raise RendererError(f"raycast: threads came as {self.threads}; wanted 0 for all there are, or more")

    def open(self) -> "RaycastView":
        """A view that is ready to render.

        Raises:
            RendererError: Open3D cannot be imported.
        """
        _rays.open3d()
        return RaycastView(self)


class RaycastView:
    """An open raycast; several may be open at once, and any thread may use them."""

    def __init__(self, settings: Raycast) -> None:
        self._background = np.rint(np.clip(settings.background, 0, 1) * np.array(255)).astype(np.uint8)
        told = os.environ.get("OMP_NUM_THREADS", "")
        self._threads = settings.threads or (int(told) if told.isdecimal() else 0)
        self._open = True
        self._stage: tuple[Stage, _Paint] | None = None

    def render(self, snapshot: Snapshot, camera: Intrinsics, pose: np.ndarray) -> Frame:
        """The picture of a camera whose optical frame stands at `pose` (7,) in the world.

        Raises:
            RendererError: the view is closed, or a pose is not finite.
        """
        self._check_open()
        check(snapshot, pose)
        focus = (camera.fx, camera.fy, camera.cx, camera.cy)
        rays = Rays(pose, np.zeros(3), _directions(camera), focus)
        rgb = np.empty((camera.height, camera.width, 3), np.uint8)
        rgb[:] = self._background
        with LOCK:
            if not snapshot.visuals:
                return _empty(rgb)
            stage, paint = self._placed(snapshot)
            met = stage.met(rays, NEAR)
            hidden = met.along > FAR
            met.along[hidden], met.normal[hidden], met.face[hidden] = np.inf, 0, -1
            paint.colour(rgb, met, stage, rays, snapshot.light)
        visual = paint.owner[met.face]
        normals = met.normal @ rays.matrix[:3, :3].astype(np.float32)
        return Frame(rgb, met.along, paint.bodies[visual], visual, normals)

    def begin(self, snapshot: Snapshot, camera: Intrinsics, pose: np.ndarray) -> Callable[[], Frame]:
        """The picture as from `render`, made when it is asked for."""
        self._check_open()
        return functools.partial(self.render, snapshot, camera, pose)

    def cast(self, snapshot: Snapshot, starts: np.ndarray, directions: np.ndarray) -> Hits:
        """What rays from (ray, 3) [m] along unit vectors (ray, 3) in the world meet first; insides are not seen.

        Raises:
            RendererError: the view is closed, a pose or a ray is not finite, or the shapes do not fit.
        """
        self._check_open()
        check(snapshot, frames.IDENTITY)
        starts, directions = np.asarray(starts, float), np.asarray(directions, np.float32)
        if starts.shape != directions.shape or starts.ndim != 2 or starts.shape[1] != 3:
            raise RendererError(
                f"cast: starts came as {starts.shape} and directions as {directions.shape}; wanted (ray, 3) for both"
            )
        if not (np.isfinite(starts).all() and np.isfinite(directions).all()):
            raise RendererError("cast: a ray is not finite; look for NaN in its start and its direction")
        count = len(starts)
        if not count or not snapshot.visuals:
            nothing = np.full(count, np.inf, np.float32), np.full(count, -1, np.int16), np.zeros((count, 3), np.float32)
            return Hits(*nothing)
        with LOCK:
            stage, paint = self._placed(snapshot)
            met = stage.met(Rays(frames.IDENTITY, starts, directions))
        return Hits(met.along, paint.owner[met.face], met.normal)

    def close(self) -> None:
        """Give back all that Embree holds for this view; calling it twice does no harm."""
        self._open, self._stage = False, None

    def _check_open(self) -> None:
        if not self._open:
            raise RendererError("this raycast view is closed; open another one: Raycast().open()")

    def _placed(self, snapshot: Snapshot) -> tuple[Stage, "_Paint"]:
        if self._stage is None or self._stage[0].visuals is not snapshot.visuals:
            self._stage = Stage(snapshot.visuals, self._threads), _Paint(snapshot.visuals)
        self._stage[0].place(snapshot)
        return self._stage


class _Paint:
    """The colours and shading normals of all faces of one tuple of visuals."""

    def __init__(self, visuals: tuple[Visual, ...]) -> None:
        self._visuals = visuals
        self.bodies = np.array([*(v.body for v in visuals), -1], np.int16)  # of each visual, the last one for nothing
        owner = np.repeat(np.arange(len(visuals), dtype=np.int16), [len(v.mesh.faces) for v in visuals])
        self.owner = np.append(owner, np.int16(-1))  # of each face, the last one for none
        self._textured = [i for i, v in enumerate(visuals) if v.texture is not None]
        self._normals = np.concatenate([_smooth(v.mesh) for v in visuals])
        self._round = (self._normals != self._normals[:, :1]).any(axis=(1, 2))
        self._paint = np.concatenate([_painted(v) for v in visuals])

    def colour(self, rgb: np.ndarray, met: Met, stage: Stage, rays: Rays, light: Light) -> None:
        """Paint what is seen into a picture, by the light of `raster` without shadows."""
        seen = np.flatnonzero(met.face >= 0)
        face, normal = met.face.reshape(-1)[seen], met.normal.reshape(-1, 3)[seen]
        owner = self.owner[face]
        sun = light.sun * np.divide(light.direction, np.linalg.norm(light.direction))
        # The ground sends back about half of what comes from the sky, so what looks down is darker.
        both = np.stack([sun, (0, 0, 0.26 * light.ambient)])
        shine = normal @ both.T.astype(np.float32)
        smooth = np.flatnonzero(self._round[face])
        if len(smooth):
            turned = (both @ stage.world[:, :3, :3]).astype(np.float32)  # what shines, in the visuals' frames
            up = self._between(face[smooth], met.share.reshape(-1, 2)[seen[smooth]])
            shine[smooth] = (turned[owner[smooth]] @ up[..., None])[..., 0]
        strength = np.sqrt(np.maximum(shine[:, 0], 0) + shine[:, 1] + np.float32(0.74 * light.ambient))
        paint = self._paint[face]
        for i in self._textured:
            some = np.flatnonzero(owner == i)
            local = rays.within(stage.from_world[i] @ rays.matrix, np.unravel_index(seen[some], met.face.shape))
            points = local[:, :3] + met.along.reshape(-1, 1)[seen[some]] * local[:, 3:]
            paint[some] *= self._texels(i, points, normal[some] @ stage.world[i, :3, :3]) / np.float32(255)
        paint *= strength[:, None]
        rgb.reshape(-1, 3)[seen] = np.rint(np.minimum(paint, 255, out=paint), out=paint).astype(np.uint8)

    def _texels(self, visual: int, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """What a visual's texture holds at points (n, 3) [m] with normals (n, 3) in its frame, uint8 (n, 3)."""
        texture = self._visuals[visual].texture
        assert texture is not None  # it is one of the textured ones
        rows, columns = texture.picture.shape[:2]
        plane = np.array([[1, 2], [0, 2], [0, 1]])[np.abs(normals).round(4).argmax(axis=1)]
        size = np.array([texture.edge, texture.edge * rows / columns])
        places = np.take_along_axis(points, plane, axis=1) / size
        column, row = ((places % 1) * (columns, rows)).astype(int).T
        return texture.picture[np.minimum(row, rows - 1), np.minimum(column, columns - 1)]

    def _between(self, face: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Unit shading normals (n, 3) inside faces, in their visuals' frames."""
        corners = self._normals[face]
        up = corners[:, 0] * (1 - share.sum(axis=1))[:, None]
        up += corners[:, 1] * share[:, :1]
        up += corners[:, 2] * share[:, 1:]
        return up / np.sqrt(np.einsum("ni,ni->n", up, up))[:, None]


@functools.lru_cache(maxsize=16)
def _directions(camera: Intrinsics) -> np.ndarray:
    """The rays of a camera, float32 (height, width, 3), z = 1, so that the way along them is the depth."""
    rays = camera.rays().astype(np.float32)
    rays.setflags(write=False)
    return rays


def _empty(rgb: np.ndarray) -> Frame:
    shape = rgb.shape[:2]
    none = np.full(shape, -1, np.int16)
    return Frame(rgb, np.full(shape, np.inf, np.float32), none, none.copy(), np.zeros(rgb.shape, np.float32))


_ready: WeakKeyDictionary[Mesh, np.ndarray] = WeakKeyDictionary()


def _smooth(mesh: Mesh) -> np.ndarray:
    """A mesh's shading normals, float32 (face, 3, 3), kept as long as the mesh is."""
    if mesh not in _ready:
        _ready[mesh] = shading_normals(mesh).astype(np.float32)
    return _ready[mesh]


def _painted(visual: Visual) -> np.ndarray:
    """The colour of each face, float32 (face, 3) in whole numbers of 0–255."""
    colours = visual.mesh.colours
    colours = np.tile(visual.colour, (len(visual.mesh.faces), 1)) if colours is None else colours
    return np.rint(np.clip(colours, 0, 1) * np.array(255)).astype(np.float32)
