"""Cross-entropy method: draw, keep the best, draw around these."""

from dataclasses import dataclass

import numpy as np

from twinlab.planners import Cost, Limits, Search, Slope, coloured, ranked


@dataclass(frozen=True)
class Cem:
    """Cross-entropy method with draws that hang together over time.

    Source: Rubinstein 1999; coloured draws and kept elites as in iCEM (Pinneri et al. 2020).

    Attributes:
        samples: sequences an iteration [1].
        iterations: how often the distribution is fitted anew [1].
        elites: sequences that it is fitted to [1].
        spread: first standard deviation, as a share of the actuators' half range [1].
        smooth: how much of a draw the next tick keeps [1].
        blend: share of the old mean and spread that is kept [1].
    """

    samples: int = 96
    iterations: int = 3
    elites: int = 12
    spread: float = 0.3
    smooth: float = 0.7
    blend: float = 0.1

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
        """The cheapest of all that was tried (tick, actuator)."""
        search = Search(cost, prior, low, high, limits)
        mean = search.centre
        spread = np.broadcast_to(self.spread * (high - low) / 2, mean.shape)
        elite = np.empty((0, *mean.shape))
        for _ in range(self.iterations):
            noise = coloured(rng, (self.samples, *mean.shape), self.smooth)
            actions, costs, excess = search.try_out(np.concatenate([mean + spread * noise, elite, mean[None]]))
            elite = actions[ranked(costs, excess)[: self.elites]]
            mean = self.blend * mean + (1 - self.blend) * elite.mean(axis=0)
            spread = self.blend * spread + (1 - self.blend) * elite.std(axis=0)
        search.try_out(mean[None])
        return search.best
