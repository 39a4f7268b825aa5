"""The one place where what is common to all sensors is applied to a clean value: for now, the rate.

A sensor slower than the tick shows its latest sample at each tick, and `<variable>_age` [s] tells how old it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from twinlab.readings import Readings, Variable
from twinlab.sensors import Moment, Sensor


@dataclass(frozen=True, eq=False)
class Held:
    """What is kept of one sensor between ticks.

    Attributes:
        values: its latest sample.
        time: when that was taken [s].
        state: what the sensor's own `read` gave back.
    """

    values: Readings
    time: float
    state: Any


def declare(sensors: Mapping[str, Sensor], moment: Moment) -> tuple[Variable, ...]:
    """The variables of all sensors, with an age for those that have a rate of their own."""
    out: list[Variable] = []
    for name, sensor in sensors.items():
        found = sensor.variables(name, moment)
        out += found
        if sensor.rate:
            out += [Variable(f"{v.name}_age", (), (), "float32", "s", "vector") for v in found]
    return tuple(out)


def sense(
    sensors: Mapping[str, Sensor],
    held: Mapping[str, Held],
    moment: Moment,
    streams: Mapping[str, np.random.Generator],
) -> tuple[dict[str, np.ndarray], dict[str, Held]]:
    """The readings of this tick, and what to keep for the next.

    Args:
        sensors: name → sensor.
        held: what the last call gave to keep, empty at first.
        moment: what the sensors look at.
        streams: name → the sensor's random stream.
    """
    readings: dict[str, np.ndarray] = {}
    kept: dict[str, Held] = {}
    now = moment.snapshot.time
    for name, sensor in sensors.items():
        last = held.get(name)
        if last is None or _due(sensor.rate, last.time, now):
            values, state = sensor.read(name, moment, last.state if last else None, streams[name])
            last = Held(values, now, state)
        kept[name] = last
        readings |= last.values
        if sensor.rate:
            readings |= {f"{v}_age": np.array(now - last.time, np.float32) for v in last.values}
    return readings, kept


def _due(rate: float, last: float, now: float) -> bool:
    """Whether a sample of a clock that ticks `rate` times a second falls after `last` and not after `now`."""
    return rate == 0 or np.floor(now * rate + 1e-6) > np.floor(last * rate + 1e-6)
