"""Tasks: what counts follows from truth, shown on situations that are set up by hand."""

from collections.abc import Sequence

import numpy as np
import pytest
from pydantic import ValidationError

from twinlab import frames, rooms
from twinlab.cell import Cell
from twinlab.readings import Contract
from twinlab.scene import SceneSpec, read_scene, scene_names
from twinlab.tasks import Task

SPECS = [*(read_scene(name) for name in scene_names()), SceneSpec(name="empty", task=rooms.build("tasks", "free"))]
TASKS = pytest.mark.parametrize("kind", rooms.names("tasks"))
OUT_OF_THE_WAY = (-0.2, 0.0, 0.02)  # on the table, behind the arm
KINDS = ("red cube", "green cube", "blue cube", "red cylinder", "green cylinder", "blue cylinder")  # the nominal order
BINS = ("red_bin", "lane", "blue_bin", "scrap_bin")
RIGHT = {"colour": {"red": "red_bin", "green": "lane", "blue": "blue_bin"}}
RIGHT["shape"] = {"cube": "red_bin", "cylinder": "lane"}


def quick(spec, **changes: object):
    """The nominal line with one part of each kind on it after 2.6 s, whatever the scene is tuned to."""
    soon = {"feeder.first": 0, "feeder.period": 0.5, "feeder.count": 6}
    where = {"feeder.position": [0.53, 0.75, 0.13], "belt.speed": 0.1, "task.window": [-0.42, 0.5]}
    return spec.vary(0).change({**soon, **where, **changes})


def inside(cell: Cell, place: str, aside: float = 0.0) -> tuple[float, float, float]:
    """Where a part lies on a bin's floor."""
    x, y, z = cell.spec.bodies[place].position
    return x, y + aside, z + 0.03


def above(cell: Cell, place: str) -> np.ndarray:
    """The goal of what belongs into a bin: over its middle, 0.1 m above its edge."""
    body = cell.spec.bodies[place]
    return np.array([*body.position[:2], body.position[2] + body.size[2] + 0.1])


@pytest.fixture(scope="module")
def line(blind_spec):
    with Cell(quick(blind_spec)) as cell:
        yield cell


def fed(cell: Cell) -> Cell:
    """The line when all parts are on the belt."""
    cell.reset(0)
    for _ in range(52):
        cell.step({})
    assert [e.kind for e in cell.events] == ["spawned"] * 6
    return cell


def put(cell: Cell, part: str, at: Sequence[float], yaw: float = 0.0, ticks: int = 4) -> list:
    """Lay a part somewhere and see what the task says of it in the ticks after: (kind, place, right), reward."""
    name = cell.items[KINDS.index(part)].name
    before = len(cell.events)
    cell.world.place(name, frames.pose(at, yaw))
    reward = 0.0
    for _ in range(ticks):
        cell.step({})
        reward += float(cell.truth["reward"])
    new = [e for e in cell.events[before:] if e.item == name]
    return [*((e.kind, e.place, e.right) for e in new), reward]


def target(cell: Cell) -> str:
    """What the truth says of the part to handle next."""
    if not cell.truth["target_present"]:
        return ""
    labels = {v.name: v.labels for v in cell.variables}
    return " ".join(labels[k][int(cell.truth[k])] for k in ("target_colour", "target_shape"))


def act(cell: Cell, until: str, ticks: int = 300) -> None:
    """Let the expert work until something happens."""
    expert = rooms.build("policies", "expert", spec=cell.spec)
    seen = len(cell.events)
    for _ in range(ticks):
        cell.step(expert({**cell.readings, **cell.truth}))
        if any(e.kind == until for e in cell.events[seen:]):
            return
    raise AssertionError(f"nothing was {until} in {ticks} ticks; {cell.events[seen:]}")


# ---- the contract of every file


@TASKS
def test_a_task_gives_the_truth_that_it_declares(kind):
    specs = [spec for spec in SPECS if type(spec.task) is rooms.load("tasks", kind)]
    assert specs, f"no scene shows the task {kind!r}"
    for spec in specs:
        with Cell(spec, without=tuple(spec.sensors)) as cell:
            declared = spec.task.variables(cell.items)
            assert {v.role for v in declared} == {"truth"}
            assert {v.given for v in declared} - {""} <= {v.name for v in declared if v.kind in ("pulse", "label")}
            for _ in range(20):
                cell.step({})
                Contract(declared).check({v.name: cell.truth[v.name] for v in declared})


@TASKS
def test_a_tasks_goal_names_places_of_its_scene_and_its_steps_are_skills(kind):
    for spec in SPECS:
        if type(spec.task) is not rooms.load("tasks", kind):
            continue
        meaning = spec.task.meaning()
        places = {*meaning.destination.values(), meaning.scrap} - {""}
        assert all(spec.bodies[place].region() for place in places)
        assert spec.task.instruction().endswith(".") and meaning.task in spec.task.instruction().lower()
        assert bool(spec.task.steps()) == bool(spec.task.arms())
        for step in spec.task.steps():
            assert step.skill in rooms.names("skills") and step.what in ("target", "goal")


