"""What links would weigh and turn like by their shapes: volumes, centres and moments of inertia."""

import functools
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from twinlab import frames, meshes
from twinlab.errors import MeshError
from twinlab.robots._cache import digest, remembered
from twinlab.robots._source import Source

_RECIPE = 1  # of what is kept of meshes: raise it whenever a file would give something else than before
_NOTHING = 1e-4  # share of its hull below which a mesh encloses next to nothing
SIZES = {
    "box": {"size": 3},
    "sphere": {"radius": 1},
    "cylinder": {"radius": 1, "length": 1},
    "capsule": {"radius": 1, "length": 1},
}
Moments = tuple[float, np.ndarray, np.ndarray]  # volume [m^3], centre (3,) [m], inertia about it at density 1 (3, 3)


def moments(link: Element, source: Source) -> Moments:
    """Volume, centre and inertia of what collides of a link, or of what is drawn if nothing does.

    Where shapes overlap both count.
    """
    elements = link.findall("collision") or link.findall("visual")
    parts = [_moments(element, f"link {link.get('name')!r}", source) for element in elements]
    volume = sum(part[0] for part in parts)
    if volume <= 0:
        return 0.0, np.zeros(3), np.zeros((3, 3))
    centre = np.sum([v * at for v, at, _ in parts], axis=0) / volume
    return volume, centre, np.sum([inertia + _steiner(v, at - centre) for v, at, inertia in parts], axis=0)


def solid(form: str, sizes: list[float]) -> tuple[float, list[float]]:
    """Volume [m^3] and moments of inertia about the centre at density 1 (3,), of a form along z.

    Args:
        form: "box", "sphere", "cylinder" or "capsule".
        sizes: box: edges; sphere: radius; cylinder and capsule: radius, length of the straight part [m].
    """
    if form == "box":
        volume = sizes[0] * sizes[1] * sizes[2]
        x, y, z = (edge**2 * volume / 12 for edge in sizes)
        return volume, [y + z, x + z, x + y]
    radius, length = sizes[0], (sizes[1] if len(sizes) > 1 else 0.0)
    ball = 0.0 if form == "cylinder" else 4 / 3 * np.pi * radius**3
    rod = np.pi * radius**2 * length
    across = rod * (radius**2 / 4 + length**2 / 12) + ball * (0.4 * radius**2 + length**2 / 4 + 0.375 * length * radius)
    return ball + rod, [across, across, rod * radius**2 / 2 + ball * 0.4 * radius**2]


def excess(path: Path) -> float:
    """How often a mesh's volume goes into that of its convex hull; 0 if it is not closed, flat or of several parts."""
    return float(_measured(path)["excess"])


def sizes(shape: Element, where: str, source: Source) -> list[float]:
    """The sizes of a box, sphere, cylinder or capsule, as `solid` takes them [m]."""
    return [n for key, count in SIZES[shape.tag].items() for n in source.numbers(shape, key, "", count, where)]


def _moments(element: Element, where: str, source: Source) -> Moments:
    """Moments of one shape in its link's frame."""
    shape, origin = element.find("geometry")[0], element.find("origin")  # type: ignore[index]
    at = frames.IDENTITY
    if origin is not None:
        xyz, rpy = (source.numbers(origin, key, "0 0 0", 3, where) for key in ("xyz", "rpy"))
        at = frames.from_euler(xyz, (rpy[0], rpy[1], rpy[2]))
    volume, centre, inertia = _own_moments(shape, where, source)
    turn = frames.matrix(at)[:3, :3]
    return volume, frames.apply(at, centre[None])[0], turn @ inertia @ turn.T


def _own_moments(shape: Element, where: str, source: Source) -> Moments:
    """Moments of a shape in its own frame."""
    if shape.tag == "mesh":
        found = _measured(Path(shape.get("filename", "")))
        scale = np.array(source.numbers(shape, "scale", "1 1 1", 3, where))
        times, inertia = abs(float(scale.prod())), np.array(found["inertia"])
        second = (np.trace(inertia) / 2 * np.eye(3) - inertia) * np.outer(scale, scale) * times
        return found["volume"] * times, np.array(found["centre"]) * scale, np.trace(second) * np.eye(3) - second
    if shape.tag == "plane":
        return 0.0, np.zeros(3), np.zeros((3, 3))
    volume, diagonal = solid(shape.tag, sizes(shape, where, source))
    return volume, np.zeros(3), np.diag(diagonal)


def _measured(path: Path) -> dict[str, Any]:
    state = path.stat()
    return _kept(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=4096)
def _kept(path: Path, changed: int, size: int) -> dict[str, Any]:
    """What is measured of a mesh file; again when its date or size is another."""
    key = digest(f"moments {_RECIPE} {path.suffix.lower()}", path.read_bytes())
    found: dict[str, Any] = remembered(key, lambda: _measure(path))
    return found


def _measure(path: Path) -> dict[str, Any]:
    mesh = meshes.read(path)
    try:
        whole = meshes.bulk(meshes.hull(mesh.vertices).mesh)
    except MeshError:  # flat
        return {"volume": 0.0, "centre": [0, 0, 0], "inertia": np.zeros((3, 3)).tolist(), "excess": 0.0}
    with np.errstate(divide="ignore", invalid="ignore"):  # two sides of a sheet enclose nothing
        within = meshes.bulk(mesh)
    used = within if within.volume > _NOTHING * whole.volume else whole
    lines = path.read_bytes().splitlines() if path.suffix.lower() == ".obj" else []
    parts = sum(line.startswith((b"o ", b"g ")) for line in lines)  # PyBullet makes a hull of each
    return {
        "volume": used.volume,
        "centre": used.centre.tolist(),
        "inertia": used.inertia.tolist(),
        "excess": whole.volume / used.volume if used.closed and parts < 2 else 0.0,
    }


def _steiner(mass: float, offset: np.ndarray) -> np.ndarray:
    """What a mass adds to the inertia about a point that is offset from its centre (3, 3)."""
    return np.asarray(mass * (offset @ offset * np.eye(3) - np.outer(offset, offset)))
