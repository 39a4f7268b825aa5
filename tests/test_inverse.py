"""Inverse kinematics: paths as PyBullet has them, poses that are reached, and what is done where they cannot be."""

import numpy as np
import pybullet
import pybullet_data
import pytest

from twinlab import frames
from twinlab.errors import ActionError, MeshError
from twinlab.world._inverse import Joint, chain, forward, solve, told

ARMS = {  # file → link, and positions with the tool down
    "franka_panda/panda.urdf": ("panda_grasptarget", (0, -0.3, 0, -2.2, 0, 1.9, 0.785)),
    "kuka_iiwa/model.urdf": ("lbr_iiwa_link_7", (0, 0.6, 0, -1.4, 0, 1.1, 0)),
    "xarm/xarm6_robot.urdf": ("link6", (0, -0.3, -0.9, 0, 1.2, 0)),
}
PANDA, KUKA, XARM = ARMS
OTHERS = {
    "r2d2.urdf": "left_tip",
    "laikago/laikago.urdf": "FL_lower_leg",
    "cartpole.urdf": "pole",
}  # turned, many legs, slider
Z = np.array([0.0, 0, 1])
LOPSIDED = """<robot name="lopsided"><link name="base"/>
<joint name="j" type="{kind}"><parent link="base"/><child link="arm"/><origin xyz="0.1 0.2 0.3" rpy="0.4 0.5 0.6"/>
<axis xyz="0 0.6 0.8"/><limit lower="-3" upper="3" effort="1" velocity="1"/></joint>
<link name="arm"><inertial><origin xyz="0.3 0 0.1" rpy="0.7 0.8 0.9"/><mass value="1"/>
<inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial></link></robot>"""


def loaded(file, link):
    """A client of its own, the robot's number, the link's index, and PyBullet's indices of the moving joints."""
    client = pybullet.connect(pybullet.DIRECT)
    pybullet.setAdditionalSearchPath(pybullet_data.getDataPath(), client)
    number = pybullet.loadURDF(str(file), useFixedBase=True, physicsClientId=client)
    infos = [pybullet.getJointInfo(number, i, client) for i in range(pybullet.getNumJoints(number, client))]
    moving = [i[0] for i in infos if i[2] != pybullet.JOINT_FIXED]
    return client, number, [i[12].decode() for i in infos].index(link), moving


def path_of(file, link):
    client, number, index, _ = loaded(file, link)
    path = chain(told(number, client, {}), index)
    pybullet.disconnect(client)
    return path


@pytest.fixture(scope="module")
def arms():
    return {file: (path_of(file, link), np.array(rest, float)) for file, (link, rest) in ARMS.items()}


def planar(*lengths, low=1.0, high=0.0):
    """An arm in the plane: joints about z, links along x; without limits where low is above high."""
    starts = (0.0, *lengths[:-1])
    joints = [Joint(f"j{i}", "revolute", i - 1, frames.pose((x, 0, 0)), Z, low, high) for i, x in enumerate(starts)]
    tip = Joint("tip", "fixed", len(joints) - 1, frames.pose((lengths[-1], 0, 0)), Z)
    return chain([*joints, tip], len(joints))


def apart(a, b):
    """Largest difference between the entries of two poses' matrices."""
    return np.abs(frames.matrix(a) - frames.matrix(b)).max()


def off(path, pose, positions):
    """The weighted error as the module's docstring tells it."""
    left = frames.compose(frames.inverse(forward(path, positions)), pose)
    angle = 2 * np.arctan2(np.linalg.norm(left[3:6]), abs(left[6]))
    return np.hypot(np.linalg.norm(left[:3]), 0.3 * angle)


def followed(path, poses, at, rest, **how):
    """Solutions of poses one after the other, each from the last."""
    out = []
    for pose in poses:
        out.append(solve(path, pose, at, rest, **how))
        at = out[-1].positions
    return out


def line(start, *ways):
    """Poses along (3,) ways [m] one after the other, 5 mm a tick."""
    out = [start]
    for way in ways:
        ticks = round(np.linalg.norm(way) / 0.005)
        out += [np.array([*out[-1][:3] + np.array(way) * k / ticks, *start[3:]]) for k in range(1, ticks + 1)]
    return out


def steps(solved):
    """How far the joint that moves farthest goes at each tick."""
    return np.abs(np.diff([s.positions for s in solved], axis=0)).max(axis=1)


