"""Hard limits, as functions of what a model foresees."""

import pytest
import torch

from twinlab.policies._limits import BEYOND, Limits
from twinlab.scene import read_scene


@pytest.fixture(scope="module")
def spec():
    zones = [{"low": [0.4, 0.0, 0.0], "high": [0.6, 0.2, 0.3]}]
    return read_scene("sorting").change({"bodies.arm.keep_out": zones, "bodies.arm.force": 50.0})


def foreseen(ticks: int = 3) -> dict[str, torch.Tensor]:
    """A quiet robot over some ticks, far from the box."""
    return {
        "wrench": torch.zeros(1, ticks, 6),
        "joints_velocity": torch.zeros(1, ticks, 7),
        "tcp": torch.tensor([0.2, 0.5, 0.5, 0.0]).expand(1, ticks, 4).clone(),
    }


def test_what_is_measured_is_looked_at_and_a_quiet_robot_keeps_all(spec):
    limits = Limits(spec, ("wrench", "joints_velocity", "tcp", "width"))
    assert limits.names == ("arm force", "arm joint", "arm keep_out")
    assert (limits(foreseen()) <= 0).all() and limits(foreseen()).shape == (1, 3)


def test_what_is_not_measured_is_left_out(spec):
    assert Limits(spec, ("tcp",)).names == ("arm keep_out",)
    assert Limits(read_scene("inspection"), ("angle_position",)).names == ()


def test_one_tick_beyond_a_limit_breaks_it_and_its_margin_is_kept_free(spec):
    limits = Limits(spec, ("wrench", "joints_velocity", "tcp"), margin=0.1)
    force = foreseen()
    force["wrench"][0, 1, :3] = torch.tensor([0.0, 30.0, 35.0])  # 46.1 N, more than 0.9 of 50
    assert limits(force)[0, 0].item() == pytest.approx(46.098 / 45 - 1, abs=1e-4)
    assert torch.equal(limits(force)[0, 1:], limits(foreseen())[0, 1:])
    speed = foreseen()
    speed["joints_velocity"][0, 2, 4] = -0.95 * BEYOND * spec.bodies["arm"].joint_speed
    assert (limits(speed)[0] > 0).tolist() == [False, True, False]


def test_a_box_to_keep_out_of_is_told_by_how_deep_the_tool_is_in_it(spec):
    limits = Limits(spec, ("tcp",), room=0.01)
    inside = foreseen()
    inside["tcp"][0, 1, :3] = torch.tensor([0.45, 0.1, 0.2])
    assert limits(inside)[0, 0].item() == pytest.approx(0.06, abs=1e-5)
    beside = foreseen()
    beside["tcp"][0, 1, :3] = torch.tensor([0.395, 0.1, 0.2])
    assert limits(beside)[0, 0].item() == pytest.approx(0.005, abs=1e-5)


def test_of_two_arms_each_has_its_limits():
    names = Limits(read_scene("sorting_pair"), ("wrench", "second_wrench", "second_joints_velocity")).names
    assert names == ("arm force", "second force", "second joint")
