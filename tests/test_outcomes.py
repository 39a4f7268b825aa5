"""What comes of what goes on: time left and success, told from an episode's events."""

import numpy as np
import pytest
import toy
import xarray as xr

from twinlab.batches import OUTCOMES, fitted, hold, with_outcomes
from twinlab.model import WorldModel
from twinlab.model.heads import Actor


def told(*events: tuple[float, str, bool], ticks: int = 60) -> xr.Dataset:
    """A toy episode in which these events happened."""
    episode = toy.episode(0, ticks=ticks)
    for i, (key, kind) in enumerate((("time", float), ("kind", str), ("right", bool))):
        episode[f"event_{key}"] = ("event", np.array([e[i] for e in events], dtype=kind))
    return with_outcomes(episode)


def test_the_time_to_the_next_end_of_an_item_and_whether_it_is_right_are_known_until_the_last():
    episode = told((0.3, "picked", False), (0.52, "placed", True), (1.0, "missed", False))
    left, success, known = (episode[name].values for name in OUTCOMES)
    assert left[[0, 10]] == pytest.approx([0.52, 0.02]) and left[11] == pytest.approx(0.45)
    assert success[:11].all() and not success[11:].any()
    assert known[:20].all() and not known[20:].any()


def test_what_takes_long_counts_as_long_and_without_an_end_nothing_is_known():
    assert told((20.0, "placed", True))["time_left"].values[0] == 10
    nothing = told((0.1, "picked", False))
    assert not nothing["outcome_known"].any() and (nothing["time_left"] == 10).all()


def test_an_episode_without_events_stays_as_it_is():
    episode = toy.episode(0)
    assert with_outcomes(episode) is episode


def test_a_model_tells_outcomes_and_its_actor_does_not_look_at_them():
    episode = told((1.0, "placed", True), (2.5, "placed", False))
    tracks, plain = hold([episode])
    signals = fitted(plain, tracks)
    model = WorldModel(signals, toy.SMALL.size)
    heads = model.heads(model.initial())
    assert {"time_left", "success"} <= set(heads) and "outcome_known" not in heads
    assert not {s.name for s in Actor(signals, 1, 8).truth} & set(OUTCOMES)
    assert set(OUTCOMES) <= set(tracks[0].values)
