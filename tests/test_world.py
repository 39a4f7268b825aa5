"""The world: physics that repeats to the bit, moving surfaces, and names that are checked."""

import numpy as np
import psutil
import pybullet
import pytest

from twinlab import frames, meshes
from twinlab.cell import Cell
from twinlab.errors import MeshError, WorldError
from twinlab.frames import IDENTITY, Intrinsics, pose
from twinlab.renderers.raster import Raster
from twinlab.snapshot import Piece
from twinlab.world import World

GREY = (0.5, 0.5, 0.5)
PANDA = "franka_panda/panda.urdf"
FRANKA = [f"panda_joint{i}" for i in range(1, 8)]
BENT = dict(zip(FRANKA, (0, -0.3, 0, -2.2, 0, 1.9, 0.785), strict=True))


def box(*size: float) -> list[Piece]:
    return [Piece(meshes.box(size), IDENTITY, GREY)]


@pytest.fixture
def world():
    with World() as world:
        yield world


@pytest.fixture(scope="module")
def robot():
    with World() as world:
        world.load("arm", PANDA, IDENTITY)
        yield world


def clients() -> set[int]:
    return {i for i in range(64) if pybullet.isConnected(i)}


def test_a_box_falls_as_far_as_gravity_says(world):
    world.add("part", box(0.1, 0.1, 0.1), pose((0, 0, 10)), mass=1)
    for _ in range(120):
        world.step()
    assert world.time == pytest.approx(0.5)
    assert 10 - world.pose("part")[2] == pytest.approx(9.81 * 0.5**2 / 2, rel=0.02)


def test_a_body_without_mass_stays_for_ever(world):
    world.add("wall", box(0.1, 0.1, 0.1), pose((0, 0, 10)))
    world.step()
    assert (world.pose("wall") == pose((0, 0, 10))).all()


def test_the_table_carries_exactly_the_weight_that_lies_on_it(world):
    world.add("table", box(1, 1, 0.1), pose((0, 0, 0.05)))
    world.add("part", box(0.1, 0.1, 0.1), pose((0, 0, 0.15)), mass=2)
    for _ in range(120):
        world.step()
    found = world.contacts("part")
    assert set(found.links) == {"part"} and set(found.others) == {"table"}
    assert found.force.sum() == pytest.approx(2 * 9.81, rel=0.02)
    assert np.abs(found.depth).max() < 0.002
    assert world.contacts("table").force.sum() == pytest.approx(found.force.sum())


def test_touches_tell_the_same_as_contacts_and_net_is_their_sum(world):
    world.add("table", box(1, 1, 0.1), pose((0, 0, 0.05)), friction=1.0)
    world.add("part", box(0.1, 0.1, 0.1), frames.from_euler((0, 0, 0.16), (0.1, 0, 0.3)), mass=2)
    assert world.touches("part") == () and world.net("part") == ((0, 0, 0), 0)
    for _ in range(40):
        world.step()
        for name in ("part", "table"):
            full, found = world.contacts(name), world.touches(name)
            assert sorted(t[2:] for t in found) == sorted(zip(full.force.tolist(), full.depth.tolist(), strict=True))
            assert {(t.link, t.other) for t in found} == set(zip(full.links, full.others, strict=True))
            force, depth = world.net(name)
            assert force == pytest.approx((full.force[:, None] * full.normals + full.friction).sum(axis=0))
            assert depth == max(0, *full.depth.tolist(), 0)
    assert world.net("part")[0][2] == pytest.approx(2 * 9.81, rel=0.2)


def test_within_a_box_only_what_can_move_is_told(world):
    world.load("arm", PANDA, IDENTITY)
    world.add("wall", box(0.1, 0.1, 0.1), world.pose("arm/panda_hand"))
    at = world.pose("arm/panda_hand")[:3]
    assert world.within(at - 0.2, at + 0.2) == ("arm",)
    world.add("part", box(0.02, 0.02, 0.02), pose(at + np.array([0, 0, 0.5])), mass=0.1)
    assert world.within(at - 0.52, at + 0.52) == ("arm", "part") and world.within(at - 0.4, at + 0.4) == ("arm",)


def test_motors_that_are_driven_twice_the_same_way_go_on_and_after_another_order_go_back(world):
    world.load("arm", PANDA, IDENTITY)
    world.set_joints("arm", BENT)
    world.drive("arm", FRANKA[1:], list(BENT.values())[1:], [87.0] * 6)

    def goes(steps: int) -> float:
        start = world.motion("arm", ["panda_joint1"])[0][0]
        for _ in range(steps):
            world.step()
        return world.motion("arm", ["panda_joint1"])[0][0] - start

    one = ("arm", ["panda_joint1"], [0.5], [87.0])
    world.drive(*one)
    world.drive(*one)
    assert goes(60) == pytest.approx(0.5, abs=0.01)
    world.lead("arm", ["panda_joint1"], [-1.0], [87.0])
    assert goes(60) == pytest.approx(-0.25, abs=0.01)
    world.drive(*one)
    assert goes(60) == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("substeps", [1, 2])
