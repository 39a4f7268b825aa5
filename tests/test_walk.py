"""Which windows training learns from: most go on where one ended, and every tick comes equally often."""

import json

import numpy as np
import pytest
import torch
import toy

from twinlab.batches import Windows, fitted, hold
from twinlab.model import WorldModel
from twinlab.model.linear import typical_change
from twinlab.model.objective import Objective, draw
from twinlab.train._walk import Walk

LENGTHS = (60, 40, 33)
LONG = 13  # ticks of a window and its horizon


@pytest.fixture(scope="module")
def windows() -> Windows:
    tracks, signals = hold([toy.episode(seed, ticks) for seed, ticks in enumerate(LENGTHS)])
    return Windows(tracks, fitted(signals, tracks), 8, 5)


def walked(windows: Windows, steps: int, count: int = 50, fresh: float = 0.125) -> tuple[np.ndarray, np.ndarray]:
    walk = Walk(windows, np.random.default_rng(0), count, fresh)
    which, goes_on = zip(*(walk.next() for _ in range(steps)), strict=True)
    return np.stack(which), np.stack(goes_on)


def test_what_goes_on_begins_where_the_one_before_ended(windows):
    which, goes_on = walked(windows, 40)
    assert not goes_on[0].any() and goes_on[1:].any()
    assert (which[1:][goes_on[1:]] == which[:-1][goes_on[1:]] + 8).all()
    starts = np.cumsum([0, *(length - LONG + 1 for length in LENGTHS)])
    episode = np.searchsorted(starts, which, side="right")
    assert (episode[1:] == episode[:-1])[goes_on[1:]].all()


def test_every_window_comes_equally_often(windows):
    which, _ = walked(windows, 4000)
    found = np.bincount(which.ravel(), minlength=len(windows)) / which.size * len(windows)
    assert found == pytest.approx(np.ones(len(windows)), abs=0.2)


@pytest.mark.parametrize("fresh", [0.0, 0.125, 1.0])
def test_as_many_as_asked_for_begin_anew(windows, fresh):
    which, goes_on = walked(windows, 2000, fresh=fresh)
    over = windows.onward(which[:-1]) < 0
    assert (~goes_on[1:])[~over].mean() == pytest.approx(fresh, abs=0.01)
    assert not goes_on[1:][over].any()


def test_a_walk_that_was_kept_goes_on_as_it_would_have(windows):
    one = Walk(windows, np.random.default_rng(3), 6, 0.3)
    for _ in range(4):
        one.next()
    kept = json.loads(json.dumps(one.state))
    wanted = [one.next() for _ in range(5)]
    other = Walk(windows, np.random.default_rng(9), 6, 0.3)
    other.state = kept
    for (a, b), (c, d) in zip(wanted, (other.next() for _ in range(5)), strict=True):
        assert (a == c).all() and (b == d).all()


def test_windows_that_are_handed_on_end_in_the_beliefs_of_one_long_window():
    tracks, signals = hold(toy.episodes(2))
    signals = fitted(signals, tracks)
    torch.manual_seed(0)
    model, change = WorldModel(signals, toy.SMALL.size), torch.from_numpy(typical_change(tracks, signals, 5))
    ends = []
    for ticks in (8, 16):
        cut = Windows(tracks, signals, ticks, 5)
        objective, belief = Objective(model.eval(), ticks, 5, change), None
        for start in range(0, 16, ticks):
            choices = draw(model, 1, ticks, np.random.default_rng(0))
            with torch.no_grad():
                _, belief = objective(cut.take([start]), choices, belief)
        ends.append(belief)
    assert torch.allclose(*ends, atol=1e-5) and not torch.allclose(ends[0], model.initial())
