"""Active stereo: noise, steps, shadows and holes are those declared, and those measured of a D435."""

import cv2
import depths
import numpy as np
import pytest
from pydantic import ValidationError

from twinlab.sensors.depth import Depth
from twinlab.snapshot import Light

HOLES = ("shadow", "edge", "texture", "grazing")
QUIET = ("noise", "disparity")
SHAPE = (160, 160)


def independent(window: float, pixels: int) -> float:
    """How many independent values a picture of correlated ones is worth.

    A Gaussian filter of s pixels leaves a squared autocorrelation exp(-lag²/2s²), whose sum over all lags is 2πs².
    """
    return pixels / max(1.0, 2 * np.pi * (window / 12**0.5) ** 2)


def spread(sensor: Depth, z: float, focal: float, count: int = 4, seed: int = 0) -> float:
    taken = depths.shots(sensor, depths.wall(z, SHAPE), depths.camera(focal, *SHAPE), count, seed)
    return float((taken - np.float64(np.float32(z))).std())


# ---- noise


def test_with_all_effects_off_the_depth_is_the_renderers():
    z = np.random.default_rng(0).uniform(0.1, 20, SHAPE).astype(np.float32)
    z[3, 4] = np.inf
    assert (depths.shots(Depth(off=("all",)), depths.wall(z, SHAPE), depths.camera(640, *SHAPE))[0] == z).all()


@pytest.mark.parametrize(("z", "measured"), [(0.67, 1.10), (0.79, 1.56), (1.08, 3.12), (2.45, 10.6)])
def test_the_spread_is_within_a_fifth_of_what_a_d435_showed(z, measured):
    """Its readings come in millimetres; sensing rounds them, which is done by hand here."""
    sensor = Depth(off=HOLES)
    taken = depths.shots(sensor, depths.wall(z, SHAPE), depths.camera(640, *SHAPE), 6)
    told = np.rint(taken / sensor.quantum[0]) * sensor.quantum[0]
    # 6 pictures are worth 6,000 independent values, so that the spread is known to 0.9 %; all are within 18 %.
    assert 1000 * told.std() == pytest.approx(measured, rel=0.2)


@pytest.mark.parametrize("focal", [640, 160])
def test_noise_grows_with_the_range_as_declared_whatever_the_size_of_the_picture(focal):
    sensor = Depth(off=(*HOLES, "disparity"))
    ranges = np.array([0.5, 0.8, 1.2, 1.8, 2.4, 3.0])
    found = np.array([spread(sensor, z, focal, seed=i) for i, z in enumerate(ranges)])
    # A spread of n independent values is known to 1/sqrt(2n), and a slope to that over the spread of ln(range).
    error = 1 / np.sqrt(2 * independent(7 * focal / 640, 4 * SHAPE[0] * SHAPE[1]))
    slope, height = np.polyfit(np.log(ranges), np.log(found), 1)
    assert slope == pytest.approx(2 - sensor.falling, abs=4 * error / (np.log(ranges).std() * 6**0.5) + 0.01)
    at_one_metre = sensor.subpixel / (sensor.focal * sensor.baseline)
    assert np.exp(height) == pytest.approx(at_one_metre, rel=4 * error / 6**0.5 + 0.01)  # 1 %: z is not quite linear


def test_noise_grows_with_the_square_of_the_range_where_the_disparity_is_as_good_everywhere():
    sensor = Depth(off=(*HOLES, "disparity"), falling=0)
    ratio = spread(sensor, 2.0, 160) / spread(sensor, 1.0, 160)
    # Same seed, so that only the bend of 1/x between one and two metres is left.
    assert ratio == pytest.approx(4, rel=0.01)


def test_half_the_baseline_doubles_the_noise():
    off = (*HOLES, "disparity")
    assert spread(Depth(off=off, baseline=0.025), 1.0, 160) == pytest.approx(
        2 * spread(Depth(off=off), 1.0, 160), rel=0.01
    )


@pytest.mark.parametrize(("focal", "lag"), [(640, 2), (640, 4), (640, 8), (320, 2), (160, 2)])
def test_noise_is_correlated_within_the_window_and_not_beyond(focal, lag):
    taken = depths.shots(Depth(off=(*HOLES, "disparity")), depths.wall(1, SHAPE), depths.camera(focal, *SHAPE), 4)
    error = taken - taken.mean()
    found = (error[..., lag:] * error[..., :-lag]).mean() / error.var()
    apart = lag * 640 / focal  # in the device's pixels
    wanted = np.exp(-(apart**2) / (4 * 7**2 / 12))
    # A correlation of n independent values is known to 1/sqrt(n); where the bell is narrower than a pixel, its few
    # weights are known to 3 %.
    n = independent(7 * focal / 640, taken.size)
    assert found == pytest.approx(wanted, abs=4 / np.sqrt(n) + 0.03)


