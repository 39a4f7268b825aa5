"""Palletising: where cartons go, what the infeed brings, every rule of the task, expert and program."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from twinlab import frames, rooms
from twinlab.cell import Cell
from twinlab.frames import Region
from twinlab.scene import SceneSpec, read_scene
from twinlab.skills import Aim, Now
from twinlab.tasks._stacking import Spot, heights, spot
from twinlab.world import World

DECK = Region((0.0, 0.0, 0.1), (0.3, 0.4, 0.3))  # the loading space is 0.2 m high
CELL, GAP = 0.002, 0.006
LARGE, MEDIUM, SMALL = (0.194, 0.144, 0.096), (0.144, 0.094, 0.096), (0.094, 0.068, 0.048)
SOON = {"infeed.position": [0.53, -0.4, 0.12], "infeed.first": 0.0}  # the first carton is at the barrier at once


@pytest.fixture(scope="module")
def spec() -> SceneSpec:
    return read_scene("palletising")


@pytest.fixture(scope="module")
def line(spec) -> Iterator[Cell]:
    """The nominal line, with its first carton, a medium one, near the station."""
    nominal = spec.vary(0).change(SOON)
    with Cell(nominal, without=blind(nominal)) as cell:
        yield cell


def blind(spec: SceneSpec) -> list[str]:
    return [name for name, sensor in spec.sensors.items() if sensor.sees()]


def run(spec: SceneSpec, kind: str, seed: int) -> Cell:
    """An episode under a policy until the pallet is completed; the cell is closed."""
    policy = rooms.build("policies", kind, spec=spec)
    with Cell(spec, without=blind(spec)) as cell:
        readings = cell.reset(seed)
        policy.reset(seed, cell.task.meaning())
        for _ in range(spec.ticks):
            readings = cell.step(policy({**readings, **cell.truth} if policy.sees_truth else readings))
            if cell.events and cell.events[-1].kind == "completed":
                break
    return cell


# ---- where cartons go


def stacked(cartons: list[tuple[tuple[float, ...], Spot]]) -> np.ndarray:
    poses = np.array([frames.pose(where.position, where.yaw) for _, where in cartons]).reshape(-1, 7)
    return heights(DECK, poses, np.array([edges for edges, _ in cartons]).reshape(-1, 3), CELL)


def place(edges: tuple[float, ...], cartons: list[tuple[tuple[float, ...], Spot]], least: float = 0.75) -> Spot | None:
    return spot(DECK, stacked(cartons), edges, GAP, least, CELL)


def test_the_map_of_heights_shows_each_carton_where_it_stands():
    pose, edges = frames.pose((0.1, 0.2, 0.1 + 0.05), np.pi / 2), (0.2, 0.1, 0.1)
    found = heights(DECK, np.array([pose]), np.array([edges]), CELL)
    assert found.shape == (150, 200)
    there = np.argwhere(found > 0) * CELL
    assert there.min(axis=0) == pytest.approx([0.05, 0.1], abs=CELL)
    assert there.max(axis=0) == pytest.approx([0.15, 0.3], abs=2 * CELL)
    assert set(np.unique(found.round(6))) == {0.0, 0.1}
    assert (found > 0).sum() * CELL**2 == pytest.approx(0.02, rel=0.05)


def test_the_first_carton_stands_in_the_far_corner_and_the_second_beside_it():
    first = place(LARGE, [])
    assert first == Spot(pytest.approx((0.3 - 0.097, 0.4 - 0.072, 0.148)), 0.0, 1.0)
    second = place(LARGE, [(LARGE, first)])
    assert second.position == pytest.approx((0.203, 0.328 - 0.144 - GAP, 0.148))


def test_small_cartons_begin_at_the_near_corner():
    where = spot(DECK, stacked([]), SMALL, GAP, 0.75, CELL, near=True)
    assert where.position == pytest.approx((0.047, 0.034, 0.124))


def test_a_carton_goes_up_only_where_the_deck_is_full_and_what_it_lies_on_carries_it():
    cartons = []
    for n in range(16):  # 2 x 4 medium ones fill the deck
        where = place(MEDIUM, cartons)
        assert where.position[2] == pytest.approx(0.148 if n < 8 else 0.244)
        assert where.support == 1.0
        cartons.append((MEDIUM, where))
    assert place(SMALL, cartons) is None  # 0.192 m + 0.048 m are more than 0.2 m


def test_a_carton_does_not_hang_over_more_than_it_may():
    alone = [(LARGE, Spot((0.15, 0.2, 0.148), 0.0, 1.0))]  # in the middle of the deck
    plate = (0.28, 0.2, 0.05)  # fits beside it nowhere, and half of it would lie on it at most
    assert place(plate, alone, least=0.75) is None
    found = place(plate, alone, least=0.45)
    assert found.position[2] == pytest.approx(0.1 + 0.096 + 0.025) and found.support == pytest.approx(0.45, abs=0.01)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([LARGE, MEDIUM, SMALL]), min_size=1, max_size=14))
def test_planned_cartons_keep_within_the_loading_space_and_their_distance(order):
    cartons = []
    for edges in order:
        where = place(edges, cartons)
        if where is None:
            continue
        low, high = corners(edges, where)
        assert (low >= np.array(DECK.low) - 1e-9).all() and (high <= np.array(DECK.high) + 1e-9).all()
        assert where.support >= 0.75
        for other, there in cartons:
            its_low, its_high = corners(other, there)
            apart = np.maximum(low - its_high, its_low - high)
            assert apart[2] > -1e-6 or max(apart[:2]) >= GAP - 1e-9
        cartons.append((edges, where))


def corners(edges: tuple[float, ...], where: Spot) -> tuple[np.ndarray, np.ndarray]:
    half = np.array([*(edges[:2] if where.yaw == 0 else edges[1::-1]), edges[2]]) / 2
    return np.array(where.position) - half, np.array(where.position) + half


# ---- infeed and pallet


def test_the_nominal_infeed_brings_the_sizes_in_order_square_and_in_the_middle(spec):
    items = spec.vary(0).bodies["infeed"].schedule("infeed", np.random.default_rng(0))
    assert [i.properties["size"] for i in items][:6] == ["medium", "small", "large", "medium", "small", "medium"]
    assert [i.time for i in items] == pytest.approx(0.5 + 4.0 * np.arange(12))
    assert {(*i.pose[:2], round(frames.yaw(np.array(i.pose)) % np.pi, 6)) for i in items} == {(0.53, -0.98, 0.0)}
    assert {i.edges for i in items} == {LARGE, MEDIUM, SMALL}
    assert all(
        spec.vary(0).bodies["infeed"].mass(i) == {"l": 1.0, "m": 0.6, "s": 0.3}[i.properties["size"][0]] for i in items
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(0, 1))
def test_what_varies_at_the_infeed_keeps_its_bounds_and_how_many_there_are_of_each_size(spec, seed, share):
    infeed = spec.vary(share).bodies["infeed"].drawn(np.random.default_rng(seed))
    items = infeed.schedule("infeed", np.random.default_rng(seed))
    assert Counter(i.properties["size"] for i in items) == {"large": 2, "medium": 5, "small": 5}
    for item in items:
        assert abs(item.pose[0] - 0.53) <= 0.03 * share + 1e-9
        assert abs(frames.wrap(frames.yaw(np.array(item.pose)), np.pi)) <= 0.35 * share + 1e-9
        nominal = infeed.cartons[item.properties["size"]].mass
        assert abs(infeed.mass(item) / nominal - 1) <= 0.2 * share + 1e-9
    for i, item in enumerate(sorted(items, key=lambda item: item.time)):
        assert abs(item.time - 0.5 - 4.0 * i) <= 1.0 * share + 1e-9


def test_an_order_of_unknown_sizes_and_a_carton_that_is_wider_than_long_are_errors():
    with pytest.raises(ValidationError, match=r"no cartons \['huge'\]; there are \['large', 'medium', 'small'\]"):
        rooms.build("bodies", "infeed", order=("large", "huge"))
    with pytest.raises(ValidationError, match="the length not below the width"):
        rooms.build("bodies", "infeed", cartons={"flat": {"edges": (0.1, 0.2, 0.1)}})


def test_the_belt_stands_while_a_carton_is_at_its_end_and_the_next_one_waits(line):
    line.reset(0)
    for _ in range(100):  # the second carton is due after 4 s
        line.step({})
    assert line.tags["belt.speed"] == 0 and line.tags["infeed.blocked"] is True
    front = line.world.pose("infeed_00")[1] + MEDIUM[1] / 2
    assert -0.275 < front < -0.25  # the barrier is at -0.27; a tick and the way to stop come on top
    assert [e.item for e in line.events if e.kind == "spawned"] == ["infeed_00"]
    line.world.place("infeed_00", frames.pose((-0.2, 0, 0.05)))
    for _ in range(3):
        line.step({})
    assert line.tags["belt.speed"] == 0.2
    assert [e.item for e in line.events if e.kind == "spawned"] == ["infeed_00", "infeed_01"]


def test_a_slipping_belt_and_a_jammed_infeed_are_late(spec):
    nominal = spec.vary(0).change({"infeed.count": 2, "infeed.first": 0.5})

    def seen(fault: str) -> tuple[float, float]:
        with Cell(nominal, without=blind(nominal)) as cell:
            cell.trigger(fault) if fault else None
            for _ in range(40):
                cell.step({})
            spawned = [e.time for e in cell.events if e.kind == "spawned"]
            return spawned[0] if spawned else np.inf, cell.world.pose("infeed_00")[1]

    (soon, far), (slow, near), (late, _) = seen(""), seen("slow_belt"), seen("jammed_infeed")
    assert soon == slow == pytest.approx(0.5, abs=0.01)
    assert far + 0.98 == pytest.approx(2 * (near + 0.98), rel=0.1)  # a slip takes half of the speed
    assert late == np.inf


def test_a_pallets_deck_is_flat_and_its_space_begins_there():
    with World() as world:
        pallet = rooms.build("bodies", "pallet", position=(0, 0, 0))
        pallet.build("pallet", world, ())
        points = np.array([(x, y) for x in (-0.14, 0.0, 0.07, 0.14) for y in (-0.19, 0.0, 0.19)])
        starts, ends = np.column_stack([points, np.ones(12)]), np.column_stack([points, np.zeros(12)])
        shares, met = world.hits(starts, ends)
        assert set(met) == {"pallet"} and shares == pytest.approx(np.full(12, 1 - 0.072), abs=1e-4)
        side, _ = world.hits(np.array([[1.0, 0.1, 0.036]]), np.array([[0.0, 0.1, 0.036]]))
        assert side[0] == 1  # a fork gets in between the blocks
    region = pallet.region()
    assert region.low == pytest.approx((-0.15, -0.2, 0.072)) and region.high == pytest.approx((0.15, 0.2, 0.272))


# ---- rules of the task


def awaited(line: Cell) -> tuple[str, np.ndarray]:
    """The first carton when it is the target, and where it is to stand (7,)."""
    line.reset(0)
    for _ in range(60):
        line.step({})
        if line.truth["target_present"]:
            break
    goal = line.truth["goal"].astype(float)
    return "infeed_00", frames.pose(goal[:3], np.arctan2(goal[4], goal[3]) / 2)


def put(line: Cell, pose: np.ndarray, ticks: int = 4, item: str = "infeed_00") -> list[tuple[str, str, bool]]:
    """Lay a carton somewhere; what the task says of it in the ticks after, and the reward."""
    before = len(line.events)
    line.world.place(item, pose)
    reward = 0.0
    for _ in range(ticks):
        line.step({})
        reward += float(line.truth["reward"])
    return [*((e.kind, e.place, e.right) for e in line.events[before:] if e.item == item), reward]


def moved(pose: np.ndarray, x: float = 0.0, y: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    return frames.pose(pose[:3] + np.array([x, y, 0.0005]), frames.yaw(pose) + yaw)


def test_the_carton_at_the_barrier_is_the_target_and_its_place_the_far_corner(line):
    awaited(line)
    at = line.world.pose("infeed_00")
    assert line.truth["target"][:3] == pytest.approx(at[:3], abs=1e-3)
    low, high = line.spec.bodies["pallet"].region().low, line.spec.bodies["pallet"].region().high
    goal = line.truth["goal"]
    assert goal[:3] == pytest.approx((high[0] - 0.072, high[1] - 0.047, low[2] + 0.048), abs=2e-3)
    assert {v.name: v.labels for v in line.variables}["target_size"][int(line.truth["target_size"])] == "medium"


@pytest.mark.parametrize(
    ("off", "right"),
    [
        ({}, True),
        ({"x": -0.012}, True),
        ({"x": -0.012, "yaw": 0.07}, True),
        ({"yaw": np.pi}, True),  # it looks the same
        ({"x": -0.02}, False),
        ({"yaw": 0.1}, False),
        ({"yaw": np.pi / 2, "y": -0.03}, False),
    ],
)
def test_a_carton_is_right_within_15_mm_and_5_degrees_of_its_place(line, off, right):
    _, goal = awaited(line)
    told = put(line, moved(goal, **off))
    assert told == [("placed", "pallet", right), 1.0 if right else -1.0]
    assert (line.truth["fill"] > 0) == right


def test_the_fill_is_the_volume_of_what_stands_right_over_the_loading_space(line):
    _, goal = awaited(line)
    put(line, moved(goal))
    assert line.truth["fill"] == pytest.approx(0.144 * 0.094 * 0.096 / (0.3 * 0.4 * 0.2), rel=1e-4)
    assert line.truth["height"] == pytest.approx(0.096, abs=1e-3)
    assert line.truth["stable"] and line.truth["shift"] < 0.001


def test_a_placed_carton_that_moves_by_more_than_5_mm_counts_as_wrong_after_all(line):
    _, goal = awaited(line)
    put(line, moved(goal))
    assert put(line, moved(goal, x=-0.003)) == [0.0]
    assert line.truth["shift"] == pytest.approx(0.003, abs=0.0007)
    assert put(line, moved(goal, x=-0.007)) == [("placed", "pallet", False), -1.0]
    assert not line.truth["stable"] and line.truth["fill"] == 0
    assert put(line, moved(goal, x=-0.02)) == [0.0]  # it counts once


def test_a_placed_carton_that_falls_off_is_dropped_and_one_that_tips_over_is_wrong(line):
    _, goal = awaited(line)
    put(line, moved(goal))
    assert put(line, frames.pose((0.25, 0.5, 0.05))) == [("dropped", "", False), -1.0]
    assert not line.truth["stable"]
    _, goal = awaited(line)
    put(line, moved(goal))
    side = frames.from_euler(goal[:3], (np.pi / 2, 0, 0))
    assert put(line, side) == [("placed", "pallet", False), -1.0]


def test_a_carton_that_leaves_the_belt_untouched_is_missed(line):
    awaited(line)
    assert put(line, frames.pose((0.1, -0.4, 0.05))) == [("missed", "", False), -1.0]


def test_a_carton_that_the_cup_loses_is_dropped_and_may_be_taken_again_from_the_belt(line):
    awaited(line)
    tool = line.world.pose("arm/cup_tip")[:3]
    line.world.place("infeed_00", frames.pose(tool - [0, 0, 0.048]))
    before = len(line.events)
    for _ in range(2):
        line.step({"suction": -1.0})
    assert [(e.kind, e.item) for e in line.events[before:]] == [("picked", "infeed_00")]
    assert line.truth["target_held"]
    for _ in range(20):
        line.step({"suction": 1.0})
    assert [(e.kind, e.item) for e in line.events[before + 1 :]] == [("dropped", "infeed_00")]
    assert line.truth["target_present"] and not line.truth["target_held"]


def test_what_is_not_done_in_time_is_missed_and_the_pallet_is_not_as_wanted(spec):
    short = spec.vary(0).change({**SOON, "task.within": 1.0, "infeed.count": 1})
    with Cell(short, without=blind(short)) as cell:
        for _ in range(21):
            cell.step({})
        told = [(e.kind, e.item, e.right) for e in cell.events[1:]]
    assert told == [("missed", "infeed_00", False), ("completed", "pallet", False)]


def test_a_robot_that_presses_on_a_stacked_carton_or_on_the_belt_collides(line):
    _, goal = awaited(line)
    put(line, moved(goal))
    skill, above = rooms.build("skills", "withdraw"), Aim(goal[:3] + np.array([0, 0, 0.1]))
    for _ in range(50):
        line.step(skill.act(Now(line.readings["tcp"].astype(float)), above))
    assert not [e for e in line.events if e.kind == "collided"]
    before = len(line.events)
    for _ in range(16):
        line.step({"arm.z": -0.1, "suction": 1.0})
    assert ("collided", "arm", "infeed_00") in [(e.kind, e.item, e.place) for e in line.events[before:]]
    assert line.truth["fill"] == 0  # it is spoilt
    line.reset(0)
    line.step({})
    line.world.place("infeed_00", frames.pose((-0.4, 0, 0.05)))
    for _ in range(20):
        line.step({"arm.z": -0.3})
    assert ("collided", "arm", "belt") in [(e.kind, e.item, e.place) for e in line.events]


def test_the_task_says_which_bodies_it_lacks(spec):
    task = spec.task
    assert task.misfit(["belt"], {"size": ()}).startswith("'pallet' is no place for cartons")
    assert "cartons of a size" in task.misfit(["belt", "pallet"], {"colour": ()})
    assert task.misfit(["belt", "pallet"], {"size": ("large",)}) == ""


# ---- skills


def test_a_cup_is_brought_above_the_face_then_down_on_it_and_never_past_its_push():
    skill = rooms.build("skills", "suck")
    now, aim = Now(np.array([0.6, 0.3, 0.17, 0.0])), Aim(np.array([0.53, -0.33, 0.2]), 0.3)
    path = []
    for _ in range(200):
        action = skill.act(now, aim)
        path.append((*now.tool, action[4]))
        now = Now(now.tool + 0.05 * action[:4], wrench=np.array([0, 0, 3.9, 0, 0, 0]))
        if now.tool[2] < 0.2:  # it touches: the wrist feels 20 N
            now = Now(now.tool, wrench=np.array([0, 0, 3.9 - 20, 0, 0, 0]))
    path = np.array(path)
    moving = np.hypot(path[:, 0] - 0.53, path[:, 1] + 0.33)
    across = (moving < 0.6) & (moving > 0.1)
    assert path[across, 2].min() > 0.28
    assert path[-1, :4] == pytest.approx([0.53, -0.33, 0.2, 0.3], abs=0.002)
    assert path[0, 4] > 0.1 and path[-1, 4] < -0.1  # it blows on the way and sucks at the end


def test_a_carton_is_put_down_from_above_and_let_go_where_it_stands():
    skill = rooms.build("skills", "stack")
    now, aim = (
        Now(np.array([0.53, -0.33, 0.21, 0.0]), wrench=np.array([0, 0, 9.8, 0, 0, 0])),
        Aim(np.array([0.6, 0.2, 0.17]), 1.5),
    )
    for _ in range(200):
        action = skill.act(now, aim)
        if action[4] > 0.1:
            break
        aside = np.hypot(*(now.tool[:2] - aim.position[:2]))
        assert now.tool[2] > 0.3 or aside < 0.005 or np.hypot(now.tool[0] - 0.53, now.tool[1] + 0.33) < 0.01
        now = Now(now.tool + 0.05 * action[:4], wrench=now.wrench)
    assert now.tool == pytest.approx([0.6, 0.2, 0.17, 1.5], abs=0.005)
    light = Now(
        np.array([0.6, 0.2, 0.173, 1.5]), wrench=np.array([0, 0, 4.0, 0, 0, 0])
    )  # its weight is gone: it stands
    assert skill.act(light, aim)[4] > 0.1
    heavy = Now(light.tool, wrench=np.array([0, 0, 9.8, 0, 0, 0]))
    assert skill.act(heavy, aim)[4] < -0.1


def test_a_cup_withdraws_straight_up_before_it_moves_across():
    skill = rooms.build("skills", "withdraw")
    aim = Aim(np.array([0.53, -0.33, 0.31]))
    low, high = Now(np.array([0.6, 0.2, 0.17, 0.0])), Now(np.array([0.6, 0.2, 0.31, 0.0]))
    assert skill.act(low, aim)[:2] == pytest.approx([0, 0]) and skill.act(low, aim)[2] > 0.3
    assert skill.act(high, aim)[1] < -0.5


# ---- policies


@pytest.mark.parametrize("kind", ["expert", "program"])
def test_two_cartons_of_the_nominal_line_are_stacked_right(spec, kind):
    cell = run(spec.vary(0).change({**SOON, "infeed.count": 2, "task.within": 14}), kind, seed=60001)
    told = [(e.kind, e.item, e.right) for e in cell.events if e.kind not in ("spawned", "picked")]
    assert told == [("placed", "infeed_00", True), ("placed", "infeed_01", True), ("completed", "pallet", True)]


def test_the_expert_stacks_what_comes_turned_late_and_heavy(spec):
    cell = run(spec.change({**SOON, "infeed.count": 3, "task.within": 18}), "expert", seed=60002)
    told = [(e.kind, e.right) for e in cell.events if e.kind not in ("spawned", "picked")]
    assert told == [("placed", True)] * 3 + [("completed", True)]
    assert cell.truth["stable"] and cell.truth["shift"] < 0.005


def test_a_worn_cup_drops_what_a_new_one_carries(spec):
    heavy = {**SOON, "infeed.order": ["large"], "infeed.count": 1, "task.within": 8}
    worn = {"faults.worn_cup.onset": 0.0, "faults.worn_cup.chance": 1.0}
    assert ends(run(spec.vary(0).change(heavy), "expert", 60000)) == ["placed"]
    assert "dropped" in ends(run(spec.vary(0).change({**heavy, **worn}), "expert", 60000))


def ends(cell: Cell) -> list[str]:
    return [e.kind for e in cell.events if e.kind in ("placed", "dropped", "missed")]
