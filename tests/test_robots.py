"""Robot files: whatever is wrong with one is told by name, and what comes out moves as it was meant."""

import math
import os
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pybullet
import pybullet_data
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from twinlab import frames, meshes, robots
from twinlab.errors import MeshError
from twinlab.robots import Fixture, Prepared
from twinlab.robots._moments import moments, solid
from twinlab.robots._source import Source
from twinlab.world import World
from twinlab.world._try import translated

DATA = Path(pybullet_data.getDataPath())
PANDA = "franka_panda/panda.urdf"
HEAD = '<robot name="r" xmlns:xacro="http://www.ros.org/wiki/xacro">'
BOX = '<collision><geometry><box size="0.1 0.2 0.3"/></geometry></collision>'
LIMIT = '<limit lower="-1" upper="1" effort="5" velocity="2"/>'


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TWINLAB_CACHE", str(tmp_path_factory.getbasetemp() / "robots"))


def inertial(mass: float = 1.0, xx: float = 0.01, yy: float = 0.01, zz: float = 0.01, xyz: str = "0 0 0") -> str:
    inertia = f'<inertia ixx="{xx}" ixy="0" ixz="0" iyy="{yy}" iyz="0" izz="{zz}"/>'
    return f'<inertial><origin xyz="{xyz}"/><mass value="{mass}"/>{inertia}</inertial>'


def link(name: str, inside: str = inertial()) -> str:
    return f'<link name="{name}">{inside}</link>'


def joint(name: str, parent: str, child: str, inside: str = LIMIT, kind: str = "revolute", xyz: str = "0 0 0") -> str:
    ends = f'<parent link="{parent}"/><child link="{child}"/><origin xyz="{xyz}"/>'
    return f'<joint name="{name}" type="{kind}">{ends}<axis xyz="0 1 0"/>{inside}</joint>'


def arm(moved: str = inertial(), limit: str = LIMIT, kind: str = "revolute", more: str = "") -> str:
    return HEAD + link("base") + link("a", moved) + joint("j", "base", "a", limit, kind) + more + "</robot>"


def write(folder: Path, text: str, name: str = "robot.urdf") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return name


def prepare(folder: Path, text: str, name: str = "robot.urdf", **more) -> Prepared:
    return robots.prepare("arm", write(folder, text, name), [folder], **more)


@pytest.fixture
def client():
    number = pybullet.connect(pybullet.DIRECT)
    pybullet.setGravity(0, 0, -9.81, number)
    yield number
    pybullet.disconnect(number)


def load(prepared: Prepared, client: int) -> int:
    flags = pybullet.URDF_USE_INERTIA_FROM_FILE if prepared.inertia == "file" else 0
    return pybullet.loadURDF(str(prepared.path), useFixedBase=True, flags=flags, physicsClientId=client)


def names(body: int, client: int) -> tuple[dict[str, int], dict[str, int]]:
    """Joint → index and link → index."""
    infos = [
        pybullet.getJointInfo(body, i, physicsClientId=client)
        for i in range(pybullet.getNumJoints(body, physicsClientId=client))
    ]
    return {i[1].decode(): i[0] for i in infos}, {i[12].decode(): i[0] for i in infos}


def total(body: int, client: int) -> float:
    return sum(
        pybullet.getDynamicsInfo(body, i, physicsClientId=client)[0]
        for i in range(pybullet.getNumJoints(body, physicsClientId=client))
    )


# ---- real files

REFUSED = {
    "biped/biped2d_pybullet.urdf": "gives lower='-1.57.' in <limit> of joint 'torso_to_rightleg'",
    "kuka_iiwa/model_for_sdf.urdf": "names the mesh 'meshes/coarse/link_0.stl'",
    "torus_deform.urdf": "is a deformable body",
    "toys/concave_box.urdf": "has a shape <cdf>",
    "random_urdfs/168/168.urdf": "names vertices that it lacks",
}


def test_every_robot_of_pybullet_data_is_prepared_or_refused_by_name():
    files = [file for file in sorted(DATA.rglob("*.urdf")) if "random_urdfs" not in file.parts or "8" in file.stem[-2:]]
    for file in (str(file.relative_to(DATA)) for file in files):
        if file in REFUSED:
            with pytest.raises(MeshError) as told:
                robots.prepare("arm", file, [DATA])
            assert REFUSED[file] in str(told.value) and Path(file).name in str(told.value)
        else:
            assert robots.prepare("arm", file, [DATA]).path.is_file(), file
    assert len(files) > 150


