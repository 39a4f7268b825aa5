"""Cameras: what a scene may say about one, and where it then stands."""

import numpy as np
import pytest
from pydantic import ValidationError

from twinlab import frames
from twinlab.cameras import Camera
from twinlab.errors import WorldError
from twinlab.snapshot import Snapshot

SNAPSHOT = Snapshot(
    time=0.0,
    bodies=("arm",),
    links=("arm", "arm/hand"),
    poses=np.stack([frames.IDENTITY, frames.pose((1, 2, 3), yaw=np.pi / 2)]),
    visuals=(),
    joints={},
)


def test_what_it_looks_at_shows_in_the_middle_of_the_picture() -> None:
    camera = Camera(width=80, height=60, position=(1, -1, 2), look_at=(0.2, 0.1, 0.3))
    seen = frames.apply(frames.inverse(camera.pose(SNAPSHOT)), np.array([camera.look_at]))
    assert camera.intrinsics().project(seen)[0] == pytest.approx([39.5, 29.5])
    assert seen[0, 2] == pytest.approx(np.linalg.norm(np.subtract(camera.position, camera.look_at)))


def test_up_shows_upwards() -> None:
    camera = Camera(position=(0, 0, 2), look_at=(0, 0, 0), up=(1, 0, 0))
    ahead, left = frames.apply(frames.inverse(camera.pose(SNAPSHOT)), np.array([[0.1, 0, 0], [0, 0.1, 0]]))
    assert ahead[1] < 0  # upper half
    assert left[0] < 0  # left half


def test_a_camera_on_a_link_moves_with_it() -> None:
    camera = Camera(link="arm/hand", position=(0.1, 0, 0), look_at=(0.1, 0, 1), up=(0, 1, 0))
    pose = camera.pose(SNAPSHOT)
    assert pose[:3] == pytest.approx([1, 2.1, 3])
    assert frames.rotate(pose, np.array([0, 0, 1.0])) == pytest.approx([0, 0, 1])
    assert frames.rotate(pose, np.array([0, -1.0, 0])) == pytest.approx([-1, 0, 0])  # the link's y axis


def test_the_angle_of_view_is_the_vertical_one() -> None:
    lens = Camera(width=200, height=100, fov=np.pi / 2).intrinsics()
    assert (lens.fx, lens.fy, lens.cx, lens.cy) == pytest.approx((50, 50, 99.5, 49.5))


def test_an_unknown_link_is_an_error_that_proposes_the_nearest() -> None:
    with pytest.raises(WorldError, match="Did you mean 'arm/hand'"):
        Camera(link="arm/hnad").pose(SNAPSHOT)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"width": 0}, "width"),
        ({"height": -3}, "height"),
        ({"fov": 0.0}, "fov"),
        ({"fov": 3.15}, "fov"),
        ({"position": (1, 1, 1), "look_at": (1, 1, 1)}, "must differ from position"),
        ({"position": (0, 0, float("nan"))}, "finite"),
        ({"up": (0, 0, 0)}, "up must not be"),
        ({"position": (0, 0, 0), "look_at": (1, 0, 0), "up": (-2, 0, 0)}, "along the line of sight"),
        ({"lookat": (0, 0, 0)}, "lookat"),
    ],
)
def test_a_camera_that_cannot_be_is_an_error(fields: dict, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Camera(**fields)
