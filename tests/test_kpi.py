"""KPIs against numbers worked out by hand with ISO 22400-2's formulas."""

from dataclasses import asdict

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from twinlab.errors import ReadingsError
from twinlab.kpi import UNITS, Kpis, kpis

SHARES = ("correct", "wrong", "missed", "dropped")


def run(events: list[tuple[str, str, bool]], busy: int, ticks: int = 600, planned: float = 4.0) -> xr.Dataset:
    """An episode of 0.05 s ticks in which the robot was busy for some of them; events are (kind, item, right)."""
    kinds, items, right = zip(*events, strict=True) if events else ((), (), ())
    return xr.Dataset(
        {
            "busy": ("time", np.arange(ticks) < busy),
            "event_kind": ("event", np.array(kinds, dtype="<U32")),
            "event_item": ("event", np.array(items, dtype="<U32")),
            "event_right": ("event", np.array(right, bool)),
        },
        attrs={"tick": 0.05, "planned_run_time": planned},
    )


def spawned(*items: str) -> list[tuple[str, str, bool]]:
    return [("spawned", item, False) for item in items]


def test_a_run_with_every_end_gives_the_numbers_worked_out_by_hand():
    events = [
        *spawned("a", "b", "c", "d", "e", "f"),
        ("picked", "a", False),
        ("placed", "a", True),
        ("picked", "b", False),
        ("placed", "b", False),
        ("missed", "c", False),
        ("stop", "arm", False),
        ("picked", "d", False),
        ("dropped", "d", False),
        ("picked", "e", False),
        ("placed", "e", True),
    ]
    found = kpis(run(events, busy=400))
    # PBT = 600 * 0.05 = 30 s, APT = 400 * 0.05 = 20 s, PQ = 3 (a, b, e), GQ = 2 (a, e), PRI = 4 s; f is on its way
    assert found == Kpis(
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
    )


def test_a_part_counts_once_and_by_its_last_end():
    events = [("dropped", "a", False), ("picked", "a", False), ("dropped", "a", False), ("placed", "a", True)]
    found = kpis(run(events, busy=100))
    assert (found.items, found.correct, found.dropped) == (1, 1, 0)


def test_a_line_on_which_nothing_came_has_no_shares():
    found = kpis(run([], busy=0))
    assert (found.throughput, found.availability, found.oee, found.items, found.stops) == (0, 0, 0, 0, 0)
    for name in (*SHARES, "cycle_time", "effectiveness", "quality"):
        assert np.isnan(getattr(found, name)), name


def test_parts_that_are_all_still_on_their_way_are_not_judged():
    found = kpis(run([*spawned("a", "b"), ("picked", "a", False)], busy=100))
    assert found.items == 0 and np.isnan(found.correct)
    assert found.availability == pytest.approx(5 / 30)


def test_a_line_that_picks_nothing_misses_all_and_has_no_quality():
    found = kpis(run([*spawned("a", "b"), ("missed", "a", False), ("missed", "b", False)], busy=0))
    assert (found.missed, found.correct, found.oee, found.throughput) == (1, 0, 0, 0)
    assert np.isnan(found.quality) and np.isnan(found.cycle_time)


def test_effectiveness_above_one_is_told_and_not_cut():
    found = kpis(run([("placed", "a", True), ("placed", "b", True)], busy=100, planned=4))
    assert found.effectiveness == pytest.approx(4 * 2 / 5)
    assert found.oee == pytest.approx(5 / 30 * 1.6 * 1)


def test_every_kpi_has_a_unit():
    assert list(UNITS) == list(Kpis.__dataclass_fields__)
    assert (UNITS["throughput"], UNITS["cycle_time"], UNITS["oee"]) == ("1/h", "s", "1")


@pytest.mark.parametrize("name", ["busy", "event_kind", "event_item", "event_right"])
def test_an_episode_without_what_kpis_need_is_told(name):
    with pytest.raises(ReadingsError, match=f"KPIs need '{name}'; the episode holds"):
        kpis(run([], busy=0).drop_vars(name))


event = st.tuples(
    st.sampled_from(["spawned", "picked", "placed", "missed", "dropped", "stop"]),
    st.sampled_from(["a", "b", "c", "d"]),
    st.booleans(),
)


@given(st.lists(event, max_size=15), st.integers(0, 60), st.floats(0.1, 100))
def test_shares_stay_shares_and_oee_is_the_product_of_its_factors(events, busy, planned):
    found = kpis(run(events, busy, ticks=60, planned=planned))
    values = asdict(found)
    for name in (*SHARES, "availability", "quality"):
        assert np.isnan(values[name]) or 0 <= values[name] <= 1, name
    assert found.items == 0 or sum(values[name] for name in SHARES) == pytest.approx(1)
    assert found.items <= 4 and found.throughput >= 0 and found.oee >= 0
    if busy and not np.isnan(found.quality):
        assert found.oee == pytest.approx(found.availability * found.effectiveness * found.quality)
        assert found.cycle_time * found.throughput / 3600 == pytest.approx(found.availability)
