"""How fast each pixel of a camera's picture moves, from the poses of two moments and the depth."""

import functools
from dataclasses import dataclass

import cv2
import numba
import numpy as np

from twinlab.frames import Intrinsics
from twinlab.renderers import Frame
from twinlab.snapshot import Visual

_STILL = 1e-6  # a camera that moved and turned less than this between two samples stands still [m, rad]
_REACH = 1.0  # no point of a link is further than this from its frame [m]
_LEAST = 1e-3  # what moved by less than this since the last picture stands still [px]
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


def stride(height: int) -> int:
    """Of how many rows and columns of a picture of so many rows the flow tells of one [px]."""
    return max(1, height // _ROWS)


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
        Columns and rows per second of every `stride`-th pixel, float32 (height / stride, width / stride, 2) [px/s], 0
        where nothing is or moves; None if nothing moves further than a third of a pixel within `reach`, which shows
        nowhere.
    """
    span = now.time - before.time
    if span <= 0 or before.links.shape != now.links.shape or not visuals:
        return None
    step = stride(frame.depth.shape[0])
    speed, still, fastest = _moved(
        frame.visual,
        frame.depth,
        step,
        _links(visuals),
        (before.links, before.camera),
        (now.links, now.camera),
        np.array([lens.fx, lens.fy, lens.cx, lens.cy]),
        (span, reach),
    )
    most = fastest * reach
    if most < 1 / 3:
        return None
    distance, label = cv2.distanceTransformWithLabels(still, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    _spread(speed, still, distance, label, np.float32(most / step + 0.5))
    return np.asarray(speed)


@functools.lru_cache(maxsize=8)
def _links(visuals: tuple[Visual, ...]) -> np.ndarray:
    """The link of each visual (visual,)."""
    return np.array([v.link for v in visuals])


@numba.njit(cache=True, nogil=True)
def _moved(
    visual: np.ndarray,
    depth: np.ndarray,
    stride: int,
    links: np.ndarray,
    before: tuple[np.ndarray, np.ndarray],
    now: tuple[np.ndarray, np.ndarray],
    lens: np.ndarray,
    times: tuple[float, float],
) -> tuple[np.ndarray, np.ndarray, float]:
    """What `_speed` gives, with nothing moving where no link can be fast enough to show.

    Args:
        visual, depth: of the frame (height, width).
        stride: see `flow` [px].
        links: of each visual (visual,).
        before, now: poses of the links (link, 7) and of the camera (7,).
        lens: focal lengths and principal point (4,) [px].
        times: since before, and for which the flow is wanted [s].
    """
    shown, nearest = _shown(visual, depth, stride, links.size)
    panned = np.abs(now[1] - before[1]).max() > _STILL
    way, widest = np.zeros(links.size), 0.0
    for n in range(links.size):
        if shown[n]:
            change = now[0][links[n]] - before[0][links[n]]
            # A link that turns by a small angle changes its quaternion by half of that.
            way[n] = np.sqrt((change[:3] ** 2).sum()) + 2 * _REACH * np.sqrt((change[3:] ** 2).sum())
            way[n] *= max(lens[0], lens[1])
            shown[n] = panned or way[n] > _LEAST * nearest
            widest = max(widest, way[n])
    span, reach = times
    if not panned and widest * reach / span < nearest / 3:
        return np.zeros((0, 0, 2), np.float32), np.zeros((0, 0), np.uint8), 0.0
    back = _back(links, shown, before[0], before[1], now[0], now[1])
    return _speed(visual, depth, stride, lens.astype(np.float32), shown, back, np.float32(span))


@numba.njit(cache=True, nogil=True)
def _shown(visual: np.ndarray, depth: np.ndarray, stride: int, count: int) -> tuple[np.ndarray, float]:
    """Which of the visuals a picture shows, bool (visual,), and how near the nearest of it is [m]."""
    shown, nearest = np.zeros(count, np.bool_), np.inf
    for r in range(0, visual.shape[0], stride):
        for c in range(0, visual.shape[1], stride):
            if visual[r, c] >= 0:
                shown[visual[r, c]] = True
                nearest = min(nearest, depth[r, c])
    return shown, nearest


@numba.njit(cache=True, nogil=True)
def _placed(pose: np.ndarray) -> np.ndarray:
    """The matrix of a pose (7,), float64 (3, 4)."""
    x, y, z, w = pose[3:] / np.sqrt((pose[3:] ** 2).sum())
    out = np.empty((3, 4))
    out[0] = 1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w), pose[0]
    out[1] = 2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w), pose[1]
    out[2] = 2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y), pose[2]
    return out


@numba.njit(cache=True, nogil=True)
def _within(parent: np.ndarray, child: np.ndarray) -> np.ndarray:
    """What is placed by the matrix `child`, seen from the frame that `parent` places: both (3, 4)."""
    out = np.zeros((3, 4))
    for i in range(3):
        for j in range(4):
            for k in range(3):
                out[i, j] += parent[k, i] * (child[k, j] - (parent[k, 3] if j == 3 else 0.0))
    return out


@numba.njit(cache=True, nogil=True)
def _back(
    links: np.ndarray,
    shown: np.ndarray,
    old: np.ndarray,
    old_camera: np.ndarray,
    new: np.ndarray,
    new_camera: np.ndarray,
) -> np.ndarray:
    """For each visual's link what brings a point from the camera's frame of now to that of before.

    Args:
        links: of each visual (visual,).
        shown: which visuals are wanted, bool (visual,).
        old, new: poses of the links before and now (link, 7).
        old_camera, new_camera: poses of the camera (7,).

    Returns:
        float32 (visual, 3, 4), 0 for those that are not wanted.
    """
    out, eye, seen = np.zeros((links.size, 3, 4), np.float32), _placed(old_camera), _placed(new_camera)
    for n in range(links.size):
        if shown[n]:
            # A camera that is fixed to the link as it is to it now, then seen from where the camera was.
            near, far = _within(_placed(new[links[n]]), seen), _within(eye, _placed(old[links[n]]))
            for i in range(3):
                for j in range(4):
                    total = far[i, 3] if j == 3 else 0.0
                    for k in range(3):
                        total += far[i, k] * near[k, j]
                    out[n, i, j] = total
    return out


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _speed(
    visual: np.ndarray,
    depth: np.ndarray,
    stride: int,
    lens: np.ndarray,
    moves: np.ndarray,
    back: np.ndarray,
    span: np.float32,
) -> tuple[np.ndarray, np.ndarray, float]:
    """How fast every `stride`-th pixel moves.

    Args:
        visual, depth: of the frame (height, width).
        stride: see above [px].
        lens: focal lengths and principal point, float32 (4,) [px].
        moves: whether each visual may have moved, bool (visual,).
        back: what `_back` gave.
        span: time since before [s].

    Returns:
        Columns and rows per second, float32 (row, column, 2) [px/s]; whether it stands still, uint8 (row, column);
        the fastest [px/s].
    """
    rows, columns = (visual.shape[0] - 1) // stride + 1, (visual.shape[1] - 1) // stride + 1
    speed, still = np.zeros((rows, columns, 2), np.float32), np.ones((rows, columns), np.uint8)
    fx, fy, cx, cy = lens
    fastest, least = np.float32(0), np.float32(_LEAST)
    for r in range(rows):
        for c in range(columns):
            n = visual[r * stride, c * stride]
            if n < 0 or not moves[n]:
                continue
            u, v, z, m = np.float32(c * stride), np.float32(r * stride), depth[r * stride, c * stride], back[n]
            x, y = (u - cx) / fx * z, (v - cy) / fy * z
            deep = max(m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3], least)
            across = u - ((m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3]) / deep * fx + cx)
            down = v - ((m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3]) / deep * fy + cy)
            if abs(across) >= least or abs(down) >= least:
                speed[r, c, 0], speed[r, c, 1], still[r, c] = across / span, down / span, 0
                fastest = max(fastest, across * across + down * down)
    return speed, still, np.sqrt(fastest) / span


@numba.njit(cache=True, nogil=True)
def _spread(speed: np.ndarray, still: np.ndarray, distance: np.ndarray, label: np.ndarray, reach: np.float32) -> None:
    """Still pixels (row, column) within `reach` [px] of moving ones take the velocity of the nearest, in place.

    Args:
        speed: float32 (row, column, 2) [px/s].
        still: uint8 (row, column).
        distance: to the nearest moving pixel, float32 (row, column) [px].
        label: number of that pixel, int32 (row, column).
        reach: see above.
    """
    velocity = np.zeros((still.size + 1, 2), np.float32)
    for r in range(still.shape[0]):
        for c in range(still.shape[1]):
            if not still[r, c]:
                velocity[label[r, c]] = speed[r, c]
    for r in range(still.shape[0]):
        for c in range(still.shape[1]):
            if still[r, c] and distance[r, c] <= reach:
                speed[r, c] = velocity[label[r, c]]