def test_disparities_come_in_steps():
    found = depths.shots(Depth(off=HOLES, step=1 / 8), depths.wall(2, SHAPE), depths.camera(640, *SHAPE))[0]
    steps = 8 * 32 / found.astype(float)
    assert len(np.unique(found)) > 2
    assert np.abs(steps - steps.round()).max() < 1e-4


# ---- holes


def step_at(column: int, near: float, far: float, shape=(20, 200)) -> np.ndarray:
    """A box from a column on, 40 pixels wide, before a wall."""
    z = np.full(shape, far, np.float32)
    z[:, column : column + 40] = near
    return z


@pytest.mark.parametrize("focal", [640, 320])
def test_the_shadow_is_as_wide_as_the_disparities_differ_and_lies_on_the_left(focal):
    z = step_at(120, 0.5, 0.8)
    sensor = Depth(off=(*QUIET, "edge", "texture", "grazing"), columns=1e5)
    holes = np.isinf(depths.shots(sensor, depths.wall(z, z.shape), depths.camera(focal, *z.shape))[0])
    width = focal * 0.05 * (1 / 0.5 - 1 / 0.8)  # 24 or 12 pixels
    assert np.nonzero(holes[10])[0].tolist() == list(range(120 - round(width), 120))
    assert (holes == holes[10]).all()


def test_the_left_rim_has_no_partner_where_the_view_is_the_devices_own():
    shape = (20, 200)
    sensor = Depth(off=(*QUIET, "edge", "texture", "grazing"), columns=200)
    seen, view = depths.camera(640, *shape), depths.wall(0.8, shape)
    holes = np.isinf(depths.shots(sensor, view, seen)[0])
    assert np.nonzero(holes[0])[0].tolist() == list(range(40))  # 640 · 0.05 / 0.8
    middle = sensor.model_copy(update={"columns": 1280.0})
    assert np.isfinite(depths.shots(middle, view, seen)).all()


