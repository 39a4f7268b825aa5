"""Random shooting: draw around the prior once and take the cheapest."""

from dataclasses import dataclass

import numpy as np

from twinlab.planners import Cost, Limits, Search, Slope, coloured


@dataclass(frozen=True)
class Shooting:
    """The simplest search.

    Attributes:
        samples: sequences that are tried [1].
        spread: standard deviation of the draws, as a share of the actuators' half range [1].
        smooth: how much of a draw the next tick keeps [1].
    """

    samples: int = 256
    spread: float = 0.3
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
        """The cheapest of all draws, the prior and "do nothing" (tick, actuator)."""
        search = Search(cost, prior, low, high, limits)
        noise = coloured(rng, (self.samples, *search.centre.shape), self.smooth)
        search.try_out(search.centre + self.spread * (high - low) / 2 * noise)
        return search.best
