"""Model predictive path integral: every draw counts, the cheaper the more."""

from dataclasses import dataclass

import numpy as np

from twinlab.planners import Cost, Search, coloured


@dataclass(frozen=True)
class Mppi:
    """Model predictive path integral control.

    Source: Williams et al. 2017; temperature relative to the costs' spread as in TD-MPC (Hansen et al. 2022).

    Attributes:
        samples: sequences an iteration [1].
        iterations: how often the mean moves [1].
        temperature: below it a difference in cost is decisive, as a share of the costs' standard deviation [1].
        spread: standard deviation of the draws, as a share of the actuators' half range [1].
        smooth: how much of a draw the next tick keeps [1].
    """

    samples: int = 96
    iterations: int = 3
    temperature: float = 0.5
    spread: float = 0.25
    smooth: float = 0.7

    def plan(
        self, cost: Cost, prior: np.ndarray, low: np.ndarray, high: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """The cheapest of all that was tried, the weighted means included (tick, actuator)."""
        search = Search(cost, prior, low, high)
        mean = np.clip(prior, low, high).astype(float)
        for _ in range(self.iterations):
            noise = coloured(rng, (self.samples, *prior.shape), self.smooth)
            actions, costs = search.try_out(mean + self.spread * (high - low) / 2 * noise)
            if not np.isfinite(costs).any():
                continue
            scale = self.temperature * max(float(costs[np.isfinite(costs)].std()), 1e-9)
            weights = np.exp((costs.min() - costs) / scale)
            mean = np.tensordot(weights / weights.sum(), actions, axes=1)
            search.try_out(mean[None])
        return search.best
