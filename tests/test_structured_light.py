"""Structured light: the noise is that of Nguyen et al. 2012, steps and shadow follow from the baseline."""

import depths
import numpy as np
import pytest

from twinlab.sensors.structured_light import StructuredLight

OTHERS = ("lateral", "disparity", "shadow", "grazing", "gloss")
SHAPE = (160, 160)


def test_with_all_effects_off_the_depth_is_the_renderers():
    z = np.random.default_rng(0).uniform(0.1, 20, SHAPE).astype(np.float32)
    z[3, 4] = np.inf
    sensor = StructuredLight(off=("all",))
    assert (depths.shots(sensor, depths.wall(z, SHAPE), depths.camera(580, *SHAPE))[0] == z).all()


@pytest.mark.parametrize("focal", [580, 145])
@pytest.mark.parametrize(("z", "angle"), [(0.5, 0), (1, 0), (2, 0), (3, 0), (1, 1.2), (2, 1.35)])
def test_the_axial_noise_is_that_of_the_paper(z, angle, focal):
    view = depths.wall(z, SHAPE, (0, np.sin(angle), -np.cos(angle)))
    error = depths.shots(StructuredLight(off=OTHERS), view, depths.camera(focal, *SHAPE), 8) - np.float32(z)
    # The normal is the same everywhere and the rays are not; in the middle rows the angle is the declared one.
    middle = error[:, 70:90]
    wanted = 0.0012 + 0.0019 * (z - 0.4) ** 2
    if angle > np.pi / 3:
        wanted += 0.0001 / z**0.5 * angle**2 / (np.pi / 2 - angle) ** 2
    # 8 · 20 · 160 pixels; a window of s device pixels leaves one in 2πs²/12 independent: 600 or more, known to 3 %.
    assert middle.std() == pytest.approx(wanted, rel=0.12)


def test_steps_of_the_depth_are_those_of_an_eighth_of_a_pixel():
    """z² / (8 · 580 · 0.075) is 2.87 mm at 1 m; a Kinect showed 3.0 there, 3.5 at 1.1 m and 4 at 1.2 m."""
    sensor = StructuredLight(off=tuple(e for e in (*OTHERS, "noise") if e != "disparity"))
    z = np.linspace(0.95, 1.25, 160, dtype=np.float32) * np.ones(SHAPE, np.float32)
    found = np.unique(depths.shots(sensor, depths.wall(z, SHAPE), depths.camera(580, *SHAPE)))
    for at in (1.0, 1.1, 1.2):
        steps = np.diff(found)[np.abs(found[1:] - at).argmin()]
        assert steps == pytest.approx(at**2 / (8 * 580 * 0.075), rel=0.02)


@pytest.mark.parametrize("focal", [580, 145])
def test_the_edge_of_a_box_is_ragged_by_the_lateral_noise(focal):
    sensor = StructuredLight(off=tuple(e for e in (*OTHERS, "noise") if e != "lateral"), lateral=4.0)
    z = np.where(np.arange(160) < 80, 0.8, 1.6).astype(np.float32) * np.ones(SHAPE, np.float32)
    found = depths.shots(sensor, depths.wall(z, SHAPE), depths.camera(focal, *SHAPE), 20)
    share = (found < 1.2).mean(axis=(0, 1))  # the odds that a column shows the box: a normal distribution's tail
    columns = np.arange(160)
    mass = np.abs(share - (columns < 80)).sum()  # E|shift| of a normal shift is sigma · sqrt(2/pi)
    sigma = 4.0 * focal / 580
    # 3,200 rows: the sum over some 4 sigma columns is known to 2 %; whole pixels add up to 4 % at one pixel.
    assert mass == pytest.approx(sigma * np.sqrt(2 / np.pi), rel=0.08)


@pytest.mark.parametrize("focal", [580, 290])
def test_the_projector_leaves_a_shadow_on_the_left(focal):
    z = np.full((20, 200), 1.2, np.float32)
    z[:, 120:160] = 0.8
    sensor = StructuredLight(off=tuple(e for e in (*OTHERS, "noise") if e != "shadow"))
    holes = np.isinf(depths.shots(sensor, depths.wall(z, z.shape), depths.camera(focal, *z.shape))[0])
    width = focal * 0.075 * (1 / 0.8 - 1 / 1.2)
    assert np.nonzero(holes[10])[0].tolist() == list(range(120 - round(width), 120))


@pytest.mark.parametrize(("angle", "lost"), [(1.3, False), (1.45, True)])
def test_grazing_surfaces_are_not_measured(angle, lost):
    view = depths.wall(1, (20, 20), (0, np.sin(angle), -np.cos(angle)))
    found = depths.shots(StructuredLight(), view, depths.camera(1000, 20, 20))
    assert np.isinf(found).all() == lost


def test_a_shiny_surface_loses_as_many_pixels_as_it_mirrors():
    sensor = StructuredLight(off=("noise", "lateral", "disparity", "shadow", "grazing"))
    view, seen = depths.wall(1, SHAPE), depths.camera(145, *SHAPE)
    holes = np.isinf(depths.shots(sensor, view, seen, 10, visuals=(depths.surface(gloss=0.3),)))
    # 256,000 pixels, one in three independent: the share is known to 0.2 %.
    assert holes.mean() == pytest.approx(0.3, abs=0.008)
    assert np.isfinite(depths.shots(sensor, view, seen)).all()


def test_what_is_too_near_or_too_far_is_not_measured():
    z = np.linspace(0.05, 6, SHAPE[1], dtype=np.float32) * np.ones(SHAPE, np.float32)
    sensor = StructuredLight(off=(*OTHERS, "noise"))
    found = depths.shots(sensor, depths.wall(z, SHAPE), depths.camera(580, *SHAPE))[0]
    assert (np.isfinite(found) == ((z >= 0.4) & (z <= 4.5))).all()
