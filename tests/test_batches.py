"""Batches: windows are cut where they should be, normalisation is that of training, mistakes are told."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import toy
import xarray as xr

from twinlab import rooms
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


def more(seed: int, **values: np.ndarray) -> xr.Dataset:
    """A toy episode with normals, a tactile map and a cloud beside its other readings."""
    rng, ticks = np.random.default_rng(seed), 70
    facing = rng.normal([0, 0, -1], 0.1, (ticks, toy.EDGE, toy.EDGE, 3))
    made = {
        "top_normals": facing / np.linalg.norm(facing, axis=-1, keepdims=True),
        "pads": np.where(rng.random((ticks, 2, 3, 3)) < 0.5, 0, rng.gamma(1, 5e4, (ticks, 2, 3, 3))),
        "points": rng.normal([1, 2, 3, 100], [0.1, 0.3, 0.1, 20], (ticks, 50, 4)),
    }
    made["points"][:, 40:] = np.inf
    dims = {"top_normals": ("top_row", "top_column", "top_axis"), "pads": ("pad", "pad_row", "pad_column")}
    dims["points"] = ("point", "point_column")
    kinds = {"top_normals": "normals", "pads": "tactile", "points": "cloud"}
    read = {
        name: (("time", *dims[name]), value.astype(np.float32), {"kind": kinds[name], "role": "reading", "units": "1"})
        for name, value in (made | values).items()
    }
    return toy.episode(seed, ticks=ticks).assign(read)


def test_clouds_are_there_at_every_tick_of_a_window_and_pictures_only_where_they_are_looked_at():
    held, signals = hold([more(0)])
    found = np.zeros((70, 1, 5), np.float32)
    known = [replace(track, values={**track.values, "found": found}) for track in held]
    for tracks, pictures in ((held, 4), (known, 1)):
        readings = Windows(tracks, signals, window=4, horizon=6).take([7]).readings
        assert {name: value.shape[1] for name, value in readings.items()} == {
            **dict.fromkeys(("top_rgb", "top_depth", "top_normals"), pictures),
            "points": 4,
            **dict.fromkeys(("tool", "beam", "pads"), 10),
        }
        assert np.array_equal(readings["pads"][0], more(0)["pads"][7:17])


def test_pressures_keep_all_their_digits_and_normals_and_clouds_half_of_them():
    episode = more(0)
    episode["pads"][3, 0, 0, 0] = 345_000.0
    held, _ = hold([episode])
    values = held[0].values
    assert np.array_equal(values["pads"], episode["pads"]) and values["pads"].max() == 345_000.0
    assert values["top_normals"].dtype == values["points"].dtype == np.float16
    assert np.abs(values["top_normals"] - episode["top_normals"].values).max() < 5e-4
    kept, cloud = values["points"], episode["points"].values
    there = np.isfinite(cloud)
    assert np.array_equal(there, np.isfinite(kept)) and not there.all()
    assert np.allclose(kept[there], cloud[there], rtol=2**-11, atol=0)


def test_a_cloud_too_far_away_for_16_bits_is_told():
    far = more(0)["points"].values
    far[4, 2, 1] = 500_000.0
    with pytest.raises(
        ModelError, match=r"'points' holds 500000, which is more than 65504; give it in metres, in a fra"
    ):
        hold([more(0, points=far)])


def test_a_cloud_is_normalised_column_by_column_with_one_scale_for_places():
    held, plain = hold([more(0), more(1)])
    points = fitted(plain, held)["points"]
    assert np.allclose(points.mean, [1, 2, 3, 100], rtol=0.02)
    assert points.std[0] == points.std[1] == points.std[2] == pytest.approx(np.sqrt((0.01 + 0.09 + 0.01) / 3), rel=0.05)
    assert points.std[3] == pytest.approx(20, rel=0.1)


def test_a_tactile_map_is_scaled_by_a_light_touch():
    held, plain = hold([more(0), more(1)])
    pads = fitted(plain, held)["pads"]
    every = np.concatenate([k.values["pads"][::10] for k in held])
    below = (every[every > 0] <= pads.std[0]).mean()
    assert pads.mean == (0.0,) and below == pytest.approx(0.25, abs=0.02)


def test_what_was_never_felt_nor_seen_keeps_its_unit():
    nothing = {"pads": np.zeros((70, 2, 3, 3)), "points": np.full((70, 50, 4), np.inf)}
    held, plain = hold([more(0, **nothing)])
    signals = fitted(plain, held)
    assert (signals["pads"].mean, signals["pads"].std) == ((0.0,), (1.0,))
    assert (signals["points"].mean, signals["points"].std) == ((0.0,) * 4, (1.0,) * 4)


def test_clean_pictures_maps_and_clouds_are_no_truth_to_learn():
    episode = more(0)
    clean = {f"{n}_clean": episode[n].assign_attrs(role="truth") for n in ("top_rgb", "top_normals", "pads", "points")}
    clean["tool_clean"] = episode["tool"].assign_attrs(role="truth")
    own = {s.name for s in hold([episode])[1].of("truth")}
    assert {s.name for s in hold([episode.assign(clean)])[1].of("truth")} == own | {"tool_clean"}


def test_a_kind_of_ones_own_is_held_as_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(rooms, "_extra", {})
    (tmp_path / "wave.py").write_text("class Wave: pass\n", encoding="utf-8")
    rooms.add_folder("codecs", tmp_path)
    wave = ("time", "sample"), np.ones((60, 9), np.float64), {"kind": "wave", "role": "reading", "units": "1"}
    held, signals = hold([toy.episode(0).assign(wave=wave)])
    assert signals["wave"].kind == "wave" and held[0].values["wave"].dtype == np.float32
