"""The world model: any reading may be missing, beliefs add up, nothing else than ours is loaded."""

import json
from itertools import combinations

import numpy as np
import pytest
import torch
import toy

from twinlab.batches import Windows, fitted, hold
from twinlab.batches._signals import Signal
from twinlab.errors import ModelError
from twinlab.model import Size, WorldModel
from twinlab.model.belief import spots
from twinlab.model.heads import Offsets, anchors

SMALL = Size(latent=32, hidden=32, channels=8, places=2, members=3)
WIDE = SMALL.latent + 2 + 2 + 1 + 2 + 3  # of a belief: goal, target, its presence and colour, and the tool


@pytest.fixture(scope="module")
def windows() -> Windows:
    tracks, signals = hold(toy.episodes(2))
    return Windows(tracks, fitted(signals, tracks), window=4, horizon=6)


@pytest.fixture(scope="module")
def model(windows) -> WorldModel:
    torch.manual_seed(0)
    return WorldModel(windows.signals, SMALL).eval()


@pytest.fixture
def batch(windows):
    return windows.take([0, 20, 40])


def now(batch, *names: str) -> dict[str, torch.Tensor]:
    return {name: value[:, 0] for name, value in batch.readings.items() if not names or name in names}


def test_any_set_of_readings_makes_a_belief(model, batch):
    every = tuple(batch.readings)
    for size in range(1, len(every) + 1):
        for names in combinations(every, size):
            belief = model.update(model.initial(3), now(batch, *names))
            assert belief.shape == (3, WIDE) and torch.isfinite(belief).all()


def test_a_belief_is_not_changed_when_nothing_is_there(model, batch):
    before = torch.randn(3, WIDE)
    gone = {name: torch.tensor([False, True, False]) for name in batch.readings}
    after = model.update(before, model.encode(now(batch), gone))
    assert torch.equal(after[[0, 2]], before[[0, 2]]) and not torch.equal(after[1], before[1])


def test_a_reading_that_is_marked_missing_does_not_matter(model, batch):
    readings = now(batch)
    gone = {"top_rgb": torch.zeros(3, dtype=torch.bool), "tool": torch.zeros(3, dtype=torch.bool)}
    other = readings | {"top_rgb": 255 - readings["top_rgb"], "tool": 5 + readings["tool"]}
    one, two = (model.update(model.initial(3), model.encode(r, gone)) for r in (readings, other))
    without = {name: value for name, value in readings.items() if name not in gone}
    assert torch.equal(one, two)
    assert torch.allclose(one, model.update(model.initial(3), without), atol=1e-5)


def test_vector_readings_that_are_there_are_believed(model, batch):
    belief = model.update(model.initial(3), now(batch))
    assert torch.allclose(model.decode(belief)["tool"], batch.readings["tool"][:, 0], atol=1e-6)


def test_vector_readings_whose_gate_is_shut_stand_still_and_all_others_go_on(windows, batch):
    model = WorldModel(windows.signals, SMALL).eval()
    before, action = model.update(model.initial(3), now(batch)), batch.action[:, 0]
    with torch.no_grad():
        model.dynamics.linear.bias.fill_(0.5)
        went = model.step(before, action)
        model.dynamics.gate.bias[0] = -50
        after = model.step(before, action)
    assert torch.equal(after[:, -3], before[:, -3])
    assert torch.equal(after[:, -2:], went[:, -2:]) and (went[:, -3:] > before[:, -3:] + 0.4).all()


def test_observing_is_stepping_and_updating_tick_by_tick(model, batch):
    readings = {name: value[:, :4] for name, value in batch.readings.items()}
    belief = model.update(model.initial(3), now(batch))
    for t in range(1, 4):
        belief = model.step(belief, batch.action[:, t - 1])
        belief = model.update(belief, {name: value[:, t] for name, value in readings.items()})
    assert torch.allclose(model.observe(readings, batch.action[:, :4])[:, -1], belief, atol=1e-5)


def test_a_rollout_is_a_chain_of_steps(model):
    start, actions = torch.randn(5, WIDE), torch.rand(5, 7, 2) - 0.5
    ahead = model.rollout(start, actions)
    assert ahead.shape == (5, 7, WIDE)
    assert torch.allclose(ahead[:, 0], model.step(start, actions[:, 0]))
    assert torch.allclose(ahead[:, 1], model.step(ahead[:, 0], actions[:, 1]))
    assert torch.allclose(model.rollout(start[2:3], actions[2:3])[0], ahead[2], atol=1e-5)


def test_doubt_is_how_far_the_heads_of_the_dynamics_differ(model):
    belief, action = torch.randn(4, WIDE), torch.zeros(4, 2)
    assert (model.forecast(belief, action)[1] > 0).all()
    alone = WorldModel(model.signals, Size(**{**vars(SMALL), "members": 2}))
    with torch.no_grad():
        size = alone.dynamics.size
        alone.dynamics.heads.weight[size:] = alone.dynamics.heads.weight[:size]
        alone.dynamics.heads.bias[size:] = alone.dynamics.heads.bias[:size]
    assert torch.allclose(alone.forecast(belief, action)[1], torch.zeros(4), atol=1e-6)