# ---- paths


def test_a_planar_arm_is_where_trigonometry_says():
    path = planar(0.5, 0.3)
    at = forward(path, np.array([0.4, 0.7]))
    assert at[:2] == pytest.approx([0.5 * np.cos(0.4) + 0.3 * np.cos(1.1), 0.5 * np.sin(0.4) + 0.3 * np.sin(1.1)])
    assert frames.yaw(at) == pytest.approx(1.1)
    assert path.screws.tolist() == [[0, 0, 1, 0, 0, 0], [0, 0, 1, 0, -0.5, 0]]
    assert np.isinf(path.limits).all()


def test_a_prismatic_joint_shifts_along_its_axis_whatever_its_length():
    lying = frames.from_euler((0, 0, 1), (0, np.pi / 2, 0))
    path = chain([Joint("slide", "prismatic", -1, lying, 2 * Z, 0, 0.5)], 0)
    assert forward(path, np.array([0.2]))[:3] == pytest.approx([0.2, 0, 1])
    assert path.limits.tolist() == [[0], [0.5]]


def check_against_pybullet(file, link):
    client, number, index, moving = loaded(file, link)
    path = chain(told(number, client, {}), index)
    rng = np.random.default_rng(0)
    for _ in range(20):
        positions = rng.uniform(-2, 2, len(path.moving))
        for place, value in zip(path.moving, positions, strict=True):
            pybullet.resetJointState(number, moving[place], value, physicsClientId=client)
        state = pybullet.getLinkState(number, index, computeForwardKinematics=True, physicsClientId=client)
        mass, own, link_frame = (np.concatenate(state[i : i + 2]) for i in (0, 2, 4))
        assert apart(forward(path, positions), frames.compose(mass, frames.inverse(own))) < 1e-12
        assert apart(forward(path, positions), link_frame) < 1e-6  # which PyBullet rounds to single precision
    pybullet.disconnect(client)


@pytest.mark.parametrize(("file", "link"), [*((file, arm[0]) for file, arm in ARMS.items()), *OTHERS.items()])
def test_a_path_ends_where_pybullet_has_the_link(file, link):
    check_against_pybullet(file, link)


@pytest.mark.parametrize("kind", ["revolute", "prismatic"])
def test_a_turned_centre_of_mass_does_not_turn_the_axis(kind, tmp_path):
    (tmp_path / "lopsided.urdf").write_text(LOPSIDED.format(kind=kind), encoding="utf-8")
    check_against_pybullet(tmp_path / "lopsided.urdf", "arm")


def test_joints_off_the_path_are_left_out():
    assert path_of(PANDA, "panda_grasptarget").moving.tolist() == [*range(7)]
    assert path_of(PANDA, "panda_rightfinger").moving.tolist() == [*range(7), 8]
    parents = {"a": -1, "b": 0, "c": -1, "d": 2}
    tree = [Joint(name, "revolute", parent, frames.pose((1, 0, 0)), Z) for name, parent in parents.items()]
    assert chain(tree, 3).moving.tolist() == [2, 3]


def test_limits_that_are_given_go_before_those_of_the_file():
    client, number, index, _ = loaded(PANDA, "panda_grasptarget")
    limits = chain(told(number, client, {1: (-0.1, 0.2)}), index).limits
    pybullet.disconnect(client)
    assert limits[:, 1].tolist() == [-0.1, 0.2] and limits[:, 0].tolist() == [-2.9671, 2.9671]


def test_asking_for_a_path_changes_nothing_of_how_the_physics_goes_on():
    def run(asks):
        client, number, index, _ = loaded(KUKA, "lbr_iiwa_link_7")
        for _ in range(20):
            pybullet.stepSimulation(client)
            if asks:
                told(number, client, {})
        state = pybullet.getLinkState(number, index, physicsClientId=client)
        pybullet.disconnect(client)
        return state

    assert run(asks=True) == run(asks=False)


# ---- poses that can be reached


@pytest.mark.parametrize("file", ARMS)
def test_poses_are_reached_within_limits(file, arms):
    path, rest = arms[file]
    low, high = path.limits
    rng = np.random.default_rng(1)
    for _ in range(300):
        there = rng.uniform(low, high)
        pose = forward(path, there)
        found = solve(path, pose, there + rng.uniform(-0.15, 0.15, len(rest)), rest)
        assert found.distance < 1e-6 and found.angle < 1e-5
        assert apart(forward(path, found.positions), pose) < 1e-5
        assert (low <= found.positions).all() and (found.positions <= high).all()


