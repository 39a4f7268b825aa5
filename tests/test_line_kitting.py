"""Kitting: what counts follows from truth, trays and boxes do what can be worked out, small kits are put together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from twinlab import frames, rooms
from twinlab.cell import Cell
from twinlab.errors import SceneError
from twinlab.parts import Part
from twinlab.scene import read_scene
from twinlab.world import World

SCENE = read_scene("kitting")
SEES = [name for name, sensor in SCENE.sensors.items() if sensor.sees()]
SMALL = {"task.order": {"bolt": 1, "nut": 1, "washer": 1}, "task.changes": 0.0}
BESIDE = (0.1, 0.5, 0.02)  # on the table, beside everything


@pytest.fixture(scope="module")
def line():
    with Cell(SCENE.vary(0).change(SMALL), without=SEES) as cell:
        yield cell


def started(cell: Cell, ticks: int = 4) -> Cell:
    """The line with all parts at rest."""
    cell.reset(0)
    for _ in range(ticks):
        cell.step({})
    return cell


def put(cell: Cell, part: str, at, ticks: int = 12) -> list:
    """Lay a part somewhere and see what the task says of it: (kind, item, place, right) of each event, the reward."""
    before, reward = len(cell.events), 0.0
    cell.world.place(part, frames.from_euler(at, (np.pi / 2, 0, 0)))
    for _ in range(ticks):
        cell.step({})
        reward += float(cell.truth["reward"])
    return [*((e.kind, e.item, e.place, e.right) for e in cell.events[before:]), reward]


def inside(cell: Cell, box: str, aside: float = 0.0) -> tuple[float, float, float]:
    """Where a part lies in a box."""
    low, high = (np.array(end) for end in (cell.spec.bodies[box].region().low, cell.spec.bodies[box].region().high))
    return (low[0] + high[0]) / 2 + aside, (low[1] + high[1]) / 2, low[2] + 0.012


def worked(cell: Cell, policy: str, seed: int, ticks: int) -> list:
    """What a policy does in so many ticks: (kind, place, right) of what ended, and whether the kit was right."""
    acts = rooms.build("policies", policy, spec=cell.spec)
    readings = cell.reset(seed)
    acts.reset(seed, cell.task.meaning())
    for _ in range(ticks):
        readings = cell.step(acts({**readings, **cell.truth} if acts.sees_truth else readings))
    return [(e.kind, e.place, e.right) for e in cell.events if e.kind not in ("spawned", "picked")]


def done(*kinds: str) -> list:
    return [*(("placed", f"{kind}_box", True) for kind in kinds), ("completed", "", True)]


@pytest.mark.parametrize("policy", ["expert", "program"])
def test_a_small_kit_is_put_together_on_the_nominal_line(policy):
    small = SCENE.vary(0).change({"task.order": {"bolt": 1, "washer": 1}})
    with Cell(small, without=SEES) as cell:
        assert worked(cell, policy, 0, 115) == done("bolt", "washer")


def test_the_expert_puts_a_kit_together_where_everything_is_somewhere_else():
    small = SCENE.change({"task.order": {"nut": 1, "washer": 1}, "task.changes": 0.0})
    with Cell(small, without=SEES) as cell:
        told = worked(cell, "expert", 60_000, 120)
        assert told == done(*(kind for kind in cell.task.order))


# ---- what counts


def test_a_part_is_right_in_its_own_box_until_there_are_enough(line):
    started(line)
    assert put(line, "bolts_00", inside(line, "bolt_box")) == [("placed", "bolts_00", "bolt_box", True), 1.0]
    assert line.truth["placed_count"].tolist() == [1, 0, 0] and line.truth["wanted_count"].tolist() == [1, 1, 1]
    told = put(line, "bolts_01", inside(line, "bolt_box", 0.02))
    assert told[0] == ("placed", "bolts_01", "bolt_box", False) and told[-1] == -1.0
    assert line.truth["wrong_count"] == 1


def test_a_part_in_a_box_of_another_kind_is_wrong(line):
    started(line)
    assert put(line, "nuts_03", inside(line, "washer_box")) == [("placed", "nuts_03", "washer_box", False), -1.0]
    assert line.truth["placed_count"].tolist() == [0, 0, 0]


def test_a_kit_is_right_when_all_counts_are_and_no_more_once_something_is_added(line):
    started(line)
    for kind in ("bolt", "nut"):
        assert put(line, f"{kind}s_02", inside(line, f"{kind}_box"))[:-1] == [
            ("placed", f"{kind}s_02", f"{kind}_box", True)
        ]
    assert put(line, "washers_02", inside(line, "washer_box"))[1] == ("completed", "kit", "", True)
    assert not line.truth["target_present"] and line.truth["arm_step"] == 0
    assert put(line, "nuts_05", inside(line, "nut_box", 0.025))[1] == ("completed", "kit", "", False)


def nearest(cell: Cell, kind: str) -> str:
    """The part of a kind's tray that is nearest to the tool."""
    tool, tray = cell.readings["tcp"][:2], cell.spec.bodies[kind].region()
    here = [i.name for i in cell.items if i.name.startswith(kind) and tray.contains(cell.world.pose(i.name)[:3])]
    return min(here, key=lambda name: np.linalg.norm(cell.world.pose(name)[:2] - tool))


