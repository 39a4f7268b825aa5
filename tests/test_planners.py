"""Planners: never worse than doing nothing or than a proposal, within hard limits if these are, and they repeat."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab import rooms
from twinlab.errors import ActionError, ModelError
from twinlab.planners.cem import Cem
from twinlab.planners.gradient import Gradient
from twinlab.planners.icem import Icem, power_law
from twinlab.planners.mppi import Mppi
from twinlab.planners.shooting import Shooting

LOW, HIGH = np.array([-0.6, -0.2]), np.array([0.6, 0.2])
WISH = np.array([0.3, -0.1])
PLANNERS = pytest.mark.parametrize("name", rooms.names("planners"))


class Seen:
    """A cost that keeps all it was asked."""

    def __init__(self, cost: Callable[[np.ndarray], np.ndarray]) -> None:
        self.cost, self.batches = cost, []

    def __call__(self, actions: np.ndarray) -> np.ndarray:
        self.batches.append(actions.copy())
        return self.cost(actions)

    @property
    def count(self) -> int:
        return sum(len(batch) for batch in self.batches)


def quick(name: str) -> Any:
    """A planner that tries little."""
    known = {field.name for field in fields(rooms.load("planners", name))}
    return rooms.build("planners", name, **{key: n for key, n in {"samples": 8, "steps": 3}.items() if key in known})


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


@PLANNERS
def test_a_cheap_sequence_that_breaks_a_limit_never_wins_over_one_that_keeps_all(name):
    proposals = np.stack([np.full((4, 2), 0.15), np.full((4, 2), -0.1)])
    found = rooms.build("planners", name).plan(
        lambda actions: -actions.sum(axis=(1, 2)),
        proposals,
        LOW,
        HIGH,
        np.random.default_rng(6),
        limits=lambda actions: actions[:, :, 0] + 0.05,
    )
    assert (found[:, 0] <= -0.05).all()


@PLANNERS
def test_where_nothing_keeps_the_limits_the_least_broken_wins(name):
    least = np.full((4, 2), 0.123)
    found = rooms.build("planners", name).plan(
        lambda actions: -actions.sum(axis=(1, 2)),
        np.stack([np.zeros((4, 2)), least]),
        LOW,
        HIGH,
        np.random.default_rng(7),
        limits=lambda actions: 1 + 1e3 * np.abs(actions - least).max(axis=2),
    )
    assert np.allclose(found, least)


@PLANNERS
@pytest.mark.parametrize("best", range(3))
def test_several_proposals_compete(name, best):
    proposals = np.random.default_rng(8).uniform(LOW, HIGH, (3, 4, 2))

    def cost(actions: np.ndarray) -> np.ndarray:
        return np.where((actions == proposals[best]).all(axis=(1, 2)), 0.0, 1.0)

    found = rooms.build("planners", name).plan(cost, proposals, LOW, HIGH, np.random.default_rng(9))
    assert np.array_equal(found, proposals[best])


@PLANNERS
@pytest.mark.parametrize("seed", range(5))
def test_a_planner_finds_what_keeps_the_limits_where_no_proposal_does_and_nothing_does_not(name, seed):
    found = rooms.build("planners", name).plan(
        lambda actions: actions.sum(axis=(1, 2)),
        np.full((2, 4, 2), 0.1),
        LOW,
        HIGH,
        np.random.default_rng(seed),
        limits=lambda actions: np.where(actions[:, :1, 0] < 0.15, 1.0, -1.0),  # nothing tells which way to go
    )
    assert found[0, 0] >= 0.15


@pytest.mark.parametrize("name", [name for name in rooms.names("planners") if name != "shooting"])
def test_a_planner_that_goes_on_from_what_it_found_reaches_limits_that_no_first_draw_keeps(name):
    def limits(actions: np.ndarray) -> np.ndarray:
        return 0.45 - actions[:, :, 0].mean(axis=1, keepdims=True)

    cost = Seen(lambda actions: 9 * actions.sum(axis=(1, 2)))  # pulls away from them
    planner = rooms.build("planners", name)
    found = planner.plan(cost, np.zeros((6, 2)), LOW, HIGH, np.random.default_rng(17), limits)
    assert (limits(cost.batches[1]) > 0).all()
    assert (limits(found[None]) <= 0).all()


@st.composite
def problems(draw: st.DrawFn) -> dict[str, Any]:
    """A box, proposals, a cost with a needle and holes, limits with holes; all may be hostile to one another."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.tuples(*[st.integers(1, 3)] * 3))
    low, wide = rng.uniform(-2, 1, shape[-1]), rng.uniform(0, 3, shape[-1]) * rng.integers(0, 2, shape[-1])
    proposals = rng.uniform(-2, 2, shape)
    odd = st.sampled_from([np.nan, np.inf, -np.inf, -1.0, 0.0, 1.0])
    hole, away, needle = draw(odd), draw(odd), draw(st.integers(0, shape[0]))
    edge, tilts = draw(st.floats(-1, 1)), rng.normal(size=(3, *shape[1:]))
    spot = np.clip(np.concatenate([0 * proposals[:1], proposals])[needle], low, low + wide)

    def cost(actions: np.ndarray) -> np.ndarray:
        at = (actions * tilts[0]).sum(axis=(1, 2))
        out = np.where(at > edge, hole, at)
        return np.where((actions == spot).all(axis=(1, 2)), away, out)

    def limits(actions: np.ndarray) -> np.ndarray:
        at = (actions[:, None] * tilts[1:]).sum(axis=(2, 3)) - edge
        return np.where(at < -1, away, np.where(at > 1, hole, at))

    return {"cost": cost, "prior": proposals, "low": low, "high": low + wide, "limits": limits}


