"""The insertion line: socket, rack and compliant arm against hand-worked numbers, the rules of its task."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from twinlab import frames, meshes, rooms
from twinlab.bodies._compliance import Compliance
from twinlab.cell import Cell
from twinlab.scene import read_scene
from twinlab.skills import Aim, Now
from twinlab.snapshot import Piece
from twinlab.world import World

SPEC = read_scene("insertion")
NOMINAL = SPEC.vary(0)
PEGS = ("loose", "medium", "tight")
WIDTH, LENGTH, FACE, DEPTH = 0.016, 0.06, 0.035, 0.025  # of the pegs and sockets [m]
STEP = 1 / 480


def blind(spec=NOMINAL, **changes: object) -> Cell:
    return Cell(spec.change(changes), without=list(spec.sensors))


def alone(spec, peg: str):
    """The line with one peg only."""
    rack = [one.model_dump(mode="json") for one in spec.bodies["rack"].pegs if one.name == peg]
    return spec.change({"rack.pegs": rack})


def run(spec, kind: str, seed: int, ticks: int) -> tuple[list, dict]:
    """What happened to the pegs under a policy, and all tags at its end."""
    pictures = [name for name, sensor in spec.sensors.items() if sensor.sees()]
    with Cell(spec, without=pictures) as cell:
        policy = rooms.build("policies", kind, spec=spec)
        cell.reset(seed)
        policy.reset(seed, cell.task.meaning())
        for _ in range(ticks):
            cell.step(policy({**cell.readings, **cell.truth} if policy.sees_truth else cell.readings))
        return [(e.kind, e.item, e.place, e.right) for e in cell.events if e.kind != "spawned"], dict(cell.tags)


# ---- the line as a whole


def test_the_expert_inserts_the_tight_peg_on_a_line_that_varies_and_presses_gently():
    events, tags = run(alone(SPEC, "tight"), "expert", seed=60_002, ticks=240)
    assert events == [("picked", "rack_tight", "", False), ("placed", "rack_tight", "socket_tight", True)]
    assert 0 < tags["socket_tight.peak"] < 20
    assert tags["socket_tight.penetration"] < 0.0005  # where it drops onto the bottom for a moment


def test_the_program_inserts_the_tight_peg_on_the_nominal_line_with_its_real_sensors():
    events, _ = run(alone(NOMINAL, "tight"), "program", seed=2, ticks=240)
    assert events == [("picked", "rack_tight", "", False), ("placed", "rack_tight", "socket_tight", True)]


# ---- socket


def stands(width: float, clearance: float, x: float = 0.0) -> tuple[float, object]:
    """How deep the end of a peg is in a socket after it was let go just above the rim [m], and the socket's state."""
    socket = rooms.build("bodies", "socket", clearance=clearance, chamfer=0.0005, position=(0, 0, 0))
    with World(STEP, 2, 60) as world:
        state = socket.build("socket", world, ())
        piece = Piece(meshes.box((width, width, LENGTH)), frames.IDENTITY, (1, 0, 0))
        world.add("peg", [piece], frames.pose((x, 0, FACE + 0.0002 + LENGTH / 2)), 0.08, 0.2)
        for _ in range(240):
            state, _ = socket.advance("socket", world, state)
            world.step()
        return FACE - (world.pose("peg")[2] - LENGTH / 2), socket.tags("socket", world, state)


@pytest.mark.parametrize("clearance", [0.0005, 0.0002, 0.0001])
def test_a_peg_falls_to_the_bottom_of_a_hole_that_is_a_tenth_of_a_millimetre_wider(clearance):
    deep, tags = stands(WIDTH, clearance)
    assert deep == pytest.approx(DEPTH, abs=3e-5)
    assert tags["force"] == pytest.approx(0.08 * 9.81, abs=0.01)  # its weight
    assert tags["peak"] > tags["force"]


def test_the_chamfer_leads_in_a_peg_that_is_beside_the_hole():
    deep, _ = stands(WIDTH, 0.0005, x=0.0006)  # 0.35 mm beyond the hole's edge, 0.5 mm of chamfer
    assert deep == pytest.approx(DEPTH, abs=3e-5)


