"""KPIs against numbers worked out by hand with ISO 22400-2's formulas."""

import re
from dataclasses import asdict, astuple
from typing import get_args

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from twinlab.errors import ReadingsError
from twinlab.events import Event, EventKind
from twinlab.kpi import UNITS, Kpis, kpis, kpis_of, reckoned
from twinlab.score import rows, summary

SHARES = ("correct", "wrong", "missed", "dropped")
NAN = pytest.approx(np.nan, nan_ok=True)
TICK = 0.05


def story(*events: tuple) -> list[Event]:
    """Events from (time, kind, item, place, right), of which the last two may be left out."""
    return [Event(*one) for one in events]


def found(*events: tuple, busy: int = 0, ticks: int = 600, planned: float = 4.0) -> Kpis:
    """KPIs of 600 ticks of 0.05 s, 30 s, in which the robot was busy for some."""
    return reckoned(story(*events), np.arange(ticks) < busy, TICK, planned)


def episode(*events: tuple, busy: int = 0, ticks: int = 600, planned: float = 4.0, **attrs: object) -> xr.Dataset:
    """The same as a recorded episode."""
    columns = list(zip(*map(astuple, story(*events)), strict=True)) or [()] * 5
    types = (float, "<U32", "<U32", "<U32", bool)
    names = ("time", "kind", "item", "place", "right")
    arrays = {
        f"event_{name}": ("event", np.array(column, dtype=kind))
        for name, column, kind in zip(names, columns, types, strict=True)
    }
    about = {"scene": "s", "scene_digest": "d", "policy": "p", "instruction": "i", "seed": 0} | attrs
    busy_ticks = {"busy": ("time", np.arange(ticks) < busy)}
    return xr.Dataset(arrays | busy_ticks, attrs={"tick": TICK, "planned_run_time": planned, **about})


DAY = (
    (0.0, "spawned", "a"),
    (2.0, "spawned", "b"),
    (4.0, "spawned", "c"),
    (6.0, "spawned", "d"),
    (7.0, "picked", "a"),
    (8.0, "spawned", "e"),
    (9.0, "placed", "a", "bin", True),
    (10.0, "spawned", "f"),
    (11.0, "picked", "b"),
    (13.0, "placed", "b", "bin", False),
    (14.0, "missed", "c"),
    (15.0, "stop", "arm"),
    (16.5, "resumed", "arm"),
    (17.0, "picked", "d"),
    (18.0, "dropped", "d"),
    (19.0, "picked", "e"),
    (20.0, "dropped", "e"),
    (21.0, "picked", "e"),
    (23.0, "placed", "e", "bin", True),
)


def test_a_run_with_every_end_gives_the_numbers_worked_out_by_hand():
    # PBT = 600 * 0.05 = 30 s, APT = 400 * 0.05 = 20 s, PQ = 3 (a, b, e), GQ = 2 (a, e), PRI = 4 s; f is on its way
    assert found(*DAY, busy=400) == Kpis(
        throughput=pytest.approx(3 / 30 * 3600),
        correct=2 / 5,
        wrong=1 / 5,
        missed=1 / 5,
        dropped=1 / 5,
        cycle_time=pytest.approx(20 / 3),
        availability=pytest.approx(20 / 30),
        effectiveness=pytest.approx(4 * 3 / 20),
        quality=pytest.approx(2 / 3),
        oee=pytest.approx(4 * 2 / 30),
        stops=1,
        items=5,
        takt=pytest.approx(30 / 6),
        lead_time=pytest.approx((9 + 11 + 10 + 12 + 15) / 5),
        wip=pytest.approx((9 + 11 + 10 + 12 + 15 + 20) / 30),
        first_pass=pytest.approx(1 / 3),  # e was dropped before it came right
        rework=pytest.approx(1 / 3),
        scrap=NAN,
        escape=NAN,
        false_reject=NAN,
        down=pytest.approx(1.5 / 30),
        mtbf=pytest.approx(28.5),
        mttr=pytest.approx(1.5),
        utilisation=0,
        violations=0,
        collisions=0,
        orders=0,
        orders_right=NAN,
    )


def test_a_recorded_episode_gives_the_kpis_of_its_events():
    assert asdict(kpis(episode(*DAY, busy=400))) == pytest.approx(asdict(found(*DAY, busy=400)), nan_ok=True)


def test_a_part_counts_once_and_by_its_last_end():
    told = found((1, "dropped", "a"), (2, "picked", "a"), (3, "dropped", "a"), (4, "placed", "a", "bin", True))
    assert (told.items, told.correct, told.dropped) == (1, 1, 0)
    assert (told.first_pass, told.rework) == (0, 1)


def test_a_line_on_which_nothing_came_has_no_shares():
    told = found()
    for name in ("throughput", "availability", "oee", "items", "stops", "wip", "down", "utilisation", "orders"):
        assert getattr(told, name) == 0, name
    for name in (*SHARES, "cycle_time", "effectiveness", "quality", "takt", "lead_time", "first_pass", "mtbf", "mttr"):
        assert np.isnan(getattr(told, name)), name


