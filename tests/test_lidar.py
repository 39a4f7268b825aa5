"""The lidar: ideal rays agree with geometry, and what it gets wrong has the declared size."""

from collections.abc import Callable

import numpy as np
import pytest

from twinlab import frames, meshes
from twinlab.cell import Cell
from twinlab.frames import IDENTITY, pose
from twinlab.renderers.raycast import Raycast
from twinlab.sensing import Streams
from twinlab.sensors import Moment
from twinlab.sensors.lidar import Lidar
from twinlab.snapshot import Snapshot, Visual
from twinlab.world import World

HERE = {"position": (0, 0, 0), "turn": (0, 0, 0), "quantum": (0,), "latency": 0.0}
FRONT = {**HERE, "fov": np.radians(60), "columns": 61}
GREY = 0.735  # sRGB of an albedo of 0.5


def off(*kept: str) -> tuple[str, ...]:
    return tuple(e for e in Lidar.effects if e not in kept)


def scene(*boxes: tuple, mount: np.ndarray = IDENTITY) -> Callable[[float], Snapshot]:
    """Boxes of (edges, centre, sRGB grey, gloss, velocity), as they stand at a time, and a link called "mount"."""
    visuals = tuple(
        Visual(i + 1, 0, meshes.box(edges).mesh, IDENTITY, (grey, grey, grey), gloss)
        for i, (edges, _, grey, gloss, _) in enumerate(boxes)
    )
    links = ("mount", *(f"box{i}" for i in range(len(boxes))))

    def at(time: float) -> Snapshot:
        places = [pose(np.array(centre) + time * np.array(speed)) for _, centre, _, _, speed in boxes]
        return Snapshot(time, ("boxes",), links, np.array([mount, *places]), visuals, {})

    return at


def wall(x: float, grey: float = 1.0, gloss: float = 0.0, speed: float = 0.0) -> tuple:
    """A large wall whose near side stands at x."""
    return ((1, 40, 40), (x + 0.5, 0, 0), grey, gloss, (speed, 0, 0))


def scans(lidar: Lidar, at: Callable[[float], Snapshot], count: int = 1, seed: int = 0, tick: float = 0.05) -> list:
    """Clean and measured readings of scan after scan."""
    draw, state, out = Streams(seed, "lidar"), None, []
    view = Raycast(threads=1).open()
    with World() as world:
        for i in range(count):
            now = at(i * tick)
            moment = Moment(world, {}, lambda now=now: now, None, view.cast)
            moment.time = i * tick
            clean, state = lidar.read("it", moment, state)
            value, state = lidar.measure("it", moment, clean, state, draw)
            out.append((clean, value))
    view.close()
    return out


def azimuths(lidar: Lidar) -> np.ndarray:
    first, step = lidar._about()["azimuth"]
    return first + step * np.arange(lidar.columns)


# ---- the clean value


def test_rays_of_each_ring_and_column_meet_a_wall_where_geometry_says():
    lidar = Lidar(**FRONT, elevations=(-0.2, 0.0, 0.3), off=("all",))
    ((clean, value),) = scans(lidar, scene(wall(2.0)))
    level = np.cos(lidar.elevations)[:, None]
    assert clean["it"] == pytest.approx(2 / (np.cos(azimuths(lidar)) * level), rel=1e-5)
    assert (clean["it"] == value["it"]).all() and clean["it"].dtype == np.float32


def test_columns_run_counter_clockwise_and_a_full_turn_has_none_twice():
    lidar = Lidar(**HERE, fov=2 * np.pi, columns=8, off=("all",))
    sides = scene(((1, 1, 1), (3, 0, 0), 1, 0, (0, 0, 0)), ((1, 1, 1), (0, 4, 0), 1, 0, (0, 0, 0)))
    ranges = scans(lidar, sides)[0][0]["it"][0]
    assert azimuths(lidar) == pytest.approx(np.arange(-4, 4) * np.pi / 4)
    assert ranges[4] == pytest.approx(2.5) and ranges[6] == pytest.approx(3.5)  # x ahead, y to the left
    assert np.isinf(np.delete(ranges, [4, 6])).all()


def test_a_lidar_on_a_link_looks_from_there():
    mount = pose((1, 0, 0.5), np.pi)
    lidar = Lidar(**{**HERE, "position": (0.25, 0, 0)}, columns=3, fov=0.2, link="mount", off=("all",))
    at = scene(((1, 9, 9), (-3, 0, 0), 1, 0, (0, 0, 0)), mount=mount)
    assert scans(lidar, at)[0][0]["it"][0, 1] == pytest.approx(3.25)  # from x = 0.75 to the side at x = -2.5


