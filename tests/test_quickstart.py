"""The main job, as small as it gets: all the way through, not twice, and its report opens from a file."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tomli_w
import toy
import xarray as xr
from conftest import small_tables

from twinlab import quickstart
from twinlab.kpi import UNITS
from twinlab.model import WorldModel
from twinlab.quickstart import Outcome, Quickstart, line
from twinlab.scene import read_scene
from twinlab.store import EpisodeStore

RUNS = (("still", 2), ("cloned", 1))


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> Quickstart:
    """The sorting line with one small camera, and the shortest job on it."""
    folder: Path = tmp_path_factory.mktemp("quickstart")
    tables = small_tables()
    tables["bodies"]["feeder"]["position"] = [0.53, 0.05, 0.13]  # so that in each episode some part passes the gate
    (folder / "small.toml").write_text(tomli_w.dumps(tables), encoding="utf-8")
    return Quickstart(
        scene=str(folder / "small.toml"),
        folder=str(folder / "job"),
        ticks=115,
        training=2,
        validation=1,
        held_out=1,
        noises=(0.0, 0.1),
        runs=RUNS,
        workers=1,
        fit=toy.SMALL,
    )


def ran(job: Quickstart) -> tuple[Outcome, list[str]]:
    """What the job gave, and the stages that it told of, each once."""
    told: list[str] = []
    outcome = quickstart.run(job, lambda stage, done, of: told.append(stage))
    return outcome, list(dict.fromkeys(told))


@pytest.fixture(scope="module")
def first(job) -> tuple[Outcome, list[str]]:
    return ran(job)


@pytest.fixture(scope="module")
def outcome(first) -> Outcome:
    return first[0]


def test_the_job_goes_all_the_way_through(first):
    assert first[1] == ["record", "train", "foresee", "score still", "score cloned"]


def test_episodes_are_of_the_wanted_seeds_policies_and_noises_and_taught_by_the_expert(outcome):
    found = {a["seed"]: (a["policy"], a["noise"], a["ticks"]) for a in outcome.store.attrs()}
    assert found == {
        0: ("expert", 0.0, 115),
        1: ("straying", 0.1, 115),
        50_000: ("expert", 0.0, 115),
        65_000: ("expert", 0.0, 115),
    }
    assert outcome.store.verify() == []


def test_the_model_was_trained_on_training_seeds_only(outcome):
    data = outcome.model.card["Data"]
    assert data["train seeds"] == [0, 1] and data["val seeds"] == [50_000]
    assert outcome.model.card["Settings"]["following"]["steps"] == 2


def test_a_jobs_episodes_come_by_seed_whichever_process_was_done_first(job, outcome, tmp_path):
    turned = EpisodeStore(tmp_path / "store")
    turned.copy(outcome.store, reversed(range(len(outcome.store))))
    found = quickstart.chosen(job, read_scene(job.scene), turned, "training")
    assert [turned[i].attrs["seed"] for i in found] == [0, 1] and found != sorted(found)


def test_what_is_foreseen_and_perceived_is_of_held_out_episodes(outcome):
    assert (outcome.foreseen.attrs["episodes"], outcome.perceived.attrs["episodes"]) == (1, 1)
    assert outcome.foreseen["predictor"].values.tolist() == ["model", "nothing changes", "linear"]
    assert np.isfinite(outcome.foreseen["mean"]).all()


def test_every_policy_is_scored_on_its_number_of_test_seeds(outcome):
    assert dict(zip(outcome.summary["policy"].values, outcome.summary["seeds"].values, strict=True)) == dict(RUNS)
    assert set(UNITS) - {"items"} <= set(outcome.summary.data_vars)
    assert float(outcome.summary["throughput"].sel(policy="still", statistic="mean")) == 0


def test_the_run_that_is_shown_is_the_cloned_policys_on_a_test_seed(outcome):
    told = outcome.shown.attrs
    assert (told["policy"], told["seed"], outcome.shown.sizes["time"]) == ("cloned", 60_000, 115)


def test_what_is_done_is_not_done_again(job, first):
    again, told = ran(job)
    assert told == ["foresee"]
    assert len(again.store) == len(first[0].store)
    for name in ("foreseen", "perceived", "summary", "shown"):
        xr.testing.assert_identical(getattr(again, name), getattr(first[0], name))


def test_other_runs_and_other_training_do_only_what_they_change(job, first, tmp_path):
    copy = shutil.copytree(job.folder, tmp_path / "copy")
    other = replace(job, folder=str(copy), runs=(("still", 2), ("program", 1), ("cloned", 1)), fit=toy.SMALL.of(3))
    outcome, told = ran(other)
    assert told == ["train", "foresee", "score program", "score cloned"]
    assert outcome.model.card["Settings"]["following"]["steps"] == 3
    xr.testing.assert_identical(outcome.summary.sel(policy="still"), first[0].summary.sel(policy="still"))


def test_the_report_is_one_file_that_asks_nobody(job, outcome):
    page = quickstart.report_of(job, outcome)
    assert page == Path(job.folder) / "report.html"
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)\s*=\s*["']?\s*(https?:)?//""", text)
    assert "default-src 'none'" in text
    for word in ("<h1>twinlab: Sorting cell</h1>", "nothing changes", "cloned", "still", read_scene(job.scene).digest):
        assert word in text, word
    assert text.count("data:image/") >= 3  # scores, foresight, an episode