def test_parts_that_are_all_still_on_their_way_are_not_judged():
    told = found((0, "spawned", "a"), (15, "spawned", "b"), (20, "picked", "a"), busy=100)
    assert told.items == 0 and np.isnan(told.correct) and np.isnan(told.lead_time)
    assert told.availability == pytest.approx(5 / 30)
    assert told.wip == pytest.approx((30 + 15) / 30) and told.takt == 15


def test_a_line_that_picks_nothing_misses_all_and_has_no_quality():
    told = found((1, "spawned", "a"), (2, "spawned", "b"), (9, "missed", "a"), (10, "missed", "b"))
    assert (told.missed, told.correct, told.oee, told.throughput) == (1, 0, 0, 0)
    assert np.isnan(told.quality) and np.isnan(told.cycle_time) and np.isnan(told.first_pass)


def test_effectiveness_above_one_is_told_and_not_cut():
    told = found((1, "placed", "a", "bin", True), (2, "placed", "b", "bin", True), busy=100, planned=4)
    assert told.effectiveness == pytest.approx(4 * 2 / 5)
    assert told.oee == pytest.approx(5 / 30 * 1.6 * 1)


def test_an_item_that_was_there_from_the_start_counts_from_then():
    told = found((10, "picked", "a"), (12, "placed", "a", "tray", True))
    assert told.lead_time == 12 and told.wip == pytest.approx(12 / 30)
    assert np.isnan(told.takt)  # nothing came, so there was no demand


def test_a_part_on_its_way_through_several_places_is_handled_once():
    way = ((1, "picked", "a"), (2, "placed", "a", "press", True), (9, "picked", "a"), (11, "placed", "a", "tray", True))
    assert found(*way).first_pass == 1 and found(*way).items == 1
    wrong = (way[0], (2, "placed", "a", "press", False), *way[2:])
    assert (found(*wrong).quality, found(*wrong).first_pass, found(*wrong).rework) == (1, 0, 1)


def test_verdicts_give_escapes_and_false_rejects_each_of_their_own_kind():
    told = found(
        *((i, "inspected", f"good {i}", "pass", True) for i in range(6)),
        *((i, "inspected", f"good {i}", "reject", False) for i in range(6, 8)),
        *((i, "inspected", f"bad {i}", "reject", True) for i in range(8, 11)),
        (11, "inspected", "bad 11", "pass", False),
    )
    assert told.false_reject == 2 / 8  # of 8 good ones
    assert told.escape == 1 / 4  # of 4 defective ones
    assert told.scrap == 5 / 12


def test_the_last_verdict_on_an_item_counts_and_looking_twice_is_no_first_pass():
    told = found(
        (1, "inspected", "a", "reject", False), (5, "inspected", "a", "pass", True), (6, "placed", "a", "tray", True)
    )
    assert (told.false_reject, told.scrap, told.quality, told.first_pass) == (0, 0, 1, 0)
    assert np.isnan(told.escape)  # nothing that was inspected is defective


def test_a_verdict_that_is_none_is_told():
    with pytest.raises(ReadingsError, match=r"verdict on 'a' at 2\.00 s came as 'perhaps'; wanted \"pass\" or"):
        found((2, "inspected", "a", "perhaps", True))


def test_time_in_which_several_devices_stand_is_down_once():
    told = found(
        (2, "stop", "arm"), (4, "stop", "press"), (8, "resumed", "arm"), (10, "resumed", "press"),
        (20, "stop", "arm"), (21, "resumed", "arm"), (27, "stop", "press"),
    )  # fmt: skip
    assert told.down == pytest.approx((8 + 1 + 3) / 30)
    assert told.mttr == pytest.approx((6 + 6 + 1) / 3)  # the last one was not mended
    assert told.mtbf == pytest.approx(18 / 4) and told.stops == 4


def test_a_stop_within_a_stop_is_no_other_one_and_one_that_resumes_unstopped_is_none():
    told = found((1, "resumed", "arm"), (2, "stop", "arm"), (3, "stop", "arm"), (5, "resumed", "arm"))
    assert told.down == pytest.approx(3 / 30) and (told.mttr, told.mtbf) == (3, 27)


def test_an_unknown_state_is_neither_busy_nor_down_and_a_fault_alone_stops_nothing():
    told = found(
        (0, "state", "press.execution", "UNAVAILABLE"), (5, "fault", "fog", "overhead"), (9, "recovered", "fog")
    )
    assert (told.availability, told.down, told.utilisation) == (0, 0, 0)


def test_a_machine_is_used_from_start_to_finish_of_its_cycles():
    told = found(
        (0, "started", "lathe", "a"), (6, "finished", "lathe", "a", True), (9, "started", "lathe", "b"),
        (12, "started", "mill"), (15, "finished", "lathe", "b"), (18, "finished", "mill"), (24, "started", "mill"),
    )  # fmt: skip
    assert told.utilisation == pytest.approx((6 + 6 + 6 + 6) / 30)


