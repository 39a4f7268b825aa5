"""Triangle meshes and solids: primitives, robot files, decimation within a stated error, a cache on disk."""

import functools
import hashlib
import os
import re
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import platformdirs
from scipy import sparse
from scipy.spatial import ConvexHull, QhullError

from twinlab.errors import MeshError
from twinlab.meshes._mesh import Mesh, made
from twinlab.meshes._reduced import decimated as decimated
from twinlab.meshes._reduced import distance as distance
from twinlab.meshes._reduced import laddered

FORMATS = (".obj", ".stl", ".ply", ".dae")
_RECIPE = 3  # of the disk cache: raise it whenever a file would give another mesh than before


@dataclass(frozen=True, eq=False)
class Solid:
    """A convex body: what PyBullet collides and what is drawn are the same shape.

    Attributes:
        form: "box", "cylinder" or "hull" (the convex hull of the mesh).
        size: box: edges x, y, z; cylinder: radius, height; hull: () [m].
        mesh: its surface, in the solid's own frame (origin at the centre).
    """

    form: Literal["box", "cylinder", "hull"]
    size: tuple[float, ...]
    mesh: Mesh


@functools.lru_cache(maxsize=1024)
def box(size: tuple[float, float, float]) -> Solid:
    """A box with edges x, y, z [m]."""
    x, y, z = _positive("box", size)
    corners = np.array([(i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]) * (x, y, z) / 2
    return Solid("box", (x, y, z), _hullmade(corners))


@functools.lru_cache(maxsize=1024)
def cylinder(radius: float, height: float, sides: int = 32) -> Solid:
    """A cylinder along z [m]; it is drawn as a prism of that many sides, which lies within it."""
    radius, height = _positive("cylinder", (radius, height))
    return Solid("cylinder", (radius, height), _hullmade(_ring(sides, radius, height)))


@functools.lru_cache(maxsize=1024)
def prism(sides: int, radius: float, height: float) -> Solid:
    """A regular prism along z, such as a hexagonal nut; `radius` reaches to its edges [m]."""
    radius, height = _positive("prism", (radius, height))
    return Solid("hull", (), _hullmade(_ring(sides, radius, height)))


def hull(points: np.ndarray) -> Solid:
    """The convex hull of points (n, 3) [m].

    Raises:
        MeshError: fewer than four points, or all in one plane.
    """
    return Solid("hull", (), _hullmade(points))


@functools.lru_cache(maxsize=1024)
def chipped(solid: Solid, share: float = 0.3) -> Solid:
    """The solid with the corner towards +x +y +z cut off by a plane.

    Args:
        solid: what to damage.
        share: how deep the cut goes, as a share of the way from that corner to the centre, in (0, 1).
    """
    if not 0 < share < 1:
        raise MeshError(f"chipped: share came as {share}; wanted a number between 0 and 1")
    points = solid.mesh.vertices.astype(float)
    normal = 1 / np.abs(points).max(axis=0)
    height = points @ normal
    level = height.max() * (1 - share)
    edges = solid.mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    a, b = edges[(height[edges[:, 0]] > level) & (height[edges[:, 1]] < level)].T
    along = (height[a] - level) / (height[a] - height[b])
    cut = points[a] + along[:, None] * (points[b] - points[a])
    return hull(np.concatenate([points[height <= level], cut]))


def _positive(form: str, sizes: tuple[float, ...]) -> tuple[float, ...]:
    if not all(np.isfinite(s) and s > 0 for s in sizes):
        raise MeshError(f"{form}: sizes came as {tuple(sizes)} m; wanted numbers above 0")
    return tuple(float(s) for s in sizes)


def _ring(sides: int, radius: float, height: float) -> np.ndarray:
    """The corners of a prism, (2 * sides, 3); an edge points along +x."""
    if sides < 3:
        raise MeshError(f"a prism came with {sides} sides; wanted 3 at least")
    angle = 2 * np.pi * np.arange(sides) / sides
    circle = np.column_stack([radius * np.cos(angle), radius * np.sin(angle), np.full(sides, height / 2)])
    return np.concatenate([circle, circle * (1, 1, -1)])


def _hullmade(points: np.ndarray) -> Mesh:
    points = np.unique(np.asarray(points, float), axis=0)
    try:
        found = ConvexHull(points)
    except (QhullError, ValueError) as told:
        raise MeshError(
            f"{len(points)} points have no hull with a volume; wanted four or more, not in one plane"
        ) from told
    faces = np.searchsorted(found.vertices[order := np.argsort(found.vertices)], found.simplices)
    vertices = points[found.vertices[order]]
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    inwards = (np.cross(b - a, c - a) * found.equations[:, :3]).sum(axis=1) < 0
    faces[inwards] = faces[inwards][:, ::-1]
    return made(vertices, faces)


def shading_normals(mesh: Mesh, crease: float = np.pi / 5) -> np.ndarray:
    """Unit normals at the corners of each face, (face, 3, 3), that make round things look round and edges sharp.

    The normal of a corner is the mean, weighted by area, of the faces around its vertex that are turned from its own
    face by less than `crease` [rad].
    """
    _, place = np.unique(mesh.vertices, axis=0, return_inverse=True)
    corners = place.reshape(-1)[mesh.faces]
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces].astype(float), 1, 0)
    across = np.cross(b - a, c - a)
    unit = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-30)
    number = np.arange(corners.size)
    at = sparse.csr_matrix((np.ones(corners.size), (number, corners.reshape(-1))))
    around = (at @ at.T.tocsr()).tocoo()  # pairs of corners that share a vertex
    one, other = around.row // 3, around.col // 3
    near = (unit[one] * unit[other]).sum(axis=1) > np.cos(crease)
    chosen = sparse.csr_matrix((near.astype(float), (around.row, other)), shape=(corners.size, len(mesh.faces)))
    total = chosen @ across
    total[(total == 0).all(axis=1)] = np.array([0, 0, 1])  # a face without area: nobody sees it
    return (total / np.linalg.norm(total, axis=1, keepdims=True)).reshape(-1, 3, 3)


