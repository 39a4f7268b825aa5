"""Frames: poses form a group, cameras are OpenCV's; compared with matrices and with numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlab import frames
from twinlab.frames import IDENTITY, Intrinsics, Region

ANGLES = st.floats(-3.1, 3.1)
POINTS = st.tuples(*[st.floats(-5, 5)] * 3).map(np.array)
POSES = st.builds(frames.from_euler, st.tuples(*[st.floats(-5, 5)] * 3), st.tuples(ANGLES, ANGLES, ANGLES))


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two poses are one: q and -q are the same turn."""
    return np.allclose(frames.matrix(one), frames.matrix(other), atol=1e-9)


@given(POSES)
def test_a_pose_and_its_inverse_undo_each_other(pose):
    assert same(frames.compose(pose, frames.inverse(pose)), IDENTITY)
    assert same(frames.compose(frames.inverse(pose), pose), IDENTITY)
    assert same(frames.inverse(frames.inverse(pose)), pose)


@given(POSES)
def test_the_identity_changes_nothing(pose):
    assert same(frames.compose(pose, IDENTITY), pose)
    assert same(frames.compose(IDENTITY, pose), pose)


@given(POSES, POSES, POSES)
def test_composition_does_not_mind_brackets_and_is_the_product_of_matrices(a, b, c):
    assert same(frames.compose(frames.compose(a, b), c), frames.compose(a, frames.compose(b, c)))
    assert np.allclose(frames.matrix(frames.compose(a, b)), frames.matrix(a) @ frames.matrix(b), atol=1e-9)


@given(POSES, POSES, POINTS)
def test_points_go_through_a_chain_of_frames_one_by_one_or_at_once(a, b, point):
    points = np.stack([point, 2 * point, np.zeros(3)])
    assert np.allclose(frames.apply(frames.compose(a, b), points), frames.apply(a, frames.apply(b, points)), atol=1e-8)
    assert np.allclose(frames.apply(frames.inverse(a), frames.apply(a, points)), points, atol=1e-8)


@given(POSES, POINTS)
def test_a_vector_is_turned_but_neither_moved_nor_stretched(pose, vector):
    turned = frames.rotate(pose, vector)
    assert np.linalg.norm(turned) == pytest.approx(np.linalg.norm(vector))
    assert np.allclose(turned, frames.apply(pose, vector[None])[0] - pose[:3], atol=1e-9)


@given(st.lists(POSES, min_size=1, max_size=4), POSES)
def test_many_poses_at_once_are_the_same_as_each_alone(many, one):
    poses = np.stack(many)
    for batched, alone in (
        (frames.compose(poses, one), [frames.compose(p, one) for p in many]),
        (frames.compose(one, poses), [frames.compose(one, p) for p in many]),
        (frames.inverse(poses), [frames.inverse(p) for p in many]),
        (frames.matrix(poses), [frames.matrix(p) for p in many]),
    ):
        assert np.allclose(batched, alone)


@given(ANGLES, POINTS)
def test_the_yaw_that_a_pose_was_made_with_is_read_back(yaw, position):
    pose = frames.pose(position, yaw)
    assert (pose[:3] == position).all()
    assert np.linalg.norm(pose[3:]) == pytest.approx(1)
    assert frames.yaw(pose) == pytest.approx(yaw, abs=1e-9)


@given(ANGLES)
def test_a_tool_that_points_down_keeps_its_yaw(yaw):
    down = frames.from_euler((0, 0, 0), (np.pi, 0, yaw))
    assert frames.yaw(down) == pytest.approx(yaw, abs=1e-9)
    assert np.allclose(frames.rotate(down, np.array([0, 0, 1.0])), [0, 0, -1], atol=1e-9)


def test_a_quarter_turn_by_hand():
    turned = frames.pose((1, 2, 3), np.pi / 2)
    assert turned == pytest.approx([1, 2, 3, 0, 0, np.sqrt(0.5), np.sqrt(0.5)])
    assert frames.apply(turned, np.array([[1.0, 0, 0]])) == pytest.approx(np.array([[1, 3, 3]]))
    assert frames.inverse(turned)[:3] == pytest.approx([-2, 1, -3])