def test_a_far_pose_is_reached_in_one_call(arms):
    for path, rest in arms.values():
        start = forward(path, rest)
        pose = frames.compose(start, frames.from_euler((0.05, 0.15, 0.05), (0.2, 0.1, 0.6)))
        assert solve(path, pose, rest, rest).distance < 1e-6


def test_the_same_pose_by_the_other_quaternion_has_the_same_answer(arms):
    path, rest = arms[PANDA]
    pose = forward(path, rest + 0.1)
    other = pose * [1, 1, 1, -1, -1, -1, -1]
    assert solve(path, pose, rest, rest).positions == pytest.approx(solve(path, other, rest, rest).positions, abs=1e-12)


def test_the_same_input_gives_the_same_answer_and_is_left_as_it_was(arms):
    path, rest = arms[PANDA]
    pose, near = forward(path, rest + 0.1), rest - 0.1
    first, kept = solve(path, pose, near, rest), near.copy()
    assert (solve(path, pose, near, rest).positions == first.positions).all() and (near == kept).all()
    assert (solve(path, list(pose), tuple(near), list(rest)).positions == first.positions).all()


@pytest.mark.parametrize("file", ARMS)
def test_a_straight_line_makes_small_joint_steps(file, arms):
    path, rest = arms[file]
    solved = followed(path, line(forward(path, rest), (0.05, 0.15, -0.05), (-0.1, -0.3, 0)), rest, rest)
    assert max(s.distance for s in solved) < 1e-6
    assert steps(solved).max() < 0.05  # 5 mm at 0.3 m from the base turn it by 0.017 rad, and rest pulls by 0.02


# ---- the null space


@pytest.mark.parametrize("file", [PANDA, KUKA])
def test_the_null_space_drifts_to_rest_and_the_tool_stays(file, arms):
    path, rest = arms[file]
    pose = forward(path, rest)
    away = followed(path, [pose] * 100, rest, rest + np.array([0.5, 0, -0.5, 0, 0.3, 0, 0]))
    back = followed(path, [pose] * 200, away[-1].positions, rest)
    assert np.abs(away[-1].positions - rest).max() > 0.3
    assert max(s.distance for s in away + back) < 1e-6 and max(s.angle for s in away + back) < 1e-5
    assert steps(away + back).max() < 0.021  # `pull`, and what mending the pose adds
    assert back[-1].positions == pytest.approx(rest, abs=1e-5)


def test_without_a_pull_nothing_moves_where_the_pose_is_held(arms):
    path, rest = arms[PANDA]
    near = rest + 0.2
    assert solve(path, forward(path, near), near, rest, pull=0).positions == pytest.approx(near, abs=1e-12)


# ---- poses that cannot be reached


def test_an_answer_is_never_worse_than_where_the_search_began(arms):
    rng = np.random.default_rng(3)
    for path, _ in arms.values():
        for _ in range(200):
            near, there = rng.uniform(*path.limits), rng.uniform(*path.limits)
            pose = forward(path, there) + np.array([*rng.uniform(-0.5, 0.5, 3), 0, 0, 0, 0])
            found = solve(path, pose, near, near)
            assert off(path, pose, found.positions) <= off(path, pose, near) + 1e-9


@pytest.mark.parametrize("way", [0.3, -2.0])
def test_an_arm_stretches_towards_what_is_too_far(way):
    pose = frames.pose((np.cos(way), np.sin(way), 0), way)
    found = followed(planar(0.5, 0.3), [pose] * 3, np.array([way - 0.4, 0.9]), np.zeros(2))[-1]
    assert found.positions == pytest.approx([way, 0], abs=1e-3)
    assert found.distance == pytest.approx(0.2, abs=1e-5)


def test_a_limit_is_kept_and_the_rest_of_the_way_is_told():
    path = planar(1e-9, low=-0.5, high=0.5)
    for near in (0.0, 0.7):
        found = solve(path, frames.pose(yaw=1.25), np.array([near]), np.zeros(1))
        assert found.positions.tolist() == [0.5] and found.angle == pytest.approx(0.75)