def test_orders_and_breaches_of_safety_are_counted():
    told = found(
        (1, "completed", "kit 1", "", True), (2, "completed", "kit 2", "", False), (3, "completed", "kit 3", "", False),
        (4, "completed", "kit 3", "", True),
        (5, "violation", "arm", "speed"), (6, "violation", "arm", "force"), (7, "collided", "arm", "press"),
    )  # fmt: skip
    assert (told.orders, told.orders_right) == (3, 2 / 3)
    assert (told.violations, told.collisions) == (2, 1)


def test_every_kpi_has_a_unit_and_every_kind_of_event_a_meaning():
    assert list(UNITS) == list(Kpis.__dataclass_fields__)
    assert (UNITS["throughput"], UNITS["cycle_time"], UNITS["oee"]) == ("1/h", "s", "1")
    assert set(re.findall(r"^\s*\| (\w+) \|", Event.__doc__, re.MULTILINE)) - {"kind"} == set(get_args(EventKind))
    for name in UNITS:
        assert re.search(rf"\b{name}\b", Kpis.__doc__), name


@pytest.mark.parametrize("name", ["busy", *(f"event_{key}" for key in ("time", "kind", "item", "place", "right"))])
def test_an_episode_without_what_kpis_need_is_told(name):
    with pytest.raises(ReadingsError, match=f"KPIs need '{name}'; the episode holds"):
        kpis(episode().drop_vars(name))


def test_an_episode_without_its_tick_or_without_time_is_told():
    bare = episode()
    del bare.attrs["tick"]
    with pytest.raises(ReadingsError, match="KPIs need the attribute 'tick'; the episode has"):
        kpis(bare)
    with pytest.raises(ReadingsError, match=r"busy came with shape \(0,\)"):
        kpis(episode(ticks=0))


def test_kpis_of_several_episodes_are_what_a_score_is_and_get_its_intervals():
    good, bad = (((1, "spawned", "a"), (9, "placed", "a", "bin", right)) for right in (True, False))
    table = kpis_of([episode(*good, seed=7, busy=60), episode(*bad, seed=3, busy=120, policy="q")])
    assert table["seed"].values.tolist() == [7, 3] and table["correct"].values.tolist() == [1, 0]
    assert set(table.data_vars) == set(UNITS) and table["takt"].attrs["units"] == "s"
    assert (table.attrs["policy"], table.attrs["scene"]) == ("p,q", "s")
    # of the resamples of (3, 6) a quarter are all 3, a quarter all 6: the 2.5 % and 97.5 % quantiles
    assert summary(table)["cycle_time"].values.tolist() == [[4.5, 3, 6]]
    assert rows(summary(table), ("cycle_time",))[0]["cycle_time [s]"] == "4.50 [3.00, 6.00]"


def test_no_episodes_have_no_kpis():
    with pytest.raises(ReadingsError, match="no episodes came"):
        kpis_of([])


many = st.lists(
    st.tuples(
        st.floats(0, 3, exclude_max=True),
        st.sampled_from(get_args(EventKind)),
        st.sampled_from(["a", "b", "c", "d"]),
        st.sampled_from(["pass", "reject"]),
        st.booleans(),
    ),
    max_size=25,
).map(sorted)


@given(many, st.integers(0, 60), st.floats(0.1, 100))
def test_shares_stay_shares_and_oee_is_the_product_of_its_factors(events, busy, planned):
    told = found(*events, busy=busy, ticks=60, planned=planned)
    values = asdict(told)
    for name in (
        *SHARES, "availability", "quality", "first_pass", "rework", "scrap", "escape", "false_reject", "down",
        "orders_right",
    ):  # fmt: skip
        assert np.isnan(values[name]) or 0 <= values[name] <= 1 + 1e-12, name
    assert told.items == 0 or sum(values[name] for name in SHARES) == pytest.approx(1)
    assert told.items <= 4 and told.throughput >= 0 and told.oee >= 0
    assert 0 <= told.wip <= 4 and 0 <= told.utilisation <= 4
    if busy and not np.isnan(told.quality):
        produced = told.throughput * 3 / 3600
        assert told.oee == pytest.approx(told.availability * told.effectiveness * told.quality)
        assert told.oee == pytest.approx(planned * told.quality * produced / 3)  # PRI * GQ / PBT
        assert told.cycle_time * told.throughput / 3600 == pytest.approx(told.availability)
        assert told.quality - told.rework - 1e-9 <= told.first_pass <= told.quality


passages = st.lists(st.tuples(st.floats(0, 29), st.floats(0, 1), st.sampled_from(["placed", "missed"])), min_size=1)


@given(passages)
def test_where_all_that_came_were_decided_littles_law_holds(items):
    events = []
    for number, (came, share, end) in enumerate(items):
        events += [(came, "spawned", str(number)), (came + share * (30 - came), end, str(number), "bin", True)]
    told = found(*sorted(events))
    assert told.wip * told.takt == pytest.approx(told.lead_time)
