"""Planners: each is never worse than doing nothing or than the prior, keeps the limits and repeats."""

import numpy as np
import pytest

from twinlab import rooms

LOW, HIGH = np.array([-0.6, -0.2]), np.array([0.6, 0.2])
WISH = np.array([0.3, -0.1])
PLANNERS = pytest.mark.parametrize("name", rooms.names("planners"))


def far_from_wish(actions: np.ndarray) -> np.ndarray:
    return ((actions - WISH) ** 2).sum(axis=(1, 2))


def price(cost, actions: np.ndarray) -> float:
    return float(cost(actions[None])[0])


@PLANNERS
def test_a_planner_comes_nearer_to_the_wish_than_doing_nothing_and_than_the_prior(name):
    prior = np.tile([0.1, 0.1], (8, 1))
    found = rooms.build("planners", name).plan(far_from_wish, prior, LOW, HIGH, np.random.default_rng(0))
    assert found.shape == (8, 2)
    assert price(far_from_wish, found) < 0.8 * min(price(far_from_wish, prior), price(far_from_wish, 0 * prior))


@PLANNERS
@pytest.mark.parametrize("best", ["prior", "nothing"])
def test_a_planner_is_never_worse_than_the_prior_or_nothing_even_on_a_needle(name, best):
    prior = np.tile([0.123, 0.045], (5, 1))
    needle = prior if best == "prior" else np.zeros_like(prior)

    def cost(actions: np.ndarray) -> np.ndarray:
        return np.where((np.abs(actions - needle) < 1e-12).all(axis=(1, 2)), 0.0, 1.0)

    found = rooms.build("planners", name).plan(cost, prior, LOW, HIGH, np.random.default_rng(1))
    assert np.allclose(found, needle)


@PLANNERS
def test_a_planner_keeps_the_limits_even_of_a_prior_beyond_them(name):
    def cost(actions: np.ndarray) -> np.ndarray:
        assert (actions >= LOW).all() and (actions <= HIGH).all()
        return -actions.sum(axis=(1, 2))

    found = rooms.build("planners", name).plan(cost, np.full((4, 2), 9.0), LOW, HIGH, np.random.default_rng(2))
    assert np.allclose(found, HIGH)


@PLANNERS
def test_the_same_seed_gives_the_same_plan(name):
    planner, prior = rooms.build("planners", name), np.zeros((6, 2))
    one, two = (planner.plan(far_from_wish, prior, LOW, HIGH, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one, two)


@PLANNERS
def test_a_cost_that_is_not_finite_never_wins(name):
    def cost(actions: np.ndarray) -> np.ndarray:
        return np.where(actions[:, 0, 0] > 0.05, np.nan, 1.0 + far_from_wish(actions))

    found = rooms.build("planners", name).plan(cost, np.zeros((3, 2)), LOW, HIGH, np.random.default_rng(4))
    assert found[0, 0] <= 0.05


@PLANNERS
def test_without_any_finite_cost_a_planner_does_nothing(name):
    def cost(actions: np.ndarray) -> np.ndarray:
        return np.full(len(actions), np.nan)

    found = rooms.build("planners", name).plan(cost, np.ones((3, 2)), LOW, HIGH, np.random.default_rng(5))
    assert not found.any()
