"""What links weigh and turn like, where a robot file does not say so or says what cannot be."""

from collections import Counter
from typing import Literal
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from twinlab.robots._moments import moments
from twinlab.robots._source import Source
from twinlab.robots._tree import Tree

Inertia = Literal["file", "shapes"]
DENSITY = 1000.0  # of what has no mass; 51 links of arms and dogs in pybullet_data: 1140, half 750 to 2360 [kg/m^3]
_LEAST = 0.001  # mass of what moves and carries nothing: PyBullet cannot drive a joint that moves no mass [kg]
_GYRATION = 0.03  # its radius of gyration [m]
_SAME = 3  # links of different masses that share one inertia: nobody measured it
_PRODUCTS = ("ixx", "ixy", "ixz", "iyy", "iyz", "izz")
_ROUNDING = 1e-9


def weighed(tree: Tree, source: Source) -> Inertia:
    """Give each link a mass and an inertia, and say where inertias should come from.

    PyBullet gives a link without `<inertial>` 1 kg and 1 kg m^2. Here it weighs nothing, as URDF says, if what it is
    fixed to has a mass; if not, it weighs what its shape would at water's density. Links of mass 0 on fixed joints do
    not disturb PyBullet: in an arm of two links that holds 3 kg over four of them, motor torques are right to 1e-4 N m.

    PyBullet reads inertias from the file only if it is told to; otherwise it takes the box around a link's collision
    shapes, and next to nothing where there are none. The file's are worth more, unless most of them are missing,
    impossible or the same for links of different masses, as the Panda's in pybullet_data.

    Returns:
        "file" if PyBullet should take the inertias in the file, in which single bad ones are replaced by those of the
        shapes; "shapes" if most are bad and PyBullet should take its own.
    """
    bare = [name for name in tree.links if not _given(tree.links[name], name, source)]
    _fill(tree, bare, source)
    bad = _doubtful(tree, source)
    massive = [name for name in tree.links if _mass(tree.links[name]) > 0 and name != tree.root]
    kind: Inertia = "shapes" if 2 * len(bad) > len(massive) else "file"
    if kind == "shapes":
        source.note(
            f"{len(bad)} of {len(massive)} links have no inertia, one that no body has, or that of links of other "
            "masses: all are taken from boxes around what collides"
        )
    for name, link in tree.links.items():
        _settle(link, bad.get(name, ""), kind, source)
    _driven(tree, source)
    return kind


def _fill(tree: Tree, bare: list[str], source: Source) -> None:
    """Let links without `<inertial>` weigh nothing or what their shapes do."""
    light = []
    for first in (tree.root, *(tree.child[joint] for joint in tree.joints if tree.moving(joint))):
        group = tree.rigid(first)
        alone = not any(_mass(tree.links[name]) > 0 for name in group)
        for name in (one for one in group if one in bare):
            if not (alone and _by_shape(tree, name, source)):
                light.append(name)
    for name in light:
        inertial = SubElement(tree.links[name], "inertial")
        SubElement(inertial, "mass", value="0.0")
        _put(inertial, np.zeros((3, 3)))
    if told := [name for name in bare if name in light and name != tree.root]:
        source.note(f"{_links(told)} without <inertial>: without mass, as URDF says (PyBullet would take 1 kg each)")


def _given(link: Element, name: str, source: Source) -> bool:
    """Whether a link says what it weighs; what says nothing that is usable is taken out."""
    inertial = link.find("inertial")
    if inertial is None:
        return False
    mass = inertial.find("mass")
    value = -1.0 if mass is None else source.numbers(mass, "value", "-1", 1, f"link {name!r}")[0]
    origin = inertial.find("origin")
    for key in ("xyz", "rpy") if origin is not None else ():
        source.numbers(origin, key, "0 0 0", 3, f"link {name!r}, inertial")  # type: ignore[arg-type]
    if value < 0:
        source.note(f"link {name!r} has an <inertial> without a mass of 0 kg or more: taken as if it had none")
        link.remove(inertial)
    return value >= 0


def _by_shape(tree: Tree, name: str, source: Source) -> bool:
    """Let a link weigh what its shape does; whether it has one that encloses something."""
    volume, centre, inertia = moments(tree.links[name], source)
    if volume > 0:
        inertial = SubElement(tree.links[name], "inertial")
        SubElement(inertial, "origin", xyz=" ".join(repr(x) for x in centre.tolist()), rpy="0 0 0")
        SubElement(inertial, "mass", value=repr(float(DENSITY * volume)))
        _put(inertial, DENSITY * inertia)
        if name != tree.root:
            told = f"taken as {DENSITY * volume:.3g} kg, {DENSITY:.0f} kg/m^3"
            source.note(f"link {name!r} has no <inertial>, nor has what it is fixed to: {told}")
    return volume > 0


