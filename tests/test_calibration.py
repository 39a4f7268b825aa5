"""Calibration: intervals hold what they say on episodes that nothing was fitted on, and travel with the model."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
import toy

from twinlab.batches import fitted, hold
from twinlab.errors import ModelError
from twinlab.evaluate import coverage
from twinlab.model import WorldModel, calibration
from twinlab.model.imitation import Cloning
from twinlab.train import fit

SHORT = replace(toy.SMALL, cloning=Cloning(steps=3, batch=64))


@cache
def untrained() -> tuple[WorldModel, tuple]:
    """A model that knows nothing, and 16 episodes to follow."""
    tracks, signals = hold(toy.episodes(16))
    torch.manual_seed(0)
    return WorldModel(fitted(signals, tracks), toy.SMALL.size).eval(), tracks


@cache
def calibrated() -> WorldModel:
    model, tracks = untrained()
    model.calibration = calibration.fitted(model, tracks[:10])
    return model


def belief() -> torch.Tensor:
    model, tracks = untrained()
    return calibration.beliefs(model, tracks[12])[20:40]


def test_intervals_hold_their_share_of_episodes_that_were_not_seen():
    held = [toy.episode(s) for s in range(60_000, 60_012)]
    result = coverage(calibrated(), held, ahead=(0.0, 0.5, 1.0), stride=3)
    off = {
        name: float(np.abs(result[name] - result["level"]).sel(what="target").mean()) for name in ("share", "believed")
    }
    assert off["share"] < 0.07 and off["share"] < off["believed"] / 2  # 10 episodes of 3 s tell no more
    assert float(np.abs(result["share"] - result["level"]).sel(what="tool", ahead=[0.5, 1.0]).mean()) < 0.07
    assert np.isnan(result["share"].sel(what="tool", ahead=0.0)).all()  # it was read
    assert np.isnan(result["believed"].sel(what="tool")).all() and result.attrs["calibrated"] == 10


def test_ratios_of_a_known_distribution_give_its_quantiles():
    """Errors that are exponential in the doubt: a share p lies within -ln(1 - p) of it, whatever the doubt is."""
    rng = np.random.default_rng(0)
    doubt = rng.uniform(0.1, 10, (20_000, 1))
    signal = replace(untrained()[0].signals["target"], shape=(1,), varies=(True,))
    factors, floors = calibration._scaled(signal, [(doubt * rng.exponential(size=doubt.shape), doubt)], (0.5, 0.9))
    assert factors[:, 0] == pytest.approx(-np.log([0.5, 0.1]), rel=0.03) and floors[0] == 0


def test_numbers_of_a_vector_are_pooled_where_moments_are_few():
    rng = np.random.default_rng(0)
    signal = untrained()[0].signals["target"]
    for count, alike in ((20, True), (2000, False)):
        off = rng.exponential(size=(count, 2)) * [1, 5]
        factors, _ = calibration._scaled(signal, [(off, np.ones_like(off))], (0.5,))
        assert (factors[0, 0] == factors[0, 1]) == alike


def test_intervals_are_in_own_units_around_what_is_believed_and_grow_with_level():
    model, now = calibrated(), belief()
    narrow, wide = (model.intervals(now, level, 0.5) for level in (0.5, 0.95))
    assert {"target", "tool"} <= set(narrow)
    told = {**model.heads(now), **model.decode(now, ("tool",))}
    for name in ("target", "tool"):
        (low, high), (lower, higher) = narrow[name], wide[name]
        assert low.shape == told[name].shape
        assert torch.allclose((low + high) / 2, told[name], atol=1e-5)
        assert (lower <= low).all() and (high <= higher).all()


def test_readings_that_were_just_read_have_no_width_and_foreseen_ones_have():
    model, now = calibrated(), belief()
    low, high = model.intervals(now)["tool"]
    assert torch.equal(low, high)
    low, high = model.intervals(now, ahead=0.5)["tool"]
    assert (low < high).all()


def test_between_two_times_and_levels_widths_lie_between():
    told = calibrated().calibration
    at = [told.reach("target", 0.9, a)[0] for a in (0.5, 0.75, 1.0)]
    assert at[1] == pytest.approx((at[0] + at[2]) / 2)
    half, more, most = (told.reach("target", level, 0.5)[0] for level in (0.5, 0.6, 0.7))
    assert more == pytest.approx((half + most) / 2)


def test_what_was_calibrated_is_saved_and_loaded(tmp_path):
    model = calibrated()
    loaded = WorldModel.load(model.save(tmp_path))
    for name, (low, high) in model.intervals(belief(), 0.8, 1.0).items():
        again = loaded.intervals(belief(), 0.8, 1.0)[name]
        assert torch.allclose(low, again[0], rtol=1e-3, atol=1e-5) and torch.allclose(
            high, again[1], rtol=1e-3, atol=1e-5
        )
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"calibration": {"ahead": []}}))
    with pytest.raises(ModelError, match="damaged or not of twinlab"):
        WorldModel.load(tmp_path)


def test_training_calibrates_on_validation_episodes_and_says_so(tmp_path):
    model = fit([*toy.episodes(2), *toy.episodes(3, 50_000)], SHORT, tmp_path)
    assert model.calibration is not None and model.calibration.episodes == 3
    assert model.card["Calibration"]["validation episodes"] == 3 and "target" in model.card["Calibration"]
    assert "## Calibration" in (tmp_path / "card.md").read_text()
    assert WorldModel.load(tmp_path).calibration.moments == model.calibration.moments


def test_without_validation_episodes_there_are_no_intervals_and_that_is_told():
    model = fit(toy.episodes(2), SHORT)
    assert model.calibration is None and model.card["Calibration"] == {"validation episodes": 0}
    with pytest.raises(ModelError, match=r"not calibrated.*record some with seeds from 50000 on"):
        model.intervals(model.initial())


def test_what_no_episode_is_long_enough_for_is_not_calibrated():
    model, _ = untrained()
    short = hold([toy.episode(s, ticks=24) for s in range(3)], model.signals)[0]
    assert calibration.fitted(model, short).ahead == pytest.approx((0.0, 0.25, 0.5))
    assert calibration.fitted(model, hold([toy.episode(0, ticks=6)], model.signals)[0]) is None
    assert calibration.fitted(model, ()) is None


@pytest.mark.parametrize(
    ("level", "ahead", "words"),
    [
        (1.0, 0.0, "level came as 1.0; wanted a share above 0 and up to 0.98"),
        (0.0, 0.0, "level came as 0.0"),
        (0.9, 3.0, "ahead came as 3 s; the model is calibrated from 0 to 2 s"),
        (0.9, -1.0, "ahead came as -1 s"),
    ],
)
def test_levels_and_times_beyond_what_was_calibrated_are_told(level, ahead, words):
    with pytest.raises(ModelError, match=words):
        calibrated().intervals(belief(), level, ahead)