@TASKS
def test_a_task_is_frozen_data_and_says_what_is_unknown(kind):
    task = next(s.task for s in SPECS if type(s.task) is rooms.load("tasks", kind))
    assert isinstance(task, Task)
    assert type(task)(**task.model_dump()) == task
    with pytest.raises(ValidationError, match="Extra inputs"):
        type(task)(**task.model_dump(), nonsense=1)


# ---- sort: where parts end


@pytest.mark.parametrize("by", ["colour", "shape"])
def test_a_good_part_is_right_in_the_bin_of_the_property_that_the_goal_names(blind_spec, by):
    with Cell(quick(blind_spec, **{"task.by": by})) as cell:
        assert f"by {by}" in cell.spec.task.instruction()
        for shift in range(4):  # each kind is put into each bin
            fed(cell)
            for i, part in enumerate(KINDS):
                place = BINS[(i + shift) % 4]
                right = place == RIGHT[by][part.split()[by == "shape"]]
                told = put(cell, part, inside(cell, place, 0.05 if i < 4 else -0.05))
                assert told == [("placed", place, right), 1.0 if right else -1.0]


def test_a_defective_part_is_right_in_the_scrap_bin_only(blind_spec):
    with Cell(quick(blind_spec, **{"feeder.defects": 1})) as cell:
        fed(cell)
        assert all(i.defect for i in cell.items)
        assert put(cell, "red cube", inside(cell, "red_bin")) == [("placed", "red_bin", False), -1.0]
        assert put(cell, "green cube", inside(cell, "scrap_bin", -0.05)) == [("placed", "scrap_bin", True), 1.0]
        assert put(cell, "red cylinder", inside(cell, "scrap_bin", 0.05)) == [("placed", "scrap_bin", True), 1.0]


def test_a_part_counts_once_wherever_it_goes_afterwards(line):
    fed(line)
    assert put(line, "red cube", inside(line, "red_bin"))[-1] == 1.0
    assert put(line, "red cube", inside(line, "blue_bin")) == [0.0]
    assert put(line, "red cube", OUT_OF_THE_WAY) == [0.0]


def test_a_part_that_left_the_belt_untouched_is_missed(line):
    assert put(fed(line), "blue cube", OUT_OF_THE_WAY) == [("missed", "", False), -1.0]


def test_a_part_that_runs_off_the_end_of_the_belt_is_missed(line):
    fed(line)
    end = line.spec.bodies["belt"].region().low[1]
    assert put(line, "red cube", (0.53, end + 0.01, 0.12), ticks=1) == [0.0]
    assert put(line, "red cube", (0.53, end + 0.01, 0.12), ticks=24) == [("missed", "", False), -1.0]


def test_a_part_that_still_falls_into_a_bin_is_not_placed_yet(line):
    assert put(fed(line), "red cube", above(line, "red_bin") - [0, 0, 0.02], ticks=1) == [0.0]
    line.step({})
    assert len(line.events) == 6
    for _ in range(10):
        line.step({})
    assert [e.kind for e in line.events[6:]] == ["placed"]


