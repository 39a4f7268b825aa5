"""Sensing: when samples are taken and arrive, what is told of them, and what all sensors have in common."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlab.cell import Cell
from twinlab.errors import ReadingsError, SceneError
from twinlab.faults import course
from twinlab.faults.bias import Bias
from twinlab.faults.dropout import Dropout
from twinlab.faults.freeze import Freeze
from twinlab.readings import Variable
from twinlab.sensing import begin, capture, declare, due, show, stream
from twinlab.sensors import COMMON, Moment, Sensor
from twinlab.world import World

MOVE = {"arm.x": 0.2, "arm.z": 0.1, "gripper": -0.1}
STEPS = 12  # physics steps a tick
TICK = 0.05


class Watch(Sensor):
    """Shows the time and how often it was read; one number of noise."""

    effects = ("noise",)

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        return (
            Variable(f"{name}_time", (), (), "float64", "s", "vector"),
            Variable(f"{name}_draw", (), (), "float64", "1", "vector"),
            Variable(f"{name}_n", (), (), "int64", "1", "label"),
        )

    def read(self, name, moment, state):
        count = (state or 0) + 1
        return {
            f"{name}_time": np.array(moment.time),
            f"{name}_draw": np.array(0.0),
            f"{name}_n": np.array(count),
        }, count

    def measure(self, name, moment, clean, state, draw):
        noise = draw("noise").normal() if self.on("noise") else 0.0
        return {**clean, f"{name}_draw": clean[f"{name}_draw"] + noise}, state


class Gauge(Sensor):
    """Gives a value that the test sets, three components."""

    value: tuple[float, float, float] = (1.0, 2.0, 3.0)

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        return (Variable(name, (f"{name}_axis",), (3,), "float64", "N", "vector"),)

    def read(self, name, moment, state):
        return {name: np.array(self.value)}, state


def moment(world: World) -> Moment:
    return Moment(world, {}, world.snapshot, None, None)


def watched(sensors: dict[str, Sensor], ticks: int, seed: int = 0, faults=None) -> list[dict[str, np.ndarray]]:
    """What sensors show at each tick in an empty world; the first row is the reset's."""
    sick = {name: tuple((faults or {}).get(name, ())) for name in sensors}
    with World() as world:
        channels = begin(sensors, moment(world), seed, TICK, sick)
        row, channels = show(channels, world.time)
        rows = [row]
        for _ in range(ticks):
            for _ in range(STEPS):
                world.step()
                if due(channels) <= world.steps:
                    channels = capture(sensors, channels, moment(world), sick)
            row, channels = show(channels, world.time)
            rows.append(row)
    return rows


def run(spec, ticks: int) -> list[dict[str, np.ndarray]]:
    with Cell(spec) as cell:
        return [cell.reset(5), *(cell.step(MOVE) for _ in range(ticks))]


# ---- rate


@pytest.mark.parametrize(
    ("rate", "shown"),
    [
        (0, [0, 0.05, 0.1, 0.15, 0.2]),
        (20, [0, 0.05, 0.1, 0.15, 0.2]),
        (10, [0, 0, 0.1, 0.1, 0.2]),
        (15, [0, 0, 16 / 240, 32 / 240, 0.2]),  # beats at 0, 1/15 s, 2/15 s, 3/15 s
        (7, [0, 0, 0, 35 / 240, 35 / 240]),  # a beat at 1/7 s is taken at the physics step after it, the 35th
        (0.5, [0, 0, 0, 0, 0]),
    ],
)
def test_a_tick_shows_the_sample_of_the_latest_beat_taken_at_its_own_physics_step(rate, shown):
    rows = watched({"eye": Watch(rate=rate)}, 4)
    assert [float(r["eye_time"]) for r in rows] == pytest.approx(shown)
    if rate:
        assert [float(r["eye_age"]) for r in rows] == pytest.approx([TICK * i - t for i, t in enumerate(shown)])


def test_the_phase_moves_the_beats():
    rows = watched({"eye": Watch(rate=10, phase=0.5)}, 5)
    assert [float(r["eye_time"]) for r in rows] == pytest.approx([-0.05, 0.05, 0.05, 0.15, 0.15, 0.25])


