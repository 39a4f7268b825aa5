"""What rays meet first in a snapshot, by Embree: the geometry of `raycast`.

A mesh of many triangles has a scene of its own in its own frame, built once in a process; rays are brought into that
frame, and only those that pass near it. Small meshes share two merged scenes in the world's frame: one of what stands
where it stood in the first snapshot, and one of the movers, which is built anew for each snapshot.
"""

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from twinlab import frames
from twinlab.errors import RendererError
from twinlab.meshes import Mesh
from twinlab.snapshot import Snapshot, Visual

LOCK = threading.Lock()  # a scene is not made to be cast at from several threads, and views share those of meshes
_LARGE = 256  # faces from which a scene of its own costs less than a share of the merged ones
Where = tuple[slice | np.ndarray, ...] | np.ndarray
_CORNERS = np.array([(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)])
_EDGES = np.array([(i, i + n) for n in (1, 2, 4) for i in range(8) if not i & n])  # pairs of corners of a box


@dataclass(frozen=True, eq=False)
class Rays:
    """Rays of a camera or of a lidar; `...` is (row, column) or (ray,).

    Attributes:
        pose: the frame that they are given in, in the world (7,).
        starts: where they start, (..., 3) or (3,) for all [m].
        directions: their directions, float32 (..., 3); lengths along a ray count in these vectors' lengths.
        focus: focal lengths and principal point, fx, fy, cx, cy [px] of a camera; None for rays without a picture.
    """

    pose: np.ndarray
    starts: np.ndarray
    directions: np.ndarray
    focus: tuple[float, float, float, float] | None = None

    @cached_property
    def matrix(self) -> np.ndarray:
        """The frame as a matrix (4, 4)."""
        return frames.matrix(self.pose)

    def within(self, to_local: np.ndarray, where: Where) -> np.ndarray:
        """Some of the rays in another frame: starts, then directions, float32 (..., 6).

        Args:
            to_local: matrix (4, 4) from the rays' frame to that one.
            where: which rays.
        """
        turn = to_local[:3, :3].T
        starts = self.starts if self.starts.ndim == 1 else self.starts[where]
        directions = self.directions[where]
        rays = np.empty((*directions.shape[:-1], 6), np.float32)
        rays[..., :3] = starts @ turn + to_local[:3, 3]
        np.matmul(directions, turn.astype(np.float32), out=rays[..., 3:])
        return rays

    def near(self, to_local: np.ndarray, boxes: np.ndarray, nearest: float) -> list[Where | None]:
        """Which rays may meet boxes further than `nearest` along them; None if there are none.

        Args:
            to_local: matrices from the rays' frame to the boxes' frames (box, 4, 4).
            boxes: their corners in these frames (box, 8, 3) [m].
            nearest: in lengths of the rays' directions.
        """
        back = np.linalg.inv(to_local)
        corners = boxes @ back[:, :3, :3].transpose(0, 2, 1) + back[:, None, :3, 3]
        if self.focus is None:
            return [self._passing(one) for one in corners]
        a, b = corners[:, _EDGES[:, 0]], corners[:, _EDGES[:, 1]]
        with np.errstate(divide="ignore", invalid="ignore"):  # an edge along the picture does not cross its plane
            share = (nearest - a[..., 2:]) / (b[..., 2:] - a[..., 2:])
            crossing = a + share * (b - a)
            crosses = (share[..., 0] > 0) & (share[..., 0] < 1)
            points = np.concatenate([corners, crossing], axis=1)
            across = points[..., :2] / points[..., 2:] * self.focus[:2] + self.focus[2:]
        ahead = np.concatenate([corners[..., 2] >= nearest, crosses], axis=1)[..., None]
        height, width = self.directions.shape[:2]
        low = np.where(ahead, across, np.inf).min(axis=1).clip(-1, (width, height))
        high = np.where(ahead, across, -np.inf).max(axis=1).clip(-1, (width, height))
        low, high = np.floor(low).clip(0).astype(int), np.minimum(np.ceil(high).astype(int) + 1, (width, height))
        return [
            (slice(top, bottom), slice(left, right)) if top < bottom and left < right else None
            for (left, top), (right, bottom) in zip(low.tolist(), high.tolist(), strict=True)
        ]

    def _passing(self, corners: np.ndarray) -> Where | None:
        """Rays (ray,) with unit directions that pass the ball around a box with corners (8, 3)."""
        middle = corners.mean(axis=0)
        way = (middle - self.starts).astype(np.float32)
        ahead = np.maximum((way * self.directions).sum(axis=-1), 0)
        off = ((way - ahead[..., None] * self.directions) ** 2).sum(axis=-1)
        chosen = np.flatnonzero(off <= 1.001 * ((corners - middle) ** 2).sum(axis=1).max())
        return chosen if len(chosen) else None


