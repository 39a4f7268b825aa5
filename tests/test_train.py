"""Training: it repeats, it learns where things are, it says what it did."""

import json
from dataclasses import replace

import pytest
import torch
import toy

from twinlab.errors import ModelError
from twinlab.model import WorldModel
from twinlab.train import fit


def test_the_same_seed_gives_the_same_model_and_another_another():
    episodes = toy.episodes(2)
    one, two = (fit(episodes, toy.SMALL) for _ in range(2))
    other = fit(episodes, replace(toy.SMALL, seed=1))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
    assert not torch.equal(one.dynamics.heads.weight, other.dynamics.heads.weight)


def test_training_leaves_the_global_random_stream_alone():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    fit(toy.episodes(1), toy.SMALL)
    assert torch.equal(torch.rand(3), wanted)


def test_what_is_kept_is_the_model_its_card_and_a_log(tmp_path):
    told = []
    episodes = [*toy.episodes(2), toy.episode(50_000), toy.episode(60_000)]
    model = fit(episodes, toy.SMALL, tmp_path / "run", lambda step, steps, terms: told.append((step, steps)))
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4] and told == [(2, 4), (4, 4)]
    assert {"loss", "truth", "found"} <= set(lines[0]) and {"loss", "truth", "vectors", "pictures"} <= set(lines[1])
    loaded = WorldModel.load(tmp_path / "run")
    assert loaded.card == json.loads(json.dumps(model.card))
    assert loaded.card["Data"]["train seeds"] == [0, 1] and loaded.card["Data"]["val seeds"] == [50_000]
    assert loaded.card["Data"]["scenes"] == ["toy toy"] and loaded.card["Data"]["ticks"] == 120
    assert loaded.card["Metrics"]["seconds"] > 0 and loaded.card["Metrics"]["val_truth"] > 0
    assert "60000" not in (tmp_path / "run" / "card.md").read_text()


def test_validation_episodes_do_not_touch_the_weights():
    one, two = (fit([*toy.episodes(2), *held], toy.SMALL) for held in ([], [toy.episode(50_000)]))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_a_budget_of_time_ends_training_early():
    told = []
    long = replace(toy.SMALL, following=replace(toy.SMALL.following, steps=100_000), seconds=1.0)
    fit(toy.episodes(1), long, progress=lambda step, steps, terms: told.append(step))
    assert 2 < told[-1] < 100_000


def test_without_a_training_episode_nothing_is_trained():
    with pytest.raises(ModelError, match="no training episode among 1; record some with seeds below 50000"):
        fit([toy.episode(50_000)], toy.SMALL)
    with pytest.raises(ModelError, match="no episode came"):
        fit([toy.episode(60_000)], toy.SMALL)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 0}, "steps came as 0; wanted more than 0"),
        ({"rate": float("nan")}, "rate came as nan"),
        ({"horizon": -1}, "horizon came as -1"),
        ({"starts": 5}, "starts as 5; wanted 0 or more ticks ahead, from at most the 4 ticks of its window"),
    ],
)
def test_a_stage_that_cannot_be_is_told(change, words):
    with pytest.raises(ModelError, match=words):
        replace(toy.SMALL.following, **change)


def test_a_trained_model_is_kept_in_16_bits_and_loses_nothing(tmp_path):
    model = fit(toy.episodes(1), toy.SMALL, tmp_path)
    loaded = WorldModel.load(tmp_path)
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), loaded.state_dict().values(), strict=True)
    )
    numbers = sum(value.numel() for value in model.state_dict().values())
    assert (tmp_path / "model.safetensors").stat().st_size < 2.2 * numbers + 20_000
