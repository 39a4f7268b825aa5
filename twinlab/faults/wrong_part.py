"""Parts of another kind than was planned."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from twinlab.events import Item
from twinlab.faults import Fault, Target


class WrongPart(Fault):
    """Parts that come meanwhile are of another kind than planned, in one property: a mixed-up box, a wrong pallet."""

    target: ClassVar[Target] = "body"
    planned: ClassVar[bool] = True
    share: float = Field(1.0, gt=0, le=1, description="share of the parts at full level [1]")

    def items(
        self,
        items: tuple[Item, ...],
        level: Callable[[float], float],
        kinds: Mapping[str, tuple[str, ...]],
        rng: np.random.Generator,
    ) -> tuple[Item, ...]:
        """Each part in the window gets another value of one of its properties."""
        free = [key for key, values in kinds.items() if len(values) > 1]
        return tuple(self._changed(item, level(item.time), free, kinds, rng) for item in items)

    def _changed(
        self, item: Item, level: float, free: list[str], kinds: Mapping[str, tuple[str, ...]], rng: np.random.Generator
    ) -> Item:
        hit, which, other = rng.random(3)
        if hit >= self.share * level or not free:
            return item
        key = free[int(which * len(free))]
        values = [value for value in kinds[key] if value != item.properties[key]]
        return replace(item, properties={**item.properties, key: values[int(other * len(values))]})