def driven(file: str, flags: int = 0) -> np.ndarray:
    """What all joints do in a second under drive: position, velocity, motor torque, reaction."""
    client = pybullet.connect(pybullet.DIRECT)
    pybullet.setGravity(0, 0, -9.81, physicsClientId=client)
    body = pybullet.loadURDF(file, useFixedBase=True, flags=flags, physicsClientId=client)
    count, seen = pybullet.getNumJoints(body, physicsClientId=client), []
    for i in range(count):
        pybullet.enableJointForceTorqueSensor(body, i, physicsClientId=client)
    for step in range(240):
        for i in range(count):
            goal = 0.4 * math.sin(0.02 * step + i)
            pybullet.setJointMotorControl2(
                body, i, pybullet.POSITION_CONTROL, goal, force=50, positionGain=0.1, physicsClientId=client
            )
        pybullet.stepSimulation(physicsClientId=client)
        seen.append(
            [(s[0], s[1], s[3], *s[2]) for s in pybullet.getJointStates(body, range(count), physicsClientId=client)]
        )
    pybullet.disconnect(client)
    return np.array(seen)


@pytest.mark.parametrize("file", [PANDA, "kuka_iiwa/model.urdf", "xarm/xarm6_with_gripper.urdf", "pr2_gripper.urdf"])
def test_a_good_file_moves_to_the_bit_as_it_did_before(file):
    assert (driven(str(robots.prepare("arm", file, [DATA]).path)) == driven(str(DATA / file))).all()


def test_the_arm_of_known_robots_ends_at_their_hand_and_its_tool_is_found():
    panda, xarm, husky = (
        robots.prepare("arm", file, [DATA]) for file in (PANDA, "xarm/xarm6_with_gripper.urdf", "husky/husky.urdf")
    )
    assert panda.arm == tuple(f"panda_joint{i}" for i in range(1, 8)) and panda.tool == "panda_grasptarget"
    assert xarm.arm == tuple(f"joint{i}" for i in range(1, 7)) and xarm.tool == "link6"
    assert husky.arm == ()  # four wheels, no arm
    assert panda.inertia == "shapes" and xarm.inertia == "file"  # the Panda's are 0.1 for all links
    assert panda.mimics == {"panda_finger_joint2": robots.Mimic("panda_finger_joint1", 1.0, 0.0)}
    assert (panda.joints["panda_joint1"].low, panda.joints["panda_joint1"].effort) == (-2.9671, 87)
    assert {mimic.leader for mimic in xarm.mimics.values()} == {"drive_joint"} and len(xarm.mimics) == 5


def test_preparing_again_costs_next_to_nothing_and_sees_changes(tmp_path):
    first = prepare(tmp_path, arm())
    start = time.perf_counter()
    assert all(robots.prepare("arm", "robot.urdf", [tmp_path]) is first for _ in range(100))
    assert time.perf_counter() - start < 0.1
    assert prepare(tmp_path, arm(inertial(2.0))).mass == 2.0


# ---- weights


def test_frames_weigh_nothing_and_the_arm_that_holds_a_mass_feels_just_that_mass(tmp_path, client):
    chain = ["b", "flange", "tool0", "load"]
    text = (
        HEAD
        + link("base")
        + link("a", inertial(2, 0.001, 0.05, 0.05, "0.25 0 0"))
        + link("b", inertial(1, 0.001, 0.02, 0.02, "0.25 0 0"))
        + link("flange", "")
        + link("tool0", "")
        + link("load", inertial(3, 0.001, 0.001, 0.001))
        + joint("j1", "base", "a", LIMIT.replace('"5"', '"200"'))
        + joint("j2", "a", "b", LIMIT.replace('"5"', '"200"'), xyz="0.5 0 0")
        + "".join(joint(c, p, c, "", "fixed", f"{0.5 * (p == 'b')} 0 0") for p, c in pairwise(chain))
        + "</robot>"
    )
    prepared = prepare(tmp_path, text)
    body = load(prepared, client)
    joints, _ = names(body, client)
    assert prepared.mass == total(body, client) == 6.0
    assert any("'flange', 'tool0' without <inertial>" in note for note in prepared.notes)
    pybullet.enableJointForceTorqueSensor(body, joints["flange"], physicsClientId=client)
    for _ in range(480):
        for name in ("j1", "j2"):
            pybullet.setJointMotorControl2(
                body, joints[name], pybullet.POSITION_CONTROL, 0, force=200, physicsClientId=client
            )
        pybullet.stepSimulation(physicsClientId=client)
    torques = [-pybullet.getJointState(body, joints[name], physicsClientId=client)[3] for name in ("j1", "j2")]
    g = 9.81
    assert torques == pytest.approx([g * (2 * 0.25 + 1 * 0.75 + 3 * 1.0), g * (1 * 0.25 + 3 * 0.5)], rel=0.01)
    assert pybullet.getJointState(body, joints["flange"], physicsClientId=client)[2][2] == pytest.approx(
        3 * g, rel=0.01
    )


