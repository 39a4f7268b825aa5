"""The inspection line: its bodies against hand-worked numbers, the rules of its task; see also test_defect_mask.py."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from twinlab import frames, rooms
from twinlab.bodies._housing import Flaw, pieces
from twinlab.cell import Cell
from twinlab.episodes import record
from twinlab.errors import CellError, SceneError
from twinlab.kpi import kpis
from twinlab.scene import read_scene
from twinlab.world import World

STEP = 1 / 240
SPEC = read_scene("inspection")
NOMINAL = SPEC.vary(0)
STATION = np.array(SPEC.task.station)
FACE = 0.25  # height of the table's face [m]
FLAWS = ("scratch", "dent", "missing", "dimension")


def blind(spec=NOMINAL, **changes: object) -> Cell:
    return Cell(spec.change(changes), without=list(spec.sensors))


def run(cell: Cell, kind: str, ticks: int | None = None, seed: int = 0) -> list:
    """What happened under a policy."""
    policy = rooms.build("policies", kind, **({"actuators": 1} if kind == "still" else {"spec": cell.spec}))
    cell.reset(seed)
    policy.reset(seed, cell.task.meaning())
    for _ in range(ticks or cell.spec.ticks):
        cell.step(policy({**cell.readings, **cell.truth} if policy.sees_truth else cell.readings))
    return list(cell.events)


def ends(events: list) -> dict[str, bool]:
    """Part → whether it ended right."""
    return {e.item: e.right for e in events if e.kind in ("placed", "missed", "dropped")}


# ---- the line as a whole


def test_on_the_nominal_line_the_expert_tells_every_master_part_apart_and_each_ends_in_its_bin():
    with blind() as cell:
        events = run(cell, "expert")
        assert list(ends(events).values()) == [True] * 11
        verdicts = [(e.place, e.right) for e in events if e.kind == "inspected"]
        assert verdicts == [("reject" if item.defect else "pass", True) for item in cell.items]
        assert Counter(e.kind for e in events) == {"spawned": 11, "inspected": 11, "placed": 11}
        assert max(e.time for e in events) < 29


def test_the_program_knows_the_order_of_the_master_parts_and_nothing_else():
    few = {"loader.count": 5}
    with blind(NOMINAL, **few) as cell:
        assert list(ends(run(cell, "program", 340)).values()) == [True] * 5
    with blind(SPEC, **few) as cell:
        program, expert = (ends(run(cell, kind, 340, seed=60_003)) for kind in ("program", "expert"))
        assert list(expert.values()) == [True] * 5
        assert len(program) == 5 and not all(program.values())


class Rejecting:
    """Rejects what is under the cameras before a time, and nothing after."""

    sees_truth, sees_pictures = False, False

    def __init__(self, until: int) -> None:
        self._left = until

    def reset(self, seed: int, meaning: object) -> None:
        """Nothing to forget."""

    def __call__(self, readings: dict) -> np.ndarray:
        self._left -= 1
        return np.array([1.0 if self._left > 0 else 0.0])


@pytest.mark.parametrize(("until", "escape", "false_reject"), [(0, 1, 0), (70, 1, 1 / 3), (400, 0, 1)])
def test_escape_and_false_reject_count_what_the_ejector_was_told(until, escape, false_reject):
    with blind(**{"loader.count": 5}) as cell:  # good, scratched, good, good, dented
        found = kpis(record(cell, Rejecting(until), 340, 0, keep=("busy",)))
        first = next(e for e in cell.events if e.kind == "placed" and e.item == "loader_00")
    assert (found.escape, found.false_reject) == (escape, pytest.approx(false_reject))
    assert found.items == 5
    assert found.correct == pytest.approx((3 * (1 - false_reject) + 2 * (1 - escape)) / 5)
    assert first.right == (until == 0)


# ---- turntable


def turned(table, seconds: float, world: World, state=None):
    """The table so much later; what it waits for never comes."""
    state = table.build("table", world, ()) if state is None else state
    for _ in range(round(seconds / STEP)):
        state, _ = table.advance("table", world, state)
        world.step()
    return state


@pytest.mark.parametrize(("stations", "period", "move"), [(6, 2.0, 0.7), (8, 1.0, 0.5)])
def test_a_table_goes_on_by_one_station_each_period_and_stands_in_between(stations, period, move):
    table = rooms.build("bodies", "turntable", stations=stations, period=period, move=move)
    with World() as world:
        state = turned(table, period - move - 0.01, world)
        assert table.tags("table", world, state)["standing"]
        assert table.tags("table", world, state)["angle"] == pytest.approx(0, abs=1e-6)
        state = turned(table, 0.01 + move / 2, world, state)  # halfway it is twice as fast as on average
        pitch = 2 * np.pi / stations
        assert not table.tags("table", world, state)["standing"]
        assert world.joints("table").position[0] == pytest.approx(pitch / 2, abs=0.02)
        assert world.joints("table").velocity[0] == pytest.approx(2 * pitch / move, rel=0.01)
        state = turned(table, 2 * period + move / 2, world, state)
        assert table.tags("table", world, state)["indexed"] == 3
        assert world.joints("table").position[0] == pytest.approx(3 * pitch, abs=1e-3)


def test_what_lies_on_the_table_is_carried_round_by_friction():
    table = rooms.build("bodies", "turntable")
    with World(substeps=2) as world:
        state = table.build("table", world, ())
        part = pieces((1, 1, 1), 0, Flaw())
        world.add("part", part, frames.pose((0.16, 0, FACE + 0.008)), mass=0.1)
        turned(table, 2.0, world, state)
        at = world.pose("part")
    assert at[:3] == pytest.approx([0.16 * np.cos(np.pi / 3), 0.16 * np.sin(np.pi / 3), FACE + 0.008], abs=0.001)
    assert frames.yaw(at) == pytest.approx(np.pi / 3, abs=0.01)


def test_a_table_waits_for_its_tags_and_says_which_it_does_not_know():
    table = rooms.build("bodies", "turntable", waits=("door.shut",))
    with World() as world:
        state, _, _ = table.scan("table", table.build("table", world, ()), {"door.shut": False}, 0.0)
        state = turned(table, 5.0, world, state)
        assert state.indexed == 0 and not state.moved
        state, _, _ = table.scan("table", state, {"door.shut": True}, 0.0)
        assert turned(table, 0.01, world, state).moved > 0
        with pytest.raises(CellError, match=r"no tag 'door.shut'.*Did you mean 'door.shutt'"):
            table.scan("table", state, {"door.shutt": True}, 0.0)


def test_another_speed_of_the_line_is_written_as_a_tag_and_the_disc_does_not_jump():
    with blind() as cell:
        cell.step({})
        cell.write("table.period", 1.0)
        for _ in range(10):
            before = cell.tags["table.angle"]
            cell.step({})
            assert 0 <= cell.tags["table.angle"] - before < 0.16  # 3 rad/s for a tick
        assert not cell.tags["table.standing"]
        with pytest.raises(CellError, match=r"leaves no time to stand"):
            cell.write("table.period", 0.5)


def test_a_table_whose_move_leaves_no_time_to_stand_is_none():
    with pytest.raises(ValidationError, match="leaves no time"):
        rooms.build("bodies", "turntable", period=0.5, move=0.5)


# ---- ejector


def told(ejector, state, *wishes: tuple[float, bool]):
    """Its state after ticks with a set-point each, and whether the table stood then."""
    with World() as world:
        for wish, standing in wishes:
            state = ejector.command("ejector", world, state, {"ejector": wish}, 0.05)
            state, _, _ = ejector.scan("ejector", state, {"table.standing": standing}, 0.0)
    return state


def test_the_verdict_is_what_was_asked_last_while_the_table_stood():
    with World() as world:
        ejector = rooms.build("bodies", "ejector")
        state = ejector.build("ejector", world, ())
    late = told(ejector, state, (-1, True), (1, True), (-1, False))
    assert (late.verdicts, late.rejects, late.register) == (1, True, (True,))
    early = told(ejector, state, (1, True), (-1, True), (1, False), (1, False))
    assert (early.verdicts, early.rejects, early.register) == (1, False, (False,))
    none = told(ejector, state, (0, True), (0, False))
    assert (none.verdicts, none.rejects) == (1, False)


@pytest.mark.parametrize("delay", [1, 2, 3])
def test_a_verdict_reaches_the_pusher_after_its_delay(delay):
    with World() as world:
        ejector = rooms.build("bodies", "ejector", delay=delay)
        state = ejector.build("ejector", world, ())
    cycle = [(-1.0, False), (-1.0, True)]
    state = told(ejector, state, (1, True))
    went = []
    for _ in range(4):
        state = told(ejector, state, *cycle)
        went.append(state.out)
    assert went == [move == delay for move in (1, 2, 3, 4)]


def test_a_pusher_goes_out_for_its_stroke_and_is_home_again_before_the_table_goes_on():
    ejector = rooms.build("bodies", "ejector")
    with World() as world:
        state = told(ejector, ejector.build("ejector", world, ()), (1, True), (1, False), (0, True))
        reach = []
        for _ in range(round(1.3 / STEP)):
            state, _ = ejector.advance("ejector", world, state)
            world.step()
            reach.append(ejector.tags("ejector", world, state)["reach"])
        assert max(reach) == pytest.approx(0.112, abs=0.003)
        assert ejector.tags("ejector", world, state)["home"]
    speed = np.diff(reach) / STEP
    assert speed.max() == pytest.approx(0.6, abs=0.05) and speed.min() == pytest.approx(-0.6, abs=0.05)


def test_the_table_waits_for_a_pusher_that_is_slow():
    with blind(**{"ejector.speed": 0.06, "loader.masters": ["dent"]}) as cell:
        run(cell, "expert", 100)
        assert cell.tags["table.indexed"] == 2 and not cell.tags["ejector.home"]


# ---- loader and its parts


def loader(**fields: object):
    still = {"jitter": 0, "scatter": 0, "turn": 0, "mixing": 0, "spread": 0, "shade": 0}
    return rooms.build("bodies", "loader", **{**still, **fields})


def stream(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_nominal_loader_brings_master_parts_of_middling_sizes_in_order():
    items = loader(count=12).drawn(stream()).schedule("loader", stream())
    assert [i.defect for i in items] == ["", "scratch", "", "", "dent", "", "missing", "", "", "dimension", "", ""]
    assert [i.time for i in items] == pytest.approx([0.3 + 2 * n for n in range(12)])
    sizes = {i.defect: i.size for i in items}
    assert sizes == pytest.approx({"": 0, "scratch": 0.015, "dent": 0.0065, "missing": 0.0055, "dimension": 0.0025})


@settings(max_examples=25)
@given(st.integers(0, 2**31 - 1))
def test_sizes_places_and_yaws_vary_within_their_ranges(seed):
    body = rooms.build("bodies", "loader", count=20).drawn(stream(seed))
    for item in body.schedule("loader", stream(seed)):
        low, high = getattr(body, item.defect) if item.defect else (0, 0)
        assert low <= item.size <= high
        assert np.abs(np.array(item.pose[:2]) - body.position[:2]).max() <= 0.003 + 1e-9
        assert abs(frames.yaw(np.array(item.pose)) - body.yaw) <= 0.3 + 1e-9


def test_about_a_third_of_the_parts_are_defective_in_all_four_ways():
    found = Counter(i.defect for i in rooms.build("bodies", "loader", count=200).schedule("loader", stream(2)))
    assert set(found) == {"", *FLAWS}
    assert 110 <= found[""] <= 150  # 130 expected, standard deviation 6.7


def test_each_episode_draws_sizes_of_its_own_and_the_same_seed_the_same():
    with blind(SPEC) as cell:
        seen = []
        for seed in (5, 6, 5):
            cell.reset(seed)
            seen.append(cell.items)
        assert seen[0] == seen[2] != seen[1]


def box_of(flaw: Flaw) -> list[np.ndarray]:
    """Edges of a box around each of a housing's solids [mm]: base, boss, pins."""
    return [1000 * np.ptp(p.solid.mesh.vertices, axis=0) for p in pieces((1, 1, 1), 0, flaw)]