def test_another_joint_does_what_one_at_its_limit_cannot():
    sliders = [Joint(f"s{i}", "prismatic", i - 1, frames.IDENTITY, Z, 0, 0.5) for i in range(2)]
    path, near = chain(sliders, 1), np.array([0.45, 0])  # half of the way each would bring the first to 0.625
    found = solve(path, np.array([0, 0, 0.8, 0, 0, 0, 1]), near, near, pull=0)
    assert found.positions == pytest.approx([0.5, 0.3], abs=1e-6)


@pytest.mark.parametrize("file", ARMS)
def test_what_is_out_of_reach_has_the_nearest_answer(file, arms):
    path, rest = arms[file]
    pose = forward(path, rest) + np.array([0.5, 0.3, 0.4, 0, 0, 0, 0])
    found = followed(path, [pose] * 20, rest, rest)[-1]
    low, high = path.limits
    assert np.isfinite(found.positions).all() and found.distance > 0.1
    assert (low <= found.positions).all() and (found.positions <= high).all()
    rng, left = np.random.default_rng(2), off(path, pose, found.positions)
    for size in (1e-3, 1e-2, 1e-1) * 100:
        other = np.clip(found.positions + rng.uniform(-size, size, len(rest)), low, high)
        assert off(path, pose, other) > left - 1e-6


@pytest.mark.parametrize("file", ARMS)
def test_a_line_out_of_reach_and_back_has_no_jumps(file, arms):
    path, rest = arms[file]
    poses = line(forward(path, rest), (0.6, 0, 0), (-0.6, 0, 0))
    solved = followed(path, poses, rest, rest, most=0.1)
    assert max(s.distance for s in solved) > 0.05
    assert steps(solved).max() <= 0.1 + 1e-12
    assert solved[-1].distance < 1e-6
    assert solved[-1].positions == pytest.approx(rest, abs=0.1)


def test_a_wrist_passes_beside_its_singularity_without_jumps(arms):
    path, _ = arms[XARM]
    start = np.array([0, -0.3, -0.9, 0.1, 0.2, 0])  # the tool tilts by 0.6 rad, with its axis near the forearm's
    at = forward(path, start)
    axis = frames.rotate(forward(path, np.array([0, -0.3, -0.9, 0, 0, 0])), np.array([0, 0.02, 0]))
    poses = [np.array([*at[:3], *frames.compose(frames.from_rotvec((0, 0, 0), axis * k), at)[3:]]) for k in range(31)]
    exact, bounded = (followed(path, poses, start, start, most=most) for most in (np.inf, 0.1))
    assert max(s.distance for s in exact) < 1e-6 and steps(exact).max() > 0.5
    assert steps(bounded).max() <= 0.1 + 1e-12
    assert max(s.distance for s in bounded) < 0.02 and bounded[-1].distance < 1e-6


def test_no_joint_goes_farther_than_it_may(arms):
    path, rest = arms[PANDA]
    found = solve(path, forward(path, rest + 0.4), rest, rest, most=0.05)
    assert np.abs(found.positions - rest).max() == pytest.approx(0.05) and found.distance > 0.01


# ---- what is wrong is said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pose": np.zeros(6)}, r"\(6,\).*wanted \(7,\)"),
        ({"near": np.zeros(9)}, r"\(9,\).*\(7,\) for the positions"),
        ({"near": np.full(7, np.nan)}, "nan.*finite"),
        ({"rest": np.full(7, np.inf)}, "inf.*finite"),
        ({"pose": np.full(7, np.nan)}, "nan.*finite"),
        ({"pose": np.zeros(7)}, "quaternion that is not zero"),
        ({"pull": -1}, "0 or more"),
    ],
)
def test_input_that_cannot_be_solved_is_refused(change, words, arms):
    path, rest = arms[PANDA]
    with pytest.raises(ActionError, match=words):
        solve(**{"chain": path, "pose": forward(path, rest), "near": rest, "rest": rest} | change)


@pytest.mark.parametrize(("kind", "axis"), [("spherical", Z), ("revolute", 0 * Z)])
def test_a_joint_that_is_no_screw_is_refused(kind, axis):
    with pytest.raises(MeshError, match=f"'ball' is {kind}"):
        chain([Joint("ball", kind, -1, frames.IDENTITY, axis)], 0)
