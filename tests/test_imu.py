"""The inertial measurement unit: what it feels, and an Allan deviation that is the declared one."""

import numpy as np
import pytest

from twinlab import frames, meshes
from twinlab.cell import Cell
from twinlab.sensing import Streams
from twinlab.sensors import Moment
from twinlab.sensors.imu import Imu
from twinlab.snapshot import Piece
from twinlab.world import World

SIGMAS = 4.5  # so far from its mean a normal variable is found once in 150,000 times
UNITS = 100  # resting IMUs that are followed at once


def errors(imu: Imu, steps: int, every: float, seed: int = 0) -> np.ndarray:
    """Errors of many resting IMUs, (step, unit, force or rate, axis)."""
    draw, stray, out = Streams(seed, "probe"), None, np.empty((steps, UNITS, 2, 3))
    for i in range(steps):
        out[i], stray = imu.stray(stray, i * every, draw, (UNITS,))
    return out


def allan(series: np.ndarray, size: int) -> tuple[np.ndarray, float]:
    """Allan deviation of force and rate (2,) for means of so many samples, and how well it is known, as a share.

    Only differences of pairs of means that share no mean are taken: n of them are as good as independent, so that a
    deviation is known to 1/sqrt(2n).
    """
    pairs = len(series) // (2 * size)
    means = series[: pairs * 2 * size].reshape(pairs, 2, size, *series.shape[1:]).mean(axis=2)
    difference = means[:, 1] - means[:, 0]
    count = pairs * UNITS * 3
    return np.sqrt((difference**2).mean(axis=(0, 1, 3)) / 2), 1 / np.sqrt(2 * count)


def slope(sizes: list[int], deviations: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, float]:
    """Slope of the deviations (size, 2) over the averaging time, in logarithms, and how far off it may be."""
    x = np.log(sizes) - np.log(sizes).mean()
    weights = x / (x**2).sum()
    return weights @ np.log(deviations), float(np.abs(weights) @ known)


def curve(imu: Imu, sizes: list[int], steps: int, every: float) -> tuple[np.ndarray, np.ndarray]:
    """Allan deviations (size, 2), and how far each may be off, as a share (size,)."""
    series = errors(imu, steps, every)
    found = [allan(series, size) for size in sizes]
    return np.array([d for d, _ in found]), SIGMAS * np.array([k for _, k in found])


# ---- noise


def test_white_noise_falls_with_the_square_root_of_the_averaging_time_from_the_declared_density():
    imu, sizes = Imu(off=("instability", "walk")), [1, 4, 16, 64, 256]
    every = 1 / (2 * imu.bandwidth)  # then all of the declared band is seen, and none of it twice
    found, known = curve(imu, sizes, 2048, every)
    # A density of one-sided spectrum n has an Allan deviation of n/sqrt(2 tau).
    wanted = np.array([imu.force_noise, imu.rate_noise]) / np.sqrt(2 * every * np.array(sizes)[:, None])
    assert (np.abs(found / wanted - 1) < known[:, None]).all()
    steep, off = slope(sizes, found, known)
    assert steep == pytest.approx([-0.5, -0.5], abs=off) and off < 0.05


def test_the_random_walk_grows_with_the_square_root_of_the_averaging_time():
    imu, sizes = Imu(off=("white", "instability")), [8, 32, 128, 512]
    found, known = curve(imu, sizes, 2048, 1.0)
    # IEEE Std 952: K sqrt(tau/3), and by the same sum over m samples K sqrt(tau/3 (1 + 1/2m^2)).
    size = np.array(sizes)[:, None]
    wanted = np.array([imu.force_walk, imu.rate_walk]) * np.sqrt(size / 3 * (1 + 1 / (2 * size**2)))
    assert (np.abs(found / wanted - 1) < known[:, None]).all()
    steep, off = slope(sizes, found, known)
    assert steep == pytest.approx([0.5, 0.5], abs=off) and off < 0.1


def test_the_bias_instability_is_flat_at_the_declared_value():
    imu, sizes = Imu(off=("white", "walk")), [4, 12, 40, 120, 300]  # 20 to 1,500 s
    found, known = curve(imu, sizes, 3600, 5.0)
    wanted = np.array([imu.force_instability, imu.rate_instability])
    ripple = 0.04  # three processes make the flat part
    assert (np.abs(found / wanted - 1) < known[:, None] + ripple).all()
    level, off = slope(sizes, found, known + ripple)
    assert level == pytest.approx([0, 0], abs=off) and off < 0.1


def test_all_together_add_up_in_squares():
    imu, size, every = Imu(), 100, 1.0
    found, known = allan(errors(imu, 1000, every), size)
    density, walk = np.array([imu.force_noise, imu.rate_noise]), np.array([imu.force_walk, imu.rate_walk])
    flat = np.array([imu.force_instability, imu.rate_instability])
    # Each second's sample carries the noise of the whole band; 100 of them are averaged.
    wanted = np.sqrt(density**2 * imu.bandwidth / size + flat**2 + walk**2 * size * every / 3)
    assert found == pytest.approx(wanted, rel=SIGMAS * known + 0.04)


def test_errors_of_axes_and_units_have_nothing_to_do_with_each_other():
    series = errors(Imu(), 2, 1.0)[-1].reshape(UNITS, 6)
    away = np.abs(np.corrcoef(series.T) - np.eye(6)).max()
    assert away < SIGMAS / np.sqrt(UNITS)