def test_what_is_wrong_with_a_part_is_so_in_its_solids():
    base, boss, *pins = box_of(Flaw())
    assert base == pytest.approx([48, 48, 16]) and boss == pytest.approx([20, 20, 12])
    assert [pin[2] for pin in pins] == pytest.approx([8, 8])
    assert [pin[2] for pin in box_of(Flaw("missing", 0.003, 1))[2:]] == pytest.approx([8, 5])
    assert len(box_of(Flaw("missing", 0.008, 0))) == 3
    sizes = [box_of(Flaw("dimension", 0.003, site))[1] for site in range(4)]
    assert np.array(sizes) == pytest.approx(np.array([[20, 20, 15], [20, 20, 9], [23, 23, 12], [17, 17, 12]]))
    groove = box_of(Flaw("scratch", 0.012, 0))[-1]
    assert groove == pytest.approx([12, 1, 0.2], abs=1e-3)


def test_a_dent_cuts_a_corner_off_as_deep_as_it_says():
    corners = 1000 * pieces((1, 1, 1), 0, Flaw("dent", 0.006, 0))[0].solid.mesh.vertices
    along = corners @ np.ones(3) / np.sqrt(3)
    assert along.max() == pytest.approx((24 + 24 + 8) / np.sqrt(3) - 6)