def test_a_part_that_lies_beside_trays_and_boxes_is_dropped_for_good_and_a_spare_one_is_next(line):
    started(line)
    first = nearest(line, "bolts")
    assert line.truth["target"][:2] == pytest.approx(line.world.pose(first)[:2], abs=0.01)
    assert put(line, first, BESIDE) == [("dropped", first, "", False), -1.0]
    other = nearest(line, "bolts")
    assert other != first and line.truth["target"][:2] == pytest.approx(line.world.pose(other)[:2], abs=0.01)
    assert put(line, first, inside(line, "bolt_box")) == [0.0]


def test_the_part_that_is_nearest_to_the_tool_is_next_wherever_that_goes(line):
    started(line)
    seen = set()
    for x, y in ((0.47, 0.2), (0.6, 0.2), (0.6, 0.13), (0.47, 0.13)):
        now = line.readings["tcp"][:2]
        for _ in range(16):
            move = np.clip((np.array([x, y]) - line.readings["tcp"][:2]) * 4, -0.3, 0.3)
            line.step({"arm.x": move[0], "arm.y": move[1]})
        assert np.linalg.norm(line.readings["tcp"][:2] - now) > 0.03
        name = nearest(line, "bolts")
        assert line.truth["target"][:2] == pytest.approx(line.world.pose(name)[:2], abs=0.01)
        seen.add(name)
    assert len(seen) == 4


def test_what_lacks_at_the_deadline_is_missed_once():
    with Cell(SCENE.vary(0).change({**SMALL, "task.within": 0.5}), without=SEES) as cell:
        started(cell, 9)
        assert [e for e in cell.events if e.kind != "spawned"] == []
        for _ in range(6):
            cell.step({})
        told = [(e.kind, e.item, e.right, e.time) for e in cell.events if e.kind != "spawned"]
        missed = [("missed", f"{kind}_00", False, 0.5) for kind in ("bolts", "nuts", "washers")]
        assert told == [*missed, ("completed", "kit", False, 0.5)]
        assert not cell.truth["target_present"]


def test_a_part_that_the_hand_loses_on_its_tray_is_dropped_and_can_be_picked_again(line):
    expert = rooms.build("policies", "expert", spec=line.spec)
    readings = line.reset(0)
    for _ in range(60):
        readings = line.step(expert({**readings, **line.truth}))
        if any(e.kind == "picked" for e in line.events):
            break
    for _ in range(12):
        line.step({"gripper": 0.2})
    told = [(e.kind, e.item) for e in line.events if e.kind != "spawned"]
    assert told == [("picked", "bolts_00"), ("dropped", "bolts_00")]
    assert line.truth["target_present"] and not line.truth["target_held"]
    for _ in range(60):
        readings = line.step(expert({**line.readings, **line.truth}))
    told = [(e.kind, e.item) for e in line.events if e.kind != "spawned"]
    assert told[2:4] == [("picked", "bolts_00"), ("placed", "bolts_00")]