def test_a_peg_that_is_too_wide_stands_in_the_chamfer():
    deep, _ = stands(WIDTH + 0.0005, 0.0001)  # 0.2 mm too wide on each side, so 0.2 mm above the chamfer's end
    assert deep == pytest.approx(0.0005 - 0.0002, abs=3e-5)


def test_a_socket_stands_within_its_scatter_and_the_nominal_one_where_the_scene_says():
    socket = rooms.build("bodies", "socket", scatter=0.003, turn=0.06)
    drawn = [socket.drawn(np.random.default_rng(seed)) for seed in range(50)]
    aside = np.array([one.position for one in drawn]) - socket.position
    assert (np.abs(aside) <= [0.003, 0.003, 0]).all() and np.ptp(aside[:, 0]) > 0.004
    assert max(abs(one.yaw) for one in drawn) <= 0.06
    still = rooms.build("bodies", "socket", scatter=0, turn=0)
    assert still.drawn(np.random.default_rng(1)) == still


@pytest.mark.parametrize(("fields", "words"), [({"depth": 0.034}, "floor"), ({"width": 0.068}, "walls")])
def test_a_hole_that_its_block_does_not_hold_is_an_error(fields, words):
    with pytest.raises(ValidationError, match=words):
        rooms.build("bodies", "socket", **fields)


# ---- rack


def test_the_nominal_rack_has_its_pegs_in_order_upright_in_the_middle_of_their_pockets():
    with blind() as cell:
        rack = cell.spec.bodies["rack"]
        for i, item in enumerate(cell.items):
            assert item.properties == {"peg": PEGS[i]}
            at = cell.snapshot().pose(item.name)
            expected = np.add(rack.position, [(i - 1) * rack.pitch, 0, rack.floor + LENGTH / 2])
            assert at[:3] == pytest.approx(expected, abs=0.0006)
            assert frames.axis(at, 2) == pytest.approx([0, 0, 1], abs=1e-6)


def test_pegs_stand_in_any_order_and_never_in_a_wall():
    with blind(SPEC) as cell:
        orders = set()
        for seed in range(6):
            cell.reset(seed)
            for _ in range(3):
                cell.step({})
            at = [cell.snapshot().pose(item.name) for item in cell.items]
            orders.add(tuple(np.argsort([pose[0] for pose in at])))
            assert min(frames.axis(pose, 2)[2] for pose in at) > 0.9999
            assert cell.world.contacts("rack").depth.max() < 0.0001
        assert len(orders) > 1


def test_a_peg_that_its_pocket_does_not_hold_is_an_error():
    with pytest.raises(ValidationError, match="wider pocket"):
        rooms.build("bodies", "rack", pocket=0.018)


# ---- compliance


@given(st.tuples(*[st.floats(-0.5, 0.5)] * 3), st.floats(-3, 3))
def test_a_target_is_never_farther_than_the_spring_may_be_pulled(way, yaw):
    soft = Compliance(stiffness=1000, force=15, torque=3, turning=(30, 30, 2))
    target = soft.leashed(np.array([*way, yaw]), np.zeros(4))
    assert np.linalg.norm(target[:3]) <= 0.015 + 1e-9
    assert abs(target[3]) <= 1.5 + 1e-9
    assert np.cross(target[:3], way) == pytest.approx(np.zeros(3), abs=1e-9)


def test_joints_that_move_straight_along_the_axes_feel_spring_and_damper():
    soft = Compliance(stiffness=1000, force=15, turning=(30, 30, 2))
    law = soft.law(np.eye(6), np.diag([4.0, 4, 4, 0.1, 0.1, 0.02]))  # as if each axis had a joint
    torques = law.torques(np.array([0.001, 0, 0, 0.01, 0, 0.01]), np.array([0, 0.1, 0, 0, 0, 0]))
    assert torques == pytest.approx([1, 2 * np.sqrt(1000 * 4) * 0.1, 0, 0.3, 0, 0.02], rel=1e-3)
    assert law.torques(np.array([0.1, 0, 0, 0, 0, 0]), np.zeros(6))[0] == pytest.approx(15)  # its limit


