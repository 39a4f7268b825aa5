"""An episode as one MCAP file of ROS 2 messages."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from mcap_ros2.writer import Writer

from twinlab.formats import _ros
from twinlab.formats._whole import check, described, over_time

_CAMERA, _LOG = "sensor_msgs/msg/CameraInfo", "rcl_interfaces/msg/Log"
_CLOSE = 2_000  # samples at times nearer than this are one [ns]
_PARTS = ("position", "velocity", "torque")
_NUMBERS = {"f4": "Float32", "f8": "Float64", "i1": "Int8", "i2": "Int16", "i4": "Int32", "i8": "Int64", "b1": "UInt8",
            "u1": "UInt8", "u2": "UInt16", "u4": "UInt32", "u8": "UInt64"}  # fmt: skip


@dataclass(frozen=True)
class Topic:
    """One stream of messages.

    Attributes:
        name: of the topic.
        schema: type of its messages.
        parts: field of the message → variable of the episode; "" for the only field.
        age: variable that tells how old its samples are, "" if each tick has a new one.
    """

    name: str
    schema: str
    parts: dict[str, str]
    age: str = ""

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {"topic": self.name, "schema": self.schema, "parts": self.parts}


def topics(episode: xr.Dataset) -> list[Topic]:
    """Where each variable over time goes: readings to `/<name>`, all else to `/twin/<name>`, links to `/tf`."""
    out: list[Topic] = []
    done: set[str] = set()
    for name in over_time(episode):
        if name in done:
            continue
        schema, parts = _schema(episode, name), {"": name}
        stem = name.removesuffix("_position")
        if stem != name and (found := _joints(episode, stem)):
            schema, parts, name = "sensor_msgs/msg/JointState", found, stem
        done |= set(parts.values())
        first = episode[next(iter(parts.values()))]
        own = first.attrs["role"] == "reading" or name == "action"
        topic = "/tf" if schema.startswith("tf2") else f"/{name}" if own else f"/twin/{name}"
        out.append(Topic(topic, schema, parts, _age(episode, name)))
    return out


def write(episode: xr.Dataset, path: Path, start: int, number: int) -> None:
    """Write an episode.

    Args:
        episode: the episode.
        path: of the file.
        start: time of its reset [ns].
        number: for messages of errors.
    """
    check(episode, number)
    planned = topics(episode)
    apart = {name for topic in planned for name in topic.parts.values()}
    ticks = [start + round(t * 1e9) for t in episode["time"].values.tolist()]
    arrays = {name: episode[name].values for name in apart}
    with path.open("wb") as file, Writer(file) as out:
        schemas: dict[str, Any] = {}
        for name in sorted({t.schema for t in planned} | {_CAMERA, _LOG}):
            schemas[name] = out.register_msgdef(name, _ros.definition(name))
        stamps = {topic.name: _stamps(topic, arrays, ticks) for topic in planned}
        for tick, now in enumerate(ticks):
            for topic in planned:
                values = {field: arrays[name][tick] for field, name in topic.parts.items()}
                stamp, before = stamps[topic.name][tick], stamps[topic.name][tick - 1]
                same = (
                    tick
                    and stamp == before
                    and all(values[f].tobytes() == arrays[n][tick - 1].tobytes() for f, n in topic.parts.items())
                )
                if same:
                    continue
                v = episode[topic.parts[next(iter(topic.parts))]]
                message = _message(topic, values, v, stamp)
                out.write_message(topic.name, schemas[topic.schema], message, now, stamp, tick)
                if "camera_matrix" in v.attrs and v.attrs["role"] == "reading":
                    info = _camera(v, stamp, topic.name)
                    out.write_message(f"{topic.name}/camera_info", schemas[_CAMERA], info, now, stamp)
        _write_events(episode, out, schemas[_LOG], start)
        whole = described(episode, apart, start=start, topics=[topic.told() for topic in planned])
        out.add_metadata("twinlab", {"episode": whole})


def _schema(episode: xr.Dataset, name: str) -> str:
    v = episode[name]
    one, kind = v[0].values, v.attrs["kind"]
    labels = list(v.attrs.get("labels", ()))
    if name == "link_pose" and one.ndim == 2 and one.shape[1] == 7 and len(labels) == len(one):
        return "tf2_msgs/msg/TFMessage"
    if one.ndim > 1 and kind in ("image", "depth", "mask", "normals") and _ros.encoding_of(one):
        return "sensor_msgs/msg/Image"
    if kind == "cloud" and one.ndim == 2 and one.shape[1] == 3 and one.dtype == np.float32:
        return "sensor_msgs/msg/PointCloud2"
    if kind == "range" and one.ndim == 2 and len(one) == 1 and "azimuth" in v.attrs and v.attrs["units"] == "m":
        return "sensor_msgs/msg/LaserScan"
    if one.shape == (6,) and labels == ["fx", "fy", "fz", "tx", "ty", "tz"]:
        return "geometry_msgs/msg/WrenchStamped"
    if one.dtype.kind in "UO":
        return "std_msgs/msg/String"
    if one.dtype == bool and not one.ndim:
        return "std_msgs/msg/Bool"
    return f"std_msgs/msg/{_NUMBERS[one.dtype.str[1:]]}MultiArray"


def _joints(episode: xr.Dataset, stem: str) -> dict[str, str]:
    """Field → variable of what a robot's joints tell, {} if these are no joints."""
    found = {part: f"{stem}_{part}" for part in _PARTS if f"{stem}_{part}" in episode}
    first = episode[found["position"]]
    same = all(episode[n].dims == first.dims and episode[n].dtype.kind == "f" for n in found.values())
    named = first.ndim == 2 and len(first.attrs.get("labels", ())) == first.shape[1]
    return found if same and named and len(found) > 1 else {}


