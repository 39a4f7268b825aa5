"""Training: it repeats, it learns where things are, it says what it did."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import toy

from twinlab.errors import ModelError
from twinlab.model import WorldModel
from twinlab.model.imitation import Cloning
from twinlab.store import EpisodeStore
from twinlab.train import Fit, fit

SHORT = replace(toy.SMALL, cloning=Cloning(steps=3, batch=64), every=2)


def test_the_same_seed_gives_the_same_model_and_another_another():
    episodes = toy.episodes(2)
    one, two = (fit(episodes, SHORT) for _ in range(2))
    other = fit(episodes, replace(SHORT, seed=1))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
    assert not torch.equal(one.dynamics.heads.weight, other.dynamics.heads.weight)


def test_training_leaves_the_global_random_stream_alone():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    fit(toy.episodes(1), SHORT)
    assert torch.equal(torch.rand(3), wanted)


def test_what_is_kept_is_the_model_its_card_and_a_log(tmp_path):
    told = []
    episodes = [*toy.episodes(2), toy.episode(50_000), toy.episode(60_000)]
    model = fit(episodes, SHORT, tmp_path / "run", lambda step, steps, terms: told.append((step, steps)))
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [(line["step"], line["stage"]) for line in lines] == [
        (2, "seeing"),
        (4, "following"),
        (6, "cloning"),
        (7, "cloning"),
    ]
    assert told == [(2, 7), (4, 7), (6, 7), (7, 7)]
    assert {"loss", "truth", "found"} <= set(lines[0]) and {"loss", "truth", "vectors", "pictures"} <= set(lines[1])
    loaded = WorldModel.load(tmp_path / "run")
    assert loaded.card == json.loads(json.dumps(model.card))
    assert loaded.card["Data"]["train seeds"] == [0, 1] and loaded.card["Data"]["val seeds"] == [50_000]
    assert loaded.card["Data"]["scenes"] == ["toy toy"] and loaded.card["Data"]["ticks"] == 120
    assert loaded.card["Metrics"]["seconds"] > 0 and loaded.card["Metrics"]["val_truth"] > 0
    assert "60000" not in (tmp_path / "run" / "card.md").read_text()


def test_validation_episodes_do_not_touch_the_weights():
    one, two = (fit([*toy.episodes(2), *held], SHORT) for held in ([], [toy.episode(50_000)]))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_a_budget_of_time_ends_training_early():
    told = []
    long = replace(SHORT, following=replace(toy.SMALL.following, steps=100_000), seconds=1.0)
    fit(toy.episodes(1), long, progress=lambda step, steps, terms: told.append(step))
    following = [step for step in told if step < 100_000]
    assert following[-1] > 2 and told[-1] == 2 + 100_000 + 3


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
        ({"fresh": 1.5}, "fresh came as 1.5; wanted a chance, from 0 to 1"),
        ({"starts": 5}, "starts as 5; wanted 0 or more ticks ahead, from at most the 4 ticks of its window"),
    ],
)
def test_a_stage_that_cannot_be_is_told(change, words):
    with pytest.raises(ModelError, match=words):
        replace(toy.SMALL.following, **change)


def test_a_trained_model_is_kept_in_16_bits_and_loses_nothing(tmp_path):
    model = fit(toy.episodes(1), SHORT, tmp_path)
    loaded = WorldModel.load(tmp_path)
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), loaded.state_dict().values(), strict=True)
    )
    numbers = sum(value.numel() for value in model.state_dict().values())
    assert (tmp_path / "model.safetensors").stat().st_size < 2.2 * numbers + 20_000


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"accumulate": 0}, "a fit's accumulate came as 0; wanted 1 or more"),
        ({"keep": -1}, "a fit's keep came as -1; wanted 0 or more"),
        ({"strategy": "ddpp"}, r"a fit's strategy came as 'ddpp'; there are .* Did you mean 'ddp'"),
        ({"precision": "16"}, "a fit's precision came as '16'; there are"),
    ],
)
def test_a_fit_that_cannot_be_is_told(change, words):
    with pytest.raises(ModelError, match=words):
        Fit(**change)


def test_a_strategy_for_several_processes_is_told_how_to_start_them():
    with pytest.raises(
        ModelError, match="strategy came as 'ddp' and this process is alone; start several by `torchrun"
    ):
        fit(toy.episodes(1), replace(SHORT, strategy="ddp"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told():
    with pytest.raises(ModelError, match="1 processes of this machine are to train on a GPU each and it has 0"):
        fit(toy.episodes(1), replace(SHORT, accelerator="gpu"))


def test_the_card_says_on_which_store_and_on_how_much(tmp_path):
    store = EpisodeStore(tmp_path / "line")
    for episode in toy.episodes(2):
        store.append(episode)
    cards = [fit(source, SHORT).card for source in (store, toy.episodes(2), toy.episodes(2, first=1))]
    assert cards[0]["Data"]["store"] == "line" and "store" not in cards[1]["Data"]
    assert cards[0]["Data"]["digest"] == cards[1]["Data"]["digest"] != cards[2]["Data"]["digest"]
    scale = {"processes": 1, "device": "cpu", "strategy": "alone", "windows a step": {"seeing": 4, "following": 4}}
    assert cards[0]["Scale"] == scale or torch.cuda.is_available()


def test_half_precision_trains_and_stays_near():
    full, half = ([], [])
    for precision, told in (("32-true", full), ("bf16-mixed", half)):
        fit(
            toy.episodes(1), replace(SHORT, precision=precision), progress=lambda *came, told=told: told.append(came[2])
        )
    assert [a["loss"] for a in full] == pytest.approx([b["loss"] for b in half], rel=0.05)
    assert full[0]["loss"] != half[0]["loss"]


def still(settings: Fit) -> Fit:
    """The same with steps too small to change a weight that is kept in 16 bits."""
    stages = {name: replace(getattr(settings, name), rate=1e-12) for name in ("seeing", "following", "cloning")}
    return replace(settings, **stages)


def test_training_on_keeps_weights_and_normalisation_and_leaves_the_first_model_alone():
    start = fit(toy.episodes(2), SHORT)
    before = {name: value.clone() for name, value in start.state_dict().items()}
    other = toy.episodes(1, 7)
    kept, moved, anew = fit(other, still(SHORT), start=start), fit(other, SHORT, start=start), fit(other, SHORT)
    assert kept.signals == moved.signals == start.signals != anew.signals
    assert all(torch.equal(before[name], value) for name, value in start.state_dict().items())
    for name, value in kept.named_parameters():
        if not name.startswith("worth"):  # another scale of rewards
            assert torch.equal(value, before[name]), name
    changed = [name for name, value in moved.named_parameters() if not torch.equal(value, before[name])]
    assert {"perception", "dynamics", "actor", "worth"} <= {name.split(".")[0] for name in changed}
    assert moved.card["Data"]["train seeds"] == [7] and len(moved.card["Data"]["started from"]) == 16


def test_a_reward_stays_what_it_was_though_another_scale_is_typical_now():
    start = fit(toy.episodes(2), SHORT)
    louder = toy.episodes(1, 7)
    louder[0]["reward"][:] = np.linspace(-5, 5, 60)
    kept = fit(louder, still(SHORT), start=start)
    belief = torch.randn(50, start.dynamics.size, generator=torch.Generator().manual_seed(0))
    assert abs(kept.worth_scale / start.worth_scale - 1).min() > 0.1
    assert torch.allclose(kept.reward(belief), start.reward(belief), rtol=0.02, atol=0.002)
    assert torch.allclose(kept.value(belief), start.value(belief), rtol=0.02, atol=0.02)


def test_a_model_of_another_size_is_trained_on_as_it_is():
    start = fit(toy.episodes(1), SHORT)
    assert fit(toy.episodes(1), replace(SHORT, size=Fit().size), start=start).size == start.size


def test_a_model_of_other_signals_is_not_trained_on():
    start = fit(toy.episodes(1), SHORT)
    smaller = [one.drop_vars("beam") for one in toy.episodes(1, edge=16)]
    with pytest.raises(ModelError, match=r"of other signals: \['beam', 'top_depth', 'top_rgb'\] differ from those of"):
        fit(smaller, SHORT, start=start)
    slower = [one.assign_attrs(tick=0.1) for one in toy.episodes(1)]
    with pytest.raises(ModelError, match="of other signals: actuators, limits or the tick differ"):
        fit(slower, SHORT, start=start)


def test_a_killed_run_goes_on_from_the_same_start_only(tmp_path):
    one, other = (fit(toy.episodes(1), replace(SHORT, seed=seed)) for seed in (0, 1))
    settings = replace(SHORT, keep=1)

    def killed(step: int, steps: int, terms: object) -> None:
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(toy.episodes(1), settings, tmp_path, killed, start=one)
    for wrong in (other, None):
        with pytest.raises(ModelError, match="holds a run that was cut off, of another kind: started from came as"):
            fit(toy.episodes(1), settings, tmp_path, start=wrong)
    whole = fit(toy.episodes(1), settings, start=one)
    resumed = fit(toy.episodes(1), settings, tmp_path, start=one)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
