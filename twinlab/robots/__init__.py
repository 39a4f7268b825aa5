"""Robot files: any URDF, xacro, SDF or MJCF into one that PyBullet loads as it was meant, and what was wrong with it.

A file is read, checked and written anew into the cache, and PyBullet only ever sees that copy: meshes by whole paths,
a mass and an inertia for each link, limits for each joint. Numbers that are right stay as they are written, so that a
good file moves to the bit as before. What cannot be guessed safely (a mesh that collides, an axis, a second root) is an
error that says where; what can is a default that is told in `Prepared.notes`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree.ElementTree import Element, indent, parse, tostring

from twinlab.errors import MeshError
from twinlab.robots._cache import digest as digest
from twinlab.robots._cache import kept as kept
from twinlab.robots._cache import remembered as remembered
from twinlab.robots._fixtures import Fixture as Fixture
from twinlab.robots._fixtures import mounted
from twinlab.robots._fixtures import roll_pitch_yaw as roll_pitch_yaw
from twinlab.robots._foreign import Translate, staged
from twinlab.robots._joints import Joint as Joint
from twinlab.robots._joints import Mimic as Mimic
from twinlab.robots._joints import geared, limited, typed
from twinlab.robots._quiet import quiet as quiet
from twinlab.robots._read import Format as Format
from twinlab.robots._read import read
from twinlab.robots._shapes import shaped
from twinlab.robots._source import Source
from twinlab.robots._source import locate as locate
from twinlab.robots._tree import tree
from twinlab.robots._weights import Inertia, carried, weighed

_PARTS = ("link", "joint", "material")  # of a URDF file; what is for other programs is left out


@dataclass(frozen=True)
class Prepared:
    """A robot file that PyBullet loads as it was meant.

    Attributes:
        path: the URDF file to load, in the cache.
        format: what it was made of; xacro counts as "urdf".
        notes: what was wrong and which default was taken, a sentence each.
        inertia: where PyBullet should take inertias from: from the "file" (URDF_USE_INERTIA_FROM_FILE), or, if those in
            it are placeholders, from the boxes around collision "shapes", as it does by itself.
        mass: of all links but the root [kg].
        root: the link that hangs on none.
        links: names of all links.
        tips: the links that carry no other.
        joints: name → each joint that moves.
        followers: the joints that a gear leads after others; the rest of `mimics` is told in the notes.
        arm: the joints that lead to the tool, base first, without those that follow others: a guess.
        tool: the link whose frame is the tool: a guess.
    """

    path: Path
    format: Format
    notes: tuple[str, ...]
    inertia: Inertia
    mass: float
    root: str
    links: tuple[str, ...]
    tips: tuple[str, ...]
    joints: Mapping[str, Joint]
    followers: Mapping[str, Mimic]
    arm: tuple[str, ...]
    tool: str

    @property
    def mimics(self) -> dict[str, Mimic]:
        """The joints that follow others."""
        return {name: joint.mimic for name, joint in self.joints.items() if joint.mimic}


_Stamps = tuple[tuple[Path, int, int], ...]
_in_process: dict[tuple[object, ...], tuple[_Stamps, Prepared]] = {}


def prepare(
    name: str,
    file: str,
    roots: Sequence[Path],
    fixtures: Sequence[Fixture] = (),
    arguments: Mapping[str, str] | None = None,
    model: str = "",
    translate: Translate | None = None,
) -> Prepared:
    """Make a robot file loadable.

    Again, with the files as they were, it costs a look at their dates (less than a millisecond).

    Args:
        name: the body that is being built, for messages.
        file: a path below one of the roots, or a whole one that lies in one of them.
        roots: folders below which files may be read; nothing outside of them is, also not by `..`, links or xacro.
        fixtures: what is mounted on its links.
        arguments: of a xacro file, name → value.
        model: which model of an SDF or MJCF file; "" for the only one that has joints.
        translate: what makes a URDF of SDF and MJCF, as only the physics can; without it these are refused.

    Raises:
        MeshError: the file or a mesh is missing or lies elsewhere, or it is no robot that can be simulated.
    """
    given = tuple(sorted((arguments or {}).items()))
    mounts = tuple((f.name, f.link, *f.pose.tolist(), f.form, f.size, f.mass, f.colour) for f in fixtures)
    key = (name, file, tuple(roots), mounts, given, model)
    if key in _in_process:
        stamps, prepared = _in_process[key]
        if prepared.path.is_file() and stamps == _stamps(one[0] for one in stamps):
            return prepared
    try:
        source = Source(name, locate(file, roots), tuple(roots))
    except MeshError as told:
        raise MeshError(f"{name}: {told}") from told
    prepared = _prepared(source, fixtures, dict(given), model, translate)
    _in_process[key] = _stamps(source.files), prepared
    return prepared


def _stamps(files: Iterable[Path]) -> _Stamps:
    """Date and size of files; nothing of one that is gone."""
    return tuple((file, *_state(file)) for file in dict.fromkeys(files))


def _state(file: Path) -> tuple[int, int]:
    try:
        state = file.stat()
    except OSError:
        return 0, -1
    return state.st_mtime_ns, state.st_size


def _prepared(
    source: Source,
    fixtures: Sequence[Fixture],
    arguments: Mapping[str, str],
    model: str,
    translate: Translate | None,
) -> Prepared:
    format, robot = read(source, arguments)
    if format != "urdf":
        if translate is None:
            raise source.wrong(f"is {format.upper()}; convert it to URDF, or load it by a World, which can")
        copy = staged(format, robot, source)
        urdf = translate(source.name, copy, format, model)
        source = replace(source, roots=(*source.roots, copy.parent))  # converted meshes lie beside it
        robot = parse(urdf).getroot()
    elif model:
        raise source.wrong(f"is URDF, which holds one robot, but came with model={model!r}; leave that out")
    _trim(robot, source)
    found = tree(robot, source)
    for link in found.links.values():
        shaped(link, source)
    typed(found, source)
    mounted(robot, found, fixtures, source)
    found = tree(robot, source)
    inertia = weighed(found, source)
    joints = limited(found, source)
    arm, tool = found.arm([one.tip for one in fixtures])
    followers = geared(joints, arm, source)
    mass = carried(found, found.root)[0] - carried(replace(found, parent={}), found.root)[0]
    indent(robot)
    return Prepared(
        path=kept(tostring(robot, encoding="unicode"), ".urdf"),
        format=format,
        notes=tuple(source.notes),
        inertia=inertia,
        mass=mass,
        root=found.root,
        links=tuple(found.links),
        tips=found.tips(),
        joints=joints,
        followers=followers,
        arm=tuple(joint for joint in arm if not joints[joint].mimic),
        tool=tool,
    )


def _trim(robot: Element, source: Source) -> None:
    """Leave out what is for other programs, and textures, which PyBullet would read from anywhere."""
    if robot.find("deformable") is not None or robot.find("reduced_deformable") is not None:
        raise source.wrong("is a deformable body, not a robot; wanted links and joints")
    if not robot.get("name"):
        robot.set("name", source.path.stem)
    for element in list(robot):
        if element.tag not in _PARTS:
            robot.remove(element)
    for material in robot.iter("material"):
        for texture in material.findall("texture"):
            material.remove(texture)
