"""Sensing: a sensor slower than the tick holds its latest sample and says how old it is."""

import numpy as np
import pytest

from twinlab.cell import Cell
from twinlab.readings import Variable
from twinlab.sensing import declare, sense
from twinlab.sensors import Moment, Sensor
from twinlab.world import World

MOVE = {"arm.x": 0.2, "arm.z": 0.1, "gripper": -0.1}
FAST = ("tcp", "encoder", "width")


class Counter(Sensor):
    """Counts its own reads and draws one number at each."""

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        return (
            Variable(f"{name}_draw", (), (), "float64", "1", "vector"),
            Variable(f"{name}_n", (), (), "int64", "1", "label"),
        )

    def read(self, name, moment, state, rng):
        count = (state or 0) + 1
        return {f"{name}_draw": np.array(rng.normal()), f"{name}_n": np.array(count)}, count


def watched(sensors: dict[str, Sensor], ticks: int, tick: int = 12) -> list[dict[str, np.ndarray]]:
    """What sensors show at each tick of so many physics steps in an empty world."""
    rows, held = [], {}
    streams = {name: np.random.default_rng(len(name)) for name in sensors}
    with World() as world:
        for _ in range(ticks):
            values, held = sense(sensors, held, Moment(world.snapshot(), world, {}, lambda _: None), streams)
            rows.append(values)
            for _ in range(tick):
                world.step()
    return rows


def run(spec, ticks: int) -> list[dict[str, np.ndarray]]:
    with Cell(spec) as cell:
        return [cell.reset(5), *(cell.step(MOVE) for _ in range(ticks))]


@pytest.mark.parametrize(
    ("rate", "sampled"),
    [
        (0, list(range(21))),  # one a tick
        (20, list(range(21))),
        (30, list(range(21))),  # faster than the tick: always a new one
        (5, [0, 4, 8, 12, 16, 20]),
        (7, [0, 3, 6, 9, 12, 15, 18, 20]),  # the first ticks at or after 0, 1/7 s, 2/7 s, … 7/7 s
        (0.5, [0]),
    ],
)
def test_a_sample_is_taken_at_the_first_tick_after_each_beat_of_the_sensors_clock(rate, sampled):
    counts = [int(row["eye_n"]) for row in watched({"eye": Counter(rate=rate)}, 21)]
    assert [t for t in range(21) if t == 0 or counts[t] > counts[t - 1]] == sampled
    assert counts[-1] == len(sampled)


def test_between_samples_value_and_state_are_held_and_the_age_grows():
    rows = watched({"eye": Counter(rate=5)}, 9)
    assert [float(r["eye_draw_age"]) for r in rows] == pytest.approx([0, 0.05, 0.1, 0.15, 0, 0.05, 0.1, 0.15, 0])
    assert [r["eye_n_age"] for r in rows] == [r["eye_draw_age"] for r in rows]
    draws = [float(r["eye_draw"]) for r in rows]
    assert draws[:4] == [draws[0]] * 4 and draws[4:8] == [draws[4]] * 4
    assert len({draws[0], draws[4], draws[8]}) == 3


def test_each_sensor_draws_from_its_own_stream():
    alone = watched({"eye": Counter()}, 5)
    beside = watched({"a": Counter(rate=7), "eye": Counter(), "other": Counter()}, 5)
    assert [r["eye_draw"] for r in alone] == [r["eye_draw"] for r in beside]


def test_only_a_sensor_with_a_rate_declares_an_age_for_each_variable():
    with World() as world:
        moment = Moment(world.snapshot(), world, {}, lambda _: None)
        found = {v.name: v for v in declare({"fast": Counter(), "slow": Counter(rate=3)}, moment)}
    assert set(found) == {"fast_draw", "fast_n", "slow_draw", "slow_n", "slow_draw_age", "slow_n_age"}
    age = found["slow_n_age"]
    assert (age.units, age.kind, age.role, age.dtype, age.shape) == ("s", "vector", "reading", "float32", ())


def test_on_the_line_a_slow_sensor_shows_what_the_fast_one_showed_at_its_latest_sample(blind_spec):
    slow = {f"sensors.slow_{k}": {"kind": k, "rate": 7} for k in FAST}
    rows = run(blind_spec.change(slow), 20)
    samples = [0, 3, 6, 9, 12, 15, 18, 20]
    for t, row in enumerate(rows):
        latest = max(s for s in samples if s <= t)
        for kind in FAST:
            assert (row[f"slow_{kind}"] == rows[latest][kind]).all()
            assert row[f"slow_{kind}_age"] == pytest.approx(0.05 * (t - latest), abs=1e-6)
    assert (rows[20]["tcp"] != rows[19]["tcp"]).any()


def test_a_reset_forgets_what_was_held(blind_spec):
    with Cell(blind_spec.change({"tcp.rate": 1})) as cell:
        first = cell.reset(1)["tcp"].copy()
        for _ in range(10):
            cell.step(MOVE)
        again = cell.reset(1)
        assert (again["tcp"] == first).all() and again["tcp_age"] == 0


def test_one_more_sensor_changes_nothing_of_what_the_others_read(blind_spec, blind_cell):
    rows = run(blind_spec.change({"sensors.extra": {"kind": "tcp", "rate": 3}}), 20)
    plain = [blind_cell.reset(5), *(blind_cell.step(MOVE) for _ in range(20))]
    for row, wanted in zip(rows, plain, strict=True):
        assert set(row) - set(wanted) == {"extra", "extra_age"}
        assert all((row[name] == value).all() for name, value in wanted.items())


def test_a_sensor_that_nobody_looks_at_is_neither_read_nor_declared(blind_spec):
    with Cell(blind_spec, without=("tcp", "wrench")) as cell:
        assert not {"tcp", "wrench"} & set(cell.step({}))
        assert not {"tcp", "wrench"} & {v.name for v in cell.variables}


def test_a_negative_rate_is_an_error():
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        Counter(rate=-1)
