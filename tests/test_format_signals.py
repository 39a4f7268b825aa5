"""Tables of signals: units into SI, irregular times onto ticks, and every mistake told with its place."""

import numpy as np
import pandas as pd
import pytest
import toy
import xarray as xr

from twinlab.batches import hold
from twinlab.errors import FormatError
from twinlab.formats._units import si
from twinlab.formats.signals import Signals
from twinlab.units import each_unit

LOG = "time,pressure,temp\n0,1,20\n0.1,2,21\n0.2,3,22\n"
UNITS = {"pressure": "bar", "temp": "degC"}


def table(tmp_path, text, name="log.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_text(text, encoding=encoding)
    return path


def one(path, **fields) -> xr.Dataset:
    (episode,) = Signals(**fields).read(path)
    return episode


@pytest.mark.parametrize(
    ("unit", "told"),
    [
        ("bar", ("Pa", 1e5, 0)), ("degC", ("K", 1, 273.15)), ("°C", ("K", 1, 273.15)), ("mm/s", ("m s-1", 1e-3, 0)),
        ("rpm", ("rad s-1", np.pi / 30, 0)), ("1/min", ("Hz", 1 / 60, 0)), ("%", ("1", 0.01, 0)), ("1", ("1", 1, 0)),
        ("deg", ("rad", np.pi / 180, 0)), ("Nm", ("N m", 1, 0)), ("kW h", ("J", 3.6e6, 0)), ("", ("1", 1, 0)),
        ("rad s-1", ("rad s-1", 1, 0)), ("degF", ("K", 5 / 9, 459.67 * 5 / 9)), ("kg m2", ("kg m2", 1, 0)),
        ("m3/h", ("m3 s-1", 1 / 3600, 0)), ("degrees C", ("K", 1, 273.15)), ("deg/s", ("rad s-1", np.pi / 180, 0)),
    ],
)  # fmt: skip
def test_units_become_si(unit, told):
    name, scale, offset = si(unit, "log.csv")
    assert name == told[0] and (scale, offset) == pytest.approx(told[1:], rel=1e-9)


def test_units_of_several_numbers_are_told_one_by_one():
    assert each_unit("N N N N m N m N m", 6) == ["N", "N", "N", "N m", "N m", "N m"]
    assert each_unit("m s-1 m s-1 rad s-1 1", 4) == ["m s-1", "m s-1", "rad s-1", "1"]
    assert each_unit("rad s-1", 2) == ["rad s-1"] * 2


def test_values_become_si_and_are_held_on_ticks(tmp_path):
    log = one(table(tmp_path, LOG), units=UNITS, tick=0.05)
    assert log["pressure"].attrs["units"] == "Pa" and log["temp"].attrs["units"] == "K"
    assert log["pressure"].values.tolist() == [1e5, 1e5, 2e5, 2e5, 3e5]
    assert np.allclose(log["temp"], [293.15, 293.15, 294.15, 294.15, 295.15])
    assert np.allclose(log["pressure_age"], [0, 0.05, 0, 0.05, 0], atol=1e-7) and log["pressure_valid"].all()
    assert np.allclose(log["time"], 0.05 * np.arange(5)) and log.attrs["scene"] == "log"


def test_units_may_stand_in_the_header_and_what_is_declared_goes_first(tmp_path):
    path = table(tmp_path, "time,pressure [bar],flow [l/min]\n0,1,60\n1,2,60\n")
    log = one(path, units={"pressure": "mbar"}, tick=1.0)
    assert log["pressure"].values.tolist() == [100, 200] and np.allclose(log["flow"], 1e-3)


def test_missing_cells_are_held_and_irregular_times_resampled(tmp_path):
    text = "time,a,b\n0,,1\n0.13,5,2\n0.2,,3\n0.21,6,\n2.0,7,4\n"
    log = one(table(tmp_path, text), units={"a": "1", "b": "m"}, tick=0.1, gap=0.5)
    assert log["a"].values[:3].tolist() == [
        5,
        6,
        6,
    ]  # ticks at 0.13, 0.23, 0.33 s: from the first value of each column on
    assert np.allclose(log["a_age"][:3], [0, 0.02, 0.12], atol=1e-6) and log["a_valid"].values[:3].all()
    assert log["b"].values[:3].tolist() == [2, 3, 3] and log["b_valid"].values[:3].tolist() == [True, False, False]
    assert np.allclose(log["b_age"][:3], [0, 0.03, 0.13], atol=1e-6)
    assert log["a_valid"].values[6:].tolist() == [False] * (log.sizes["time"] - 6)  # 0.52 s after 0.21 s and older
    assert log.sizes["time"] == 19


@pytest.mark.parametrize(
    ("clock", "cells", "began"),
    [
        ("ms", ("1767225600000", "1767225600100", "1767225600250"), "2026-01-01T00:00:00+00:00"),
        ("s", ("1767225600", "1767225600.1", "1767225600.25"), "2026-01-01T00:00:00+00:00"),
        ("iso", ("2026-01-01T09:00:00+09:00", "2026-01-01T09:00:00.1+09:00", "2026-01-01T09:00:00.25+09:00"),
         "2026-01-01T00:00:00+00:00"),
        ("iso", ("2026-01-01 00:00:00", "2026-01-01 00:00:00.1", "2026-01-01 00:00:00.25"),
         "2026-01-01T00:00:00+00:00"),
        ("ms", ("0", "100", "250"), ""),
    ],
)  # fmt: skip
def test_clocks(tmp_path, clock, cells, began):
    text = "time,x [m]\n" + "".join(f"{cell},{i}\n" for i, cell in enumerate(cells))
    log = one(table(tmp_path, text), clock=clock)
    assert log["x"].values.tolist() == [0, 0, 1, 1, 1, 2] and log.attrs.get("began", "") == began


def test_words_yes_and_no_and_set_points(tmp_path):
    text = "time,state,door [bool],speed [mm/s]\n0,idle,True,0\n0.05,run,0,100\n0.1,run,1,50\n"
    path = table(tmp_path, text)
    log = one(path, classes={"state": ("idle", "run")}, action=("speed",), instruction="run")
    assert log["state"].values.tolist() == [0, 1, 1] and log["state"].attrs["labels"] == ["idle", "run"]
    assert log["door"].values.tolist() == [True, False, True] and log["door"].attrs["kind"] == "pulse"
    assert log["action"].dims == ("time", "actuator") and log["action"].attrs["high"] == pytest.approx([0.1])
    assert "speed" not in log and log.attrs["instruction"] == "run"
    _, signals = hold([log])
    assert {s.name for s in signals.of("reading")} >= {"state", "door"} and signals.actuators == ("speed",)


def test_tables_of_other_countries(tmp_path):
    path = table(tmp_path, "時刻;圧力 [bar]\n0;1,5\n0,1;2,5\n", encoding="cp932")
    log = one(path, time="時刻", delimiter=";", decimal=",", encoding="cp932", tick=0.1)
    assert log["圧力"].values.tolist() == [1.5e5, 2.5e5]
    with pytest.raises(FormatError, match=r"is no text in 'utf-8-sig'.*give its encoding"):
        one(path, time="時刻", delimiter=";", decimal=",")


def test_parquet_of_others_is_read_alike(tmp_path):
    stamps = pd.to_datetime(["2026-01-01T00:00:00.0", "2026-01-01T00:00:00.1", "2026-01-01T00:00:00.2"])
    frame = pd.DataFrame({"when": stamps, "p": [1.0, None, 3.0], "on": [True, False, True], "n": [1, 2, 3]})
    frame.to_parquet(tmp_path / "log.parquet")
    log = one(tmp_path / "log.parquet", time="when", clock="iso", tick=0.1, units={"p": "bar", "on": "bool", "n": "1"})
    assert log["p"].values.tolist() == [1e5, 1e5, 3e5] and log["p_valid"].values.tolist() == [True, False, True]
    assert log["on"].values.tolist() == [True, False, True] and log["n"].values.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "fields", "said"),
    [
        ("tme,pressure\n0,1\n", {}, r"no column 'time'; it has \['tme', 'pressure'\]. Did you mean 'tme'"),
        (LOG, {"units": {**UNITS, "presure": "bar"}}, "no column 'presure'.* Did you mean 'pressure'"),
        (LOG, {"units": {"temp": "degC"}}, r"no unit is told for \['pressure'\]; give units={'pressure': 'bar', …}"),
        (LOG, {"units": {**UNITS, "temp": "dgC"}}, "column 'temp': unit 'dgC' is not known"),
        (LOG.replace("2,21", "2,warm"), {}, "log.csv', line 3, column 'temp': came 'warm'; wanted a number"),
        (LOG.replace("2,21", "2;21"), {}, "line 3: 2 cells, the header has 3"),
        (LOG.replace("0.2,3", "0.1,3"), {}, "line 4, column 'time': 0.1 comes after 0.1; two rows have the same time"),
        (LOG.replace("0.2,3", "0.05,3"), {}, "line 4, column 'time': 0.05 comes after 0.1; sort the rows by time"),
        (LOG.replace("0.2,3", ",3"), {}, "line 4, column 'time': no time; every row needs one"),
        (LOG.replace("0.2,3", "soon,3"), {}, "line 4, column 'time': came 'soon'; wanted a number"),
        (LOG, {"clock": "iso"}, "line 2, column 'time': came '0'; wanted a time of ISO 8601"),
        (LOG, {"clock": "ms"}, "spans 0.0002 s by the clock 'ms', at a tick of 0.05 s"),
        ("time,a [1]\n0,1\n1e13,2\n", {"units": {}}, "spans 1e[+]13 s by the clock 's'"),
        ("time,a,a\n0,1,2\n", {}, r"come twice: \['a'\]"),
        ("time,pressure,temp\n", {}, "has names of columns but no rows"),
        ("time\n0\n1\n", {"units": {}}, "has no column but 'time'"),
        ("time,pressure,temp\n0,,20\n0.1,,21\n", {}, r"columns \['pressure'\] hold nothing"),
        (LOG, {"units": {"pressure": "bool", "temp": "K"}}, "line 3, column 'pressure': came '2'; wanted one of"),
        ("time,s\n0,rum\n1,run\n", {"units": {}, "classes": {"s": ("idle", "run")}}, "'rum'.* Did you mean 'run'"),
        (LOG, {"tick": 0.0}, "tick came as 0.0; wanted"),
    ],
)  # fmt: skip
def test_every_mistake_is_told_with_its_place(tmp_path, text, fields, said):
    with pytest.raises(FormatError, match=said) as told:
        one(table(tmp_path, text), **{"units": UNITS, **fields})
    assert "log.csv" in str(told.value) or "tick" in fields


