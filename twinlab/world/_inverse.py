"""Inverse kinematics of serial arms: a robot's path to one of its links as screw axes, and joint positions for a pose.

Only `told` asks PyBullet; all else is arrays, in the frame of the robot's base link. One radian of the link's turn
counts as much as `_RADIAN` metres of its position, one metre of a prismatic joint as much as one radian of another.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np

from twinlab import frames
from twinlab.errors import ActionError, MeshError
from twinlab.robots import quiet

with quiet():  # PyBullet tells its build time on stderr, which notebooks would show
    import pybullet

_Array = np.ndarray
_Vector = tuple[float, float, float]
_Quaternion = tuple[float, float, float, float]
_KINDS = ("revolute", "prismatic", "spherical", "planar", "fixed", "point to point", "gear")  # in PyBullet's order
_RADIAN = 0.3  # what one radian counts as [m]
_NEAR, _AIMED = 1e-7, 1e-6  # a pose is reached when it is this near [m] and its orientation this near [rad]
_ROUNDS = 100  # most steps of the search; where the pose can be reached it takes two to five
_STALLED = 1e-7  # share of the error that a step must mend for the search to go on
_FLOOR = 1e-9  # least damping [m^2]: singular values above 0.1 mm a radian are used almost in full
_SOFT = 1e-4  # damping of the null space [m^2]: it opens smoothly at singularities, from 1 cm a radian
_STRIDE = 0.5  # farthest that a step of the search moves a joint [rad or m]: it stays on its branch
_GAIN = 0.2  # share of the way to the rest position that one call goes


@dataclass(frozen=True, eq=False)
class Joint:
    """One link of a robot and the joint that it hangs on.

    Attributes:
        name: of the joint.
        kind: "revolute", "prismatic" or "fixed"; others can be there, but not on a path.
        parent: place of the link that it hangs on, below 0 for the base link.
        pose: of the link in its parent link's frame where the joint stands at zero (7,).
        axis: of the joint, in the link's own frame (3,).
        low, high: limits [rad or m]; without a limit where low is above high.
    """

    name: str
    kind: str
    parent: int
    pose: np.ndarray
    axis: np.ndarray
    low: float = 0.0
    high: float = -1.0


@dataclass(frozen=True, eq=False)
class Chain:
    """The path from a robot's base link to one of its links: a product of exponentials.

    Source: Brockett, Robotic manipulators and the product of exponentials formula (1984); Lynch & Park, Modern
    Robotics (2017), section 4.1.

    Attributes:
        moving: places of the path's joints among the robot's moving joints (joint,), from the base on.
        screws: their axes where all joints stand at zero: direction and moment [m], or zeros and direction (joint, 6).
        home: pose of the link there (7,).
        limits: lowest and highest positions (2, joint) [rad or m], infinite where there are none.
    """

    moving: np.ndarray
    screws: np.ndarray
    home: np.ndarray
    limits: np.ndarray


class Solved(NamedTuple):
    """Joint positions, and how far off the pose they leave the link.

    Attributes:
        positions: of the path's joints (joint,) [rad or m].
        distance: from the link's frame to where it was wanted [m].
        angle: from its orientation to the one wanted [rad].
    """

    positions: np.ndarray
    distance: float
    angle: float


def told(number: int, client: int, limits: Mapping[int, tuple[float, float]]) -> tuple[Joint, ...]:
    """The links of a robot as PyBullet tells them; nothing is moved.

    PyBullet gives poses of joints from the parent's centre of mass and turned the other way round, and axes in the
    frame of the link's own centre of mass.

    Args:
        number: PyBullet's number of the robot.
        client: PyBullet's client.
        limits: PyBullet's index of a joint → its lowest and highest position; those of the file where it is not named.
    """
    count = pybullet.getNumJoints(number, client)
    own = {i: np.concatenate(pybullet.getDynamicsInfo(number, i, client)[3:5]) for i in range(-1, count)}
    out = []
    for i in range(count):
        info = pybullet.getJointInfo(number, i, client)
        axis, at, turn, parent = info[13:17]
        turned = frames.inverse(frames.compose(np.array([0, 0, 0, *own[i][3:]]), np.array([0, 0, 0, *turn])))
        pose = frames.compose(own[parent], np.array([*at, *turned[3:]]))
        axis = frames.rotate(own[i], np.array(axis))
        out.append(Joint(info[1].decode(), _KINDS[info[2]], parent, pose, axis, *limits.get(i, info[8:10])))
    return tuple(out)


def chain(joints: Sequence[Joint], link: int) -> Chain:
    """The path from the base link to a link.

    Args:
        joints: those of the whole robot, each after its parent (link,).
        link: place of the link.

    Raises:
        MeshError: a joint on the path is neither revolute nor prismatic nor fixed, or has no axis.
    """
    path = [link]
    while joints[path[0]].parent >= 0:
        path.insert(0, joints[path[0]].parent)
    at, screws = frames.IDENTITY, []
    for i in path:
        at = frames.compose(at, joints[i].pose)
        screws += [] if joints[i].kind == "fixed" else [_screw(joints[i], at)]
    moving = [i for i, joint in enumerate(joints) if joint.kind != "fixed"]
    own = [i for i in path if i in moving]
    bounds = [(j.low, j.high) if j.low <= j.high else (-np.inf, np.inf) for j in (joints[i] for i in own)]
    limits = np.array(np.array(bounds, float).reshape(-1, 2).T, order="C")
    return Chain(np.array([moving.index(i) for i in own], int), np.array(screws).reshape(-1, 6), np.array(at), limits)


def _screw(joint: Joint, at: np.ndarray) -> np.ndarray:
    """The screw axis (6,) of a joint whose link stands at a pose (7,)."""
    size = np.linalg.norm(joint.axis)
    if joint.kind not in ("revolute", "prismatic") or not size > 0:
        raise MeshError(
            f"joint {joint.name!r} is {joint.kind} with the axis {joint.axis.tolist()}; inverse kinematics wants "
            "revolute and prismatic joints with an axis on the way from the base: choose a link before it"
        )
    axis = frames.rotate(at, joint.axis / size)
    turns = joint.kind == "revolute"
    return np.concatenate([axis, np.cross(at[:3], axis)] if turns else [np.zeros(3), axis])


def forward(chain: Chain, positions: np.ndarray) -> np.ndarray:
    """The pose (7,) of the link where its path's joints stand at positions (joint,) [rad or m]."""
    return np.array(_forward(chain.screws, chain.home, np.array(positions, float), np.empty((len(chain.screws), 6))))


