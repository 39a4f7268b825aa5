"""Training: it repeats, it learns where things are, it says what it did."""

import json

import pytest
import torch
import toy

from twinlab.errors import ModelError
from twinlab.model import Size, WorldModel
from twinlab.train import Fit, fit

SMALL = Fit(steps=4, batch=4, window=4, horizon=5, starts=2, every=2, size=Size(32, 32, 8, 2, 2))


def test_the_same_seed_gives_the_same_model_and_another_another():
    episodes = toy.episodes(2)
    one, two = (fit(episodes, SMALL) for _ in range(2))
    other = fit(episodes, Fit(**{**vars(SMALL), "seed": 1}))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
    assert not torch.equal(one.dynamics.heads.weight, other.dynamics.heads.weight)


def test_training_leaves_the_global_random_stream_alone():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    fit(toy.episodes(1), SMALL)
    assert torch.equal(torch.rand(3), wanted)


def test_what_is_kept_is_the_model_its_card_and_a_log(tmp_path):
    told = []
    episodes = [*toy.episodes(2), toy.episode(50_000), toy.episode(60_000)]
    model = fit(episodes, SMALL, tmp_path / "run", lambda step, steps, terms: told.append((step, steps)))
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4] and told == [(2, 4), (4, 4)]
    assert {"loss", "truth", "found", "vectors"} <= set(lines[0])
    loaded = WorldModel.load(tmp_path / "run")
    assert loaded.card == json.loads(json.dumps(model.card))
    assert loaded.card["Data"]["train seeds"] == [0, 1] and loaded.card["Data"]["val seeds"] == [50_000]
    assert loaded.card["Data"]["scenes"] == ["toy toy"] and loaded.card["Data"]["ticks"] == 120
    assert loaded.card["Metrics"]["frames_per_s"] > 0 and loaded.card["Metrics"]["val_truth"] > 0
    assert "60000" not in (tmp_path / "run" / "card.md").read_text()


def test_validation_episodes_do_not_touch_the_weights():
    one, two = (fit([*toy.episodes(2), *held], SMALL) for held in ([], [toy.episode(50_000)]))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_a_budget_of_time_ends_training_early():
    model = fit(toy.episodes(1), Fit(**{**vars(SMALL), "steps": 100_000, "seconds": 1.0}))
    assert model.card["Metrics"]["steps"] < 100_000


def test_without_a_training_episode_nothing_is_trained():
    with pytest.raises(ModelError, match="no training episode among 1; record some with seeds below 50000"):
        fit([toy.episode(50_000)], SMALL)
    with pytest.raises(ModelError, match="no episode came"):
        fit([toy.episode(60_000)], SMALL)
