"""The one place where what is common to all sensors is applied: timing, loss, calibration, range, resolution, faults.

A sample is taken at a physics step and arrives after its latency. Each tick shows the latest sample that has arrived;
`<sensor>_age` [s] tells how old it is by the sensor's own time stamp, and `<sensor>_valid` whether it is the one that
was due: a lost sample leaves the value before it, marked as not valid and growing older. A sensor faster than the
tick shows its last samples in a dimension of their own, each with its age and whether it came in this tick.
"""

import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from twinlab.errors import ReadingsError
from twinlab.faults import Course
from twinlab.readings import Readings, Variable
from twinlab.sensors import Moment, Sensor
from twinlab.sensors._convert import Conversion, conversions_of, converted

Sensors = Mapping[str, Sensor]
Courses = Mapping[str, tuple[Course, ...]]
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Clock:
    """When a sensor takes its samples, and how they travel.

    Attributes:
        rate: samples per second [Hz].
        phase: when in its period the first one is taken [1].
        step: length of a physics step [s].
        slots: samples that a tick shows.
        latency: from taking a sample to having it [s].
        timing: name of the random stream for jitter and loss, the same for all sensors of a group.
    """

    rate: float
    phase: float
    step: float
    slots: int
    latency: float
    timing: str

    def taken(self, number: int) -> int:
        """The physics step at which a sample of a number is taken."""
        return math.ceil((number + self.phase) / self.rate / self.step - 1e-6)


class Sample(NamedTuple):
    """One sample on its way or shown.

    Attributes:
        values: variable → what was measured.
        clean: variable → the same without any effect, where that is kept.
        stamp: when it was taken by the sensor's own clock [s].
        due: when it arrives [s].
        lost: whether it never does.
        fresh: whether it arrived in this tick.
    """

    values: Readings
    clean: Readings
    stamp: float
    due: float
    lost: bool = False
    fresh: bool = True


class Channel(NamedTuple):
    """What is kept of one sensor between physics steps; a tuple, because a changed copy of one is made often.

    Attributes:
        clock: when it takes its samples.
        told: whether age and validity are told.
        timing: random stream for jitter and loss.
        streams: effect → its random stream.
        variables: what it gives.
        conversions: what this episode's calibration, saturation and quantisation do to each of them, None for nothing.
        state: of the sensor itself.
        number: of the next sample.
        next: the physics step of the next sample.
        last: what was measured last, whether it has arrived or not.
        way: samples that have not arrived.
        shown: the latest that have, oldest first.
        losing: whether the last sample was lost.
        overdue: whether the newest sample that was due was lost.
        memory: fault → what it keeps.
    """

    clock: Clock
    told: bool
    timing: np.random.Generator
    streams: "Streams"
    variables: tuple[Variable, ...]
    conversions: tuple[Conversion | None, ...]
    state: Any = None
    number: int = 0
    next: int = 0
    last: Readings = _NOTHING
    way: tuple[Sample, ...] = ()
    shown: tuple[Sample, ...] = ()
    losing: bool = False
    overdue: bool = False
    memory: Mapping[str, Any] = _NOTHING


class Streams:
    """The random streams of one sensor: one for each effect, so that switching one off changes no other."""

    def __init__(self, seed: int, name: str) -> None:
        self._seed, self._name = seed, name
        self._made: dict[str, np.random.Generator] = {}

    def __call__(self, effect: str) -> np.random.Generator:
        """The stream of an effect; it goes on where its last use ended."""
        if effect not in self._made:
            self._made[effect] = stream(self._seed, f"{self._name}.{effect}")
        return self._made[effect]


def stream(seed: int, name: str) -> np.random.Generator:
    """The random stream of a name under a seed."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def timed(sensor: Sensor, faults: tuple[Course, ...] = ()) -> bool:
    """Whether a sensor's samples may be old or missing, so that age and validity are told."""
    told = {"rate": sensor.rate, "latency": sensor.latency, "jitter": sensor.jitter, "dropout": sensor.dropout}
    told["clock"] = sensor.clock_offset
    return bool(faults) or any(value and sensor.on(effect) for effect, value in told.items())