@pytest.mark.parametrize("velocity", [(0.1, 0, 0), (0, -0.4, 0), (0.3, 0.4, 0)])
def test_what_lies_on_a_moving_surface_runs_at_exactly_its_speed_and_the_surface_stays(velocity, substeps):
    home = pose((0.3, 0.2, 0.05), 0.4)
    with World(substeps=substeps) as world:
        world.add("belt", box(3, 3, 0.1), home, friction=0.9)
        world.add("part", box(0.04, 0.04, 0.04), pose((0.3, 0.2, 0.12)), mass=0.1, friction=0.8)
        world.surface("belt", np.array(velocity))
        for _ in range(120):
            world.step()
        start = world.pose("part")[:3]
        for _ in range(240):
            world.step()
        assert world.pose("part")[:3] - start == pytest.approx(velocity, abs=0.001)
        assert (world.pose("belt") == home).all()
        speed = float(np.linalg.norm(velocity))
        assert world.travel("belt") == pytest.approx((speed * 1.5, speed))
        assert world.surface_velocity("belt") == velocity


def test_a_surface_keeps_its_travel_when_its_speed_changes(world):
    world.add("belt", box(1, 1, 0.1), IDENTITY)
    for speed in (0.1, 0.3):
        world.surface("belt", np.array([speed, 0, 0]))
        for _ in range(240):
            world.step()
    assert world.travel("belt") == pytest.approx((0.4, 0.3))


def tumble(world: World) -> bytes:
    """Where five boxes are that fell on each other."""
    world.reset()
    world.add("table", box(1, 1, 0.1), IDENTITY)
    for i in range(5):
        world.add(f"part{i}", box(0.05, 0.06, 0.07), frames.from_euler((0.01 * i, 0, 0.2 + 0.1 * i), (i, 1, 0)), mass=1)
    for _ in range(240):
        world.step()
    return world.snapshot().poses.tobytes()


def test_the_same_fall_gives_the_same_bits_in_a_new_world_and_after_a_reset(world):
    with World() as other:
        assert tumble(world) == tumble(other) == tumble(world)


def test_a_reset_empties_the_world_and_its_clock(world):
    world.add("part", box(1, 1, 1), IDENTITY)
    world.step()
    world.reset()
    assert (world.bodies, world.time, world.snapshot().links) == ((), 0.0, ())


def test_what_a_robot_file_left_open_is_noted_until_the_world_is_emptied(world):
    for again in (False, True):
        world.reset(again)
        world.load("arm", PANDA, IDENTITY)
        world.built()
        assert all(note.startswith("arm: ") for note in world.notes) and len(world.notes) == 2
    world.reset()
    assert world.notes == ()


def test_a_body_that_is_placed_lies_there_at_rest_with_its_new_mass(world):
    world.add("table", box(1, 1, 0.1), pose((0, 0, -0.05)))
    world.add("part", box(0.1, 0.1, 0.1), pose((0, 0, -10)))
    world.place("part", pose((0.2, 0.3, 0.05), 0.5), mass=3)
    assert world.pose("part") == pytest.approx(pose((0.2, 0.3, 0.05), 0.5))
    for _ in range(120):
        world.step()
    assert world.contacts("part").force.sum() == pytest.approx(3 * 9.81, rel=0.02)


def test_rays_end_where_they_meet_something(world):
    world.add("block", box(1, 1, 0.5), IDENTITY)
    shares, _ = world.hits(np.array([[0, 0, 1], [0, 0, 1], [5, 5, 1.0]]), np.array([[0, 0, 0], [1, 0, 1], [5, 5, 0.0]]))
    assert shares == pytest.approx([0.75, 1, 1])


def test_a_snapshot_stays_as_it_was_when_the_world_moves_on(world):
    world.add("part", box(0.1, 0.1, 0.1), pose((0, 0, 1)), mass=1)
    before = world.snapshot()
    for _ in range(24):
        world.step()
    assert before.pose("part")[2] == 1.0 and before.time == 0.0
    assert world.snapshot().pose("part")[2] < 0.99
    assert world.snapshot().visuals is before.visuals


