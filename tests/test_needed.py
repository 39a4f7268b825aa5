"""The guard of learned policies: a needed sensor that tells nothing halts the line, and the reason is said."""

import numpy as np
import pytest

from twinlab.cell import Cell
from twinlab.policies._needed import Needed
from twinlab.scene import SceneSpec, read_scene
from twinlab.sensors import Imager

WISH = np.full(6, 0.3, np.float32)


def needing(spec: SceneSpec, *names: str) -> SceneSpec:
    """The line with these sensors needed and all others redundant."""
    return spec.change({f"sensors.{name}.redundant": name not in names for name in spec.sensors})


def halted(spec: SceneSpec, ticks: int, without: tuple[str, ...] = (), faulty: SceneSpec | None = None) -> list[str]:
    """Why the line is halted at each tick, "" where it is not."""
    needed, told, safe = Needed(spec), [], [a.safe for a in spec.actuators]
    with Cell(faulty or spec, without) as cell:
        readings = cell.reset(60_000)
        for _ in range(ticks):
            action = needed(readings, WISH)
            assert (action == (safe if needed.stopped else WISH)).all()
            told.append(needed.stopped)
            readings = cell.step(action)
    return told


def test_all_that_a_policy_sees_is_needed_unless_its_scene_says_otherwise(blind_spec, sorting):
    assert needing(sorting).needed == ()
    everything = sorting.change({f"sensors.{name}.redundant": False for name in sorting.sensors})
    assert set(sorting.sensors) - set(everything.needed) == {"overhead_mask", "wrist_mask"}


@pytest.mark.parametrize("line", ["sorting", "inspection"])
def test_a_sensor_calls_itself_truth_just_where_what_it_gives_is_truth(line):
    spec = read_scene(line)
    eyes = [name for name, sensor in spec.sensors.items() if isinstance(sensor, Imager)]
    with Cell(spec) as cell:
        roles = {v.name: v.role for v in cell.variables}
    assert {name: spec.sensors[name].truth for name in eyes} == {name: roles[name] == "truth" for name in eyes}


def test_a_line_with_all_its_sensors_is_never_halted(blind_spec):
    assert set(halted(blind_spec, 40)) == {""}


def test_a_redundant_sensor_that_is_taken_away_halts_nothing(blind_spec):
    spec = needing(blind_spec, "tcp", "width")
    assert set(halted(spec, 3, without=("encoder", "wrench"))) == {""}


def test_a_needed_sensor_that_is_taken_away_halts_the_line_at_once_and_is_named(blind_spec):
    told = halted(needing(blind_spec, "tcp", "width"), 3, without=("width", "wrench"))
    assert set(told) == {"stopped: 'width' gives no readings, and the line needs it"}


def test_a_reading_of_another_sensor_whose_name_begins_alike_is_not_taken_for_the_one_that_is_gone(blind_spec):
    spec = blind_spec.change({"sensors.width_twin": {"kind": "width"}})
    assert "'width' gives no readings" in halted(spec, 1, without=("width",))[0]


def test_samples_that_are_lost_halt_the_line_after_a_second_and_until_they_are_back(blind_spec):
    spec = needing(blind_spec, "tcp")
    lost = spec.change({"faults.lost": {"kind": "dropout", "of": "tcp", "onset": 1.0, "duration": 2.0}})
    told = halted(spec, 90, faulty=lost)
    stopped = [i for i, why in enumerate(told) if why]
    assert stopped == list(range(stopped[0], stopped[-1] + 1))
    assert 39 <= stopped[0] <= 42 and 60 <= stopped[-1] <= 62  # ticks of 50 ms: from 2 s on, until 3 s
    assert "the newest sample of 'tcp' is 1." in told[stopped[0]] and len({*told}) == 2


def test_now_and_then_a_lost_sample_halts_nothing(blind_spec):
    spec = needing(blind_spec, "tcp")
    leaky = spec.change({"faults.leaky": {"kind": "dropout", "of": "tcp", "share": 0.5, "onset": 0, "duration": 0}})
    assert set(halted(spec, 100, faulty=leaky)) == {""}


@pytest.mark.parametrize("more", [{"rate": 0.5, "phase": 0.2}, {"latency": 1.5}, {"rate": 240}, {"clock_offset": -2.0}])
def test_a_slow_late_or_fast_sensor_is_not_taken_for_a_lost_one(blind_spec, more):
    spec = needing(blind_spec.change({f"sensors.tcp.{key}": value for key, value in more.items()}), "tcp")
    assert set(halted(spec, 90)) == {""}


def test_a_fast_sensor_whose_samples_are_all_lost_halts_the_line(blind_spec):
    spec = needing(blind_spec.change({"sensors.tcp.rate": 240}), "tcp")
    lost = spec.change({"faults.lost": {"kind": "dropout", "of": "tcp", "onset": 0.5, "duration": 0}})
    told = halted(spec, 45, faulty=lost)
    assert told[15] == "" and "'tcp'" in told[-1]


def test_each_stop_is_kept_with_its_reason(blind_spec):
    needed = Needed(needing(blind_spec, "tcp", "width"))
    there = {name: np.zeros(4) for name in ("tcp", "width")}
    for seen in (there, {"tcp": there["tcp"]}, there, {"width": there["width"]}):
        needed(seen, WISH)
    assert needed.reasons == tuple(f"stopped: {n!r} gives no readings, and the line needs it" for n in ("width", "tcp"))


def test_what_an_inspection_without_its_camera_cannot_judge_is_rejected():
    spec = read_scene("inspection")
    assert "top_rgb" in spec.needed
    needed, wish = Needed(spec), np.array([-1.0], np.float32)
    with Cell(spec, without=spec.pictures) as cell:
        readings = cell.reset(60_000)
        while not any(event.kind == "placed" for event in cell.events):
            readings = cell.step(needed(readings, wish))
        first = next(event for event in cell.events if event.kind == "placed")
    assert needed.stopped and first.place == "reject_bin"
