"""A guard for learned policies: where a needed sensor tells nothing, the line stops and the reason is said."""

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import numpy as np

from twinlab.readings import Readings
from twinlab.scene import SceneSpec
from twinlab.sensing import Clock, clock

_LATE = 4.0  # standard deviations of its latency by which a sample may be late


@runtime_checkable
class Guarded(Protocol):
    """A policy that halts the line where a needed sensor tells nothing.

    Attributes:
        stopped: why the line is halted now, in words; "" while it is not.
    """

    stopped: str


class Needed:
    """Lets set-points through while all needed sensors give samples, and halts the line while one does not.

    A sensor is needed if policies see it and its scene does not call it `redundant`. It tells nothing if it is not
    among the readings, or if for longer than the grace time its newest sample is marked as not valid, or is older than
    some of its periods and its latency. A sensor that goes on telling something wrong is not noticed here: that is what
    a surprise is for. When the sensor is back, so are the set-points.

    Args:
        spec: the line.
        grace: how long a needed sensor may tell nothing [s]; never less than `periods` of its own.
        periods: of a sensor, how many its newest sample may be late [1].

    Attributes:
        stopped: why the line is halted now, in words; "" while it is not.
        reasons: each reason for which it was halted so far, in this order.
    """

    def __init__(self, spec: SceneSpec, grace: float = 1.0, periods: float = 3.0) -> None:
        self.stopped, self.reasons = "", tuple[str, ...]()
        self._tick, self._halt = spec.physics.tick, np.array([a.safe for a in spec.actuators], np.float32)
        self._sensors = {name: spec.sensors[name] for name in spec.needed}
        self._names = sorted(spec.sensors, key=len, reverse=True)  # the longest that fits is whose reading it is
        self._late, self._grace = dict[str, float](), dict[str, float]()
        for name, sensor in self._sensors.items():
            time: Clock = clock(name, sensor, spec.sensors, 1 / spec.physics.rate, self._tick)
            lag = time.latency + _LATE * sensor.jitter - min(0.0, sensor.clock_offset)
            self._late[name] = periods / time.rate + lag
            self._grace[name] = max(grace, periods / time.rate)
        self._silent = dict.fromkeys(self._sensors, 0)  # ticks in a row
        self._known: frozenset[str] = frozenset()
        self._absent: tuple[str, ...] = ()

    def __call__(self, readings: Readings, wish: np.ndarray) -> np.ndarray:
        """The set-points of a tick (actuator,): those that are wished, or, while the line is halted, safe ones.

        Mostly zero, which asks for nothing: arms and fingers stand, valves, cups and chucks stay as they are. Parts
        that come without a verdict are rejected, see `Actuator.safe`.

        Args:
            readings: of this tick; called at each tick, once.
            wish: what the policy wants (actuator,).
        """
        why = self._why(readings)
        if why and not self.stopped:
            self.reasons += (why,)
        self.stopped = why
        return self._halt.copy() if why else wish

    def _why(self, readings: Readings) -> str:
        if self._known != readings.keys():
            self._known = frozenset(readings)
            there = {self._owner(key) for key in readings}
            self._absent = tuple(name for name in self._sensors if name not in there)
        if self._absent:
            return f"stopped: {_and(self._absent)} gives no readings, and the line needs it"
        told = ""
        for name in self._sensors:
            silent = self._silent[name] = self._silent[name] + 1 if self._tells_nothing(name, readings) else 0
            if silent * self._tick > self._grace[name] and not told:
                age = float(np.min(readings[f"{name}_age"]))
                told = f"stopped: the newest sample of {name!r} is {age:.2f} s old, and the line needs it"
        return self.stopped if told and self.stopped else told

    def _tells_nothing(self, name: str, readings: Readings) -> bool:
        if f"{name}_age" not in readings:
            return False  # a sensor whose samples are never old or lost
        late = float(np.min(readings[f"{name}_age"])) > self._late[name]
        return late or not np.any(readings[f"{name}_valid"])

    def _owner(self, key: str) -> str:
        return next((name for name in self._names if key == name or key.startswith(f"{name}_")), "")


def _and(names: Iterable[str]) -> str:
    return " and ".join(map(repr, names))
