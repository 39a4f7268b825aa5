"""The force-torque sensor: what is estimated from its readings of known loads is what it declares."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from twinlab.cell import Cell
from twinlab.sensing import Streams
from twinlab.sensors import Moment
from twinlab.sensors._noise import low_pass
from twinlab.sensors.wrench import State, Wrench

SIGMAS = 4.5  # so far from its mean a normal variable is found once in 150,000 times
FULL = np.array([300, 300, 300, 30, 30, 30.0])
EFFECTS = Wrench.effects
SPREAD = np.array([1, 1, 1, 0.1, 0.1, 0.1])


@dataclass
class Load:
    """A world in which a wrist carries what the test says."""

    load: np.ndarray = field(default_factory=lambda: np.zeros(6))
    time: float = 0.0
    timestep: float = 1 / 240

    def reaction(self, link: str) -> np.ndarray:
        return self.load


def only(*effects: str, **fields: object) -> Wrench:
    """A sensor with no other effects of its own."""
    return Wrench(off=tuple(e for e in EFFECTS if e not in effects), **fields)


def shown(sensor: Wrench, loads: np.ndarray, seed: int = 0, every: float = 0.05) -> tuple[np.ndarray, State]:
    """Readings (sample, 6) of loads (sample, 6) that follow each other, none of them through the filter."""
    world, draw, state, out = Load(), Streams(seed, "probe"), None, []
    for i, load in enumerate(loads):
        world.load, world.time = load, i * every
        moment = Moment(world, {}, None, None, None)
        clean, state = sensor.read("probe", moment, state)
        values, state = sensor.measure("probe", moment, clean, state, draw)
        out.append(values["probe"])
    return np.array(out, float), state


def filtered(sensor: Wrench, loads: np.ndarray) -> np.ndarray:
    """Readings (step, 6) after each physics step of loads (step, 6)."""
    world, draw, state, out = Load(), Streams(0, "probe"), None, []
    for load in loads:
        world.load, world.time = load, world.time + world.timestep
        moment = Moment(world, {}, None, None, None)
        state = sensor.advance("probe", moment, state)
        clean, state = sensor.read("probe", moment, state)
        values, state = sensor.measure("probe", moment, clean, state, draw)
        out.append(values["probe"])
    return np.array(out, float)


def test_with_all_effects_off_the_reading_is_the_load():
    loads = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    assert (filtered(Wrench(off=("all",)), loads) == loads).all()


def test_the_filter_gives_the_same_whether_its_steps_are_taken_one_by_one_or_at_once():
    loads, one = np.random.default_rng(0).normal(size=(7, 6)), None
    for load in loads:
        one = low_pass(load[None], one, 50, 1 / 240)
    whole = low_pass(loads, None, 50, 1 / 240)
    assert (one.value == whole.value).all()
    assert (one.memory == whole.memory).all()


def test_noise_has_the_declared_spread_on_each_axis_and_no_memory():
    sensor, count = only("noise"), 4000
    error = shown(sensor, np.zeros((count, 6)))[0]
    wanted = np.array([sensor.force_noise] * 3 + [sensor.torque_noise] * 3)
    assert error.std(axis=0) == pytest.approx(wanted, rel=SIGMAS / np.sqrt(2 * count))
    for axis in error.T:
        assert abs(np.corrcoef(axis[:-1], axis[1:])[0, 1]) < SIGMAS / np.sqrt(count)


def test_the_bias_is_one_for_an_episode_and_as_large_as_declared_over_many():
    sensor, episodes = only("bias"), 500
    found = []
    for seed in range(episodes):
        rows = shown(sensor, np.zeros((3, 6)), seed)[0]
        assert (rows == rows[0]).all()
        found.append(rows[0])
    wanted = np.array([sensor.force_bias] * 3 + [sensor.torque_bias] * 3)
    assert np.std(found, axis=0) == pytest.approx(wanted, rel=SIGMAS / np.sqrt(2 * episodes))
    assert np.abs(np.mean(found, axis=0) / wanted).max() < SIGMAS / np.sqrt(episodes)


def test_bias_and_crosstalk_are_found_back_from_noisy_readings_of_known_loads():
    sensor, count = only("crosstalk", "bias", "noise", crosstalk=0.02), 2000
    loads = 0.3 * FULL * np.random.default_rng(1).normal(size=(count, 6))
    given, state = shown(sensor, loads, seed=3)
    design = np.column_stack([loads, np.ones(count)])
    found = np.linalg.lstsq(design, given, rcond=None)[0].T
    noise = np.array([sensor.force_noise] * 3 + [sensor.torque_noise] * 3)
    # Of n readings with noise s at loads with spread l, a slope is known to s/(l sqrt(n)), an offset to s/sqrt(n).
    slopes = SIGMAS * noise[:, None] / (0.3 * FULL * np.sqrt(count)) * 1.05
    assert (np.abs(found[:, :6] - np.eye(6) - state.cross) < slopes).all()
    assert (np.abs(found[:, 6] - state.bias) < SIGMAS * noise / np.sqrt(count) * 1.05).all()
    assert np.abs(state.cross).max() > 20 * slopes.max()


def test_crosstalk_is_the_declared_share_of_full_scale_and_leaves_the_own_axis_alone():
    sensor, episodes = only("crosstalk"), 60
    shares = []
    for seed in range(episodes):
        given = shown(sensor, np.diag(FULL), seed)[0]  # row: which axis is loaded with full scale
        assert np.diag(given) == pytest.approx(FULL)
        shares.append((given / FULL)[~np.eye(6, dtype=bool)])
    # 30 shares an episode; a standard deviation of n is known to 1/sqrt(2n) of itself.
    assert np.std(shares) == pytest.approx(sensor.crosstalk, rel=SIGMAS / np.sqrt(2 * 30 * episodes))


@pytest.mark.parametrize("after", [100.0, 400.0, 3600.0])
def test_the_drift_grows_with_the_square_root_of_time(after):
    sensor, episodes = only("drift"), 400
    gone = np.array([np.diff(shown(sensor, np.zeros((5, 6)), s, after / 4)[0][[0, -1]], axis=0)[0] for s in range(400)])
    wanted = np.sqrt(after) * np.array([sensor.force_drift] * 3 + [sensor.torque_drift] * 3)
    assert gone.std(axis=0) == pytest.approx(wanted, rel=SIGMAS / np.sqrt(2 * episodes))


@pytest.mark.parametrize("frequency", [5, 20, 50, 80, 110])
def test_the_filter_is_of_second_order_and_loses_3_db_at_its_bandwidth(frequency):
    steps = np.arange(960)
    wave = np.sin(2 * np.pi * frequency * steps / 240)
    out = filtered(only("filter"), wave[:, None] * FULL)[480:] / FULL  # two seconds for settling
    # |H|^2 = 1/(1 + (f/fc)^4); the bilinear transform maps f to tan(pi f/240).
    ratio = np.tan(np.pi * frequency / 240) / np.tan(np.pi * 50 / 240)
    level = np.sqrt(2 * (out**2).mean(axis=0))  # 480 steps are whole periods of all these
    assert level == pytest.approx(np.full(6, 1 / np.sqrt(1 + ratio**4)), rel=1e-4)


def test_the_filter_begins_at_rest_and_follows_a_jump_within_a_few_hundredths_of_a_second():
    loads = np.repeat([[0.0], [10.0]], [10, 20], axis=0) * np.ones(6)
    out = filtered(only("filter"), loads)
    assert out[:10] == pytest.approx(np.zeros((10, 6)))
    assert (out[10] < 6).all() and (out[10] > 0).all()
    assert out[-1] == pytest.approx(loads[-1], rel=0.001)
    assert 10.3 < out.max() < 10.8  # a Butterworth filter of second order overshoots by 4 %, in coarse steps by more
    assert (filtered(only("filter"), loads[15:]) == loads[15:]).all()


def test_a_filter_too_fast_for_the_physics_lets_all_pass():
    loads = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    assert (filtered(only("filter", bandwidth=120), loads) == loads).all()


@pytest.mark.parametrize("effect", ["crosstalk", "bias", "drift", "noise"])
def test_switching_one_effect_off_leaves_the_draws_of_the_others(effect):
    loads = 0.1 * FULL * np.random.default_rng(2).normal(size=(10, 6))
    loud = {"force_drift": 1.0, "torque_drift": 0.1, "crosstalk": 0.1}
    full = shown(Wrench(**loud), loads)[0]
    less = shown(Wrench(off=(effect,), **loud), loads)[0]
    alone = shown(only(effect, **loud), loads)[0] - loads
    assert (full != less).any()
    assert (full - less) / SPREAD == pytest.approx(alone / SPREAD, abs=1e-4)  # effects add up


def test_on_the_line_a_resting_wrist_is_told_within_what_the_data_sheet_allows(blind_spec):
    sensor = Wrench()
    noise = np.array([sensor.force_noise] * 3 + [sensor.torque_noise] * 3)
    bias = np.array([sensor.force_bias] * 3 + [sensor.torque_bias] * 3)
    worst = 0.0
    with Cell(blind_spec.change({"sensors": {"probe": {"kind": "wrench", "clean": True}}})) as cell:
        for seed in range(5):
            cell.reset(seed)
            for _ in range(4):
                cell.step({})
            error, load = cell.readings["probe"] - cell.truth["probe_clean"], cell.truth["probe_clean"]
            share = np.linalg.norm(load / FULL) * np.hypot(sensor.crosstalk, sensor.gain_error[0]) * FULL
            allowed = SIGMAS * np.sqrt(noise**2 + bias**2 + share**2) + np.array(sensor.quantum) / 2
            assert (np.abs(error) < allowed).all()
            worst = max(worst, np.abs(error).max())
    assert worst > 0.05