def solve(
    chain: Chain, pose: np.ndarray, near: np.ndarray, rest: np.ndarray, pull: float = 0.02, most: float = math.inf
) -> Solved:
    """Joint positions that bring the link to a pose, or as near as they can.

    Where the pose leaves a choice, each call goes a fifth of the way to the rest position, but moves no joint farther
    than `pull`; the pose is then mended, so that this does not move the link. The search goes downhill from `near`
    and stays on its branch; the same input gives the same answer.

    Source: damping by the error that is left as in Sugihara, Solvability-unconcerned inverse kinematics by the
    Levenberg–Marquardt method, IEEE T-RO 27(5), 2011, times a factor by how well steps were foreseen (Nielsen, Damping
    parameter in Marquardt's method, 1999); joints at a limit are taken out one by one as in Flacco, De Luca & Khatib,
    Control of redundant robots under hard joint constraints, IEEE T-RO 31(3), 2015.

    Args:
        chain: the path to the link.
        pose: where the link's frame shall be, in the base link's frame (7,).
        near: where the path's joints start (joint,) [rad or m]; what is beyond a limit is cut to it.
        rest: positions to drift to (joint,) [rad or m].
        pull: farthest that a joint drifts towards rest in this call [rad or m].
        most: farthest that a joint may be from `near` after this call [rad or m].

    Raises:
        ActionError: an array has another shape or is not finite; `pull` or `most` is negative.
    """
    given, count = (np.array(pose, float), np.array(near, float), np.array(rest, float)), len(chain.screws)
    if [g.shape for g in given] != [(7,), (count,), (count,)]:
        raise ActionError(
            f"inverse kinematics came with shapes {[g.shape for g in given]}; wanted (7,) for the pose and ({count},) "
            "for the positions to start from and to rest at: one for each joint on the path"
        )
    positions, distance, angle = _solve(chain.screws, chain.home, chain.limits, *given, pull, most)
    if not math.isfinite(distance + angle):
        raise ActionError(
            f"inverse kinematics came with pose {pose}, near {near}, rest {rest}, pull {pull} and most {most}; wanted "
            "finite positions, a quaternion that is not zero, and 0 or more for the last two"
        )
    return Solved(positions, distance, angle)


