"""How fast each pixel of a camera's picture moves, from the poses of two moments and the depth."""

from dataclasses import dataclass

import cv2
import numpy as np

from twinlab import frames
from twinlab.frames import Intrinsics
from twinlab.renderers import Frame
from twinlab.snapshot import Visual

_STILL = 1e-6  # a camera that moved and turned less than this between two samples stands still [m, rad]
_REACH = 1.0  # no point of a link is further than this from its frame [m]
_ROWS = 48  # rows on which the flow is computed, about; it is as smooth as the surfaces are


@dataclass(frozen=True, eq=False)
class Seen:
    """Where everything was when a picture was taken.

    Attributes:
        time: when [s].
        links: poses of all links (link, 7).
        camera: pose of the optical frame (7,).
    """

    time: float
    links: np.ndarray
    camera: np.ndarray


def flow(
    frame: Frame, lens: Intrinsics, visuals: tuple[Visual, ...], before: Seen, now: Seen, reach: float
) -> np.ndarray | None:
    """The velocity of what each pixel shows, in the picture.

    Every link is taken as rigid and as moving evenly since the last picture. What stands still beside something that
    moves takes its velocity within the way that this goes in `reach`, so that an edge is smeared to both of its sides.

    Args:
        frame: the picture of now.
        lens: of the camera that drew it.
        visuals: what is drawn, for the link of each.
        before, now: where everything was, and is.
        reach: the time for which the flow is wanted, such as the exposure [s].

    Returns:
        Columns and rows per second, float32 (height, width, 2) [px/s], 0 where nothing is or moves; None if nothing
        moves further than a third of a pixel within `reach`, which shows nowhere.
    """
    span = now.time - before.time
    if span <= 0 or before.links.shape != now.links.shape or not visuals:
        return None
    stride = max(1, frame.depth.shape[0] // _ROWS)
    visual, depth = frame.visual[::stride, ::stride], frame.depth[::stride, ::stride]
    links = np.array([v.link for v in visuals])
    shown = links[np.bincount(visual.ravel() + 1, minlength=len(visuals) + 1)[1:] > 0]
    change = now.links[shown] - before.links[shown]
    panned = bool(np.abs(now.camera - before.camera).max() > _STILL)
    # A link that turns by a small angle changes its quaternion by half of that.
    way = np.linalg.norm(change[:, :3], axis=1) + 2 * _REACH * np.linalg.norm(change[:, 3:], axis=1)
    widest = max(lens.fx, lens.fy) * float(way.max(initial=0.0)) * reach / span
    if not panned and widest < float(depth.min()) / 3:
        return None
    speed = _speed(visual, depth, stride, lens, _back(links, before, now)) / np.float32(span)
    fastest = np.hypot(*speed)
    most = float(fastest.max()) * reach
    if most < 1 / 3:
        return None
    speed = _spread(np.stack(list(speed), axis=-1), (fastest == 0).astype(np.uint8), most / stride + 0.5)
    return speed if stride == 1 else cv2.resize(speed, frame.depth.shape[::-1], interpolation=cv2.INTER_NEAREST)


def _back(links: np.ndarray, before: Seen, now: Seen) -> np.ndarray:
    """For each visual's link what brings a point from the camera's frame of now to that of before.

    Returns:
        float32 (visual, 3, 4).
    """
    poses = np.empty((2, len(links) + 1, 7))
    for row, seen in zip(poses, (before, now), strict=True):
        row[:-1], row[-1] = seen.links[links], seen.camera
    (old, new), places = frames.matrix(poses)[:, :, :3, :3], poses[..., :3, None]
    turn = old[:-1] @ new[:-1].transpose(0, 2, 1)  # of each link since before, in the world
    shift = places[0, :-1] - turn @ places[1, :-1]
    eye = old[-1].T
    out = np.empty((len(links), 3, 4), np.float32)
    out[..., :3] = eye @ turn @ new[-1]
    out[..., 3:] = eye @ (turn @ places[1, -1] + shift - places[0, -1])
    return out


def _speed(visual: np.ndarray, depth: np.ndarray, stride: int, lens: Intrinsics, back: np.ndarray) -> np.ndarray:
    """By how many columns and rows each pixel moved since before, float32 (2, row, column) [px]."""
    rows, columns = np.indices(visual.shape, np.float32) * np.float32(stride)
    hit = visual >= 0
    z = np.where(hit, depth, np.float32(1))
    fx, fy, cx, cy = (np.float32(value) for value in (lens.fx, lens.fy, lens.cx, lens.cy))
    x, y = (columns - cx) / fx * z, (rows - cy) / fy * z
    m = np.take(np.ascontiguousarray(back.reshape(-1, 12).T), visual, axis=1)
    deep = np.maximum(m[8] * x + m[9] * y + m[10] * z + m[11], np.float32(1e-3))
    across = columns - ((m[0] * x + m[1] * y + m[2] * z + m[3]) / deep * fx + cx)
    down = rows - ((m[4] * x + m[5] * y + m[6] * z + m[7]) / deep * fy + cy)
    out = np.stack([across, down])
    out[:, ~hit | ((np.abs(across) < 1e-3) & (np.abs(down) < 1e-3))] = 0
    return out


def _spread(speed: np.ndarray, still: np.ndarray, reach: float) -> np.ndarray:
    """The flow (row, column, 2) where still pixels within `reach` [px] of moving ones take their velocity."""
    if not still.any():
        return speed
    distance, label = cv2.distanceTransformWithLabels(still, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    moving = still == 0
    velocity = np.zeros((label.max() + 1, 2), np.float32)
    velocity[label[moving]] = speed[moving]
    return np.where((distance <= reach)[..., None], velocity[label], np.float32(0))
