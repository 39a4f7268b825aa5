"""Medication tray: a wrong item is critical; otherwise the rules are those of kitting."""

import numpy as np
import pytest

from twinlab import frames, rooms
from twinlab.cell import Cell
from twinlab.scene import read_scene

SCENE = read_scene("medication_tray")
SEES = [name for name, sensor in SCENE.sensors.items() if sensor.sees()]
SMALL = {"task.order": {"heparin": 1, "saline": 0, "paracetamol": 1}, "task.changes": 0.0}
VIAL = 0.0175  # how high the middle of a vial is that stands [m]


@pytest.fixture(scope="module")
def line():
    with Cell(SCENE.vary(0).change(SMALL), without=SEES) as cell:
        yield cell


def put(cell: Cell, item: str, place: int, ticks: int = 6) -> list:
    """Stand an item in one of four places of the bed's tray and see what the task says of it."""
    before = len(cell.events)
    x, y, z = cell.spec.bodies["bed_tray"].position
    cell.world.place(item, frames.pose((x, y - 0.1 + 0.06 * place, z + 0.003 + VIAL)))
    for _ in range(ticks):
        cell.step({})
    return [(e.kind, e.place, e.right) for e in cell.events[before:]]


def started(cell: Cell) -> Cell:
    cell.reset(0)
    for _ in range(3):
        cell.step({})
    return cell


def worked(cell: Cell, policy: str, seed: int, ticks: int) -> list:
    acts = rooms.build("policies", policy, spec=cell.spec)
    readings = cell.reset(seed)
    acts.reset(seed, cell.task.meaning())
    for _ in range(ticks):
        readings = cell.step(acts({**readings, **cell.truth} if acts.sees_truth else readings))
    return [(e.kind, e.place, e.right) for e in cell.events if e.kind not in ("spawned", "picked")]


DONE = [("placed", "bed_tray", True)] * 2 + [("completed", "", True)]


@pytest.mark.parametrize("policy", ["expert", "program"])
def test_a_short_list_is_filled_on_the_nominal_line(line, policy):
    assert worked(line, policy, 0, 130) == DONE


def test_the_expert_fills_a_short_list_where_everything_is_somewhere_else():
    with Cell(SCENE.change(SMALL), without=SEES) as cell:
        assert worked(cell, "expert", 60_001, 130) == DONE


def test_a_vial_of_the_other_kind_is_a_violation_and_the_tray_is_never_right(line):
    started(line)
    wrong = [("placed", "bed_tray", False), ("violation", "wrong_item", False)]
    assert put(line, "saline_tray_00", 0) == wrong
    assert put(line, "heparin_tray_00", 1) == [("placed", "bed_tray", True)]
    assert put(line, "blister_tray_00", 3) == [("placed", "bed_tray", True), ("completed", "", False)]


def test_one_too_many_is_a_violation(line):
    started(line)
    assert put(line, "heparin_tray_00", 0) == [("placed", "bed_tray", True)]
    assert put(line, "heparin_tray_01", 1) == [("placed", "bed_tray", False), ("violation", "wrong_item", False)]


def test_without_critical_the_same_is_only_wrong():
    with Cell(SCENE.vary(0).change({**SMALL, "task.critical": False}), without=SEES) as cell:
        assert put(started(cell), "saline_tray_00", 0) == [("placed", "bed_tray", False)]


def test_items_go_to_free_places_one_after_the_other(line):
    started(line)
    region = line.spec.bodies["bed_tray"].region()
    low, high = np.array(region.low), np.array(region.high)
    inset = np.array(line.spec.task.inset)
    assert line.truth["goal"][:2] == pytest.approx(low[:2] + inset)
    assert line.truth["goal"][2] == pytest.approx(low[2] + line.spec.task.grasps["heparin"].release)
    put(line, "heparin_tray_00", 3)
    second = low[:2] + inset + [0, (high[1] - low[1] - 2 * inset[1]) / 3]  # the second of four
    assert line.truth["goal"][:2] == pytest.approx(second)


def test_the_expert_takes_no_vial_of_the_other_kind_from_a_tray():
    mixed = SCENE.vary(0).change({**SMALL, "heparin_tray.mixed": 0.9, "task.order": {"heparin": 1}})
    with Cell(mixed, without=SEES) as cell:
        started(cell)
        wanted = next(i for i, item in enumerate(cell.items) if item.properties["part"] == "heparin")
        assert any(item.properties["part"] == "saline" for item in cell.items[:6])
        assert cell.truth["target"][:3] == pytest.approx(cell.truth["part_pose"][wanted, :3], abs=1e-3)


def test_the_list_is_told_in_words():
    assert SCENE.vary(0).task.instruction() == (
        "Fill the tray for bed 12: 2 vials of heparin, 1 vial of saline and 2 blisters of paracetamol."
    )
    assert SCENE.task.meaning().task == "fill"


def test_what_lay_in_the_tray_before_a_reset_touches_nothing_after_it(line):
    started(line)
    put(line, "heparin_tray_00", 0)
    line.reset(0)
    assert line.world.contacts("bed_tray").others == ()


def test_the_scale_below_the_tray_tells_what_is_in_it(line):
    started(line)
    put(line, "heparin_tray_00", 0, ticks=30)
    put(line, "blister_tray_00", 3, ticks=30)
    assert line.readings["tray_scale"] == pytest.approx(0.009 + 0.012, abs=0.001)