def test_a_loader_puts_down_one_part_for_each_stop_of_the_table():
    with blind(**{"loader.period": 0.5}) as cell:  # parts queue up for nests
        run(cell, "expert", 125)
        spawned = [e.time for e in cell.events if e.kind == "spawned"]
    assert spawned == pytest.approx([0.3, 2.05, 4.05, 6.05], abs=0.051)


def test_a_loader_waits_while_a_part_lies_in_the_nest():
    with blind(**{"plough.position": [0, 0.9, 0.3]}) as cell:  # nothing leads good parts off
        events = run(cell, "still", 300)
        assert [e.item for e in events if e.kind == "missed"] == ["loader_00", "loader_01"]
        assert len([e for e in events if e.kind == "spawned"]) == 6  # as many as there are nests


def test_sizes_that_no_part_can_have_are_refused():
    with pytest.raises(ValidationError, match="smaller one first"):
        loader(dent=(0.008, 0.004))
    with pytest.raises(ValidationError, match=r"no more than 0\.008 m"):
        loader(missing=(0.003, 0.009))


# ---- the rules of the task


def test_the_part_under_the_cameras_is_the_target_and_says_what_is_wrong_with_it():
    with blind() as cell:
        run(cell, "expert", 20)
        assert not cell.truth["target_present"] and not cell.truth["busy"]
        assert cell.truth["setpoints"].tolist() == [0]
        run(cell, "expert", 90)  # 4.5 s: the scratched part stands there
        truth = cell.truth
        assert truth["target_present"] and truth["target_defect"] and truth["busy"]
        assert cell.task.flaws[int(truth["target_flaw"]) - 1] == "scratch"
        assert truth["target_size"] == pytest.approx(0.015) and truth["setpoints"].tolist() == [1]
        assert truth["target"][:3] == pytest.approx([*STATION, FACE + 0.008], abs=0.002)
        assert np.arctan2(truth["target"][4], truth["target"][3]) / 2 == pytest.approx(np.pi / 6, abs=0.02)
        assert truth["goal"][:2] == pytest.approx(cell.spec.bodies["reject_bin"].region().centre[:2])


