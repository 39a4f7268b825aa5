"""Batches: windows are cut where they should be, normalisation is that of training, mistakes are told."""

import numpy as np
import pytest
import torch
import toy

from twinlab.batches import Windows, fitted, hold, split_of
from twinlab.errors import ModelError


@pytest.fixture(scope="module")
def tracks():
    return hold(toy.episodes(3, ticks=70))


def test_seeds_decide_the_split():
    assert [split_of(s) for s in (0, 49_999, 50_000, 60_000)] == ["train", "train", "val", "test"]
    with pytest.raises(ModelError, match="seed 70000 belongs to no split"):
        split_of(70_000)


def test_a_survey_takes_every_kind_that_has_a_codec_and_no_other(tracks):
    _, signals = tracks
    assert "part_pose" not in {s.name for s in signals.all}
    assert {s.name: s.kind for s in signals.of("reading")} == {
        "top_rgb": "image",
        "top_depth": "depth",
        "tool": "vector",
        "beam": "pulse",
    }
    assert signals["target_colour"].labels == toy.COLOURS
    assert signals["target"].given == "target_present"
    assert (signals.actuators, signals.low, signals.tick) == (("tool.x", "tool.y"), (-0.5, -0.5), 0.05)


def test_one_unit_counts_for_all_numbers_of_a_vector(tracks):
    assert tracks[1]["goal"].units == ("m", "m")
    assert tracks[1]["tool"].units == ("m", "m", "1")


def test_a_batch_holds_pictures_of_the_window_and_all_else_of_the_horizon_too(tracks):
    held, signals = tracks
    batch = Windows(held, signals, window=4, horizon=6).sample(np.random.default_rng(0), 5)
    assert batch.readings["top_rgb"].shape == (5, 4, toy.EDGE, toy.EDGE, 3)
    assert batch.readings["top_rgb"].dtype == torch.uint8
    assert batch.readings["top_depth"].dtype == torch.float16
    assert batch.readings["tool"].shape == (5, 10, 3)
    assert batch.truth["target_colour"].shape == batch.returns.shape == (5, 10)
    assert batch.action.shape == (5, 10, 2)


def test_a_window_is_a_piece_of_its_episode(tracks):
    held, signals = tracks
    windows = Windows(held, signals, window=4, horizon=6)
    episode = toy.episode(0, ticks=70)
    batch = windows.take([7])
    assert np.array_equal(batch.readings["top_rgb"][0], episode["top_rgb"][7:11])
    assert np.array_equal(batch.action[0], episode["action"][7:17])
    assert len(windows) == 3 * (70 - 10 + 1)


def test_the_same_generator_draws_the_same_batch(tracks):
    windows = Windows(*tracks)
    one, two = (windows.sample(np.random.default_rng(4), 3) for _ in range(2))
    assert torch.equal(one.readings["tool"], two.readings["tool"]) and torch.equal(one.action, two.action)


def test_depth_keeps_where_nothing_is(tracks):
    depth = Windows(*tracks).take([0]).readings["top_depth"]
    assert torch.isinf(depth[:, :, :2]).all() and torch.isfinite(depth[:, :, 2:]).all()


def test_normalisation_is_that_of_the_episodes_it_was_fitted_on(tracks):
    held, plain = tracks
    tool = fitted(plain, held)["tool"]
    every = np.concatenate([toy.episode(s, ticks=70)["tool"] for s in range(3)])
    assert np.allclose(tool.mean, every.mean(axis=0), atol=1e-6) and np.allclose(tool.std, every.std(axis=0), atol=1e-6)
    assert fitted(plain, held[:1])["tool"].mean != tool.mean


def test_a_number_that_never_varies_keeps_its_unit():
    still = [e.assign(tool=e["tool"].copy(data=np.full(e["tool"].shape, 0.1, np.float32))) for e in toy.episodes(1)]
    tool = fitted(*reversed(hold(still)))["tool"]
    assert tool.std == (1.0, 1.0, 1.0) and tool.varies == (False, False, False)


def test_returns_are_discounted_rewards_to_come():
    episode = toy.episode(0, ticks=70)
    reward = np.zeros(70, np.float32)
    reward[[3, 5]] = 1.0, -1.0
    batch = Windows(*hold([episode.assign(reward=episode["reward"].copy(data=reward))]), gamma=0.5).take([0])
    assert batch.returns[0, :5].tolist() == [0.25 - 0.0625, 0.5 - 0.125, 1 - 0.25, -0.5, -1.0]
    assert batch.valued[0, 0] and not Windows(*hold([episode])).take([52]).valued[0, -1]


def test_an_episode_that_lacks_a_variable_is_told(tracks):
    with pytest.raises(ModelError, match=r"scene 'toy', seed 0 lacks 'tool', which the model needs"):
        hold([toy.episode(0).drop_vars("tool")], tracks[1])


def test_an_episode_of_another_shape_is_told(tracks):
    with pytest.raises(ModelError, match=r"'top_rgb' came with shape \(16, 16, 3\) a tick, wanted \(32, 32, 3\)"):
        hold([toy.episode(0, edge=16)], tracks[1])


def test_an_episode_without_limits_of_action_is_told():
    episode = toy.episode(0)
    del episode["action"].attrs["low"]
    with pytest.raises(ModelError, match="no 'action' with attribute 'low'"):
        hold([episode])


def test_no_episode_and_none_long_enough_are_told(tracks):
    with pytest.raises(ModelError, match="no episode came"):
        hold([])
    with pytest.raises(ModelError, match="no episode has 90 ticks"):
        Windows(*tracks, window=80, horizon=10)


def test_the_order_of_an_episodes_variables_changes_nothing():
    episode = toy.episode(0)
    turned = episode[list(episode.data_vars)[::-1]]
    assert hold([turned])[1] == hold([episode])[1]