def test_a_part_that_is_no_longer_wanted_is_put_back_and_that_is_no_drop(line):
    expert = rooms.build("policies", "expert", spec=line.spec)
    readings = line.reset(0)
    for _ in range(60):
        readings = line.step(expert({**readings, **line.truth}))
        if any(e.kind == "picked" for e in line.events):
            break
    line.world.place("bolts_05", frames.from_euler(inside(line, "bolt_box"), (np.pi / 2, 0, 0)))
    for _ in range(32):
        readings = line.step(expert({**readings, **line.truth}))
    told = [(e.kind, e.item, e.right) for e in line.events if e.kind != "spawned"]
    assert told == [("picked", "bolts_00", False), ("placed", "bolts_05", True)]
    assert line.spec.bodies["bolts"].region().contains(line.world.pose("bolts_00")[:3])
    assert not line.truth["target_held"]


def test_a_robot_that_runs_into_a_tray_collides_once_and_spoils_the_part_that_it_is_after(line):
    started(line)
    for _ in range(30):
        line.step({"arm.x": 0.1, "arm.z": -0.2})
    assert [(e.kind, e.item) for e in line.events if e.kind == "collided"] == [("collided", "arm")]
    first = nearest(line, "bolts")
    assert put(line, first, inside(line, "bolt_box"))[0] == ("placed", first, "bolt_box", False)


# ---- the order


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31))
def test_counts_are_at_most_one_off_and_told_in_the_order_of_picking(seed):
    task = SCENE.task.drawn(np.random.default_rng(seed))
    assert set(task.order) == set(SCENE.task.order)
    assert all(abs(task.order[kind] - count) <= 1 for kind, count in SCENE.task.order.items())
    words = [int(word) for word in task.instruction().split() if word.isdigit()]
    assert words == [n for n in task.order.values() if n]
    assert task.meaning().counts == task.order


def test_the_nominal_order_is_always_the_same():
    task = SCENE.vary(0).task
    assert task.drawn(np.random.default_rng(3)) == task
    assert task.instruction() == "Put 3 bolts, 2 nuts and 4 washers into the kit."
    one = type(task)(**{**task.model_dump(), "order": {"nut": 1, "bolt": 0, "washer": 2}})
    assert one.instruction() == "Put 1 nut and 2 washers into the kit."


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task.order": {"screw": 2}}, "kinds that have a box"),
        ({"task.order": {"bolt": 0}}, "nothing is wanted"),
        ({"task.saying": "Fill it."}, "a sentence with"),
        ({"task.trays": ["bolt"]}, "Did you mean 'bolts'"),
        ({"bolts.mixed": 0.1, "bolts.others": {}}, "no `others`"),
        ({"washers.columns": 6}, "at most 5 columns"),
    ],
)
def test_an_order_or_a_tray_that_does_not_fit_says_why(change, said):
    with pytest.raises(SceneError, match=said):
        SCENE.change(change)


# ---- trays and boxes


def tray(**fields: object):
    still = {"scatter": 0.0, "turn": 0.0, "shift": 0.0, "twist": 0.0}
    return rooms.build("bodies", "tray", **{**still, **fields})


def test_parts_lie_in_rows_and_columns_on_the_plate():
    body = tray(position=(0.5, 0.2, 0.1), part=Part(size=(0.02, 0.02, 0.01)), rows=2, columns=3, pitch=(0.05, 0.04))
    with World() as world:
        items = body.build("tray", world, body.schedule("tray", np.random.default_rng(0)))
        for _ in range(60):
            world.step()
        at = np.array([world.pose(item.name)[:3] for item in items])
    wanted = [(0.5 + x, 0.2 + y, 0.1 + 0.005 + 0.005) for x in (-0.025, 0.025) for y in (-0.04, 0, 0.04)]
    assert at == pytest.approx(np.array(wanted), abs=1e-4)
    assert body.region().low == pytest.approx((0.42, 0.12, 0.099)) and body.region().high[2] == pytest.approx(0.2)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31))