def test_a_moving_link_without_any_mass_weighs_what_its_shape_does(tmp_path, client):
    prepared = prepare(tmp_path, arm(BOX))
    body = load(prepared, client)
    mass, _, diagonal = pybullet.getDynamicsInfo(body, 0, physicsClientId=client)[:3]
    assert mass == pytest.approx(6.0)  # 0.1 * 0.2 * 0.3 m^3 at 1000 kg/m^3
    assert diagonal == pytest.approx(
        [6 / 12 * (0.2**2 + 0.3**2), 6 / 12 * (0.1**2 + 0.3**2), 6 / 12 * (0.1**2 + 0.2**2)]
    )
    assert any("link 'a' has no <inertial>" in note and "6 kg" in note for note in prepared.notes)


def test_a_joint_that_moves_nothing_can_be_driven(tmp_path, client):
    prepared = prepare(tmp_path, arm(""))
    body = load(prepared, client)
    for _ in range(240):
        pybullet.setJointMotorControl2(body, 0, pybullet.POSITION_CONTROL, 0.5, force=5, physicsClientId=client)
        pybullet.stepSimulation(physicsClientId=client)
    assert pybullet.getJointState(body, 0, physicsClientId=client)[0] == pytest.approx(0.5, abs=0.001)
    assert any("joint 'j' moves nothing that has a mass" in note for note in prepared.notes)


@pytest.mark.parametrize("moments_given", [(0.01, 0.01, 0.05), (0.01, 0.01, -0.01), (0, 0, 0)])
def test_a_single_inertia_that_no_body_has_becomes_that_of_the_shape(tmp_path, client, moments_given):
    good = link("b", inertial(1, 0.02)) + joint("k", "a", "b") + link("c", inertial(1, 0.012)) + joint("l", "b", "c")
    turned = inertial(1.0, *moments_given).replace("<origin", '<origin rpy="0 0 1"')
    prepared = prepare(tmp_path, arm(turned + BOX, more=good))
    assert prepared.inertia == "file"
    _, _, diagonal, _, turn = pybullet.getDynamicsInfo(load(prepared, client), 0, physicsClientId=client)[:5]
    assert turn == (0, 0, 0, 1)
    assert diagonal == pytest.approx([(0.2**2 + 0.3**2) / 12, (0.1**2 + 0.3**2) / 12, (0.1**2 + 0.2**2) / 12])
    assert any("link 'a' has an inertia that no body has" in note for note in prepared.notes)


def test_the_inertia_of_a_thin_plate_is_possible(tmp_path, client):
    prepared = prepare(tmp_path, arm(inertial(1, 0.1, 0.2, 0.1 + 0.2)))  # 0.30000000000000004
    assert not prepared.notes
    assert pybullet.getDynamicsInfo(load(prepared, client), 0, physicsClientId=client)[2] == pytest.approx(
        [0.1, 0.2, 0.3]
    )


@given(st.lists(st.floats(0.01, 2), min_size=3, max_size=3), st.lists(st.floats(0.1, 3), min_size=3, max_size=3))
def test_a_mesh_of_any_scale_weighs_and_turns_as_the_box_that_it_is(tmp_path_factory, edges, scale):
    file = tmp_path_factory.getbasetemp() / "box.stl"
    trimesh.creation.box(edges).export(file)
    os.utime(file, ns=(time.time_ns(), time.time_ns()))
    shape = f'<mesh filename="{file}" scale="{scale[0]!r} {scale[1]!r} {scale[2]!r}"/>'
    element = robots._read._parsed(
        f"<link name='l'><visual><origin xyz='1 2 3'/><geometry>{shape}</geometry></visual></link>".encode(),
        Source("arm", file, (file.parent,)),
    )
    volume, centre, inertia = moments(element, Source("arm", file, (file.parent,)))
    expected, diagonal = solid("box", [a * b for a, b in zip(edges, scale, strict=True)])
    assert volume == pytest.approx(expected, rel=1e-5)
    assert centre == pytest.approx([1, 2, 3], abs=1e-5)
    assert np.diag(inertia) == pytest.approx(diagonal, rel=1e-4)