def test_the_snapshot_names_every_link_and_agrees_with_pybullet(robot):
    robot.set_joints("arm", BENT)
    snapshot = robot.snapshot()
    assert snapshot.links[0] == "arm" and len(snapshot.links) == len(snapshot.poses) == 13
    state = pybullet.getLinkState(0, snapshot.links.index("arm/panda_hand") - 1, False, True, robot.client)
    assert snapshot.pose("arm/panda_hand") == pytest.approx([*state[4], *state[5]])
    assert snapshot.pose("arm/panda_hand") == pytest.approx(robot.pose("arm/panda_hand"))
    joints = snapshot.joints["arm"]
    closed = {"panda_finger_joint1": 0.0, "panda_finger_joint2": 0.0}
    assert dict(zip(joints.names, joints.position, strict=True)) == pytest.approx({**BENT, **closed})


@pytest.mark.parametrize("target", [(0.5, 0.1, 0.3), (0.4, -0.4, 0.2), (0.3, 0.5, 0.4)])
def test_inverse_kinematics_bring_the_tool_where_it_was_asked_to(robot, target):
    wanted = frames.from_euler(target, (np.pi, 0, 0.3))
    bent = np.array(list(BENT.values()))
    found = robot.inverse("arm/panda_grasptarget", wanted, bent, bent)
    robot.set_joints("arm", dict(zip(robot.path("arm/panda_grasptarget"), found, strict=True)))
    reached = robot.pose("arm/panda_grasptarget")
    assert reached[:3] == pytest.approx(target, abs=1e-6)
    assert frames.yaw(reached) == pytest.approx(0.3, abs=1e-6)


def test_a_robot_that_is_placed_is_seen_and_solved_for_where_it_stands_now(world):
    world.load("arm", PANDA, IDENTITY)
    world.set_joints("arm", BENT)
    before, hand = world.pose("arm"), world.pose("arm/panda_hand")
    world.place("arm", world.pose("arm") + np.array([0.2, 0.1, 0, 0, 0, 0, 0]))
    moved = world.pose("arm")[:3] - before[:3]
    assert np.linalg.norm(moved) > 0.1
    world.set_joints("arm", BENT)
    reached = world.pose("arm/panda_hand")
    assert reached[:3] - hand[:3] == pytest.approx(moved, abs=1e-6)
    bent = np.array(list(BENT.values()))
    assert world.inverse("arm/panda_hand", reached, bent, bent) == pytest.approx(bent, abs=1e-5)


def test_motors_lead_joints_to_their_targets(world):
    world.load("arm", PANDA, IDENTITY)
    world.set_joints("arm", BENT)
    for _ in range(240):
        world.drive("arm", FRANKA, [0.4, *list(BENT.values())[1:]], [87.0] * 7)
        world.step()
    position = dict(zip(world.joints("arm").names, world.joints("arm").position, strict=True))
    assert position["panda_joint1"] == pytest.approx(0.4, abs=0.01)
    assert position["panda_joint4"] == pytest.approx(-2.2, abs=0.01)


# ---- what is wrong is said


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda w: w.pose("amr"), "no body 'amr'; there are ['arm']. Did you mean 'arm'?"),
        (lambda w: w.pose("arm/panda_hnd"), "no link 'panda_hnd'"),
        (lambda w: w.reaction("arm/panda_hnd"), "Did you mean 'panda_hand'?"),
        (lambda w: w.set_joints("arm", {"panda_joint": 0.1}), "no joint 'panda_joint'"),
        (lambda w: w.pad("arm", ["finger"], 1.0, 0.0), "no link 'finger'"),
        (lambda w: w.travel("arm"), "no moving surface 'arm'; there are []."),
        (lambda w: w.add("arm", box(1, 1, 1), IDENTITY), "two bodies are called 'arm'"),
    ],
)
def test_an_unknown_name_is_an_error_that_says_what_there_is(robot, ask, words):
    with pytest.raises(WorldError) as told:
        ask(robot)
    assert words in str(told.value)


def test_a_world_is_one_client_and_gives_it_back_once(blind_spec):
    before = clients()
    with World() as world:
        assert clients() - before == {world.client}
    assert clients() == before
    world.close()
    assert clients() == before
    with pytest.raises(WorldError, match="closed"):
        world.pose("part")
    with Cell(blind_spec) as cell:
        cell.reset(1)
        assert clients() - before == {cell.world.client}
    assert clients() == before


def test_a_cell_that_cannot_be_built_gives_its_client_back(blind_spec):
    before = clients()
    with pytest.raises(MeshError):
        Cell(blind_spec.change({"arm.robot": "nowhere.urdf"}))
    assert clients() == before


def test_a_closed_world_says_so_whatever_is_asked_of_it():
    world = World()
    world.close()
    ray = np.zeros((1, 3))
    for use in (world.reset, world.step, world.snapshot, lambda: world.hits(ray, ray + 1), lambda: world.pose("x")):
        with pytest.raises(WorldError, match="this world is closed"):
            use()


def test_a_snapshot_names_the_links_it_has():
    with World() as world, pytest.raises(WorldError, match="no link 'arm'; there are"):
        world.snapshot().pose("arm")


