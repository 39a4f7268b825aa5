"""What a robot tells of itself: encoders, torque sensors, the tool's pose and the gripper's opening."""

import numpy as np
import pytest
from pydantic import ValidationError

from twinlab import frames
from twinlab.cell import Cell
from twinlab.sensing import Streams
from twinlab.sensors import Moment
from twinlab.sensors.joints import Joints
from twinlab.sensors.tcp import Tcp
from twinlab.snapshot import Joints as Truth
from twinlab.snapshot import Snapshot
from twinlab.world import World

NAMES = Joints().joints
SIGMAS = 4.5  # so far from its mean a normal variable is found once in 150,000 times


def samples(sensor, count: int, seed: int = 0, spread: float = 2.0) -> tuple[dict, dict]:
    """True and measured values of so many moments, (count, joint) each, at random joint positions."""
    rng, draw = np.random.default_rng(seed), Streams(seed, "probe")
    clean, given = [], []
    with World() as world:
        for _ in range(count):
            truth = Truth(NAMES, spread * rng.normal(size=7), rng.normal(size=7), 20 * rng.normal(size=7))
            pose = frames.pose(rng.normal(size=3), rng.uniform(-1, 1))
            seen = Snapshot(0.0, (), (Tcp().link,), pose[None], (), {"arm": truth})
            moment = Moment(world, {}, lambda seen=seen: seen, None, None)
            values, state = sensor.read("probe", moment, None)
            clean.append(values)
            given.append(sensor.measure("probe", moment, values, state, draw)[0])
    return tuple({n: np.stack([row[n] for row in rows]).astype(float) for n in rows[0]} for rows in (clean, given))


@pytest.mark.parametrize("kind", [Joints, Tcp])
def test_with_all_effects_off_readings_are_the_truth(kind):
    clean, given = samples(kind(off=("all",)), 5)
    assert all((given[name] == clean[name]).all() for name in clean)


@pytest.mark.parametrize("bits", [8, 12])
def test_an_encoder_gives_whole_steps_and_errs_by_up_to_half_of_one(bits):
    clean, given = samples(Joints(bits=bits), 600)
    step = 2 * np.pi / 2**bits
    steps = given["probe_position"] / step
    assert steps == pytest.approx(np.rint(steps), abs=0.01)  # single precision
    error = (given["probe_position"] - clean["probe_position"]) / step
    assert np.abs(error).max() <= 0.501
    # Uniform errors have a variance of 1/12 and a kurtosis of 1.8: that of n is known to sqrt(0.8/n) of itself.
    assert (error**2).mean() == pytest.approx(1 / 12, rel=SIGMAS * np.sqrt(0.8 / error.size))


def test_the_default_encoder_is_as_fine_as_logs_of_real_arms():
    clean, given = samples(Joints(), 100)
    assert 1e-6 < np.abs(given["probe_position"] - clean["probe_position"]).max() < 1e-5


def test_each_joint_has_the_declared_noise_of_velocity_and_torque():
    sensor, count = Joints(), 3000
    clean, given = samples(sensor, count)
    known = SIGMAS / np.sqrt(2 * count)  # of a standard deviation from so many samples, as a share
    for what, declared in (("velocity", (sensor.velocity_noise,) * 7), ("torque", sensor.torque_noise)):
        error = given[f"probe_{what}"] - clean[f"probe_{what}"]
        assert error.std(axis=0) == pytest.approx(np.array(declared), rel=known)
        assert np.abs(error.mean(axis=0) / declared).max() < SIGMAS / np.sqrt(count)
        assert np.abs(np.corrcoef(error.T) - np.eye(7)).max() < SIGMAS / np.sqrt(count)


@pytest.mark.parametrize("effect", ["encoder", "velocity", "torque"])
def test_switching_one_effect_off_changes_only_what_it_is_about(effect):
    full, less = samples(Joints(), 3)[1], samples(Joints(off=(effect,)), 3)[1]
    own = {"encoder": "position"}.get(effect, effect)
    for what in ("position", "velocity", "torque"):
        same = (full[f"probe_{what}"] == less[f"probe_{what}"]).all()
        assert same == (what != own)


def test_the_error_of_the_zero_stays_for_an_episode_and_differs_between_episodes(blind_spec):
    off = ["encoder", "velocity", "torque"]
    probe = {"kind": "joints", "off": off, "clean": True, "offset_error": [0.01, 0, 0]}
    found = []
    with Cell(blind_spec.change({"sensors": {"probe": probe}})) as cell:
        for seed in range(20):
            rows = []
            cell.reset(seed)
            for _ in range(2):
                cell.step({"arm.x": 0.2})
                rows.append(cell.readings["probe_position"] - cell.truth["probe_position_clean"])
                assert (cell.readings["probe_velocity"] == cell.truth["probe_velocity_clean"]).all()
            assert rows[0] == pytest.approx(rows[1], abs=1e-6)
            found.append(rows[0])
    # 20 episodes of 7 joints: a standard deviation is known to 1/sqrt(2*140) of itself.
    assert np.std(found) == pytest.approx(0.01, rel=SIGMAS / np.sqrt(280))


def test_noise_that_fits_no_joints_is_an_error():
    with pytest.raises(ValidationError, match=r"torque_noise came as \(0.1, 0.2\); wanted 1 number or 7"):
        Joints(torque_noise=(0.1, 0.2))


def test_the_tools_spread_is_the_declared_repeatability():
    sensor, count = Tcp(), 3000
    clean, given = samples(sensor, count)
    error = given["probe"] - clean["probe"]
    # ISO 9283: mean plus three standard deviations of the distance from the middle. In the spread of one axis, which
    # is 1/3.62 of it, the mean of n distances is known to 0.67/sqrt(n), and three times their deviation to
    # 3 * 0.67 * sqrt((3.1 - 1)/4n) = 1.46/sqrt(n), as a Maxwell distribution has a kurtosis of 3.1.
    away = np.linalg.norm(error[:, :3] - error[:, :3].mean(axis=0), axis=1)
    known = SIGMAS * (0.67 + 1.46) / np.sqrt(count) / 3.62
    assert away.mean() + 3 * away.std() == pytest.approx(sensor.repeatability, rel=known)
    assert error[:, 3].std() == pytest.approx(sensor.turning, rel=SIGMAS / np.sqrt(2 * count))


def test_the_width_comes_in_tenths_of_a_millimetre_and_is_off_by_less_than_one(blind_spec):
    with Cell(blind_spec.change({"sensors": {"probe": {"kind": "width", "clean": True}}})) as cell:
        for seed in range(5):
            cell.reset(seed)
            for _ in range(5):
                steps = cell.step({"gripper": -0.1})["probe"] / 0.0001
                assert steps == pytest.approx(round(float(steps)), abs=0.001)
                error = cell.readings["probe"] - cell.truth["probe_clean"]
                assert abs(error) < SIGMAS * 0.0002 + 0.00005