def test_the_intensity_is_albedo_times_the_cosine_of_incidence_with_a_gleam_where_it_shines():
    lidar = Lidar(**FRONT, intensity=True, off=("all",))
    for grey, gloss, wanted in ((GREY, 0.0, 0.5), (1.0, 0.2, 0.8)):
        found = scans(lidar, scene(wall(2.0, grey, gloss)))[0][1]["it_intensity"][0]
        cosine = np.cos(azimuths(lidar))
        assert found == pytest.approx(wanted * cosine + gloss * cosine**60, rel=5e-3)
    assert (scans(lidar, scene(wall(-9)))[0][1]["it_intensity"] == 0).all()


# ---- effects


def test_the_noise_estimated_from_a_wall_is_the_declared_one():
    sigma, count = 0.01, 30
    lidar = Lidar(**FRONT, sigma=sigma, off=off("noise"))
    found = np.array([value["it"] - clean["it"] for clean, value in scans(lidar, scene(wall(2.0)), count)])
    assert found.std() == pytest.approx(sigma, rel=4 / np.sqrt(2 * found.size))  # standard error of a deviation
    assert abs(found.mean()) < 4 * sigma / np.sqrt(found.size)
    apart = (found[:, 0, 1:] * found[:, 0, :-1]).mean() / sigma**2
    assert abs(apart) < 4 / np.sqrt(found.size)  # neighbours have nothing to do with each other


def test_all_beams_of_an_episode_share_one_error_of_the_declared_size():
    seeds, bias = 300, 0.02
    lidar = Lidar(**{**FRONT, "columns": 3}, bias=bias, off=off("bias"))
    found = np.array([[v["it"] - c["it"] for c, v in scans(lidar, scene(wall(2.0)), 2, seed)] for seed in range(seeds)])
    assert np.ptp(found.reshape(seeds, -1), axis=1).max() < 1e-6
    assert found[:, 0, 0, 0].std() == pytest.approx(bias, rel=4 / np.sqrt(2 * seeds))


def test_a_beam_that_two_surfaces_share_gives_the_mean_weighted_by_what_comes_back():
    edge = scene(wall(2.4), ((0.1, 10, 10), (2.05, 5, 0), 1, 0, (0, 0, 0)))  # the nearer one begins at azimuth 0
    lidar = Lidar(**FRONT, divergence=0.004, aperture=0.0, off=off("edge"))
    ((clean, value),) = scans(lidar, edge)
    near, far = 1 / 2.0**2, 1 / 2.4**2
    # 6 of 12 rays lie on either side of the edge, or one more: the share is 1/2 ± 1/12.
    low, high = ((2.0 * s * near + 2.4 * (1 - s) * far) / (s * near + (1 - s) * far) for s in (7 / 12, 5 / 12))
    assert low - 1e-3 < value["it"][0, 30] < high + 1e-3
    alone = np.arange(61) != 30  # beams are 1 degree apart and 0.23 degrees wide
    assert value["it"][0, alone] == pytest.approx(clean["it"][0, alone], rel=1e-4)


def test_of_two_echoes_too_far_apart_to_merge_the_stronger_one_counts():
    edge = scene(wall(4.0), ((0.1, 10, 10), (2.05, 5, 0), 1, 0, (0, 0, 0)))
    lidar = Lidar(**FRONT, merge=0.6, off=off("edge"))
    assert scans(lidar, edge)[0][1]["it"][0, 30] == pytest.approx(2.0, abs=1e-3)
    dark = scene(wall(4.0), ((0.1, 10, 10), (2.05, 5, 0), 0.1, 0, (0, 0, 0)))
    assert scans(lidar, dark)[0][1]["it"][0, 30] == pytest.approx(4.0, abs=1e-3)


def test_half_of_the_beams_are_lost_where_too_little_comes_back():
    count = 200
    turned = scene(wall(2.0, GREY))
    lidar = Lidar(**{**FRONT, "turn": (0, 0, np.pi / 3), "fov": 0.002, "columns": 9}, dark=0.25, off=off("incidence"))
    found = np.array([np.isfinite(value["it"]) for _, value in scans(lidar, turned, count)])
    # 0.5 of albedo times cos 60° is the 0.25 that is needed; 1 mrad at 60° changes the cosine by 0.2 %.
    assert found.mean() == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / found.size) + 0.01)


def test_far_white_walls_are_seen_by_half_of_the_beams_at_the_declared_range():
    count = 200
    lidar = Lidar(**{**FRONT, "fov": 0.002, "columns": 9}, far=5.0, off=off("incidence"))
    grey = 0.9547  # sRGB of an albedo of 0.9
    share = [
        np.mean([np.isfinite(value["it"]) for _, value in scans(lidar, scene(wall(x, grey)), count)])
        for x in (4.0, 5.0, 6.0)
    ]
    assert share[1] == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / (9 * count)) + 0.01)
    # 1.25² is 0.194 decades or 1.94 deviations of 0.1: 0.974 are seen; 1/1.2² is 1.58: 0.057.
    assert share[0] == pytest.approx(0.974, abs=0.02) and share[2] == pytest.approx(0.057, abs=0.03)