def test_columns_that_are_not_wanted_need_no_unit(tmp_path):
    path = table(tmp_path, "time,pressure,note\n0,1,fine\n0.1,2,late\n")
    log = one(path, units={"pressure": "bar"}, columns=("pressure",), tick=0.1)
    assert set(log.data_vars) == {"pressure", "pressure_age", "pressure_valid"}


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_numbers_come_back_to_the_bit(tmp_path, name):
    wrote = toy.episode(3, 10).drop_vars(["top_rgb", "top_depth"])
    wrote["tool"].values[:4, 0] = [np.float32(0.1), 1e-42, -0.0, 16777217]
    wrote = wrote.assign(
        exact=("time", np.random.default_rng(0).random(10), {"units": "1", "kind": "vector", "role": "truth"}),
        big=("time", np.full(10, 2**62 + 1), {"units": "1", "kind": "label", "role": "truth"}),
        word=(
            "time",
            np.array(["a, b", 'say "x"', "日本", "", "e"] * 2),
            {"units": "1", "kind": "label", "role": "truth"},
        ),
    )
    path = Signals().write([wrote], tmp_path / name)
    xr.testing.assert_identical(one(path), wrote)
    assert one(path)["tool"].values.tobytes() == wrote["tool"].values.tobytes()


def test_what_twinlab_wrote_is_a_plain_table_for_others(tmp_path):
    path = Signals().write([toy.episode(3, 10)], tmp_path / "out.csv")
    frame = pd.read_csv(path)
    assert list(frame)[:4] == ["time [s]", "tool.x [m]", "tool.y [m]", "tool.phase [1]"] and len(frame) == 10
    path.with_name("out.csv.json").unlink()
    log = one(path, columns=("tool.x", "beam"), action=("action.tool.x",))
    assert np.array_equal(log["tool.x"], toy.episode(3, 10)["tool"][:, 0]) and log["beam"].dtype == bool


def test_a_table_that_was_changed_says_how_it_can_be_read(tmp_path):
    path = Signals().write([toy.episode(3, 10)], tmp_path / "out.csv")
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(FormatError, match=r"out.csv' and 'out.csv.json': .* wanted shape"):
        one(path)
    path.write_text("".join(lines).replace("tool.x", "tool.q"), encoding="utf-8")
    with pytest.raises(FormatError, match=r"does not hold what 'out.csv.json' tells of 'tool'.* or remove that file"):
        one(path)
