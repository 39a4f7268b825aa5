"""PyBullet's bodies: solids into collision shapes, a loaded robot's meshes into visuals, how fast a link moves."""

import functools
import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linprog
from scipy.spatial import ConvexHull, HalfspaceIntersection

from twinlab import frames, meshes
from twinlab.errors import WorldError
from twinlab.files import whole
from twinlab.robots import quiet
from twinlab.snapshot import Piece

with quiet():  # PyBullet tells its build time on stderr, which notebooks would show
    import pybullet


_FINE = 0.0004  # the margin that hulls get: less and heaps come to rest late, more and edges are rounder [m]
_LEAST = 0.00005  # and at least this; what is too thin for it stands out by as much [m]
_BALL = 0.5  # share of the radius of the largest ball in a hull that may become margin: the rest is flat faces
_MOST = 16  # boxes, cylinders and files of hulls in one body; PyBullet leaves out what comes after them


def collision(name: str, pieces: Sequence[Piece], client: int) -> int:
    """PyBullet's number of the collision shape of a body of convex pieces; surfaces that are only drawn are left out.

    PyBullet lays a margin of 1 mm around the points of hulls, which therefore float 0.99 mm above what they lie on
    (the margin of boxes and cylinders lies within them). So hulls get a margin of 0.4 mm, less if the thinnest hull of
    the body asks for it, and their faces are moved inwards by as much: flat faces are where they belong to 0.01 mm,
    edges are rounded by the margin.

    Args:
        name: of the body, for messages.
        pieces: convex solids and surfaces.
        client: PyBullet's client.

    Raises:
        WorldError: nothing that collides, or more than 16 boxes and cylinders.
    """
    convex = [p for p in pieces if p.solid.form != "surface"]
    if not convex:
        raise WorldError(f"{name}: nothing of it collides; add a box, a cylinder or a hull")
    hulls = [p for p in convex if p.solid.form == "hull"]
    if not hulls:
        return _form(convex[0], client) if len(convex) == 1 else _several(name, convex, "", client)
    margin = max(_LEAST, min(_FINE, *(_BALL * _ball(p.solid)[1] for p in hulls)))
    file = str(_file(hulls, margin))
    if len(hulls) < len(convex):
        number = _several(name, [p for p in convex if p.solid.form != "hull"], file, client)
    else:
        number = pybullet.createCollisionShape(pybullet.GEOM_MESH, fileName=file, physicsClientId=client)
    _rounded(number, margin, client)
    return number


def speed(number: int, link: int, client: int) -> np.ndarray:
    """Linear [m/s] and angular [rad/s] velocity (6,) of the frame of a body (-1) or a link, in the world's axes."""
    if link < 0:
        linear, angular = pybullet.getBaseVelocity(number, client)
        return np.array([*linear, *angular])
    state = pybullet.getLinkState(number, link, True, physicsClientId=client)
    a, b, c = state[7]
    x, y, z = (frame - middle for frame, middle in zip(state[4], state[0], strict=True))
    turning = (b * z - c * y, c * x - a * z, a * y - b * x)  # PyBullet tells the velocity of the centre of mass
    return np.array([*(v + w for v, w in zip(state[6], turning, strict=True)), a, b, c])


def _form(piece: Piece, client: int) -> int:
    solid = piece.solid
    at: dict[str, Any] = {"collisionFramePosition": piece.pose[:3], "collisionFrameOrientation": piece.pose[3:]}
    if solid.form == "box":
        half = [edge / 2 for edge in solid.size]
        return pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=half, physicsClientId=client, **at)
    at |= dict(zip(("radius", "height"), solid.size, strict=True))
    return pybullet.createCollisionShape(pybullet.GEOM_CYLINDER, physicsClientId=client, **at)


