"""The cell: repeatable to the bit, strict about actions, checkable against PyBullet itself."""

import hashlib
import subprocess
import sys

import numpy as np
import pybullet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinlab import rooms
from twinlab.cell import Cell
from twinlab.episodes import record
from twinlab.errors import ActionError, CellError, WorldError
from twinlab.readings import Contract

REPEAT = """
import hashlib, sys
from twinlab import rooms
from twinlab.cell import Cell
from twinlab.episodes import record
from twinlab.scene import read_scene
spec = read_scene("sorting")
with Cell(spec) as cell:
    episode = record(cell, rooms.build("policies", "expert", spec=spec), ticks=60, seed=7, noise=0.1)
digest = hashlib.sha256()
for name in sorted(episode.variables):
    digest.update(str(name).encode() + episode[name].values.tobytes())
print(digest.hexdigest())
"""


def test_an_episode_has_the_same_bytes_in_another_process(small_episode):
    digest = hashlib.sha256()
    for name in sorted(small_episode.variables):
        digest.update(str(name).encode() + small_episode[name].values.tobytes())
    found = subprocess.run([sys.executable, "-c", REPEAT], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == digest.hexdigest()


def test_readings_keep_their_contract_and_never_hold_truth(blind_cell):
    readings = blind_cell.reset(1)
    Contract(blind_cell.variables).check({**readings, **blind_cell.truth})
    assert {v.role for v in blind_cell.variables if v.name in readings} == {"reading"}


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (np.full(6, np.nan), "came as"),
        (np.zeros(4), r"came shape \(4,\), wanted \(6,\)"),
        ({"arm.w": 1.0}, "Did you mean 'arm."),
        ("up", "came 'up'; wanted 6 numbers"),
        ([[0.0], 1.0], "wanted 6 numbers"),
        (None, r"came shape \(\), wanted \(6,\)"),
        ([1j] * 6, "wanted 6 numbers"),
    ],
)
def test_a_bad_action_is_an_error_and_changes_nothing(blind_cell, action, words):
    blind_cell.reset(1)
    wanted = blind_cell.step(np.zeros(6))["joints_position"]
    blind_cell.reset(1)
    with pytest.raises(ActionError, match=words):
        blind_cell.step(action)
    assert (blind_cell.step(np.zeros(6))["joints_position"] == wanted).all()


def test_a_huge_action_is_cut_to_the_limits(blind_cell):
    blind_cell.reset(1)
    blind_cell.step(np.full(6, 1e300))
    assert blind_cell.action.tolist() == pytest.approx([a.high for a in blind_cell.actuators])


@pytest.mark.parametrize("seed", [-1, "a", 0.5, None])
def test_a_seed_that_is_no_whole_number_is_told(blind_cell, seed):
    with pytest.raises(CellError, match=f"seed came as {seed!r}; wanted a whole number, 0 or more"):
        blind_cell.reset(seed)


def test_a_sensor_that_is_not_there_cannot_be_left_out(blind_spec):
    with pytest.raises(CellError, match=r"without: no sensor 'encodr'.*Did you mean 'encoder'"):
        Cell(blind_spec, without=["encodr"])


def test_a_closed_cell_says_so(blind_spec):
    with Cell(blind_spec) as cell:
        pass
    for use in (lambda: cell.step(np.zeros(6)), lambda: cell.reset(0), cell.snapshot):
        with pytest.raises(CellError, match="closed"):
            use()


def test_a_finger_that_is_no_link_is_told_and_not_waited_for(blind_spec):
    with pytest.raises(WorldError, match=r"no link 'panda_leftfingr'.*Did you mean 'panda_leftfinger'"):
        Cell(blind_spec.change({"gripper.fingers": ["panda_leftfingr", "panda_rightfinger"]}))


def test_the_cell_agrees_with_pybullet_itself(blind_cell):
    blind_cell.reset(3)
    for _ in range(20):
        blind_cell.step({"arm.x": 0.1, "arm.z": 0.1})
    client, snapshot = blind_cell.world.client, blind_cell.snapshot()
    number = snapshot.bodies.index("red_bin")
    position, turn = pybullet.getBasePositionAndOrientation(number, physicsClientId=client)
    assert snapshot.pose("red_bin") == pytest.approx([*position, *turn])
    assert pybullet.getNumConstraints(physicsClientId=client) == 0


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.floats(-5, 5), min_size=6, max_size=6), min_size=8, max_size=8))
def test_speed_and_reach_are_kept_whatever_the_action(blind_cell, actions):
    arm = blind_cell.spec.bodies["arm"]
    last = blind_cell.reset(2)["tcp"]
    for action in actions:
        for _ in range(4):
            tool = blind_cell.step(np.array(action))["tcp"]
            assert np.linalg.norm(tool[:3] - last[:3]) <= 1.15 * arm.speed * 0.05 + 0.002
            assert (tool[:3] >= np.array(arm.low) - 0.01).all()
            assert (tool[:3] <= np.array(arm.high) + 0.01).all()
            last = tool


