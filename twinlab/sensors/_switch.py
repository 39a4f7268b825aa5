"""What switches share: rays over a round face, and an output that follows what is seen after a while."""

import functools
from dataclasses import dataclass

import numpy as np


@functools.lru_cache(maxsize=8)
def disc(count: int = 32) -> np.ndarray:
    """Points that share a disc of radius 1 evenly, (point, 2), on Vogel's spiral (1979)."""
    number = np.arange(count)
    radius, angle = np.sqrt((number + 0.5) / count), number * np.pi * (3 - np.sqrt(5))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def across(direction: np.ndarray) -> np.ndarray:
    """Two unit vectors (..., 2, 3) that stand upright on a direction (..., 3) and on each other."""
    helper = np.eye(3)[np.abs(direction).argmin(axis=-1)]
    first = np.cross(direction, helper)
    second = np.cross(direction, first)
    both = np.stack([first, second], axis=-2)
    return np.asarray(both / np.linalg.norm(both, axis=-1, keepdims=True))


@dataclass(frozen=True)
class Output:
    """What a switch shows.

    Attributes:
        on: what it shows.
        time: when it was looked at last [s].
        since: since when it has seen the opposite [s], None where it does not.
    """

    on: bool
    time: float
    since: float | None = None


def settled(before: Output | None, seen: bool, now: float, response: float, rng: np.random.Generator) -> Output:
    """What a switch shows that follows what it sees after its response time.

    When it changed between two looks is not known: any moment is as likely.

    Args:
        before: what the last call gave, None at first.
        seen: what it sees now.
        now: time [s].
        response: time for which a change must last before it is shown [s].
        rng: one stream, drawn from at each change.
    """
    if before is None or seen == before.on:
        return Output(seen, now)
    since = now - rng.random() * (now - before.time) if before.since is None else before.since
    return Output(seen, now) if now - since >= response else Output(before.on, now, since)