@PLANNERS
@settings(max_examples=60, deadline=None)
@given(problem=problems(), seed=st.integers(0, 99))
def test_limits_are_kept_wherever_a_proposal_or_nothing_keeps_them_and_nothing_else_is_cheaper(name, problem, seed):
    found = quick(name).plan(**problem, rng=np.random.default_rng(seed))
    low, high, prior = problem["low"], problem["high"], problem["prior"]
    assert found.shape == prior.shape[1:] and (found >= low).all() and (found <= high).all()
    others = np.clip(np.concatenate([0 * prior[:1], prior]), low, high)
    keeps = (problem["limits"](others) <= 0).all(axis=1)
    if not keeps.any():
        return
    assert (problem["limits"](found[None]) <= 0).all()
    costs = problem["cost"](others)[keeps]
    if (told := np.isfinite(costs)).any():
        assert -np.inf < price(problem["cost"], found) <= costs[told].min() + 1e-9  # sums round by the size of a batch


@PLANNERS
@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (np.zeros((0, 4, 2)), r"prior came as \(0, 4, 2\), wanted \(tick, actuator\) or \(proposal, tick, actuator\)"),
        (np.zeros((0, 2)), r"prior came as \(0, 2\)"),
        (np.zeros(2), r"prior came as \(2,\)"),
        (np.zeros((1, 1, 4, 2)), r"prior came as \(1, 1, 4, 2\)"),
        (np.zeros((4, 3)), r"low came as \(2,\) .*, wanted finite numbers \(3,\), one for each actuator"),
        (np.full((4, 2), np.nan), "8 values of the prior are not finite; leave such proposals out"),
    ],
)
def test_proposals_that_do_not_fit_are_an_error(name, prior, message):
    with pytest.raises(ActionError, match=message):
        rooms.build("planners", name).plan(far_from_wish, prior, LOW, HIGH, np.random.default_rng(0))


@PLANNERS
@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (LOW, HIGH[:1], r"high came as \(1,\) "),
        (LOW, [0.6, np.inf], r"high came as \(2,\) \[0.6, inf\], wanted finite"),
        (HIGH, LOW, r"low array\(\[0.6, 0.2\]\) lies above high .*; swap them"),
    ],
)
def test_a_box_that_does_not_fit_is_an_error(name, low, high, message):
    with pytest.raises(ActionError, match=message):
        rooms.build("planners", name).plan(far_from_wish, np.zeros((4, 2)), low, high, np.random.default_rng(0))


