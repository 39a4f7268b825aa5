"""An MCAP file of ROS 2 messages as an episode: to the bit where twinlab wrote it, held on ticks where others did."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from mcap.reader import McapReader, make_reader
from mcap_ros2.decoder import DecoderFactory

from twinlab.errors import FormatError, did_you_mean
from twinlab.formats import _ros
from twinlab.formats._foreign import about, held, limits
from twinlab.formats._whole import parsed, restored

MAGIC = b"\x89MCAP0\r\n"
_APART = 10_000_000_000  # a stamp farther than this from the log's time is of another clock [ns]
_UNITS = {
    "sensor_msgs/JointState": {"position": "rad", "velocity": "rad s-1", "torque": "N m"},
    "sensor_msgs/Imu": {"force": "m s-2", "rate": "rad s-1"},
    "sensor_msgs/LaserScan": {"": "m", "intensity": "1"},
    "sensor_msgs/PointCloud2": {"": "m"},
    "sensor_msgs/Range": {"": "m"},
    "sensor_msgs/Temperature": {"": "K"},
    "sensor_msgs/FluidPressure": {"": "Pa"},
    "geometry_msgs/WrenchStamped": {"": "N N N N m N m N m"},
    "geometry_msgs/PoseStamped": {"": "m m m 1 1 1 1"},
    "geometry_msgs/Twist": {"": "m s-1 m s-1 m s-1 rad s-1 rad s-1 rad s-1"},
    "geometry_msgs/TwistStamped": {"": "m s-1 m s-1 m s-1 rad s-1 rad s-1 rad s-1"},
}


@dataclass(frozen=True)
class Foreign:
    """How foreign files are read; see `mcap.Mcap`."""

    tick: float
    topics: tuple[str, ...]
    action: str


@dataclass
class Series:
    """What one field of a topic told.

    Attributes:
        topic, schema, part: where it comes from.
        logged, taken: when each message was logged, and when its sample was taken [ns].
        values: one array for each message.
        labels: names of its numbers.
    """

    topic: str
    schema: str
    part: str
    logged: list[int] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


def check_ends(path: Path) -> None:
    """Raise unless a file begins and ends as MCAP does.

    Raises:
        FormatError: it does not.
    """
    with path.open("rb") as file:
        head = file.read(len(MAGIC))
        file.seek(-min(len(MAGIC), path.stat().st_size), 2)
        tail = file.read()
    if head != MAGIC:
        raise FormatError(f"{str(path)!r} is no MCAP file: it begins with {head!r}; wanted {MAGIC!r}")
    if tail != MAGIC or path.stat().st_size < 2 * len(MAGIC):
        raise FormatError(
            f"{str(path)!r} is cut short: it does not end as an MCAP file does; copy it again, or mend it with "
            "`mcap recover`"
        )


def read(path: Path, number: int, settings: Foreign) -> xr.Dataset:
    """The episode of a file.

    Args:
        path: of the file.
        number: its place among the files; the seed of a foreign one.
        settings: how a foreign one is read.

    Raises:
        FormatError: see `Mcap.read`.
    """
    try:
        with path.open("rb") as file:
            reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
            notes = [m.metadata for m in reader.iter_metadata() if m.name == "twinlab"]
            wanted = set() if notes else {*settings.topics, *([settings.action] if settings.topics else [])}
            found, left, passed = _series(reader, path, wanted)
    except FormatError:
        raise
    except Exception as told:  # parsers of schemas and messages raise whatever a damaged byte makes them
        raise FormatError(
            f"{str(path)!r} is damaged ({type(told).__name__}: {told}); copy it again, or mend it with `mcap recover`"
        ) from told
    if notes:
        return _own(parsed(notes[0].get("episode", ""), repr(str(path))), found, str(path))
    return _held(found, left, passed, path, number, settings)


def _series(
    reader: McapReader, path: Path, wanted: set[str]
) -> tuple[dict[tuple[str, str], Series], set[str], set[str]]:
    """What each topic and field told, the topics whose messages are not known, and those that are not wanted."""
    factory, left = DecoderFactory(), set()
    passed: set[str] = set()
    out: dict[tuple[str, str], Series] = {}
    decoders: dict[int, Any] = {}
    for schema, channel, message in reader.iter_messages():
        if wanted and channel.topic not in wanted:
            passed.add(channel.topic)
            continue
        if schema is None:
            left.add(channel.topic)
            continue
        if schema.id not in decoders:
            decoders[schema.id] = factory.decoder_for(channel.message_encoding, schema)
        decode = decoders[schema.id]
        told = None if decode is None else decode(message.data)
        try:
            fields = None if told is None else _ros.held(schema.name, told)
        except (ValueError, TypeError, AttributeError, OSError) as wrong:
            raise FormatError(
                f"{str(path)!r}, {channel.topic!r}: a message at {message.log_time} ns contradicts itself ({wrong}); "
                "leave the topic out with topics=…, or record it again"
            ) from wrong
        if not fields:
            left.add(channel.topic)
            continue  # such as joints that tell nothing yet
        taken = _taken(told, message.log_time)
        for name, values in fields.items():
            key = channel.topic, name
            one = out.setdefault(key, Series(channel.topic, schema.name.replace("/msg/", "/"), name))
            one.logged.append(message.log_time)
            one.taken.append(taken)
            one.values.append(values)
            one.labels = one.labels or _ros.names_of(told)
    return out, left - {topic for topic, _ in out}, passed


def _taken(message: Any, logged: int) -> int:
    """When a message's sample was taken: its header's stamp, if that is of the log's clock [ns]."""
    header = getattr(message, "header", None)
    stamp = logged if header is None else header.stamp.sec * 10**9 + header.stamp.nanosec
    return stamp if abs(stamp - logged) < _APART else logged


