"""Poses, transforms and cameras: the only rotation maths in the house.

A pose is an array (7,): x, y, z [m], then a unit quaternion x, y, z, w. Frames follow REP-103: x forward, y left,
z up; a camera's optical frame is x right, y down, z into the scene, as in OpenCV.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numba
import numpy as np
from scipy.spatial.transform import Rotation

IDENTITY = np.array([0.0, 0, 0, 0, 0, 0, 1])
IDENTITY.setflags(write=False)
DOWN = (math.pi, 0.0, 0.0)  # roll, pitch and yaw of a tool that looks down, its x axis ahead
_BACK = np.array([-1.0, -1, -1, 1])


def pose(position: tuple[float, ...] | np.ndarray = (0, 0, 0), yaw: float = 0.0) -> np.ndarray:
    """The pose at a position [m] (3,), turned by `yaw` [rad] about z."""
    return np.array([*position, 0.0, 0.0, np.sin(yaw / 2), np.cos(yaw / 2)])


def compose(parent: np.ndarray, child: np.ndarray) -> np.ndarray:
    """The child's pose in the parent's own frame: both (7,) or (..., 7), broadcast."""
    if parent.ndim == child.ndim == 1:
        x, y, z, *by = parent.tolist()
        *at, e, f, g, h = child.tolist()
        by, (a, b, c) = _unit(*by), at
        u, v, w = _carried(by, a, b, c)
        return np.array([x + u, y + v, z + w, *_product(by, _unit(e, f, g, h))])
    position = parent[..., :3] + _turned(_turn(parent), child[..., :3])
    turn = np.array(_product(_parts(parent[..., 3:]), _parts(child[..., 3:])))
    return np.concatenate([position, np.moveaxis(turn, 0, -1)], axis=-1)


def inverse(pose: np.ndarray) -> np.ndarray:
    """The pose that undoes this one, (7,) or (..., 7)."""
    if pose.ndim == 1:
        x, y, z, a, b, c, d = pose.tolist()
        u, v, w = _carried(_unit(-a, -b, -c, d), x, y, z)
        return np.array([-u, -v, -w, -a, -b, -c, d])
    back = pose[..., 3:] * _BACK
    undone = np.concatenate([np.zeros_like(pose[..., :3]), back], axis=-1)
    return np.concatenate([-_turned(_turn(undone), pose[..., :3]), back], axis=-1)


def apply(pose: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (n, 3) [m] given in the pose's frame, in the frame that the pose is given in."""
    return _turned(_turn(pose), points) + pose[:3]


