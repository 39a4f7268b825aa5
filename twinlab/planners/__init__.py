"""Planners: search for the cheapest sequence of actions; they see functions of it, never the model."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from twinlab.errors import ActionError, ModelError

Cost = Callable[[np.ndarray], np.ndarray]
"""Sequences (sample, tick, actuator) → what each costs (sample,)."""

Limits = Callable[[np.ndarray], np.ndarray]
"""Sequences (sample, tick, actuator) → (sample, limit), at most 0 where a hard limit is kept."""

Slope = Callable[[np.ndarray], np.ndarray]
"""Sequences (sample, tick, actuator) → gradient of the cost, of the same shape."""


class Planner(Protocol):
    """A way to search: a frozen dataclass with a default for every field."""

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
        """The cheapest sequence that was found (tick, actuator).

        "Do nothing" and the prior always compete, so the answer is no worse than either.

        Args:
            cost: what sequences cost; one that is not finite counts as infinite.
            prior: a sequence to search around, such as a cloned policy's (tick, actuator), or several proposals
                (proposal, tick, actuator): the first is the centre of the search, all compete.
            low, high: limits of the actuators (actuator,).
            rng: decides all draws.
            limits: hard limits; one that breaks them never wins over one that keeps all, whatever it costs. One that
                is not a number counts as broken without end.
            slope: gradient of the cost, for planners that follow it; others leave it aside.

        Raises:
            ActionError: proposals or the actuators' limits have the wrong shape, are not finite or none came.
            ModelError: what cost, limits or slope gave has the wrong shape.
        """
        ...


class Search:
    """Keeps the best of all sequences that were tried, "do nothing" and the proposals first.

    Whatever breaks the limits least is better; among equals (such as all that keep them), whatever costs less.

    Args:
        cost, prior, low, high, limits: as in `Planner.plan`.

    Attributes:
        centre: the first proposal, cut to the box (tick, actuator).
        first: "do nothing" and the proposals, as `try_out` gives them.
        best: the best sequence so far (tick, actuator).
        rank: its largest excess over a limit, 0 where all are kept, and what it costs.

    Raises:
        ActionError, ModelError: as in `Planner.plan`.
    """

    def __init__(
        self, cost: Cost, prior: np.ndarray, low: np.ndarray, high: np.ndarray, limits: Limits | None = None
    ) -> None:
        self._cost, self._low, self._high, self._limits = cost, low, high, limits
        proposals = _proposals(prior, low, high)
        self.centre = np.clip(proposals[0], low, high)
        self.best, self.rank = np.clip(np.zeros_like(self.centre), low, high), (np.inf, np.inf)
        self.first = self.try_out(np.concatenate([self.best[None], proposals]))

    def try_out(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cut sequences (sample, tick, actuator) to the box; gives them, their costs and excesses (sample,)."""
        actions = np.clip(actions, self._low, self._high)
        came = checked("cost", self._cost(actions), (len(actions),))
        costs = np.where(np.isfinite(came), came, np.inf)
        excess = self._excess(actions)
        first = int(ranked(costs, excess)[0])
        if (rank := (float(excess[first]), float(costs[first]))) < self.rank:
            self.best, self.rank = actions[first], rank
        return actions, costs, excess

    def _excess(self, actions: np.ndarray) -> np.ndarray:
        """By how much each breaks its worst limit (sample,); 0 where all are kept, infinite where not a number."""
        if self._limits is None:
            return np.zeros(len(actions))
        over = checked("limits", self._limits(actions), (len(actions), None))
        return np.where(np.isnan(over), np.inf, np.maximum(over, 0.0)).max(axis=1, initial=0.0)


def ranked(costs: np.ndarray, excess: np.ndarray) -> np.ndarray:
    """Numbers of sequences (sample,), the best first: by excess over the limits, then by cost."""
    return np.lexsort((costs, excess))


def checked(name: str, came: np.ndarray, wanted: tuple[int | None, ...]) -> np.ndarray:
    """What a function of the caller gave, as floats of the wanted shape; None stands for any length.

    Raises:
        ModelError: it has another shape.
    """
    out = np.asarray(came, float)
    if out.ndim != len(wanted) or any(b not in (None, a) for a, b in zip(out.shape, wanted, strict=True)):
        shape = str(wanted).replace("None", "limit")
        raise ModelError(f"planners: {name} gave {out.shape}, wanted {shape}; a row for each sequence that it is given")
    return out


def _proposals(prior: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The proposals (proposal, tick, actuator) of one or several that came."""
    out = np.asarray(prior, float)
    if out.ndim not in (2, 3) or 0 in out.shape:
        wanted = "(tick, actuator) or (proposal, tick, actuator), each at least 1"
        raise ActionError(f"planners: prior came as {out.shape}, wanted {wanted}; give zeros if nothing is proposed")
    for name, edge in (("low", low), ("high", high)):
        if np.shape(edge) != out.shape[-1:] or not np.isfinite(edge).all():
            wanted = f"finite numbers {out.shape[-1:]}, one for each actuator of the prior"
            raise ActionError(f"planners: {name} came as {np.shape(edge)} {edge!r}, wanted {wanted}")
    if (np.asarray(low) > high).any():
        raise ActionError(f"planners: low {low!r} lies above high {high!r}; swap them where it does")
    if bad := int((~np.isfinite(out)).sum()):
        raise ActionError(f"planners: {bad} values of the prior are not finite; leave such proposals out")
    return out.reshape(-1, *out.shape[-2:])


def coloured(rng: np.random.Generator, shape: tuple[int, int, int], smooth: float) -> np.ndarray:
    """Normal draws (sample, tick, actuator), each tick sharing `smooth` of the one before; unit variance.

    Actions that hang together over time explore further than white noise (iCEM: Pinneri et al. 2020).
    """
    out = rng.normal(size=shape)
    for t in range(1, shape[1]):
        out[:, t] = smooth * out[:, t - 1] + np.sqrt(1 - smooth**2) * out[:, t]
    return out
