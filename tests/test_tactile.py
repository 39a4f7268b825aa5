"""Tactile pads: the map's sum is the force, its middle is where the part is, and the film has its faults."""

import numpy as np
import pytest
from pydantic import ValidationError

from twinlab import frames, meshes, rooms
from twinlab.cell import Cell
from twinlab.frames import IDENTITY, pose
from twinlab.sensing import Streams
from twinlab.sensors import Moment
from twinlab.sensors.tactile import Tactile
from twinlab.snapshot import Piece
from twinlab.world import World

WEIGHT = 2.0 * 9.81
PAD = {"links": ("pad",), "position": (0, 0, 0.01), "along": (1, 0, 0), "across": (0, 1, 0), "rows": 40, "columns": 30}


def off(*kept: str) -> tuple[str, ...]:
    return tuple(e for e in Tactile.effects if e not in kept)


@pytest.fixture
def world():
    """A pad that looks up, with its top at z = 0.01, and a cube of 2 kg with an edge of 40 mm, far away."""
    with World() as world:
        world.add("pad", box(1, 1, 0.02), pose())
        world.add("cube", box(0.04, 0.04, 0.04), pose((9, 9, 9)), mass=2.0)
        yield world


def box(*edges: float) -> list[Piece]:
    return [Piece(meshes.box(edges), IDENTITY, (0.5, 0.5, 0.5))]


def moment(world: World, late: float = 0.0) -> Moment:
    now = Moment(world, {}, world.snapshot, None, None)
    now.time += late
    return now


def pressed(world: World, tactile: Tactile, place: np.ndarray) -> np.ndarray:
    """The clean map (row, column) [Pa] of the cube at rest."""
    world.place("cube", place)
    for _ in range(120):
        world.step()
    return tactile.read("it", moment(world), None)[0]["it"][0].astype(float)


def shown(world: World, tactile: Tactile, maps: list[np.ndarray], every: float = 0.05, seed: int = 0) -> np.ndarray:
    """What the film shows of clean maps (row, column), one after the other: (sample, row, column)."""
    draw, state, out = Streams(seed, "tactile"), None, []
    for i, clean in enumerate(maps):
        value, state = tactile.measure("it", moment(world, i * every), {"it": clean[None]}, state, draw)
        out.append(value["it"][0])
    return np.array(out, float)


def flat(pressure: float, shape: tuple[int, int] = (6, 6)) -> np.ndarray:
    return np.full(shape, pressure, np.float32)


# ---- the clean value


@pytest.mark.parametrize("patch", [0.0005, 0.003, 0.01])
def test_the_sum_of_the_map_times_the_cells_area_is_the_normal_force(world, patch):
    tactile = Tactile(**PAD, patch=patch)
    found = pressed(world, tactile, pose((0.01, -0.005, 0.0301), 0.4))
    assert found.sum() * tactile.pitch**2 == pytest.approx(WEIGHT, rel=1e-3)
    assert found.min() >= 0


def test_the_middle_of_the_pressure_lies_under_the_part(world):
    tactile = Tactile(**PAD, patch=0.002)
    found = pressed(world, tactile, pose((0.021, -0.013, 0.0301), 0.4))
    rows, columns = ((np.arange(n) - (n - 1) / 2) * tactile.pitch for n in found.shape)
    middle = (found.sum(axis=1) @ rows, found.sum(axis=0) @ columns) / found.sum()
    assert middle == pytest.approx((0.021, -0.013), abs=0.0005)


def test_one_contact_makes_a_patch_of_the_declared_width(world):
    tactile = Tactile(**PAD, patch=0.006)
    cone = np.array([(0, 0, -0.02), (0.02, 0, 0.02), (-0.02, 0.02, 0.02), (-0.02, -0.02, 0.02)])
    world.add("cone", [Piece(meshes.hull(cone), IDENTITY, (0, 0, 0))], pose((0, 0, 0.0292)), mass=1.0)
    for _ in range(3):
        world.step()
    assert len(world.contacts("pad").force) == 1
    found = tactile.read("it", moment(world), None)[0]["it"][0].astype(float)
    for axis in (0, 1):
        profile = found.sum(axis=1 - axis)
        at = (np.arange(len(profile)) - (len(profile) - 1) / 2) * tactile.pitch
        spread = profile @ at**2 / profile.sum() - (profile @ at / profile.sum()) ** 2
        assert spread == pytest.approx(0.006**2 + tactile.pitch**2 / 12, rel=0.01)  # a cell's own width adds


def test_what_touches_beside_the_pad_is_not_felt(world):
    tactile = Tactile(**PAD | {"rows": 10})  # 40 mm long; the cube rests on its corners at 30 ± 20 mm
    found = pressed(world, tactile, pose((0.03, 0, 0.0301)))
    assert found.sum() * tactile.pitch**2 == pytest.approx(WEIGHT / 2, rel=0.03)
    assert pressed(world, tactile, pose((0.05, 0, 0.0301))).sum() == 0