@PLANNERS
@pytest.mark.parametrize(
    ("cost", "limits", "message"),
    [
        (lambda x: x.sum(axis=1), None, r"cost gave \(2, 2\), wanted \(2,\); a row for each sequence"),
        (lambda x: 0.0, None, r"cost gave \(\), wanted \(2,\)"),
        (far_from_wish, lambda x: x[:, 0, 0], r"limits gave \(2,\), wanted \(2, limit\)"),
        (far_from_wish, lambda x: x[1:, 0], r"limits gave \(1, 2\), wanted \(2, limit\)"),
    ],
)
def test_costs_and_limits_of_another_shape_are_an_error(name, cost, limits, message):
    with pytest.raises(ModelError, match=message):
        rooms.build("planners", name).plan(cost, np.zeros((4, 2)), LOW, HIGH, np.random.default_rng(0), limits)


def test_mppi_goes_to_what_keeps_the_limits_though_it_costs_without_end():
    cost = Seen(lambda actions: np.where(actions[:, 0, 0] < 0.1, actions[:, 0, 0], np.inf))
    Mppi().plan(cost, np.zeros((4, 2)), LOW, HIGH, np.random.default_rng(0), lambda actions: 0.1 - actions[:, :1, 0])
    assert len(cost.batches[-1]) == 1 and cost.batches[-1][0, 0, 0] > 0.1


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, 3.5])
@pytest.mark.parametrize("ticks", [32, 33])
def test_noise_has_its_exponent_and_unit_variance(exponent, ticks):
    draws = power_law(np.random.default_rng(10), (4000, ticks, 2), exponent)
    power = (np.abs(np.fft.rfft(draws, axis=1)) ** 2).mean(axis=(0, 2))[1:]
    fitted = -np.polyfit(np.log(np.arange(1, len(power) + 1)), np.log(power), 1)[0]
    assert fitted == pytest.approx(exponent, abs=0.03)
    assert draws.var() == pytest.approx(1, abs=0.03)
    assert abs(np.corrcoef(draws[:, 0].T)[0, 1]) < 0.06  # actuators are drawn apart


def test_icem_draws_fewer_each_time_but_two_for_each_elite_and_adds_the_mean_at_last():
    cost = Seen(far_from_wish)
    planner = Icem(samples=40, iterations=4, elites=9, decay=1.5)
    planner.plan(cost, np.zeros((2, 8, 2)), LOW, HIGH, np.random.default_rng(11))
    assert [len(batch) for batch in cost.batches] == [3, 40, 26, 18, 19]


@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_icem_takes_proposals_into_the_first_population_and_carries_the_best_on(kept):
    proposals = np.stack([np.zeros((4, 2)), np.tile([0.5, 0.15], (4, 1))])
    cost = Seen(lambda actions: np.where((actions == proposals[1]).all(axis=(1, 2)), 0.0, 1.0))
    planner = Icem(samples=20, elites=2, kept=kept, blend=0.0)
    planner.plan(cost, proposals, LOW, HIGH, np.random.default_rng(12))
    _, first, second, third = cost.batches
    assert np.allclose(second.mean(axis=0), (proposals[1] + first[0]) / 2, atol=0.3)
    assert np.allclose(third[-1], (second[0] + (proposals[1] if kept else second[1])) / 2)


def reach(actions: np.ndarray) -> np.ndarray:
    """A mass is pushed to a place and kept there, without jerks; double integrator over 60 ticks."""
    places = np.cumsum(np.cumsum(actions, axis=1), axis=1) * (2 / 60) ** 2
    jerks = np.diff(actions, axis=1) ** 2
    return ((places - [0.5, -0.4]) ** 2).sum(axis=2).mean(axis=1) + jerks.sum(axis=2).mean(axis=1)


@pytest.mark.parametrize("spread", [0.3, 0.5])
def test_icem_controls_smoothly_better_than_cem_with_no_more_samples(spread):
    edge, ratios = np.ones(2), []
    for seed in range(12):
        costs = [Seen(reach), Seen(reach)]
        searches = zip((Icem(samples=30, spread=spread), Cem(samples=16, spread=spread)), costs, strict=True)
        found = [p.plan(c, np.zeros((60, 2)), -edge, edge, np.random.default_rng(seed)) for p, c in searches]
        assert costs[0].count <= costs[1].count <= 1.1 * costs[0].count
        ratios.append(reach(found[0][None])[0] / reach(found[1][None])[0])
    assert max(ratios) < 1 and np.mean(ratios) < 0.75


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_gradient_reaches_the_minimum_of_a_quadratic(told, seed):
    wish = np.random.default_rng(seed).uniform(-1.2, 1.2, (8, 2))  # some lie outside the box
    weight = np.geomspace(0.1, 10, 16).reshape(8, 2)
    found = Gradient().plan(
        lambda actions: (weight * (actions - wish) ** 2).sum(axis=(1, 2)),
        np.zeros((8, 2)),
        -np.ones(2),
        np.ones(2),
        np.random.default_rng(seed),
        slope=(lambda actions: 2 * weight * (actions - wish)) if told else None,
    )
    assert np.abs(found - np.clip(wish, -1, 1)).max() < 1e-3