# ---- kernels: vectors and quaternions are tuples, which stay in registers


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _solve(
    screws: _Array, home: _Array, limits: _Array, pose: _Array, near: _Array, rest: _Array, pull: float, most: float
) -> tuple[_Array, float, float]:
    """See `solve`: the positions, and how far off they are; nan where the input is not as it should be."""
    count = len(near)
    if not (np.isfinite(near).all() and np.isfinite(rest).all() and pull >= 0 and most >= 0):
        return near, math.nan, math.nan
    columns, step, error = np.empty((count, 6)), np.empty(count), np.zeros(6)
    at, want, box = np.empty(count), np.empty(count), np.empty((2, count))
    for i in range(count):
        for side, reach in ((0, -most), (1, most)):
            box[side, i] = min(max(near[i] + reach, limits[0, i]), limits[1, i])
        at[i] = min(max(near[i], box[0, i]), box[1, i])
        want[i] = _GAIN * (rest[i] - at[i])
    _forward(screws, home, at, columns)
    _step(columns, error, want, _SOFT, box, at, step)
    _advance(at, step, pull, box)
    return _search(screws, home, pose, box, at)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _search(screws: _Array, home: _Array, pose: _Array, box: _Array, at: _Array) -> tuple[_Array, float, float]:
    """Levenberg–Marquardt within a box (2, joint), downhill from positions `at` (joint,)."""
    columns, error, step, none = np.empty((len(at), 6)), np.empty(6), np.empty(len(at)), np.zeros(len(at))
    tried, new_columns, new_error = at.copy(), columns.copy(), error.copy()
    off, turned = _gap(_forward(screws, home, at, columns), pose, error)
    scale, growth = 0.5, 2.0
    for _ in range(_ROUNDS):
        if off < _NEAR and turned < _AIMED:
            break
        left = off**2 + (_RADIAN * turned) ** 2
        _step(columns, error, none, scale * left + _FLOOR, box, at, step)
        tried[:] = at
        _advance(tried, step, _STRIDE, box)
        hope = left - _foreseen(columns, error, step)
        if hope < _STALLED * left:
            break
        new_off, new_turned = _gap(_forward(screws, home, tried, new_columns), pose, new_error)
        mended = left - new_off**2 - (_RADIAN * new_turned) ** 2
        if not mended > 0:
            scale, growth = scale * growth, growth * 2
            continue
        scale, growth = scale * max(1 / 3, 1 - (2 * mended / hope - 1) ** 3), 2.0
        at, tried, off, turned = tried, at, new_off, new_turned
        columns, new_columns, error, new_error = new_columns, columns, new_error, error
    return at, off, turned


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _step(columns: _Array, error: _Array, want: _Array, damping: float, box: _Array, at: _Array, step: _Array) -> None:
    """The step (joint,) that mends an error (6,) and is near `want` (joint,), written to `step`.

    It makes |error - columns' step|^2 + damping |step - want|^2 least. The joint that would go farthest beyond the box
    is held at its bound, and the others are solved anew, until none goes beyond.
    """
    count = len(at)
    free = np.ones(count, np.bool_)
    matrix, right = np.empty((6, 6)), np.empty(6)
    for _ in range(count + 1):
        matrix[:] = 0.0
        for a in range(6):
            matrix[a, a], right[a] = damping, error[a]
        for i in range(count):
            _gather(columns[i], want[i] if free[i] else step[i], free[i], matrix, right)
        _cholesky(matrix, right)
        worst, beyond = -1, 0.0
        for i in range(count):
            if not free[i]:
                continue
            step[i] = want[i] + np.dot(columns[i], right)
            over = max(at[i] + step[i] - box[1, i], box[0, i] - at[i] - step[i])
            if over > beyond:
                worst, beyond = i, over
        if worst < 0:
            return
        free[worst] = False
        step[worst] = box[1 if at[worst] + step[worst] > box[1, worst] else 0, worst] - at[worst]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _gather(column: _Array, goes: float, free: bool, matrix: _Array, right: _Array) -> None:
    """Add a joint to the equations: what it does anyway is taken from the right side (6,)."""
    for a in range(6):
        right[a] -= column[a] * goes
        if free:
            for b in range(a + 1):
                matrix[a, b] += column[a] * column[b]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _cholesky(matrix: _Array, right: _Array) -> None:
    """Solve matrix · x = right; x is written to `right` (6,), the lower half of the matrix (6, 6) is used up."""
    for a in range(6):
        for b in range(a + 1):
            for c in range(b):
                matrix[a, b] -= matrix[a, c] * matrix[b, c]
            matrix[a, b] = matrix[a, b] / matrix[b, b] if b < a else math.sqrt(matrix[a, a])
        for b in range(a):
            right[a] -= matrix[a, b] * right[b]
        right[a] /= matrix[a, a]
    for a in range(5, -1, -1):
        for b in range(a + 1, 6):
            right[a] -= matrix[b, a] * right[b]
        right[a] /= matrix[a, a]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _advance(at: _Array, step: _Array, most: float, box: _Array) -> None:
    """Go a step, shortened so that no joint goes farther than `most`; the step is shortened in place."""
    longest = 0.0
    for i in range(len(at)):
        longest = max(longest, abs(step[i]))
    share = most / longest if longest > most else 1.0
    for i in range(len(at)):
        step[i] *= share
        at[i] = min(max(at[i] + step[i], box[0, i]), box[1, i])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _foreseen(columns: _Array, error: _Array, step: _Array) -> float:
    """Square of the error that would be left if the link moved in a straight line [m^2]."""
    total = 0.0
    for a in range(6):
        left = error[a]
        for i in range(len(step)):
            left -= columns[i, a] * step[i]
        total += left * left
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _gap(at: tuple[float, ...], pose: _Array, error: _Array) -> tuple[float, float]:
    """Distance [m] and angle [rad] to a pose (7,); the way and the weighted turn [m] are written to `error` (6,)."""
    size = math.sqrt(pose[3] ** 2 + pose[4] ** 2 + pose[5] ** 2 + pose[6] ** 2)
    to = (pose[3] / size, pose[4] / size, pose[5] / size, pose[6] / size)
    x, y, z, w = _product(to, (-at[3], -at[4], -at[5], at[6]))
    sine = math.sqrt(x * x + y * y + z * z)
    angle = 2 * math.atan2(sine, abs(w))
    share = _RADIAN * (angle / sine if sine > 1e-12 else 2.0) * (1.0 if w >= 0 else -1.0)
    error[0], error[1], error[2] = pose[0] - at[0], pose[1] - at[1], pose[2] - at[2]
    error[3], error[4], error[5] = share * x, share * y, share * z
    return math.sqrt(error[0] ** 2 + error[1] ** 2 + error[2] ** 2), angle


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _forward(screws: _Array, home: _Array, positions: _Array, columns: _Array) -> tuple[float, ...]:
    """The link's pose; its velocity [m/s and `_RADIAN` rad/s] for each joint's is written to `columns` (joint, 6).

    Source: Lynch & Park, Modern Robotics (2017), equations 4.14 and 5.11; the exponential of a screw is 3.88.
    """
    turn, p = (0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0)
    for i in range(len(positions)):
        s, theta = screws[i], positions[i]
        axis, along = _turned(turn, (s[0], s[1], s[2])), _turned(turn, (s[3], s[4], s[5]))
        arm = _cross(p, axis)
        for k in range(3):
            columns[i, k], columns[i, k + 3] = along[k] + arm[k], axis[k]
        sine, rise = theta, 0.0
        if s[0] != 0 or s[1] != 0 or s[2] != 0:
            half, whole = math.sin(theta / 2), math.cos(theta / 2)
            sine, rise = 2 * half * whole, 2 * half * half
            turn = _product(turn, (half * s[0], half * s[1], half * s[2], whole))
        (a, b, c), (d, e, f) = along, _cross(axis, along)
        p = (p[0] + sine * a + rise * d, p[1] + sine * b + rise * e, p[2] + sine * c + rise * f)
    x, y, z = _turned(turn, (home[0], home[1], home[2]))
    x, y, z = x + p[0], y + p[1], z + p[2]
    for i in range(len(positions)):
        column = columns[i]
        arm = _cross((column[3], column[4], column[5]), (x, y, z))
        for k in range(3):
            column[k], column[k + 3] = column[k] + arm[k], _RADIAN * column[k + 3]
    qx, qy, qz, qw = _product(turn, (home[3], home[4], home[5], home[6]))
    return x, y, z, qx, qy, qz, qw


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _cross(a: _Vector, b: _Vector) -> _Vector:
    """The cross product."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _turned(q: _Quaternion, v: _Vector) -> _Vector:
    """A vector after the rotation of a unit quaternion."""
    axis = (q[0], q[1], q[2])
    x, y, z = _cross(axis, v)
    over = _cross(axis, (x, y, z))
    return v[0] + 2 * (q[3] * x + over[0]), v[1] + 2 * (q[3] * y + over[1]), v[2] + 2 * (q[3] * z + over[2])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _product(a: _Quaternion, b: _Quaternion) -> _Quaternion:
    """The quaternion that turns by b, then by a."""
    return (
        a[3] * b[0] + a[0] * b[3] + a[1] * b[2] - a[2] * b[1],
        a[3] * b[1] - a[0] * b[2] + a[1] * b[3] + a[2] * b[0],
        a[3] * b[2] + a[0] * b[1] - a[1] * b[0] + a[2] * b[3],
        a[3] * b[3] - a[0] * b[0] - a[1] * b[1] - a[2] * b[2],
    )