def clock(name: str, sensor: Sensor, sensors: Sensors, step: float, tick: float) -> Clock:
    """A sensor's clock.

    Raises:
        ReadingsError: its rate is too high for the physics, or does not fit the tick or its group.
    """
    rate = sensor.rate if sensor.rate and sensor.on("rate") else 1 / tick
    slots = max(1, round(rate * tick))
    if rate * tick > 1 + 1e-6 and abs(rate * tick - slots) + abs(1 / rate / step - round(1 / rate / step)) > 1e-6:
        fits = [f"{n / tick:g}" for n in range(1, round(tick / step) + 1) if round(tick / step) % n == 0]
        raise ReadingsError(
            f"[sensors.{name}] rate came as {rate:g} Hz; one above the tick's must have whole physics steps between "
            f"samples and as many samples in each tick: {', '.join(fits)} Hz"
        )
    own = sensor.latency if sensor.on("latency") else 0.0
    if not (sensor.group and sensor.on("group")):
        return Clock(rate, sensor.phase, step, slots, own, name)
    members = {n: s for n, s in sensors.items() if s.group == sensor.group and s.on("group")}
    for other, one in members.items():
        for key in ("rate", "phase", "jitter", "dropout", "burst"):
            if getattr(one, key) != getattr(sensor, key):
                raise ReadingsError(
                    f"[sensors.{name}] {key} came as {getattr(sensor, key)}, [sensors.{other}] of the same group "
                    f"{sensor.group!r} has {getattr(one, key)}; sensors of one group have the same {key}"
                )
    slowest = max(one.latency if one.on("latency") else 0.0 for one in members.values())
    return Clock(rate, sensor.phase, step, slots, slowest, f"group {sensor.group}")


def begin(sensors: Sensors, moment: Moment, seed: int, tick: float, faults: Courses) -> dict[str, Channel]:
    """All channels at reset, when the line has stood still for ever: what is on its way shows the world of now."""
    channels: dict[str, Channel] = {}
    moment.taken = _Taken(channels)
    for name, sensor in sensors.items():
        own = clock(name, sensor, sensors, moment.world.timestep, tick)
        variables = sensor.variables(name, moment)
        _check_faults(name, variables, faults.get(name, ()))
        streams = Streams(seed, name)
        conversions = conversions_of(sensor, variables, streams("calibration"))
        told = timed(sensor, faults.get(name, ()))
        timing = stream(seed, f"{own.timing}.timing")
        channel = Channel(own, told, timing, streams, variables, conversions, next=own.taken(0))
        arrived = int(np.floor(1e-6 - own.latency * own.rate - own.phase))  # the newest sample that is there at 0 s
        for number in range(arrived - own.slots + 1 - told, 0):  # one more, should the first be late or lost
            moment.time = (number + own.phase) / own.rate
            channels[name] = channel = _sampled(name, sensor, channel, moment, own.latency, ())
        moment.time = 0.0
        channels[name] = channel
    return capture(sensors, channels, moment, faults)


def advance(steady: Sensors, channels: Mapping[str, Channel], moment: Moment) -> dict[str, Channel]:
    """Let sensors that are steady go on by one physics step, before `capture`.

    Args:
        steady: these sensors.
        channels: of all, as `begin` or the last call gave them.
        moment: what the sensors look at.
    """
    out = dict(channels)
    for name, sensor in steady.items():
        out[name] = out[name]._replace(state=sensor.advance(name, moment, out[name].state))
    return out


def capture(sensors: Sensors, channels: Mapping[str, Channel], moment: Moment, faults: Courses) -> dict[str, Channel]:
    """Take the samples that are due at this physics step.

    Args:
        sensors: name → sensor, in the order of the scene.
        channels: what the last call gave.
        moment: what the sensors look at.
        faults: sensor → its faults in this episode.
    """
    out = dict(channels)
    moment.taken = _Taken(out)
    now = {name: sensor for name, sensor in sensors.items() if out[name].next <= moment.world.steps}
    for sensor in now.values():
        if camera := sensor.sees():  # all are drawn before the first is read
            moment.begin(camera)
    for name, sensor in now.items():
        delay, lost = _travel(sensor, out[name])
        active = tuple(f for f in faults.get(name, ()) if f.level(moment.time) > 0)
        out[name] = _sampled(name, sensor, out[name], moment, delay, active, lost, 1)
    return out


def due(channels: Mapping[str, Channel]) -> int:
    """The physics step at which `capture` has something to do next."""
    return min((channel.next for channel in channels.values()), default=2**62)


def show(channels: Mapping[str, Channel], now: float) -> tuple[dict[str, np.ndarray], dict[str, Channel]]:
    """The readings of a tick, with the truth of clean values where it is kept, and what to keep for the next.

    Args:
        channels: what the last `capture` gave.
        now: time of the tick [s].
    """
    readings: dict[str, np.ndarray] = {}
    kept: dict[str, Channel] = {}
    for name, channel in channels.items():
        channel = _arrived(channel, now)
        kept[name] = channel
        several = channel.clock.slots > 1
        for part, suffix in (("values", ""), ("clean", "_clean")):
            for variable in getattr(channel.shown[-1], part):
                if several:
                    readings[variable + suffix] = np.stack([getattr(s, part)[variable] for s in channel.shown])
                else:
                    readings[variable + suffix] = getattr(channel.shown[-1], part)[variable]
        if not channel.told:
            continue
        age = [now - s.stamp for s in channel.shown]
        valid = [s.fresh for s in channel.shown] if several else [not channel.overdue]
        readings[f"{name}_age"] = np.array(age if several else age[0], np.float32)
        readings[f"{name}_valid"] = np.array(valid if several else valid[0])
    return readings, kept