@pytest.mark.parametrize("effect", ["white", "instability", "walk"])
def test_switching_one_effect_off_leaves_the_draws_of_the_others(effect):
    full = errors(Imu(), 20, 1.0)
    less = errors(Imu(off=(effect,)), 20, 1.0)
    alone = errors(Imu(off=tuple(e for e in ("white", "instability", "walk") if e != effect)), 20, 1.0)
    assert full - less == pytest.approx(alone, abs=1e-12)


# ---- what it feels


def felt(world: World, steps: int, **fields: object) -> np.ndarray:
    """Readings (step, 2, 3) of an IMU on the body "box" after each physics step; the first is at 0 s."""
    imu, draw, state, out = Imu(link="box", **fields), Streams(0, "probe"), None, []
    for _ in range(steps):
        moment = Moment(world, {}, world.snapshot, None, None)
        if world.steps:
            state = imu.advance("probe", moment, state)
        clean, state = imu.read("probe", moment, state)
        values, state = imu.measure("probe", moment, clean, state, draw)
        out.append([values["probe_force"], values["probe_rate"]])
        world.step()
    return np.array(out, float)


def box(world: World, pose: np.ndarray, mass: float = 0.0) -> None:
    world.add("box", [Piece(meshes.box((0.1, 0.1, 0.1)), frames.IDENTITY, (0, 0, 0))], pose, mass)


@pytest.mark.parametrize(
    ("turn", "up"), [((0, 0, 0), (0, 0, 1)), ((np.pi / 2, 0, 0), (0, 1, 0)), ((0, np.pi / 2, 0), (-1, 0, 0))]
)
def test_at_rest_it_feels_gravitys_reaction_along_whatever_axis_is_up(turn, up):
    with World(gravity=-9.0) as world:
        box(world, frames.from_euler((0, 0, 1), turn))
        rows = felt(world, 3, off=("all",))
    assert rows[:, 0] == pytest.approx(np.tile(9.0 * np.array(up), (3, 1)), abs=1e-5)
    assert np.abs(rows[:, 1]).max() < 1e-6


def test_in_free_fall_it_feels_nothing():
    with World() as world:
        box(world, frames.pose((0, 0, 5)), mass=1.0)
        rows = felt(world, 10, off=("all",))
    assert rows[0, 0] == pytest.approx([0, 0, 9.81])  # it is let go at 0 s
    # PyBullet takes 4 % of the velocity a second, which after 10 steps is 0.41 m/s.
    assert np.abs(rows[1:, 0]).max() < 0.04 * 0.45


def test_the_filter_smooths_the_moment_of_letting_go():
    with World() as world:
        box(world, frames.pose((0, 0, 5)), mass=1.0)
        world.step()  # the filter begins as if it had been at rest for ever
        up = felt(world, 20, off=("white", "instability", "walk"))[:, 0, 2]
    assert up[0] == pytest.approx(9.81)
    assert 3 < up[1] < 8  # without a filter it would feel nothing from here on
    assert np.abs(up[8:]).max() < 0.1


def test_on_the_arm_what_it_feels_adds_up_to_how_the_hand_moves(blind_spec):
    off = [*Imu.effects, "calibration", "quantisation", "saturation"]
    with Cell(blind_spec.change({"sensors": {"probe": {"kind": "imu", "rate": 240, "off": off}}})) as cell:
        cell.reset(0)
        for _ in range(2):
            cell.step({})
        before, turned = cell.world.velocity("arm/panda_hand"), frames.yaw(cell.world.pose("arm/panda_hand"))
        force, turn = np.zeros(3), np.zeros(3)
        for _ in range(6):
            readings = cell.step({"arm.x": 0.3, "arm.yaw": 1.0})
            pose = cell.world.pose("arm/panda_hand")
            force += frames.rotate(pose, readings["probe_force"].astype(float)).sum(axis=0) / 240
            turn += frames.rotate(pose, readings["probe_rate"].astype(float)).sum(axis=0) / 240
        gained = (cell.world.velocity("arm/panda_hand") - before)[:3]
        turned = frames.wrap(frames.yaw(cell.world.pose("arm/panda_hand")) - turned)
    assert np.linalg.norm(gained) > 0.2 and turned > 0.1
    # The hand turns by up to 0.05 rad in a tick, at whose end its pose is taken.
    assert force - [0, 0, 9.81 * 6 * 0.05] == pytest.approx(gained, abs=0.05 * np.linalg.norm(gained))
    assert turn[2] == pytest.approx(turned, abs=0.01)


def test_on_the_line_a_resting_imu_is_told_within_what_the_data_sheet_allows(blind_spec):
    imu = Imu()
    white = np.array([[imu.force_noise], [imu.rate_noise]]) * np.sqrt(imu.bandwidth)
    bias = np.array(imu.offset_error)[:, None]
    with Cell(blind_spec.change({"sensors": {"probe": {"kind": "imu", "clean": True}}})) as cell:
        for seed in range(4):
            cell.reset(seed)
            for _ in range(4):
                cell.step({})
            given = np.stack([cell.readings["probe_force"], cell.readings["probe_rate"]])
            clean = np.stack([cell.truth["probe_force_clean"], cell.truth["probe_rate_clean"]])
            allowed = SIGMAS * np.sqrt(white**2 + bias**2 + (imu.gain_error[0] * clean) ** 2)
            settled = [[0.05], [0.005]]  # the arm still settles a little, which the filter shows later
            assert (np.abs(given - clean) < allowed + settled).all()
            assert np.abs(given - clean)[0].max() > 0.01