def test_a_sensor_faster_than_the_tick_shows_all_its_samples_each_with_its_age():
    rows = watched({"eye": Watch(rate=80)}, 2)
    assert rows[1]["eye_time"] == pytest.approx([0.0125, 0.025, 0.0375, 0.05], abs=0.5 / 240)
    assert rows[1]["eye_age"] == pytest.approx(TICK - rows[1]["eye_time"], abs=1e-6)
    assert rows[1]["eye_valid"].tolist() == [True] * 4
    assert rows[2]["eye_n"].tolist() == (rows[1]["eye_n"] + 4).tolist()
    with World() as world:
        channels = begin({"eye": Watch(rate=80)}, moment(world), 0, TICK, {})
        found = {v.name: v for v in declare({"eye": Watch(rate=80)}, channels)}
    assert (found["eye_time"].dims, found["eye_time"].shape) == (("eye_sample",), (4,))
    assert (found["eye_age"].dims, found["eye_age"].shape) == (("eye_sample",), (4,))


@pytest.mark.parametrize("rate", [30, 100, 500])
def test_a_fast_rate_that_fits_no_whole_physics_steps_is_an_error_that_names_those_that_do(rate):
    with pytest.raises(ReadingsError, match=rf"{rate} Hz.*20, 40, 60, 80, 120, 240 Hz"):
        watched({"eye": Watch(rate=rate)}, 1)


# ---- latency and jitter


def test_a_late_sample_is_shown_at_the_first_tick_after_it_arrives_and_its_age_says_so():
    rows = watched({"eye": Watch(latency=0.065)}, 5)
    assert [float(r["eye_time"]) for r in rows] == pytest.approx([-0.1, -0.05, 0, 0.05, 0.1, 0.15])
    assert [float(r["eye_age"]) for r in rows] == pytest.approx([0.1] * 6)
    assert all(r["eye_valid"] for r in rows)


@given(
    rate=st.sampled_from([2.0, 5.0, 7.0, 10.0, 12.5, 19.0, 20.0]),
    phase=st.floats(0, 0.99),
    latency=st.floats(0, 0.4),
    offset=st.floats(-0.1, 0.1),
)
def test_age_and_time_shown_always_agree_and_what_is_shown_has_arrived(rate, phase, latency, offset):
    rows = watched({"eye": Watch(rate=rate, phase=phase, latency=latency, clock_offset=offset)}, 6)
    for i, row in enumerate(rows):
        real = TICK * i - float(row["eye_time"])
        assert float(row["eye_age"]) == pytest.approx(real - offset, abs=1e-6)
        assert latency - 1e-6 <= real <= latency + 1 / rate + TICK + 1 / 240


def test_jitter_has_the_declared_spread_and_never_makes_a_sample_early():
    sigma, ticks = 0.02, 4000
    rows = watched({"eye": Watch(rate=240, latency=0.1, jitter=sigma)}, ticks // 12)
    age = np.concatenate([r["eye_age"][r["eye_valid"]] for r in rows[10:]])
    # A sample is seen at the first tick after it arrives: on average half a tick later. Late ones behind newer ones go.
    assert age.min() >= 0
    assert 0.1 - 3 * sigma < age.min() < 0.1 - sigma
    calm = watched({"eye": Watch(rate=240, latency=0.1, jitter=sigma, off=("jitter",))}, 20)
    still = np.concatenate([r["eye_age"] for r in calm[5:]])
    assert still.min() == pytest.approx(0.1, abs=1 / 240 + 1e-6)
    assert still.max() == pytest.approx(0.15, abs=1 / 240 + 1e-6)


def test_samples_of_one_group_arrive_together_with_the_slowest():
    both = {"latency": 0.03, "jitter": 0.02, "dropout": 0.2, "group": "camera", "rate": 10}
    rows = watched({"colour": Watch(**both), "depth": Watch(**{**both, "latency": 0.08}), "other": Watch(rate=10)}, 200)
    assert all(r["colour_time"] == r["depth_time"] and r["colour_valid"] == r["depth_valid"] for r in rows)
    assert any(not r["colour_valid"] for r in rows)
    apart = {name: Watch(**{**both, "off": ("group",)}) for name in ("colour", "depth")}
    assert any(r["colour_valid"] != r["depth_valid"] for r in watched(apart, 200))


def test_sensors_of_one_group_must_beat_together():
    with pytest.raises(ReadingsError, match=r"\[sensors.one\] rate .* 'cam' has 5.0"):
        watched({"one": Watch(rate=10, group="cam"), "two": Watch(rate=5, group="cam")}, 1)


# ---- loss


def test_a_lost_sample_is_marked_and_never_passed_off_as_new():
    rows = watched({"eye": Watch(dropout=0.3)}, 400)
    for before, row in pairwise(rows):
        if row["eye_valid"]:
            assert row["eye_age"] == 0 and row["eye_time"] > before["eye_time"]
        else:
            assert row["eye_draw"] == before["eye_draw"]
            assert row["eye_age"] == pytest.approx(before["eye_age"] + TICK, abs=1e-6)


@pytest.mark.parametrize(("share", "burst"), [(0.1, 1.0), (0.1, 5.0), (0.3, 3.0)])
def test_loss_has_the_declared_share_and_length_of_bursts(share, burst):
    ticks = 6000
    valid = np.array(
        [r["eye_valid"] for r in watched({"eye": Watch(rate=240, dropout=share, burst=burst)}, ticks // 12)]
    )
    lost = ~valid[1:].ravel()
    n = lost.size
    # Neighbours within a burst are alike: the effective number of samples is smaller by about 2·burst - 1.
    wide = 4 * np.sqrt(share * (1 - share) / n * (2 * burst - 1))
    assert lost.mean() == pytest.approx(share, abs=wide)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], lost.view(np.int8), [0]])))
    lengths = edges[1::2] - edges[::2]
    wide = 4 * np.sqrt(burst * (burst - 1) / len(lengths)) + 1e-9  # lengths are geometric
    assert lengths.mean() == pytest.approx(burst, abs=wide)