# ---- velocities, hits, and going back


def test_a_bodys_velocity_is_what_it_was_pushed_with_and_a_links_is_how_fast_its_frame_moves():
    with World(gravity=0) as world:
        world.load("arm", PANDA, IDENTITY)
        world.set_joints("arm", BENT)
        world.drive("arm", FRANKA[:1], [0.0], [87.0])
        for _ in range(30):
            world.drive("arm", FRANKA[:3], [BENT[j] + 0.2 for j in FRANKA[:3]], [87.0] * 3)
            before = world.pose("arm/panda_hand")
            world.step()
        moved = (world.pose("arm/panda_hand")[:3] - before[:3]) * 240
        velocity = world.velocity("arm/panda_hand")
        assert np.linalg.norm(velocity[:3]) > 0.05
        assert velocity[:3] == pytest.approx(moved, abs=0.03 * np.linalg.norm(moved))


def test_a_falling_bodys_velocity_is_gravity_times_time(world):
    world.add("part", box(0.1, 0.1, 0.1), pose((0, 0, 10)), mass=1)
    for _ in range(24):
        world.step()
    assert world.velocity("part") == pytest.approx([0, 0, -0.981, 0, 0, 0], rel=0.02, abs=1e-9)


def test_hits_tell_where_and_whom(world):
    world.add("near", box(0.2, 0.2, 0.2), pose((1, 0, 0)))
    world.add("far", box(0.2, 0.2, 0.2), pose((2, 1, 0)))
    ends = np.array([[4.0, 0, 0], [4, 2, 0], [0, 4, 0]])
    share, names = world.hits(np.zeros((3, 3)), ends)
    assert share[[0, 2]] == pytest.approx([0.9 / 4, 1])
    assert names == ("near", "far", "")


def falling(world) -> None:
    world.add("belt", box(2, 0.4, 0.1), pose((0, 0, -0.05)), friction=0.9)
    world.surface("belt", np.array([0.2, 0, 0]))
    world.add("parked", box(0.05, 0.05, 0.05), pose((0, 0, 0.5)))
    for i in range(3):
        world.add(f"part{i}", box(0.05, 0.05, 0.05), pose((0.1 * i, 0.02 * i, 0.04 + 0.03 * i), yaw=0.3 * i), mass=0.1)


def trail(world, steps: int) -> np.ndarray:
    rows = []
    for step in range(steps):
        if step == 20:
            world.place("parked", pose((0.05, 0, 0.06)), mass=0.1)
        world.step()
        rows.append(np.concatenate([world.pose(n) for n in world.bodies]))
    return np.stack(rows)


def test_a_restored_world_goes_on_to_the_bit_with_clock_belt_and_masses(world):
    falling(world)
    trail(world, 15)
    saved, travel = world.save(), world.travel("belt")
    first = trail(world, 60)
    world.restore(saved)
    assert world.steps == 15
    assert world.travel("belt") == travel
    assert world.pose("parked")[2] == 0.5
    assert (trail(world, 60) == first).all()
    world.forget(saved)


def test_10_000_restores_and_renders_leave_the_memory_flat(world):
    falling(world)
    trail(world, 10)
    saved, view = world.save(), Raster().open()
    lens, at = Intrinsics.from_fov(16, 16, 1.0), frames.look_at((0.5, 0.5, 0.5), (0, 0, 0))
    memory = []
    for i in range(10_000):
        world.restore(saved)
        world.step()
        view.render(world.snapshot(), lens, at)
        if i % 500 == 499:
            memory.append(psutil.Process().memory_info().rss)
    view.close()
    slope = np.polyfit(500 * np.arange(len(memory) // 2), memory[len(memory) // 2 :], 1)[0]
    assert slope < 1024


def test_links_are_seen_where_the_joints_of_this_step_put_them_and_looking_changes_nothing():
    def run(looks: bool) -> tuple[np.ndarray, np.ndarray]:
        with World() as world:
            world.load("arm", "franka_panda/panda.urdf", frames.pose())
            for _ in range(20):
                world.drive("arm", FRANKA[:1], [1.0], [87.0])
                world.step()
                if looks:
                    world.pose("arm/panda_hand"), world.velocity("arm/panda_link3"), world.snapshot()
            turn = world.joints("arm").position[0]
            elbow = world.snapshot().pose("arm/panda_link1")
            assert frames.yaw(elbow) == pytest.approx(turn, abs=1e-6)
            assert np.abs(world.joints("arm").velocity[0]) > 0.1, "it moves, or nothing could be late"
            return world.joints("arm").position, world.snapshot().poses

    for seen, blind in zip(run(True), run(False), strict=True):
        assert (seen == blind).all()