def _several(name: str, forms: Sequence[Piece], file: str, client: int) -> int:
    """Boxes and cylinders, and a file of hulls if there are some: arrays of shapes take no points."""
    if len(forms) + bool(file) > _MOST:
        raise WorldError(
            f"{name}: {len(forms)} boxes and cylinders in one body{' beside hulls' * bool(file)}; PyBullet takes "
            f"{_MOST - bool(file)}. Give some a body of their own"
        )
    if not file.isascii():
        raise WorldError(f"{name}: PyBullet can't read {file!r}; set TWINLAB_CACHE to a folder whose name is ASCII")
    kinds = {"box": pybullet.GEOM_BOX, "cylinder": pybullet.GEOM_CYLINDER}
    rows = [(kinds[p.solid.form], p.solid.size, "", p.pose.tolist()) for p in forms]
    if file:
        rows += [(pybullet.GEOM_MESH, (0.0, 0.0, 0.0), file, frames.IDENTITY.tolist())]
    types, sizes, files, poses = zip(*rows, strict=True)
    return pybullet.createCollisionShapeArray(
        shapeTypes=list(types),
        halfExtents=[[edge / 2 for edge in (*size, 0.0)[:3]] for size in sizes],
        radii=[size[0] for size in sizes],
        lengths=[size[1] for size in sizes],
        fileNames=list(files),
        collisionFramePositions=[pose[:3] for pose in poses],
        collisionFrameOrientations=[pose[3:] for pose in poses],
        physicsClientId=client,
    )


def _rounded(number: int, margin: float, client: int) -> None:
    """Give a collision shape a margin: PyBullet takes it for bodies only, so one is made of it for a moment."""
    body = pybullet.createMultiBody(0, number, physicsClientId=client)
    pybullet.changeDynamics(body, -1, collisionMargin=margin, physicsClientId=client)
    pybullet.removeBody(body, physicsClientId=client)


@functools.lru_cache(maxsize=4096)
def _ball(solid: meshes.Solid) -> tuple[tuple[float, ...], float]:
    """Centre and radius of the largest ball within a hull: the Chebyshev centre, a linear programme [m]."""
    planes = ConvexHull(solid.mesh.vertices.astype(float)).equations
    lhs = np.column_stack([planes[:, :3], np.ones(len(planes))])
    found = linprog([0, 0, 0, -1.0], A_ub=lhs, b_ub=-planes[:, 3], bounds=[(None, None)] * 3 + [(0, None)])
    return tuple(found.x[:3].tolist()), float(found.x[3])


@functools.lru_cache(maxsize=4096)
def _shrunk(solid: meshes.Solid, margin: float) -> np.ndarray:
    """A hull's corners (n, 3) after its faces moved inwards by the margin, or by what it has room for [m]."""
    centre, radius = _ball(solid)
    planes = np.unique(ConvexHull(solid.mesh.vertices.astype(float)).equations.round(9), axis=0)
    planes[:, 3] += min(margin, _BALL * radius)
    corners: np.ndarray = HalfspaceIntersection(planes, np.array(centre)).intersections
    return np.unique(corners.round(8), axis=0)


_files: dict[tuple[Any, ...], Path] = {}


@functools.cache
def _own() -> tempfile.TemporaryDirectory[str]:
    """A folder of this process, for hulls where the cache can't be written to."""
    return tempfile.TemporaryDirectory(prefix="twinlab_")


def _file(pieces: Sequence[Piece], margin: float) -> Path:
    """An OBJ file with a group for each hull, which PyBullet makes one body of; kept by its content.

    Points that are given to PyBullet without a file leak 1.7 KiB for each shape; a file leaks nothing.
    """
    key = (margin, *((p.solid, *p.pose.tolist()) for p in pieces))
    if key not in _files or not _files[key].is_file():
        text = _grouped([frames.apply(p.pose, _shrunk(p.solid, margin)) for p in pieces])
        name = f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.obj"
        if (file := _written(meshes.cache_folder(), name, text)) is None:
            file = Path(_own().name, name)
            file.write_text(text, encoding="ascii")
        _files[key] = file
    return _files[key]


def _grouped(hulls: Sequence[np.ndarray]) -> str:
    lines, first = [], 1
    for i, points in enumerate(hulls):
        lines += [f"o hull{i}", *("v {:.8f} {:.8f} {:.8f}".format(*point) for point in points.tolist())]
        lines += ["f {} {} {}".format(*face) for face in (ConvexHull(points).simplices + first).tolist()]
        first += len(points)
    return "\n".join(lines) + "\n"


def _written(folder: Path, name: str, text: str) -> Path | None:
    """The file in the folder, None if it can't be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole(folder / name) as draft:
            draft.write_text(text, encoding="ascii")
    except OSError:
        return None
    return folder / name