@given(st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_capsule_lies_between_its_cylinder_and_the_one_around_it(radius, length):
    (inner, low), (volume, moment), (outer, high) = (
        solid("cylinder", [radius, length]), solid("capsule", [radius, length]),
        solid("cylinder", [radius, length + 2 * radius]),
    )  # fmt: skip
    assert inner < volume < outer and all(a < b < c for a, b, c in zip(low, moment, high, strict=True))
    assert np.ravel(solid("capsule", [radius, 0.0])[1]) == pytest.approx(solid("sphere", [radius])[1])


# ---- joints


@pytest.mark.parametrize(
    ("given_limit", "kind", "low", "high", "words"),
    [
        ("", "revolute", None, None, "gives no limits: taken as turning without end"),
        ('<limit effort="5" velocity="1"/>', "revolute", None, None, "gives no limits"),
        ('<limit lower="1" upper="-1" effort="5" velocity="1"/>', "revolute", None, None, "above its upper one -1"),
        ('<limit lower="-1" upper="1" effort="5" velocity="1"/>', "continuous", None, None, "its limits are left out"),
        ("", "prismatic", -1, 1, "gives no limits: taken as -1 to 1 m"),
        ('<limit upper="0.5" effort="5" velocity="1"/>', "prismatic", 0, 0.5, ""),
    ],
)
def test_limits_that_are_missing_or_wrong_get_a_default_that_is_told(
    tmp_path, client, given_limit, kind, low, high, words
):
    prepared = prepare(tmp_path, arm(limit=given_limit, kind=kind))
    assert (prepared.joints["j"].low, prepared.joints["j"].high) == (low, high)
    assert words in " ".join(prepared.notes)
    info = pybullet.getJointInfo(load(prepared, client), 0, physicsClientId=client)
    assert info[8:10] == (low, high) if low is not None else info[8] > info[9]


@pytest.mark.parametrize("given_limit", ['<limit lower="-1" upper="1" effort="0" velocity="0"/>',
                                         '<limit lower="-1" upper="1" effort="inf"/>'])  # fmt: skip
def test_a_motor_without_effort_holds_three_times_what_hangs_on_it(tmp_path, client, given_limit):
    more = link("b", inertial(2, xyz="0.3 0 0.4")) + joint("k", "a", "b", xyz="0 0 1.5")
    prepared = prepare(tmp_path, arm(inertial(1, xyz="0 0 1"), given_limit, more=more))
    one = prepared.joints["j"]
    assert one.effort == pytest.approx(3 * 9.81 * (1 * 1 + 2 * (1.5 + 0.5)), rel=0.05)  # to two digits
    assert one.velocity == pytest.approx(math.pi) and set(one.assumed) == {"effort", "velocity"}
    assert pybullet.getJointInfo(load(prepared, client), 0, physicsClientId=client)[10:12] == (one.effort, one.velocity)
    assert "joint 'j' gives no effort" in " ".join(prepared.notes)


def test_a_joint_that_follows_a_follower_follows_its_leader(tmp_path):
    def follower(name: str, leader: str, times: float, offset: float) -> str:
        mimic = f'<mimic joint="{leader}" multiplier="{times}" offset="{offset}"/>'
        return link(f"l{name}") + joint(name, "base", f"l{name}", LIMIT + mimic)

    prepared = prepare(tmp_path, arm(more=follower("k", "j", 2, 0.1) + follower("m", "k", -1, 0.5)))
    assert prepared.mimics == {"k": robots.Mimic("j", 2, 0.1), "m": robots.Mimic("j", -2, -0.1 + 0.5)}
    with pytest.raises(MeshError, match="follow each other in a circle"):
        prepare(tmp_path, arm(more=follower("k", "m", 1, 0) + follower("m", "k", 1, 0)))
    with pytest.raises(MeshError, match=r"follow 'jj', which is no joint that moves.*Did you mean 'j'"):
        prepare(tmp_path, arm(more=follower("k", "jj", 1, 0)))


def test_an_axis_counts_by_its_direction_only(tmp_path, client):
    prepared = prepare(tmp_path, arm().replace('"0 1 0"', '"0 3 4"'))
    assert pybullet.getJointInfo(load(prepared, client), 0, physicsClientId=client)[13] == pytest.approx([0, 0.6, 0.8])
    assert "joint 'j' has an axis of length 5" in " ".join(prepared.notes)


def test_what_nothing_drives_stands_still(tmp_path, client):
    prepared = prepare(tmp_path, arm(kind="floating", limit=""))
    assert prepared.joints == {} and "is floating, which nothing drives" in " ".join(prepared.notes)
    assert pybullet.getJointInfo(load(prepared, client), 0, physicsClientId=client)[2] == pybullet.JOINT_FIXED


# ---- what is no robot

TWO = link("a") + link("b")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("solid", "is not XML"),
        (HEAD + link("a") + "</robot>" + HEAD + "</robot>", "is not XML (junk after document element"),
        ("<robots><robot name='a'/><robot name='b'/></robots>", "holds <robots>; wanted <robot>"),
        ('<!DOCTYPE r [<!ENTITY a "b">]>' + HEAD + link("a") + "</robot>", "declares a document type"),
        (HEAD + "</robot>", "has no <link>"),
        (HEAD + link("") + "</robot>", "has a <link> without a name"),
        (HEAD + link("a") * 2 + "</robot>", "has two links called 'a'"),
        (HEAD + TWO + "</robot>", "has 2 roots, ['a', 'b']"),
        (HEAD + TWO + joint("j", "a", "b") + joint("k", "b", "a") + "</robot>", "has no root"),
        (HEAD + TWO + joint("j", "a", "a") + "</robot>", "ties the links ['a'] in a circle, apart from its root 'b'"),
        (HEAD + TWO + joint("j", "a", "b") + joint("k", "a", "b") + "</robot>", "hangs the link 'b' on the joints"),
        (HEAD + TWO + joint("j", "a", "bb") + "</robot>", "the child link 'bb' in the joint 'j'"),
        (arm(kind="hinge"), "has a joint 'j' of type 'hinge'"),
        (arm().replace('"0 1 0"', '"0 0 0"'), "the axis '0 0 0', which has no direction"),
        (
            arm().replace('upper="1"', 'upper="1,5"'),
            "gives upper='1,5' in <limit> of joint 'j'; wanted a finite number",
        ),
        (arm().replace('"0 0 0"', '"0 0"'), "wanted 3 finite numbers"),
        (arm(BOX.replace("0.3", "-0.3")), "gives a box of sizes [0.1, 0.2, -0.3] (link 'a', collision)"),
        (arm(BOX.replace("box", "ball")), "has a shape <ball> (link 'a', collision)"),
        (
            arm(BOX.replace('box size="0.1 0.2 0.3"', 'mesh filename="a.stl"')),
            "names the mesh 'a.stl', which is not in",
        ),
        (arm(BOX.replace('box size="0.1 0.2 0.3"', 'mesh filename="http://a/b.stl"')), "wanted a path, package://"),
    ],
)
def test_what_is_no_robot_is_refused_with_the_file_the_part_and_what_to_do(tmp_path, text, words):
    with pytest.raises(MeshError) as told:
        prepare(tmp_path, text)
    assert str(told.value).startswith("arm: ") and "robot.urdf'" in str(told.value) and words in str(told.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (arm().replace('xyz="0 1 0"', 'xyz="0, 1, 0"'), "'0 1 0' is taken"),
        (arm(inertial() + "<visual><geometry/></visual>"), "has a <visual> without a shape"),
        (arm("<inertial><mass value='-1'/></inertial>" + BOX), "has an <inertial> without a mass of 0 kg or more"),
        ("\n\n<?xml version='1.0'?>" + arm() + "\0", ""),
        (arm().replace('name="r"', ""), ""),
        (arm(limit=LIMIT + "<dynamics/>"), ""),
        (arm(inertial() + BOX.replace("collision", "visual").replace("</geometry>", "</geometry><material/>")), ""),
        (arm(more="<controller:gazebo/><transmission name='t'/>"), ""),
    ],
)
def test_flaws_that_are_safe_to_mend_are_mended(tmp_path, client, text, words):
    prepared = prepare(tmp_path, text)
    assert words in " ".join(prepared.notes)
    load(prepared, client)


