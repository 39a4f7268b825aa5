"""What a scene screws to a robot: solids with a frame at their far end, as links of the file."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from twinlab import frames
from twinlab.errors import did_you_mean
from twinlab.robots._moments import solid
from twinlab.robots._source import Source
from twinlab.robots._tree import Tree

_UPRIGHT = 1 - 1e-12  # sine of the pitch above which a pose looks straight up or down


@dataclass(frozen=True, eq=False)
class Fixture:
    """A solid that is fixed to a link of a robot.

    Attributes:
        name: of its link; `<name>_tip` is a frame at its far end.
        link: what it is fixed to.
        pose: of its foot in that link's frame; it stands along z (7,).
        form: "cylinder" or "box".
        size: width, depth and length (3,) [m]; a cylinder's diameter is its width.
        mass: [kg].
        colour: sRGB in 0–1.
    """

    name: str
    link: str
    pose: np.ndarray
    form: str
    size: tuple[float, float, float]
    mass: float
    colour: tuple[float, float, float]

    @property
    def tip(self) -> str:
        """The frame at its far end."""
        return f"{self.name}_tip"


def mounted(robot: Element, tree: Tree, fixtures: Sequence[Fixture], source: Source) -> None:
    """Add fixtures to a robot, after all that it has.

    Raises:
        MeshError: a link of that name is there already, or the one that carries it is not, or its size is not above 0.
    """
    links = list(tree.links)
    taken = {*tree.links, *tree.joints}
    for one in fixtures:
        if one.link not in links:
            raise source.wrong(
                f"has no link {one.link!r} to mount {one.name!r} on; there are {links}.{did_you_mean(one.link, links)}"
            )
        if double := taken & {one.name, one.tip}:
            raise source.wrong(f"has a link or joint {double.pop()!r} already; call the mount {one.name!r} differently")
        if one.form not in ("box", "cylinder") or min(one.size) <= 0 or one.mass <= 0:
            raise source.wrong(
                f"shall carry {one.name!r}, a {one.form!r} of {one.size} m and {one.mass} kg; wanted a box or cylinder "
                "with sizes and a mass above 0"
            )
        _add(robot, one)
        links += [one.name, one.tip]
        taken |= {one.name, one.tip}


def roll_pitch_yaw(pose: np.ndarray) -> tuple[float, float, float]:
    """The angles about the fixed axes x, y and z [rad] that a pose (7,) is turned by, as URDF writes them."""
    turn = frames.matrix(pose)[:3, :3]
    pitch = math.asin(max(-1.0, min(1.0, -turn[2, 0])))
    if abs(turn[2, 0]) > _UPRIGHT:  # roll and yaw turn about the same axis: all is told as yaw
        return 0.0, pitch, math.atan2(-turn[0, 1], turn[1, 1])
    return math.atan2(turn[2, 1], turn[2, 2]), pitch, math.atan2(turn[1, 0], turn[0, 0])


def _add(robot: Element, fixture: Fixture) -> None:
    link = SubElement(robot, "link", name=fixture.name)
    middle = _text([0, 0, fixture.size[2] / 2])
    for tag in ("visual", "collision"):
        element = SubElement(link, tag)
        SubElement(element, "origin", xyz=middle, rpy="0 0 0")
        _shape(SubElement(element, "geometry"), fixture)
        if tag == "visual":
            material = SubElement(element, "material", name=f"{fixture.name}_colour")
            SubElement(material, "color", rgba=_text([*fixture.colour, 1]))
    width, depth, length = fixture.size
    volume, (xx, yy, zz) = solid(fixture.form, [width, depth, length] if fixture.form == "box" else [width / 2, length])
    density = fixture.mass / volume
    _inertial(link, middle, fixture.mass, (xx * density, yy * density, zz * density))
    _joint(robot, fixture.link, fixture.name, _text(fixture.pose[:3]), _text(roll_pitch_yaw(fixture.pose)))
    _inertial(SubElement(robot, "link", name=fixture.tip), "0 0 0", 0.0, (0.0, 0.0, 0.0))
    _joint(robot, fixture.name, fixture.tip, _text([0, 0, length]), "0 0 0")


def _shape(geometry: Element, fixture: Fixture) -> None:
    width, _, length = fixture.size
    if fixture.form == "box":
        SubElement(geometry, "box", size=_text(fixture.size))
    else:
        SubElement(geometry, "cylinder", radius=repr(width / 2), length=repr(length))


def _inertial(link: Element, at: str, mass: float, moments: tuple[float, float, float]) -> None:
    inertial = SubElement(link, "inertial")
    SubElement(inertial, "origin", xyz=at, rpy="0 0 0")
    SubElement(inertial, "mass", value=repr(float(mass)))
    xx, yy, zz = (repr(float(value)) for value in moments)
    SubElement(inertial, "inertia", ixx=xx, ixy="0", ixz="0", iyy=yy, iyz="0", izz=zz)


def _joint(robot: Element, parent: str, child: str, xyz: str, rpy: str) -> None:
    joint = SubElement(robot, "joint", name=child, type="fixed")
    SubElement(joint, "origin", xyz=xyz, rpy=rpy)
    SubElement(joint, "parent", link=parent)
    SubElement(joint, "child", link=child)


def _text(numbers: Sequence[float] | np.ndarray) -> str:
    return " ".join(repr(float(number)) for number in numbers)