@dataclass(eq=False)
class Met:
    """What rays meet first.

    Attributes:
        along: how far along the ray, in lengths of its direction, float32 (...); +inf where nothing is.
        face: number of the triangle among those of all visuals, int32 (...); -1 where nothing is.
        share: how much of the triangle's second and third corner is in the point, float32 (..., 2).
        normal: unit normals in the world, float32 (..., 3); 0 where nothing is.
    """

    along: np.ndarray
    face: np.ndarray
    share: np.ndarray
    normal: np.ndarray

    def put(self, where: Where, other: "Met") -> None:
        """Take over what is nearer among what some of the rays meet elsewhere."""
        nearer = other.along < self.along[where]
        if nearer.any():
            for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True):
                part = mine[where]
                np.copyto(part, theirs, where=nearer.reshape(nearer.shape + (1,) * (part.ndim - nearer.ndim)))
                mine[where] = part


class _Scene:
    """Triangles that rays can be cast at, seen from their outside only.

    Args:
        vertices: float32 (vertex, 3) [m].
        faces: (face, 3).
        threads: how many may build and cast; 0 for all there are.
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, threads: int) -> None:
        self._vertices, self._faces, self._threads = vertices, faces, threads
        self.corners = np.stack([vertices.min(axis=0), vertices.max(axis=0)])[_CORNERS, [0, 1, 2]].astype(float)
        self._scene: Any = open3d().t.geometry.RaycastingScene(nthreads=threads)
        self._scene.add_triangles(np.array(vertices, np.float32), faces.astype(np.uint32))

    def met(self, rays: np.ndarray, nearest: float) -> Met:
        """The first front faces that rays (..., 6) meet, no nearer than so far along; numbers are the scene's own."""
        found = self._scene.cast_rays(rays, nthreads=self._threads)
        along, face, share, normal = (
            found[key].numpy() for key in ("t_hit", "primitive_ids", "primitive_uvs", "primitive_normals")
        )
        met = Met(along, face.view(np.int32), share, normal)  # the number for none is -1
        behind = np.einsum("...i,...i->...", normal, rays[..., 3:]) >= 0
        wrong = np.isfinite(along) & (behind | (along < nearest))
        if wrong.any():
            self._look_through(met, rays, wrong, nearest)
        return met

    def _look_through(self, met: Met, rays: np.ndarray, which: np.ndarray, nearest: float) -> None:
        """Of rays whose first face does not count, take the nearest one that does."""
        rays = rays[which]
        found = self._scene.list_intersections(rays, nthreads=self._threads)
        along, face, share, ray = (found[key].numpy() for key in ("t_hit", "primitive_ids", "primitive_uvs", "ray_ids"))
        ray = ray.astype(np.intp)
        a, b, c = np.moveaxis(self._vertices[self._faces[face]].astype(float), 1, 0)
        normal = np.cross(b - a, c - a)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
        counts = np.flatnonzero(((normal * rays[ray, 3:]).sum(axis=1) < 0) & (along >= nearest))
        order = counts[np.lexsort((along[counts], ray[counts]))]
        ray, first = np.unique(ray[order], return_index=True)
        chosen = order[first]
        new = _nothing((len(rays),))
        new.along[ray], new.face[ray], new.share[ray] = along[chosen], face[chosen], share[chosen]
        new.normal[ray] = normal[chosen]
        met.along[which], met.face[which], met.share[which] = new.along, new.face, new.share
        met.normal[which] = new.normal


@dataclass(frozen=True, eq=False)
class _Set:
    """A scene that stands in the world.

    Attributes:
        scene: its triangles.
        from_world: matrix (4, 4) from the world to its frame.
        numbers: of each of its faces among those of all visuals, the last one for no face.
    """

    scene: _Scene
    from_world: np.ndarray
    numbers: np.ndarray


