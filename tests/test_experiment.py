"""Experiments: factors become dims, nothing is run twice, and chance is not taken for a finding."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from twinlab import experiment as house
from twinlab.cell import Cell
from twinlab.errors import ExperimentError, SceneError
from twinlab.experiment import compare, experiment, factor_of, plot, rows, summarise
from twinlab.experiment._factors import resolved
from twinlab.faults.slip import Slip
from twinlab.kpi import UNITS
from twinlab.policies.expert import Expert
from twinlab.policies.still import Still
from twinlab.score import score, summary
from twinlab.tracking import read, start

SEEDS = (60_001, 60_100)
TICKS = 20


def ticks_of(episode: xr.Dataset) -> float:
    return float(episode.sizes["time"])


def asked(spec, out, factors=None, seeds=SEEDS, **more):
    """A small table, and the progress that was told."""
    told: list[tuple[int, int, float]] = []
    factors = factors or {"belt.speed": ["80 mm/s", 0.12], "policy": ["expert", "still"]}
    more = {"ticks": TICKS, "out": out, "progress": lambda *one: told.append(one)} | more
    return experiment(spec, factors, seeds, **more), told


@pytest.fixture(scope="module")
def done(blind_spec, tmp_path_factory):
    """A table, what was told, and its folder."""
    out = tmp_path_factory.mktemp("done")
    return *asked(blind_spec, out), out


def hand_made(values, name: str = "throughput", **coords) -> xr.Dataset:
    """A table of one metric, its last axis the seeds."""
    values = np.asarray(values, float)
    dims = [*coords, "seed"]
    data = {name: (dims, values, {"units": UNITS.get(name, "1"), "metric": name})}
    table = xr.Dataset(data | {"items": (dims, np.full(values.shape, 10.0))}, coords=coords)
    return table.assign_coords(seed=60_000 + np.arange(values.shape[-1]))


# The table


def test_a_table_has_the_factors_as_dims_in_si_units_and_one_variable_a_kpi(done, blind_spec):
    table = done[0]
    assert dict(table.sizes) == {"belt.speed": 2, "policy": 2, "seed": 2}
    assert table["belt.speed"].values.tolist() == [0.08, 0.12]
    assert table["belt.speed"].attrs == {"units": "m/s", "key": "bodies.belt.speed"}
    assert table["policy"].values.tolist() == ["expert", "still"]
    assert {str(name): v.attrs["units"] for name, v in table.data_vars.items()} == UNITS
    assert table.attrs["scene_digest"] == blind_spec.digest and table.attrs["split"] == "test"


def test_a_cell_of_the_table_is_the_score_of_its_line_policy_and_seed(blind_spec, tmp_path):
    found, _ = asked(blind_spec, tmp_path, {"belt.speed": [0.08, 0.12]}, (60_100,), ticks=130)
    changed = blind_spec.change({"belt.speed": 0.12})
    with Cell(changed) as cell:
        wanted = score(cell, Expert(changed), [60_100], 130)
    for name in UNITS:
        one = found[name].sel({"belt.speed": 0.12}).values
        assert np.array_equal(one, wanted[name].values, equal_nan=True), name
    assert float(wanted["availability"].max()) > 0


def test_what_is_done_is_not_run_again_and_a_wider_table_takes_it_up(done, blind_spec, monkeypatch):
    table, told, out = done
    assert [one[:2] for one in told] == [(n, 8) for n in range(9)]
    assert np.isnan(told[0][2]) and all(left >= 0 for *_, left in told[1:]) and told[-1][2] == 0
    with monkeypatch.context() as broken:
        broken.setattr(house, "run", None)  # whoever runs something fails
        again, told = asked(blind_spec, out)
    assert told == [(8, 8, 0.0)]
    xr.testing.assert_identical(again, table)
    wider, told = asked(blind_spec, out, {"policy": ["still", "expert"], "belt.speed": [0.12, 0.08, 0.1]})
    assert told[0][:2] == (8, 12)
    for name in UNITS:
        part = wider[name].sel({"belt.speed": [0.08, 0.12], "policy": ["expert", "still"]})
        assert np.array_equal(part.transpose(*table[name].dims).values, table[name].values, equal_nan=True)


def test_other_kpis_of_the_same_runs_are_there_already(done, blind_spec):
    found, told = asked(blind_spec, done[2], metrics={"right": "correct"})
    assert told == [(8, 8, 0.0)] and list(found.data_vars) == ["right", "items"]


@pytest.mark.parametrize(
    "more", [{"ticks": TICKS + 1}, {"metrics": [ticks_of]}, {"factors": {"vary": [0.5], "policy": ["still"]}}]
)
def test_what_differs_in_anything_that_counts_is_run(done, blind_spec, more, monkeypatch):
    ran = []
    monkeypatch.setattr(house, "run", lambda *one: (0, dict.fromkeys([*UNITS, "ticks_of"], 0.0), "", ran.append(one)))
    asked(blind_spec, done[2], **{"seeds": SEEDS[:1], **more})
    assert ran
    for file in done[2].glob("*.json"):
        if set(json.loads(file.read_text())["metrics"].values()) == {0.0}:
            file.unlink()  # what was not measured


def test_the_settings_of_a_policy_and_the_source_of_the_package_are_in_the_key(blind_spec, monkeypatch):
    def key(policy) -> str:
        return house.key_of(blind_spec.digest, house.policy_key(policy), 1, 10, {})

    keys = {key(Still()), key(Still(5)), key(Expert(blind_spec)), key(Expert(blind_spec.change({"belt.speed": 0.07})))}
    assert len(keys) == 4 and key(Still()) in keys
    monkeypatch.setattr("twinlab.experiment._kept.code", lambda: "another")
    assert key(Still()) not in keys


def test_a_damaged_file_is_run_again_and_made_whole(blind_spec, tmp_path):
    factors = {"policy": ["still"]}
    first, _ = asked(blind_spec, tmp_path, factors, SEEDS[:1])
    (file,) = tmp_path.glob("*.json")
    for text in ("{", "[]", '{"metrics": 3}', '{"metrics": {"oee": "x"}}'):
        file.write_text(text)
        again, told = asked(blind_spec, tmp_path, factors, SEEDS[:1])
        assert told[0][:2] == (0, 1)
        xr.testing.assert_identical(again, first)
    assert [f.name for f in tmp_path.iterdir()] == [file.name]


KILLED = """
import sys, os, signal
from twinlab.experiment import experiment
def kill(done, of, left):
    if done == 2:
        os.kill(os.getpid(), signal.SIGKILL)