def test_roll_pitch_and_yaw_turn_about_fixed_axes_one_after_the_other():
    pose = frames.from_euler((0, 0, 0), (np.pi / 2, 0, np.pi / 2))  # y goes to z by the roll, and stays there
    assert frames.rotate(pose, np.eye(3)) == pytest.approx(np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]]), abs=1e-12)


def test_the_identity_cannot_be_changed_by_mistake():
    with pytest.raises(ValueError, match="read-only"):
        IDENTITY[0] = 1.0


@given(st.floats(-50, 50), st.sampled_from([2 * np.pi, np.pi / 2, 1.0]))
def test_a_wrapped_angle_lies_in_one_period_and_differs_by_whole_ones(angle, period):
    wrapped = frames.wrap(angle, period)
    assert -period / 2 - 1e-9 <= wrapped <= period / 2 + 1e-9
    assert (angle - wrapped) / period == pytest.approx(round((angle - wrapped) / period), abs=1e-6)


def test_wrapping_by_hand():
    assert frames.wrap(np.array([0.0, 4.0, -4.0])) == pytest.approx([0, 4 - 2 * np.pi, 2 * np.pi - 4])
    assert frames.wrap(np.pi) == -np.pi


def test_a_camera_that_looks_down_by_hand():
    camera = frames.look_at((0, 0, 1), (0, 0, 0), up=(1, 0, 0))  # x is up in the picture, so y is left
    seen = frames.apply(frames.inverse(camera), np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.4]]))
    assert seen == pytest.approx(np.array([[0, 0, 1], [0, -0.1, 1], [-0.1, 0, 1], [0, 0, 0.6]]), abs=1e-12)


@given(POINTS, POINTS.filter(lambda p: np.linalg.norm(p) > 0.01))
def test_what_a_camera_looks_at_lies_straight_ahead_and_above_is_above(eye, way):
    pose = frames.look_at(tuple(eye), tuple(eye + way))
    target, above = frames.apply(frames.inverse(pose), np.stack([eye + way, eye + way + [0, 0, 1]]))
    assert target == pytest.approx([0, 0, np.linalg.norm(way)], abs=1e-6)
    assert np.linalg.norm(way[:2]) < 1e-3 or above[1] <= 1e-6  # y points down
    assert np.linalg.norm(way[:2]) < 1e-3 or abs(above[0]) <= 1e-6


LENS = Intrinsics.from_fov(64, 48, np.pi / 2)


def test_a_lens_by_hand():
    assert (LENS.fx, LENS.fy) == pytest.approx((24, 24))  # 48 rows / 2 / tan 45 degrees
    assert (LENS.cx, LENS.cy) == (31.5, 23.5)
    pixels = LENS.project(np.array([[0, 0, 1], [1, 0.5, 2], [0, -1, 1.0]]))
    assert pixels == pytest.approx(np.array([[31.5, 23.5], [43.5, 29.5], [31.5, -0.5]]))  # the last on the upper edge


@given(st.tuples(st.floats(-2, 2), st.floats(-2, 2), st.floats(0.1, 5)).map(np.array))
def test_projection_is_the_camera_matrix(point):
    u, v, w = LENS.matrix @ point
    assert LENS.project(point[None])[0] == pytest.approx([u / w, v / w])


@given(st.integers(1, 9), st.integers(1, 9), st.floats(0.2, 2.5), st.floats(0.1, 10))
def test_a_point_on_a_pixels_ray_is_seen_in_that_pixel_at_any_depth(width, height, fov, depth):
    lens = Intrinsics.from_fov(width, height, fov)
    rays = lens.rays()
    assert rays.shape == (height, width, 3)
    v, u = np.mgrid[:height, :width]
    seen = lens.project(depth * rays.reshape(-1, 3))
    assert np.allclose(seen, np.stack([u.ravel(), v.ravel()], axis=1), atol=1e-6)


def test_a_region_holds_its_corners_and_nothing_beside():
    region = Region((0, -1, 0), (1, 1, 0.5))
    assert region.centre == pytest.approx([0.5, 0, 0.25])
    assert all(region.contains(np.array(p)) for p in (region.low, region.high, region.centre))
    assert not any(region.contains(region.centre + step) for step in np.vstack([np.eye(3), -np.eye(3)]) * 1.001)