def test_parts_are_present_from_the_moment_they_are_spawned(line):
    line.reset(0)
    for tick in range(55):
        spawned = {e.item for e in line.events if e.kind == "spawned"}
        assert line.truth["part_present"].tolist() == [i.name in spawned for i in line.items]
        assert len(spawned) == (0 if tick == 0 else min(6, 1 + (tick * 12 - 1) // 120))
        line.step({})


def test_the_truth_knows_where_every_part_is(line):
    fed(line)
    for i, item in enumerate(line.items):
        assert line.truth["part_pose"][i] == pytest.approx(line.snapshot().pose(item.name), abs=1e-6)


# ---- sort: which part is next


def test_the_next_part_is_the_one_that_leaves_the_window_first(line):
    fed(line)
    for part in KINDS:
        put(line, part, OUT_OF_THE_WAY, ticks=0)
    assert line.step({}) and target(line) == ""
    fed(line)
    put(line, "red cylinder", (0.53, -0.2, 0.12), ticks=1)
    assert target(line) == "red cylinder"
    put(line, "blue cube", (0.53, -0.3, 0.12), ticks=1)
    assert target(line) == "blue cube"
    put(line, "blue cube", (0.53, -0.5, 0.12), ticks=1)  # beyond the window
    assert target(line) == "red cylinder"


def test_on_a_belt_that_runs_the_other_way_the_other_end_comes_first(blind_spec):
    with Cell(quick(blind_spec, **{"belt.yaw": np.pi / 2, "feeder.position": [0.53, -0.75, 0.13]})) as cell:
        fed(cell)
        put(cell, "blue cylinder", (0.53, -0.2, 0.12), ticks=1)
        put(cell, "red cylinder", (0.53, 0.3, 0.12), ticks=1)
        assert target(cell) == "red cylinder"


@pytest.mark.parametrize(
    ("part", "yaw", "turn"),
    [
        ("blue cube", 0.0, (1, 0)),
        ("blue cube", np.pi / 8, (0, 1)),
        ("blue cube", np.pi / 2, (1, 0)),
        ("blue cylinder", np.pi / 8, (1, 0)),
    ],
)
def test_the_target_says_where_it_is_how_it_is_turned_and_where_it_belongs(line, part, yaw, turn):
    fed(line)
    put(line, part, (0.55, -0.3, 0.12), yaw, ticks=1)
    truth = line.truth
    assert target(line) == part
    assert truth["target"] == pytest.approx([0.55, -0.304, 0.12, *turn], abs=0.01)
    assert truth["goal"] == pytest.approx(above(line, "blue_bin"))
    assert not truth["target_held"] and not truth["target_defect"] and not truth["busy"]


def test_a_defective_target_says_so_and_belongs_into_scrap(blind_spec):
    with Cell(quick(blind_spec, **{"feeder.defects": 1})) as cell:
        fed(cell)
        put(cell, "blue cube", (0.53, -0.3, 0.13), ticks=1)
        assert cell.truth["target_defect"]
        assert cell.truth["goal"] == pytest.approx(above(cell, "scrap_bin"))


def test_the_robot_is_busy_while_it_moves_and_has_something_to_do(line):
    fed(line)
    put(line, "blue cube", (0.53, -0.3, 0.12), ticks=3)
    assert not line.truth["busy"]
    for _ in range(3):
        line.step({"arm.x": -0.3})
    assert line.truth["busy"]
    for part in KINDS:
        put(line, part, OUT_OF_THE_WAY, ticks=0)
    line.step({"arm.x": -0.3})
    assert not line.truth["busy"]


# ---- sort: in the hand


@pytest.fixture(scope="module")
def calm(blind_spec):
    """A line with time between its parts."""
    with Cell(blind_spec.vary(0).change({"feeder.first": 0, "feeder.period": 6, "belt.speed": 0.1})) as cell:
        yield cell


def picked(cell: Cell) -> Cell:
    """The line just after the expert picked its first part."""
    cell.reset(0)
    act(cell, "picked")
    return cell


def test_a_part_that_two_fingers_lift_is_picked_and_stays_the_target_until_it_is_placed(calm):
    picked(calm)
    assert calm.events[-1].item == calm.items[0].name
    assert calm.truth["target_held"] and calm.truth["busy"]
    assert calm.snapshot().pose(calm.items[0].name)[2] > 0.14  # its centre lies at 0.12 on the belt
    act(calm, "placed")
    event = calm.events[-1]
    assert (event.item, event.place, event.right) == (calm.items[0].name, "red_bin", True)
    assert calm.truth["reward"] == 1.0
    assert [e.kind for e in calm.events if e.item == event.item] == ["spawned", "picked", "placed"]


def test_a_part_that_is_let_go_above_the_belt_is_dropped_and_may_be_picked_again(calm):
    picked(calm)
    reward = 0.0
    for _ in range(15):
        calm.step({"gripper": 0.2})
        reward += float(calm.truth["reward"])
    assert [e.kind for e in calm.events] == ["spawned", "picked", "dropped"]
    assert reward == -1.0
    assert target(calm) == "red cube" and not calm.truth["target_held"]
    act(calm, "placed")
    assert [e.kind for e in calm.events if e.item == calm.items[0].name][2:] == ["dropped", "picked", "placed"]


def test_a_part_that_is_lost_beside_the_belt_is_dropped_for_good(calm):
    picked(calm)
    assert put(calm, "red cube", OUT_OF_THE_WAY) == [("dropped", "", False), -1.0]
    assert put(calm, "red cube", inside(calm, "red_bin")) == [0.0]
    assert target(calm) != "red cube"


def test_a_part_that_is_only_touched_where_it_lies_is_not_picked(calm):
    calm.reset(0)
    expert = rooms.build("policies", "expert", spec=calm.spec)
    held = 0
    for _ in range(300):
        action = expert({**calm.readings, **calm.truth})
        if calm.truth["target_held"]:
            held += 1
            action = np.array([0, -0.1, 0, 0, -0.2, 0])  # holds on and goes with the belt
        calm.step(action)
        if held == 5:
            break
    assert held == 5
    assert [e.kind for e in calm.events] == ["spawned"]
