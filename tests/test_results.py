"""Results: runs are kept one by one, numbers can be worked out by hand, and the document loses nothing."""

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tomli_w
import toy
import xarray as xr
from conftest import small_tables

from twinlab import quickstart, results
from twinlab.errors import ExperimentError, FormatError, ModelError
from twinlab.model import WorldModel
from twinlab.results import Counts, Evaluation
from twinlab.results._control import _compared, _kept
from twinlab.results._document import Target, placed, verdicts
from twinlab.results._runs import Bench, Run, Tally, under
from twinlab.results._seen import Held, covered, foreseen
from twinlab.results._surprise import noticed, surprise
from twinlab.scene import FOLDERS, read_scene

FEW = Counts(nominal=1, varied=1, faulty=1, oracle=0, needed=1)
TICKS = 50  # so that there is a window to foresee 2 s


def nothing(stage: str, done: int, of: int) -> None:
    """Tells nobody."""


def tally(right: list[float], decided: list[float]) -> Tally:
    return Tally(np.array(right, float), np.array(decided, float))


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> str:
    """The sorting line with one small camera, and one fault."""
    folder: Path = tmp_path_factory.mktemp("results")
    full = tomllib.loads((FOLDERS[0] / "sorting.toml").read_text(encoding="utf-8"))
    tables = small_tables() | {"faults": {"slip": full["faults"]["slip"]}}
    for name, sensor in tables["sensors"].items():
        sensor["redundant"] = name not in ("tcp", "overhead_rgb")
    tables["sensors"] = {n: tables["sensors"][n] for n in ("overhead_rgb", "tcp", "width", "encoder")}
    (folder / "small.toml").write_text(tomli_w.dumps(tables), encoding="utf-8")
    return str(folder / "small.toml")


@pytest.fixture(scope="module")
def model(scene, tmp_path_factory) -> str:
    """A model of that line that learnt next to nothing."""
    folder = tmp_path_factory.mktemp("model")
    job = quickstart.Quickstart(
        scene=scene, folder=str(folder), ticks=80, training=2, validation=1, held_out=0, workers=1, fit=toy.SMALL
    )
    quickstart.trained(job, quickstart.recorded(job, read_scene(scene), nothing), nothing)
    return str(folder / "model")


@pytest.fixture(scope="module")
def job(scene, model, tmp_path_factory) -> Evaluation:
    """What is measured on held-out episodes; control is run for less long."""
    folder, parts = str(tmp_path_factory.mktemp("kept")), ("prediction", "perception", "calibration")
    return Evaluation(scene, model, folder, parts, FEW, held_out=1, training=1, ticks=TICKS, workers=1)


@pytest.fixture(scope="module")
def short(job) -> Evaluation:
    return replace(job, parts=("control",), ticks=3)


@pytest.fixture(scope="module")
def found(job, short) -> dict[str, str]:
    return dict(results.run(job, nothing)) | dict(results.run(short, nothing))


def bench(spec, folder: Path, ticks: int = 6) -> Bench:
    return Bench(spec, ticks, "", "", folder)


def test_each_part_comes_once_and_in_the_order_of_the_document(found):
    assert results.PARTS == ("prediction", "perception", "control", "surprise", "calibration")
    assert tuple(found) == ("prediction", "perception", "calibration", "control")


def test_each_table_says_on_what_it_rests(found, scene):
    digest = read_scene(scene).digest
    for part in ("prediction", "perception", "calibration"):
        assert "1 held-out episodes (seeds 65000)" in found[part] and digest in found[part], part
    assert "test seeds 60000–60000, n = 1" in found["control"] and digest in found["control"]
    assert "model file" in found["control"] and "| target | found | verdict |" in found["control"]


def test_every_policy_acts_under_every_condition(found):
    for head in ("nominal: test", "with variation: test", "with variation and one fault a run: test"):
        table = found["control"].split(f"**{head}", 1)[1].split("**", 2)[1]
        assert all(f"| {name} |" in table for name in ("still", "program", "expert", "cloned", "planned")), head
    assert found["control"].count("planned − cloned: ") == 3


def test_each_redundant_sensor_and_each_needed_one_is_removed(found):
    rows = [line.split(" | ")[:3] for line in found["perception"].splitlines() if " | redundant |" in line]
    assert rows == [["| width", "redundant", "1"], ["| encoder", "redundant", "1"]]
    assert "| overhead_rgb | needed | 1 |" in found["perception"] and "| tcp | needed | 1 |" in found["perception"]


