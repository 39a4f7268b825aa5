"""Mechanisms, ties and resets: links on joints, what a cup holds, worlds that are put back instead of built anew."""

import numpy as np
import pytest

from twinlab import frames, meshes
from twinlab.errors import WorldError
from twinlab.snapshot import Piece
from twinlab.world import Different, Link, World

STEEL = (0.5, 0.5, 0.5)


def block(*size: float, at: tuple[float, float, float] = (0, 0, 0)) -> Piece:
    return Piece(meshes.box(size), frames.pose(at), STEEL)


@pytest.fixture
def world():
    with World() as made:
        yield made


def door(world: World, **fields: object) -> None:
    """A panel of 2 kg that hangs on its left edge."""
    panel = Link("panel", (block(0.4, 0.02, 0.6, at=(0.2, 0, 0)),), mass=2.0, **fields)
    world.assemble("door", [block(0.05, 0.05, 0.7)], [panel], frames.pose((0, 0, 0.5)))


def test_a_mechanism_has_the_links_joints_and_limits_that_it_was_given(world):
    door(world, low=-0.1, high=1.5)
    assert world.snapshot().links == ("door", "door/panel")
    assert world.joints("door").names == ("panel",)
    assert [x.tolist() for x in world.limits("door", ("panel",))] == [[-0.1], [1.5]]
    world.set_joints("door", {"panel": np.pi / 2})
    assert frames.yaw(world.pose("door/panel")) == pytest.approx(np.pi / 2, abs=1e-6)


def test_a_motor_leads_a_link_until_its_force_is_spent(world):
    door(world, low=-2.0, high=2.0)
    for _ in range(240):
        world.drive("door", ("panel",), (1.0,), (20.0,))
        world.step()
    assert world.joints("door").position[0] == pytest.approx(1.0, abs=0.001)
    world.add("wall", [block(0.2, 0.2, 0.6)], frames.pose((0.35, 0, 0.5)))
    for _ in range(240):
        world.drive("door", ("panel",), (0.0,), (1.0,))
        world.step()
    assert world.joints("door").position[0] > 0.2, "the wall stands in its way"
    assert world.contacts("door").force.sum() < 20


def test_drag_holds_a_link_against_a_torque_below_it(world):
    """A weight of 0.2 kg at 0.1 m on a level axis pulls with 0.196 N m."""
    for name, drag, y in (("stiff", 0.25, 0.0), ("slack", 0.15, 1.0)):
        lever = Link("lever", (block(0.02, 0.02, 0.02, at=(0, 0, 0)),), joint="fixed", mass=0.2, parent="axle")
        lever = Link(**{**lever.__dict__, "pose": frames.pose((0.1, 0, 0))})
        axle = Link("axle", (block(0.02, 0.02, 0.02),), axis=(0.0, 1.0, 0.0), mass=0.01, drag=drag)
        world.assemble(name, [], [axle, lever], frames.pose((0, y, 1)))
    for _ in range(120):
        world.step()
    assert abs(world.joints("stiff").position[0]) < 0.01
    assert world.joints("slack").position[0] > 0.5


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"parent": "frame"}, r"door: link 'panel' hangs on 'frame'; wanted one of \[\] or '' for the base"),
        ({"mass": 0.0}, r"door: link 'panel' came with a mass of 0.0 kg; wanted more than 0"),
    ],
)
def test_a_mechanism_that_cannot_be_built_says_why(world, fields, told):
    panel = Link(**{"name": "panel", "pieces": (block(0.1, 0.1, 0.1),), **fields})
    with pytest.raises(WorldError, match=told):
        world.assemble("door", [], [panel], frames.IDENTITY)


# ---- ties


def lifted(world: World, mass: float, force: float) -> None:
    """A carton below the ram of a lift, tied to it; the ram goes up 0.2 m in a second and stays for half of one."""
    ram = Link("ram", (block(0.05, 0.05, 0.05),), joint="prismatic", low=0.0, high=0.5, mass=1.0)
    world.assemble("lift", [], [ram], frames.pose((0, 0, 0.2)))
    world.add("floor", [block(1, 1, 0.1)], frames.pose((0, 0, -0.05)))
    world.add("carton", [block(0.1, 0.1, 0.1)], frames.pose((0, 0, 0.12)), mass=mass)
    world.tie("lift/ram", "carton", force)
    for step in range(360):
        world.drive("lift", ("ram",), (min(0.2, 0.2 * step / 240),), (200.0,))
        world.step()