def _own(told: dict[str, Any], found: dict[tuple[str, str], Series], where: str) -> xr.Dataset:
    """What twinlab wrote: each message holds from the tick of its log time on."""
    times = told["variables"]["time"]["values"]
    ticks = np.array([told["start"] + round(t * 1e9) for t in times])
    arrays = {}
    for topic in told["topics"]:
        poses = topic["schema"].startswith("tf2")
        for name in topic["parts"].values():
            known = told["variables"][name]
            fields = known["attrs"]["labels"] if poses else [f for f, n in topic["parts"].items() if n == name]
            missing = [f for f in fields if (topic["topic"], f) not in found]
            if missing:
                raise FormatError(
                    f"{where!r}: topic {topic['topic']!r} has no messages, but twinlab's description tells of them; "
                    "it was filtered: take the original, or remove the metadata record 'twinlab'"
                )
            columns = [_at(found[topic["topic"], f], ticks, where) for f in fields]
            arrays[name] = np.stack(columns, axis=1) if poses else columns[0]
    return restored(told, arrays, repr(where))


def _at(series: Series, ticks: np.ndarray, where: str) -> np.ndarray:
    """The newest value at each tick (time, …).

    Raises:
        FormatError: values have different shapes.
    """
    values, shapes = series.values, {v.shape for v in series.values}
    if len(shapes) > 1 and series.schema == "sensor_msgs/PointCloud2":
        most = max(len(v) for v in values)
        values = [np.pad(v, ((0, most - len(v)), (0, 0)), constant_values=np.inf) for v in values]
    elif len(shapes) > 1:
        raise FormatError(
            f"{where!r}, {series.topic!r}: messages come in the shapes {sorted(shapes)}; an episode holds one, so "
            "leave the topic out with topics=…"
        )
    newest = np.searchsorted(series.logged, ticks, side="right") - 1
    return np.stack(values)[np.maximum(newest, 0)]


