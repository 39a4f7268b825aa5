"""Improved cross-entropy method: slow noise, fewer draws each time, the best are carried over."""

from dataclasses import dataclass

import numpy as np

from twinlab.planners import Cost, Limits, Search, Slope, ranked


@dataclass(frozen=True)
class Icem:
    """Cross-entropy method that needs fewer draws, by noise that hangs together over time.

    Proposals, such as the last plan shifted by a tick, are part of the first population.

    Source: Pinneri et al. 2020, Sample-efficient Cross-Entropy Method for Real-time Planning; their shift of the last
    call's elites is left to the caller's proposals, since a planner keeps no state. Spread, exponent,
    decay, elites, kept and blend are as in the authors' settings.

    Attributes:
        samples: sequences of the first iteration [1].
        iterations: how often the distribution is fitted anew [1].
        elites: sequences that it is fitted to [1].
        spread: first standard deviation, as a share of the actuators' half range [1].
        exponent: of the noise's spectrum, f^-exponent: 0 white, 2 a random walk, more is slower [1].
        decay: an iteration has this many times fewer draws than the one before, yet two for each elite [1].
        kept: share of the elites that stays in the next iteration's population [1].
        blend: share of the old mean and spread that is kept [1].
    """

    samples: int = 96
    iterations: int = 3
    elites: int = 10
    spread: float = 0.5
    exponent: float = 3.0
    decay: float = 1.25
    kept: float = 0.3
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
        mean, kept = search.centre, search.first
        spread = np.broadcast_to(self.spread * (high - low) / 2, mean.shape)
        for iteration in range(self.iterations):
            count = max(int(self.samples / self.decay**iteration), min(2 * self.elites, self.samples))
            draws = mean + spread * power_law(rng, (count, *mean.shape), self.exponent)
            if iteration == self.iterations - 1:
                draws = np.concatenate([draws, mean[None]])
            tried = search.try_out(draws)
            actions, costs, excess = (np.concatenate(pair) for pair in zip(tried, kept, strict=True))
            best = ranked(costs, excess)[: self.elites]
            mean = self.blend * mean + (1 - self.blend) * actions[best].mean(axis=0)
            spread = self.blend * spread + (1 - self.blend) * actions[best].std(axis=0)
            stay = best[: int(np.ceil(self.kept * len(best)))]
            kept = actions[stay], costs[stay], excess[stay]
        return search.best


def power_law(rng: np.random.Generator, shape: tuple[int, int, int], exponent: float) -> np.ndarray:
    """Normal draws (sample, tick, actuator) of unit variance whose power over the ticks falls as f^-exponent.

    The mean over the ticks has the power of the lowest frequency that fits. Each actuator has its own draw.

    Source: Timmer & Koenig 1995, On generating power law noise.
    """
    ticks = shape[1]
    white = np.fft.rfft(rng.normal(size=shape), axis=1)
    lines = np.maximum(np.abs(np.fft.fftfreq(ticks)), 1 / ticks) * ticks
    gain = lines ** (-exponent / 2) / np.sqrt((lines**-exponent).mean())
    return np.fft.irfft(white * gain[: white.shape[1], None], n=ticks, axis=1)