def test_what_is_done_is_not_done_again(job, short, found):
    told: list[tuple[str, int, int]] = []
    again = [dict(results.run(one, lambda *stage: told.append(stage))) for one in (job, short)]
    assert again[0] | again[1] == found
    assert "record" not in {stage for stage, _, _ in told}
    assert all(done == of for stage, done, of in told if stage.startswith(("control", "removed")))


def test_more_seeds_are_added_to_those_that_are_there(short, found):
    told: list[tuple[str, int, int]] = []
    dict(results.run(replace(short, counts=replace(FEW, nominal=2)), lambda *one: told.append(one)))
    first = {stage: (done, of) for stage, done, of in reversed(told)}
    assert first["control still"] == first["control planned"] == (3, 4)


def test_a_line_without_a_model_is_measured_as_far_as_it_goes(scene, tmp_path):
    job = Evaluation(scene, folder=str(tmp_path), counts=Counts(0, 1, 0, 0, 0), ticks=4, workers=1)
    found = dict(results.run(job, nothing))
    assert found["prediction"] == "Not measured: there is no model of this line, 'small'."
    assert "| expert |" in found["control"] and "| cloned |" not in found["control"]
    assert "no model of this line | not measured |" in found["control"]


def test_a_model_that_was_asked_for_and_is_not_there_is_an_error(scene, tmp_path):
    with pytest.raises(ModelError, match=r"no config\.json"):
        next(results.run(Evaluation(scene, str(tmp_path / "none"), str(tmp_path)), nothing))


def test_an_unknown_part_is_told_with_the_nearest():
    with pytest.raises(ExperimentError, match=r"no 'contrl'; there are .* Did you mean 'control'"):
        Evaluation(parts=("contrl",))


def test_numbers_that_cannot_be_are_told():
    with pytest.raises(ExperimentError, match="varied=0"):
        Evaluation(counts=Counts(varied=0))
    with pytest.raises(ExperimentError, match="held_out 0"):
        Evaluation(held_out=0)


