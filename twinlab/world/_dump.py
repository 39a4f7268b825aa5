"""A body of PyBullet as URDF."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from twinlab import frames
from twinlab.robots import quiet, roll_pitch_yaw

with quiet():  # PyBullet tells its build time on stderr, which notebooks would show
    import pybullet

_TYPES = {
    pybullet.JOINT_REVOLUTE: "revolute",
    pybullet.JOINT_PRISMATIC: "prismatic",
    pybullet.JOINT_SPHERICAL: "spherical",
    pybullet.JOINT_PLANAR: "planar",
    pybullet.JOINT_FIXED: "fixed",
}
_PRODUCTS = ("ixx", "ixy", "ixz", "iyy", "iyz", "izz")


@dataclass(frozen=True)
class Model:
    """A body as URDF.

    Attributes:
        name: of the body.
        base: name of its base link.
        urdf: the text.
        joints: names of the joints that turn or slide.
        moving: whether any joint moves.
        links: PyBullet's body and link → name in the URDF.
        renamed: PyBullet's body and joint → name in the URDF.
    """

    name: str
    base: str
    urdf: str
    joints: tuple[str, ...]
    moving: bool
    links: Mapping[tuple[int, int], str]
    renamed: Mapping[tuple[int, int], str]


def dumped(body: int, tensors: Mapping[str, Sequence[float]], client: int) -> Model:
    """A body as URDF; each link's frame stands where its joint does.

    Args:
        body: PyBullet's number of it.
        tensors: link → ixx, ixy, ixz, iyy, iyz, izz in the frame of its centre of mass, where they are known better.
        client: PyBullet's client.
    """
    infos = [pybullet.getJointInfo(body, i, client) for i in range(pybullet.getNumJoints(body, client))]
    base, name = (part.decode() for part in pybullet.getBodyInfo(body, client))
    links = _unique([base or "base", *(info[12].decode() or "link" for info in infos)])
    joints = _unique([info[1].decode() or "joint" for info in infos])
    centres = _centres(body, infos, client)
    places = [_base_frame(body, centres[0], client), *(_pivot(info, centres) for info in infos)]
    robot = Element("robot", name=name or "robot")
    for i, link in enumerate(links):
        element = SubElement(robot, "link", name=link)
        centre = frames.compose(frames.inverse(places[i]), centres[i])
        _inertial(element, body, i - 1, centre, tensors.get(link), client)
        _shapes(element, body, i - 1, centre, client)
    for i, info in enumerate(infos):
        _joint(robot, info, joints[i], links, centres, places)
    indent(robot)
    turning = (pybullet.JOINT_REVOLUTE, pybullet.JOINT_PRISMATIC)
    return Model(
        name=name or base,
        base=links[0],
        urdf=tostring(robot, encoding="unicode"),
        joints=tuple(joint for joint, info in zip(joints, infos, strict=True) if info[2] in turning),
        moving=any(info[2] != pybullet.JOINT_FIXED for info in infos),
        links={(body, i): link for i, link in enumerate(links[1:])},
        renamed={(body, i): joint for i, joint in enumerate(joints)},
    )


def _unique(names: Sequence[str]) -> list[str]:
    """The names, each with a number if it came before."""
    out: list[str] = []
    for name in names:
        tried = (name if not n else f"{name}_{n}" for n in range(len(names) + 1))
        out.append(next(one for one in tried if one not in out))
    return out


def _centres(body: int, infos: Sequence[Any], client: int) -> list[np.ndarray]:
    """Centres of mass of base and links in the world (7,), all joints at zero."""
    for info in infos:
        if info[2] in (pybullet.JOINT_REVOLUTE, pybullet.JOINT_PRISMATIC):
            pybullet.resetJointState(body, info[0], 0.0, physicsClientId=client)
    position, turn = pybullet.getBasePositionAndOrientation(body, client)
    states = [
        pybullet.getLinkState(body, i, computeForwardKinematics=True, physicsClientId=client) for i in range(len(infos))
    ]
    return [np.array([*position, *turn]), *(np.array([*state[0], *state[1]]) for state in states)]


def _base_frame(body: int, centre: np.ndarray, client: int) -> np.ndarray:
    info = pybullet.getDynamicsInfo(body, -1, client)
    return frames.compose(centre, frames.inverse(np.array([*info[3], *info[4]])))


def _pivot(info: Any, centres: Sequence[np.ndarray]) -> np.ndarray:
    """Where a joint stands in the world (7,), turned as its link's centre of mass."""
    joint = frames.apply(centres[info[16] + 1], np.array([info[14]]))[0]
    return np.concatenate([joint, centres[info[0] + 1][3:]])