class Stage:
    """The meshes of one tuple of visuals, and where they were when they were last looked at.

    What a snapshot looks like follows from it and from the first one that was placed, to the last bit: which small
    meshes have moved is asked anew each time. What has come to rest elsewhere stays among the movers.
    """

    def __init__(self, visuals: tuple[Visual, ...], threads: int) -> None:
        self.visuals, self._threads = visuals, threads
        self._links = np.array([v.link for v in visuals])
        self._mounts = frames.matrix(np.stack([v.pose for v in visuals]))
        counts = np.array([len(v.mesh.faces) for v in visuals])
        self._numbers = [
            np.arange(end - n, end, dtype=np.int32) for n, end in zip(counts, counts.cumsum(), strict=True)
        ]
        large = np.flatnonzero(counts >= _LARGE)
        self._large = [(i, _scene_of(visuals[i].mesh, threads), np.append(self._numbers[i], -1)) for i in large]
        self._small = np.flatnonzero(counts < _LARGE)
        self._moved = np.zeros(len(self._small), bool)
        self._poses = self._rest = np.empty(0)
        self._snapshot: Snapshot | None = None
        self._still: list[_Set] = []
        self._sets: list[_Set] = []

    def place(self, snapshot: Snapshot) -> None:
        """Set `world`, the matrix (visual, 4, 4) of each visual's frame, and `from_world`; build what has moved."""
        if snapshot is self._snapshot:
            return
        poses = snapshot.poses[self._links]
        if self._snapshot is None or not np.array_equal(poses, self._poses):
            self._poses, self.world = poses, frames.matrix(poses) @ self._mounts
            self._build(poses[self._small])
        self._snapshot = snapshot

    def _build(self, poses: np.ndarray) -> None:
        first = self._snapshot is None
        self._rest = poses if first else self._rest
        moved = (poses != self._rest).any(axis=1)
        if first or (moved != self._moved).any():
            self._moved = moved
            self._still = self._merged(self._small[~moved])
        self.from_world = np.linalg.inv(self.world)
        self._sets = [*self._still, *self._merged(self._small[moved])]
        self._sets += [_Set(scene, self.from_world[i], numbers) for i, scene, numbers in self._large]

    def _merged(self, which: np.ndarray) -> list[_Set]:
        """One scene in the world's frame of some visuals; none if there are none."""
        if not len(which):
            return []
        vertices, faces, first = [], [], 0
        for i in which:
            mesh, matrix = self.visuals[i].mesh, self.world[i]
            vertices.append(mesh.vertices @ matrix[:3, :3].T + matrix[:3, 3])
            faces.append(mesh.faces + first)
            first += len(mesh.vertices)
        scene = _Scene(np.concatenate(vertices).astype(np.float32), np.concatenate(faces), self._threads)
        return [_Set(scene, np.eye(4), np.concatenate([*(self._numbers[i] for i in which), [np.int32(-1)]]))]

    def met(self, rays: Rays, nearest: float = 0.0) -> Met:
        """What rays meet first, from so far along them on."""
        met, shape = None, rays.directions.shape[:-1]
        matrices = np.stack([one.from_world for one in self._sets]) @ rays.matrix
        boxes = np.stack([one.scene.corners for one in self._sets])
        for one, matrix, where in zip(self._sets, matrices, rays.near(matrices, boxes, nearest), strict=True):
            if where is not None:
                found = one.scene.met(rays.within(matrix, where), nearest)
                turn = one.from_world[:3, :3].astype(np.float32)
                found = Met(found.along, one.numbers[found.face], found.share, found.normal @ turn)
                if met is None and found.along.shape == shape:
                    met = found
                else:
                    met = met or _nothing(shape)
                    met.put(where, found)
        return met or _nothing(shape)


def _nothing(shape: tuple[int, ...]) -> Met:
    return Met(
        np.full(shape, np.inf, np.float32),
        np.full(shape, -1, np.int32),
        np.zeros((*shape, 2), np.float32),
        np.zeros((*shape, 3), np.float32),
    )


_scenes: WeakKeyDictionary[Mesh, dict[int, _Scene]] = WeakKeyDictionary()


def _scene_of(mesh: Mesh, threads: int) -> _Scene:
    """The scene of a large mesh in its own frame, kept as long as the mesh is."""
    kept = _scenes.setdefault(mesh, {})
    if threads not in kept:
        kept[threads] = _Scene(mesh.vertices, mesh.faces, threads)
    return kept[threads]


def open3d() -> Any:
    """The library; raise what to install where it cannot be imported."""
    try:
        import open3d  # takes a second or more, which only those who cast rays shall wait
    except ImportError as told:
        raise RendererError(f"raycast needs Open3D, which can't be imported ({told}): pip install open3d-cpu") from told
    return open3d