def _age(episode: xr.Dataset, name: str) -> str:
    """The variable that tells the age of a sensor's samples: that of the longest name that begins this one."""
    sensors = [str(n)[:-4] for n in episode.data_vars if str(n).endswith("_age")]
    found = [s for s in sensors if s == name or name.startswith(f"{s}_")]
    return "" if name.endswith(("_age", "_valid")) or not found else f"{max(found, key=len)}_age"


def _stamps(topic: Topic, arrays: dict[str, np.ndarray], ticks: list[int]) -> list[int]:
    """When each tick's sample was taken [ns]; of several within a tick, when the last was."""
    if not topic.age:
        return ticks
    ages = arrays[topic.age].reshape(len(ticks), -1)[:, -1].astype(float)
    out: list[int] = []
    for now, age in zip(ticks, ages.tolist(), strict=True):
        stamp = max(0, now - round(age * 1e9))
        held = bool(out) and abs(stamp - out[-1]) < _CLOSE  # ages have 32 bits; a held sample is not a new one
        out.append(out[-1] if held else stamp)
    return out


def _message(topic: Topic, values: dict[str, np.ndarray], v: xr.DataArray, stamp: int) -> dict[str, Any]:
    header = {"header": _ros.stamped(stamp, topic.name.strip("/"))}
    one = next(iter(values.values()))
    match topic.schema.rpartition("/")[2]:
        case "Image":
            return header | _ros.picture(one)
        case "PointCloud2":
            return header | _ros.points(one)
        case "JointState":
            names = [str(label) for label in v.attrs["labels"]]
            numbers = {field: x.astype(float).tolist() for field, x in values.items()}
            effort = numbers.pop("torque", [])
            return header | {"name": names, **numbers, "effort": effort}
        case "WrenchStamped":
            force, torque = (dict(zip("xyz", x, strict=True)) for x in one.astype(float).reshape(2, 3).tolist())
            return header | {"wrench": {"force": force, "torque": torque}}
        case "LaserScan":
            first, step = v.attrs["azimuth"]
            near, far = v.attrs["range"]
            scan = {"angle_min": first, "angle_max": first + step * (one.size - 1), "angle_increment": step}
            return header | scan | {"range_min": near, "range_max": far, "ranges": one.ravel().tolist()}
        case "TFMessage":
            return {"transforms": [_transform(p, str(n), stamp) for p, n in zip(one, v.attrs["labels"], strict=True)]}
        case "Bool" | "String":
            return {"data": one.item()}
    return _ros.array(one, tuple(str(d) for d in v.dims[1:]))


def _transform(pose: np.ndarray, name: str, stamp: int) -> dict[str, Any]:
    x = pose.astype(float).tolist()
    transform = {
        "translation": dict(zip("xyz", x[:3], strict=True)),
        "rotation": dict(zip("xyzw", x[3:], strict=True)),
    }
    return {"header": _ros.stamped(stamp, "world"), "child_frame_id": name, "transform": transform}


def _camera(v: xr.DataArray, stamp: int, topic: str) -> dict[str, Any]:
    told = v.attrs
    k = [float(x) for x in told["camera_matrix"]]
    size = {"height": int(told["height"]), "width": int(told["width"])}
    lens = {"distortion_model": "plumb_bob", "d": [float(x) for x in told["distortion"]]}
    straight = {"r": [1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0], "p": [*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0]}
    return {"header": _ros.stamped(stamp, topic.strip("/")), **size, **lens, "k": k, **straight}


def _write_events(episode: xr.Dataset, out: Writer, schema: Any, start: int) -> None:
    """Events as lines of a log, to be read by people; twinlab reads them from the metadata."""
    columns = [f"event_{word}" for word in ("time", "kind", "item", "place", "right")]
    if not all(name in episode for name in columns):
        return
    for time, kind, item, place, right in zip(*(episode[n].values.tolist() for n in columns), strict=True):
        at = start + round(time * 1e9)
        text = " ".join(x for x in (kind, item, place and f"at {place}", "(right)" if right else "") if x)
        level = 30 if kind in ("stop", "fault", "violation", "collided", "dropped", "missed") else 20
        line = {"stamp": _ros.time(at), "level": level, "name": "twin", "msg": text}
        out.write_message("/twin/events", schema, line, at)