def test_a_compliant_arm_that_is_blocked_presses_with_its_force_and_no_more():
    with blind() as cell:
        cell.reset(0)
        over = np.add(cell.spec.bodies["socket_loose"].position, [0.025, 0, 0.15])
        way = over - cell.snapshot().pose("arm/panda_grasptarget")[:3]
        for _ in range(30):
            cell.step({"arm.x": way[0] / 1.5, "arm.y": way[1] / 1.5, "gripper": -0.2})
        for _ in range(100):
            cell.step({"arm.z": -0.05, "gripper": -0.2})
        assert cell.tags["socket_loose.force"] == pytest.approx(15, abs=1)
        assert [(e.item, e.place) for e in cell.events if e.kind == "collided"] == [("arm", "socket_loose")]


def test_a_spring_that_is_pulled_too_long_is_an_error():
    with pytest.raises(ValidationError, match="raise the stiffness"):
        Compliance(stiffness=100, force=15)


# ---- the skill


AIM = Aim(np.array([0.4, 0.2, 0.05]))


def pressed(height: float, down: float, sideways: float = 0.0, width: float = WIDTH) -> np.ndarray:
    """What the skill does with the tool above its aim and a force that the hand gives its surroundings."""
    skill = rooms.build("skills", "insert")
    wrench = np.array([sideways, 0, skill.weight - down, 0, 0, 0])
    return skill.act(Now(np.array([0.4, 0.2, 0.05 + height, 0]), width, wrench), AIM)


def test_it_presses_as_hard_as_it_shall_and_goes_back_where_it_presses_harder():
    assert pressed(DEPTH, down=6)[2] == pytest.approx(0)
    assert pressed(DEPTH, down=5)[2] < 0 < pressed(DEPTH, down=7)[2]


def test_it_gives_way_to_walls_but_not_to_what_friction_explains():
    assert pressed(0.01, down=3, sideways=0.9)[0] == 0
    assert pressed(0.01, down=3, sideways=2)[0] < 0 < pressed(0.01, down=3, sideways=-2)[0]


def test_it_lets_go_only_at_the_bottom_and_only_where_it_resists_and_then_withdraws():
    assert pressed(0.001, down=5)[4] > 0
    assert pressed(0.001, down=1)[4] < 0
    assert pressed(0.010, down=5)[4] < 0
    assert pressed(0.001, down=0, width=0.04)[2] > 0


def test_fingers_that_are_not_closed_yet_close_before_the_tool_moves():
    skill = rooms.build("skills", "insert")
    action = skill.act(Now(np.array([0.4, -0.2, 0.05, 0]), 0.03), AIM)
    assert action[:4].tolist() == [0, 0, 0, 0] and action[4] < 0


def test_it_goes_to_its_aim_until_it_feels_the_rim_and_then_as_the_search_goes():
    skill = rooms.build("skills", "insert")
    aim = Aim(np.array([0.4, 0.2, 0.05]), velocity=(0.001, -0.002, 0))
    for down, expected in ((0, [0.0025, 0]), (4, [0.001, -0.002])):
        wrench = np.array([0, 0, skill.weight - down, 0, 0, 0])
        now = Now(np.array([0.3995, 0.2, 0.05 + DEPTH, 0]), WIDTH, wrench)
        assert skill.act(now, aim)[:2] == pytest.approx(expected)


# ---- the task


def into(cell: Cell, socket: str, depth: float) -> np.ndarray:
    """The pose of a peg whose end is so deep in a socket."""
    home = cell.snapshot().pose(socket)
    return frames.pose((*home[:2], FACE - depth + LENGTH / 2), frames.yaw(home))


def put(cell: Cell, peg: str, pose: np.ndarray, ticks: int = 4) -> list:
    """Put a peg somewhere and see what the task says of it in the ticks after."""
    cell.step({})  # the pegs come onto the line
    before = len(cell.events)
    cell.world.place(f"rack_{peg}", pose)
    for _ in range(ticks):
        cell.step({})
    return [(e.kind, e.place, e.right) for e in cell.events[before:] if e.item == f"rack_{peg}"]