def test_what_is_kept_is_the_model_and_its_scores(job, outcome, tmp_path):
    folder = quickstart.keep(job, outcome, tmp_path / "kept" / "here")
    assert sorted(p.name for p in folder.iterdir()) == ["card.md", "config.json", "model.safetensors", "scores.json"]
    xr.testing.assert_identical(quickstart.kept_scores(folder), outcome.summary)
    kept = WorldModel.load(folder)
    assert all((a == b).all() for a, b in zip(kept.parameters(), outcome.model.parameters(), strict=True))


def test_a_policy_is_found_by_name_with_line_and_model(job, tmp_path):
    spec = read_scene(job.scene)
    assert quickstart.acting("still", spec, tmp_path).actuators == 6
    assert quickstart.acting("expert", spec, tmp_path).spec == spec
    assert quickstart.acting("planned", spec, tmp_path).model == str(tmp_path)


def test_a_line_or_length_that_changed_is_recorded_and_used_alone(job, tmp_path):
    job = replace(job, folder=str(tmp_path / "job"), runs=(("still", 1),))
    ran(job)
    longer, told = ran(replace(job, ticks=120))
    assert told == ["record", "train", "foresee", "score still"]
    assert longer.model.card["Data"]["ticks"] == 2 * 120 and longer.foreseen.attrs["episodes"] == 1
    assert len(longer.store) == 8
    faster = tmp_path / "faster.toml"
    faster.write_text(
        Path(job.scene).read_text(encoding="utf-8").replace("speed = 0.1\n", "speed = 0.15\n", 1), encoding="utf-8"
    )
    other, _ = ran(replace(job, scene=str(faster)))
    assert len(other.model.card["Data"]["scenes"]) == 1 and other.model.card["Data"]["train seeds"] == [0, 1]


def test_openings_are_short_episodes_to_train_on_with_places_of_their_own(job, tmp_path):
    job = replace(job, folder=str(tmp_path / "job"), runs=(("still", 1),), openings=3, opening=40)
    outcome, _ = ran(job)
    found = {a["seed"]: (a["policy"], a["noise"], a["ticks"]) for a in outcome.store.attrs()}
    assert [found[seed] for seed in (10_000, 10_001, 10_002)] == [
        ("expert", 0.0, 40),
        ("straying", 0.1, 40),
        ("straying", 0.0, 40),
    ]
    assert outcome.model.card["Data"]["train seeds"] == [0, 1, 10_000, 10_001, 10_002]
    assert outcome.model.card["Data"]["ticks"] == 2 * 115 + 3 * 40
    assert ran(replace(job, openings=0))[1] == ["train", "foresee"]


def test_a_short_job_has_a_report_too(job, tmp_path):
    job = replace(job, folder=str(tmp_path / "job"), runs=(("still", 1),), ticks=100)
    assert quickstart.report_of(job, ran(job)[0]).is_file()


def test_a_model_that_was_trained_anew_is_the_one_that_acts(job, tmp_path):
    job = replace(job, folder=str(tmp_path / "job"), runs=(("still", 1),))
    one, other = (ran(replace(job, fit=replace(job.fit, seed=s)))[0] for s in (0, 1))
    assert (one.shown["action"] != other.shown["action"]).any()


def test_a_lines_job_is_as_long_as_its_ticks_say_in_episodes_of_its_own_length(tmp_path):
    job = line("machine_tending", tmp_path, ticks=57_600, steps=7, workers=1)
    assert (job.ticks, job.training, job.validation, job.held_out, job.runs) == (1200, 48, 12, 0, ())
    assert job.folder == str(tmp_path / "machine_tending")
    assert (job.fit.seeing.steps, job.fit.following.steps) == (7, 7)
    assert job.openings == 400 and job.fit.shift == 4
    assert line("sorting", tmp_path, ticks=10, steps=1, workers=1, openings=3).openings == 3
    assert line("sorting", tmp_path, ticks=10, steps=1, workers=1).training == 1


def test_a_job_disturbs_as_much_as_its_scene_says_unless_it_says_itself():
    sorting, valves = read_scene("sorting"), read_scene("valve_round")
    assert Quickstart("sorting").disturbed(sorting) == (0, 0.05, 0.1, 0.15)
    assert Quickstart("valve_round").disturbed(valves) == (0, 0.0067, 0.0133, 0.02)
    assert Quickstart("valve_round", noises=(0.3,)).disturbed(valves) == (0.3,)