def test_gradient_asks_for_all_differences_of_a_step_at_once_and_for_none_where_the_slope_is_told():
    planner, prior = Gradient(samples=10, starts=2, steps=5), np.zeros((3, 2))
    blind, told = Seen(far_from_wish), Seen(far_from_wish)
    planner.plan(blind, prior, LOW, HIGH, np.random.default_rng(13))
    planner.plan(told, prior, LOW, HIGH, np.random.default_rng(13), slope=lambda actions: 2 * (actions - WISH))
    assert [len(batch) for batch in blind.batches] == [2, 10, *[4 * 13] * 5, 4]
    assert [len(batch) for batch in told.batches] == [2, 10, *[4] * 6]


@pytest.mark.parametrize("told", [True, False])
def test_gradient_walks_to_limits_that_no_draw_keeps_and_along_them_to_the_cheapest(told):
    least = 0.5  # of the first actuator, at all 6 ticks; the wish lies at 0.3
    found = Gradient().plan(
        far_from_wish,
        np.zeros((6, 2)),
        LOW,
        HIGH,
        np.random.default_rng(14),
        limits=lambda actions: 100 * (least - actions[:, :, 0]),
        slope=(lambda actions: 2 * (actions - WISH)) if told else None,
    )
    assert (found[:, 0] >= least).all()
    assert price(far_from_wish, found) < 1.1 * 6 * 0.2**2


def test_gradient_does_not_follow_a_slope_that_is_not_a_number_but_what_else_is_told():
    found = Gradient().plan(
        far_from_wish,
        np.zeros((3, 2)),
        LOW,
        HIGH,
        np.random.default_rng(15),
        slope=lambda actions: np.where([True, False], np.nan, 2 * (actions - WISH)),
    )
    assert np.allclose(found[:, 1], WISH[1], atol=1e-3)


def test_gradient_follows_the_best_draws_that_keep_the_limits():
    cost = Seen(lambda actions: -actions[:, 0, 0])
    planner = Gradient(samples=30, starts=1, steps=1)
    planner.plan(cost, np.zeros((3, 2)), LOW, HIGH, np.random.default_rng(16), limits=lambda actions: actions[:, 0])
    drawn = cost.batches[1]
    kept = drawn[(drawn[:, 0] <= 0).all(axis=1)]
    assert 0 < len(kept) < 30
    assert np.array_equal(cost.batches[2][2 * 13], kept[np.argmax(kept[:, 0, 0])])


def test_a_slope_of_another_shape_is_an_error():
    with pytest.raises(ModelError, match=r"slope gave \(\d+, 2\), wanted \(\d+, 4, 2\)"):
        Gradient().plan(
            far_from_wish, np.zeros((4, 2)), LOW, HIGH, np.random.default_rng(0), slope=lambda actions: actions[:, 0]
        )


@pytest.mark.parametrize("shape", [(2, 2), (4, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_gradient_goes_further_along_a_curved_valley_than_shooting_with_as_many_samples(shape, seed):
    def valley(actions: np.ndarray) -> np.ndarray:  # Rosenbrock 1960
        z = 2 * actions.reshape(len(actions), -1)
        return (100 * (z[:, 1:] - z[:, :-1] ** 2) ** 2 + (1 - z[:, :-1]) ** 2).sum(axis=1)

    edge, cost = np.ones(shape[1]), Seen(valley)
    walked = Gradient().plan(cost, np.full(shape, -0.5), -edge, edge, np.random.default_rng(seed))
    shot = Shooting(samples=cost.count).plan(valley, np.full(shape, -0.5), -edge, edge, np.random.default_rng(seed))
    assert price(valley, walked) < 0.5 * price(valley, shot)