def put(cell: Cell, number: int, at: tuple[float, float, float], ticks: int = 12) -> list:
    """Lay a part somewhere and see what the task says of it: (kind, place, right), then the reward."""
    name, before = cell.items[number].name, len(cell.events)
    cell.world.place(name, frames.pose(at))
    reward = 0.0
    for _ in range(ticks):
        cell.step({})
        reward += float(cell.truth["reward"])
    return [*((e.kind, e.place, e.right) for e in cell.events[before:] if e.item == name), reward]


@pytest.mark.parametrize(
    ("place", "good"), [("good_bin", True), ("reject_bin", False)], ids=["with good ones", "with rejects"]
)
def test_a_part_is_right_where_it_belongs_and_nowhere_else(place, good):
    with blind() as cell:
        run(cell, "expert", 55)  # two parts are on the table: a good one and a scratched one
        x, y, _ = cell.spec.bodies[place].position
        for number, belongs in ((0, good), (1, not good)):
            right = [("placed", place, belongs), 1.0 if belongs else -1.0]
            assert put(cell, number, (x, y + 0.06 - 0.12 * number, 0.03)) == right


def test_a_part_that_falls_beside_is_dropped():
    with blind() as cell:
        run(cell, "expert", 10)
        assert put(cell, 0, (-0.4, -0.4, 0.01)) == [("dropped", "", False), -1.0]