# ---- meshes and paths


def mesh(uri: str, tag: str = "collision") -> str:
    return f'<{tag}><geometry><mesh filename="{uri}"/></geometry></{tag}>'


@pytest.fixture
def workspace(tmp_path) -> Path:
    """A ROS workspace: src/my_robot with urdf/ and meshes/part.stl."""
    for folder in ("urdf", "meshes"):
        (tmp_path / "src/my_robot" / folder).mkdir(parents=True)
    trimesh.creation.box((0.2, 0.3, 0.4)).export(tmp_path / "src/my_robot/meshes/part.stl")
    return tmp_path


@pytest.mark.parametrize(
    "uri",
    [
        "package://my_robot/meshes/part.stl",
        "package://renamed/meshes/part.stl",
        "model://my_robot/meshes/part.stl",
        "file://{root}/src/my_robot/meshes/part.stl",
        "../meshes/part.stl",
        "meshes/part.stl",
    ],
)
def test_a_mesh_is_found_however_it_is_named(workspace, uri):
    text = arm(inertial() + mesh(uri.format(root=workspace)))
    write(workspace / "src/my_robot/urdf", text)
    prepared = robots.prepare("arm", "src/my_robot/urdf/robot.urdf", [workspace])
    assert str((workspace / "src/my_robot/meshes/part.stl").resolve()) in prepared.path.read_text(encoding="utf-8")


def test_nothing_outside_of_the_roots_is_read(workspace):
    home, outside = workspace / "src/my_robot/urdf", workspace / "src/my_robot/meshes/part.stl"
    (home / "linked.stl").symlink_to(outside)
    for uri in ("../meshes/part.stl", f"file://{outside}", str(outside), "linked.stl"):
        with pytest.raises(MeshError, match=r"names the mesh .* outside of"):
            prepare(home, arm(inertial() + mesh(uri)))
    write(workspace, arm(), "elsewhere.urdf")
    (home / "linked.urdf").symlink_to(workspace / "elsewhere.urdf")
    for file in ("../../../elsewhere.urdf", str(workspace / "elsewhere.urdf"), "linked.urdf"):
        with pytest.raises(MeshError, match=r"arm: .* lies outside of"):
            robots.prepare("arm", file, [home])
    with pytest.raises(MeshError, match=r"arm: no file 'gone\.urdf' below"):
        robots.prepare("arm", "gone.urdf", [home])


