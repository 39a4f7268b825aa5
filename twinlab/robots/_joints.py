"""Joints that PyBullet can move: types, axes, limits, and which follow others."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from twinlab.errors import did_you_mean
from twinlab.robots._source import Source
from twinlab.robots._tree import FIXED, Tree
from twinlab.robots._weights import carried

_TYPES = ("revolute", "continuous", "prismatic", "fixed", "floating", "planar", "spherical")
_TRAVEL = 1.0  # of a sliding joint without limits, either way [m]
_SPEED = {"revolute": np.pi, "continuous": np.pi, "prismatic": 0.5}  # of joints that give none [rad/s or m/s]
_TIMES = 3.0  # a motor without effort lifts that many times what hangs on it, stretched out
_WEAKEST = 1.0  # but at least that [N m or N]
_GRAVITY = 9.81
_UNIT = 1e-6  # how far an axis may be from a length of 1


@dataclass(frozen=True)
class Mimic:
    """A joint that follows another: position = multiplier * leader + offset.

    Attributes:
        leader: the joint that it follows, which follows none itself.
        multiplier: how far it goes.
        offset: where it is when the leader is at zero [rad or m].
    """

    leader: str
    multiplier: float
    offset: float


@dataclass(frozen=True)
class Joint:
    """A joint that moves.

    Attributes:
        kind: "revolute", "continuous", "prismatic" or "spherical".
        parent, child: the links that it ties.
        low, high: its limits [rad or m]; None if it goes on without end.
        effort: highest torque or force [N m or N].
        velocity: highest speed [rad/s or m/s].
        assumed: which of "limits", "effort" and "velocity" the file does not give, so that they are defaults.
        mimic: whom it follows, None if it is free.
    """

    kind: str
    parent: str
    child: str
    low: float | None
    high: float | None
    effort: float
    velocity: float
    assumed: tuple[str, ...] = ()
    mimic: Mimic | None = None


def typed(tree: Tree, source: Source) -> None:
    """Check the types, origins and axes of all joints; what nothing drives is fixed.

    Raises:
        MeshError: a type is unknown, or an axis has no length.
    """
    for name, joint in tree.joints.items():
        kind, where = joint.get("type", ""), f"joint {name!r}"
        if kind not in _TYPES:
            raise source.wrong(
                f"has a joint {name!r} of type {kind!r}; wanted one of {_TYPES}.{did_you_mean(kind, _TYPES)}"
            )
        if kind in FIXED and kind != "fixed":
            source.note(f"{where} is {kind}, which nothing drives: taken as fixed")
            joint.set("type", "fixed")
        origin = joint.find("origin")
        for key in ("xyz", "rpy") if origin is not None else ():
            source.numbers(origin, key, "0 0 0", 3, where)  # type: ignore[arg-type]
        if kind not in (*FIXED, "spherical"):
            _axis(joint, where, source)
        dynamics = joint.find("dynamics")
        if dynamics is not None:
            _dynamics(joint, dynamics, where, source)


def limited(tree: Tree, source: Source) -> dict[str, Joint]:
    """The joints that move, with limits that PyBullet takes; links must have their masses.

    Raises:
        MeshError: a limit is no number, or a joint follows one that is not there, or itself.
    """
    mimics = _followers(tree, source)
    return {name: _limited(tree, name, mimics.get(name), source) for name in tree.joints if tree.moving(name)}


def geared(joints: Mapping[str, Joint], arm: Collection[str], source: Source) -> dict[str, Mimic]:
    """The joints that a gear shall lead after others; those that follow nobody in the physics are told.

    Args:
        joints: those that move.
        arm: those on the way to the tool.
        source: the file.
    """
    found = {}
    for name, joint in joints.items():
        if joint.mimic is None:
            continue
        leader, where = joints[joint.mimic.leader], f"joint {name!r} follows {joint.mimic.leader!r}"
        kinds = {joint.kind, leader.kind}
        if "spherical" in kinds or not joint.mimic.multiplier:
            why = "though one of them is a ball joint" if "spherical" in kinds else "by a multiplier of 0"
            source.note(f"{where} {why}: it hangs free")
        elif name in arm:
            source.note(f"{where}, but is on the way to the tool: it is driven like a joint that follows none")
        elif kinds == {"prismatic"} and joint.mimic == Mimic(joint.mimic.leader, 1.0, 0.0):
            source.note(f"{where} one to one, as fingers do: it is left to a gripper that drives both")
        else:
            found[name] = joint.mimic
    return found


def _followers(tree: Tree, source: Source) -> dict[str, Mimic]:
    """Which joints follow others, each with a leader that follows none."""
    given = {}
    for name, joint in tree.joints.items():
        mimic = joint.find("mimic")
        if mimic is not None and tree.moving(name):
            leader, where = mimic.get("joint", ""), f"joint {name!r}"
            if leader not in tree.joints or not tree.moving(leader):
                known = [one for one in tree.joints if tree.moving(one)]
                raise source.wrong(f"lets {where} follow {leader!r}, which is no joint that moves; there are {known}."
                                   + did_you_mean(leader, known))  # fmt: skip
            times, offset = (source.numbers(mimic, *one, 1, where)[0] for one in (("multiplier", "1"), ("offset", "0")))
            given[name] = Mimic(leader, times, offset)
    return {name: _resolved(name, given, source) for name in given}


def _resolved(name: str, given: Mapping[str, Mimic], source: Source) -> Mimic:
    found, seen = given[name], [name]
    while found.leader in given:
        seen.append(found.leader)
        if found.leader in seen[:-1]:
            raise source.wrong(f"lets the joints {seen} follow each other in a circle; one of them must lead")
        above = given[found.leader]
        found = Mimic(above.leader, found.multiplier * above.multiplier, found.multiplier * above.offset + found.offset)
    return found


def _axis(joint: Element, where: str, source: Source) -> None:
    element = joint.find("axis")
    if element is None:
        source.note(f"{where} has no <axis>: x is taken, as URDF says")
        element = SubElement(joint, "axis", xyz="1 0 0")
    axis = np.array(source.numbers(element, "xyz", "1 0 0", 3, where))
    length = float(np.linalg.norm(axis))
    if length < _UNIT:
        raise source.wrong(f"gives {where} the axis {element.get('xyz')!r}, which has no direction; correct it")
    if abs(length - 1) > _UNIT:
        element.set("xyz", " ".join(repr(x) for x in (axis / length).tolist()))
        if abs(length - 1) > 1e-3:
            source.note(f"{where} has an axis of length {length:.4g}: taken as its direction")


def _dynamics(joint: Element, dynamics: Element, where: str, source: Source) -> None:
    for key in ("damping", "friction"):
        source.numbers(dynamics, key, "0", 1, where)
    if dynamics.get("damping") is None and dynamics.get("friction") is None:
        joint.remove(dynamics)  # PyBullet refuses the whole file else


def _limited(tree: Tree, name: str, mimic: Mimic | None, source: Source) -> Joint:
    joint, where, child = tree.joints[name], f"joint {name!r}", tree.child[name]
    if joint.get("type") == "spherical":
        source.note(f"{where} is a ball joint, which no motor here drives")
        return Joint("spherical", tree.parent[name], child, None, None, 0.0, 0.0, (), mimic)
    limit = joint.find("limit")
    limit = SubElement(joint, "limit") if limit is None else limit
    low, high, assumed = _ends(joint, limit, where, source)
    kind = joint.get("type", "")
    unit, speed = ("N", "m/s") if kind == "prismatic" else ("N m", "rad/s")
    effort, velocity = (_positive(limit, key, where, source) for key in ("effort", "velocity"))
    if effort is None:
        mass, moment = carried(tree, child)
        effort = max(_WEAKEST, float(f"{_TIMES * _GRAVITY * (mass if kind == 'prismatic' else moment):.2g}"))
        assumed += ("effort",)
        source.note(f"{where} gives no effort: taken as {effort:g} {unit}, {_TIMES:g} times what it must hold at most")
        _set(limit, effort=effort)
    if velocity is None:
        velocity = _SPEED[kind]
        assumed += ("velocity",)
        source.note(f"{where} gives no velocity: taken as {velocity:.3g} {speed}")
        _set(limit, velocity=velocity)
    return Joint(kind, tree.parent[name], child, low, high, effort, velocity, assumed, mimic)


def _positive(limit: Element, key: str, where: str, source: Source) -> float | None:
    """An effort or a velocity, None if it is missing, 0 or infinite."""
    if limit.get(key, "").strip(" +.").lower() in ("", "inf", "infinity"):
        return None
    return abs(source.numbers(limit, key, "", 1, where)[0]) or None


def _ends(
    joint: Element, limit: Element, where: str, source: Source
) -> tuple[float | None, float | None, tuple[str, ...]]:
    """The lowest and the highest position of a joint, None without end, and "limits" if they are defaults."""
    kind, given = joint.get("type"), [key for key in ("lower", "upper") if limit.get(key) is not None]
    if kind == "continuous":
        for key in given:  # PyBullet would stop there
            limit.attrib.pop(key)
        if given:
            source.note(f"{where} is continuous, so its limits are left out")
        return None, None, ()
    low, high = (source.numbers(limit, key, "0", 1, where)[0] for key in ("lower", "upper"))
    none = "gives no limits" if not given else f"has its lower limit {low:g} above its upper one {high:g}"
    if given and low <= high:
        if len(given) < 2:  # one that is missing is 0 in URDF, but -1 in PyBullet
            _set(limit, lower=low, upper=high)
        return low, high, ()
    if kind == "revolute":
        joint.set("type", "continuous")
        for key in given:
            limit.attrib.pop(key)
        source.note(f"{where} {none}: taken as turning without end")
        return None, None, ("limits",)
    _set(limit, lower=-_TRAVEL, upper=_TRAVEL)
    source.note(f"{where} {none}: taken as {-_TRAVEL:g} to {_TRAVEL:g} m")
    return -_TRAVEL, _TRAVEL, ("limits",)


def _set(element: Element, **values: float) -> None:
    for key, value in values.items():
        element.set(key, repr(float(value)))
