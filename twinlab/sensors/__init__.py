"""Sensors: what measures. One file per kind; a scene's `[sensors.name]` table is its fields."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from twinlab.cameras import Camera
from twinlab.readings import Readings, Variable
from twinlab.renderers import Frame
from twinlab.snapshot import Snapshot
from twinlab.world import World


@dataclass(frozen=True)
class Moment:
    """What a sensor may look at, valid until the world's next step.

    Attributes:
        snapshot: poses and joints.
        world: for what only physics tells: contacts, reactions, rays.
        cameras: the scene's cameras by name.
        picture: camera's name → its frame, rendered once however many sensors ask.
    """

    snapshot: Snapshot
    world: World
    cameras: Mapping[str, Camera]
    picture: Callable[[str], Frame]


class Sensor(BaseModel, ABC):
    """A kind of sensor: its fields come from the scene; its state, if it has any, goes in and comes out."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    rate: float = Field(0, ge=0, description="samples per second, 0 for one each tick [Hz]")

    @abstractmethod
    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """What it gives; names begin with the sensor's own."""

    @abstractmethod
    def read(self, name: str, moment: Moment, state: Any, rng: np.random.Generator) -> tuple[Readings, Any]:
        """The clean value of this moment and the new state.

        Args:
            name: the sensor's name in the scene.
            moment: what it may look at.
            state: what the last read gave, None at first.
            rng: the seed's random stream for this sensor alone.
        """
