"""Makes the meshes of the scenes' parts: `python scenes/meshes/make.py` writes them beside this file, in millimetres.

Each is one closed surface, so that its volume is known: rings of as many corners each that are joined one after the
other, or cells of a grid. The same sizes give the same bytes.
"""

from pathlib import Path

import numpy as np
import trimesh

_SIDES = 24  # corners of a ring; a multiple of 6, so that hexagons have their corners


def circle(diameter: float, z: float, sides: int = _SIDES) -> np.ndarray:
    """A ring around the z axis (sides, 3) [mm]."""
    angle = 2 * np.pi * np.arange(sides) / sides
    return np.column_stack([diameter / 2 * np.cos(angle), diameter / 2 * np.sin(angle), np.full(sides, z)])


def hexagon(flats: float, z: float) -> np.ndarray:
    """A hexagonal ring with that width across its flats, a corner along +x (24, 3) [mm]."""
    angle = 2 * np.pi * np.arange(_SIDES) / _SIDES
    from_flat = (angle + np.pi / 6) % (np.pi / 3) - np.pi / 6  # a flat's middle lies half a side from a corner
    reach = flats / 2 / np.cos(np.abs(np.abs(from_flat) - np.pi / 6))
    return np.column_stack([reach * np.cos(angle), reach * np.sin(angle), np.full(_SIDES, z)])


