"""Gradient descent: walk downhill from the proposals and the best of some draws, all at once."""

from dataclasses import dataclass

import numpy as np

from twinlab.planners import Cost, Limits, Search, Slope, checked, coloured, ranked

_TINY = 1e-8  # keeps a slope of 0 from being divided by 0


@dataclass(frozen=True)
class Gradient:
    """Adam on the actions, cut to the box after each step, with a rate that falls to 0 as a half cosine.

    A start that breaks hard limits walks down its excess over them until it keeps them, then down its cost.
    Without a `slope` a step tries `2 * tick * actuator + 1` sequences for each start, in one call of the cost; with
    one it tries each start, and differences only of starts that break limits.

    Source: Adam: Kingma & Ba 2015; a step on the limit where it is broken and on the cost elsewhere: Polyak 1967.

    Attributes:
        samples: sequences that are drawn before [1].
        starts: of these, as many of the best are followed, as well as all proposals and "do nothing" [1].
        steps: steps of each [1].
        rate: length of the first step, as a share of the actuators' half range [1].
        momentum: how much of the mean slope the next step keeps; less than in the paper, as steps are few [1].
        memory: how much of the mean squared slope the next step keeps; likewise [1].
        difference: half the width of a central difference, as a share of the half range [1].
        spread: standard deviation of the draws, as a share of the half range [1].
        smooth: how much of a draw the next tick keeps [1].
    """

    samples: int = 64
    starts: int = 4
    steps: int = 60
    rate: float = 0.2
    momentum: float = 0.7
    memory: float = 0.95
    difference: float = 1e-3
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
        """The cheapest of all that was tried (tick, actuator)."""
        search = Search(cost, prior, low, high, limits)
        half = np.asarray((high - low) / 2)
        noise = coloured(rng, (self.samples, *search.centre.shape), self.smooth)
        drawn, costs, excess = search.try_out(search.centre + self.spread * half * noise)
        at = np.concatenate([search.first[0], drawn[ranked(costs, excess)[: self.starts]]])
        # moments of the excess' gradient and of the cost's are kept apart: their sizes have nothing in common
        mean, square, count = np.zeros((2, *at.shape)), np.zeros((2, *at.shape)), np.zeros((2, len(at), 1, 1))
        for step in range(self.steps):
            uphill, kept = self._uphill(search, at, half, slope)
            on = (kept.astype(int), np.arange(len(at)))
            count[on] += 1
            mean[on] = self.momentum * mean[on] + (1 - self.momentum) * uphill
            square[on] = self.memory * square[on] + (1 - self.memory) * uphill**2
            size = np.sqrt(square[on] / (1 - self.memory ** count[on])) + _TINY
            rate = self.rate * (1 + np.cos(np.pi * step / self.steps)) / 2
            at = np.clip(at - rate * half * mean[on] / (1 - self.momentum ** count[on]) / size, low, high)
        search.try_out(at)
        return search.best

    def _uphill(
        self, search: Search, at: np.ndarray, half: np.ndarray, slope: Slope | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gradients (start, tick, actuator), and which starts keep the limits (start,)."""
        if slope is None:
            return self._differences(search, at, half)
        kept = search.try_out(at)[2] <= 0
        out = np.zeros_like(at)
        if kept.any():
            came = checked("slope", slope(at[kept]), at[kept].shape)
            out[kept] = np.where(np.isfinite(came), came, 0.0)
        if not kept.all():
            out[~kept] = self._differences(search, at[~kept], half)[0]
        return out, kept

    def _differences(self, search: Search, at: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `_uphill`, by central differences, one-sided at the edge; 0 where a difference is not finite."""
        starts, size = len(at), at[0].size
        nudge = self.difference * half * np.eye(size).reshape(size, *at[0].shape)
        around = np.concatenate([np.zeros((1, *at[0].shape)), nudge, -nudge])
        tried, costs, excess = search.try_out((at[:, None] + around).reshape(-1, *at[0].shape))
        costs, excess = costs.reshape(starts, -1), excess.reshape(starts, -1)
        kept = excess[:, 0] <= 0
        up, down = np.moveaxis(np.where(kept[:, None], costs, excess)[:, 1:].reshape(starts, 2, size), 1, 0)
        pair = tried.reshape(starts, -1, *at[0].shape)[:, 1:].reshape(starts, 2, size, -1)
        width = (pair[:, 0] - pair[:, 1]).sum(axis=-1)
        told = np.isfinite(up) & np.isfinite(down) & (width > 0)  # an actuator that cannot move has no width
        rise = np.subtract(up, down, out=np.zeros_like(width), where=told)
        return np.divide(rise, width, out=rise, where=told).reshape(at.shape), kept
