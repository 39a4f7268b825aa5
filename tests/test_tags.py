"""Tags: the states and settings of a line's devices, read and written by name as a controller would."""

import numpy as np
import pytest

from twinlab.cell import Cell
from twinlab.errors import CellError


@pytest.fixture(scope="module")
def line(blind_spec):
    with Cell(blind_spec.vary(0)) as cell:
        yield cell


@pytest.fixture(autouse=True)
def _anew(line):
    line.reset(0)


def still(cell: Cell, ticks: int) -> None:
    for _ in range(ticks):
        cell.step(np.zeros(len(cell.actuators)))


def test_a_tag_is_a_setting_or_a_state_of_a_device(line):
    tags = {tag: value for tag, value in line.tags.items() if not tag.startswith("arm.")}
    assert line.tags["arm.stopped"] == "" and line.tags["arm.x"] == pytest.approx(0.5, abs=1e-3)
    assert tags == {
        "belt.speed": 0.1, "diverter.diverting": False, "diverter.angle": pytest.approx(0), "diverter.there": True,
    }  # fmt: skip


def test_a_written_setting_acts_at_once_and_until_the_next_reset(line):
    line.write("belt.speed", 0.25)
    assert line.tags["belt.speed"] == 0.25
    assert np.linalg.norm(line.world.surface_velocity("belt")) == pytest.approx(0.25)
    line.reset(0)
    assert line.tags["belt.speed"] == 0.1
    assert np.linalg.norm(line.world.surface_velocity("belt")) == pytest.approx(0.1)


def test_a_written_state_moves_its_device(line):
    line.write("diverter.diverting", True)
    assert not line.tags["diverter.there"]
    still(line, 12)
    assert line.tags["diverter.there"] and line.tags["diverter.angle"] == pytest.approx(0.8, abs=0.01)


def test_a_set_point_moves_it_too_and_zero_leaves_it(line):
    line.step({"diverter": 1.0})
    still(line, 12)
    assert line.tags["diverter.diverting"] and line.tags["diverter.there"]
    line.step({"diverter": -1.0})
    still(line, 12)
    assert line.tags["diverter.angle"] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(
    ("tag", "value", "told"),
    [
        ("belt.sped", 0.2, r"no tag 'belt.sped'; there are .*'belt.speed'.*Did you mean 'belt.speed'"),
        ("belt.speed", -1, r"tag 'belt.speed': came -1; wanted: input should be greater than or equal to 0 \(speed of"),
        ("diverter.angle", 0.3, r"tag 'diverter.angle' can only be read; it is "),
    ],
)
def test_what_cannot_be_written_is_told_and_nothing_changes(line, tag, value, told):
    before = dict(line.tags)
    with pytest.raises(CellError, match=told):
        line.write(tag, value)
    assert dict(line.tags) == before
