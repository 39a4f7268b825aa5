"""The scale: what stands on a body is weighed, through a cell that creeps, lags behind, drifts and rustles."""

import numpy as np
import pytest

from twinlab import frames, meshes
from twinlab.cell import Cell
from twinlab.frames import IDENTITY, pose
from twinlab.sensing import Streams
from twinlab.sensors import Moment
from twinlab.sensors.scale import Scale
from twinlab.snapshot import Piece
from twinlab.world import World

MASS = 1.5
AWAY = pose((9, 9, 9))
PAN = {"of": "pan", "saturation": (0,), "quantum": (0,)}


def off(*kept: str) -> tuple[str, ...]:
    return tuple(e for e in Scale.effects if e not in kept)


@pytest.fixture
def world():
    """A pan with its top at z = 0, and a cube that does not stand on it yet."""
    with World() as world:
        world.add("pan", box(0.5, 0.5, 0.1), pose((0, 0, -0.05)), friction=1.0)
        world.add("cube", box(0.1, 0.1, 0.1), AWAY, mass=MASS, friction=1.0)
        yield world


def box(*edges: float) -> list[Piece]:
    return [Piece(meshes.box(edges), IDENTITY, (0.5, 0.5, 0.5))]


def moment(world: World) -> Moment:
    return Moment(world, {}, world.snapshot, None, None)


class Weighed:
    """A scale that is read whenever it is asked; it goes on with the world's steps."""

    def __init__(self, world: World, scale: Scale, seed: int = 0) -> None:
        self.world, self.scale, self.draw = world, scale, Streams(seed, "scale")
        self.state = scale.read("it", moment(world), None)[1]

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self.world.step()
            self.state = self.scale.advance("it", moment(self.world), self.state)

    def read(self, late: float = 0.0) -> float:
        now = moment(self.world)
        now.time += late
        clean, self.state = self.scale.read("it", now, self.state)
        value, self.state = self.scale.measure("it", now, clean, self.state, self.draw)
        return float(value["it"])


def stand(world: World) -> None:
    """Let the cube stand at rest."""
    world.place("cube", pose((0.05, 0.05, 0.0501)))
    for _ in range(120):
        world.step()


# ---- the clean value


def test_a_scale_shows_the_mass_that_stands_on_it(world):
    weighed = Weighed(world, Scale(**PAN, off=("all",)))
    assert weighed.read() == 0
    stand(world)
    assert weighed.read() == pytest.approx(MASS, rel=1e-3)


def test_what_leans_on_a_slope_weighs_the_same_because_friction_counts(world):
    tilt = frames.from_euler((0, 0, 2), (0, 0.4, 0))
    world.place("pan", tilt)
    world.place("cube", frames.compose(tilt, pose((0, 0, 0.1005))))
    weighed = Weighed(world, Scale(**PAN, off=("all",)))
    for _ in range(240):
        world.step()
    found = world.contacts("pan")
    assert np.abs(found.friction).max() > 1 and np.abs(found.normals[:, 0]).min() > 0.3
    assert weighed.read() == pytest.approx(MASS, rel=1e-3)


@pytest.mark.parametrize("substeps", [1, 3])
@pytest.mark.parametrize("first", ["pan", "cube"])
def test_contacts_are_forces_in_balance_whoever_was_added_first_and_however_fine_the_steps(substeps, first):
    tilt = frames.from_euler((0, 0, 2), (0.2, 0.3, 0))
    with World(substeps=substeps) as world:
        for name in ("pan", "cube") if first == "pan" else ("cube", "pan"):
            if name == "pan":
                world.add("pan", box(0.5, 0.5, 0.1), tilt, friction=1.0)
            else:
                world.add("cube", box(0.1, 0.1, 0.1), frames.compose(tilt, pose((0, 0, 0.1005))), MASS, friction=1.0)
        for _ in range(240):
            world.step()
        for name, sign in (("cube", 1), ("pan", -1)):
            found = world.contacts(name)
            total = (found.force[:, None] * found.normals + found.friction).sum(axis=0)
            assert total == pytest.approx([0, 0, sign * MASS * 9.81], abs=0.005 * MASS * 9.81)


def test_what_stood_there_at_reset_is_tared_away(world):
    stand(world)
    weighed = Weighed(world, Scale(**PAN, off=("all",)))
    assert weighed.read() == pytest.approx(0, abs=1e-3 * MASS)
    world.place("cube", AWAY)
    world.step()
    assert weighed.read() == pytest.approx(-MASS, rel=1e-3)