def test_a_peg_counts_in_the_socket_that_is_made_for_it_and_as_wrong_in_another():
    with blind() as cell:
        cell.reset(0)
        assert put(cell, "loose", into(cell, "socket_loose", 0.0249)) == [("placed", "socket_loose", True)]
        assert put(cell, "tight", into(cell, "socket_medium", 0.0249)) == [("placed", "socket_medium", False)]
        assert put(cell, "loose", into(cell, "socket_tight", 0.0249)) == []  # each counts once


def test_a_peg_that_falls_off_the_line_is_dropped_and_not_followed_down():
    with blind() as cell:
        cell.reset(0)
        assert put(cell, "loose", frames.pose((0.5, 2.0, 0.1)), ticks=14) == [("dropped", "", False)]
        assert not cell.truth["target_present"]  # the next peg is not due yet


def test_a_peg_counts_only_if_it_fills_its_hole_and_lies_still():
    with blind(**{"rack.pegs": [{"name": "loose", "width": WIDTH + 0.0007}]}) as cell:  # it stands in the chamfer
        cell.reset(0)
        assert put(cell, "loose", into(cell, "socket_loose", 0.0002), ticks=8) == []
        assert 0.0002 < float(cell.truth["target_depth"]) < 0.0006
        assert cell.truth["target_present"]


def test_a_socket_that_was_pressed_too_hard_spoils_its_peg():
    with blind(**{"task.force": 0.5}) as cell:  # less than the peg weighs
        cell.reset(0)
        assert put(cell, "loose", into(cell, "socket_loose", 0.0249), ticks=8)[-1] == ("placed", "socket_loose", False)
        assert [(e.item, e.place) for e in cell.events if e.kind == "violation"] == [("arm", "force")]


def test_what_is_not_in_its_hole_in_time_is_missed():
    with blind(**{"task.within": 0.3}) as cell:
        cell.reset(0)
        for _ in range(8):
            cell.step({})
        assert [(e.kind, e.item) for e in cell.events[3:]] == [("missed", f"rack_{peg}") for peg in PEGS]


def test_a_peg_that_slips_from_the_hand_is_dropped_and_was_held_in_the_middle_before():
    spec = alone(NOMINAL, "loose")
    with Cell(spec, without=[name for name, sensor in spec.sensors.items() if sensor.sees()]) as cell:
        cell.reset(0)
        expert = rooms.build("policies", "expert", spec=spec)
        while not any(e.kind == "picked" for e in cell.events) and cell.time < 4:
            cell.step(expert({**cell.readings, **cell.truth}))
        for _ in range(12):
            cell.step({"arm.y": 0.4, "arm.z": 0.15, "gripper": -0.2})
        seen = cell.snapshot()
        beside = seen.pose("rack_loose")[:2] - seen.pose("arm/panda_grasptarget")[:2]
        assert np.linalg.norm(beside) < 0.0015  # fingers without a gear let it float by 9 mm
        assert cell.truth["target_held"] and cell.truth["arm_step"] == 2  # insert
        for _ in range(25):
            cell.step({"gripper": 0.2})
        assert [e.kind for e in cell.events] == ["spawned", "picked", "dropped"]


def test_a_peg_without_a_socket_does_not_fit_the_line():
    assert "no socket" in SPEC.task.misfit([*SPEC.bodies], {"peg": ("loose", "wide")})
    assert "Did you mean 'socket_tight'" in SPEC.task.model_copy(update={"sockets": {"tight": "socket_tihgt"}}).misfit(
        [*SPEC.bodies], {}
    )


def test_a_search_goes_outwards_evenly_and_by_less_than_twice_the_chamfer_a_turn():
    task, pace = SPEC.task, SPEC.task.pace
    times = np.arange(0.1, 4, 0.02)
    places = np.array([task._spiral(time) for time in times])
    radii, turned = np.linalg.norm(places, axis=1), np.unwrap(np.arctan2(places[:, 1], places[:, 0]))
    assert radii.max() <= task.widest
    assert np.diff(radii) == pytest.approx(np.diff(turned) * task.pitch / (2 * np.pi), abs=1e-9)
    assert task.pitch < 2 * SPEC.bodies["socket_tight"].chamfer
    speeds = np.linalg.norm([task._search(time, sunk=False) for time in times[25:]], axis=1)
    assert speeds == pytest.approx(pace, rel=0.05)
    assert task._search(0.0, sunk=True) == (0, 0, 0)