def declare(sensors: Sensors, channels: Mapping[str, Channel]) -> tuple[Variable, ...]:
    """The variables of all sensors: their own, age and validity of those that are timed, clean values where kept."""
    out: list[Variable] = []
    for name, sensor in sensors.items():
        own = channels[name].clock.slots
        more, sizes = ((f"{name}_sample",), (own,)) if own > 1 else ((), ())
        found = [replace(v, dims=(*more, *v.dims), shape=(*sizes, *v.shape)) for v in channels[name].variables]
        out += found
        if channels[name].told:
            out.append(Variable(f"{name}_age", more, sizes, "float32", "s", "vector"))
            out.append(Variable(f"{name}_valid", more, sizes, "bool", "1", "pulse"))
        if sensor.clean:
            out += [replace(v, name=f"{v.name}_clean", role="truth") for v in found]
    return tuple(out)


def _check_faults(name: str, variables: tuple[Variable, ...], faults: tuple[Course, ...]) -> None:
    for one in faults:
        kinds = one.fault.kinds
        if kinds and (odd := [v for v in variables if v.kind not in kinds]):
            raise ReadingsError(
                f"[faults.{one.name}] of: came {name!r}, whose {odd[0].name!r} is of kind {odd[0].kind!r}; "
                f"wanted a sensor of kinds {list(kinds)}"
            )


class _Taken(Mapping[str, np.ndarray]):
    """Variable → what was measured last, looked up only when a sensor asks."""

    def __init__(self, channels: Mapping[str, Channel]) -> None:
        self._channels = channels

    def __getitem__(self, name: str) -> np.ndarray:
        for channel in self._channels.values():
            if name in channel.last:
                return channel.last[name]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for channel in self._channels.values() for name in channel.last)

    def __len__(self) -> int:
        return sum(len(channel.last) for channel in self._channels.values())


def _sampled(
    name: str,
    sensor: Sensor,
    channel: Channel,
    moment: Moment,
    delay: float,
    faults: tuple[Course, ...],
    lost: bool = False,
    count: int = 0,
) -> Channel:
    """The channel with one more sample on its way, and its number further by a count."""
    at, losing, number = moment.time, lost, channel.number + count
    due_next = channel.clock.taken(number) if count else channel.next
    clean, state = sensor.read(name, moment, channel.state)
    values, state = sensor.measure(name, moment, clean, state, channel.streams)
    values = {
        n: v if c is None else converted(v, c) for (n, v), c in zip(values.items(), channel.conversions, strict=True)
    }
    memory = {f.name: channel.memory.get(f.name) for f in faults}
    for course in faults:
        assert course.start is not None
        level, past = course.level(at), at - course.start
        given, memory[course.name] = course.fault.corrupt(values, level, past, memory[course.name], course.rng)
        lost, values = lost or given is None, values if given is None else dict(given)
    stamp = at + (sensor.clock_offset if sensor.on("clock") else 0.0)
    sample = Sample(values, clean if sensor.clean else {}, stamp, at + delay, lost)
    way = (*channel.way, sample)
    return channel._replace(
        state=state, last=values, way=way, memory=memory, losing=losing, number=number, next=due_next
    )


def _travel(sensor: Sensor, channel: Channel) -> tuple[float, bool]:
    """How long a sample takes [s], and whether it is lost.

    Losses come in bursts (Gilbert 1960): the chance to go on losing is 1 - 1/burst, the share of all is `dropout`.
    """
    if not (sensor.jitter or sensor.dropout):
        return channel.clock.latency, False
    late, luck = channel.timing.normal(), channel.timing.random()
    delay = max(0.0, channel.clock.latency + (sensor.jitter * late if sensor.on("jitter") else 0.0))
    if not (sensor.dropout and sensor.on("dropout")):
        return delay, False
    begins = sensor.dropout / sensor.burst / (1 - sensor.dropout)
    return delay, bool(luck < (1 - 1 / sensor.burst if channel.losing else min(1.0, begins)))


def _arrived(channel: Channel, now: float) -> Channel:
    """The channel after all that has arrived by now was taken in; what comes late behind a newer one is dropped."""
    here = [s for s in channel.way if s.due <= now + 1e-9]
    if not here and (channel.clock.slots == 1 or not any(s.fresh for s in channel.shown)):
        return channel
    way = tuple(s for s in channel.way if s.due > now + 1e-9)
    newest, overdue = channel.shown[-1].stamp if channel.shown else -np.inf, channel.overdue
    came: list[Sample] = []
    for sample in sorted(here, key=lambda s: s.stamp):
        if sample.stamp > newest:
            overdue, newest = sample.lost, sample.stamp
            last = came[-1:] or channel.shown[-1:]
            came += [last[0]._replace(fresh=False)] if sample.lost and last else [sample]
    slots = channel.clock.slots
    old = channel.shown[len(came) - slots :] if len(came) < slots else ()
    shown = (*(s._replace(fresh=False) if s.fresh else s for s in old), *came[-slots:])
    return channel._replace(way=way, shown=shown, overdue=overdue)
