"""Sensors: every file of the room keeps the contract on the sorting line; what each measures agrees with the line."""

from typing import get_args

import numpy as np
import pybullet
import pytest
from pydantic import ValidationError

from twinlab import frames, rooms
from twinlab.cell import Cell
from twinlab.readings import Kind
from twinlab.sensors import Sensor

SENSORS = pytest.mark.parametrize("kind", rooms.names("sensors"))
MOVE = {"arm.x": 0.2, "arm.z": 0.1, "arm.yaw": 1.0, "gripper": -0.1}


def watching(sorting, kind: str, **fields: object) -> Cell:
    """The sorting line with nothing but one sensor on it, called "probe"."""
    return Cell(sorting.change({"sensors": {"probe": {"kind": kind, **fields}}}))


def probed(cell: Cell) -> dict[str, np.ndarray]:
    seen = {**cell.readings, **cell.truth}
    return {name: value for name, value in seen.items() if name.startswith("probe")}


def run(cell: Cell, seed: int, ticks: int = 5) -> list[dict[str, np.ndarray]]:
    cell.reset(seed)
    rows = [probed(cell)]
    for _ in range(ticks):
        cell.step(MOVE)
        rows.append(probed(cell))
    return rows


# ---- the contract of every file


@SENSORS
def test_a_sensor_declares_what_it_gives_and_gives_what_it_declares(sorting, kind):
    with watching(sorting, kind) as cell:
        declared = {v.name: v for v in cell.variables if v.name.startswith("probe")}
        assert declared
        for row in run(cell, 1):
            assert set(row) == set(declared)
            for name, value in row.items():
                assert (value.shape, str(value.dtype)) == (declared[name].shape, declared[name].dtype)
        assert all(declared[name].role == "reading" for name in set(cell.readings) - {"meaning"})
    for variable in declared.values():
        assert len(variable.dims) == len(set(variable.dims)) == len(variable.shape)
        assert variable.units and variable.kind in get_args(Kind) and variable.role in ("reading", "truth")
        assert not variable.labels or variable.kind == "label" or len(variable.labels) == variable.shape[-1]
        assert not variable.given or variable.given in {v.name for v in cell.variables}


@SENSORS
def test_a_sensor_repeats_under_the_same_seed(sorting, kind):
    def taken(cell: Cell) -> list[bytes]:
        return [value.tobytes() for row in run(cell, 3) for _, value in sorted(row.items())]

    with watching(sorting, kind) as cell:
        first = taken(cell)
        run(cell, 4)
        assert taken(cell) == first


@SENSORS
def test_what_was_read_stays_as_it_was_when_the_line_runs_on(sorting, kind):
    with watching(sorting, kind) as cell:
        cell.reset(2)
        kept = probed(cell)
        copies = {name: value.copy() for name, value in kept.items()}
        for _ in range(3):
            cell.step(MOVE)
        assert all((kept[name] == copies[name]).all() for name in kept)


@SENSORS
def test_a_slow_sensor_of_any_kind_holds_its_sample_and_tells_its_age(sorting, kind):
    with watching(sorting, kind, rate=4, off=("latency", "jitter", "dropout", "clock")) as cell:
        rows = run(cell, 2)
        values = {name for name in rows[0] if name not in ("probe_age", "probe_valid")}
        for tick in range(5):
            assert all((rows[tick][name] == rows[0][name]).all() for name in values)
            assert rows[tick]["probe_age"] == pytest.approx(0.05 * tick, abs=1e-6)
            assert rows[tick]["probe_valid"]
        assert rows[5]["probe_age"] == 0


@SENSORS
def test_a_sensor_is_its_own_frozen_configuration(kind):
    sensor = rooms.build("sensors", kind)
    assert isinstance(sensor, Sensor)
    with pytest.raises(ValidationError, match="frozen"):
        sensor.rate = 5
    with pytest.raises(ValidationError, match="Extra inputs"):
        rooms.build("sensors", kind, nonsense=1)


# ---- what each measures, against the line itself


@pytest.fixture(scope="module")
def ideal_cell(blind_spec):
    with Cell(blind_spec.ideal()) as cell:
        yield cell


def test_joints_are_those_of_pybullet(ideal_cell):
    ideal_cell.reset(1)
    for _ in range(10):
        readings = ideal_cell.step(MOVE)
    number = ideal_cell.snapshot().bodies.index("arm")
    states = pybullet.getJointStates(number, range(7), physicsClientId=ideal_cell.world.client)
    for i, what in ((0, "position"), (1, "velocity"), (3, "torque")):
        assert readings[f"joints_{what}"] == pytest.approx([s[i] for s in states], rel=1e-6)
    assert np.abs(readings["joints_velocity"]).max() > 0.05