def _doubtful(tree: Tree, source: Source) -> dict[str, str]:
    """The links with a mass whose inertia is missing, impossible or also that of others, and what is wrong with it."""
    found = {name: _tensor(link, source) for name, link in tree.links.items() if _mass(link) > 0}
    found.pop(tree.root, None)
    keys = {name: (tensor.tobytes(), _mass(tree.links[name])) for name, tensor in found.items() if tensor is not None}
    shared = Counter(tensor for tensor, _ in set(keys.values()))
    bad = {name: "the same inertia as others" for name, (tensor, _) in keys.items() if shared[tensor] >= _SAME}
    for name, tensor in found.items():
        if tensor is None:
            bad[name] = "no inertia"
        elif not _possible(tensor):
            bad[name] = "an inertia that no body has (a moment below 0 or above the sum of the others)"
    return bad


def _possible(tensor: np.ndarray) -> bool:
    """Whether a body can turn like that: each principal moment is above 0 and none above the sum of the others."""
    a, b, c = np.linalg.eigvalsh(tensor)
    return bool(b > 0 and a >= -_ROUNDING * c and c <= (a + b) * (1 + _ROUNDING))


def _tensor(link: Element, source: Source) -> np.ndarray | None:
    """The inertia (3, 3) that a link gives, None if it gives none."""
    element = link.find("inertial/inertia")
    if element is None or any(element.get(key) is None for key in ("ixx", "iyy", "izz")):
        return None
    where = f"link {link.get('name')!r}"
    xx, xy, xz, yy, yz, zz = (source.numbers(element, key, "0", 1, where)[0] for key in _PRODUCTS)
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def _settle(link: Element, bad: str, kind: Inertia, source: Source) -> None:
    """Leave an inertia as it is, or replace it by one that PyBullet can use."""
    inertial, name, mass = link.find("inertial"), link.get("name"), _mass(link)
    assert inertial is not None  # all have one now
    tensor = _tensor(link, source)
    if tensor is None or (mass == 0 and kind == "file"):
        _put(inertial, np.zeros((3, 3)))
    if bad and kind == "file":
        volume, _, inertia = moments(link, source)
        radius = (3 * mass / (4 * np.pi * DENSITY)) ** (1 / 3)
        origin = inertial.find("origin")
        if origin is not None:
            origin.set("rpy", "0 0 0")  # what is taken is told along the link's axes
        _put(inertial, inertia * mass / volume if volume > 0 else 0.4 * mass * radius**2 * np.eye(3))
        by = "that of its shape" if volume > 0 else f"that of a ball of {DENSITY:.0f} kg/m^3"
        source.note(f"link {name!r} has {bad}: {by} is taken")
    elif kind == "file" and tensor is not None and mass > 0:
        a, b, c = np.linalg.eigvalsh(tensor)
        if c > (a + b) * (1 - _ROUNDING):  # PyBullet would take a thin plate's for impossible, by rounding
            _put(inertial, tensor + 2 * _ROUNDING * c * np.eye(3))


def _driven(tree: Tree, source: Source) -> None:
    """Let each joint that moves carry some mass."""
    for joint in reversed(list(tree.joints)):  # later joints first, which usually hang on earlier ones
        child = tree.child[joint]
        if tree.moving(joint) and carried(tree, child)[0] == 0:
            inertial = tree.links[child].find("inertial")
            mass = inertial.find("mass") if inertial is not None else None
            assert inertial is not None and mass is not None
            mass.set("value", repr(_LEAST))
            _put(inertial, _LEAST * _GYRATION**2 * np.eye(3))
            source.note(f"joint {joint!r} moves nothing that has a mass: its link {child!r} is taken as 1 g")


def carried(tree: Tree, link: str) -> tuple[float, float]:
    """What a link and all that hang on it weigh [kg], and the most that is about its frame in any pose [kg m]."""
    inertial = tree.links[link].find("inertial")
    mass = _mass(tree.links[link])
    total, moment = mass, mass * _length(inertial)
    for joint in tree.below(link):
        beyond, about = carried(tree, tree.child[joint])
        total += beyond
        moment += about + beyond * _length(tree.joints[joint])
    return total, moment


def _length(element: Element | None) -> float:
    """How far an element's origin is away [m]."""
    origin = None if element is None else element.find("origin")
    text = "0 0 0" if origin is None else origin.get("xyz", "0 0 0")
    return float(np.linalg.norm([float(part) for part in text.split()]))


def _mass(link: Element) -> float:
    element = link.find("inertial/mass")
    return 0.0 if element is None else float(element.get("value", "0"))


def _put(inertial: Element, tensor: np.ndarray) -> None:
    """Write an inertia (3, 3) [kg m^2]."""
    element = inertial.find("inertia")
    if element is None:
        element = SubElement(inertial, "inertia")
    for key, value in zip(_PRODUCTS, tensor[np.triu_indices(3)].tolist(), strict=True):
        element.set(key, repr(value))


def _links(names: list[str]) -> str:
    """Links by name, the first of many."""
    shown = ", ".join(repr(name) for name in names[:6])
    return f"links {shown} and {len(names) - 6} more" if len(names) > 6 else f"link{'s' * (len(names) > 1)} {shown}"