def _inertial(
    link: Element, body: int, index: int, centre: np.ndarray, tensor: Sequence[float] | None, client: int
) -> None:
    info = pybullet.getDynamicsInfo(body, index, client)
    x, y, z = info[2]
    element = SubElement(link, "inertial")
    _origin(element, centre)
    SubElement(element, "mass", value=repr(info[0]))
    products = dict(zip(_PRODUCTS, tensor or (x, 0.0, 0.0, y, 0.0, z), strict=True))
    SubElement(element, "inertia", {key: repr(float(value)) for key, value in products.items()})


def _shapes(link: Element, body: int, index: int, centre: np.ndarray, client: int) -> None:
    """What collides, whose poses PyBullet gives from the centre of mass, and what is drawn, from the link's frame."""
    info = pybullet.getDynamicsInfo(body, index, client)
    frame = frames.compose(centre, frames.inverse(np.array([*info[3], *info[4]])))
    for shape in pybullet.getCollisionShapeData(body, index, client):
        _shape(SubElement(link, "collision"), shape[2:5], frames.compose(centre, np.array([*shape[5], *shape[6]])))
    for shape in pybullet.getVisualShapeData(body, physicsClientId=client):
        if shape[1] == index:
            element = SubElement(link, "visual")
            _shape(element, shape[2:5], frames.compose(frame, np.array([*shape[5], *shape[6]])))
            colour = SubElement(element, "material", name=f"colour_{len(link)}_{link.get('name')}")
            SubElement(colour, "color", rgba=_text(shape[7]))


def _shape(element: Element, shape: Sequence[Any], at: np.ndarray) -> None:
    """A shape of PyBullet's kind, sizes and file."""
    kind, sizes, file = shape
    _origin(element, at)
    geometry = SubElement(element, "geometry")
    if kind == pybullet.GEOM_MESH:
        SubElement(geometry, "mesh", filename=file.decode(), scale=_text(sizes))
    elif kind == pybullet.GEOM_BOX:
        SubElement(geometry, "box", size=_text(sizes))
    elif kind == pybullet.GEOM_SPHERE:
        SubElement(geometry, "sphere", radius=repr(sizes[0]))
    elif kind == pybullet.GEOM_PLANE:
        SubElement(geometry, "plane", normal=_text(sizes))
    else:
        form = "capsule" if kind == pybullet.GEOM_CAPSULE else "cylinder"
        SubElement(geometry, form, length=repr(sizes[0]), radius=repr(sizes[1]))


def _joint(
    robot: Element,
    info: Any,
    name: str,
    links: Sequence[str],
    centres: Sequence[np.ndarray],
    places: Sequence[np.ndarray],
) -> None:
    parent, child = info[16] + 1, info[0] + 1
    low, high = info[8:10]
    endless = info[2] == pybullet.JOINT_REVOLUTE and low > high
    joint = SubElement(robot, "joint", name=name, type="continuous" if endless else _TYPES[info[2]])
    SubElement(joint, "parent", link=links[parent])
    SubElement(joint, "child", link=links[child])
    _origin(joint, frames.compose(frames.inverse(places[parent]), places[child]))
    if info[2] in (pybullet.JOINT_REVOLUTE, pybullet.JOINT_PRISMATIC):
        SubElement(joint, "axis", xyz=_text(info[13]))  # PyBullet gives it in the axes of the centre of mass
        limit = SubElement(joint, "limit", effort=repr(info[10]), velocity=repr(info[11]))
        if low <= high:
            limit.attrib |= {"lower": repr(low), "upper": repr(high)}
        SubElement(joint, "dynamics", damping=repr(info[6]), friction=repr(info[7]))


def _origin(element: Element, at: np.ndarray) -> None:
    SubElement(element, "origin", xyz=_text(at[:3]), rpy=_text(roll_pitch_yaw(at)))


def _text(numbers: Sequence[float] | np.ndarray) -> str:
    return " ".join(repr(float(number)) for number in numbers)
