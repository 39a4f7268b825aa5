"""Triangle meshes and solids: primitives, robot files, decimation within a stated error, a cache on disk."""

import functools
import hashlib
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from scipy import sparse

from twinlab.errors import MeshError
from twinlab.files import whole
from twinlab.meshes import _convex
from twinlab.meshes._convex import Bulk as Bulk
from twinlab.meshes._convex import bulk as bulk
from twinlab.meshes._mesh import Mesh, made
from twinlab.meshes._reduced import decimated as decimated
from twinlab.meshes._reduced import distance as distance
from twinlab.meshes._reduced import laddered
from twinlab.meshes._solids import Solid as Solid
from twinlab.meshes._solids import box as box
from twinlab.meshes._solids import chipped as chipped
from twinlab.meshes._solids import cut as cut
from twinlab.meshes._solids import cylinder as cylinder
from twinlab.meshes._solids import hull as hull
from twinlab.meshes._solids import prism as prism
from twinlab.meshes._solids import surface as surface

FORMATS = (".obj", ".stl", ".ply", ".dae")
_RECIPE = 5  # of drawn meshes in the disk cache: raise it whenever a file would give another mesh than before
_HULLS = 3  # the same of hulls


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


def scaled(mesh: Mesh, factors: float | tuple[float, float, float]) -> Mesh:
    """The mesh and its coarser ones stretched along their axes; the same object if all factors are 1."""
    if factors in (1, (1, 1, 1)):
        return mesh
    most = float(np.abs(factors).max())
    coarser = tuple((error * most, scaled(one, factors)) for error, one in mesh.coarser)
    one = made(mesh.vertices * np.asarray(factors), mesh.faces, mesh.colours)
    return Mesh(one.vertices, one.faces, one.colours, coarser)


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


def cached(path: str | Path, faces: int = 200, tolerance: float = 0.002, unit: float = 1.0) -> Mesh:
    """`decimated(read(path), faces, tolerance)` with its coarser meshes, kept on disk and in this process.

    What is kept is found again by the content of the file and of its materials, never by its name or date. The same
    content and settings give the same object. The folder is the user's cache, or what `TWINLAB_CACHE` names.

    Args:
        path: the file.
        faces: how many triangles are wanted.
        tolerance: largest distance from the original [m].
        unit: length of the file's unit [m].

    Raises:
        MeshError: the file is missing, broken or of another format.
    """
    scale = "" if unit == 1 else f" {unit!r}"
    key = _key(Path(path), f"{_RECIPE} {Path(path).suffix} {faces} {tolerance!r}{scale}")
    return _kept(key, Path(path), faces, tolerance, unit)


def _key(path: Path, settings: str) -> str:
    """What a result is kept under: a digest of settings, the file and its materials."""
    if not path.is_file():
        raise MeshError(f"no mesh file {str(path)!r}; put it there, or correct the path")
    content = hashlib.sha256(settings.encode())
    digest, materials = _content(*_stamp(path))
    for part in (digest, *(_content(*_stamp(file))[0] for file in materials)):
        content.update(part)
    return content.hexdigest()[:32]


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


def _kept(key: str, path: Path, faces: int, tolerance: float, unit: float) -> Mesh:
    if key not in _in_process:
        file = cache_folder() / f"{key}.npz"
        found = _load(file)
        if found is None:
            found = laddered(scaled(read(path), unit), faces, tolerance)
            _save(file, found)
        _in_process[key] = found
    return _in_process[key]


def _load(file: Path) -> Mesh | None:
    """What was kept, None if there is nothing or it is damaged (it is made again then)."""
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as kept:
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
    _write(file, arrays)


def _write(file: Path, arrays: dict[str, Any]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole(file) as draft, draft.open("wb") as opened:
            np.savez_compressed(opened, **arrays)
    except OSError:
        return  # a folder that can't be written to costs time, not the work


@dataclass(frozen=True, eq=False)
class Convex:
    """What stands for a mesh file in contacts, and what is within it.

    Attributes:
        solids: convex hulls, in the file's frame.
        bulk: the volume within the mesh, or within its convex hull if the mesh is not closed.
        excess: volumes of the hulls together over that volume, less 1; where hulls overlap it counts twice.
        lacking: how far the mesh's surface lies outside the hulls at most [m].
        standing: how far the hulls stand out of the mesh at most [m].
    """

    solids: tuple[Solid, ...]
    bulk: Bulk
    excess: float
    lacking: float
    standing: float


_convexes: dict[str, Convex] = {}


def convex(path: str | Path, unit: float = 1.0, threshold: float = 0.05, corners: int = 64) -> Convex:
    """Convex hulls for a mesh file by CoACD, kept on disk and in this process as `cached` keeps meshes.

    Args:
        path: the file.
        unit: length of its unit [m].
        threshold: largest concavity of a hull, in halves of the longest edge of the mesh, 0.01–1; at 1 one hull does.
        corners: how many corners a hull has at most.

    Raises:
        MeshError: the file is missing, broken, of another format or flat.
    """
    path = Path(path)
    key = _key(path, f"hulls {_HULLS} {path.suffix} {unit!r} {threshold!r} {corners}")
    if key not in _convexes:
        file = cache_folder() / f"{key}.npz"
        arrays = _arrays(file)
        if arrays is None:
            arrays = _decomposed(scaled(read(path), unit), threshold, corners, str(path))
            _write(file, arrays)
        solids = tuple(hull(points) for name, points in arrays.items() if name.startswith("hull"))
        within = Bulk(float(arrays["volume"]), arrays["centre"], arrays["inertia"], bool(arrays["closed"]))
        excess = sum(bulk(one.mesh).volume for one in solids) / within.volume - 1
        _convexes[key] = Convex(solids, within, excess, *arrays["gaps"].tolist())
    return _convexes[key]


def _decomposed(full: Mesh, threshold: float, corners: int, where: str) -> dict[str, Any]:
    """What is kept of a decomposition."""
    whole, within = bulk(hull(full.vertices).mesh), bulk(full)
    if within.volume < 1e-4 * whole.volume:
        raise MeshError(f"{where!r} encloses next to no volume; export it as a closed surface with outward normals")
    found = _convex.hulls(full, threshold) if threshold < 1 else (full.vertices.astype(float),)
    points = [_convex.thinned(one, corners) for one in found]
    gaps = _convex.misfit(full, [hull(one).mesh for one in points], within.closed)
    measured = {"volume": within.volume, "centre": within.centre, "inertia": within.inertia, "closed": within.closed}
    return {**measured, "gaps": np.array(gaps), **{f"hull{i}": one for i, one in enumerate(points)}}


def _arrays(file: Path) -> dict[str, Any] | None:
    """What was kept of a decomposition, None if there is nothing or it is damaged."""
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as kept:
            return dict(kept)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
