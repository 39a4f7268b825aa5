"""The colour camera: its noise is that of EMVA 1288, and lens, shutter and motion move pixels as they should."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from twinlab import frames, meshes
from twinlab.cameras import Camera, Mounted
from twinlab.renderers import Frame
from twinlab.renderers.raster import Raster
from twinlab.sensors import Moment
from twinlab.sensors._normal import normal
from twinlab.sensors.rgb import _LINEAR, Rgb
from twinlab.snapshot import Snapshot, Visual
from twinlab.world import World

QUIET = ("shot", "read", "pattern")


class Draws:
    """A stream for each effect."""

    def __init__(self, seed: int = 0) -> None:
        self.made: dict[str, np.random.Generator] = {}
        self.seed = seed

    def __call__(self, effect: str) -> np.random.Generator:
        return self.made.setdefault(effect, np.random.default_rng([self.seed, len(effect), ord(effect[0])]))


def flat(level: int, size: int = 100) -> Frame:
    """A picture of one grey."""
    shape = (size, size)
    plain = np.zeros(shape, np.int16)
    return Frame(
        np.full((*shape, 3), level, np.uint8),
        np.ones(shape, np.float32),
        plain,
        plain,
        np.zeros((*shape, 3), np.float32),
    )


def mounted(**fields: object) -> Mounted:
    camera = Camera(**{"width": 100, "height": 100, **fields})
    return Mounted(camera, camera.intrinsics(), camera.mount())


def shots(frame: Frame, rgb: Rgb, count: int = 1, seed: int = 0, camera: Mounted | None = None) -> np.ndarray:
    """So many pictures of the same view (count, height, width, 3)."""
    camera = camera or mounted(width=frame.rgb.shape[1], height=frame.rgb.shape[0])
    draw, state, out = Draws(seed), None, []
    still = Snapshot(0.0, ("a",), ("a",), frames.IDENTITY[None], (Visual(0, 0, None, frames.IDENTITY, (0, 0, 0)),), {})
    with World() as world:
        for _ in range(count):
            now = Moment(world, {"overhead": camera}, lambda: still, lambda *_: lambda: frame, None)
            clean, state = rgb.read("eye", now, state)
            value, state = rgb.measure("eye", now, clean, state, draw)
            out.append(value["eye"])
            world.step()
    return np.stack(out)


def electrons(pictures: np.ndarray, rgb: Rgb) -> np.ndarray:
    """The electrons that pictures stand for."""
    return _LINEAR[pictures].astype(float) * rgb.full_well / 10 ** (rgb.gain / 20)


# ---- noise


def test_normal_noise_has_the_moments_of_a_normal_distribution():
    drawn = normal(np.random.default_rng(0), (1_000_001,)).astype(float)
    # Standard errors at a million numbers: mean 0.001, variance 0.0014, kurtosis 0.005; neighbours 0.001.
    assert drawn.mean() == pytest.approx(0, abs=0.004)
    assert drawn.var() == pytest.approx(1, abs=0.006)
    assert (drawn**4).mean() == pytest.approx(3, abs=0.04)
    assert abs((drawn[1:] * drawn[:-1]).mean()) < 0.004
    assert (np.abs(drawn) > 3).mean() == pytest.approx(0.0027, abs=0.0002)


def test_normal_noise_repeats_under_the_same_seed_whatever_its_shape():
    one = normal(np.random.default_rng(1), (3, 5))
    assert one.dtype == np.float32
    assert (one.ravel() == normal(np.random.default_rng(1), (15,))).all()


def test_with_all_effects_off_the_picture_is_the_renderers():
    frame = replace(flat(0), rgb=np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8))
    assert np.abs(shots(frame, Rgb(off=("all",)))[0].astype(int) - frame.rgb).max() <= 1


def test_white_fills_the_declared_share_of_a_pixel():
    rgb = Rgb(off=QUIET, gain=0.0)
    # 1000 lx on white, a lens of f/2.8 that lets 0.9 through: 28.7 lx on the sensor, 4090 photons per lx, s and µm².
    wanted = 1000 * 0.9 / (4 * 2.8**2) * 4090 * 3.45**2 * 0.62 * 0.008
    assert electrons(shots(flat(255), rgb), rgb).mean() == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("exposure", [0.001, 0.002, 0.004])
def test_brightness_is_proportional_to_the_exposure(exposure):
    rgb = Rgb(off=QUIET, exposure=exposure)
    half = Rgb(off=QUIET, exposure=exposure / 2)
    ratio = electrons(shots(flat(255), rgb), rgb).mean() / electrons(shots(flat(255), half), half).mean()
    assert ratio == pytest.approx(2, rel=0.02)  # eight bits


def test_variance_grows_with_the_mean_by_one_electron_per_electron():
    """The photon transfer of EMVA 1288: variance in electrons is read noise squared plus the mean."""
    rgb = Rgb(off=("pattern",), read_noise=5.0)
    means, variances = [], []
    for level in range(60, 240, 20):
        taken = electrons(shots(flat(level, 60), rgb, 12), rgb)
        means.append(taken.mean())
        variances.append(np.var(taken, axis=0, ddof=1).mean())
    # sRGB's steps, which differ with the level, add a variance of a twelfth of a step squared.
    levels = np.array([np.abs(_LINEAR - m * 10 ** (rgb.gain / 20) / rgb.full_well).argmin() for m in means])
    widths = np.gradient(_LINEAR)[levels] * rgb.full_well / 10 ** (rgb.gain / 20)
    slope, offset = np.polyfit(means, np.array(variances) - widths**2 / 12, 1)
    # 10,800 pixel colours and 11 degrees of freedom each: a variance is known to 0.4 % at each of 9 levels.
    assert slope == pytest.approx(1, abs=0.02)
    assert offset == pytest.approx(25, abs=15)


def test_read_noise_alone_has_the_declared_spread():
    rgb = Rgb(off=("shot", "pattern"), read_noise=20.0)
    taken = electrons(shots(flat(120, 60), rgb, 10), rgb)
    assert np.std(taken, axis=0, ddof=1).mean() == pytest.approx(20, rel=0.05)


def test_the_pattern_stays_from_picture_to_picture_and_has_the_declared_spread():
    rgb = Rgb(off=("shot", "read"), unevenness=0.02, dark_unevenness=0.0)
    taken = electrons(shots(flat(200), rgb, 3), rgb)
    assert (taken[0] == taken[2]).all()
    assert taken[0].std() / taken[0].mean() == pytest.approx(0.02, rel=0.05)


def test_what_is_too_bright_is_cut_and_loses_its_noise():
    rgb = Rgb(exposure=0.1)
    assert (shots(flat(255), rgb)[0] == 255).all()


@pytest.mark.parametrize("effect", ["shot", "read", "pattern"])
def test_switching_one_noise_off_leaves_the_draws_as_they_were(effect):
    """So what an effect costs is measured without the luck of another draw."""
    loud = {"read_noise": 40, "unevenness": 0.02}
    full = electrons(shots(flat(150), Rgb(**loud), seed=3), Rgb())[0]
    less = electrons(shots(flat(150), Rgb(off=(effect,), **loud), seed=3), Rgb())[0]
    other = electrons(shots(flat(150), Rgb(off=(effect,), **loud), seed=4), Rgb())[0]
    assert (full != less).any()
    assert np.corrcoef(full.ravel(), less.ravel())[0, 1] > 0.6
    assert abs(np.corrcoef(full.ravel(), other.ravel())[0, 1]) < 0.03  # 30,000 pixels


def test_the_automatic_brings_a_dark_and_a_bright_view_to_the_same_brightness():
    for level in (60, 230):
        rgb = Rgb(auto=True, longest=1.0, off=("pattern",))
        last = shots(flat(level, 20), rgb, 40)[-1]
        assert _LINEAR[last].mean() == pytest.approx(rgb.target, rel=0.05)


def test_the_automatic_never_sets_more_than_the_longest_exposure():
    rgb = Rgb(auto=True, longest=0.01, off=QUIET)
    fixed = Rgb(exposure=0.01, off=QUIET)
    assert (shots(flat(20, 20), rgb, 40)[-1] == shots(flat(20, 20), fixed)[0]).all()


# ---- motion and lens


def moving(rgb: Rgb, speed: tuple[float, float], camera: Camera, span: float = 0.05) -> list[np.ndarray]:
    """Two pictures of a white box before black that moves at (x, y) [m/s], by a real renderer."""
    lit = Visual(0, 0, meshes.box((0.2, 0.2, 0.1)).mesh, frames.IDENTITY, (1.0, 1.0, 1.0))
    view = Raster(shadows=False, background=(0, 0, 0)).open()
    seen = Mounted(camera, camera.intrinsics(), camera.mount())
    draw, state, out = Draws(), None, []
    with World(step=span) as world:
        for i in range(2):
            at = frames.pose((speed[0] * span * i, speed[1] * span * i, 0))
            now = Snapshot(span * i, ("box",), ("box",), at[None], (lit,), {})
            moment = Moment(
                world,
                {"overhead": seen},
                lambda now=now: now,
                lambda snapshot, mount, _: view.begin(snapshot, mount.lens, mount.pose(snapshot)),
                None,
            )
            clean, state = rgb.read("eye", moment, state)
            value, state = rgb.measure("eye", moment, clean, state, draw)
            out.append(value["eye"])
            world.step()
    view.close()
    return out


LOOK = Camera(width=120, height=120, fov=0.6, position=(0, 0, 1.0), look_at=(0, 0, 0), up=(0, 1, 0))
PX = 60 / np.tan(0.3) / 0.95  # pixels per metre on the box's upper face


def edges(picture: np.ndarray) -> np.ndarray:
    """Linear brightness along the middle row, as a share of the brightest."""
    row = _LINEAR[picture[60, :, 0]]
    return row / row.max()


def test_a_moving_edge_is_smeared_over_speed_times_exposure_and_a_still_one_is_not():
    rgb = Rgb(off=QUIET, exposure=0.02, gain=0.0, illuminance=300)
    first, second = moving(rgb, (1.0, 0.0), LOOK)
    assert ((edges(first) > 0.02) & (edges(first) < 0.98)).sum() <= 2
    ramp = ((edges(second) > 0.02) & (edges(second) < 0.98)).sum() / 2
    assert ramp == pytest.approx(0.02 * PX, abs=1.5)
    still = moving(Rgb(off=(*QUIET, "blur"), exposure=0.02, gain=0.0, illuminance=300), (1.0, 0.0), LOOK)[1]
    assert ((edges(still) > 0.02) & (edges(still) < 0.98)).sum() <= 2


def test_a_rolling_shutter_leans_what_moves_sideways_by_speed_times_row_time():
    row_time, speed = 1e-4, 2.0
    plain = moving(Rgb(off=(*QUIET, "blur"), illuminance=300), (speed, 0), LOOK)[1]
    rolled = moving(Rgb(off=(*QUIET, "blur"), illuminance=300, row_time=row_time), (speed, 0), LOOK)[1]

    def middle(picture: np.ndarray, row: int) -> float:
        light = _LINEAR[picture[row, :, 0]].astype(float)
        return float((light * np.arange(120)).sum() / light.sum())

    lean = [middle(rolled, row) - middle(plain, row) for row in (45, 75)]
    assert lean[1] - lean[0] == pytest.approx(30 * row_time * speed * PX, abs=0.3)


def test_distortion_is_opencvs():
    camera = Camera(**{**LOOK.model_dump(), "fov": 1.2, "distortion": (-0.25, 0.05, 0.001, -0.002, 0)})
    bent = moving(Rgb(off=QUIET, illuminance=300), (0, 0), camera)[1][..., 0] > 100
    corners = np.array([[x, y, 0.95] for x, y in ((-0.1, -0.1), (0.1, -0.1), (0.1, 0.1), (-0.1, 0.1))])
    lens = camera.intrinsics()
    pixels, _ = cv2.projectPoints(corners, np.zeros(3), np.zeros(3), lens.matrix, np.array(camera.distortion))
    area = cv2.contourArea(pixels.astype(np.float32))
    assert bent.sum() == pytest.approx(area, abs=18)  # a quarter of its outline in pixels
    rows, columns = np.nonzero(bent)
    assert (columns.mean(), rows.mean()) == pytest.approx(pixels.reshape(-1, 2).mean(axis=0), abs=0.3)


def test_a_lens_that_bends_shows_no_edge_of_the_picture_that_was_rendered():
    camera = Camera(**{**LOOK.model_dump(), "fov": 1.2, "distortion": (-0.3, 0, 0, 0, 0)})
    assert camera.margin() > 5
    assert LOOK.margin() == 0