def test_the_tool_is_at_home_after_a_reset_and_goes_where_it_is_sent(blind_cell):
    x, y, z, yaw = blind_cell.reset(1)["tcp"]
    assert (x, y, z, yaw) == pytest.approx(blind_cell.spec.bodies["arm"].home, abs=0.003)
    for _ in range(20):
        moved = blind_cell.step({"arm.y": -0.2, "arm.yaw": 0.5})["tcp"]
    assert moved == pytest.approx([x, y - 0.2, z, yaw + 0.5], abs=0.03)


def test_the_width_is_the_opening_between_the_fingers(ideal_cell):
    assert ideal_cell.reset(1)["width"] == pytest.approx(0.08)
    for _ in range(30):
        readings = ideal_cell.step({"gripper": -0.2})
    assert readings["width"] == pytest.approx(0, abs=0.002)
    for _ in range(10):
        readings = ideal_cell.step({"gripper": 0.1})
    assert readings["width"] == pytest.approx(0.05, abs=0.01)


def test_a_wrist_at_rest_carries_the_weight_of_hand_and_fingers(ideal_cell):
    ideal_cell.reset(1)
    for _ in range(20):
        readings = ideal_cell.step({})
    number = ideal_cell.snapshot().bodies.index("arm")
    links = [i for i in range(12) if "hand" in link_name(ideal_cell, i) or "finger" in link_name(ideal_cell, i)]
    mass = sum(pybullet.getDynamicsInfo(number, i, ideal_cell.world.client)[0] for i in links)
    assert len(links) == 3 and mass > 0.5
    assert np.linalg.norm(readings["wrench"][:3]) == pytest.approx(mass * 9.81, rel=0.05)


def link_name(cell: Cell, link: int) -> str:
    number = cell.snapshot().bodies.index("arm")
    return pybullet.getJointInfo(number, link, cell.world.client)[12].decode()


@pytest.mark.parametrize("speed", [0.1, 0.25])
def test_the_encoder_counts_speed_times_time(blind_spec, speed):
    with Cell(blind_spec.ideal().change({"belt.speed": speed})) as cell:
        assert cell.reset(1)["encoder"] == pytest.approx([0, speed])
        for _ in range(30):
            readings = cell.step({})
        assert readings["encoder"] == pytest.approx([30 * 0.05 * speed, speed])


@pytest.mark.parametrize("share", [0.15, 0.5, 0.9])
def test_the_beam_is_broken_while_a_part_stands_in_it(ideal_cell, share):
    assert not ideal_cell.reset(1)["break_beam"]
    part, beam = ideal_cell.items[0].name, ideal_cell.spec.sensors["break_beam"]
    at = np.array(beam.start) + share * np.subtract(beam.end, beam.start)
    ideal_cell.world.place(part, frames.pose(at))  # parts are immovable until they are fed
    assert ideal_cell.step({})["break_beam"]
    ideal_cell.world.place(part, frames.pose(at + np.array([0, 0.1, 0])))
    assert not ideal_cell.step({})["break_beam"]


def test_the_pictures_of_one_camera_belong_together(sorting):
    with Cell(sorting.ideal()) as cell:
        run(cell, 7)
        for camera in ("overhead", "wrist"):
            depth, mask = cell.readings[f"{camera}_depth"], cell.truth[f"{camera}_mask"]
            assert ((mask < 0) == np.isinf(depth)).all()
            assert (depth > 0).all() and (mask >= 0).any()


def test_a_part_is_seen_where_it_lies_in_colour_and_at_its_distance(sorting):
    spec = sorting.vary(0).change({"feeder.first": 100, "arm.home": [0.3, -0.5, 0.4, 0]})  # out of the picture
    spec = spec.ideal()
    with Cell(spec) as cell:
        part = cell.items[0]
        assert part.properties == {"colour": "red", "shape": "cube"}
        camera = spec.cameras["overhead"]
        cell.world.place(part.name, frames.pose((*camera.look_at[:2], 0.12)), mass=0.08)
        readings = cell.step({})
        eye = camera.pose(cell.snapshot())
        top = frames.apply(frames.inverse(eye), cell.snapshot().pose(part.name)[None, :3] + [0, 0, 0.02])
        column, row = camera.intrinsics().project(top)[0].round().astype(int)
        red, green, blue = readings["overhead_rgb"][row, column].astype(int)
        assert red > 2 * green and red > 2 * blue
        assert readings["overhead_depth"][row, column] == pytest.approx(top[0, 2], abs=0.01)
        assert cell.truth["overhead_mask"][row, column] == cell.snapshot().bodies.index(part.name)