@pytest.mark.parametrize("kind", ["stl_ascii", "ply", "dae", "stl", "obj"])
def test_meshes_that_pybullet_would_take_for_empty_collide_all_the_same(tmp_path, client, kind):
    file = f"part.{kind.removesuffix('_ascii')}"
    (tmp_path / file).write_bytes(trimesh.creation.box((0.2, 0.3, 0.4)).export(file_type=kind).encode()
                                  if kind in ("stl_ascii", "obj") else
                                  trimesh.creation.box((0.2, 0.3, 0.4)).export(file_type=kind))  # fmt: skip
    prepared = prepare(tmp_path, arm(inertial() + mesh(file) + mesh(file, "visual")))
    body = load(prepared, client)
    low, high = pybullet.getAABB(body, 0, physicsClientId=client)
    assert np.subtract(high, low) == pytest.approx([0.2, 0.3, 0.4], abs=0.01)
    assert any("was converted to OBJ" in note for note in prepared.notes) == (kind in ("stl_ascii", "ply"))
    assert meshes.read(
        pybullet.getVisualShapeData(body, physicsClientId=client)[0][4].decode()
    ).vertices.max() == pytest.approx(0.2)


def test_a_visual_that_is_missing_is_drawn_as_what_collides(tmp_path, client):
    prepared = prepare(tmp_path, arm(inertial() + BOX + mesh("gone.dae", "visual")))
    assert "link 'a' is drawn as what collides of it" in " ".join(prepared.notes)
    assert [shape[2] for shape in pybullet.getVisualShapeData(load(prepared, client), physicsClientId=client)] == [
        pybullet.GEOM_BOX
    ]
    with pytest.raises(MeshError, match=r"names the mesh 'gone\.dae'"):
        prepare(tmp_path, arm(inertial() + mesh("gone.dae", "visual")))


def test_a_hull_that_is_much_larger_than_its_mesh_is_told(tmp_path):
    trimesh.creation.annulus(0.09, 0.1, 0.2).export(tmp_path / "tube.stl")
    notes = prepare(tmp_path, arm(inertial() + mesh("tube.stl"))).notes
    assert len(notes) == 1 and "'tube.stl' touches by its convex hull, whose volume is 5.3 times" in notes[0]


