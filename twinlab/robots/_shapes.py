"""Shapes of links: meshes that are there and that PyBullet can read, and sizes that are numbers."""

from copy import deepcopy
from pathlib import Path
from xml.etree.ElementTree import Element

from twinlab import meshes
from twinlab.errors import MeshError
from twinlab.robots._cache import kept
from twinlab.robots._moments import SIZES, excess, sizes
from twinlab.robots._source import Source, mesh_file

_HULL = 1.5  # volume of a hull over that of its mesh, above which it is told


def shaped(link: Element, source: Source) -> None:
    """Make all shapes of a link such that PyBullet reads them; meshes get whole paths.

    A visual whose mesh is missing is drawn as what collides; a missing mesh that collides is an error, because what
    touches must not be guessed.

    Raises:
        MeshError: a mesh is missing or broken, or a size is no number.
    """
    name = link.get("name")
    for element in _with_geometry(link, "collision", source):
        _shape(element, f"link {name!r}, collision", source)
    lost = False
    for element in _with_geometry(link, "visual", source):
        try:
            _shape(element, f"link {name!r}, visual", source)
        except MeshError as told:
            if link.find("collision") is None:
                raise
            source.note(f"link {name!r} is drawn as what collides of it: {told}")
            link.remove(element)
            lost = True
    if lost and link.find("visual") is None:
        for element in link.findall("collision"):
            drawn = deepcopy(element)
            drawn.tag = "visual"
            link.append(drawn)


def _with_geometry(link: Element, tag: str, source: Source) -> list[Element]:
    """The visuals or collisions of a link; those without any geometry or size are taken out."""
    for element in link.findall(tag):
        geometry = element.find("geometry")
        if geometry is None or len(geometry) == 0 or _sizeless(geometry[0]):
            source.note(f"link {link.get('name')!r} has a <{tag}> without a shape or size: it is left out")
            link.remove(element)
        material = element.find("material")
        if material is not None and not material.get("name"):
            material.set("name", "unnamed")  # PyBullet refuses the whole file else
    return link.findall(tag)


def _sizeless(shape: Element) -> bool:
    """Whether all sizes of a shape are 0."""
    parts = [part for key in SIZES.get(shape.tag, ()) for part in shape.get(key, "").split()]
    return bool(parts) and all(part.strip("0.") == "" for part in parts)


def _shape(element: Element, where: str, source: Source) -> None:
    shape = element.find("geometry")[0]  # type: ignore[index]
    origin = element.find("origin")
    for key in ("xyz", "rpy") if origin is not None else ():
        source.numbers(origin, key, "0 0 0", 3, where)  # type: ignore[arg-type]
    if shape.tag == "plane":
        source.numbers(shape, "normal", "0 0 1", 3, where)
    elif shape.tag == "mesh":
        _mesh(shape, where, source)
        if element.tag == "collision" and not element.get("concave"):
            _tell_hull(Path(shape.get("filename", "")), where, source)
    elif shape.tag in SIZES:
        if min(found := sizes(shape, where, source)) <= 0:
            raise source.wrong(f"gives a {shape.tag} of sizes {found} ({where}); wanted numbers above 0")
    else:
        raise source.wrong(f"has a shape <{shape.tag}> ({where}); wanted one of {[*SIZES, 'mesh', 'plane']}")


def _mesh(shape: Element, where: str, source: Source) -> None:
    scale = shape.get("scale", "1 1 1")
    if len(scale.split()) == 1:  # one number for all axes is not URDF, but seen often
        shape.set("scale", " ".join(scale.split() * 3))
    if 0 in source.numbers(shape, "scale", "1 1 1", 3, where):
        raise source.wrong(f"scales a mesh by {scale!r} ({where}); wanted numbers other than 0")
    shape.set("filename", str(usable(shape.get("filename", ""), where, source)))


def usable(uri: str, where: str, source: Source) -> Path:
    """The mesh that a robot file names, as a file that PyBullet reads.

    Args:
        uri: as the file writes it.
        where: what names it; it collides if that ends with "collision".
        source: the robot file.

    Raises:
        MeshError: it is missing, may not be read, or is broken.
    """
    path = mesh_file(uri, where, source)
    try:
        found = _readable(path, where.endswith("collision"))
    except MeshError as told:
        raise source.wrong(f"names a mesh that can't be used ({where}): {told}") from told
    if found != path and path.suffix.lower() != ".dae":
        source.note(f"{where}: PyBullet does not read {path.name!r}, it was converted to OBJ (without colours)")
    return found


def _tell_hull(path: Path, where: str, source: Source) -> None:
    try:
        times = excess(path)
    except MeshError as told:
        raise source.wrong(f"names a mesh that can't be used ({where}): {told}") from told
    if times > _HULL:
        source.note(
            f"{where}: {path.name!r} touches by its convex hull, whose volume is {times:.1f} times that of the mesh; "
            "give it several convex meshes instead where that matters"
        )


def _readable(path: Path, collides: bool) -> Path:
    """The file, or an OBJ of it where PyBullet can't read it.

    PyBullet takes ASCII STL for empty, without a word: nothing collides then. Of DAE it passes over polygons. What is
    drawn is read by `meshes`, so there only PLY must change, whose ending PyBullet refuses.
    """
    kind = path.suffix.lower()
    if kind == ".obj" or (kind == ".dae" and not collides) or (kind == ".stl" and _binary(path)):
        return path
    mesh = meshes.read(path)
    lines = [f"# {path.name}", *("v {!r} {!r} {!r}".format(*point) for point in mesh.vertices.tolist())]
    lines += ["f {} {} {}".format(*face) for face in (mesh.faces + 1).tolist()]
    return kept("\n".join(lines) + "\n", ".obj")


def _binary(path: Path) -> bool:
    """Whether an STL file is binary: its size is that of its number of triangles."""
    with path.open("rb") as file:
        count = int.from_bytes(file.read(84)[80:], "little")
    return count > 0 and path.stat().st_size == 84 + 50 * count
