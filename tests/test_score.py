"""Scores: closed-loop runs over seeds, and intervals that can be worked out by hand."""

from dataclasses import asdict

import numpy as np
import pytest
import xarray as xr

from twinlab.cell import Cell
from twinlab.episodes import record
from twinlab.errors import CellError, UnknownVariantError
from twinlab.kpi import UNITS, kpis
from twinlab.policies.expert import Expert
from twinlab.policies.still import Still
from twinlab.scene import read_scene
from twinlab.score import apart, rows, score, summary

SEEDS = (60_001, 60_100)
TICKS = 130


@pytest.fixture(scope="module")
def scored(blind_cell, blind_spec) -> xr.Dataset:
    return score(blind_cell, Expert(blind_spec), SEEDS, TICKS)


def hand_made(policy: str = "mine", **metrics: list[float]) -> xr.Dataset:
    """Scores of two or more seeds; what is not given is 0."""
    count = len(next(iter(metrics.values())))
    values = {name: ("seed", np.array(metrics.get(name, [0.0] * count), float)) for name in UNITS}
    return xr.Dataset(values, coords={"seed": 60_000 + np.arange(count)}, attrs={"policy": policy})


def of(found: xr.Dataset, name: str, policy: str = "mine") -> list[float]:
    return found[name].sel(policy=policy).values.tolist()


def test_a_score_has_one_variable_a_metric_with_its_unit_over_seeds(scored, blind_spec):
    assert set(scored.data_vars) == set(UNITS)
    assert {name: v.attrs["units"] for name, v in scored.data_vars.items()} == UNITS
    assert all(v.dims == ("seed",) for v in scored.values())
    assert scored["seed"].values.tolist() == list(SEEDS)
    told = scored.attrs
    assert (told["policy"], told["scene_digest"], told["split"], told["ticks"]) == (
        "expert", blind_spec.digest, "test", TICKS,
    )  # fmt: skip


def test_a_score_is_the_kpis_of_each_seeds_run(scored, blind_cell, blind_spec):
    for seed in SEEDS:
        wanted = asdict(kpis(record(blind_cell, Expert(blind_spec), TICKS, seed)))
        for name, value in wanted.items():
            assert np.array_equal(float(scored[name].sel(seed=seed)), value, equal_nan=True), name
    assert float(scored["availability"].min()) > 0


def test_pegs_are_counted_by_their_clearance():
    spec = read_scene("insertion")
    with Cell(spec, without=list(spec.sensors)) as cell:
        found = score(cell, Still(len(spec.actuators)), [60_000, 60_001])
    assert found["peg"].values.tolist() == ["loose", "medium", "tight"]
    assert (found["items_decided"].values == 1).all() and not found["items_right"].values.any()
    assert apart(found) == dict.fromkeys(("loose", "medium", "tight"), "0.00 [0.00, 0.66] (2)")


def test_a_line_that_tells_no_items_apart_gives_no_such_counts(scored):
    assert apart(scored) == {}


def test_the_order_of_seeds_and_the_number_of_workers_change_nothing(scored, blind_cell, blind_spec):
    told = []
    back = score(blind_cell, Expert(blind_spec), SEEDS[::-1], TICKS, 2, lambda done, of: told.append((done, of)))
    assert back["seed"].values.tolist() == list(SEEDS[::-1])
    xr.testing.assert_identical(back.sortby("seed"), scored)
    assert told == [(1, 2), (2, 2)]


def test_nothing_is_rendered_for_a_policy_that_does_not_look(sorting, monkeypatch):
    with Cell(sorting) as cell, monkeypatch.context() as blind:
        blind.setattr("twinlab.rooms.build", None)  # whoever builds a renderer fails
        wanted = score(cell, Still(), [60_000], 10)
    pictures = [name for name, sensor in sorting.sensors.items() if getattr(sensor, "camera", "")]
    dark = sorting.model_copy(update={"renderer": "nothing"})  # no renderer can be opened in any process
    with Cell(dark, without=pictures) as cell:
        found = score(cell, Still(), [60_000], 10, workers=2)
        assert found.attrs.pop("scene_digest") != wanted.attrs.pop("scene_digest")
        xr.testing.assert_identical(found, wanted)
        with pytest.raises(UnknownVariantError, match="no 'nothing' in renderers/"):
            score(cell, Still(sees_pictures=True), [60_000], 10, workers=2)


def test_a_sensor_that_is_taken_away_gives_nothing_to_the_policy(blind_cell, blind_spec):
    found = score(blind_cell, Expert(blind_spec), [60_000], 3, without=("encoder", "joints"))
    assert found.attrs["without"] == "encoder,joints" and "without" not in score(blind_cell, Still(), [60_000], 1).attrs
    with pytest.raises(KeyError, match="tcp"):
        score(blind_cell, Expert(blind_spec), [60_000], 3, without=("tcp",))
    with pytest.raises(CellError, match="Did you mean 'encoder'"):
        score(blind_cell, Still(), [60_000], 3, without=("encodr",))


