"""Improving: each round acts, records, branches and trains on; what is done stays done; the best round is named."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tomli_w
import torch
import toy
import xarray as xr
from conftest import small_tables

from twinlab.collect import collect
from twinlab.counterfactual import WAYS
from twinlab.errors import ModelError
from twinlab.improve import Round, improve, optimism
from twinlab.model import WorldModel
from twinlab.model.checkpoint import digest
from twinlab.model.imitation import Cloning
from twinlab.policies.expert import Expert
from twinlab.scene import SceneSpec, read_scene
from twinlab.store import EpisodeStore
from twinlab.train import fit

QUICK = replace(toy.SMALL, cloning=Cloning(steps=3, batch=64))
TINY = Round(
    "cloned", episodes=1, ticks=30, noises=(0.1,), moments=1, ahead=12, ways=("expert",), validation=2, fit=QUICK
)


@pytest.fixture(scope="module")
def line(tmp_path_factory) -> SceneSpec:
    """The sorting line with one small camera."""
    folder: Path = tmp_path_factory.mktemp("line")
    (folder / "small.toml").write_text(tomli_w.dumps(small_tables()), encoding="utf-8")
    return read_scene(folder / "small.toml")


@pytest.fixture(scope="module")
def data(tmp_path_factory, line) -> EpisodeStore:
    return collect(tmp_path_factory.mktemp("data") / "store", line, Expert(line), [0], 30)


@pytest.fixture(scope="module")
def model(tmp_path_factory, data) -> Path:
    folder: Path = tmp_path_factory.mktemp("model")
    fit(data, QUICK, folder)
    return folder


def ran(model: Path, line: SceneSpec, rounds: int, out: Path, data: EpisodeStore) -> tuple[xr.Dataset, list[str]]:
    """What improving gave, and the stages that it told of, each once."""
    told: list[str] = []
    found = improve(model, line, rounds, out, TINY, data.path, lambda stage, done, of: told.append(stage))
    return found, list(dict.fromkeys(told))


@pytest.fixture(scope="module")
def first(tmp_path_factory, model, line, data) -> tuple[xr.Dataset, list[str], Path]:
    out: Path = tmp_path_factory.mktemp("improve")
    return *ran(model, line, 1, out, data), out


def test_a_round_acts_records_branches_trains_and_scores(first):
    assert first[1] == ["score 0", "record 1", "branch 1", "train 1", "score 1"]


def test_recordings_are_of_training_seeds_by_the_model_so_far_and_taught_by_the_expert(first, model):
    told = EpisodeStore(first[2] / "store").attrs()
    whole = [a for a in told if "branch" not in a]
    assert [(a["seed"], a["policy"], a["noise"]) for a in whole] == [(20_000, "cloned", 0.1)]
    assert all(a["teacher"] == "expert" for a in told)
    assert {json.loads(a["lineage"])["policy"]["weights"] for a in whole} == {digest(model)[:16]}
    assert [a["way"] for a in told if "branch" in a] == [*(way.name for way in WAYS), "expert"]


def test_a_rounds_model_is_trained_on_from_the_one_before_on_all_that_there_is(first, model):
    one, start = WorldModel.load(first[2] / "round-1"), WorldModel.load(model)
    assert one.signals == start.signals and digest(first[2] / "round-0") == digest(model)
    assert set(one.card["Data"]["train seeds"]) == {0, 20_000}
    assert len(one.card["Data"]["train seeds"]) == 1 + 1 + len(WAYS) + 1
    assert "started from" in one.card["Data"]


def test_the_result_is_a_table_over_rounds_on_validation_seeds(first):
    found = first[0]
    assert found["round"].values.tolist() == [0, 1] and found["seeds"].values.tolist() == [2, 2]
    assert found["correct"].dims == found["gained"].dims == ("round", "statistic")
    assert found["episodes"].values.tolist() == [0, 2 + len(WAYS)]
    assert found["ticks"].values.tolist() == [0, 30 + (len(WAYS) + 1) * 12]
    assert np.isnan(found["foreseen"][0]) and np.isfinite(found["foreseen"][1]) and np.isfinite(found["came"][1])
    assert (found.attrs["policy"], found.attrs["split"], found.attrs["best"]) == ("cloned", "val", 0)
    assert digest(first[2] / "best") == digest(first[2] / "round-0")


def test_what_is_done_is_not_done_again_and_another_round_goes_on(first, model, line, data, tmp_path):
    out = shutil.copytree(first[2], tmp_path / "out")
    again, told = ran(model, line, 1, out, data)
    assert told == []
    xr.testing.assert_identical(again, first[0])
    more, told = ran(model, line, 2, out, data)
    assert told == ["record 2", "branch 2", "train 2", "score 2"]
    xr.testing.assert_identical(more.isel(round=slice(2)).drop_attrs(), first[0].drop_attrs())
    weights = {
        json.loads(a.get("lineage", "{}")).get("policy", {}).get("weights") for a in EpisodeStore(out / "store").attrs()
    }
    assert weights == {None, digest(model)[:16], digest(out / "round-1")[:16]}


def test_the_best_round_by_validation_is_named_and_copied(first, model, line, data, tmp_path):
    out = shutil.copytree(first[2], tmp_path / "out")
    for number, right in ((0, 0.5), (1, 1.0)):
        kept = out / f"round-{number}" / "scores.json"
        scores = xr.Dataset.from_dict(json.loads(kept.read_text(encoding="utf-8")))
        scores["correct"][:], scores["items"][:] = right, 4
        kept.write_text(json.dumps(scores.to_dict()), encoding="utf-8")
    found, _ = ran(model, line, 1, out, data)
    assert found.attrs["best"] == 1 and digest(out / "best") == digest(out / "round-1")
    assert found["gained"].sel(statistic="mean").values.tolist() == [0.0, 0.5]
    assert WorldModel.load(out / "best").card == WorldModel.load(out / "round-1").card


def test_a_folder_with_other_rounds_is_told(first, model, line, data):
    with pytest.raises(ModelError, match="holds rounds of another model, line, settings or data; give what they had"):
        improve(model, line, 1, first[2], replace(TINY, noises=(0.2,)), data.path)


def test_a_reward_is_foreseen_of_what_was_done_and_compared_with_the_one_that_came():
    model = fit(toy.episodes(1), QUICK)
    with torch.no_grad():
        model.worth[-1].weight.zero_()
        model.worth[-1].bias.copy_(torch.tensor([0.5, 0.0]))
    episode = toy.episode(1, ticks=44)
    foreseen, came = optimism(model, [episode], context=24, ahead=10)
    assert foreseen == pytest.approx(0.5 * float(model.worth_scale[0]) / toy.TICK, rel=1e-5)
    assert came == pytest.approx(float(episode["reward"][24:44].mean()) / toy.TICK, rel=1e-5)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"episodes": 0}, "a round's episodes came as 0; wanted 1 or more"),
        ({"ticks": 0}, "a round's ticks came as 0"),
        ({"noises": ()}, "noises came as none"),
        ({"ahead": 20}, "ahead came as 20; training looks at 44 ticks at a time"),
        ({"ticks": 43}, "ticks came as 43; training looks at 44"),
        ({"validation": 10_001}, "validation came as 10001; there are 10000"),
    ],
)
def test_a_round_that_cannot_be_is_told(given, words):
    with pytest.raises(ModelError, match=words):
        Round(**given)


def test_rounds_beyond_the_training_seeds_or_none_are_told(model, line, tmp_path):
    for rounds, settings in ((0, TINY), (2, replace(TINY, first=49_999))):
        with pytest.raises(ModelError, match=f"rounds came as {rounds}, with seeds up to"):
            improve(model, line, rounds, tmp_path, settings)


def test_a_model_or_data_that_does_not_fit_is_told(model, line, tmp_path):
    with pytest.raises(ModelError, match=r"no config\.json in"):
        improve(tmp_path / "nothing", line, 1, tmp_path / "out", TINY)
    with pytest.raises(ModelError, match=r"is no store of episodes; give the folder that collect\(\) wrote"):
        improve(model, line, 1, tmp_path / "out", TINY, tmp_path)
    with pytest.raises(ModelError, match="has no episode of 'small' as it is"):
        improve(model, line, 1, tmp_path / "out", TINY, EpisodeStore(tmp_path / "store").path)
    with pytest.raises(ModelError, match=r"moves \('arm.x', .*'valve_round' has \('"):
        improve(model, "valve_round", 1, tmp_path / "out", TINY)