def clutter(seed: int, shape: tuple[int, int] = (720, 1280)) -> np.ndarray:
    """Boxes before a table that is seen from above and a little from the side (height, width) [m]."""
    rng = np.random.default_rng(seed)
    inverse = np.repeat(1 / 0.9 + 0.0005 * (np.arange(shape[0]) - shape[0] / 2)[:, None], shape[1], axis=1)
    for _ in range(110):
        (width, height), x, y = rng.integers(20, 110, 2), rng.integers(shape[1]), rng.integers(shape[0])
        box = inverse[max(y - height // 2, 0) : y + height // 2, max(x - width // 2, 0) : x + width // 2]
        np.maximum(box, 1 / rng.uniform(0.65, 0.85), out=box)
    return (1 / inverse).astype(np.float32)


def test_holes_are_as_many_and_as_small_as_those_of_a_d435():
    """Measured: 22 % of all, 57 to 64 % within 5 pixels of a jump, 11 % elsewhere, mostly of 1 or 2 pixels."""
    rows = []
    for seed in range(2):
        z = clutter(seed)
        holes = np.isinf(depths.shots(Depth(), depths.wall(z, z.shape), depths.camera(640, *z.shape), seed=seed)[0])
        flat = np.ones(z.shape, np.uint8)
        jump = np.abs(np.diff(32 / z, axis=1)) > 1
        flat[:, 1:][jump] = flat[:, :-1][jump] = 0
        jump = np.abs(np.diff(32 / z, axis=0)) > 1
        flat[1:][jump] = flat[:-1][jump] = 0
        close = cv2.distanceTransform(flat, cv2.DIST_L2, 5) <= 5
        sizes = cv2.connectedComponentsWithStats(holes.astype(np.uint8), connectivity=8)[2][1:, cv2.CC_STAT_AREA]
        rows.append((holes.mean(), holes[close].mean(), holes[~close].mean(), np.median(sizes)))
    overall, beside, elsewhere, size = np.mean(rows, axis=0)
    # 400,000 pixels beside jumps and holes of 50 pixels: rates are known to 0.6 %. The rest is room for the view.
    assert overall == pytest.approx(0.22, abs=0.03)
    assert 0.55 <= beside <= 0.64
    assert elsewhere == pytest.approx(0.11, abs=0.02)
    assert size <= 2


@pytest.mark.parametrize("focal", [640, 64])
def test_a_small_picture_loses_only_the_part_of_its_pixels_that_is_close_to_an_edge(focal):
    """At a tenth of the size 5 pixels are half a pixel: half of the pixels along an edge lie within them."""
    z = step_at(60, 0.5, 1.0, (200, 200))
    sensor = Depth(off=(*QUIET, "texture", "grazing", "shadow"))
    holes = np.isinf(depths.shots(sensor, depths.wall(z, z.shape), depths.camera(focal, *z.shape), 40))
    beside = holes[..., [59, 60, 99, 100]]
    # 40 pictures of 200 rows and 2 edges; holes are correlated over 5 rows and across an edge: 3,200 are independent.
    assert beside.mean() == pytest.approx(0.54 * min(1, 5 * focal / 640), abs=4 * 0.5 / 3200**0.5)
    assert not holes[..., :50].any() and not holes[..., 110:].any()


def test_a_slanted_plane_is_no_edge():
    rows = np.arange(100)[:, None]
    z = np.repeat(1 / (1 + 0.012 * rows), 100, axis=1).astype(np.float32)  # from 1 m to 0.46 m
    sensor = Depth(off=(*QUIET, "texture", "grazing", "shadow"), edge=1.0)
    assert np.isfinite(depths.shots(sensor, depths.wall(z, z.shape), depths.camera(64, 100, 100))).all()


@pytest.mark.parametrize(("angle", "share"), [(0.9, 0.0), (1.25, None), (1.5, 1.0)])
def test_a_surface_seen_from_the_side_is_lost_the_more_the_steeper_it_is(angle, share):
    sensor = Depth(off=(*QUIET, "texture", "edge", "shadow"))
    normal = (0, np.sin(angle), -np.cos(angle))
    view = depths.wall(1, (40, 40), normal)
    holes = np.isinf(depths.shots(sensor, view, depths.camera(2000, 40, 40), 40))
    low, high = np.cos(1.40), np.cos(1.05)
    share = 1 - (np.cos(angle) - low) / (high - low) if share is None else share
    # 64,000 pixels; at this size holes are correlated over 7 · 2000/640 pixels, so that about 250 are independent.
    assert holes.mean() == pytest.approx(share, abs=4 * 0.5 / 250**0.5 if 0 < share < 1 else 1e-9)


def test_without_a_projector_a_plain_wall_is_lost_and_a_printed_one_is_not():
    off = (*QUIET, "edge", "grazing", "shadow")
    seen, plain = depths.camera(640, *SHAPE), depths.wall(1, SHAPE)
    printed = depths.wall(1, SHAPE)
    printed.rgb[:, ::2] = 60
    passive = Depth(off=off, projector=0.0)
    assert np.isinf(depths.shots(passive, plain, seen)).all()
    for sensor, view in (
        (passive, printed),
        (Depth(off=off), plain),
        (Depth(off=off, projector=0.0, grain=0.1), plain),
    ):
        holes = np.isinf(depths.shots(sensor, view, seen, 6))
        # Holes of the window's size: 150,000 pixels are worth 6,000.
        assert holes.mean() == pytest.approx(sensor.missing, abs=4 * (0.07 * 0.93 / 6000) ** 0.5)


def test_dark_and_shiny_surfaces_far_ones_and_those_in_the_sun_hide_the_dots():
    off = (*QUIET, "edge", "grazing", "shadow")
    sensor, seen = Depth(off=off, missing=0.0), depths.camera(640, *SHAPE)

    def lost(z: float = 1.0, **more) -> float:
        return float(np.isinf(depths.shots(sensor, depths.wall(z, SHAPE), seen, **more)).mean())

    assert lost() == 0
    # The dots' contrast: sRGB 0.1 scatters 0.1^2.2 = 0.0063, in light of 0.6 + 0.45, of 0.01 that matching needs.
    wanted = 1 - 0.63 / 1.05
    assert lost(visuals=(depths.surface(0.1),), count=6) == pytest.approx(wanted, abs=4 * 0.5 / 6000**0.5)
    assert lost(visuals=(depths.surface(1.0, gloss=0.999),)) > 0.8
    assert lost(z=8.0, visuals=(depths.surface(0.5),)) > 0.5
    assert lost(visuals=(depths.surface(0.3),), light=Light(sun=50.0)) > 0.8


@pytest.mark.parametrize("effect", ["edge", "texture", "grazing"])
def test_an_effect_that_is_switched_off_leaves_the_other_holes_where_they_were(effect):
    z = step_at(60, 0.5, 1.0, (100, 200))
    view, seen = depths.wall(z, z.shape, normal=(0, 0.93, -0.37)), depths.camera(320, *z.shape)
    full = np.isinf(depths.shots(Depth(), view, seen, seed=2))
    less = np.isinf(depths.shots(Depth(off=(effect,)), view, seen, seed=2))
    assert (less <= full).all() and less.sum() < full.sum()


def test_what_is_too_near_or_too_far_is_not_measured():
    z = np.linspace(0.05, 12, SHAPE[1], dtype=np.float32) * np.ones(SHAPE, np.float32)
    sensor = Depth(off=(*QUIET, *HOLES))
    found = depths.shots(sensor, depths.wall(z, SHAPE), depths.camera(640, *SHAPE))[0]
    assert (np.isfinite(found) == ((z >= 0.28) & (z <= 10))).all()


def test_limits_in_the_wrong_order_are_told():
    with pytest.raises(ValidationError, match="oblique must be below grazing"):
        Depth(oblique=1.5)
    with pytest.raises(ValidationError, match="near must be below far"):
        Depth(near=11.0)