def test_who_stands_still_picks_nothing(blind_cell):
    found = score(blind_cell, Still(), [60_001], TICKS)
    assert all((found[name] == 0).all() for name in ("throughput", "oee", "stops"))
    assert found["quality"].isnull().all()


def test_seeds_that_were_trained_on_show_in_the_split(blind_cell):
    assert score(blind_cell, Still(), [0, 60_000], 2).attrs["split"] == "test,train"


def test_a_score_names_the_goals_of_all_its_runs():
    spec = read_scene("valve_round")
    with Cell(spec, without=list(spec.sensors)) as cell:
        goals = {record(cell, Still(5), 1, seed).attrs["instruction"] for seed in SEEDS}
        assert score(cell, Still(5), SEEDS, 1).attrs["instruction"] == ",".join(sorted(goals)) and len(goals) == 2


def test_shares_are_pooled_over_items_and_all_else_over_seeds():
    found = summary(hand_made(correct=[1, 0.5], oee=[0.2, 0.4], items=[1, 3]))
    assert of(found, "correct")[0] == pytest.approx((1 * 1 + 3 * 0.5) / 4)
    assert of(found, "oee")[0] == pytest.approx(0.3)
    assert (int(found["seeds"][0]), int(found["items"][0])) == (2, 4)
    assert found["correct"].attrs["units"] == "1" and found["throughput"].attrs["units"] == "1/h"


def test_two_seeds_give_the_interval_from_one_to_the_other():
    # of the resamples of (0, 10), a quarter are all 0, a quarter all 10: the 2.5 % and 97.5 % quantiles
    assert of(summary(hand_made(throughput=[0, 10])), "throughput") == [5, 0, 10]


def test_many_seeds_give_the_interval_of_a_normal_mean():
    values = np.random.default_rng(1).normal(50, 10, 400)
    mean, low, high = of(summary(hand_made(throughput=list(values))), "throughput")
    half = 1.96 * values.std() / np.sqrt(400)
    assert mean == pytest.approx(values.mean())
    assert [low, high] == pytest.approx([mean - half, mean + half], abs=0.15 * half)


def test_shares_that_are_all_the_same_get_wilsons_interval():
    mean, low, high = of(summary(hand_made(correct=[1, 1, 1], items=[10, 4, 6])), "correct")
    assert (mean, high) == (1, pytest.approx(1))
    assert low == pytest.approx(20 / (20 + 1.959964**2), abs=1e-6)  # Wilson's lower bound when all of n = 20 succeed


def test_intervals_hold_the_mean_and_repeat():
    rng = np.random.default_rng(0)
    values = {name: list(rng.beta(2, 2, 12)) for name in UNITS} | {"items": list(rng.integers(1, 9, 12))}
    one, two = (summary(hand_made(**values)) for _ in range(2))
    xr.testing.assert_identical(one, two)
    for name in set(UNITS) - {"items"}:
        mean, low, high = of(one, name)
        assert low < mean < high, name


def test_seeds_in_which_nothing_was_produced_do_not_count():
    found = summary(hand_made(cycle_time=[np.nan, 4, 6], correct=[np.nan, 1, 0], items=[0, 2, 2]))
    assert of(found, "cycle_time") == [5, 4, 6]
    assert of(found, "correct")[0] == 0.5
    assert np.isnan(of(summary(hand_made(quality=[np.nan, np.nan])), "quality")).all()


def test_one_seed_has_no_interval():
    mean, low, high = of(summary(hand_made(oee=[0.5])), "oee")
    assert mean == 0.5 and np.isnan([low, high]).all()


def test_several_policies_stand_in_their_order_in_one_table():
    found = summary({"b": hand_made(oee=[0.1, 0.3]), "a": hand_made(oee=[0.5])})
    assert found["policy"].values.tolist() == ["b", "a"]
    table = rows(found, ("oee", "throughput"))
    assert table[0]["oee"] == "0.20 [0.10, 0.30]" and table[1]["oee"] == "0.50"
    assert [row["policy"] for row in table] == ["b", "a"] and [row["seeds"] for row in table] == ["2", "1"]


def test_rows_say_units_and_leave_out_what_is_not_known():
    table = rows(summary(hand_made(throughput=[480, 520], cycle_time=[np.nan, np.nan])))
    assert table[0]["throughput [1/h]"] == "500 [480, 520]"
    assert table[0]["cycle_time [s]"] == "–"