experiment(sys.argv[1], {"policy": ["still"]}, range(60_000, 60_004), ticks=5, out=sys.argv[2], progress=kill)
"""


def test_a_call_that_was_killed_goes_on_where_it_was(blind_spec, tmp_path):
    line = tmp_path / "blind.toml"
    line.write_text(blind_spec.toml(), encoding="utf-8")
    dead = subprocess.run([sys.executable, "-c", KILLED, str(line), str(tmp_path / "out")], timeout=60)
    assert dead.returncode < 0
    _, told = asked(line, tmp_path / "out", {"policy": ["still"]}, range(60_000, 60_004), ticks=5)
    assert told[0][:2] == (2, 4)


def test_a_metric_of_ones_own_is_a_number_of_each_episode(blind_spec, tmp_path):
    metrics = {"length": ticks_of, "pieces": "items", "speed": lambda e: e["encoder"].values.max()}
    found, _ = asked(blind_spec, tmp_path, {"policy": ["still"]}, metrics=metrics, workers=2)
    assert list(found.data_vars) == ["length", "pieces", "speed", "items"]
    assert (found["length"] == TICKS).all() and (found["speed"] > 0).all()


@dataclass
class Mine(Still):
    push: float = 0.0


def test_policies_may_be_names_models_or_objects_and_levels_may_have_names(blind_spec, tmp_path):
    (tmp_path / "model").mkdir()
    factors = {"policy": {"lazy": Still(), "pushing": Mine(push=0.1)}, "faults.slip": {"slips": Slip(of="belt")}}
    found, _ = asked(blind_spec, tmp_path, factors, SEEDS[:1], ticks=3)
    assert found["policy"].values.tolist() == ["lazy", "pushing"]
    assert found["faults.slip"].values.tolist() == ["slips"]


# Names


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("belt.speed", "bodies.belt.speed"),
        ("bodies.belt.speed", "bodies.belt.speed"),
        ("substeps", "physics.substeps"),
        ("overhead.noise", "sensors.overhead_rgb.read_noise"),
        ("ticks", "ticks"),
        ("faults.new", "faults.new"),
    ],
)
def test_a_key_may_be_as_short_as_is_unambiguous(sorting, name, path):
    assert resolved(sorting, name) == path


@pytest.mark.parametrize(
    ("factors", "said"),
    [
        ({"belt.sped": [1]}, r"factor 'belt.sped': sorting has no such key.*Did you mean 'belt.speed'\?"),
        ({"polcy": ["still"]}, r"Did you mean 'policy'\?"),
        ({"latency": [0.1]}, r"may be any of \['sensors.*write out which"),
        ({"belt.speed": []}, r"factor 'belt.speed': levels came as \[\]; wanted a list of at least one"),
        ({"belt.speed": 0.1}, r"levels came as 0.1"),
        ({"belt.speed": [0.1, "100 mm/s"]}, r"levels came as \[0.1, 0.1\], some twice"),
        ({"belt.speed": [0.1], "bodies.belt.speed": [0.2]}, r"two of them are the same key of sorting"),
        ({"policy": ["expret"]}, r"factor 'policy'.*Did you mean 'expert'\?"),
        ({"policy": [3.0]}, r"came 3.0; wanted one of \['cloned'"),
        ({"vary": [-1]}, r"factor 'vary': a level came as -1; wanted a share from 0 on"),
        ({"seed": [1]}, r"this name is taken; give seeds by `seeds`"),
    ],
)
def test_a_wrong_factor_is_told_before_anything_is_run(sorting, tmp_path, factors, said):
    with pytest.raises((ExperimentError, ValueError), match=said) as told:
        experiment(sorting, factors, [60_000], ticks=2, out=tmp_path / "out")
    assert isinstance(told.value, ExperimentError)
    assert not (tmp_path / "out").exists()


def test_a_level_that_does_not_fit_its_key_is_told_by_the_scene(sorting, tmp_path):
    with pytest.raises(SceneError, match=r"\[bodies.belt\] speed: came '3 kg'; wanted a value in m/s"):
        experiment(sorting, {"belt.speed": ["3 kg"]}, [60_000], ticks=2, out=tmp_path)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"metrics": ["corect"]}, r"metric 'corect' is no KPI.*Did you mean 'correct'\?"),
        ({"metrics": [lambda e: 1.0]}, r"metric '<lambda>': a function needs a name of its own"),
        ({"seeds": []}, r"seeds came as \[\]; wanted at least one"),
        ({"seeds": [1, 1]}, r"wanted at least one, each once"),
    ],
)
def test_wrong_metrics_and_seeds_are_told(sorting, tmp_path, more, said):
    with pytest.raises(ExperimentError, match=said):
        experiment(sorting, {"policy": ["still"]}, **({"seeds": [60_000], "ticks": 2, "out": tmp_path} | more))


class Bare:
    sees_truth = sees_pictures = False

    def reset(self, seed, meaning): ...

    def __call__(self, readings): ...


def test_a_policy_whose_settings_cannot_be_told_is_refused(sorting, tmp_path):
    with pytest.raises(ExperimentError, match=r"policy Bare is no dataclass; .* put @dataclass above the class"):
        experiment(sorting, {"policy": [Bare()]}, [60_000], ticks=2, out=tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="files are folders nowhere")
def test_a_folder_that_cannot_be_made_is_told(sorting, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ExperimentError, match=r"can't make the folder .* give another by `out`"):
        experiment(sorting, {"policy": ["still"]}, [60_000], ticks=2, out=tmp_path / "file")


# What it says


def test_a_summary_is_that_of_the_scores(done, blind_spec):
    table = done[0]
    found = summarise(table)
    changed = blind_spec.change({"belt.speed": 0.08})
    with Cell(changed) as cell:
        wanted = summary(score(cell, Expert(changed), SEEDS, TICKS)).sel(policy="expert")
    one = found.sel({"belt.speed": 0.08, "policy": "expert"})
    for name in set(UNITS) - {"items"}:
        assert np.array_equal(one[name].values, wanted[name].values, equal_nan=True), name
    assert (int(one["seeds"]), int(one["items"])) == (int(wanted["seeds"]), int(wanted["items"]))


def test_shares_are_pooled_over_items():
    table = hand_made([[1.0, 0.0]], "correct", policy=["a"])
    table["items"].values[:] = [[3, 1]]
    assert float(summarise(table)["correct"].sel(policy="a", statistic="mean")) == 0.75


def test_rows_tell_a_summary_with_units():
    found = rows(summarise(hand_made([[60.0, 60.0]], policy=["a"])))
    assert found == [{"policy": "a", "seeds": "2", "items": "20", "throughput [1/h]": "60.00 [60.00, 60.00]"}]


def test_rows_tell_a_comparison():
    noise = 100 * np.arange(8.0)
    found = rows(compare(hand_made([noise, noise + 5], policy=["a", "b"]), "throughput"))
    p = {"p": "0.0078125", "p_corrected": "0.0078125", "significant": "yes", "pairs": "8"}
    assert found == [{"policy": "b", **p, "difference [1/h]": "5.00 [5.00, 5.00]"}]


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("belt.speed=0.1, 0.15", [0.1, 0.15]),
        ("belt.speed = 80 mm/s,0.1", ["80 mm/s", 0.1]),
        ("belt.moves=true,false", [True, False]),
        ("part.position=[0, 0, 1],[0.5, 0, 1]", [[0, 0, 1], [0.5, 0, 1]]),
        ("policy=still,cloned@runs/a", ["still", ("cloned", "runs/a")]),
    ],
)
def test_a_factor_can_be_written_as_text(text, levels):
    assert factor_of(text) == (text.partition("=")[0].strip(), levels)


@pytest.mark.parametrize("text", ["belt.speed", "=1", "belt.speed=", ""])
def test_half_a_factor_is_refused(text):
    with pytest.raises(ExperimentError, match="wanted a name and levels"):
        factor_of(text)


def test_differences_are_paired_by_seed():
    noise = 100 * np.arange(8.0)
    found = compare(hand_made([noise, noise + 5], policy=["a", "b"]), "throughput")
    one = found.sel(policy="b")
    assert one["difference"].values.tolist() == [5, 5, 5]
    assert float(one["p"]) == 2 / 2**8 and bool(one["significant"]) and int(one["pairs"]) == 8
    assert (found.attrs["baseline"], found.attrs["comparisons"], found.attrs["correction"]) == ("a", 1, "holm")


def test_comparisons_count_over_all_other_factors_and_are_corrected_together():
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, (3, 2, 8))
    values[2, 1] += 50
    table = hand_made(values, policy=["a", "b", "c"], speed=[0.1, 0.2])
    found = compare(table, "throughput", baseline="b")
    assert found["policy"].values.tolist() == ["a", "c"] and found.attrs["comparisons"] == 4
    assert float(found["p_corrected"].sel(policy="c", speed=0.2)) == pytest.approx(4 * 2 / 2**8)
    assert int(found["significant"].sum()) == 1 and bool(found["significant"].sel(policy="c", speed=0.2))
    along = compare(table, "throughput", along="speed")
    assert along["speed"].values.tolist() == [0.2] and along.sizes["policy"] == 3


def test_what_is_known_of_one_only_is_no_pair():
    found = compare(hand_made([[1, 2, np.nan], [3, np.nan, 4]], policy=["a", "b"]), "throughput")
    assert int(found["pairs"][0]) == 1 and float(found["p"][0]) == 1.0
    nothing = compare(hand_made([[np.nan], [1]], policy=["a", "b"]), "throughput")
    assert np.isnan(nothing["p_corrected"].values).all() and not nothing["significant"].any()


def test_at_most_one_table_in_twenty_of_pure_chance_has_a_finding():
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(200):
        table = hand_made(rng.normal(0, 1, (5, 10)), policy=list("abcde"))
        false += bool(compare(table, "throughput")["significant"].any())
    assert false <= 16  # 5 % of 200, and two standard deviations more


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"metric": "througput"}, r"no metric 'througput'.*Did you mean 'throughput'\?"),
        ({"along": "polcy"}, r"no factor 'polcy'; there are \['policy'\]. Did you mean 'policy'\?"),
        ({"baseline": "c"}, r"no level of 'policy' 'c'; there are \['a', 'b'\]"),
        ({"correction": "bonferoni"}, r"no correction 'bonferoni'; there are \['holm', 'benjamini_hochberg'\]"),
    ],
)
def test_a_wrong_comparison_is_told(more, said):
    with pytest.raises(ExperimentError, match=said):
        compare(hand_made([[1, 2], [3, 4]], policy=["a", "b"]), **({"metric": "throughput"} | more))


def test_what_cannot_be_compared_or_summed_up_is_told():
    with pytest.raises(ExperimentError, match="has one level, 'a'; there is nothing to compare"):
        compare(hand_made([[1, 2]], policy=["a"]), "throughput")
    with pytest.raises(ExperimentError, match=r"a table of dims \[\] came; wanted what `experiment` gave"):
        summarise(xr.Dataset())


def test_a_plot_shows_every_mean_and_its_interval():
    values = np.arange(24.0).reshape(2, 3, 4) ** 2
    found = summarise(hand_made(values, policy=["a", "b"], speed=[0.1, 0.2, 0.3]).assign_coords(speed=[0.1, 0.2, 0.3]))
    figure = plot(found, "throughput", "speed", by="policy")
    (axis,) = figure.axes
    assert [line.get_label() for line in axis.lines] == ["a", "b"] and len(axis.collections) == 2
    for line, policy in zip(axis.lines, "ab", strict=True):
        assert line.get_ydata().tolist() == found["throughput"].sel(policy=policy, statistic="mean").values.tolist()
    assert axis.get_ylabel() == "throughput [1/h]"
    named = plot(found, "throughput", "policy", beside="speed")
    assert len(named.axes) == 3 and [t.get_text() for t in named.axes[0].get_xticklabels()] == ["a", "b"]
    with pytest.raises(ExperimentError, match=r"factors \['policy'\] are left; choose a level by summary.sel"):
        plot(found, "throughput", "speed")


def test_a_tracked_run_keeps_the_table_and_how_it_grew(blind_spec, tmp_path):
    with start(tmp_path, "speeds", blind_spec) as kept:
        table, _ = asked(blind_spec, tmp_path / "out", {"policy": ["still"]}, ticks=3, into=kept)
    found = read(Path(tmp_path) / "speeds")
    assert found.metrics["runs"].values.tolist() == [0, 1, 2]
    xr.testing.assert_allclose(found.result, table)