def test_places_and_yaws_of_parts_and_tray_vary_within_their_bounds(seed):
    body = tray(scatter=0.004, turn=0.3, shift=0.003, twist=0.02, rows=3)
    drawn = body.drawn(np.random.default_rng(seed))
    off = np.subtract(drawn.position, body.position)
    assert np.abs(off[:2]).max() <= 0.003 and off[2] == 0 and abs(drawn.yaw) <= 0.02
    items = body.schedule("tray", np.random.default_rng(seed))
    nominal = tray(rows=3).schedule("tray", np.random.default_rng(seed))
    for item, at in zip(items, nominal, strict=True):
        off = np.subtract(item.pose[:3], at.pose[:3])
        assert np.abs(off[:2]).max() <= 0.004 + 1e-12 and abs(frames.yaw(np.array(item.pose))) <= 0.3


@pytest.mark.parametrize("kind", ["bolt", "nut", "washer"])
def test_the_scenes_parts_lie_still_and_within_a_third_of_a_millimetre_of_the_tray(kind):
    body = SCENE.bodies[f"{kind}s"]
    with World(substeps=3, iterations=60, roots=(SCENE.folder,)) as world:
        items = body.build(f"{kind}s", world, body.schedule(f"{kind}s", np.random.default_rng(2)))
        for _ in range(120):
            world.step()
        before = np.array([world.pose(item.name)[:3] for item in items])
        for _ in range(120):
            world.step()
        after = np.array([world.pose(item.name)[:3] for item in items])
        deep = [world.contacts(item.name).depth for item in items]
    assert np.abs(after - before).max() < 2e-4
    assert all(len(depth) for depth in deep) and max(depth.max() for depth in deep) < 3e-4


def test_a_washer_stands_in_its_groove():
    body = SCENE.vary(0).bodies["washers"]
    with World(substeps=3, iterations=60, roots=(SCENE.folder,)) as world:
        items = body.build("washers", world, body.schedule("washers", np.random.default_rng(0)))
        for _ in range(240):
            world.step()
        poses = [world.pose(item.name) for item in items]
    play = (body.groove[0] - 0.0024) / body.groove[1]  # how far it can lean: the groove's play over its depth
    assert all(abs(frames.axis(pose, 2)[2]) < 1.5 * play for pose in poses)
    assert [pose[2] for pose in poses] == pytest.approx([body.plate + 0.012] * 6, abs=5e-4)


def test_parts_of_another_kind_get_into_a_tray_as_often_as_is_said():
    body = tray(rows=20, columns=5, mixed=0.3, others={"screw": Part(size=(0.01, 0.01, 0.01))})
    kinds = [item.properties["part"] for item in body.schedule("tray", np.random.default_rng(0))]
    assert body.kinds() == {"part": ("part", "screw")}
    assert 15 <= kinds.count("screw") <= 45  # 30 expected, standard deviation 4.6
    with pytest.raises(ValidationError, match="give the other a name"):
        tray(others={"part": Part()})


def test_a_box_of_a_kit_keeps_what_falls_into_it_and_its_space_is_within_its_walls():
    body = rooms.build("bodies", "kit", position=(0.3, 0.1, 0), size=(0.1, 0.08, 0.03), wall=0.005)
    region = body.region()
    assert region.low == pytest.approx((0.255, 0.065, 0.005)) and region.high == pytest.approx((0.345, 0.135, 0.05))
    off = np.subtract(body.drawn(np.random.default_rng(1)).position, body.position)
    assert 0 < np.abs(off[:2]).max() <= body.shift and off[2] == 0
    part = Part(size=(0.02, 0.02, 0.02))
    with World() as world:
        body.build("box", world, ())
        world.add("cube", part.pieces(world.find), frames.pose((0.33, 0.1, 0.06)), part.weight(world.find))
        for _ in range(240):
            world.step()
        assert region.contains(world.pose("cube")[:3])
        assert world.pose("cube")[2] == pytest.approx(0.015, abs=1e-3)
