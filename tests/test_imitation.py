"""Imitation: the actor learns from its teacher, alone, and from what the model believes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import toy

from twinlab.batches import hold
from twinlab.model.imitation import Cloning, clone, cost, lessons
from twinlab.train import fit


@pytest.fixture(scope="module")
def model():
    return fit(toy.episodes(2), replace(toy.SMALL, cloning=Cloning(steps=0)))


def tracks(model, *episodes):
    return hold(episodes, model.signals)[0]


def whole(model, taught, told):
    every = torch.arange(len(taught))
    with torch.no_grad():
        return float(cost(model, taught, every, torch.full((len(taught),), told)).mean())


def test_an_actor_that_is_told_the_truth_does_what_its_teacher_wants(model):
    taught, unseen = (lessons(model, tracks(model, *toy.episodes(6, first))) for first in (0, 20))
    before = whole(model, unseen, told=True)
    clone(model, taught, Cloning(steps=400, batch=128, told=1.0), seed=0)
    assert whole(model, unseen, told=True) < 0.25 * before


def test_only_the_actor_learns(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    clone(model, lessons(model, tracks(model, toy.episode(3))), Cloning(steps=2), seed=0)
    changed = {n for n, value in model.state_dict().items() if not torch.equal(value, before[n])}
    assert changed and all(name.startswith("actor.") for name in changed)


def test_the_same_seed_clones_the_same_actor():
    one, two = (fit(toy.episodes(1), toy.SMALL) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.actor.parameters(), two.actor.parameters(), strict=True))


def test_only_episodes_with_a_teacher_are_lessons(model):
    alone = toy.episode(0).drop_vars("intent")
    assert lessons(model, tracks(model, alone)) is None
    assert len(lessons(model, tracks(model, alone, toy.episode(1, ticks=30), toy.episode(2, ticks=40)))) == 70


def test_lessons_keep_beliefs_truth_and_intent_of_a_tick_together(model):
    short, long = toy.episode(1, ticks=30), toy.episode(2, ticks=40)
    taught = lessons(model, tracks(model, long, short))
    scaled = np.concatenate([short["intent"], long["intent"]]) / toy.LIMIT
    assert np.allclose(taught.intent, scaled, atol=1e-6)
    tool = torch.from_numpy(np.concatenate([short["tool"], long["tool"]]))
    signal = model.signals["tool"]
    read = taught.beliefs[:, model.read_at :] * torch.tensor(signal.std) + torch.tensor(signal.mean)
    assert torch.allclose(read, tool.float(), atol=1e-4)


def test_where_nothing_is_there_the_actor_is_told_no_truth(model):
    episode = toy.episode(0)
    there = np.arange(60) >= 30
    episode["target_present"] = ("time", there, episode["target_present"].attrs)
    taught = lessons(model, tracks(model, episode))
    assert torch.equal(taught.known["target"], torch.from_numpy(there))
    first, told = torch.arange(30), torch.ones(30, dtype=torch.bool)
    with torch.no_grad():
        full = cost(model, taught, first, told), cost(model, taught, first + 30, told)
        plain = cost(model, taught, first, ~told), cost(model, taught, first + 30, ~told)
    assert not torch.equal(full[1], plain[1])
    assert torch.allclose(full[0], plain[0], atol=0.2)