def rotate(pose: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Vectors (3,) or (n, 3) turned by the pose's rotation, not moved."""
    return _turned(_turn(pose), vectors)


def matrix(pose: np.ndarray) -> np.ndarray:
    """The homogeneous matrix (4, 4) or (n, 4, 4) of a pose (7,) or (n, 7)."""
    out = np.zeros((*pose.shape[:-1], 4, 4))
    out[..., :3, :3] = _turn(pose)
    out[..., :3, 3] = pose[..., :3]
    out[..., 3, 3] = 1
    return out


def yaw(pose: np.ndarray) -> float:
    """The heading of a pose: the angle of its x axis about z [rad], in (-pi, pi]."""
    x, y, z, w = _unit(*pose[3:].tolist())
    return math.atan2(2 * (x * y + z * w), 1 - 2 * (y * y + z * z))


def axis(pose: np.ndarray, number: int) -> np.ndarray:
    """The direction (3,) of one of a pose's axes: 0 for x, 1 for y, 2 for z."""
    return np.array(_axis(pose, number))


def from_euler(position: tuple[float, ...] | np.ndarray, rpy: tuple[float, float, float]) -> np.ndarray:
    """The pose at a position [m] with roll, pitch and yaw [rad] about the fixed axes (URDF's rpy)."""
    (a, d), (b, e), (c, f) = ((math.sin(angle / 2), math.cos(angle / 2)) for angle in rpy)
    turn = (a * e * f - d * b * c, d * b * f + a * e * c, d * e * c - a * b * f, d * e * f + a * b * c)
    return np.array([*position, *turn])


def from_rotvec(position: tuple[float, ...] | np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The pose at a position [m], turned about a vector (3,) by its length [rad]."""
    return np.concatenate([np.asarray(position, float), Rotation.from_rotvec(vector).as_quat()])


def tool_pose(position: np.ndarray, turn: tuple[float, float, float], yaw: float) -> np.ndarray:
    """The pose (7,) of a tool at a position [m] that is turned by `yaw` [rad] about the way that it looks back along.

    Args:
        position: (3,) [m].
        turn: roll, pitch and yaw of the tool's frame [rad] when its yaw is 0; its z axis is the way that it looks.
        yaw: for a tool that looks down, its heading as `yaw` tells it.
    """
    base, _, _, (x, y, z) = _tool(turn)
    half, whole = -math.sin(yaw / 2), math.cos(yaw / 2)
    return np.array([*position, *_product((half * x, half * y, half * z, whole), base)])


def tool_yaw(pose: np.ndarray, turn: tuple[float, float, float]) -> float:
    """The yaw [rad] that `tool_pose` was given for a pose, in (-pi, pi]."""
    _, (a, b, c), (d, e, f), _ = _tool(turn)
    x, y, z = _axis(pose, 0)
    return math.atan2(x * d + y * e + z * f, x * a + y * b + z * c)


@cache
def _tool(turn: tuple[float, float, float]) -> tuple[tuple[float, ...], ...]:
    """Of a tool whose yaw is 0: its quaternion, its x axis, the one to the left of it, and its z axis."""
    base = from_euler((0, 0, 0), turn)
    forward, ahead = axis(base, 0), axis(base, 2)
    return tuple(tuple(one.tolist()) for one in (base[3:], forward, np.cross(-ahead, forward), ahead))


def look_at(eye: tuple[float, ...], target: tuple[float, ...], up: tuple[float, ...] = (0, 0, 1)) -> np.ndarray:
    """The optical pose (7,) of a camera at `eye` [m] that looks at `target` [m].

    `up` is the direction that shows upwards in the picture. For a camera that looks straight down give another than
    z, such as (1, 0, 0); along the line of sight x is taken.
    """
    forward = np.subtract(target, eye).astype(float)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, up)
    if np.linalg.norm(right) < 1e-6:
        right = np.cross(forward, (1.0, 0.0, 0.0))
    right /= np.linalg.norm(right)
    axes = np.column_stack([right, np.cross(forward, right), forward])
    return np.concatenate([np.asarray(eye, float), Rotation.from_matrix(axes).as_quat()])


def wrap(angle: float | np.ndarray, period: float = 2 * np.pi) -> float | np.ndarray:
    """The angle [rad] moved by whole periods into [-period/2, period/2)."""
    return (angle + period / 2) % period - period / 2


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera in OpenCV's convention: pixel centres at whole numbers.

    Attributes:
        width, height: size of the picture [px].
        fx, fy: focal lengths [px].
        cx, cy: principal point [px].
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    @classmethod
    def from_fov(cls, width: int, height: int, fov: float) -> "Intrinsics":
        """Square pixels and a centred principal point, from the vertical angle of view [rad]."""
        focal = height / 2 / np.tan(fov / 2)
        return cls(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)

    @property
    def matrix(self) -> np.ndarray:
        """OpenCV's camera matrix K, (3, 3) [px]."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]])

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points (n, 3) in the optical frame [m] → pixels (n, 2)."""
        return points[:, :2] / points[:, 2:] * (self.fx, self.fy) + (self.cx, self.cy)

    def rays(self) -> np.ndarray:
        """The direction of each pixel in the optical frame, z = 1: shape (height, width, 3)."""
        u, v = np.meshgrid(np.arange(self.width), np.arange(self.height))
        return np.stack([(u - self.cx) / self.fx, (v - self.cy) / self.fy, np.ones_like(u, float)], axis=-1)


@dataclass(frozen=True)
class Region:
    """A box along the world's axes.

    Attributes:
        low, high: its corners [m].
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    @property
    def centre(self) -> np.ndarray:
        """Its middle (3,) [m]."""
        return (np.array(self.low) + self.high) / 2

    def contains(self, point: np.ndarray) -> bool:
        """Whether a point (3,) [m] lies within it."""
        x, y, z = point
        (a, b, c), (d, e, f) = self.low, self.high
        return bool(a <= x <= d and b <= y <= e and c <= z <= f)


def _unit(x: float, y: float, z: float, w: float) -> tuple[float, float, float, float]:
    """A quaternion at length 1; single poses go through plain numbers, which takes a third of the time of arrays."""
    size = math.sqrt(x * x + y * y + z * z + w * w)
    return x / size, y / size, z / size, w / size


def _parts(quaternions: np.ndarray) -> Any:
    """x, y, z, w of quaternions (..., 4) at length 1, an array each."""
    return np.moveaxis(quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True), -1, 0)


def _product(one: Any, other: Any) -> tuple[Any, Any, Any, Any]:
    """The quaternion that turns by the second, then by the first."""
    (a, b, c, d), (x, y, z, w) = one, other
    return (
        d * x + a * w + b * z - c * y,
        d * y - a * z + b * w + c * x,
        d * z + a * y - b * x + c * w,
        d * w - a * x - b * y - c * z,
    )


def _carried(turn: tuple[float, ...], x: float, y: float, z: float) -> tuple[float, float, float]:
    """A vector after the rotation of a unit quaternion."""
    a, b, c, d = turn
    u, v, w = 2 * (b * z - c * y), 2 * (c * x - a * z), 2 * (a * y - b * x)
    return x + d * u + b * w - c * v, y + d * v + c * u - a * w, z + d * w + a * v - b * u


def _axis(pose: np.ndarray, number: int) -> tuple[float, float, float]:
    """See `axis`."""
    x, y, z, w = _unit(*pose[3:].tolist())
    if number == 0:
        return 1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)
    if number == 1:
        return 2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)
    return 2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)


def _turn(pose: np.ndarray) -> np.ndarray:
    """The rotation matrices (..., 3, 3) of poses (..., 7)."""
    flat = np.array(pose[..., 3:], float).reshape(-1, 4)
    return np.asarray(_rotations(flat).reshape(*pose.shape[:-1], 3, 3))


def _turned(turn: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) after rotations: one (3, 3) for all, or one each (..., 3, 3)."""
    if turn.ndim == 2:
        return vectors @ turn.T
    return (turn @ vectors[..., None])[..., 0]


@numba.njit("float64[:, :, ::1](float64[:, ::1])", cache=True, nogil=True, error_model="numpy")
def _rotations(quaternions: np.ndarray) -> np.ndarray:
    """The rotation matrices (n, 3, 3) of quaternions (n, 4): a tenth of the time that whole arrays take."""
    out = np.empty((len(quaternions), 3, 3))
    for n in range(len(quaternions)):
        x, y, z, w = quaternions[n, 0], quaternions[n, 1], quaternions[n, 2], quaternions[n, 3]
        size = math.sqrt(x * x + y * y + z * z + w * w)
        x, y, z, w = x / size, y / size, z / size, w / size
        out[n, 0] = np.array((1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)))
        out[n, 1] = np.array((2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)))
        out[n, 2] = np.array((2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)))
    return out
