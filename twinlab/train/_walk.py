"""Which windows a stage learns from: drawn anew, or where others ended."""

from typing import Any

import numpy as np

from twinlab.batches import Windows


class Walk:
    """Windows for each place of a batch; most of them begin where the one before ended.

    What a line asks to be remembered lasts minutes, and gradients reach over the seconds of a window. So the windows of
    a place follow each other through an episode, and each begins with what was foreseen after the one before
    (truncated backpropagation through time, Williams and Peng 1990; it trains as a filter runs). Where an episode ends,
    the next window is near the beginning of another, so that every tick comes equally often.

    Args:
        windows: to walk through.
        rng: decides all.
        count: places [1].
        fresh: chance of a window to be drawn from anywhere and to begin with nothing known.
    """

    def __init__(self, windows: Windows, rng: np.random.Generator, count: int, fresh: float) -> None:
        self.windows, self.rng, self._count, self._fresh = windows, rng, count, fresh
        self._at: np.ndarray | None = None

    def next(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the next windows (count,), and which of them go on from those before (count,) bool."""
        fresh, anew = self.rng.random(self._count) < self._fresh, self.windows.drawn(self.rng, self._count)
        if self._at is None:
            self._at = anew
            return anew, np.zeros(self._count, bool)
        onward, first = self.windows.onward(self._at), self.windows.first(self.rng, self._count)
        goes_on = ~fresh & (onward >= 0)
        self._at = np.where(goes_on, onward, np.where(fresh, anew, first))
        return self._at, goes_on

    @property
    def state(self) -> dict[str, Any]:
        """Where the walk is, as JSON holds it; what is set goes on as this one would have."""
        return {"draws": self.rng.bit_generator.state, "at": None if self._at is None else self._at.tolist()}

    @state.setter
    def state(self, was: dict[str, Any]) -> None:
        self.rng.bit_generator.state = was["draws"]
        self._at = None if was["at"] is None else np.array(was["at"])
