"""How a world was built, so that the same world need not be built twice: loading a robot takes most of a reset."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


class Different(Exception):  # noqa: N818  # no error: the world is built anew then
    """What is built now is not what was built before."""


@dataclass
class Recipe:
    """The bodies of a world in the order in which they were added, and its state when the last one was.

    Attributes:
        steps: what each body was made of, and PyBullet's number of it.
        saved: PyBullet's number of the state before the first step, -1 while there is none.
        at: how many bodies of it are in place again; `len(steps)` while it is written.
        again: whether it is followed instead of written.
    """

    steps: list[tuple[Any, int]] = field(default_factory=list)
    saved: int = -1
    at: int = 0
    again: bool = False

    def known(self, key: Any) -> int | None:
        """PyBullet's number of the body that was made of the same at this place; None while the recipe is written.

        Raises:
            Different: another body stands at this place.
        """
        if not self.again:
            return None
        if self.at == len(self.steps) or self.steps[self.at][0] != key:
            raise Different
        self.at += 1
        return self.steps[self.at - 1][1]

    def wrote(self, key: Any, number: int) -> None:
        """Note a body that was just made."""
        self.steps.append((key, number))
        self.at = len(self.steps)


def key(*parts: Any) -> Any:
    """Something hashable that is equal for what is made of the same; arrays by their content."""
    return tuple(_plain(part) for part in parts)


def _plain(part: Any) -> Any:
    if isinstance(part, np.ndarray):
        return part.tobytes()
    if isinstance(part, tuple | list):
        return tuple(_plain(one) for one in part)
    return part