def test_mirrors_are_seen_only_face_on():
    lidar = Lidar(**FRONT, off=off("incidence"))
    seen = np.isfinite(scans(lidar, scene(wall(2.0, 0.0, 1.0)))[0][1]["it"][0])
    away = np.abs(np.degrees(azimuths(lidar)))
    assert seen[away < 10].all() and not seen[away > 25].any()  # cos(20.5°)^60 is the 0.02 that is needed


def test_what_is_too_near_or_too_far_is_not_measured():
    lidar = Lidar(**FRONT, near=1.0, far=2.1, off=off("limits"))
    ranges = scans(lidar, scene(wall(2.0)))[0][1]["it"][0]
    assert (np.isfinite(ranges) == (2 / np.cos(azimuths(lidar)) <= 2.1)).all()
    assert np.isinf(scans(lidar, scene(wall(0.5)))[0][1]["it"][0, 25:36]).all()


def test_earlier_columns_see_a_moving_wall_where_it_was():
    speed, period = -1.0, 0.1
    lidar = Lidar(**FRONT, period=period, off=off("spin"))
    (first, _), (clean, value) = scans(lidar, scene(wall(2.0, speed=speed)), 2)
    azimuth = azimuths(lidar)
    age = (azimuth[-1] - azimuth) / (2 * np.pi) * period
    assert clean["it"][0] == pytest.approx((2 + speed * 0.05) / np.cos(azimuth), rel=1e-5)
    assert value["it"][0] == pytest.approx((2 + speed * (0.05 - age)) / np.cos(azimuth), rel=1e-5)
    assert (first["it"] == scans(lidar, scene(wall(2.0)), 1)[0][1]["it"]).all()


def test_a_lidar_that_moves_itself_sees_what_stands_still_from_where_it_was():
    base = scene(wall(2.0))
    lidar = Lidar(**{**HERE, "columns": 3, "fov": 0.2}, link="mount", period=0.1, off=off("spin"))

    def at(time: float) -> Snapshot:
        still = base(time)
        return Snapshot(
            time, still.bodies, still.links, np.array([pose((time, 0, 0)), still.poses[1]]), still.visuals, {}
        )

    _, (_, value) = scans(lidar, at, 2)
    age = (azimuths(lidar)[-1] - azimuths(lidar)) / (2 * np.pi) * 0.1
    assert value["it"][0] == pytest.approx((2 - 0.05 + age) / np.cos(azimuths(lidar)), rel=1e-5)
    assert age[0] > 1e-3


def test_a_part_that_was_put_elsewhere_has_not_moved_there():
    base = scene(wall(2.0))
    here, there = base(0.0), base(0.05)
    there.poses[1, 0] -= 1

    _, (clean, value) = scans(Lidar(**FRONT, off=off("spin")), lambda time: there if time else here, 2)
    assert (clean["it"] == value["it"]).all() and clean["it"].min() == pytest.approx(1.0)


def test_leaving_one_effect_out_changes_no_other():
    def noise(*left_out: str) -> np.ndarray:
        lidar = Lidar(**FRONT, off=("incidence", "edge", "spin", *left_out))
        return np.array([value["it"] - clean["it"] for clean, value in scans(lidar, scene(wall(2.0)), 3)])

    both, alone = noise(), noise("bias")
    assert np.ptp(both - alone) < 1e-6 and abs((both - alone).mean()) > 1e-4


def test_the_default_lidar_sees_parts_come_along_the_belt(blind_spec):
    spec = blind_spec.vary(0).change(
        {"sensors": {"scan": {"kind": "lidar", "clean": True}}, "arm.home": [0.3, -0.4, 0.5, 0]}
    )
    with Cell(spec) as cell:
        cell.reset(0)
        for _ in range(40):
            readings = cell.step({})
        (variable,) = [v for v in cell.variables if v.name == "scan"]
        first, step = variable.about["azimuth"]
        scan = cell.truth["scan_clean"][0]
        angle = first + step * np.arange(len(scan))
        seen = np.isfinite(scan)
        flat = scan[seen, None] * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)[seen]
        at = frames.apply(np.array(variable.about["extrinsics"]), flat)
        part = cell.snapshot().pose(cell.items[0].name)[:2]
    near = np.linalg.norm(at[:, :2] - part, axis=1) < 0.04
    assert near.sum() >= 3  # 40 mm at 1.5 m are 1.5 degrees, 6 columns
    assert readings["scan_age"] == pytest.approx(0.05, abs=1e-6)
    # The newest scan is a tick old, in which the part went on by 5 mm; its front is 20 mm ahead of its middle.
    assert at[near, 1].min() == pytest.approx(part[1] - 0.02 + 0.005, abs=0.002)
