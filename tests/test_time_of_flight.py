"""Time of flight: noise follows from the amplitude; edges mix, detours lengthen, the phase begins anew."""

import depths
import numpy as np
import pytest

from twinlab.sensors.time_of_flight import TimeOfFlight

EFFECTS = TimeOfFlight.effects
SHAPE = (100, 100)


def only(*effects: str, **fields: object) -> TimeOfFlight:
    return TimeOfFlight(off=tuple(e for e in EFFECTS if e not in effects), **fields)


def seen(sensor: TimeOfFlight, z, focal: float = 3000, count: int = 1, normal=(0, 0, -1), shape=SHAPE, **more):
    """Pictures through a lens so long that all rays are nearly parallel."""
    return depths.shots(sensor, depths.wall(z, shape, normal), depths.camera(focal, *shape), count, **more)


def test_with_all_effects_off_the_depth_is_the_renderers():
    z = np.random.default_rng(0).uniform(0.1, 20, SHAPE).astype(np.float32)
    z[3, 4] = np.inf
    assert (seen(TimeOfFlight(off=("all",)), z)[0] == z).all()


# ---- noise


@pytest.mark.parametrize("focal", [3000, 300])
@pytest.mark.parametrize(
    ("z", "grey", "angle"), [(0.6, 1, 0), (1, 1, 0), (2, 1, 0), (3.8, 1, 0), (1, 0.5, 0), (1, 1, 1.2)]
)
def test_noise_follows_from_the_amplitude(z, grey, angle, focal):
    """Lange and Seitz: sqrt(all light) over the amplitude, which is albedo · cos / range²."""
    normal = (0, np.sin(angle), -np.cos(angle))
    error = seen(only("noise"), z, focal, 4, normal, visuals=(depths.surface(grey),)) - np.float32(z)
    amplitude = grey**2.2 * np.cos(angle) / z**2
    middle = error[:, 45:55, 45:55]  # where the angle is the declared one
    # 400 values: the spread is known to 3.5 %.
    assert middle.std() == pytest.approx(0.0012 * np.sqrt(amplitude + 0.01) / amplitude, rel=0.12)


def test_the_farthest_dark_surface_is_as_noisy_as_the_azure_kinects_limit():
    """Its data sheet: a standard deviation of at most 17 mm, here at 3.86 m and 15 % albedo."""
    error = seen(only("noise"), 3.86, count=2, visuals=(depths.surface(0.15 ** (1 / 2.2)),)) - np.float32(3.86)
    assert error.std() == pytest.approx(0.017, rel=0.04)  # 20,000 values: known to 0.5 %


def test_noise_is_of_the_range_and_not_of_the_depth():
    """Towards the corners the range is longer than the depth, so that less of its error is along the axis."""
    shape = (10, 201)
    error = seen(only("noise", ambient=0.0), 1, 100, 200, shape=shape) - 1
    length = np.sqrt(1 + ((np.arange(201) - 100) / 100) ** 2)  # at the rim 1.41, seen at 45 degrees
    wanted = 0.0012 * np.sqrt(length**3 / (180 / 255) ** 2.2) / length
    found = error.std(axis=(0, 1))
    # 2,000 values each: known to 1.6 %; the rows are up to 0.1 % off.
    assert found[[0, 100, 200]] == pytest.approx(wanted[[0, 100, 200]], rel=0.065)


def test_what_sends_back_too_little_is_not_measured():
    sensor = only("amplitude")
    assert np.isfinite(seen(sensor, 3.8, visuals=(depths.surface(0.15 ** (1 / 2.2)),))).all()
    assert np.isinf(seen(sensor, 3.8, visuals=(depths.surface(0.10 ** (1 / 2.2)),))).all()
    assert np.isinf(seen(sensor, 1.0, visuals=(depths.surface(1.0, gloss=0.995),))).all()


@pytest.mark.parametrize(("angle", "lost"), [(1.4, False), (1.5, True)])
def test_grazing_surfaces_are_not_measured(angle, lost):
    assert np.isinf(seen(only("grazing"), 1, normal=(0, np.sin(angle), -np.cos(angle)))).all() == lost


# ---- what light does on its way


def box(near: float = 0.8, far: float = 1.6) -> np.ndarray:
    z = np.full(SHAPE, far, np.float32)
    z[:, 50:] = near
    return z


@pytest.mark.parametrize("focal", [504, 252])
def test_as_many_pixels_fly_at_an_edge_as_have_their_spot_across_it(focal):
    z = box()
    found = seen(only("flying"), z, focal, 40)
    mixed = np.abs(found - z) > 1e-6
    assert not mixed[..., :49].any() and not mixed[..., 51:].any()
    # A spot of 1.5 pixels reaches 0.75 to each side of an edge that runs anywhere within a pixel; 8,000 pixels.
    share = 0.75 * focal / 504
    assert mixed[..., 49:51].mean() == pytest.approx(share, abs=4 * (share * (1 - share) / 8000) ** 0.5)
    flying = found[mixed]
    assert (flying > 0.8).all() and (flying < 1.6).all()


def test_a_flying_pixel_is_the_mean_of_both_sides_by_the_light_that_they_send():
    """The far side's pixels: the share of the near one is even in 0 to 1/2, and its light four times as strong."""
    found = seen(only("flying", footprint=2.0), box(), 504, 100)[..., 49]
    share = np.linspace(0, 0.5, 2001)
    light = (1 - share) / 1.6**2, share / 0.8**2
    wanted = ((light[0] * 1.6 + light[1] * 0.8) / (light[0] + light[1])).mean()
    # 10,000 values spread over 0.5 m: the mean is known to 2 mm.
    assert found.mean() == pytest.approx(wanted, abs=0.008)


def test_an_edge_before_nothing_mixes_with_nothing():
    z = box(far=np.inf)
    assert (seen(only("flying"), z, 504, 4) == z).all()


def test_shiny_surfaces_and_corners_look_farther_away_and_a_wall_does_not():
    sensor = only("multipath")
    assert (seen(sensor, 1.0) == 1).all()
    shiny = seen(sensor, 1.0, visuals=(depths.surface(gloss=0.5),)) - 1
    assert shiny.mean() == pytest.approx(0.1 * 0.05 / 1.05, rel=0.01)  # detour · share / (1 + share)
    columns = np.abs(np.arange(100) - 49.5)
    corner = (1 / (1 + 0.02 * columns)).astype(np.float32) * np.ones(SHAPE, np.float32)
    bias = (seen(sensor, corner, 504) - corner)[0, 50]
    assert bias[49] == pytest.approx(0.1 * 0.1 / 1.1, rel=0.02) and bias[20] < 1e-4
    roof = (1 / (3 - 0.02 * columns)).astype(np.float32) * np.ones(SHAPE, np.float32)
    assert np.abs(seen(sensor, roof, 504) - roof)[..., 20:80].max() < 1e-6


@pytest.mark.parametrize(("z", "told"), [(1.4, 1.4), (1.6, 0.1), (3.2, 0.2)])
def test_beyond_the_ambiguity_the_range_begins_anew(z, told):
    found = seen(only("wrap", ambiguity=1.5), z)
    assert found[0, 50, 50] == pytest.approx(told, abs=1e-3)


def test_what_is_too_near_or_too_far_is_not_measured():
    z = np.linspace(0.05, 6, SHAPE[1], dtype=np.float32) * np.ones(SHAPE, np.float32)
    found = seen(only("range"), z)[0]
    assert (np.isfinite(found) == ((z >= 0.5) & (z <= 3.86))).all()