def test_decoded_readings_and_heads_have_the_shapes_of_what_they_stand_for(model, batch):
    belief = model.update(model.initial(3), now(batch))
    for name, value in model.decode(belief).items():
        assert value.shape == now(batch)[name].shape
    heads = model.heads(belief)
    assert set(heads) == {"target", "target_present", "target_colour", "goal"}
    assert heads["target"].shape == model.spread(belief)["target"].shape == (3, 2)
    assert torch.allclose(heads["target_colour"].sum(dim=1), torch.ones(3))
    assert model.reward(belief).shape == model.value(belief).shape == (3,)
    assert set(model.decode(belief, ("beam",))) == {"beam"}


def test_an_action_keeps_the_limits_and_hangs_on_what_is_believed_of_the_goal(model):
    belief = 50 * torch.randn(64, WIDE)
    action = model.act(belief)
    assert (action >= model.low).all() and (action <= model.high).all()
    told = [s.name for s in model.sought]
    at = model.latent + sum(s.numbers for s in model.sought[: told.index("goal")])
    mild = 0.1 * torch.randn(64, WIDE)
    left, right = mild.clone(), mild.clone()
    left[:, at], right[:, at] = -1.0, 1.0
    assert not torch.allclose(model.act(left), model.act(right))


def test_places_that_readings_tell_by_name_are_told_apart_and_in_order():
    one = Signal("tcp", "vector", "reading", (), (4,), ("x", "y", "z", "yaw"), ("m", "m", "m", "rad"))
    slots = ("a named", "a x", "a y", "a z", "box x", "box y", "flat x", "flat y", "flat z")
    goal = Signal("meaning", "vector", "reading", (), (9,), slots, ("1", *"mmmmmmm", "rad"))
    assert spots((one, goal)) == [(0, 1, 2), (5, 6, 7)]


def test_numbers_of_the_same_label_and_unit_are_tied(windows):
    signals = windows.signals
    vectors = signals.of("reading", "vector")
    assert anchors(signals["target"], vectors) == ((0, 0), (1, 1))
    assert anchors(signals["reward"], vectors) == ()
    offsets = Offsets(signals["target"], vectors)
    target, tool = np.array([[0.1, 0.2]]), np.array([[0.1, 0.2, 0.0]])
    told = [
        torch.tensor((x - s.mean) / s.std).float() for x, s in ((target, signals["target"]), (tool, signals["tool"]))
    ]
    assert torch.allclose(offsets(*told), torch.zeros(1, 2), atol=1e-5)


def test_truth_is_no_reading(model, batch):
    with pytest.raises(ModelError, match="readings: 'target' is unknown to the model"):
        model.encode({"target": batch.truth["target"][:, 0]})


def test_readings_of_a_wrong_shape_and_none_at_all_are_told(model, batch):
    with pytest.raises(ModelError, match=r"'tool' came as \(3, 2\), wanted \(3, \*\(3,\)\)"):
        model.encode({"tool": batch.readings["tool"][:, 0, :2]})
    with pytest.raises(ModelError, match="no readings came"):
        model.encode({})


def test_one_tick_of_a_cell_is_taken_as_it_comes(model):
    episode = toy.episode(0)
    readings = {str(name): episode[name].values[0] for name in ("top_rgb", "top_depth", "tool", "beam", "target")}
    taken = model.take(readings)
    assert set(taken) == set(model.readings)
    assert model.update(model.initial(), taken).shape == (1, WIDE)


def test_what_is_saved_is_what_is_loaded(model, batch, tmp_path):
    model.save(tmp_path / "deep" / "er", {"Data": {"scenes": ["toy"]}})
    loaded = WorldModel.load(tmp_path / "deep" / "er")
    assert loaded.signals == model.signals and loaded.size == model.size and loaded.card["Data"] == {"scenes": ["toy"]}
    one, two = (m.update(m.initial(3), now(batch)) for m in (model, loaded))
    assert torch.equal(one, two)
    card = (tmp_path / "deep" / "er" / "card.md").read_text()
    assert "licence: Apache-2.0" in card and "scenes: ['toy']" in card
    assert sorted(p.name for p in (tmp_path / "deep" / "er").iterdir()) == [
        "card.md",
        "config.json",
        "model.safetensors",
    ]


def test_weights_may_be_read_by_whoever_may_read_the_rest(model, tmp_path):
    folder = model.save(tmp_path)
    assert (folder / "model.safetensors").stat().st_mode == (folder / "config.json").stat().st_mode


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_or_truncated_file_is_told(model, tmp_path, name):
    with pytest.raises(ModelError, match=r"no config\.json"):
        WorldModel.load(tmp_path)
    model.save(tmp_path)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=f"{name} in .* is (damaged|truncated)"):
        WorldModel.load(tmp_path)


def test_a_foreign_configuration_and_foreign_weights_are_told(model, tmp_path):
    model.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"format": "other/2"}))
    with pytest.raises(ModelError, match="of format 'other/2', wanted 'twinlab-world-model/1'"):
        WorldModel.load(tmp_path)
    (tmp_path / "config.json").write_text('{"model": "bert"}')
    with pytest.raises(ModelError, match="damaged or not of twinlab"):
        WorldModel.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"size": {**config["size"], "latent": 64}}))
    with pytest.raises(ModelError, match="truncated, or of another model"):
        WorldModel.load(tmp_path)


def test_a_model_that_comes_with_twinlab_is_found_by_name_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = WorldModel.load("sorting")
    assert shipped.signals["overhead_rgb"].kind == "image"
    assert shipped.card["Data"]["val seeds"] == list(range(50_000, 50_012))
    with pytest.raises(ModelError, match=r"comes with twinlab: \['sorting'\]\. Did you mean 'sorting'\?"):
        WorldModel.load("sortign")
