"""Model predictive path integral: every draw counts, the cheaper the more."""

from dataclasses import dataclass

import numpy as np

from twinlab.planners import Cost, Limits, Search, Slope, coloured


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
        self,
        cost: Cost,
        prior: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        rng: np.random.Generator,
        limits: Limits | None = None,
        slope: Slope | None = None,
    ) -> np.ndarray:
        """The cheapest of all that was tried, the weighted means included (tick, actuator)."""
        search = Search(cost, prior, low, high, limits)
        mean = search.centre
        for _ in range(self.iterations):
            noise = coloured(rng, (self.samples, *mean.shape), self.smooth)
            actions, costs, excess = search.try_out(mean + self.spread * (high - low) / 2 * noise)
            weights = self._weights(costs, excess)
            if not weights.any():
                continue
            mean = np.tensordot(weights / weights.sum(), actions, axes=1)
            search.try_out(mean[None])
        return search.best

    def _weights(self, costs: np.ndarray, excess: np.ndarray) -> np.ndarray:
        """How much each draw counts (sample,), the best 1; 0 for all where no limit is anything but infinitely broken.

        Those that keep the limits are weighed by cost, or all alike if each costs without end; where none keeps them,
        all are weighed by excess.
        """
        kept = excess <= 0
        worth = np.where(kept, costs, np.inf) if kept.any() else excess
        finite = np.isfinite(worth)
        if not finite.any():
            return kept.astype(float)
        scale = self.temperature * max(float(worth[finite].std()), 1e-9)
        return np.exp((worth.min() - worth) / scale)
