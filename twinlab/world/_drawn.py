"""What is drawn of a loaded robot: its meshes, reduced, and its boxes, cylinders, spheres and capsules."""

import functools

import numpy as np

from twinlab import meshes
from twinlab.meshes import Mesh
from twinlab.robots import quiet
from twinlab.snapshot import Visual

with quiet():  # PyBullet tells its build time on stderr, which notebooks would show
    import pybullet

_ROUND = 24  # corners of a drawn circle


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
        link, form, sizes, file, position, turn, colour = shape[1:8]
        mesh = _mesh(file.decode(), sizes, faces) if form == pybullet.GEOM_MESH else _primitive(form, sizes)
        if mesh is not None:
            found.append(Visual(first + 1 + link, body, mesh, np.array([*position, *turn]), colour[:3]))
    return found


def _mesh(file: str, scale: tuple[float, float, float], faces: int) -> Mesh:
    mesh = meshes.cached(file, faces=faces)
    return mesh if scale == (1.0, 1.0, 1.0) else meshes.scaled(mesh, scale)


@functools.lru_cache(maxsize=256)
def _primitive(form: int, sizes: tuple[float, float, float]) -> Mesh | None:
    """The surface of a form by PyBullet's lengths [m]: a box's edges, a cylinder's or capsule's length and radius."""
    if form == pybullet.GEOM_BOX:
        return meshes.box(sizes).mesh
    if form == pybullet.GEOM_CYLINDER:
        return meshes.cylinder(sizes[1], sizes[0]).mesh
    if form == pybullet.GEOM_SPHERE:
        return meshes.hull(_ball(sizes[0])).mesh
    if form == pybullet.GEOM_CAPSULE:
        half = np.array([0, 0, sizes[0] / 2])
        return meshes.hull(np.concatenate([_ball(sizes[1]) + half, _ball(sizes[1]) - half])).mesh
    return None


def _ball(radius: float) -> np.ndarray:
    """Points of a sphere on circles of latitude (point, 3) [m]."""
    height, turn = np.meshgrid(
        np.linspace(-np.pi / 2, np.pi / 2, _ROUND // 2 + 1), np.arange(_ROUND) * 2 * np.pi / _ROUND
    )
    flat = np.cos(height)
    return radius * np.stack([flat * np.cos(turn), flat * np.sin(turn), np.sin(height)], axis=-1).reshape(-1, 3)