# ---- value


def test_calibration_errors_have_the_declared_spread_over_episodes_and_stay_within_one():
    gauge = Gauge(value=(0.0, 10.0, -10.0), gain_error=(0.02,), offset_error=(0.1, 0.1, 0.1))
    seeds = 400
    runs = [watched({"g": gauge}, 2, seed) for seed in range(seeds)]
    assert all((r[0]["g"] == r[2]["g"]).all() for r in runs)
    first = np.array([r[0]["g"] for r in runs])
    wide = 4 / np.sqrt(2 * seeds)  # relative standard error of a standard deviation
    assert first[:, 0].std() == pytest.approx(0.1, rel=wide)
    assert (first[:, 1] - 10).std() == pytest.approx(np.hypot(0.1, 0.2), rel=wide)
    assert abs(first[:, 0].mean()) < 4 * 0.1 / np.sqrt(seeds)


def test_saturation_and_resolution_are_those_of_each_component():
    row = watched({"g": Gauge(value=(1.26, -7.0, 3.3), saturation=(1, 5, 0), quantum=(0.5, 0.5, 0.25))}, 1)[1]
    assert row["g"].tolist() == [1.0, -5.0, 3.25]


def test_numbers_that_are_neither_one_nor_one_each_are_an_error():
    with pytest.raises(ReadingsError, match="came 2 numbers; wanted 1 or 3"):
        watched({"g": Gauge(quantum=(0.1, 0.2))}, 1)


@pytest.mark.parametrize("effect", [*COMMON, "noise"])
def test_each_effect_can_be_switched_off_by_name_and_leaves_the_others_as_they_were(effect):
    loud = {
        "rate": 10, "latency": 0.06, "jitter": 0.01, "dropout": 0.2, "gain_error": (0.1,), "offset_error": (0.1,),
        "quantum": (0.001,), "saturation": (3.0,), "clock_offset": 0.02, "group": "g",
    }  # fmt: skip
    full = watched({"eye": Watch(**loud)}, 60)
    less = watched({"eye": Watch(**loud, off=(effect,))}, 60)
    assert any((full[i][name] != less[i][name]).any() for i in range(60) for name in full[0])
    if effect in ("calibration", "quantisation", "saturation", "noise", "clock"):  # these change no timing
        assert [r["eye_n"] for r in full] == [r["eye_n"] for r in less]
        assert [r["eye_valid"] for r in full] == [r["eye_valid"] for r in less]


def test_with_all_effects_off_a_sensor_shows_the_clean_value_of_now():
    rows = watched({"eye": Watch(rate=7, latency=0.3, dropout=0.5, gain_error=(1.0,), off=("all",))}, 5)
    assert [float(r["eye_time"]) for r in rows] == pytest.approx([TICK * i for i in range(6)])
    assert all(r["eye_draw"] == 0 for r in rows)
    assert "eye_age" not in rows[0]


def test_an_effect_that_is_none_is_an_error_that_proposes_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'latency'"):
        Watch(off=("latncy",))