def test_a_part_that_goes_round_is_missed():
    with blind(**{"plough.position": [0, 0.9, 0.3], "loader.count": 1}) as cell:
        events = run(cell, "still", 260)
        assert [(e.kind, e.item) for e in events if e.item == "loader_00"][-1] == ("missed", "loader_00")
        assert ends(events) == {"loader_00": False}


def test_a_part_that_a_device_presses_too_hard_ends_wrong_in_the_right_bin():
    with blind(**{"task.force": 0.2, "loader.masters": ["dent"], "loader.count": 1, "ejector.speed": 0.1}) as cell:
        events = run(cell, "expert", 250)
        assert [(e.kind, e.item, e.place) for e in events if e.kind == "collided"] == [
            ("collided", "ejector", "loader_00")
        ]
        assert [(e.place, e.right) for e in events if e.kind == "placed"] == [("reject_bin", False)]


def test_a_scene_that_cannot_be_inspected_is_told_at_once():
    with pytest.raises(SceneError, match=r"'god_bin' is no place.*Did you mean 'good_bin'"):
        NOMINAL.change({"task.good": "god_bin"})
    with pytest.raises(SceneError, match=r"inspects 'bolt', but the line brings \['housing'\]"):
        NOMINAL.change({"task.part": "bolt"})


# ---- faults and cost


@pytest.mark.parametrize("fault", ["lamp_fails", "lens_dirty", "camera_knocked", "loader_jams", "ejector_hangs"])
def test_the_scenes_faults_can_be_triggered(fault):
    with blind() as cell:
        cell.trigger(fault)
        cell.step({})
        assert cell.truth["fault_level"].max() == 1


def test_a_hung_ejector_lets_defects_escape_though_the_expert_knows_them():
    with blind(
        **{"faults.ejector_hangs.chance": 1, "faults.ejector_hangs.onset": 0, "faults.ejector_hangs.duration": 0}
    ) as cell:
        events = run(cell, "expert", 110)
        assert [(e.place, e.right) for e in events if e.kind == "inspected"] == [("pass", True), ("pass", False)]


def test_a_bad_batch_brings_scratches():
    with blind(**{"faults.bad_batch.chance": 1, "faults.bad_batch.share": 1, "faults.bad_batch.onset": 0}) as cell:
        cell.reset(1)
        early = [i.defect for i in cell.items if i.time < 10]
        assert early == ["scratch", "scratch", "scratch", "scratch", "dent"]
        assert cell.items[0].size == pytest.approx(0.015)