def test_both_pads_of_the_gripper_feel_the_fingers_force(blind_spec):
    spec = blind_spec.change({"sensors.pads": {"kind": "tactile", "clean": True}})
    expert = rooms.build("policies", "expert", spec=spec)
    with Cell(spec) as cell:
        cell.reset(8)  # its first part is one to be picked
        assert (cell.readings["pads"] == 0).all()
        expert.reset(8, spec.task.meaning())
        area = spec.sensors["pads"].pitch ** 2
        held, felt = 0, 0.0
        for _ in range(100):
            cell.step(expert({**cell.readings, **cell.truth}))
            found = cell.world.contacts("arm")
            for pad, link in enumerate(spec.sensors["pads"].links):
                mine = [i for i, one in enumerate(found.links) if one == link]
                back = frames.inverse(cell.world.pose(link))
                force = sum(found.force[i] * abs(frames.rotate(back, found.normals[i])[1]) for i in mine)
                assert cell.truth["pads_clean"][pad].sum() * area == pytest.approx(force, rel=1e-4, abs=1e-3)
            sums = cell.truth["pads_clean"].sum(axis=(1, 2)) * area
            held += bool((sums > 10).all())
            felt = max(felt, float(cell.readings["pads"].max()))
        assert held > 10
        assert felt > 20_000


# ---- effects


def test_the_spread_of_cells_is_the_declared_noise(world):
    count, sigma = 200, 800.0
    tactile = Tactile(noise=sigma, off=off("noise"))
    found = shown(world, tactile, [flat(50_000)] * count)
    assert found.std() == pytest.approx(sigma, rel=4 / np.sqrt(2 * found.size))  # standard error of a deviation
    assert found.mean() == pytest.approx(50_000, abs=4 * sigma / np.sqrt(found.size))


def test_cells_share_with_their_neighbours_and_lose_nothing(world):
    tactile = Tactile(crosstalk=0.2, off=off("crosstalk"))
    one = flat(0)
    one[2, 3] = 10_000
    corner = flat(0)
    corner[0, 0] = 10_000
    first, second = shown(world, tactile, [one, corner])
    assert first[2, 3] == pytest.approx(8000)
    assert [first[1, 3], first[3, 3], first[2, 2], first[2, 4]] == pytest.approx([500] * 4)
    assert (first.sum(), second.sum()) == pytest.approx((10_000, 10_000))


def test_unloading_shows_more_than_loading_by_the_declared_share(world):
    tactile = Tactile(hysteresis=0.1, off=off("hysteresis"))
    up, down = np.arange(0, 101, 10.0) * 1000, np.arange(90, -1, -10.0) * 1000
    found = shown(world, tactile, [flat(p) for p in (*up, *down)])[:, 0, 0]
    assert found[: len(up)] == pytest.approx(0.95 * up)
    assert found[len(up) :] == pytest.approx(np.minimum(1.05 * down, 95_000))


def test_a_held_pressure_grows_by_the_declared_share_in_each_decade_of_time(world):
    tactile = Tactile(creep=0.05, off=off("creep"))
    found = shown(world, tactile, [flat(0), *[flat(100_000)] * 101], every=1.0)[:, 0, 0]
    assert found[1] == pytest.approx(100_000, rel=0.05 * np.log10(2) + 1e-6)
    assert found[1 + 9] / found[1] == pytest.approx((1 + 0.05 * 1.041) / (1 + 0.05 * 0.301), rel=1e-3)  # lg 11, lg 2
    assert found[100] - found[10] == pytest.approx(5000, rel=0.05)


def test_creep_starts_anew_when_a_cell_was_let_go(world):
    tactile = Tactile(creep=0.05, off=off("creep"))
    found = shown(world, tactile, [*[flat(1e5)] * 20, flat(0), flat(1e5), flat(1e5)], every=1.0)[:, 0, 0]
    assert found[22] == pytest.approx(found[2]) and found[19] > found[22]


def test_less_than_the_threshold_is_shown_as_nothing(world):
    tactile = Tactile(threshold=3000.0, off=off("threshold"))
    found = shown(world, tactile, [flat(2999), flat(3001)])
    assert (found[0] == 0).all() and found[1] == pytest.approx(3001)


def test_without_effects_the_clean_map_is_shown_and_pressures_are_never_negative(world):
    clean = np.random.default_rng(0).uniform(0, 1e5, (6, 6)).astype(np.float32)
    assert (shown(world, Tactile(off=off()), [clean])[0] == clean).all()
    assert shown(world, Tactile(), [flat(0)] * 50).min() == 0


def test_pads_that_cannot_be_are_errors_that_say_what_is_wanted():
    with pytest.raises(ValidationError, match="right angle"):
        Tactile(along=(1, 0, 0), across=(1, 1, 0))
    with pytest.raises(ValidationError, match="one body"):
        Tactile(links=("arm/panda_leftfinger", "leg/toe"))