def oblong(width: float, height: float, x: float) -> np.ndarray:
    """A rectangle across the x axis, of 24 corners (24, 3) [mm]."""
    steps = np.linspace(-1, 1, _SIDES // 4, endpoint=False)
    side = np.column_stack([steps, np.full(len(steps), -1.0)])
    turned = [side @ np.array([[c, s], [-s, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    y, z = np.concatenate(turned).T
    return np.column_stack([np.full(_SIDES, x), width / 2 * y, height / 2 * z])


def joined(rings: list[np.ndarray], hole: bool = False) -> trimesh.Trimesh:
    """The closed surface through rings of as many corners each, in this order.

    Args:
        rings: each (corner, 3) [mm].
        hole: join the last ring to the first, as around a nut's hole; else both ends are closed by flat caps.
    """
    count, sides = len(rings), len(rings[0])
    faces = []
    for ring in range(count if hole else count - 1):
        one, other = ring * sides, (ring + 1) % count * sides
        for i in range(sides):
            j = (i + 1) % sides
            faces += [(one + i, one + j, other + j), (one + i, other + j, other + i)]
    points = np.concatenate(rings)
    if not hole:
        middle = count * sides
        points = np.concatenate([points, [rings[0].mean(axis=0), rings[-1].mean(axis=0)]])
        last = middle - sides
        faces += [(middle, (i + 1) % sides, i) for i in range(sides)]
        faces += [(middle + 1, last + i, last + (i + 1) % sides) for i in range(sides)]
    return trimesh.Trimesh(points, faces, process=False)


def cells(edges: tuple[np.ndarray, np.ndarray, np.ndarray], full: np.ndarray) -> trimesh.Trimesh:
    """The surface of those cells of a grid that are full.

    Args:
        edges: where the cells' walls stand along x, y and z (n + 1,) each [mm].
        full: bool (x, y, z).
    """
    padded = np.pad(full, 1)
    numbers = np.arange(np.prod([len(e) for e in edges])).reshape([len(e) for e in edges])
    faces = []
    for axis in range(3):
        turned, corners = np.moveaxis(padded, axis, 0), np.moveaxis(numbers, axis, 0)
        change = np.diff(turned.astype(int), axis=0)[:, 1:-1, 1:-1]  # +1 where something begins along the axis
        for i, j, k in np.argwhere(change):
            a, b, c, d = corners[i, j, k], corners[i, j + 1, k], corners[i, j + 1, k + 1], corners[i, j, k + 1]
            outwards = (change[i, j, k] > 0) == (axis == 1)  # moving y to the front mirrors the other two axes
            faces += [(a, b, c), (a, c, d)] if outwards else [(a, c, b), (a, d, c)]
    points = np.stack(np.meshgrid(*edges, indexing="ij"), axis=-1).reshape(-1, 3)
    mesh = trimesh.Trimesh(points, faces, process=False)
    mesh.remove_unreferenced_vertices()
    return mesh


def hex_bolt() -> trimesh.Trimesh:
    """A hexagon head screw M8 × 30 without its thread (ISO 4017: head 13 across flats, 5.3 high)."""
    return joined([circle(6.8, -30), circle(8, -29.2), circle(8, 0), hexagon(13, 0), hexagon(13, 5.3)])


def hex_nut() -> trimesh.Trimesh:
    """A hexagon nut M8 without its thread (ISO 4032: 13 across flats, 6.8 high)."""
    return joined([hexagon(13, 0), hexagon(13, 6.8), circle(8, 6.8), circle(8, 0)], hole=True)


def washer() -> trimesh.Trimesh:
    """A plain washer for M8 (ISO 7089: 8.4 inside, 16 outside, 1.6 thick)."""
    return joined([circle(16, 0), circle(16, 1.6), circle(8.4, 1.6), circle(8.4, 0)], hole=True)


def vial() -> trimesh.Trimesh:
    """An empty injection vial of the size of a 2R (ISO 8362-1: 16 wide, 35 high, a crown of 13), open at its top."""
    outside = [(16, 0), (16, 22), (10.5, 26.5), (10.5, 31.4), (13, 31.4), (13, 35)]
    inside = [(7, 35), (7, 26.8), (14, 21.5), (14, 1.2)]
    return joined([circle(d, z) for d, z in outside + inside])


def shaft() -> trimesh.Trimesh:
    """A turned part with three steps, 20, 16 and 12 mm thick and 70 mm long, with chamfers of 1 mm at its ends."""
    steps = [(18, 0), (20, 1), (20, 25), (16, 25), (16, 50), (12, 50), (12, 69), (10, 70)]
    return joined([circle(d, z) for d, z in steps])


def handle() -> trimesh.Trimesh:
    """A T-handle of a valve: a hub of 22 mm, a stem of 12 × 8 mm and a bar of 70 × 12 × 12 mm across its end."""
    hub = [oblong(2 * np.sqrt(11.001**2 - x**2), 14, x) for x in (-11, -9, -5.5, 0, 5.5, 9)]
    return joined([*hub, oblong(12, 8, 9), oblong(12, 8, 48), oblong(70, 12, 48), oblong(70, 12, 60)])


def blister() -> trimesh.Trimesh:
    """A thermoformed tray of 2 × 3 pockets that are open at the top: 58 × 40 × 9 mm, with a rim, 1 mm thick."""
    x, y = (np.cumsum([0, 2, 1, *[16, 2] * (n - 1), 16, 1, 2]) - half for n, half in ((3, 29), (2, 20)))
    z = np.array([0.0, 1.0, 8.0, 9.0])
    deep = np.outer(*(_within(len(e) - 1, range(1, len(e) - 2)) for e in (x, y)))
    hollow = np.outer(*(_within(len(e) - 1, range(2, len(e) - 3, 2)) for e in (x, y)))
    return cells((x, y, z), np.stack([deep, deep & ~hollow, ~hollow], axis=-1))


def _within(count: int, chosen: range) -> np.ndarray:
    return np.isin(np.arange(count), chosen)


MESHES = (hex_bolt, hex_nut, washer, vial, shaft, handle, blister)

if __name__ == "__main__":
    for make in MESHES:
        mesh = make()
        if not mesh.is_volume:
            raise SystemExit(f"{make.__name__} is not closed, or wound inwards")
        file = Path(__file__).with_name(f"{make.__name__}.stl")
        mesh.export(file)
        print(f"{file.name}: {len(mesh.faces)} faces, {file.stat().st_size / 1000:.1f} kB, {mesh.volume:.1f} mm^3")
