"""The sorting lines: two belt speeds, the lane that a diverter leads to, what the cameras see, and the faults."""

from collections.abc import Iterator

import numpy as np
import pytest

from twinlab import frames, rooms
from twinlab.cell import Cell
from twinlab.faults.stuck import Stuck
from twinlab.scene import SceneSpec, read_scene
from twinlab.tasks import Stage
from twinlab.tasks.sort import Progress

SOON = {"feeder.first": 0, "feeder.position": [0.53, 0.3, 0.13], "feeder.count": 1}  # one part, near the gate
GREEN, RED = {"feeder.colours": ["green"], "feeder.shapes": ["cube"]}, {"feeder.colours": ["red"]}


@pytest.fixture(scope="module")
def nominal(blind_spec) -> SceneSpec:
    return blind_spec.vary(0)


@pytest.fixture(scope="module")
def line(nominal) -> Iterator[Cell]:
    """One green cube on its way to the gate, then a red one."""
    with Cell(nominal.change({**SOON, "feeder.colours": ["green", "red"], "feeder.count": 2})) as cell:
        yield cell


def run(cell: Cell, ticks: int, triggered: str = "") -> list[tuple[str, str, bool]]:
    """What happened to the items while the expert acted: kind, place, right."""
    expert = rooms.build("policies", "expert", spec=cell.spec)
    readings = cell.reset(0)
    if triggered:
        cell.trigger(triggered)
    for _ in range(ticks):
        readings = cell.step(expert({**readings, **cell.truth}))
    return [(e.kind, e.place, e.right) for e in cell.events if e.kind not in ("fault", "recovered", "spawned")]


def lay(cell: Cell, item: int, y: float) -> tuple[bool, bool, float]:
    """Lay a part on the belt: whether one is at the gate, whether it belongs into the lane, the set-point."""
    cell.world.place(cell.items[item].name, frames.pose((0.53, y, 0.12)))
    cell.step({})
    return bool(cell.truth["gate_present"]), bool(cell.truth["gate_lane"]), float(cell.truth["setpoints"][0])


# ---- the belt


@pytest.mark.parametrize(("scene", "quick"), [("sorting", 0.14), ("sorting_pair", 0.13)])
def test_the_belt_runs_at_one_of_two_speeds_and_nominally_at_the_lower(scene, quick):
    spec = read_scene(scene)
    speeds = [float(spec.bodies["belt"].drawn(np.random.default_rng(seed)).speed) for seed in range(40)]
    assert sorted(set(speeds)) == pytest.approx([0.1, quick])
    assert 10 < speeds.count(0.1) < 30
    assert spec.vary(0).bodies["belt"].drawn(np.random.default_rng(1)).speed == 0.1


@pytest.mark.parametrize("speed", [0.1, 0.14])
@pytest.mark.parametrize("x", [0.48, 0.58])
@pytest.mark.parametrize("shape", ["cube", "cylinder"])
def test_what_is_green_ends_in_the_lane_wherever_it_lies_and_however_fast(nominal, speed, x, shape):
    place = {"feeder.position": [x, 0.05, 0.13], "belt.speed": speed, "feeder.shapes": [shape]}
    with Cell(nominal.change({**SOON, **GREEN, **place})) as cell:
        assert run(cell, 160) == [("placed", "lane", True)]


def test_by_shape_it_is_cylinders_that_are_diverted(nominal):
    changes = {**SOON, **RED, "feeder.shapes": ["cylinder"], "feeder.position": [0.53, 0.05, 0.13], "task.by": "shape"}
    with Cell(nominal.change(changes)) as cell:
        assert run(cell, 180) == [("placed", "lane", True)]


def test_a_defective_part_is_picked_whatever_its_colour(nominal):
    with Cell(nominal.change({**SOON, **GREEN, "feeder.defects": 1})) as cell:
        assert run(cell, 160) == [("picked", "", False), ("placed", "scrap_bin", True)]


# ---- the gate


def test_the_first_part_at_the_gate_says_how_the_diverter_is_set(line):
    line.reset(0)
    for _ in range(100):
        line.step({})
    low, high = line.spec.task.gate
    assert lay(line, 0, high + 0.05) == (False, False, 1.0)
    assert lay(line, 1, high + 0.15) == (False, False, 1.0)
    assert lay(line, 0, high - 0.05) == (True, True, 1.0)
    assert lay(line, 1, low + 0.02) == (True, False, -1.0)  # the red one is ahead now
    assert lay(line, 1, low - 0.05) == (True, True, 1.0)


