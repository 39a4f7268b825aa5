"""Triangle meshes and solids: primitives, robot files, decimation within a stated error, a cache on disk."""

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles, compared by identity so that renderers can keep what they uploaded.

    Attributes:
        vertices: positions [m], float32 (vertex, 3).
        faces: indices of vertices, counter-clockwise seen from outside, int32 (face, 3).
        colours: one sRGB colour a face in 0–1, float32 (face, 3); None takes the colour of the visual.
    """

    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Solid:
    """A convex body: what PyBullet collides and what is drawn are the same shape.

    Attributes:
        form: "box", "cylinder" or "hull" (the convex hull of the mesh).
        size: box: edges x, y, z; cylinder: radius, height; hull: () [m].
        mesh: its surface, in the solid's own frame (origin at the centre).
    """

    form: Literal["box", "cylinder", "hull"]
    size: tuple[float, ...]
    mesh: Mesh
