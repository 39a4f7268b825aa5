"""Machine tending: its skills, every rule of the task, and expert and program on the line."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from twinlab import frames, rooms
from twinlab.cell import Cell
from twinlab.errors import SceneError
from twinlab.events import Event
from twinlab.scene import SceneSpec, read_scene
from twinlab.skills import Aim, Now
from twinlab.tasks import Stage

SEED = 60003  # its second part comes out faulty


@pytest.fixture(scope="module")
def spec() -> SceneSpec:
    return read_scene("machine_tending").vary(0)


@pytest.fixture(scope="module")
def one(spec) -> SceneSpec:
    """The nominal line with one part."""
    return spec.change({"tray.rows": 1})


@pytest.fixture(scope="module")
def line(spec) -> Iterator[Cell]:
    with Cell(spec, without=list(spec.sensors)) as cell:
        yield cell


def blind(spec: SceneSpec) -> list[str]:
    return [name for name, sensor in spec.sensors.items() if sensor.sees()]


def run(spec: SceneSpec, kind: str, seed: int, fault: str = "") -> Cell:
    """An episode under a policy until all parts are decided; the cell is closed."""
    policy = rooms.build("policies", kind, spec=spec)
    with Cell(spec, without=blind(spec)) as cell:
        readings = cell.reset(seed)
        policy.reset(seed, cell.task.meaning())
        if fault:
            cell.trigger(fault)
        for _ in range(spec.ticks):
            readings = cell.step(policy({**readings, **cell.truth} if policy.sees_truth else readings))
            if len(ends(cell)) == len(cell.items):
                break
    return cell


def ends(cell: Cell) -> dict[str, tuple[str, str, bool]]:
    """How each part ended."""
    return {e.item: (e.kind, e.place, e.right) for e in cell.events if e.kind in ("placed", "missed", "dropped")}


def told(cell: Cell, *kinds: str) -> list[tuple[str, str]]:
    return [(e.kind, e.place) for e in cell.events if e.kind in kinds]


# ---- skills


def test_press_closes_its_fingers_before_it_pushes_and_pushes_slowly_and_no_deeper_than_it_shall():
    press, aim = rooms.build("skills", "press"), Aim(np.array([0.4, 0.1, 0.1]))

    def move(x: float, z: float, width: float) -> np.ndarray:
        return press.act(Now(np.array([x, 0.1, z, 0]), width), aim)

    assert move(0.4, 0.115, 0.08)[2] == pytest.approx(5 * (0.11 - 0.115))  # waits near the face with open fingers
    assert move(0.4, 0.115, 0.0)[2] == pytest.approx(-0.03)
    assert move(0.4, 0.094, 0.0)[2] == pytest.approx(0)
    assert move(0.5, 0.2, 0.0)[2] > 0 and move(0.5, 0.2, 0.0)[4] < 0


def test_load_goes_up_across_and_straight_down_and_opens_on_the_face_only():
    load, aim = rooms.build("skills", "load"), Aim(np.array([0.58, 0.0, 0.14]))

    def move(x: float, z: float) -> np.ndarray:
        return load.act(Now(np.array([x, 0, z, 0]), 0.04), aim)

    assert move(0.3, 0.1)[:3] == pytest.approx([0, 0, 0.5])
    assert move(0.3, 0.4)[0] == pytest.approx(0.5) and move(0.3, 0.4)[2] == pytest.approx(0)
    assert move(0.58, 0.3)[2] == pytest.approx(-0.5)
    assert move(0.58, 0.15)[2] == pytest.approx(-0.04)
    assert move(0.58, 0.15)[4] < 0 < move(0.58, 0.141)[4]
    assert move(0.59, 0.141)[2] > 0  # not beside the jaws


# ---- the task's rules


def test_a_bin_that_is_not_there_is_told_at_once(spec):
    with pytest.raises(SceneError, match="Did you mean 'good_bin'"):
        spec.change({"task.good": "god_bin"})


def place(cell: Cell, number: int, at: tuple[float, float, float], tilt: float = 0.0) -> None:
    cell.world.place(cell.items[number].name, frames.from_euler(at, (0, tilt, 0)))


def after(cell: Cell, *outcomes: tuple[int, bool], ticks: int = 8) -> list[tuple[str, str, bool]]:
    """What the task tells in the next ticks, once the machine has finished parts with these outcomes."""
    done = {cell.items[number].name: good for number, good in outcomes}
    state = replace(cell._progress, outcome={**cell._progress.outcome, **done})
    found = []
    for _ in range(ticks):
        cell.world.step()
        stage = seen(cell)
        _, events, state = cell.task.observe(stage, state)
        found += [(e.kind, e.place, e.right) for e in events]
    cell._progress = state
    return found


def seen(cell: Cell, held: tuple[str, ...] = (), events: tuple[Event, ...] = (), **changes: object) -> Stage:
    spawned = frozenset(i.name for i in cell.items)
    tags = {**cell.tags, **{key.replace("_", ".", 1): value for key, value in changes.items()}}
    return Stage(cell.world, cell.snapshot(), cell.items, cell._places, spawned, {"arm": held}, tags, events)


def inside(cell: Cell, name: str) -> tuple[float, float, float]:
    x, y, _ = cell.spec.bodies[name].position
    return x, y, 0.0365


def in_chuck(cell: Cell) -> tuple[float, float, float]:
    return (*cell.spec.bodies["chuck"].position[:2], 0.1301)


@pytest.mark.parametrize(
    ("place_", "machined", "right"),
    [("good_bin", True, True), ("scrap_bin", False, True), ("good_bin", False, False), ("scrap_bin", True, False)],
)
def test_a_machined_part_is_right_in_the_bin_of_its_outcome_only(line, place_, machined, right):
    line.reset(0)
    place(line, 0, inside(line, place_))
    assert after(line, (0, machined)) == [("placed", place_, right)]


def test_a_part_that_was_not_machined_is_wrong_in_any_bin(line):
    line.reset(0)
    for number, name in enumerate(("good_bin", "scrap_bin")):
        place(line, number, inside(line, name))
    assert after(line) == [("placed", "good_bin", False), ("placed", "scrap_bin", False)]


def test_a_part_that_lies_on_the_floor_or_in_the_machine_is_dropped_and_one_in_the_chuck_is_not(line):
    line.reset(0)
    place(line, 0, (0.5, -0.4, 0.021), np.pi / 2)
    assert after(line) == [("dropped", "", False)]
    place(line, 1, in_chuck(line))
    assert after(line) == []


def test_a_part_that_falls_off_the_line_is_dropped_and_not_followed_down(line):
    line.reset(0)
    place(line, 0, (0.3, -1.0, 0.2))
    assert after(line, ticks=160) == [("dropped", "", False)]
    seen_, state = seen(line), line._progress
    assert seen_.poses[line.items[0].name][2] < -1
    truth, _, _ = line.task.observe(seen_, state)
    assert truth["target_present"] and truth["target"][2] > 0


def test_the_outcome_of_a_part_comes_from_the_machines_event(line):
    line.reset(0)
    name = line.items[0].name
    place(line, 0, in_chuck(line))
    finished = Event(1.0, "finished", "machine", name, False)
    truth, _, state = line.task.observe(seen(line, events=(finished,)), line._progress)
    assert (
        truth["target_machined"] and truth["target_faulty"] and truth["part_machined"].tolist() == [True, False, False]
    )
    assert state.outcome == {name: False}
    room = line.spec.bodies["scrap_bin"].region()
    assert truth["goal"][1] == pytest.approx(room.centre[1], abs=1e-6)


def order(cell: Cell, *held: str, outcome: dict[str, bool] | None = None, **tags: object) -> tuple[str, float]:
    """Which skill the arm shall use, and the chuck's set-point."""
    state = replace(cell._progress, outcome=outcome or {})
    truth, _, _ = cell.task.observe(seen(cell, held, **tags), state)
    steps = ["home", *(step.skill for step in cell.task.steps())]
    return steps[int(truth["arm_step"])], float(truth["setpoints"][0])