def test_pressing_onto_the_belt_is_a_protective_stop(blind_cell):
    blind_cell.reset(2)
    for _ in range(60):
        blind_cell.step({"arm.z": -0.3})
    assert any(e.kind == "stop" for e in blind_cell.events)
    assert blind_cell.readings["tcp"][2] > 0.08


def test_parts_ride_at_the_belts_speed_and_the_belt_stays(blind_cell):
    blind_cell.reset(5)
    home = blind_cell.snapshot().pose("belt")
    for _ in range(70):
        blind_cell.step({})
    first = blind_cell.items[0].name
    before = blind_cell.snapshot().pose(first)[1]
    for _ in range(20):
        blind_cell.step({})
    assert before - blind_cell.snapshot().pose(first)[1] == pytest.approx(0.1, rel=0.01)
    assert (blind_cell.snapshot().pose("belt") == home).all()


def test_the_expert_sorts_and_the_program_only_on_the_nominal_line(blind_spec):
    def right(spec, name, seed):
        with Cell(spec) as cell:
            found = record(
                cell,
                rooms.build("policies", name, **({} if name == "still" else {"spec": spec})),
                500,
                seed,
                keep=("busy",),
            )
        return int(found["event_right"].sum()), int((found["event_kind"] == "missed").sum())

    good, missed = right(blind_spec, "expert", 60_100)
    assert good >= 3
    assert missed == 0
    assert right(blind_spec.vary(0), "program", 60_100)[0] >= 3
    assert right(blind_spec, "program", 60_100)[0] < good
    assert right(blind_spec, "still", 60_100)[0] == 0


def test_a_saved_moment_goes_on_as_it_did_as_often_as_it_is_restored(blind_cell, blind_spec):
    expert = rooms.build("policies", "expert", spec=blind_spec)
    readings = blind_cell.reset(5)

    def ahead(readings, ticks):
        seen = []
        for _ in range(ticks):
            readings = blind_cell.step(expert({**readings, **blind_cell.truth}))
            seen.append(b"".join(value.tobytes() for value in readings.values()))
        return seen, readings

    _, readings = ahead(readings, 90)
    saved = blind_cell.save()
    first, _ = ahead(readings, 40)
    events, held = blind_cell.events, blind_cell.truth["target_held"]
    for _ in range(2):
        again, _ = ahead(blind_cell.restore(saved), 40)
        assert again == first
        assert (blind_cell.events, blind_cell.truth["target_held"]) == (events, held)
    assert any(e.kind == "picked" for e in events), "the part was in the air in between"
    blind_cell.forget(saved)


def test_a_restored_moment_has_the_forces_of_then_whatever_was_pressed_since(blind_cell):
    blind_cell.reset(5)
    arm, world = blind_cell.spec.bodies["arm"], blind_cell.world
    wrist = f"arm/{arm.wrist}"
    for _ in range(10):
        blind_cell.step({})
    saved, before, torques = blind_cell.save(), world.reaction(wrist), blind_cell.readings["joints_torque"]
    for _ in range(60):
        blind_cell.step({"arm.z": -arm.speed})
    pressed = world.reaction(wrist)
    readings = blind_cell.restore(saved)
    assert np.array_equal(world.reaction(wrist), before) and not np.allclose(pressed, before, atol=1.0)
    assert np.array_equal(readings["joints_torque"], torques)
    stands = blind_cell.step({})
    assert not [e for e in blind_cell.events if e.kind in ("violation", "stop")]
    assert np.abs(stands["tcp"] - readings["tcp"]).max() < 1e-3
    blind_cell.forget(saved)


def test_a_moment_of_before_a_reset_is_gone(blind_cell):
    saved = blind_cell.save()
    blind_cell.reset(1)
    with pytest.raises(CellError, match="saved before the last reset; save one after it"):
        blind_cell.restore(saved)
    blind_cell.forget(saved)  # nothing is left to forget


def test_an_episode_after_100_resets_equals_the_first(blind_spec):
    with Cell(blind_spec.change({"feeder.count": 2})) as cell:

        def episode():
            cell.reset(7)
            return [cell.step(np.full(6, 0.05))["joints_position"].tobytes() for _ in range(20)]

        first = episode()
        for seed in range(100):
            cell.reset(7 if seed % 2 else seed)
            cell.step(np.ones(6))
        assert episode() == first
