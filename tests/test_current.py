"""Motor currents: torque and friction make them, noise and a drifting zero disturb them."""

import numpy as np
import pytest
from pydantic import ValidationError

from twinlab.cell import Cell
from twinlab.sensing import Streams
from twinlab.sensors import Moment
from twinlab.sensors.current import Current
from twinlab.snapshot import Joints, Snapshot
from twinlab.world import World

SIGMAS = 4.5  # so far from its mean a normal variable is found once in 150,000 times


def shown(sensor: Current, times: list[float], seed: int = 0) -> np.ndarray:
    """Readings (time, joint) of motors without load or motion."""
    draw, state, out = Streams(seed, "probe"), None, []
    still = Snapshot(0.0, (), (), np.empty((0, 7)), (), {"arm": Joints(sensor.joints, *np.zeros((3, 7)))})
    with World() as world:
        for time in times:
            moment = Moment(world, {}, lambda: still, None, None)
            moment.time = time
            clean, state = sensor.read("probe", moment, state)
            values, state = sensor.measure("probe", moment, clean, state, draw)
            out.append(values["probe"])
    return np.array(out, float)


def test_a_motor_at_rest_takes_torque_over_constant():
    sensor = Current(constant=(10.0,))
    assert sensor.drawn(np.array([20.0, -5.0, 0, 0, 0, 0, 0]), np.zeros(7)).tolist() == [2, -0.5, 0, 0, 0, 0, 0]


def test_friction_is_overcome_either_way():
    sensor = Current(constant=(10.0,), friction=(2.0,), knee=(0.1,))
    torque, ahead = np.full(7, 20.0), np.full(7, 3.0)  # at 30 knees the friction is all there
    assert sensor.drawn(torque, ahead) == pytest.approx(np.full(7, 2.2))
    assert sensor.drawn(torque, -ahead) == pytest.approx(np.full(7, 1.8))
    assert sensor.drawn(0 * torque, ahead / 30) == pytest.approx(np.full(7, 0.2 * np.tanh(1)))


def test_default_friction_is_the_published_one_of_a_panda():
    size = np.array([0.54615, 0.87224, 0.64068, 1.2794, 0.83904, 0.30301, 0.56489])  # Gaz et al. 2019
    steepness = np.array([5.1181, 9.0657, 10.136, 5.5903, 8.3469, 17.133, 10.336])
    for velocity in np.linspace(-2, 2, 9):
        wanted = size / (1 + np.exp(-steepness * velocity)) - size / 2
        sensor = Current(constant=(1.0,))
        assert sensor.drawn(np.zeros(7), np.full(7, velocity)) == pytest.approx(wanted, abs=0.001)


def test_noise_has_the_declared_spread():
    sensor, count = Current(off=("drift",)), 1500
    error = shown(sensor, [0.05 * i for i in range(count)])
    assert error.std() == pytest.approx(sensor.noise, rel=SIGMAS / np.sqrt(2 * 7 * count))
    assert np.abs(error.mean(axis=0)).max() < SIGMAS * sensor.noise / np.sqrt(count)


def test_the_zero_drifts_as_the_sensor_warms_up():
    sensor, episodes = Current(off=("noise",)), 150
    gone = np.array([shown(sensor, [0.0, 600.0, 1200.0, 1e5], seed) for seed in range(episodes)])
    assert (gone[:, 0] == 0).all()
    assert gone[:, 1] == pytest.approx(gone[:, 3] * (1 - np.exp(-1)), abs=1e-6)
    assert gone[:, 2] == pytest.approx(gone[:, 3] * (1 - np.exp(-2)), abs=1e-6)
    # 7 joints in each episode; a standard deviation of n is known to 1/sqrt(2n) of itself.
    assert gone[:, 3].std() == pytest.approx(sensor.drift, rel=SIGMAS / np.sqrt(2 * 7 * episodes))


def test_with_all_effects_off_the_reading_is_the_true_current(blind_spec):
    probe = {"kind": "current", "off": ["all"], "constant": [10], "friction": [0.5], "knee": [0.2]}
    with Cell(blind_spec.change({"sensors": {"probe": probe}})) as cell:
        cell.reset(0)
        for _ in range(8):
            given = cell.step({"arm.y": 0.3})["probe"]
        joints = cell.world.joints("arm")
    torque, velocity = joints.torque[:7], joints.velocity[:7]
    assert np.abs(velocity).max() > 0.1
    assert np.abs(given).max() > 1  # it holds the arm up
    assert given == pytest.approx(torque / 10 + 0.05 * np.tanh(velocity / 0.2), abs=1e-5)


@pytest.mark.parametrize("fields", [{"constant": (0.0,)}, {"knee": (0.1, 0.2)}, {"friction": (-1.0,)}])
def test_numbers_that_fit_no_motor_are_errors(fields):
    (key,) = fields
    with pytest.raises(ValidationError, match=rf"{key} came as .*wanted 1 number or 7"):
        Current(**fields)
