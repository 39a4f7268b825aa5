"""SDF and MJCF files, made ready for the process that tries them: whole paths of meshes, nothing left out silently."""

from collections.abc import Callable
from pathlib import Path
from xml.etree.ElementTree import Element, indent, tostring

import numpy as np

from twinlab import frames
from twinlab.robots._cache import kept
from twinlab.robots._read import Format
from twinlab.robots._shapes import usable
from twinlab.robots._source import Source

Translate = Callable[[str, Path, Format, str], Path]  # body, file, its format, which model of it → a URDF file

_DEFAULTS = {"type", "size", "axis", "range", "mesh", "fromto", "pos", "quat"}
_TURNS = {"euler", "xyaxes", "zaxis"}
_LEFT = ("actuator", "tendon", "equality", "sensor")


def staged(format: Format, root: Element, source: Source) -> Path:
    """A copy in the cache whose meshes have whole paths.

    Raises:
        MeshError: a mesh is missing or may not be read, or the file includes others, which PyBullet passes over.
    """
    if root.find(".//include") is not None:
        raise source.wrong("includes other files, which PyBullet does not read; write them into this one")
    if format == "sdf":
        _sdf(root, source)
    else:
        _mjcf(root, source)
    indent(root)
    return kept(tostring(root, encoding="unicode"), ".sdf" if format == "sdf" else ".xml")


def _sdf(root: Element, source: Source) -> None:
    for link in root.iter("link"):
        for tag in ("collision", "visual"):
            for uri in (one for shape in link.findall(tag) for one in shape.iterfind("geometry/mesh/uri")):
                uri.text = str(usable(uri.text or "", f"link {link.get('name')!r}, {tag}", source))


def _mjcf(root: Element, source: Source) -> None:
    _readable(root, source)
    folder = "".join(one.attrib.pop("meshdir", "") for one in root.iter("compiler"))
    for mesh in root.iterfind("asset/mesh"):
        file = mesh.get("file", "")
        mesh.set("name", mesh.get("name") or Path(file).stem)  # so in MJCF; PyBullet passes it over else
        near = file if Path(file).is_absolute() else str(Path(folder) / file)
        mesh.set("file", str(usable(near, f"mesh {mesh.get('name')!r}, collision", source)))
    for number, body in enumerate(root.iter("body")):
        body.set("name", body.get("name") or f"body{number}")  # by it the process that tries it knows what it weighs
    for geom in root.iter("geom"):
        if geom.get("fromto"):
            _stand(geom, source)


def _readable(root: Element, source: Source) -> None:
    """Refuse what PyBullet would pass over so that the robot is another, tell what else it passes over."""
    for element in (one for default in root.iter("default") for one in default.iter()):
        if passed := _DEFAULTS & set(element.keys()):
            raise source.wrong(
                f"gives {sorted(passed)} of <{element.tag}> by <default>, which PyBullet does not read; write them "
                "where they belong, or convert the file to URDF"
            )
    for element in root.iter():
        if passed := _TURNS & set(element.keys()):
            raise source.wrong(
                f"turns <{element.tag} name={element.get('name')!r}> by {sorted(passed)}, which PyBullet does not "
                "read; write quat instead, or convert the file to URDF"
            )
    if any({"mass", "density"} & set(geom.keys()) for geom in root.iter("geom")):
        source.note("masses and densities of geoms are not read: bodies without <inertial> get 1000 kg/m^3")
    left = [tag for tag in _LEFT if root.find(tag) is not None]
    if left:
        source.note(f"of MJCF PyBullet reads bodies, joints and shapes; left out: {', '.join(left)}")


def _stand(geom: Element, source: Source) -> None:
    """Write a capsule or cylinder by its middle and turn: PyBullet dies when it is asked for one between two points."""
    where = f"geom {geom.get('name')!r}"
    ends = np.array(source.numbers(geom, "fromto", "", 6, where)).reshape(2, 3)
    given = len(geom.get("size", "").split())  # a second one counts for nothing between two ends
    radius = source.numbers(geom, "size", "", max(given, 1), where)[0]
    along, length = ends[1] - ends[0], float(np.linalg.norm(ends[1] - ends[0]))
    if length == 0:
        raise source.wrong(f"gives {where} two ends that are the same; wanted a length above 0")
    across = np.cross([0, 0, 1], along / length)
    angle = float(np.arctan2(np.linalg.norm(across), along[2] / length))
    axis = across / np.linalg.norm(across) if across.any() else np.array([1.0, 0, 0])
    x, y, z, w = frames.from_rotvec((0, 0, 0), angle * axis)[3:].tolist()
    geom.attrib.pop("fromto")
    middle = " ".join(repr(value) for value in ends.mean(axis=0).tolist())
    geom.attrib |= {"pos": middle, "quat": f"{w!r} {x!r} {y!r} {z!r}", "size": f"{radius!r} {length / 2!r}"}
