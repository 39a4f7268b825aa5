"""Sensors: what measures. One file per kind; a scene's `[sensors.name]` table is its fields.

A sensor gives the clean value and knows the effects of its own kind (`effects`), such as shot noise. What is common to
all kinds (rate, latency, loss, calibration, …) stands here as fields and is applied in `sensing.py` alone.
"""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from twinlab.cameras import Mounted
from twinlab.errors import did_you_mean
from twinlab.readings import Readings, Variable
from twinlab.renderers import Frame, Hits
from twinlab.snapshot import Snapshot
from twinlab.world import World

Vector = tuple[float, float, float]
Draw = Callable[[str], np.random.Generator]
"""Name of an effect → its random stream; each has one of its own, so that leaving one out changes no other."""

COMMON = ("rate", "latency", "jitter", "dropout", "calibration", "quantisation", "saturation", "clock", "group")
"""The effects that `sensing.py` applies to every kind."""


class Moment:
    """What a sensor may look at, valid until the world's next step; all of it is made only when it is asked for.

    Attributes:
        time: since reset [s].
        world: for what only physics tells: contacts, reactions, rays.
        cameras: the scene's cameras by name, as they really are mounted.
        taken: variable → what sensors that stand above this one in the scene measured last.
    """

    def __init__(
        self,
        world: World,
        cameras: Mapping[str, Mounted],
        look: Callable[[], Snapshot],
        begin: Callable[[Snapshot, Mounted, str], Callable[[], Frame]],
        cast: Callable[[Snapshot, np.ndarray, np.ndarray], Hits],
        taken: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.time, self.world, self.cameras = world.time, world, cameras
        self.taken: Mapping[str, np.ndarray] = taken or {}
        self._look, self._begin, self._cast = look, begin, cast
        self._snapshot: Snapshot | None = None
        self._frames: dict[tuple[str, int], Callable[[], Frame]] = {}

    @property
    def snapshot(self) -> Snapshot:
        """Poses, joints and visuals."""
        if self._snapshot is None:
            self._snapshot = self._look()
        return self._snapshot

    def begin(self, camera: str, margin: int = 0) -> Callable[[], Frame]:
        """Begin a camera's frame as from `picture`, once; others can be begun before what comes back is called."""
        if (camera, margin) not in self._frames:
            seen = self.cameras[camera].widened(margin)
            self._frames[camera, margin] = functools.cache(self._begin(self.snapshot, seen, camera))
        return self._frames[camera, margin]

    def picture(self, camera: str, margin: int = 0) -> Frame:
        """A camera's frame, with so many more pixels on each side [px]; rendered once however many sensors ask."""
        return self.begin(camera, margin)()

    def imagined(self, camera: str, snapshot: Snapshot) -> Frame:
        """What a camera would see of another snapshot, such as one with a part as it was designed."""
        return self._begin(snapshot, self.cameras[camera], camera)()

    def cast(self, starts: np.ndarray, directions: np.ndarray) -> Hits:
        """What rays from (ray, 3) [m] along unit vectors (ray, 3) in the world meet first."""
        return self._cast(self.snapshot, starts, directions)


class Sensor(BaseModel, ABC):
    """A kind of sensor: its fields come from the scene; its state, if it has any, goes in and comes out.

    Where a common field takes several numbers, it takes one for all, one for each variable, or, for a sensor of one
    variable, one for each component. A number of 0 means that there is no such effect.

    Attributes:
        effects: names of the effects of its own kind, which `measure` applies.
        steady: whether `advance` is called at every physics step, for a filter that has a memory.
        truth: whether what it gives is truth, which no policy is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    effects: ClassVar[tuple[str, ...]] = ()
    steady: ClassVar[bool] = False
    truth: ClassVar[bool] = False
    rate: float = Field(0, ge=0, description="samples per second, 0 for one each tick [Hz]")
    phase: float = Field(0, ge=0, lt=1, description="when in its period the first sample is taken [1]")
    latency: float = Field(0, ge=0, le=10, description="from taking a sample to having it [s]")
    jitter: float = Field(0, ge=0, le=10, description="standard deviation of the latency, which is never below 0 [s]")
    dropout: float = Field(0, ge=0, lt=1, description="share of samples that are lost [1]")
    burst: float = Field(
        1, ge=1, description="mean number of samples lost in a row, 1/(1 - dropout) if each is lost by itself [1]"
    )
    gain_error: tuple[float, ...] = Field((0,), description="standard deviation of the scale's error, per episode [1]")
    offset_error: tuple[float, ...] = Field((0,), description="standard deviation of the zero's error, per episode")
    quantum: tuple[float, ...] = Field((0,), description="smallest step of a value, in its unit")
    saturation: tuple[float, ...] = Field((0,), description="largest magnitude of a value, in its unit")
    clock_offset: float = Field(0, description="how far the sensor's clock is ahead of the cell's [s]")
    group: str = Field("", description='sensors of one group take samples together, "" for on its own')
    off: tuple[str, ...] = Field((), description='effects that are switched off; "all" for all of them')
    clean: bool = Field(False, description='whether the clean value is kept as truth, "<variable>_clean"')
    redundant: bool = Field(False, description="whether the line can do without it; nothing that is measured changes")

    @model_validator(mode="after")
    def _known_effects(self) -> Self:
        known = (*COMMON, *self.effects, "all")
        for effect in self.off:
            if effect not in known:
                raise ValueError(f"off: no effect {effect!r}; there are {list(known)}.{did_you_mean(effect, known)}")
        for key in ("gain_error", "offset_error", "quantum", "saturation"):
            if not getattr(self, key) or min(getattr(self, key)) < 0:
                raise ValueError(f"{key} came as {getattr(self, key)}; wanted numbers, 0 or more")
        return self

    def on(self, effect: str) -> bool:
        """Whether an effect is switched on."""
        return not ("all" in self.off or effect in self.off)

    def sees(self) -> str:
        """Which of the scene's cameras `read` asks for a picture, "" for none; it is begun before any sensor reads."""
        return ""

    @abstractmethod
    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """What it gives; names begin with the sensor's own."""

    @abstractmethod
    def read(self, name: str, moment: Moment, state: Any) -> tuple[Readings, Any]:
        """The clean value of this moment and the new state.

        Args:
            name: the sensor's name in the scene.
            moment: what it may look at.
            state: what the last call of any of its verbs gave, None at first.
        """

    def measure(self, name: str, moment: Moment, clean: Readings, state: Any, draw: Draw) -> tuple[Readings, Any]:
        """What it measures: the clean value after the effects of its own kind that are on, and the new state.

        Args:
            name: the sensor's name in the scene.
            moment: what it may look at.
            clean: what `read` gave at this moment.
            state: what the last call of any of its verbs gave.
            draw: the random stream of each effect.
        """
        return clean, state

    def advance(self, name: str, moment: Moment, state: Any) -> Any:
        """Go on by one physics step; only called of a `steady` sensor. Gives the new state."""
        return state


class Imager(Sensor, ABC):
    """A sensor that reads what a camera's picture shows."""

    camera: str = Field("overhead", description="which of the scene's cameras")

    def sees(self) -> str:
        """Its camera."""
        return self.camera