def test_a_tie_lifts_what_it_holds_and_tells_its_weight(world):
    lifted(world, 0.5, 100.0)
    assert world.tied("lift/ram") == "carton"
    assert world.pose("carton")[2] == pytest.approx(0.32, abs=0.002)
    assert world.strain("lift/ram") == pytest.approx(0.5 * 9.81, rel=0.02)
    assert world.stretch("lift/ram") < 0.002


def test_a_tie_that_is_too_weak_stretches(world):
    lifted(world, 2.0, 10.0)  # 19.6 N hang on it
    assert world.pose("carton")[2] < 0.15
    assert world.stretch("lift/ram") > 0.1


def test_what_is_let_go_falls(world):
    lifted(world, 0.5, 100.0)
    world.untie("lift/ram")
    for _ in range(120):
        world.step()
    assert (world.tied("lift/ram"), world.strain("lift/ram"), world.stretch("lift/ram")) == ("", 0.0, 0.0)
    assert world.pose("carton")[2] == pytest.approx(0.05, abs=0.001)


def test_going_back_brings_a_tie_back_and_takes_a_later_one_away(world):
    lifted(world, 0.5, 100.0)
    saved = world.save()
    world.untie("lift/ram")
    world.step()
    world.restore(saved)
    assert world.tied("lift/ram") == "carton"
    for _ in range(60):
        world.drive("lift", ("ram",), (0.2,), (200.0,))
        world.step()
    assert world.pose("carton")[2] == pytest.approx(0.32, abs=0.002)
    world.untie("lift/ram")
    free = world.save()
    world.tie("lift/ram", "carton", 100.0)
    world.restore(free)
    assert world.tied("lift/ram") == ""


# ---- resets


def built(world: World, again: bool, size: float = 0.1) -> bool:
    kept = world.reset(again)
    world.add("floor", [block(1, 1, 0.1)], frames.pose((0, 0, -0.05)))
    for i in range(3):
        world.add(f"part{i}", [block(size, 0.1, 0.1)], frames.from_euler((0.02 * i, 0, 0.2 + 0.15 * i), (i, 1, 0)), 0.3)
    world.built()
    return kept


def fallen(world: World) -> bytes:
    for _ in range(200):
        world.step()
    return world.snapshot().poses.tobytes()


def test_the_same_bodies_are_put_back_and_fall_as_they_did_at_first(world):
    assert not built(world, again=True), "there is nothing to come back to yet"
    first, names = fallen(world), world.bodies
    for _ in range(100):
        assert built(world, again=True)
        world.step()
    built(world, again=True)
    assert fallen(world) == first and world.bodies == names


def test_other_bodies_are_told_and_can_be_built_anew(world):
    built(world, again=True)
    first = fallen(world)
    with pytest.raises(Different):
        built(world, again=True, size=0.12)
    built(world, again=False, size=0.12)
    assert fallen(world) != first
    built(world, again=False)
    assert fallen(world) == first


def test_fewer_bodies_than_before_are_told(world):
    built(world, again=True)
    world.reset(again=True)
    with pytest.raises(Different):
        world.built()


# ---- what is drawn

FORMS = """<robot name="forms"><link name="base">
<visual><geometry><box size="0.1 0.2 0.3"/></geometry></visual>
<visual><geometry><cylinder radius="0.1" length="0.5"/></geometry></visual>
<visual><geometry><sphere radius="0.15"/></geometry></visual>
<visual><geometry><capsule radius="0.1" length="0.4"/></geometry></visual>
</link></robot>"""


def test_a_robots_primitive_forms_are_drawn_as_large_as_they_are(tmp_path):
    (tmp_path / "forms.urdf").write_text(FORMS)
    with World(roots=(tmp_path,)) as world:
        world.load("forms", "forms.urdf", frames.IDENTITY)
        sizes = [np.ptp(visual.mesh.vertices, axis=0).tolist() for visual in world.snapshot().visuals]
    wanted = [[0.1, 0.2, 0.3], [0.2, 0.2, 0.5], [0.3, 0.3, 0.3], [0.2, 0.2, 0.6]]
    assert sizes == [pytest.approx(one, rel=0.01) for one in wanted]
