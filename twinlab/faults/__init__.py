"""Faults: what goes wrong. One file per kind; a scene's `[faults.name]` table is its fields.

Every fault has an onset, a duration and a recovery, and its level over time is written into the episode as truth
(`fault_level`). Several may act at once, also on the same thing: they act in the order of the scene.
"""

from abc import ABC
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from twinlab.events import Item
from twinlab.readings import Readings
from twinlab.renderers import Frame

Target = Literal["sensor", "camera", "actuator", "body", "line"]


class Fault(BaseModel, ABC):
    """A kind of fault: its fields come from the scene. A file writes the one or two verbs that its kind acts by.

    Attributes:
        target: what `of` names: a sensor, a camera, an actuator, a body, or nothing for the whole line.
        kinds: for a sensor: the kinds of variables that it can act on, () for all.
        planned: whether it changes what a reset plans for the whole episode, so that it cannot be triggered later.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    target: ClassVar[Target]
    kinds: ClassVar[tuple[str, ...]] = ()
    planned: ClassVar[bool] = False
    of: str = Field("", description="name of what fails")
    onset: float = Field(5.0, ge=0, description="when it begins [s]")
    spread: float = Field(0.0, ge=0, description="the onset varies by up to this either way, by the seed [s]")
    duration: float = Field(5.0, ge=0, description="from the onset to the begin of the recovery, 0 for ever [s]")
    rise: float = Field(0.0, ge=0, description="how long it takes to come fully, part of the duration [s]")
    recovery: float = Field(0.0, ge=0, description="how long it takes to go again [s]")
    chance: float = Field(
        1.0, ge=0, le=1, description="share of the episodes in which it happens by itself, 0 if only triggered [1]"
    )

    def misfit(self, fields: Collection[str], flaws: Collection[str]) -> str:
        """What about it does not fit the body that it names; "" if all does.

        Args:
            fields: the body's fields.
            flaws: what can be wrong with the body's items.
        """
        missing = [key for key in self.fields(1.0) if key not in fields]
        return f"it changes {missing}, which that body does not have" if missing else ""

    def corrupt(
        self, values: Readings, level: float, past: float, state: Any, rng: np.random.Generator
    ) -> tuple[Readings | None, Any]:
        """What a sensor gives instead of its values, None for nothing, and the new state.

        Args:
            values: variable → what it would give.
            level: how strong the fault is now, above 0 and at most 1.
            past: time since the onset [s].
            state: what the last call gave, None at the onset.
            rng: the fault's random stream.
        """
        return values, state

    def frame(self, frame: Frame, level: float, seed: int) -> Frame:
        """What a camera gets to see instead of a frame; the same seed gives the same stain."""
        return frame

    def moved(self, level: float, seed: int) -> np.ndarray | None:
        """How far a camera's optical frame is off from where it was mounted, a pose (7,), None for not at all."""
        return None

    def light(self, level: float) -> float:
        """Which share of the line's light is left."""
        return 1.0

    def command(self, values: Mapping[str, float], held: Mapping[str, float], level: float) -> Mapping[str, float]:
        """The set-points that really reach the actuators.

        Args:
            values: actuator → set-point, of those that `of` names.
            held: the same at the onset.
            level: how strong the fault is now.
        """
        return values

    def fields(self, level: float) -> Mapping[str, float]:
        """By which factor which fields of a body change."""
        return {}

    def items(
        self,
        items: tuple[Item, ...],
        level: Callable[[float], float],
        kinds: Mapping[str, tuple[str, ...]],
        rng: np.random.Generator,
    ) -> tuple[Item, ...]:
        """The items that a body really brings.

        Args:
            items: what was planned.
            level: time [s] → how strong the fault is then.
            kinds: property → values that the body's items may have.
            rng: the fault's random stream.
        """
        return items


@dataclass(frozen=True, eq=False)
class Course:
    """A fault in one episode.

    Attributes:
        name: in the scene.
        fault: its fields.
        start: when it begins [s], None if it does not happen.
        seed: what its random choices follow from.
        rng: its random stream.
    """

    name: str
    fault: Fault
    start: float | None
    seed: int
    rng: np.random.Generator

    def level(self, time: float) -> float:
        """How strong it is at a time [s], 0–1: rises, stays, recovers."""
        if self.start is None or time < self.start - 1e-9:
            return 0.0
        fault, past = self.fault, time - self.start
        if fault.duration and past > fault.duration + 1e-9:
            left = 1 - (past - fault.duration) / fault.recovery if fault.recovery else 0.0
            return max(0.0, left) * (min(1.0, fault.duration / fault.rise) if fault.rise else 1.0)
        return min(1.0, (past + 1e-9) / fault.rise) if fault.rise else 1.0


def course(name: str, fault: Fault, seed: int, stream: np.random.Generator) -> Course:
    """The fault in the episode of a seed: whether it happens, and when."""
    happens, late = stream.random(2)
    start = max(0.0, fault.onset + fault.spread * (2 * late - 1)) if happens < fault.chance else None
    return Course(name, fault, start, seed, stream)


def typed(value: np.ndarray, like: np.ndarray) -> np.ndarray:
    """A changed value in the type of the one before: whole numbers are rounded and kept within their range."""
    if np.issubdtype(like.dtype, np.integer):
        limits = np.iinfo(like.dtype)
        return np.clip(np.rint(value), limits.min, limits.max).astype(like.dtype)
    return value.astype(like.dtype)
