"""Bodies: every file of the room keeps the contract in a world; what each does agrees with what can be worked out."""

from collections import Counter
from itertools import product
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from twinlab import frames, rooms
from twinlab.bodies import Body
from twinlab.cell import Cell
from twinlab.events import EventKind
from twinlab.world import World

BODIES = pytest.mark.parametrize("kind", rooms.names("bodies"))
TICK = 0.05
MOUNTS = {"cup": {"link": "panda_hand"}}  # a suction cup for those that need one


def stream(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def built(world: World, kind: str, seed: int = 0) -> tuple[Body, object]:
    """A body called "probe" with all fields as they are by default, and an arm for what is mounted on one."""
    body = rooms.build("bodies", kind)
    if getattr(body, "of", "") == "arm":
        rooms.build("bodies", "arm", mounts=MOUNTS).build("arm", world, ())
    return body, body.build("probe", world, body.schedule("probe", stream(seed)))


def run(world: World, body: Body, state: object, share: float, ticks: int = 20) -> tuple[object, list]:
    """So many ticks with all set-points at a share of their highest."""
    events = []
    for _ in range(ticks):
        values = {a.name: share * a.high for a in body.actuators("probe")}
        state = body.command("probe", world, state, values, TICK)
        for _ in range(12):
            state, told = body.advance("probe", world, state)
            events += told
            world.step()
    return state, events


# ---- the contract of every file


@BODIES
def test_a_body_builds_from_its_defaults_and_runs(kind):
    with World() as world:
        body, state = built(world, kind)
        assert all(name == "arm" or name.startswith("probe") for name in world.bodies)
        _, events = run(world, body, state, 0.5)
        assert {e.kind for e in events} <= set(get_args(EventKind))
        assert [e.time for e in events] == sorted(e.time for e in events)
        assert np.isfinite(world.snapshot().poses).all()


@BODIES
def test_a_body_repeats_under_the_same_seed(kind):
    def poses(world: World) -> bytes:
        world.reset()
        body, state = built(world, kind, seed=5)
        run(world, body, state, -0.5)
        return world.snapshot().poses.tobytes()

    with World() as world:
        assert poses(world) == poses(world)


@BODIES
def test_a_bodys_actuators_are_its_own_and_have_limits_and_a_unit(kind):
    actuators = rooms.build("bodies", kind).actuators("probe")
    assert len({a.name for a in actuators}) == len(actuators)
    for actuator in actuators:
        assert actuator.name.split(".")[0] == "probe"
        assert actuator.low < actuator.high and actuator.units


@BODIES
def test_a_bodys_region_is_a_space_and_its_items_are_in_the_world(kind):
    with World() as world:
        body, state = built(world, kind, seed=3)
        region, items = body.region(), body.items(state)
        assert region is None or (np.array(region.low) < region.high).all()
        assert {i.name for i in items} <= set(world.bodies)
        assert items == body.schedule("probe", stream(3))
        assert [i.time for i in items] == sorted(i.time for i in items)


@BODIES
def test_a_body_is_its_own_frozen_configuration(kind):
    body = rooms.build("bodies", kind)
    field = next(iter(type(body).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(body, field, getattr(body, field))
    with pytest.raises(ValidationError, match="Extra inputs"):
        rooms.build("bodies", kind, nonsense=1)


@BODIES
def test_one_more_body_stands_beside_the_sorting_line(blind_spec, blind_cell, kind):
    aside = {"position": [-1.5, 0, 0]} if "position" in rooms.load("bodies", kind).model_fields else {}
    with Cell(blind_spec.change({"bodies.arm.mounts": MOUNTS, "bodies.probe": {"kind": kind, **aside}})) as cell:
        more = {a.name for a in cell.actuators} - {a.name for a in blind_cell.actuators}
        assert more == {a.name for a in cell.spec.bodies["probe"].actuators("probe")}
        cell.step(dict.fromkeys(more, 0.1))


# ---- feeder


def nominal(**fields: object) -> Body:
    still = {"jitter": 0, "scatter": 0, "turn": 0, "mixing": 0, "defects": 0}
    return rooms.build("bodies", "feeder", **{**still, **fields})


def test_the_nominal_feeder_gives_the_kinds_in_turn_in_the_middle_at_even_times():
    items = nominal(first=1, period=2, count=7).schedule("feeder", stream())
    kinds = [(i.properties["shape"], i.properties["colour"]) for i in items]
    assert kinds == [*product(("cube", "cylinder"), ("red", "green", "blue")), ("cube", "red")]
    assert [i.time for i in items] == [1, 3, 5, 7, 9, 11, 13]
    assert {i.pose for i in items} == {(0.5, 0.7, 0.13, 0, 0, 0, 1)}
    assert {(i.defect, i.height) for i in items} == {("", 0.04)}
    assert [i.name for i in items][:2] == ["feeder_00", "feeder_01"]


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.floats(0, 2), st.floats(0, 0.1), st.floats(0, 1), st.floats(0, np.pi))
def test_times_places_and_yaws_vary_within_their_bounds(seed, jitter, scatter, turn, along):
    feeder = nominal(count=8, jitter=jitter, scatter=scatter, turn=turn, along=along)
    items = feeder.schedule("feeder", stream(seed))
    assert [i.time for i in items] == sorted(i.time for i in items)
    for item in items:
        due = feeder.first + int(item.name[-2:]) * feeder.period
        assert max(0, due - jitter) - 1e-9 <= item.time <= due + jitter + 1e-9
        off = np.array(item.pose[:3]) - feeder.position
        assert np.linalg.norm(off) <= scatter + 1e-9
        assert abs(off @ [-np.sin(along), np.cos(along), 0]) < 1e-9  # only along the line that they scatter on
        assert abs(frames.yaw(np.array(item.pose))) <= turn + 1e-9


def test_about_one_part_in_ten_is_chipped_or_oversized():
    items = rooms.build("bodies", "feeder", count=200).schedule("feeder", stream(1))
    found = Counter(i.defect for i in items)
    assert set(found) == {"", "chipped", "oversized"}
    assert 10 <= found["chipped"] + found["oversized"] <= 30  # 20 expected, standard deviation 4.2
    for item in items:
        assert item.height == pytest.approx(0.052 if item.defect == "oversized" else 0.04)
    assert len({tuple(i.properties.items()) for i in items}) == 6


def test_parts_wait_out_of_sight_and_come_on_time():
    feeder = nominal(first=0.1, period=0.5, count=3)
    with World() as world:
        state = feeder.build("feeder", world, feeder.schedule("feeder", stream()))
        assert all(world.pose(i.name)[2] == -10 for i in feeder.items(state))
        events = []
        for _ in range(180):  # until 0.75 s
            state, told = feeder.advance("feeder", world, state)
            events += told
            world.step()
        assert [(e.kind, e.item) for e in events] == [("spawned", "feeder_00"), ("spawned", "feeder_01")]
        assert [e.time for e in events] == pytest.approx([0.1, 0.6], abs=1 / 240)
        assert world.pose("feeder_02")[2] == -10


def test_two_feeders_of_one_line_draw_from_streams_of_their_own(blind_spec):
    twin = blind_spec.tables()["bodies"]["feeder"]
    with Cell(blind_spec.change({"bodies.supply": twin})) as cell:  # a name of the same length
        first, second = ([i for i in cell.items if i.name.startswith(n)] for n in ("feeder", "supply"))
        assert len(first) == len(second) == twin["count"]
        assert not {i.time for i in first} & {i.time for i in second}


# ---- belt, bin, box


def test_a_belts_space_lies_above_it_wherever_it_is_turned_to():
    belt = rooms.build("bodies", "belt", position=(1, 2, 0.05), size=(2, 0.4, 0.1), yaw=np.pi / 2)
    region = belt.region()
    assert belt.direction() == pytest.approx([0, 1, 0])
    assert region.low == pytest.approx((0.8, 1, 0.095))
    assert region.high == pytest.approx((1.2, 3, 0.4))


def test_a_bin_keeps_what_falls_into_it():
    with World() as world:
        rooms.build("bodies", "box", position=(0, 0, -0.01)).build("table", world, ())
        body = rooms.build("bodies", "bin", position=(0.1, 0.2, 0))
        body.build("bin", world, ())
        assert body.region().low == pytest.approx((0, 0.1, -0.01))
        assert body.region().high == pytest.approx((0.2, 0.3, 0.18))
        feeder = nominal(first=0, count=1, position=(0.16, 0.2, 0.3))
        state = feeder.build("feeder", world, feeder.schedule("feeder", stream()))
        for _ in range(240):
            state, _ = feeder.advance("feeder", world, state)
            world.step()
        at = world.pose("feeder_00")
        assert body.region().contains(at[:3])
        assert at[2] == pytest.approx(0.006 + 0.02, abs=0.001)  # floor and half an edge
        assert set(world.contacts("feeder_00").others) == {"bin"}


def test_a_box_is_as_high_as_its_size_says():
    with World() as world:
        rooms.build("bodies", "box", position=(0, 0, 0.3), size=(0.4, 0.2, 0.1), yaw=np.pi / 2).build("box", world, ())
        down = [[x, y, 1.0] for x, y in ((0, 0), (0.09, 0.19), (0.19, 0.09))]
        shares, _ = world.hits(np.array(down), np.array(down) * [1, 1, 0])
        assert shares == pytest.approx([0.65, 0.65, 1])


# ---- arm and gripper


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
@pytest.mark.parametrize("sign", [-1, 1])
def test_each_actuator_of_the_arm_moves_its_own_axis_at_its_set_point(blind_cell, axis, sign):
    start = blind_cell.reset(1)["tcp"]
    action = np.zeros(6)
    action[axis] = 0.1 * sign
    for _ in range(20):
        end = blind_cell.step(action)["tcp"]
    wanted = start.copy()
    wanted[axis] += 0.1 * sign
    assert end == pytest.approx(wanted, abs=0.012)  # it lags by about a tenth of a second


def test_a_tool_that_is_sent_nowhere_stays_where_it_is(blind_cell):
    start = blind_cell.reset(1)["tcp"]
    for _ in range(40):
        end = blind_cell.step({})["tcp"]
    assert end == pytest.approx(start, abs=0.002)


def test_the_gripper_opens_no_further_than_its_stroke_and_closes_to_nothing(blind_cell):
    blind_cell.reset(1)
    for _ in range(20):
        wide = blind_cell.step({"gripper": 0.2})["width"]
    assert wide == pytest.approx(0.08, abs=0.001)
    for _ in range(30):
        shut = blind_cell.step({"gripper": -0.2})["width"]
    assert shut == pytest.approx(0, abs=0.001)


def test_a_gripper_that_is_told_to_open_obeys_at_once_even_after_long_squeezing(blind_cell):
    tool = blind_cell.reset(1)["tcp"]
    late = next(i for i in reversed(blind_cell.items) if not i.defect)  # 4 cm, and immovable until it is fed
    blind_cell.world.place(late.name, frames.pose(tool[:3], tool[3]))
    for _ in range(60):
        held = blind_cell.step({"gripper": -0.2})["width"]
    for _ in range(4):
        width = blind_cell.step({"gripper": 0.2})["width"]
    assert held == pytest.approx(0.04, abs=0.002)
    assert width > held + 0.008