def test_the_hand_and_the_chuck_shake_hands(line):
    line.reset(0)
    name = line.items[0].name
    assert order(line) == ("pick", 1)
    assert order(line, name, door_open=True, chuck_open=True) == ("load", 1)
    assert order(line, name, machine_phase="opening") == (
        "pick",
        1,
    )  # it is kept in the hand until the machine is ready
    place(line, 0, in_chuck(line))
    assert order(line, name) == ("load", 0)
    assert order(line)[1] == -1
    assert order(line, chuck_clamped=True) == ("press", -1)
    done = {name: True}
    assert order(line, outcome=done, machine_phase="working", chuck_clamped=True) == ("home", 0)
    assert order(line, outcome=done, machine_phase="done", chuck_open=False) == ("pick", 0)
    assert order(line, name, outcome=done, machine_phase="done", chuck_open=False) == ("pick", 1)
    assert order(line, name, outcome=done, machine_phase="done", chuck_open=True) == ("place", 1)
    assert order(line, machine_phase="stopped") == ("press", -1)


def test_running_into_the_closed_door_is_a_collision_and_spoils_the_part_whose_turn_it_is(one):
    spec = one.change({"door.opened": False, "arm.home": [0.58, 0, 0.35, 0]})
    with Cell(spec, without=list(spec.sensors)) as cell:
        cell.reset(0)
        cell.write("door.open", False)
        for _ in range(30):
            cell.step({"arm.z": -0.2})
        assert ("collided", "door") in told(cell, "collided")
        place(cell, 0, inside(cell, "good_bin"))
        assert after(cell, (0, True)) == [("placed", "good_bin", False)]


# ---- the line


@pytest.mark.parametrize("kind", ["expert", "program"])
def test_the_nominal_line_is_tended(one, kind):
    cell = run(one, kind, 60000)
    assert ends(cell) == {"tray_00": ("placed", "good_bin", True)}
    assert not told(cell, "collided", "violation", "stop")
    assert [e.kind for e in cell.events if e.item == "machine"] == ["started", "finished"]
    assert cell.time < 20


def test_the_expert_tells_good_parts_from_faulty_ones():
    spec = read_scene("machine_tending").change({"tray.rows": 1, "machine.faulty": 1.0})
    cell = run(spec, "expert", SEED)
    assert ends(cell) == {"tray_00": ("placed", "scrap_bin", True)}
    assert not told(cell, "collided", "violation", "stop")


def test_a_door_that_sticks_stops_the_machine_and_the_expert_starts_it_again(one):
    spec = one.change({"faults.door_sticks.duration": 12})
    cell = run(spec, "expert", 60000, "door_sticks")
    assert [kind for kind, _ in told(cell, "stop", "resumed", "started")] == ["stop", "resumed", "started"]
    assert ends(cell) == {"tray_00": ("placed", "good_bin", True)}