def test_the_clean_value_of_the_same_sample_is_kept_as_truth_on_request():
    sensors = {"eye": Watch(clean=True, latency=0.06)}
    rows = watched(sensors, 5)
    for row in rows:
        assert row["eye_time_clean"] == row["eye_time"]
        assert row["eye_draw_clean"] == 0 != row["eye_draw"]
    with World() as world:
        roles = {v.name: v.role for v in declare(sensors, begin(sensors, moment(world), 0, TICK, {}))}
    assert roles["eye_draw"] == "reading" and roles["eye_draw_clean"] == "truth"


def test_each_sensor_draws_from_its_own_streams():
    alone = watched({"eye": Watch()}, 5)
    beside = watched({"a": Watch(rate=7), "eye": Watch(), "other": Watch(dropout=0.5)}, 5)
    assert [r["eye_draw"] for r in alone] == [r["eye_draw"] for r in beside]


# ---- faults of sensors


def broken(fault, seed=0):
    return course("trouble", fault, seed, stream(seed, "trouble"))


def test_a_fault_acts_from_its_onset_until_it_has_recovered():
    fault = broken(Bias(of="g", onset=0.2, duration=0.2, recovery=0.2, size=1.0))
    rows = watched({"g": Gauge()}, 14, faults={"g": [fault]})
    added = [float(r["g"][0] - 1) for r in rows]
    assert added == pytest.approx([0] * 4 + [1] * 5 + [0.75, 0.5, 0.25] + [0] * 3)


def test_faults_add_up_in_their_order():
    first, second = (broken(Bias(of="g", onset=0.1, duration=0, size=size)) for size in (1.0, 10.0))
    freeze = broken(Freeze(of="g", onset=0.2, duration=0))
    rows = watched({"g": Gauge()}, 6, faults={"g": [first, freeze, second]})
    assert float(rows[1]["g"][0]) == 1 and float(rows[2]["g"][0]) == 12 and float(rows[6]["g"][0]) == 12


def test_a_frozen_sensor_looks_alive_and_a_dropped_one_does_not():
    frozen, dropped = broken(Freeze(onset=0.2, duration=0.2)), broken(Dropout(onset=0.2, duration=0.2))
    rows = watched({"a": Watch(), "b": Watch()}, 12, faults={"a": [frozen], "b": [dropped]})
    assert [float(r["a_time"]) for r in rows[4:9]] == pytest.approx([0.2] * 5)
    assert all(r["a_age"] == 0 and r["a_valid"] for r in rows)
    assert [bool(r["b_valid"]) for r in rows] == [True] * 4 + [False] * 5 + [True] * 4
    assert float(rows[8]["b_age"]) == pytest.approx(0.25)


# ---- on a line


def test_on_the_line_a_slow_sensor_shows_what_the_fast_one_showed_at_its_latest_sample(blind_spec):
    slow = {f"sensors.slow_{k}": {"kind": k, "rate": 5, "off": ["all"]} for k in ("tcp", "encoder", "width")}
    slow = {name: {**table, "off": []} for name, table in slow.items()}
    quiet = {f"sensors.{k}.off": ["all"] for k in ("tcp", "encoder", "width")}
    own = {name + ".off": ["noise"] for name in ()}
    rows = run(blind_spec.change({**slow, **quiet, **own}), 20)
    for t, row in enumerate(rows):
        assert row["slow_tcp_age"] == pytest.approx(0.05 * (t % 4), abs=1e-6)
    assert (rows[20]["tcp"] != rows[19]["tcp"]).any()
    assert (rows[19]["slow_tcp"] == rows[16]["slow_tcp"]).all()


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
        assert set(row) - set(wanted) == {"extra", "extra_age", "extra_valid"}
        assert all((row[name] == value).all() for name, value in wanted.items())


def test_a_sensor_that_nobody_looks_at_is_neither_read_nor_declared(blind_spec):
    with Cell(blind_spec, without=("tcp", "wrench")) as cell:
        assert not {"tcp", "wrench"} & set(cell.step({}))
        assert not {"tcp", "wrench"} & {v.name for v in cell.variables}


def test_a_rate_that_does_not_fit_is_an_error_of_the_scene(blind_spec):
    with pytest.raises(SceneError, match=r"\[sensors.tcp\] rate came as 33 Hz"):
        blind_spec.change({"tcp.rate": 33})


def test_a_negative_rate_is_an_error():
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        Watch(rate=-1)