def read(path: str | Path) -> Mesh:
    """The triangles of an OBJ, STL, PLY or DAE file, as one mesh.

    Lengths are metres, or what a DAE file says; its up axis is left out, as in PyBullet and ROS. Colours are the
    materials' diffuse ones (an OBJ file's MTL `Kd`; textures are left out), or a PLY file's.

    Raises:
        MeshError: the file is missing, of another format, broken or without triangles.
    """
    import trimesh  # takes half a second, and a mesh in the cache does not need it

    path = Path(path)
    if not path.is_file():
        raise MeshError(f"no mesh file {str(path)!r}; put it there, or correct the path")
    if path.suffix.lower() not in FORMATS:
        raise MeshError(f"{str(path)!r}: no reader for {path.suffix!r}; convert it to one of {', '.join(FORMATS)}")
    try:
        scene = trimesh.load_scene(path, process=False)
        parts = [p for p in scene.dump() if isinstance(p, trimesh.Trimesh) and len(p.faces)]
    except Exception as told:  # each of trimesh's readers raises its own kinds
        raise MeshError(f"{str(path)!r} can't be read as a mesh ({told}); export it again") from told
    if not parts:
        raise MeshError(f"{str(path)!r} holds no triangles; export it again as a triangle mesh")
    vertices = np.concatenate([p.vertices for p in parts])
    first = np.cumsum([0] + [len(p.vertices) for p in parts[:-1]])
    faces = np.concatenate([p.faces + n for p, n in zip(parts, first, strict=True)])
    if not np.isfinite(vertices).all() or faces.min() < 0 or faces.max() >= len(vertices):
        raise MeshError(f"{str(path)!r} names vertices that it lacks or that are not finite; export it again")
    coloured = path.suffix.lower() != ".obj" or _materials(path)
    colours = [c for p in parts if (c := _face_colours(p)) is not None] if coloured else []
    return made(vertices * _unit(path), faces, np.concatenate(colours) if len(colours) == len(parts) else None)


def _face_colours(part: Any) -> np.ndarray | None:
    """One colour a face (face, 3) in 0–1, None if the file gave none."""
    if part.visual.kind == "texture":
        return np.tile(part.visual.material.main_color[:3] / 255, (len(part.faces), 1))
    return None if part.visual.kind is None else part.visual.face_colors[:, :3] / 255


