"""PyBullet's bodies: solids into collision shapes, a loaded robot's meshes into visuals, how fast a link moves."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from twinlab import meshes
from twinlab.errors import WorldError
from twinlab.robots import quiet
from twinlab.snapshot import Piece, Visual

with quiet():  # PyBullet tells its build time on stderr, which notebooks would show
    import pybullet


def collision(name: str, pieces: Sequence[Piece], client: int) -> int:
    """PyBullet's number of the collision shape of a body of convex pieces.

    Raises:
        WorldError: several pieces that are not all boxes.
    """
    return _solid(pieces[0], client) if len(pieces) == 1 else _boxes(name, pieces, client)


def visuals(number: int, body: int, first: int, faces: int, client: int) -> list[Visual]:
    """What is drawn of a loaded robot.

    Args:
        number: PyBullet's number of it.
        body: its place in `Snapshot.bodies`.
        first: the place of its base in `Snapshot.links`.
        faces: to how many triangles each mesh is reduced at most, within the tolerance of `meshes.cached`.
        client: PyBullet's client.
    """
    found = []
    for shape in pybullet.getVisualShapeData(number, physicsClientId=client):
        link, form, scale, file, position, turn, colour = shape[1:8]
        if form != pybullet.GEOM_MESH:
            continue
        mesh = meshes.cached(file.decode(), faces=faces)
        if scale != (1.0, 1.0, 1.0):
            mesh = _scaled(mesh, scale)
        found.append(Visual(first + 1 + link, body, mesh, np.array([*position, *turn]), colour[:3]))
    return found


def _scaled(mesh: meshes.Mesh, scale: tuple[float, float, float]) -> meshes.Mesh:
    """The mesh and its coarser ones stretched along their axes."""
    most = max(abs(s) for s in scale)
    coarser = tuple((error * most, _scaled(one, scale)) for error, one in mesh.coarser)
    return meshes.Mesh(mesh.vertices * np.array(scale, np.float32), mesh.faces, mesh.colours, coarser)


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


def _solid(piece: Piece, client: int) -> int:
    solid = piece.solid
    at: dict[str, Any] = {"collisionFramePosition": piece.pose[:3], "collisionFrameOrientation": piece.pose[3:]}
    if solid.form == "box":
        half = [edge / 2 for edge in solid.size]
        return pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=half, physicsClientId=client, **at)
    if solid.form == "cylinder":
        at |= dict(zip(("radius", "height"), solid.size, strict=True))
        return pybullet.createCollisionShape(pybullet.GEOM_CYLINDER, physicsClientId=client, **at)
    points = np.unique(solid.mesh.vertices, axis=0).tolist()
    return pybullet.createCollisionShape(pybullet.GEOM_MESH, vertices=points, physicsClientId=client, **at)


def _boxes(name: str, pieces: Sequence[Piece], client: int) -> int:
    if any(p.solid.form != "box" for p in pieces):
        raise WorldError(f"{name}: several pieces in one body are boxes only; give each other solid a body")
    return pybullet.createCollisionShapeArray(
        shapeTypes=[pybullet.GEOM_BOX] * len(pieces),
        halfExtents=[[edge / 2 for edge in p.solid.size] for p in pieces],
        collisionFramePositions=[p.pose[:3].tolist() for p in pieces],
        collisionFrameOrientations=[p.pose[3:].tolist() for p in pieces],
        physicsClientId=client,
    )