def test_only_what_touches_within_the_region_counts(world):
    left = Weighed(world, Scale(**PAN, high=(0, 10, 10), off=("all",)))
    right = Weighed(world, Scale(**PAN, low=(0, -10, -10), off=("all",)))
    world.place("cube", pose((0.02, 0, 0.0501)))
    for _ in range(120):
        world.step()
    # The cube reaches from -0.03 to 0.07 m and rests on its corners: 0.5 of the weight at either end.
    assert left.read() == pytest.approx(MASS / 2, rel=0.02)
    assert right.read() == pytest.approx(MASS / 2, rel=0.02)


# ---- effects


def test_the_filter_answers_as_a_butterworth_of_second_order(world):
    weighed = Weighed(world, Scale(**PAN, cutoff=3.0, off=off("filter")))
    stand(world)
    steps, rows = 120, []
    for _ in range(steps):
        weighed.step()
        rows.append(weighed.read())
    t = np.arange(1, steps + 1) / 240
    w = 2 * np.pi * 3 / np.sqrt(2)
    wanted = MASS * (1 - np.exp(-w * t) * (np.cos(w * t) + np.sin(w * t)))
    # A step that is seen at one sample stands for a ramp over the interval before it: half a step of 4 ms.
    slope = MASS * 2 * w * np.exp(-w * t) * np.sin(w * t)
    assert np.abs(np.array(rows) - wanted).max() < slope.max() / 240
    assert max(rows) == pytest.approx(MASS * (1 + np.exp(-np.pi)), rel=0.005)  # it overshoots by 4.3 %


def test_a_load_creeps_by_the_declared_share_with_the_declared_time_constant(world):
    weighed = Weighed(world, Scale(**PAN, creep=0.01, creep_time=0.5, off=off("creep")))
    stand(world)
    for seconds in (0.25, 0.5, 0.5):
        weighed.step(round(seconds * 240))
        past = world.time - 0.5
        wanted = MASS * (1 + 0.01 * (1 - np.exp(-past / 0.5)))
        assert weighed.read() == pytest.approx(wanted, abs=1e-4 * MASS)


def test_unloading_shows_more_than_loading_by_the_declared_share(world):
    world.add("more", box(0.1, 0.1, 0.1), AWAY, mass=1.0)
    weighed = Weighed(world, Scale(**PAN, hysteresis=0.02, off=off("hysteresis")))
    found = []
    for places in (
        (AWAY, AWAY),
        ((0.1, 0, 0.0501), AWAY),
        ((0.1, 0, 0.0501), (-0.1, 0, 0.0501)),
        ((0.1, 0, 0.0501), AWAY),
    ):
        for name, place in zip(("cube", "more"), places, strict=True):
            if place is AWAY:
                world.place(name, AWAY)
            elif world.pose(name)[0] > 1:
                world.place(name, pose(place))
        for _ in range(120):
            world.step()
        found.append(weighed.read())
    empty, up, _, down = found
    assert empty == 0
    assert up == pytest.approx(0.99 * MASS, rel=1e-3)
    assert down == pytest.approx(1.01 * MASS, rel=1e-3)


def test_the_spread_of_samples_at_rest_is_the_declared_noise(world):
    count, sigma = 4000, 2e-3
    weighed = Weighed(world, Scale(**PAN, noise=sigma, off=off("noise")))
    found = np.array([weighed.read() for _ in range(count)])
    assert found.std() == pytest.approx(sigma, rel=4 / np.sqrt(2 * count))  # standard error of a deviation
    assert abs(found.mean()) < 4 * sigma / np.sqrt(count)


def test_the_zero_wanders_with_the_root_of_time(world):
    seeds, drift = 400, 1e-3
    found = []
    for seed in range(seeds):
        weighed = Weighed(world, Scale(**PAN, drift=drift, off=off("drift")), seed)
        found.append([weighed.read(late) for late in (0, 4, 16)])
    first, early, late = np.array(found).T
    wide = 4 / np.sqrt(2 * seeds)
    assert (first == 0).all()
    assert early.std() == pytest.approx(drift * 2, rel=wide)
    assert late.std() == pytest.approx(drift * 4, rel=wide)


def test_a_part_in_the_bin_is_weighed_to_a_gram_on_the_sorting_line(blind_spec):
    spec = blind_spec.change({"sensors": {"scale": {"kind": "scale"}}, "feeder.first": 100})
    with Cell(spec) as cell:
        assert cell.reset(3)["scale"] == 0
        cell.world.place(cell.items[0].name, frames.from_euler((0.2, 0.3, 0.08), (0.5, 0.4, 0.3)), mass=0.08)
        readings = [cell.step({}) for _ in range(40)]
        about = np.array([r["scale"] for r in readings[-10:]])
    assert np.abs(about - 0.08).max() <= 0.001 + 1e-6
    assert about * 1000 == pytest.approx(np.rint(about * 1000), abs=1e-3)
    assert readings[-1]["scale_age"] <= 0.1
