"""The valve round: valves and gauges against what can be worked out, every rule of the task, expert and program."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from twinlab import frames, meshes, rooms
from twinlab.cell import Cell
from twinlab.errors import SceneError, WorldError
from twinlab.scene import SceneSpec, read_scene
from twinlab.skills import Aim, Now
from twinlab.snapshot import Piece
from twinlab.tasks import Stage
from twinlab.world import World

TICK = 0.05
SEED = 60003  # its supply is above the nominal one, its first set-point below
WALL = np.array([0.6, 0.3, 0.65])  # the middle of a handle
NAMES = ("valve_1", "valve_2", "valve_3")


@pytest.fixture(scope="module")
def spec() -> SceneSpec:
    return read_scene("valve_round").vary(0)


@pytest.fixture(scope="module")
def line(spec) -> Iterator[Cell]:
    with Cell(spec, without=blind(spec)) as cell:
        yield cell


def blind(spec: SceneSpec) -> list[str]:
    return [name for name, sensor in spec.sensors.items() if sensor.sees()]


def run(spec: SceneSpec, kind: str, seed: int) -> Cell:
    """A whole episode under a policy; the cell is closed."""
    policy = rooms.build("policies", kind, spec=spec)
    with Cell(spec, without=blind(spec)) as cell:
        readings = cell.reset(seed)
        policy.reset(seed, cell.task.meaning())
        for _ in range(spec.ticks):
            readings = cell.step(policy({**readings, **cell.truth} if policy.sees_truth else readings))
            if cell.truth["decided"].all():
                break
    return cell


def ends(cell: Cell) -> dict[str, tuple[str, bool]]:
    """How each valve ended."""
    return {e.item: (e.kind, e.right) for e in cell.events if e.kind in ("placed", "missed")}


# ---- valve


def loaded(drag: float, side: float, travel: float = 4.5) -> tuple[World, object, object]:
    """A valve that faces -x with its handle level, and 1 kg on it 4 cm aside of the spindle, after half a second."""
    world = World()
    valve = rooms.build("bodies", "valve", position=(0.1, 0, 0), drag=drag, travel=travel, opening=np.pi / 2 / travel)
    state = valve.build("valve", world, ())
    weight = Piece(meshes.box((0.02, 0.02, 0.02)), frames.IDENTITY, (0, 0, 0))
    world.add("weight", [weight], frames.pose((0, 0.04 * side, 0.0201)), 1.0, friction=2.0)
    for _ in range(10):
        state = valve.command("valve", world, state, {}, TICK)
        for _ in range(12):
            state, _ = valve.advance("valve", world, state)
            world.step()
    return world, valve, state


@pytest.mark.parametrize("side", [-1, 1])
def test_a_valve_feels_the_moment_of_a_weight_and_its_packing_holds_it(side):
    world, valve, state = loaded(drag=0.6, side=side)
    with world:
        assert state.angle == pytest.approx(np.pi / 2, abs=0.002)
        moment = side * 1.0 * 9.81 * 0.04  # who looks at it sees +y at the left: weight there turns it open
        assert valve.tags("valve", world, state)["torque"] == pytest.approx(moment, rel=0.03)
        assert state.peak >= abs(state.torque)


def test_a_weight_beyond_the_friction_turns_the_valve():
    world, _, state = loaded(drag=0.2, side=1)
    with world:
        assert state.angle > np.pi / 2 + 0.2


def test_a_stop_holds_what_the_friction_does_not():
    world, valve, state = loaded(drag=0.0, side=1, travel=np.pi / 2)
    with world:
        assert state.angle == pytest.approx(np.pi / 2, abs=0.01)
        assert valve.tags("valve", world, state)["opening"] <= 1.0


def test_a_quarter_open_valve_stands_at_a_quarter_of_its_travel(line):
    line.reset(0)
    assert line.tags["valve_1.angle"] == pytest.approx(0.25 * 4.5)
    assert line.tags["valve_1.opening"] == pytest.approx(0.25)
    assert [item.name for item in line.items] == list(NAMES)
    assert {item.properties["valve"] for item in line.items} == set(NAMES)


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.floats(0, 2 * np.pi))
def test_a_valve_varies_within_its_bounds_and_never_along_its_spindle(seed, facing):
    valve = rooms.build("bodies", "valve", facing=facing)
    drawn = valve.drawn(np.random.default_rng(seed))
    off = np.subtract(drawn.position, valve.position)
    assert off @ [np.cos(facing), np.sin(facing), 0] == pytest.approx(0, abs=1e-9)
    assert np.hypot(off[0], off[1]) <= valve.scatter + 1e-9 and abs(off[2]) <= valve.scatter + 1e-9
    assert abs(drawn.opening - valve.opening) <= valve.ajar + 1e-9
    assert abs(drawn.drag / valve.drag - 1) <= valve.wear + 1e-9


# ---- gauge and pipes


def test_a_gauges_scale_runs_from_lower_left_over_the_top_to_lower_right():
    gauge = rooms.build("bodies", "gauge", supply=6e5, full=8e5)
    assert gauge.turned(0) == pytest.approx(np.radians(135))
    assert gauge.turned(4e5) == pytest.approx(0)
    assert gauge.turned(8e5) == pytest.approx(np.radians(-135))
    assert gauge.turned(2e5) == pytest.approx(np.radians(67.5))


def test_a_needle_points_at_what_its_gauge_shows(line):
    line.reset(0)
    for _ in range(4):
        line.step({})
    for number, share in ((1, 0.25), (2, 0.8)):  # of 6 bar on a scale to 8 bar
        assert line.tags[f"gauge_{number}.value"] == pytest.approx(share * 6e5)
        tip = -frames.axis(line.snapshot().pose(f"gauge_{number}/needle"), 0)
        angle = np.radians(135 - 270 * share * 6 / 8)  # from straight up, towards the left of who looks along x
        assert tip == pytest.approx([0, np.sin(angle), np.cos(angle)], abs=0.01)


def test_a_needle_goes_63_percent_of_the_way_in_its_lag():
    gauge = rooms.build("bodies", "gauge", lag=0.15)
    with World() as world:
        state = replace(gauge.build("gauge", world, ()), pressure=1e5)
        for _ in range(3):  # 0.15 s
            state = gauge.command("gauge", world, state, {}, 0.05)
            for _ in range(12):
                world.step()
        assert state.value == pytest.approx(1e5 * (1 - np.exp(-1)), rel=1e-6)
        assert world.joints("gauge").position[0] == pytest.approx(gauge.turned(state.value), abs=1e-3)


def test_a_gauge_follows_its_valve(line):
    line.reset(0)
    line.world.set_joints("valve_3", {"handle": 0.5 * 4.5})
    for _ in range(30):
        line.step({})
    assert line.tags["gauge_3.value"] == pytest.approx(3e5, rel=0.0015)
    assert line.truth["pressure"][2] == pytest.approx(3e5, rel=0.0015)
    assert line.truth["valve_angle"][2] == pytest.approx(2.25, abs=0.0021)  # the packing gives way by 2 mrad


def test_a_gauge_without_its_valve_or_with_a_short_scale_is_an_error():
    with World() as world, pytest.raises(WorldError, match="no body 'valve_9'"):
        rooms.build("bodies", "gauge", of="valve_9").build("gauge", world, ())
    with pytest.raises(ValidationError, match="wanted a longer scale"):
        rooms.build("bodies", "gauge", supply=6e5, full=6e5)


def test_pipes_are_round_where_they_run():
    pipes = rooms.build("bodies", "pipes", runs=(((0, -1, 0.5), (0, 1, 0.5)), ((0.5, 0, 0), (0.5, 0, 2))), radius=0.1)
    with World() as world:
        pipes.build("pipes", world, ())
        starts = np.array([[0, 0.9, 2], [0.06, 0, 2], [0.5, 1, 1.9], [0, 1.2, 2]], float)
        ends_ = np.array([[0, 0.9, 0], [0.06, 0, 0], [0.5, -1, 1.9], [0, 1.2, 0]], float)
        shares, _ = world.hits(starts, ends_)
        high = 0.5 + np.sqrt(0.1**2 - 0.06**2)
        assert shares == pytest.approx([(2 - 0.6) / 2, (2 - high) / 2, 0.45, 1], abs=0.001)
    with pytest.raises(ValidationError, match="longer than its radius"):
        rooms.build("bodies", "pipes", runs=(((0, 0, 0), (0, 0, 0.001)),))


# ---- skills


def now(at: np.ndarray, yaw: float = 0.0, width: float = 0.08) -> Now:
    return Now(np.array([*at, yaw]), width)


def test_a_hand_at_the_wall_opens_before_it_backs_off_and_backs_off_before_it_moves_aside():
    grip, elsewhere = rooms.build("skills", "grip"), Aim(WALL - np.array([0, 0.3, 0]), 1.0)
    closed = grip.act(now(WALL, width=0.02), elsewhere)
    assert closed == pytest.approx([0, 0, 0, 0, 0.2])
    opened = grip.act(now(WALL), elsewhere)
    assert opened[0] < 0 and opened[1:4] == pytest.approx([0, 0, 0])
    off = grip.act(now(WALL - [0.11, 0, 0]), elsewhere)
    assert off[1] < -0.2 and off[3] > 0


def test_a_hand_closes_only_on_a_handle_that_it_is_lined_up_with():
    grip = rooms.build("skills", "grip")
    assert grip.act(now(WALL), Aim(WALL)) == pytest.approx([0, 0, 0, 0, -0.1])
    assert grip.act(now(WALL - np.array([0.05, 0, 0])), Aim(WALL))[[0, 4]] == pytest.approx([0.25, 0.2])
    assert grip.act(now(WALL, yaw=0.2), Aim(WALL))[4] == 0.2
    assert grip.act(now(WALL, yaw=0.2, width=0.04), Aim(WALL))[4] == -0.1  # one that closes already goes on
    assert grip.act(now(WALL, yaw=0.25, width=0.04), Aim(WALL))[4] == 0.2


@pytest.mark.parametrize(("skill", "gain"), [("grip", 5), ("turn", 4)])
def test_a_hand_that_holds_mends_only_what_is_beyond_the_slack(skill, gain):
    act = rooms.build("skills", skill).act
    assert act(now(WALL + np.array([0, 0.002, 0]), width=0.02), Aim(WALL))[:3] == pytest.approx([0, 0, 0])
    assert act(now(WALL + np.array([0, 0.005, 0]), width=0.02), Aim(WALL))[:3] == pytest.approx([0, -gain * 0.003, 0])
    assert act(now(WALL + np.array([0, 0.023, 0]), width=0.02), Aim(WALL))[:3] == pytest.approx([0, -0.05, 0])


@pytest.mark.parametrize("skill", ["grip", "turn"])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_wrist_never_goes_the_short_way_across_the_ends_of_its_range(skill, sign):
    at = WALL - [0.11, 0, 0]  # 3.6 rad one way, 2.68 the other
    assert rooms.build("skills", skill).act(now(at, yaw=-1.8 * sign), Aim(WALL, 1.8 * sign))[3] * sign > 0


def test_a_hand_that_turns_keeps_closed_and_one_that_lets_go_opens_before_it_leaves():
    turn, let_go = (rooms.build("skills", name) for name in ("turn", "let_go"))
    assert turn.act(now(WALL, yaw=0.1), Aim(WALL, 0.2)) == pytest.approx([0, 0, 0, 0.4, -0.2])
    assert let_go.act(now(WALL, width=0.02), Aim(WALL)) == pytest.approx([0, 0, 0, 0, 0.2])
    assert let_go.act(now(WALL), Aim(WALL)) == pytest.approx([-0.4, 0, 0, 0, 0.2])
    assert let_go.act(now(WALL - [0.11, 0, 0]), Aim(WALL)) == pytest.approx([0, 0, 0, 0, 0.2])


# ---- the task's rules


def seen(cell: Cell, held: str = "", shown: tuple[float, float, float] = (1.5, 4.8, 1.5), time: float = 1.0) -> Stage:
    """A moment of the line with one valve in the hand and gauges that show pressures [bar]."""
    tags = {**cell.tags, **{f"gauge_{i + 1}.value": 1e5 * bar for i, bar in enumerate(shown)}}
    snapshot = replace(cell.snapshot(), time=time)
    hands = {"arm": (held,) if held else ()}
    return Stage(cell.world, snapshot, cell.items, {}, frozenset(NAMES), hands, tags)


def story(cell: Cell, *moments: Stage) -> list[tuple[str, str, bool]]:
    """What the task tells of moments, one after the other: kind, item, right."""
    state, told = None, []
    for moment in moments:
        _, events, state = cell.task.observe(moment, state)
        told += [(e.kind, e.item, e.right) for e in events]
    return told


RIGHT = (3.8, 4.8, 1.5)


def test_a_valve_let_go_with_a_resting_needle_at_its_set_point_is_right(line):
    line.reset(0)
    before = [seen(line), seen(line, "valve_1", RIGHT)]
    assert story(line, *before) == [("picked", "valve_1", False)]
    assert story(line, *before, seen(line, "", RIGHT))[1:] == [("placed", "valve_1", True)]


def test_a_needle_that_moves_or_is_off_by_more_than_the_tolerance_decides_nothing_yet(line):
    line.reset(0)
    moving = [seen(line, "valve_1"), seen(line, "", (3.7, 4.8, 1.5)), seen(line, "", RIGHT)]
    assert story(line, *moving) == [("picked", "valve_1", False)]
    off = (3.8 - 0.151, 4.8, 1.5)
    assert story(line, seen(line, "valve_1", off), seen(line, "", off)) == [("picked", "valve_1", False)]
    near = (3.8 - 0.149, 4.8, 1.5)
    assert story(line, seen(line, "valve_1", near), seen(line, "", near))[-1] == ("placed", "valve_1", True)


def test_who_goes_on_before_a_valve_is_set_has_set_it_wrong(line):
    line.reset(0)
    told = story(line, seen(line, "valve_1"), seen(line), seen(line, "valve_2"))
    assert told == [("picked", "valve_1", False), ("picked", "valve_2", False), ("placed", "valve_1", False)]


def test_at_the_deadline_gauges_judge_what_was_gripped_and_the_rest_is_missed(line):
    line.reset(0)
    late = seen(line, "valve_1", RIGHT, line.task.within)
    assert story(line, late)[1:] == [
        ("placed", "valve_1", True), ("missed", "valve_2", False), ("missed", "valve_3", False)
    ]  # fmt: skip
    assert story(line, seen(line, "valve_1", time=line.task.within))[1] == ("placed", "valve_1", False)


def test_a_valve_counts_once(line):
    line.reset(0)
    moments = [seen(line, "valve_1", RIGHT), seen(line, "", RIGHT), seen(line, "valve_1"), seen(line, "valve_2")]
    of_it = [(kind, right) for kind, item, right in story(line, *moments) if item == "valve_1"]
    assert of_it == [("picked", False), ("placed", True)]


def test_orders_say_grip_turn_and_let_go(line):
    line.reset(0)
    steps = ["wait", *(step.skill for step in line.task.steps())]

    def order(stage: Stage) -> tuple[str, np.ndarray]:
        truth, _, _ = line.task.observe(stage, None)
        return steps[int(truth["arm_step"])], truth["arm_aim"]

    skill, aim = order(seen(line))
    assert skill == "grip" and aim[:3] == pytest.approx(WALL, abs=1e-6)
    assert order(seen(line, "valve_1"))[0] == "turn"
    assert order(seen(line, "valve_2"))[0] == "let_go"  # it is not that valve's turn
    stopped = {**line.tags, "arm.stopped": "force"}
    assert order(replace(seen(line, "valve_1"), tags=stopped))[0] == "let_go"
    assert order(replace(seen(line), tags=stopped))[0] == "grip"
    left = 4.5 * (3.8 / 6 - 0.25)
    assert line.truth["target_left"] == pytest.approx(left, abs=1e-5)
    line.world.set_joints("valve_1", {"handle": 4.5 * 3.8 / 6})
    line.step({})
    assert order(seen(line, "valve_1"))[0] == "let_go"


def test_turning_on_against_a_stop_exceeds_the_torque_and_spoils_the_valve(spec):
    spec = spec.change({"valve_1.opening": 0.97, "task.setpoints": [5.9e5, 2.4e5, 3.4e5]})
    expert = rooms.build("policies", "expert", spec=spec)
    with Cell(spec, without=blind(spec)) as cell:
        readings = cell.reset(0)
        for _ in range(60):
            readings = cell.step(expert({**readings, **cell.truth}))
            if cell.truth["target_held"]:
                break
        for _ in range(30):
            cell.step({"arm.yaw": 1.0, "gripper": -0.2})
            if cell.truth["decided"][0]:
                break
        assert [(e.kind, e.place) for e in cell.events[-2:]] == [("violation", "torque"), ("placed", "valve_1")]
        assert not cell.events[-1].right and cell.truth["reward"] == -1
        assert cell.tags["valve_1.peak"] > spec.task.torque
        assert cell.tags["valve_1.angle"] == pytest.approx(4.5, abs=0.01)  # the stop held until then


def test_running_into_a_pipe_is_a_collision_and_spoils_the_valve_whose_turn_it_is(spec):
    spec = spec.change({"arm.high": [0.8, 0.5, 0.9], "arm.home": [0.55, 0.15, 0.65, 0]})
    with Cell(spec, without=blind(spec)) as cell:
        for _ in range(30):
            cell.step({"arm.x": 0.2})
            if cell.truth["decided"].any():
                break
        found = [(e.kind, e.item, e.place, e.right) for e in cell.events if e.kind in ("collided", "placed")]
        assert found == [("collided", "arm", "pipes", False), ("placed", "valve_1", "valve_1", False)]


def test_the_instruction_names_every_set_point(line, spec):
    assert spec.task.instruction() == "Set valve 1 to 3.8 bar, valve 2 to 2.4 bar and valve 3 to 3.4 bar."
    assert spec.task.meaning().settings == {"valve_1": 3.8e5, "valve_2": 2.4e5, "valve_3": 3.4e5}


@settings(max_examples=20)
@given(st.integers(0, 2**31))
def test_set_points_vary_in_tenths_of_a_bar_and_always_ask_for_a_turn(seed):
    full = read_scene("valve_round")
    drawn = full.task.drawn(np.random.default_rng(seed))
    for number, name in enumerate(NAMES):
        point, nominal = drawn.setpoints[number], full.task.setpoints[number]
        assert abs(point - nominal) <= full.task.spread + 5e3
        assert point / 1e4 == pytest.approx(round(point / 1e4))
        gauge, valve = full.bodies[f"gauge_{number + 1}"], full.bodies[name]
        shares = [valve.opening - valve.ajar, valve.opening + valve.ajar]
        first = [gauge.supply * (1 + swing) * share for swing in (-gauge.swing, gauge.swing) for share in shares]
        assert point > max(first) + drawn.tolerance or point < min(first) - drawn.tolerance
        assert point < gauge.supply * (1 - gauge.swing)  # what the supply can give


def test_what_does_not_fit_the_line_is_told(spec):
    with pytest.raises(SceneError, match="'valve_9' is no body that can be set"):
        spec.change({"task.valves": ["valve_1", "valve_2", "valve_9"]})
    with pytest.raises(SceneError, match="setpoints has 1 entries for 3 valves"):
        spec.change({"task.setpoints": [1e5]})
    with pytest.raises(SceneError, match="'wall' is no gauge of this line"):
        Cell(spec.change({"task.gauges": ["gauge_1", "wall", "gauge_3"]}), without=blind(spec))


# ---- who acts


def first(spec: SceneSpec) -> SceneSpec:
    """The round with its first valve only."""
    return spec.change({f"task.{key}": [getattr(spec.task, key)[0]] for key in ("valves", "gauges", "setpoints")})


def test_the_expert_sets_all_valves_of_the_nominal_line(spec):
    cell = run(spec, "expert", 1)
    assert ends(cell) == dict.fromkeys(NAMES, ("placed", True))
    assert not [e for e in cell.events if e.kind in ("collided", "violation", "stop")]


def test_an_arm_that_is_stopped_while_it_grips_lets_go_and_goes_on():
    cell = run(read_scene("valve_round").change({"arm.force": 40}), "expert", 60004)  # a firm grip has more than that
    assert ("stop", "force") in [(e.kind, e.place) for e in cell.events]
    assert ends(cell) == dict.fromkeys(NAMES, ("placed", True))


def test_no_stop_ends_the_round_at_twice_the_substeps():
    spec = read_scene("valve_round")
    cell = run(spec.change({"physics.substeps": 2 * spec.physics.substeps}), "expert", 60007)
    assert ends(cell) == dict.fromkeys(NAMES, ("placed", True))


def test_the_program_sets_a_valve_of_the_nominal_line(spec):
    assert ends(run(first(spec), "program", 1)) == {"valve_1": ("placed", True)}


def test_the_program_turns_to_the_nominal_angle_whatever_the_pressure_and_the_set_point_are():
    varied = first(read_scene("valve_round"))
    assert ends(run(varied, "expert", SEED)) == {"valve_1": ("placed", True)}
    cell = run(varied, "program", SEED)
    would_show = cell.tags["gauge_1.supply"] * 3.8 / 6
    assert abs(would_show - cell.task.setpoints[0]) > 2 * cell.task.tolerance
    assert cell.truth["pressure"][0] == pytest.approx(would_show, abs=1e4)
    assert ends(cell) == {"valve_1": ("placed", False)}
