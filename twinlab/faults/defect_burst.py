"""Many defective parts in a row."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from twinlab.errors import did_you_mean
from twinlab.events import Item
from twinlab.faults import Fault, Target


class DefectBurst(Fault):
    """Parts that come meanwhile are defective: a blunt tool upstream, a bad batch."""

    target: ClassVar[Target] = "body"
    planned: ClassVar[bool] = True
    share: float = Field(0.8, gt=0, le=1, description="share of the parts at full level [1]")
    defect: str = Field("chipped", min_length=1, description="what is wrong with them, a word that the body knows")

    def misfit(self, fields: Collection[str], flaws: Collection[str]) -> str:
        """The body must know the defect."""
        if self.defect in flaws:
            return ""
        return f"defect: no {self.defect!r}; that body's items can be {list(flaws)}.{did_you_mean(self.defect, flaws)}"

    def items(
        self,
        items: tuple[Item, ...],
        level: Callable[[float], float],
        kinds: Mapping[str, tuple[str, ...]],
        rng: np.random.Generator,
    ) -> tuple[Item, ...]:
        """Good parts in the window become defective."""
        hit = rng.random(len(items)) < [self.share * level(item.time) for item in items]
        return tuple(
            replace(item, defect=self.defect) if bad and not item.defect else item
            for item, bad in zip(items, hit, strict=True)
        )