def test_a_cache_that_cannot_be_written_to_costs_nothing_but_time(tmp_path, client, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("TWINLAB_CACHE", str(tmp_path / "file"))
    load(prepare(tmp_path, arm(inertial(7.0))), client)


# ---- xacro


def test_a_xacro_file_is_expanded_with_its_arguments_packages_and_files(workspace):
    home = workspace / "src/my_robot"
    (home / "urdf/mass.yaml").write_text("link: 2.5", encoding="utf-8")
    macro = f'<xacro:macro name="part" params="name mass">{link("${name}", inertial("${mass}"))}</xacro:macro>'
    (home / "urdf/part.xacro").write_text(HEAD + macro + "</robot>", encoding="utf-8")
    text = (
        HEAD + '<xacro:include filename="$(find my_robot)/urdf/part.xacro"/><xacro:arg name="tool" default="none"/>'
        "<xacro:property name=\"m\" value=\"${xacro.load_yaml('mass.yaml')['link']}\"/>"
        '<xacro:part name="base" mass="1"/><xacro:part name="$(arg tool)" mass="${2 * m}"/>'
        + joint("j", "base", "$(arg tool)") + "</robot>"
    )  # fmt: skip
    write(home / "urdf", text, "robot.urdf.xacro")
    prepared = robots.prepare("arm", "src/my_robot/urdf/robot.urdf.xacro", [workspace], arguments={"tool": "hand"})
    assert prepared.links == ("base", "hand") and prepared.mass == 5.0
    (home / "urdf/mass.yaml").write_text("link: 3.25", encoding="utf-8")  # included files count as well
    again = robots.prepare("arm", "src/my_robot/urdf/robot.urdf.xacro", [workspace], arguments={"tool": "hand"})
    assert again.mass == 6.5


RUN = (
    "(lambda: [k for k in ().__class__.__base__.__subclasses__() if k.__name__ == '_wrap_close'][0]"
    ".__init__.__globals__['system']('touch {file}'))()"
)


@pytest.mark.parametrize(
    ("inside", "words"),
    [
        ('<xacro:include filename="/etc/hostname"/>', "it reads '/etc/hostname', outside of"),
        ("<link name=\"${xacro.load_yaml('../secret.yaml')}\"/>", "secret.yaml', outside of"),
        ('<xacro:include filename="$(find nowhere)/a.xacro"/>', "no package 'nowhere'"),
        (f'<link name="${{{RUN}}}"/>', "it asks for os.system"),
        ('<link name="$(env HOME)"/>', "environment variable 'HOME' is not set"),
        ('<link name="${missing}"/>', "name 'missing' is not defined"),
        ('<link name="$(arg missing)"/>', "missing"),
    ],
)
def test_a_xacro_file_reads_and_runs_nothing_that_is_not_its_own(tmp_path, inside, words):
    (tmp_path / "scene").mkdir()
    (tmp_path / "secret.yaml").write_text("a", encoding="utf-8")
    file = tmp_path / "scene/ran"
    with pytest.raises(MeshError) as told:
        prepare(tmp_path / "scene", HEAD + inside.replace("{file}", str(file)) + "</robot>", "robot.xacro")
    assert words in str(told.value) and "can't be expanded by xacro" in str(told.value) and not file.exists()


def test_arguments_are_for_xacro_only(tmp_path):
    with pytest.raises(MeshError, match="is no xacro file, but came with arguments"):
        prepare(tmp_path, arm(), arguments={"a": "b"})


# ---- SDF and MJCF


def test_a_file_that_kills_pybullet_is_an_error_and_this_process_lives_on():
    with pytest.raises(MeshError, match=r"arm: PyBullet dies \(SIGSEGV\) of this sdf file"):
        robots.prepare("arm", "gripper/wsg50_one_motor_gripper_free_base.sdf", [DATA], translate=translated)


def test_the_kuka_of_an_sdf_file_is_the_kuka_of_the_urdf_file(client):
    poses = []
    for file in ("kuka_iiwa/model.sdf", "kuka_iiwa/model.urdf"):
        prepared = robots.prepare("arm", file, [DATA], translate=translated)
        body = load(prepared, client)
        assert total(body, client) == pytest.approx(17.5) and prepared.arm == tuple(
            f"lbr_iiwa_joint_{i}" for i in range(1, 8)
        )
        for i in range(7):
            pybullet.resetJointState(body, i, 0.1 * i, physicsClientId=client)
        poses.append(pybullet.getLinkState(body, 6, computeForwardKinematics=True, physicsClientId=client)[0])
    assert poses[0] == pytest.approx(poses[1], abs=1e-4)
    with pytest.raises(MeshError, match="is SDF; convert it to URDF"):
        robots.prepare("other", "kuka_iiwa/model.sdf", [DATA])


MJCF = (
    '<mujoco model="m"><compiler angle="radian"/><worldbody><body name="{0}" pos="0 0 1">'
    '<geom type="box" size="0.1 0.1 0.1"/><body name="{0}_arm" pos="0 0 0.1"><joint name="hinge" type="hinge" '
    'axis="0 1 0" limited="true" range="-1 1"/><geom type="capsule" fromto="0 0 0 0.3 0 0.4" size="0.05"/></body>'
    "</body></worldbody><actuator/></mujoco>"
)


def test_a_mujoco_file_is_loaded_with_its_capsules_where_they_are(tmp_path, client):
    prepared = prepare(tmp_path, MJCF.format("base"), "robot.xml", translate=translated)
    assert "left out: actuator" in " ".join(prepared.notes) and prepared.arm == ("hinge",)
    body = load(prepared, client)
    number = names(body, client)[1]["base_arm"]
    assert np.mean(pybullet.getAABB(body, number, physicsClientId=client), axis=0) == pytest.approx([0.15, 0, 0.3])
    mass, *_, centre = pybullet.getDynamicsInfo(body, number, physicsClientId=client)[:4]
    assert mass == pytest.approx(1000 * math.pi * 0.05**2 * (0.5 + 4 / 3 * 0.05)) and centre == pytest.approx(
        [0.15, 0, 0.2]
    )
    with pytest.raises(MeshError, match=r"no model 'b'; there are \['m'\]"):
        prepare(tmp_path, MJCF.format("base"), "robot.xml", translate=translated, model="b")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "<worldbody>",
            '<default><geom type="box"/></default><worldbody>',
            "by <default>, which PyBullet does not read",
        ),
        ('pos="0 0 1"', 'euler="0 0 1"', "turns <body name='base'> by ['euler']"),
        ("<worldbody>", '<include file="a.xml"/><worldbody>', "includes other files"),
    ],
)
def test_what_pybullet_would_pass_over_in_mjcf_is_refused(tmp_path, old, new, words):
    with pytest.raises(MeshError) as told:
        prepare(tmp_path, MJCF.format("base").replace(old, new), "robot.xml", translate=translated)
    assert words in str(told.value)


# ---- joints that follow others

SLIDE = '<limit lower="-0.1" upper="0.1" effort="20" velocity="1"/>'


def pair(multiplier: float, offset: float, limit: str = SLIDE, kind: str = "prismatic") -> str:
    """Two joints side by side, "right" following "left"."""
    mimic = f'<mimic joint="left" multiplier="{multiplier}" offset="{offset}"/>'
    fingers = link("a") + link("b") + joint("left", "base", "a", limit, kind, "0 0.5 0")
    return HEAD + link("base") + fingers + joint("right", "base", "b", limit + mimic, kind, "0 -0.5 0") + "</robot>"


def opened(world: World, steps: int = 200) -> np.ndarray:
    """Positions of the joints of `pair` while the left one is driven to and fro (step, 2)."""
    found = []
    for step in range(steps):
        world.drive("hand", ["left"], [0.03 * math.sin(0.03 * step)], [20.0])
        world.step()
        found.append(world.joints("hand").position)
    return np.array(found)