def test_a_part_that_is_carried_over_the_gate_does_not_count(nominal):
    with Cell(nominal.change({**SOON, "feeder.colours": ["blue"], "feeder.position": [0.53, 0.12, 0.13]})) as cell:
        expert, seen = rooms.build("policies", "expert", spec=cell.spec), []
        low, high = cell.spec.task.gate
        readings = cell.reset(0)
        for _ in range(140):
            readings = cell.step(expert({**readings, **cell.truth}))
            x, y, _ = cell.truth["part_pose"][0, :3]
            seen.append(low < y < high and x > 0.4 and bool(cell.truth["target_held"]))
            assert not cell.truth["gate_present"]
        assert any(seen) and cell.events[-1].place == "blue_bin"


def test_a_line_without_a_diverter_has_no_gate():
    task = read_scene("sorting_pair").task
    assert task.devices() == () and not [v for v in task.variables(()) if v.name.startswith("gate")]


@pytest.mark.parametrize(("wish", "stands"), [(0.4, 0.0), (-0.4, 0.0), (0.6, 0.8), (1.0, 0.8), (-1.0, 0.0)])
def test_a_set_point_counts_as_the_nearest_of_back_as_it_is_and_over(line, wish, stands):
    line.reset(0)
    for _ in range(12):
        line.step({"diverter": wish})
    assert line.tags["diverter.angle"] == pytest.approx(stands, abs=0.01)
    for _ in range(12):
        line.step({"diverter": 0.45 if stands else -0.45})
    assert line.tags["diverter.angle"] == pytest.approx(stands, abs=0.01)


# ---- what is let go


@pytest.mark.parametrize(("held", "told"), [(True, []), (False, ["dropped"])])
def test_a_part_that_was_let_go_a_moment_ago_has_not_come_to_rest_there(line, held, told):
    line.reset(0)
    name, at = line.items[0].name, (0.23, 0.3, 0.19)  # above what counts as in the bin
    line.world.place(name, frames.pose(at))
    places = {n: region for n, body in line.spec.bodies.items() if (region := body.region()) is not None}
    stage = Stage(line.world, line.snapshot(), line.items, places, frozenset({name}))
    mine = frozenset({name})
    _, events, _ = line.spec.task.observe(stage, Progress(mine, held=mine if held else frozenset(), last={name: at}))
    assert [e.kind for e in events] == told


# ---- what the cameras see


def test_the_overhead_camera_sees_the_whole_window_and_where_the_gate_begins(sorting):
    task = sorting.task
    camera = sorting.cameras["overhead"]
    ends = (task.gate[1] - 0.12, task.window[1])  # whether a part belongs into the lane must be seen once
    corners = np.array([[x, y, 0.12] for x in (0.48, 0.58) for y in ends])
    pixels = camera.intrinsics().project(frames.apply(frames.inverse(camera.mount()), corners))
    assert ((pixels >= 0) & (pixels < [camera.width, camera.height])).all()


# ---- faults


@pytest.mark.parametrize("scene", ["sorting", "sorting_pair"])
def test_no_fault_comes_by_itself_and_each_can_be_triggered(scene):
    spec = read_scene(scene)
    assert {"slip", "jam"} <= set(spec.faults) and all(fault.chance == 0 for fault in spec.faults.values())
    with Cell(spec, without=[name for name, sensor in spec.sensors.items() if sensor.sees()]) as cell:
        cell.reset(0)
        assert not cell.truth["fault_level"].any()
        for name in spec.faults:
            cell.trigger(name)
        for _ in range(3):
            cell.step({})
        assert cell.truth["fault_level"].tolist() == [1.0] * len(spec.faults)
        assert {e.item for e in cell.events if e.kind == "fault"} == set(spec.faults)


def test_a_stuck_diverter_lets_pass_what_belongs_into_the_lane(nominal):
    stuck = {"feeder.position": [0.53, 0.05, 0.13], "faults.stuck": Stuck(of="diverter", chance=0, duration=0)}
    with Cell(nominal.change({**SOON, **GREEN, **stuck})) as cell:
        assert run(cell, 220, "stuck") == [("missed", "", False)]