def _held(
    found: dict[tuple[str, str], Series],
    left: set[str],
    passed: set[str],
    path: Path,
    number: int,
    settings: Foreign,
) -> xr.Dataset:
    """A foreign file's episode: on each tick the newest message, how old it is, and whether the next is overdue."""
    known = sorted({topic for topic, _ in found} | passed)
    for topic in (*settings.topics, *([settings.action] if settings.action else [])):
        if topic not in known:
            raise FormatError(f"{str(path)!r} has no topic {topic!r}; it has {known}.{did_you_mean(topic, known)}")
    taken = [one for one in found.values() if one.values[0].dtype.kind in "biuf"]
    left = left | {one.topic for one in found.values()} - {one.topic for one in taken}
    if not taken:
        raise FormatError(
            f"{str(path)!r} holds no message whose schema is known; its topics are {sorted({*known, *left})}. Wanted "
            "ROS 2 messages with ros2msg schemas, such as sensor_msgs/msg/Image"
        )
    start, end = max(one.logged[0] for one in taken), max(one.logged[-1] for one in taken)
    step = round(settings.tick * 1e9)
    ticks = start + step * np.arange((end - start) // step + 1)
    coords: dict[str, Any] = {"time": ("time", np.arange(len(ticks)) * settings.tick, {"units": "s"})}
    out: dict[str, Any] = {}
    for one in taken:
        stem = one.topic.strip("/").replace("/", "_") or "root"
        name = "_".join(x for x in (stem, _word(one.part)) if x)
        values, attrs = _meant(one, _at(one, ticks, str(path)))
        if one.topic == settings.action and "action" not in out:  # of a topic of several fields, the first
            values = values.reshape(len(ticks), -1)
            coords["actuator"] = attrs.pop("labels", [str(i) for i in range(values.shape[1])])
            out["action"] = (("time", "actuator"), values, attrs | {"role": "action"} | limits(values))
            continue
        dims = [f"{name}_{i}" for i in range(values.ndim - 1)]
        out[name] = (("time", *dims), values, attrs)
        newest = np.searchsorted(one.logged, ticks, side="right") - 1
        age = (ticks - np.array(one.taken)[newest]) / 1e9
        out |= held(name, age, _valid(one, ticks, newest, step))
    more = {"began": str(np.datetime64(int(start), "ns")), "left_out": sorted(left)}
    return xr.Dataset(out, coords, about(path.stem, number, settings.tick) | more)


def _word(part: str) -> str:
    return part.strip("/").replace("/", "_")


def _valid(one: Series, ticks: np.ndarray, newest: np.ndarray, step: int) -> np.ndarray:
    """Whether the next message is not overdue by half a period; what came once only is always valid."""
    logged = np.array(one.logged)
    if len(logged) < 2:
        return np.ones(len(ticks), bool)
    period = max(float(np.median(np.diff(logged))), step)
    return np.asarray(ticks - logged[newest] <= 1.5 * period)


def _meant(one: Series, values: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Values in SI and what they are, by their schema (REP 103, 117 and 118)."""
    units = _UNITS.get(one.schema, {}).get(one.part, "1")
    attrs: dict[str, Any] = {"units": units, "kind": "vector", "role": "reading"}
    if one.schema.endswith("Image"):
        if values.dtype == np.uint8:
            colours = {"labels": ["red", "green", "blue"]} if values.ndim == 4 else {}
            return values if values.ndim == 4 else values[..., None], attrs | {"kind": "image"} | colours
        if values.ndim == 3 and values.dtype == np.uint16:  # millimetres, 0 where nothing was seen
            return np.where(values, values / 1000, np.inf).astype(np.float32), attrs | {"kind": "depth", "units": "m"}
        if values.ndim == 3 and values.dtype.kind == "f":
            seen = np.where(np.isnan(values), np.inf, values).astype(np.float32)
            return seen, attrs | {"kind": "depth", "units": "m"}
        return values, attrs | {"kind": "normals" if values.ndim == 4 else "mask"}
    if one.schema == "tf2_msgs/TFMessage":
        return values.astype(np.float32), attrs | {"kind": "pose", "units": "m m m 1 1 1 1"}
    if values.dtype == bool:
        return values, attrs | {"kind": "pulse" if values.ndim == 1 else "mask"}
    kinds = {"sensor_msgs/PointCloud2": "cloud", "sensor_msgs/LaserScan": "range"}
    attrs["kind"] = kinds.get(one.schema, "vector" if values.ndim < 3 else "tactile")
    if attrs["kind"] in ("cloud", "range"):
        values = np.where(np.isnan(values), np.inf, values)
    if one.labels and values.ndim == 2 and len(one.labels) == values.shape[1]:
        attrs["labels"] = one.labels
    return values.astype(np.float32), attrs
