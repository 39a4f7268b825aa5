"""Planners: search for the cheapest sequence of actions; they see a cost function and nothing else."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

Cost = Callable[[np.ndarray], np.ndarray]
"""Sequences (sample, tick, actuator) → what each costs (sample,)."""


class Planner(Protocol):
    """A way to search: a frozen dataclass with a default for every field."""

    def plan(
        self, cost: Cost, prior: np.ndarray, low: np.ndarray, high: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """The cheapest sequence that was found (tick, actuator).

        "Do nothing" and the prior always compete, so the answer costs no more than either.

        Args:
            cost: what sequences cost.
            prior: a sequence to search around, such as a cloned policy's (tick, actuator).
            low, high: limits of the actuators (actuator,).
            rng: decides all draws.
        """
        ...


class Search:
    """Keeps the cheapest of all sequences that were tried, "do nothing" and the prior first.

    Args:
        cost, prior, low, high: as in `Planner.plan`.

    Attributes:
        best: the cheapest sequence so far (tick, actuator).
        price: what it costs.
    """

    def __init__(self, cost: Cost, prior: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        self._cost, self._low, self._high = cost, low, high
        self.best, self.price = np.clip(np.zeros_like(prior), low, high), np.inf
        self.try_out(np.stack([self.best, np.asarray(prior, float)]))

    def try_out(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cut sequences (sample, tick, actuator) to the limits; gives them and their costs (sample,)."""
        actions = np.clip(actions, self._low, self._high)
        costs = np.where(np.isfinite(came := np.asarray(self._cost(actions), float)), came, np.inf)
        first = int(costs.argmin())
        if costs[first] < self.price:
            self.best, self.price = actions[first], float(costs[first])
        return actions, costs


def coloured(rng: np.random.Generator, shape: tuple[int, int, int], smooth: float) -> np.ndarray:
    """Normal draws (sample, tick, actuator), each tick sharing `smooth` of the one before; unit variance.

    Actions that hang together over time explore further than white noise (iCEM: Pinneri et al. 2020).
    """
    out = rng.normal(size=shape)
    for t in range(1, shape[1]):
        out[:, t] = smooth * out[:, t - 1] + np.sqrt(1 - smooth**2) * out[:, t]
    return out
