"""A still picture of a twin, for readers who have no kernel: GitHub, printed pages, nbconvert."""

import io

import numpy as np
from PIL import Image

from twinlab import frames, rooms
from twinlab.frames import Intrinsics
from twinlab.snapshot import Snapshot

PARKED = -5.0  # links below this are not on the line yet [m]; the player has the same rule
_FROM = np.array([0.86, -0.62, 0.62])  # where the player's camera looks from at first
_FOV = np.radians(32)


def poster(snapshot: Snapshot, width: int, height: int) -> bytes:
    """A PNG of what the player shows at first.

    Raises:
        RendererError: this machine cannot render.
    """
    lens = Intrinsics.from_fov(width, height, float(_FOV))
    view = rooms.build("renderers", "raster", samples=3, shadow_size=2048).open()
    try:
        rgb = view.render(snapshot, lens, camera(points(snapshot), lens)).rgb
    finally:
        view.close()
    return png(Image.fromarray(rgb).quantize(128))


def png(picture: Image.Image) -> bytes:
    """A picture as PNG, packed as well as that goes."""
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def camera(points: np.ndarray, lens: Intrinsics) -> np.ndarray:
    """The optical pose (7,) from which points (n, 3) [m] just fill the picture, in its middle."""
    back = _FROM / np.linalg.norm(_FROM)
    right = np.cross((0, 0, 1), back)
    right /= np.linalg.norm(right)
    up = np.cross(back, right)
    reach = np.array([lens.width / 2 / lens.fx, lens.height / 2 / lens.fy])
    middle, distance = (points.min(axis=0) + points.max(axis=0)) / 2, 1.0
    for _ in range(8):
        near = (points - middle) @ back
        across = (points - middle) @ np.stack([right, up], axis=1) / reach
        seen = across / np.maximum(0.1, distance - near)[:, None]
        shift = (seen.min(axis=0) + seen.max(axis=0)) / 2 * distance * reach
        distance = max(0.2, float((near[:, None] + abs(across)).max()))
        middle = middle + shift[0] * right + shift[1] * up
    return frames.look_at(tuple(middle + 1.06 * distance * back), tuple(middle))


def points(snapshot: Snapshot) -> np.ndarray:
    """All vertices on the line (n, 3) [m]; a box of 1 m around the origin if there are none."""
    shown = [v for v in snapshot.visuals if snapshot.poses[v.link, 2] > PARKED]
    placed = [frames.apply(snapshot.poses[v.link], frames.apply(v.pose, v.mesh.vertices)) for v in shown]
    return np.concatenate(placed) if placed else np.array([[-0.5] * 3, [0.5] * 3])
