"""Switches: a light barrier and a proximity switch turn where and when their data sheets say."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import ndtr

from twinlab import meshes
from twinlab.cell import Cell
from twinlab.frames import IDENTITY, pose
from twinlab.sensing import Streams
from twinlab.sensors import Moment, Sensor
from twinlab.sensors._switch import disc, settled
from twinlab.sensors.break_beam import BreakBeam
from twinlab.sensors.proximity import Proximity
from twinlab.snapshot import Piece
from twinlab.world import World

BEAM = {"start": (0, -0.5, 0), "end": (0, 0.5, 0)}
FACE = {"position": (0, 0, 0), "direction": (0, 0, 1), "ignores": ()}
EDGE = 0.0009  # so far beside an edge PyBullet's rays still meet a body, by its hull's margin [m]


@pytest.fixture
def plate():
    """A world with a large cube of 0.2 m called "plate", far away."""
    with World() as world:
        world.add("plate", [Piece(meshes.box((0.2, 0.2, 0.2)), IDENTITY, (0.5, 0.5, 0.5))], pose((9, 9, 9)))
        yield world


def looks(world: World, sensor: Sensor, places: list, tick: float = 0.05, seed: int = 0) -> list[bool]:
    """What a switch shows at tick after tick, with the middle of the plate at one place after the other."""
    draw, state, out = Streams(seed, "switch"), None, []
    for i, place in enumerate(places):
        world.place("plate", pose(place))
        moment = Moment(world, {}, world.snapshot, None, None)
        moment.time = i * tick
        clean, state = sensor.read("it", moment, state)
        value, state = sensor.measure("it", moment, clean, state, draw)
        out.append(bool(value["it"]))
    return out


def off(sensor: type[Sensor], *kept: str) -> tuple[str, ...]:
    return tuple(e for e in sensor.effects if e not in kept)


def share_hidden(depth: float) -> float:
    """Share of a disc of radius 1 that lies below a line at `depth` from its lowest point (circular segment)."""
    x = 1 - np.clip(depth, 0, 2)
    return float((np.arccos(x) - x * np.sqrt(1 - x * x)) / np.pi)


def turns(world: World, sensor: Sensor, at: np.ndarray, axis: int) -> float:
    """The first of some places along an axis at which a switch shows something else than at the first one [m]."""
    seen = looks(world, sensor, [tuple(np.eye(3)[axis] * x) for x in at])
    return float(at[np.argmax(np.array(seen) != seen[0])])


# ---- light barrier


def test_rays_share_a_face_evenly():
    points = disc()
    for angle in np.linspace(0, np.pi, 7):
        along = points @ (np.cos(angle), np.sin(angle))
        for depth in (0.5, 1.0, 1.6):
            assert (along < depth - 1).mean() == pytest.approx(share_hidden(depth), abs=2 / len(points))


@pytest.mark.parametrize("gain", [2.0, 5.0])
def test_a_beam_is_broken_when_less_light_gets_through_than_the_excess_gain_leaves(plate, gain):
    beam = BreakBeam(**BEAM, diameter=0.012, excess_gain=gain, off=off(BreakBeam, "beam"))
    at = np.arange(-0.107, -0.093, 0.0001)  # the plate's edge is 0.1 m ahead of its middle
    edge = turns(plate, beam, at, 0) + 0.1
    grid = np.arange(0, 2, 0.001)
    hidden = np.array([share_hidden(d) for d in grid])
    wanted = 0.006 * (grid[np.argmax(hidden > 1 - 1 / gain)] - 1)
    edge += EDGE
    # Two of the 32 rays are 1/16 of the light; where the beam is w wide that is 1/16 of its area over w.
    width = 2 * np.sqrt(0.006**2 - wanted**2)
    assert edge == pytest.approx(wanted, abs=np.pi * 0.006**2 / 16 / width)


def test_a_beam_gets_free_later_than_it_broke_by_its_hysteresis(plate):
    beam = BreakBeam(**BEAM, diameter=0.012, hysteresis=0.5, off=off(BreakBeam, "beam", "hysteresis"))
    there = np.arange(-0.107, -0.093, 0.0001)
    places = [(x, 0, 0) for x in (*there, *there[::-1])]
    seen = np.array(looks(plate, beam, places))
    broke, freed = there[np.argmax(seen)], there[::-1][np.argmin(seen[len(there) :])]
    grid = np.arange(0, 2, 0.001)
    hidden = np.array([share_hidden(d) for d in grid])
    wanted = 0.006 * (grid[np.argmax(hidden > 0.5)] - grid[np.argmax(hidden > 0.25)])  # light of 0.5 and of 0.75
    assert broke - freed == pytest.approx(wanted, abs=0.0008)  # a ray at either turn is 1/32 of the area: 0.3 mm
    plain = BreakBeam(**BEAM, diameter=0.012, hysteresis=0.5, off=off(BreakBeam, "beam"))
    seen = np.array(looks(plate, plain, places))
    assert there[np.argmax(seen)] - there[::-1][np.argmin(seen[len(there) :])] == pytest.approx(0, abs=0.00021)


def test_the_noise_of_the_light_estimated_from_false_alarms_is_the_declared_one(plate):
    sigma, count = 0.02, 4000
    beam = BreakBeam(**BEAM, excess_gain=1 / 0.97, noise=sigma, off=off(BreakBeam, "noise"))
    alarms = np.mean(looks(plate, beam, [(9, 9, 9)] * count))
    wanted = ndtr(-0.03 / sigma)  # 0.067: light of 1 ± 0.02 falls below 0.97
    assert alarms == pytest.approx(wanted, abs=4 * np.sqrt(wanted * (1 - wanted) / count))


def test_so_many_samples_are_wrong_as_declared(plate):
    count, share = 4000, 0.05
    beam = BreakBeam(**BEAM, glitch=share, off=off(BreakBeam, "glitch"))
    wrong = np.mean(looks(plate, beam, [(9, 9, 9)] * count))
    assert wrong == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / count))


def test_a_change_is_shown_late_as_often_as_the_response_time_says(plate):
    response, tick, count = 0.02, 0.05, 2000
    beam = BreakBeam(**BEAM, response=response, off=off(BreakBeam, "response"))
    seen = looks(plate, beam, [(9, 9, 9), *[(0, 0, 0), (0, 0, 0), (9, 9, 9), (9, 9, 9)] * (count // 2)], tick)
    first = np.array(seen[1::2]) != np.tile([True, False], count // 2)
    second = np.array(seen[2::2]) != np.tile([True, False], count // 2)
    # A change lies anywhere in the tick before it is seen: it is shown late if that is less than 20 ms ago.
    share = response / tick
    assert first.mean() == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / count))
    assert not second.any()


def test_a_change_shorter_than_the_response_time_is_never_shown():
    rng = np.random.default_rng(0)
    output = settled(None, False, 0.0, 0.2, rng)
    for i in range(1, 50):
        output = settled(output, i % 5 < 2, 0.05 * i, 0.2, rng)
        assert not output.on
    for i in range(50, 56):
        output = settled(output, True, 0.05 * i, 0.2, rng)
    assert output.on


def test_a_beam_of_no_length_is_an_error_that_says_what_is_wanted():
    with pytest.raises(ValidationError, match="two places"):
        BreakBeam(start=(1, 1, 1), end=(1, 1, 1))


def test_a_switch_without_effects_is_the_clean_one(plate):
    rng = np.random.default_rng(2)
    places = [tuple(p) for p in rng.uniform(-0.12, 0.12, (40, 3))]
    beam = looks(plate, BreakBeam(**BEAM, off=("all",)), places)
    assert beam == [abs(x) < 0.1 and abs(z) < 0.1 for x, _, z in places] and 0 < sum(beam) < 40
    near = looks(plate, Proximity(**FACE, distance=0.06, off=("all",)), [(0, 0, 0.1 + abs(z)) for _, _, z in places])
    assert near == [abs(z) <= 0.06 for _, _, z in places] and 0 < sum(near) < 40


# ---- proximity switch


@pytest.mark.parametrize("factor", [1.0, 0.39])
def test_a_switch_sees_metal_within_its_distance_times_the_metals_factor(plate, factor):
    switch = Proximity(**FACE, factor=factor, off=off(Proximity))
    at = 0.1 + np.arange(0.006, 0, -0.00005)
    assert turns(plate, switch, at, 2) - 0.1 == pytest.approx(0.004 * factor, abs=0.00006)


def test_a_switch_turns_when_half_of_its_face_is_covered(plate):
    switch = Proximity(**FACE, off=off(Proximity))
    at = np.arange(-0.108, -0.09, 0.0001)
    seen = looks(plate, switch, [(x, 0, 0.102) for x in at])
    assert at[np.argmax(seen)] + 0.1 + EDGE == pytest.approx(
        0, abs=0.0006
    )  # two of 32 rays: 1/16 of 113 mm² over 12 mm


def test_what_is_no_metal_is_not_seen(plate):
    assert looks(plate, Proximity(**FACE), [(0, 0, 0.101)]) == [True]
    assert looks(plate, Proximity(**{**FACE, "ignores": ("plate",)}), [(0, 0, 0.101)]) == [False]


def test_a_target_that_touches_the_face_is_seen(plate):
    assert looks(plate, Proximity(**FACE, off=("all",)), [(0, 0, 0.1), (0, 0, 0.095)]) == [True, True]


def test_a_switch_turns_off_further_away_by_its_hysteresis(plate):
    switch = Proximity(**FACE, hysteresis=0.15, off=off(Proximity, "hysteresis"))
    gaps = np.arange(0.0060, 0.0030, -0.00002)
    seen = np.array(looks(plate, switch, [(0, 0, 0.1 + g) for g in (*gaps, *gaps[::-1])]))
    on, gone = gaps[np.argmax(seen)], gaps[::-1][np.argmin(seen[len(gaps) :])]
    assert (gone - on) / 0.004 == pytest.approx(0.15, abs=0.012)  # steps of 0.02 mm at both ends are 0.01


def test_the_spread_of_switching_distances_is_the_declared_repeat_accuracy(plate):
    sigma, count, gap = 0.02, 3000, 0.00392
    switch = Proximity(**FACE, repeat=sigma, off=off(Proximity, "repeat"))
    seen = np.mean(looks(plate, switch, [(0, 0, 0.1 + gap)] * count))
    wanted = ndtr((0.004 - gap) / (sigma * 0.004))  # 0.84, one standard deviation; rays are exact to 1 µm or 0.5 %
    assert seen == pytest.approx(wanted, abs=4 * np.sqrt(wanted * (1 - wanted) / count) + 0.005)


def test_switches_differ_by_up_to_their_spread_and_not_within_an_episode(plate):
    count, gap = 400, 0.0042
    switch = Proximity(**FACE, spread=0.1, off=off(Proximity, "spread"))
    seen = [looks(plate, switch, [(0, 0, 0.1 + gap)] * 2, seed=s) for s in range(count)]
    assert all(one[0] == one[1] for one in seen)
    share = np.mean([one[0] for one in seen])
    # Distances are even over 3.6 to 4.4 mm, a quarter of them beyond 4.2 mm.
    assert share == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / count))
    assert not any(looks(plate, switch, [(0, 0, 0.10445)], seed=s)[0] for s in range(50))
    assert all(looks(plate, switch, [(0, 0, 0.10355)], seed=s)[0] for s in range(50))


def test_a_proximity_switch_that_looks_nowhere_is_an_error():
    with pytest.raises(ValidationError, match="direction"):
        Proximity(direction=(0, 0, 0))


def test_the_default_switches_see_a_part_pass_on_the_sorting_line(blind_spec):
    sensors = {"beam": {"kind": "break_beam", "off": ["all"]}, "near": {"kind": "proximity", "off": ["all"]}}
    with Cell(blind_spec.vary(0).change({"sensors": sensors, "arm.home": [0.3, -0.4, 0.4, 0]})) as cell:
        cell.reset(0)
        rows = [cell.step({}) for _ in range(95)]
    for name, place in (("beam", 0.5), ("near", 0.6)):
        seen = np.array([bool(row[name]) for row in rows])
        assert 5 <= seen.sum() <= 10  # a cube of 40 mm at 0.1 m/s: 0.4 s, 8 ticks
        assert not seen[:5].any() and not seen[-5:].any()
        # The part is let go at y = 0.75 m after 0.5 s and passes with its middle after so many seconds more.
        assert np.flatnonzero(seen).mean() * 0.05 == pytest.approx(0.5 + (0.75 - place) / 0.1, abs=0.4)
