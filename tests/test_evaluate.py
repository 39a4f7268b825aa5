"""Evaluation: baselines are right, and a model that was trained for seconds foresees and perceives better than they."""

from functools import cache

import numpy as np
import pytest
import torch
import toy

from twinlab.batches import fitted, hold
from twinlab.errors import ModelError
from twinlab.evaluate import Linear, foresee, localise, table
from twinlab.model import Size, WorldModel
from twinlab.model.linear import scaled, stacked
from twinlab.train import Fit, Stage, fit

TRAINING, HELD_OUT = tuple(range(240)), tuple(range(60_000, 60_006))


@cache
def training() -> list:
    return [toy.episode(seed, ticks=24) for seed in TRAINING]


@cache
def held_out() -> list:
    return [toy.episode(seed) for seed in HELD_OUT]


@cache
def trained() -> WorldModel:
    small = Fit(
        seeing=Stage(steps=400, batch=48, window=1, horizon=0, starts=1, rate=4e-3),
        following=Stage(steps=200, batch=32, window=12, horizon=10, starts=2, rate=2e-3),
        blind=0.15,
        size=Size(96, 128, 32, 8, 3),
    )
    return fit(training(), small)


@cache
def foreseen():
    return foresee(trained(), held_out(), training(), context=6, without=("top_rgb", "tool"))


@cache
def localised():
    return localise(trained(), held_out(), context=6, without=("top_rgb", "top_depth"))


def test_the_linear_baseline_foresees_a_linear_line_exactly():
    tracks, signals = hold(training()[:4])
    signals = fitted(signals, tracks)
    linear = Linear.fit(tracks, signals, horizon=5)
    values, acts = stacked(tracks[0], signals), scaled(tracks[0].values["action"], signals)
    found = linear(values[:-5], np.stack([acts[k : k - 5] for k in range(5)], axis=1))
    assert np.abs((found - values[5:])[:, :2]).max() < 0.02  # the tool's place is the sum of its velocities


def test_a_trained_model_foresees_better_than_no_change_and_than_a_linear_model():
    mean = foreseen()["mean"].sel(without="")
    others = mean.sel(predictor=["linear", "nothing changes"])
    assert float(mean.sel(predictor="model")) < 0.6 * float(others.min())


def test_intervals_hold_the_mean_and_say_on_how_many_episodes():
    result = foreseen()
    assert (result["low"] <= result["mean"]).all() and (result["mean"] <= result["high"]).all()
    assert result.attrs == {"horizon": 0.5, "episodes": 6, "windows": 6 * 5}


def test_a_trained_model_finds_the_dot_within_a_pixel_from_pictures():
    found = localised().sel(place="target")
    pixel = toy.SPAN / toy.EDGE
    assert float(found["median"].sel(without="")) < pixel
    assert float(found["median"].sel(without="top_depth")) < 4 * pixel  # 9 by guessing
    assert float(found["within"].sel(without="")) > 0.6


def test_a_trained_model_tells_colours_from_the_picture_that_shows_them():
    right = localised()["accuracy"].sel(what="target_colour")
    assert float(right.sel(without="")) > 0.95
    assert float(right.sel(without="top_rgb")) < float(right.sel(without=""))


def test_tables_say_the_numbers_and_on_what():
    assert "0.5 s ahead, 6 episodes, 30 windows" in table(foreseen())
    assert "model without tool" in table(foreseen())
    assert "without top_rgb:" in table(localised()) and "target_colour" in table(localised())


def test_cloning_leads_the_tool_to_the_dot_from_pictures():
    model, rng = trained(), np.random.default_rng(0)
    left = []
    for _ in range(5):
        dot, tool, colour = rng.uniform(-0.25, 0.25, 2), rng.uniform(-0.25, 0.25, 2), int(rng.integers(2))
        belief, action = model.initial(), None
        with torch.no_grad():
            for t in range(40):
                rgb, depth = toy.picture(dot, tool, colour, toy.EDGE)
                phase = np.array([*tool, np.sin(t / 5)], np.float32)
                readings = model.take({"top_rgb": rgb, "top_depth": depth, "tool": phase, "beam": np.array(dot[0] > 0)})
                belief = model.update(belief if action is None else model.step(belief, action), readings)
                action = model.act(belief, torch.zeros(1, 2))
                tool = tool + toy.TICK * action[0].numpy()
        left.append(np.linalg.norm(dot - tool))
    assert np.median(left) < 0.03


def test_a_reading_that_the_model_does_not_have_cannot_be_taken_away():
    with pytest.raises(ModelError, match=r"without: the model has no reading 'top_rbg'.*Did you mean 'top_rgb'"):
        foresee(trained(), held_out(), training(), without=("top_rbg",))
