"""How fast each pixel of a camera's picture moves, from the poses of two moments and the depth."""

from dataclasses import dataclass

import cv2
import numpy as np

from twinlab import frames
from twinlab.frames import Intrinsics
from twinlab.renderers import Frame
from twinlab.snapshot import Visual

_STILL = 1e-6  # a link that moved and turned less than this between two samples stands still [m, rad]


@dataclass(frozen=True, eq=False)
class Seen:
    """Where everything was when the last picture was taken.

    Attributes:
        time: when [s].
        links: poses of all links (link, 7).
        camera: pose of the optical frame (7,).
    """

    time: float
    links: np.ndarray
    camera: np.ndarray


def flow(
    frame: Frame, lens: Intrinsics, visuals: tuple[Visual, ...], before: Seen, now: Seen
) -> tuple[np.ndarray, float]:
    """The velocity of what each pixel shows, in the picture, and the highest one.

    Every link is taken as rigid and as moving evenly since the last picture.

    Args:
        frame: the picture of now.
        lens: of the camera that drew it.
        visuals: what is drawn, for the link of each.
        before, now: where everything was, and is.

    Returns:
        Columns and rows per second, float32 (height, width, 2) [px/s], 0 where nothing is or moves, and the largest
        magnitude [px/s].
    """
    out = np.zeros((*frame.depth.shape, 2), np.float32)
    span = now.time - before.time
    if span <= 0 or before.links.shape != now.links.shape:
        return out, 0.0
    moved = (np.abs(now.links - before.links) > _STILL).any(axis=1)
    panned = bool((np.abs(now.camera - before.camera) > _STILL).any())
    if not (panned or moved.any()):
        return out, 0.0
    # Each visual belongs to a group that moved alike: its own link's, or group 0, which stands still in the world.
    links = np.array([*(v.link if moved[v.link] else -1 for v in visuals), -2])
    link = links[frame.visual]
    focal, centre = np.array((lens.fx, lens.fy), np.float32), np.array((lens.cx, lens.cy), np.float32)
    for one in np.unique(link):
        if one == -2 or (one == -1 and not panned):
            continue
        rows, columns = np.nonzero(link == one)
        pixel = np.stack([columns, rows], axis=-1).astype(np.float32)
        z = frame.depth[rows, columns, None]
        points = np.concatenate([(pixel - centre) / focal * z, z], axis=-1)
        back = frames.compose(frames.inverse(before.camera), _carried(one, before.links, now.links, now.camera))
        matrix = frames.matrix(back).astype(np.float32)
        past = points @ matrix[:3, :3].T + matrix[:3, 3]
        was = past[:, :2] / np.maximum(past[:, 2:], 1e-3) * focal + centre
        out[rows, columns] = (pixel - was) / np.float32(span)
    return out, float(np.sqrt((out**2).sum(axis=-1).max()))


def spread(speed: np.ndarray, reach: float) -> np.ndarray:
    """The flow where what stands still beside something that moves, up to `reach` [px] away, takes its velocity.

    So an edge is smeared and leans to both of its sides.
    """
    still = (speed == 0).all(axis=-1).astype(np.uint8)
    if still.all() or not still.any():
        return speed
    distance, label = cv2.distanceTransformWithLabels(still, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    rows, columns = np.nonzero(still == 0)
    velocity = np.zeros((label.max() + 1, 2), np.float32)
    velocity[label[rows, columns]] = speed[rows, columns]
    return np.where((distance <= reach)[..., None], velocity[label], np.float32(0))


def _carried(link: int, before: np.ndarray, now: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Where the camera's frame of now would have been if it were fixed to a link (-1 for the world)."""
    if link < 0:
        return camera
    return frames.compose(frames.compose(before[link], frames.inverse(now[link])), camera)