def test_a_job_that_was_killed_goes_on_with_the_runs_that_lack(blind_spec, tmp_path):
    runs = [Run("varied", "still", seed) for seed in (60_000, 60_001, 60_002)]

    def killed(stage: str, done: int, of: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench(blind_spec, tmp_path).rows(runs, "run", killed)
    assert len(list(tmp_path.glob("*.json"))) == 2
    told: list[int] = []
    again = bench(blind_spec, tmp_path).rows(runs, "run", lambda _, done, of: told.append(done))
    assert told == [2, 3] and list(again) == runs
    fresh = bench(blind_spec, tmp_path / "other").rows(runs, "run", nothing)
    assert [row["stops"] for row in fresh.values()] == [row["stops"] for row in again.values()]


def test_a_damaged_file_counts_as_none(blind_spec, tmp_path):
    run = Run("varied", "still", 60_000)
    bench(blind_spec, tmp_path).rows([run], "run", nothing)
    (file,) = tmp_path.glob("*.json")
    file.write_text('{"row": [', encoding="utf-8")
    assert bench(blind_spec, tmp_path).rows([run], "run", nothing)[run]["decided"] == 0


def test_runs_of_other_length_line_weights_or_sensors_are_other_runs(blind_spec, tmp_path):
    faster, run = blind_spec.change({"belt.speed": 0.2}), Run("varied", "cloned", 60_000)
    benches = [bench(blind_spec, tmp_path), bench(blind_spec, tmp_path, 7), bench(faster, tmp_path)]
    benches += [replace(benches[0], weights="abc"), bench(blind_spec.change({"sensors.tcp.redundant": True}), tmp_path)]
    files = {one._file(run) for one in benches} | {benches[0]._file(replace(run, without=("tcp",)))}
    assert len(files) == 6
    assert benches[0]._file(Run("varied", "still", 0)) == benches[3]._file(Run("varied", "still", 0))


def test_under_faults_each_seed_has_one_of_them_for_sure(sorting):
    chances = [
        {n: f.chance for n, f in under(sorting, Run("faulty", "expert", seed)).faults.items()}
        for seed in range(60_000, 60_004)
    ]
    assert [[n for n, chance in one.items() if chance] for one in chances] == [[n] for n in sorting.faults]
    assert under(sorting, Run("nominal", "expert", 0)) == sorting.vary(0)
    assert under(sorting, Run("varied", "expert", 0)) is sorting


def test_one_item_is_the_first_that_the_expert_decides_and_that_does_not_come_right_by_itself(blind_spec, tmp_path):
    run = Run("varied", "program", 60_001, single=True)
    row = bench(blind_spec, tmp_path, 160).rows([run], "run", nothing)[run]
    assert (row["decided"], row["expert_right"]) == (1, 1) and row["item"] and row["ticks"] < 160


def test_items_that_come_right_by_themselves_do_not_count():
    mine = tally([3, 1, 0], [4, 2, 1]).less(tally([1, 0, 1], [3, 2, 1]))
    assert (mine.right.tolist(), mine.decided.tolist()) == ([2, 1, 0], [3, 2, 0])
    assert mine.shares.tolist()[:2] == [2 / 3, 1 / 2] and np.isnan(mine.shares[2])
    assert mine.share()[0] == pytest.approx(3 / 5)


def test_the_share_of_anothers_success_pairs_the_seeds():
    expert = tally([4, 2, 3, 3], [4, 4, 4, 4])
    half = tally([2, 1, 1.5, 1.5], [4, 4, 4, 4])
    assert half.over(expert) == pytest.approx((0.5, 0.5, 0.5))  # half of it on each seed, however the seeds are drawn
    assert np.isnan(half.over(tally([0] * 4, [4] * 4))).all()
    mean, low, high = tally([4, 1, 3, 2], [4, 4, 4, 4]).over(expert)
    assert mean == pytest.approx(10 / 12) and low < mean < high
    assert np.isnan(tally([1], [1]).over(tally([1], [1]))[1])


def test_planned_is_compared_with_cloned_seed_by_seed():
    count = 20
    few, many, all_ = (tally([n] * count, [4] * count) for n in (2, 3, 4))
    targets, line = _compared("varied", {"cloned": few, "planned": many, "expert": all_})
    assert line.startswith("planned − cloned: 25.00 [25.00, 25.00] points, n = 20 pairs, p = 0.000")
    assert [(t.met, t.lines) for t in targets] == [(True, 0), (True, 3), (False, 5), (False, 0)]
    assert targets[2].found == "0.75 [0.75, 0.75]"
    (worse,), _ = _compared("nominal", {"cloned": many, "planned": few})
    assert worse.met is False and worse.name == "planned is not worse than cloned, nominal"
    (unknown,), _ = _compared("nominal", {"cloned": tally([0], [0]), "planned": few})
    assert unknown.met is None


def test_the_worst_redundant_sensor_decides_and_whoever_does_not_stop_is_named():
    lost, stopped = _kept({"a": (0.9, 0.8, 1.0), "b": (0.7, 0.5, 0.9)}, {"c": [True, True], "d": [True, False]})
    assert (lost.met, lost.found) == (False, "b: 0.70 [0.50, 0.90] is left")
    assert (stopped.met, stopped.found) == (False, "3 of 4 runs; not: d")
    assert [one.met for one in _kept({}, {})] == [None, None]


def predicted(**findings: list[list[str]]) -> xr.Dataset:
    """Reading → findings by horizon (0.25, 0.5) and window (eventful, quiet); what begins with still does not move."""
    names = list(findings)
    values = np.array([findings[n] for n in names]).transpose(1, 0, 2)
    moves = np.array([[not n.startswith("still") for n in names]] * 2)
    return xr.Dataset(
        {"finding": (("ahead", "reading", "window"), values), "moves": (("ahead", "reading"), moves)},
        {"ahead": [0.25, 0.5], "reading": names, "window": ["eventful", "quiet"]},
    )


def test_predictions_must_be_better_where_something_happens_and_nowhere_worse():
    good = foreseen(predicted(a=[["even", "even"], ["better", "even"]], still=[["worse", "worse"], ["worse", "worse"]]))
    assert [one.met for one in good] == [True, True]
    assert good[0].found == "1 of 1 readings that move" and good[1].found == "worse in 0 of 3 cases"
    bad = foreseen(predicted(a=[["even", "worse"], ["even", "even"]], b=[["", ""], ["better", ""]]))
    assert [one.met for one in bad] == [False, False]
    assert bad[0].found == "1 of 2 readings that move; not: a"
    assert bad[1].found == "worse in 1 of 3 cases: a (0.25 s, quiet)"


def test_intervals_must_hold_what_they_say_within_four_points_for_each_truth():
    shares = np.array([[[0.54, 0.90]], [[0.46, 0.85]]])  # (ahead, what, level)
    one, other = covered(
        xr.Dataset({"share": (("ahead", "what", "level"), shares)}, {"ahead": [0, 1], "level": [0.5, 0.9]})
    )
    assert (one.met, one.found) == (True, "2 of 2; mean 50.0 %, 0.46 to 0.54")
    assert (other.met, other.found) == (False, "1 of 2; mean 87.5 %, 0.85 to 0.90")


def watched(auroc: float, rate: float, hours: float = 3.0) -> xr.Dataset:
    ends = {name: ("fault", [auroc]) for name in ("auroc", "auroc_low", "auroc_high")}
    told = {"rate": rate, "rate_low": 0.1, "rate_high": 2.0, "hours": hours}
    return xr.Dataset(ends, {"fault": ["all of readings"]}, told)


def test_faults_must_be_told_apart_and_alarms_be_rare_over_hours():
    area, alarms = noticed(watched(0.97, 0.7))
    assert (area.met, alarms.met) == (True, True)
    assert (area.found, alarms.found) == ("0.970 [0.970, 0.970]", "0.70 [0.10, 2.00] in 3.00 h")
    assert [[t.met for t in noticed(one)] for one in (watched(0.9, 1.5), watched(0.95, 0.5, hours=1.0), None)] == [
        [False, False], [True, False], [None, None],
    ]  # fmt: skip


def test_a_model_that_was_never_told_what_is_usual_is_not_surprised(model, blind_spec, tmp_path):
    net = WorldModel.load(model)
    net.usual = None
    told = surprise(net, bench(blind_spec, tmp_path), 3.0, 3, nothing)
    assert "Not measured: the model was never told what is usual" in told and told.count("| not measured |") == 2


def test_a_part_is_replaced_and_all_else_stays_as_it_was(tmp_path):
    path = tmp_path / "docs" / "results.md"
    results.write(path, "a", "control", "first of a")
    results.write(path, "b", "control", "of b")
    path.write_text(path.read_text(encoding="utf-8") + "\nBy hand.\n", encoding="utf-8")
    results.write(path, "a", "control", "second of a")
    results.write(path, "a", "prediction", "another part of a")
    text = path.read_text(encoding="utf-8")
    assert "first of a" not in text and text.endswith("\nBy hand.\n")
    order = [text.index(word) for word in ("## a", "another part of a", "second of a", "## b", "of b\n", "By hand")]
    assert order == sorted(order)
    assert [p.name for p in path.parent.iterdir()] == ["results.md"]


def test_the_overview_says_on_which_lines_targets_are_met():
    text = "<!-- overview -->\n<!-- end overview -->\n"
    for line, met in (("a", True), ("b", False), ("c", True), ("d", None)):
        targets = [Target("x is small", "1", met), Target("y | z", "2 | 3", met, 2), Target("w", "–", None)]
        text = placed(text, line, "control", verdicts(targets))
    table = text.split("<!-- end overview -->")[0]
    assert "over 4 lines" in table
    assert "| x is small | a, c | b | d | MISSED |" in table
    assert "| w | – | – | a, b, c, d | not measured |" in table


def test_a_target_that_is_asked_for_on_some_lines_is_met_when_they_are_enough():
    text, told = "<!-- overview -->\n<!-- end overview -->\n", []
    for line in ("a", "b"):
        text = placed(text, line, "control", verdicts([Target("better", "1", True, 2)]))
        told.append(next(row for row in text.splitlines() if row.startswith("| better")))
    assert told[0].endswith("| MISSED: 1 of 2 |") and told[1].endswith("| met |")


@pytest.mark.parametrize(
    "text",
    [
        "<!-- a control -->\nnumbers that took a day",
        "<!-- end a control -->",
        "<!-- a control -->\n<!-- b control -->\n<!-- end b control -->\n<!-- end a control -->",
        "<!-- a control -->\n<!-- end a control -->\n" * 2,
    ],
)
def test_a_document_whose_marks_are_broken_is_left_alone(text, tmp_path):
    (tmp_path / "results.md").write_text(text, encoding="utf-8")
    with pytest.raises(FormatError, match="mend"):
        results.write(tmp_path / "results.md", "a", "control", "new")
    assert (tmp_path / "results.md").read_text(encoding="utf-8") == text


def test_the_document_that_comes_with_twinlab_is_whole():
    text = (Path(__file__).parents[1] / "docs" / "results.md").read_text(encoding="utf-8")
    again = placed(text, "no_such_line", "control", "nothing")
    assert "## no_such_line" in again and results.overview(text) in text


def test_what_was_judged_by_another_calibration_is_judged_anew(model, tmp_path):
    net, asked = WorldModel.load(model), []
    held = Held(net, "abc", [], [], tmp_path)

    def judged(part: str) -> None:
        held.result(part, lambda: asked.append(part) or xr.Dataset(), nothing)

    for part in ("prediction", "calibration"):
        judged(part)
        judged(part)
    net.calibration = replace(net.calibration, episodes=net.calibration.episodes + 1)
    for part in ("prediction", "calibration"):
        judged(part)
    assert asked == ["prediction", "calibration", "calibration"]