@pytest.mark.parametrize("substeps", [1, 3])
@pytest.mark.parametrize(("multiplier", "offset"), [(-1, 0.02), (0.5, -0.01), (2, 0)])
def test_a_joint_that_mimics_another_follows_it_by_its_multiplier_and_offset(tmp_path, multiplier, offset, substeps):
    file = write(tmp_path, pair(multiplier, offset))
    with World(substeps=substeps, roots=[tmp_path]) as world:
        world.load("hand", file, frames.IDENTITY)
        assert world.joints("hand").position.tolist() == [0, offset]
        left, right = opened(world).T
        assert right == pytest.approx(multiplier * left + offset, abs=2e-4) and np.ptp(left) > 0.05


def test_who_holds_the_joint_that_follows_holds_its_leader_too(tmp_path):
    with World(roots=[tmp_path]) as world:
        world.load("hand", write(tmp_path, pair(-1, 0.02)), frames.IDENTITY)
        world.push("hand", ["left"], [0.0])
        world.drive("hand", ["right"], [0.05], [15.0])
        for _ in range(120):
            world.step()
        assert world.joints("hand").position == pytest.approx([-0.03, 0.05], abs=1e-3)


def test_a_gear_goes_on_to_the_bit_after_going_back_and_after_a_reset(tmp_path):
    def built(again: bool) -> bool:
        kept = world.reset(again)
        world.load("hand", "robot.urdf", frames.IDENTITY)
        world.built()
        return kept

    write(tmp_path, pair(-1, 0.3, LIMIT, "revolute"))
    with World(roots=[tmp_path]) as world:
        built(False)
        first = opened(world)
        saved = world.save()
        on = opened(world)
        world.restore(saved)
        assert (opened(world) == on).all()
        assert built(True) and (opened(world) == first).all()
        built(False)
        assert (opened(world) == first).all()


def test_a_joint_that_no_gear_leads_is_told(tmp_path):
    assert "by a multiplier of 0: it hangs free" in " ".join(prepare(tmp_path, pair(0, 0.1)).notes)
    one_to_one = prepare(tmp_path, pair(1, 0))
    assert not one_to_one.followers and "left to a gripper that drives both" in " ".join(one_to_one.notes)
    mimic = '<mimic joint="j"/>'
    on_the_way = prepare(tmp_path, arm(more=link("b") + joint("k", "a", "b", LIMIT + mimic)))
    assert not on_the_way.followers and "is on the way to the tool" in " ".join(on_the_way.notes)


# ---- fixtures


def test_what_is_mounted_stands_where_it_should_and_its_tip_is_the_tool(tmp_path, client):
    cup = Fixture("cup", "a", frames.from_euler((0.1, 0, 0), (0, math.pi / 2, 0)), "cylinder", (0.04, 0.04, 0.2), 0.5,
                  (1, 0, 0))  # fmt: skip
    prepared = prepare(tmp_path, arm(), fixtures=[cup])
    assert prepared.tool == "cup_tip" and prepared.mass == 1.5 and prepared.links[-2:] == ("cup", "cup_tip")
    body = load(prepared, client)
    _, links = names(body, client)
    tip = pybullet.getLinkState(body, links["cup_tip"], physicsClientId=client)
    assert tip[4] == pytest.approx([0.3, 0, 0], abs=1e-6)
    assert frames.axis(np.array([*tip[4], *tip[5]]), 2) == pytest.approx([1, 0, 0], abs=1e-6)
    mass, _, diagonal = pybullet.getDynamicsInfo(body, links["cup"], physicsClientId=client)[:3]
    across = 0.5 * (0.02**2 / 4 + 0.2**2 / 12)
    assert (mass, *diagonal) == pytest.approx((0.5, across, across, 0.5 * 0.02**2 / 2))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"link": "aa"}, "has no link 'aa' to mount 'cup' on; there are ['base', 'a']. Did you mean 'a'?"),
        ({"name": "j"}, "has a link or joint 'j' already"),
        ({"mass": 0.0}, "wanted a box or cylinder with sizes and a mass above 0"),
    ],
)
def test_what_cannot_be_mounted_is_told(tmp_path, changes, words):
    plain = {"name": "cup", "link": "a", "pose": frames.IDENTITY, "form": "box", "size": (0.1, 0.1, 0.1), "mass": 1.0}
    with pytest.raises(MeshError) as told:
        prepare(tmp_path, arm(), fixtures=[Fixture(**(plain | changes), colour=(0, 0, 0))])
    assert words in str(told.value)


@given(st.tuples(*[st.floats(-math.pi, math.pi)] * 3), st.booleans())
def test_angles_of_a_pose_turn_as_the_pose_does(angles, upright):
    pose = frames.from_euler((0, 0, 0), (angles[0], math.pi / 2, angles[2]) if upright else angles)
    again = frames.from_euler((0, 0, 0), robots.roll_pitch_yaw(pose))
    assert frames.matrix(again) == pytest.approx(frames.matrix(pose), abs=1e-6)