def _materials(path: Path) -> list[Path]:
    """The MTL files that an OBJ file names and that are there."""
    if path.suffix.lower() != ".obj":
        return []
    lines = re.findall(rb"^\s*mtllib\s+(.+?)\s*$", path.read_bytes(), re.MULTILINE)
    named = [path.parent / line.decode(errors="replace") for line in lines]
    return [file for file in named if file.is_file()]


def _unit(path: Path) -> float:
    """The length of a file's unit [m]: what a DAE file says; other formats have none and count in metres."""
    if path.suffix.lower() != ".dae":
        return 1.0
    found = re.search(r"<unit[^>]*\bmeter\s*=\s*[\"']([^\"']+)", path.read_text(encoding="utf-8", errors="replace"))
    return float(found[1]) if found else 1.0


def cached(path: str | Path, faces: int = 200, tolerance: float = 0.002) -> Mesh:
    """`decimated(read(path), faces, tolerance)` with its coarser meshes, kept on disk and in this process.

    What is kept is found again by the content of the file and of its materials, never by its name or date. The same
    content and settings give the same object. The folder is the user's cache, or what `TWINLAB_CACHE` names.

    Raises:
        MeshError: the file is missing, broken or of another format.
    """
    path = Path(path)
    if not path.is_file():
        raise MeshError(f"no mesh file {str(path)!r}; put it there, or correct the path")
    content = hashlib.sha256(f"{_RECIPE} {path.suffix} {faces} {tolerance!r}".encode())
    digest, materials = _content(*_stamp(path))
    for part in (digest, *(_content(*_stamp(file))[0] for file in materials)):
        content.update(part)
    return _kept(content.hexdigest()[:32], path, faces, tolerance)


def _stamp(file: Path) -> tuple[Path, int, int]:
    state = file.stat()
    return file, state.st_mtime_ns, state.st_size


@functools.lru_cache(maxsize=4096)
def _content(file: Path, changed: int, size: int) -> tuple[bytes, tuple[Path, ...]]:
    """A file's digest and its materials; read again when its date or size is another, as at each reset of a line."""
    return hashlib.sha256(file.read_bytes()).digest(), tuple(_materials(file))


def cache_folder() -> Path:
    """Where decimated meshes are kept: what `TWINLAB_CACHE` names, else the user's cache folder."""
    return Path(os.environ.get("TWINLAB_CACHE") or platformdirs.user_cache_dir("twinlab")) / "meshes"


_in_process: dict[str, Mesh] = {}


def _kept(key: str, path: Path, faces: int, tolerance: float) -> Mesh:
    if key not in _in_process:
        file = cache_folder() / f"{key}.npz"
        found = _load(file)
        if found is None:
            found = laddered(read(path), faces, tolerance)
            _save(file, found)
        _in_process[key] = found
    return _in_process[key]


def _load(file: Path) -> Mesh | None:
    """What was kept, None if there is nothing or it is damaged (it is made again then)."""
    try:
        with np.load(file, allow_pickle=False) as kept:
            meshes = [
                made(kept[f"vertices{i}"], kept[f"faces{i}"], kept.get(f"colours{i}"))
                for i in range(len(kept["errors"]))
            ]
            coarser = tuple(zip(kept["errors"][1:].tolist(), meshes[1:], strict=True))
            return Mesh(meshes[0].vertices, meshes[0].faces, meshes[0].colours, coarser)
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile):
        return None


def _save(file: Path, mesh: Mesh) -> None:
    arrays: dict[str, Any] = {"errors": np.array([0.0, *(error for error, _ in mesh.coarser)])}
    for i, one in enumerate((mesh, *(coarser for _, coarser in mesh.coarser))):
        arrays |= {f"vertices{i}": one.vertices, f"faces{i}": one.faces}
        arrays |= {} if one.colours is None else {f"colours{i}": one.colours}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as part:
            np.savez_compressed(part, **arrays)
        os.replace(part.name, file)
    except OSError:
        return  # a folder that can't be written to costs time, not the work
