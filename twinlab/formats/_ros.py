"""Messages of ROS 2: their fields, how arrays become messages, and what a message holds.

The fields are those of common_interfaces, geometry2 and rcl_interfaces; their comments and constants are left out.
"""

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

_WIDTHS = ("Float32", "Float64", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
_FIELDS = {
    "builtin_interfaces/Time": "int32 sec, uint32 nanosec",
    "std_msgs/Header": "builtin_interfaces/Time stamp, string frame_id",
    "std_msgs/Bool": "bool data",
    "std_msgs/String": "string data",
    "std_msgs/MultiArrayDimension": "string label, uint32 size, uint32 stride",
    "std_msgs/MultiArrayLayout": "MultiArrayDimension[] dim, uint32 data_offset",
    "geometry_msgs/Vector3": "float64 x, float64 y, float64 z",
    "geometry_msgs/Quaternion": "float64 x, float64 y, float64 z, float64 w",
    "geometry_msgs/Transform": "Vector3 translation, Quaternion rotation",
    "geometry_msgs/TransformStamped": "std_msgs/Header header, string child_frame_id, Transform transform",
    "geometry_msgs/Wrench": "Vector3 force, Vector3 torque",
    "geometry_msgs/WrenchStamped": "std_msgs/Header header, Wrench wrench",
    "tf2_msgs/TFMessage": "geometry_msgs/TransformStamped[] transforms",
    "sensor_msgs/Image": "std_msgs/Header header, uint32 height, uint32 width, string encoding, uint8 is_bigendian, "
    "uint32 step, uint8[] data",
    "sensor_msgs/RegionOfInterest": "uint32 x_offset, uint32 y_offset, uint32 height, uint32 width, bool do_rectify",
    "sensor_msgs/CameraInfo": "std_msgs/Header header, uint32 height, uint32 width, string distortion_model, "
    "float64[] d, float64[9] k, float64[9] r, float64[12] p, uint32 binning_x, uint32 binning_y, RegionOfInterest roi",
    "sensor_msgs/JointState": "std_msgs/Header header, string[] name, float64[] position, float64[] velocity, "
    "float64[] effort",
    "sensor_msgs/LaserScan": "std_msgs/Header header, float32 angle_min, float32 angle_max, float32 angle_increment, "
    "float32 time_increment, float32 scan_time, float32 range_min, float32 range_max, float32[] ranges, "
    "float32[] intensities",
    "sensor_msgs/PointField": "string name, uint32 offset, uint8 datatype, uint32 count",
    "sensor_msgs/PointCloud2": "std_msgs/Header header, uint32 height, uint32 width, PointField[] fields, "
    "bool is_bigendian, uint32 point_step, uint32 row_step, uint8[] data, bool is_dense",
    "rcl_interfaces/Log": "builtin_interfaces/Time stamp, uint8 level, string name, string msg, string file, "
    "string function, uint32 line",
} | {f"std_msgs/{name}MultiArray": f"MultiArrayLayout layout, {name.lower()}[] data" for name in _WIDTHS}
_ENCODINGS = {
    "rgb8": ("u1", 3), "bgr8": ("u1", 3), "rgba8": ("u1", 4), "bgra8": ("u1", 4), "mono8": ("u1", 1), "8UC1": ("u1", 1),
    "8UC3": ("u1", 3), "mono16": ("u2", 1), "16UC1": ("u2", 1), "16SC1": ("i2", 1), "32FC1": ("f4", 1),
    "32FC3": ("f4", 3), "32SC1": ("i4", 1), "64FC1": ("f8", 1),
}  # fmt: skip
_POINT_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}


def definition(schema: str) -> str:
    """The text of a schema such as "sensor_msgs/msg/Image", with all that it is made of."""
    first = schema.replace("/msg/", "/")
    order, texts = [first], []
    for name in order:
        lines = []
        for one in _FIELDS[name].split(", "):
            kind, field = one.split()
            bare = kind.split("[")[0]
            package = name.partition("/")[0]
            inner = bare if "/" in bare else f"{package}/{bare}"
            if inner in _FIELDS:
                lines.append(f"{inner}{kind[len(bare) :]} {field}")
                order += [inner] if inner not in order else []
            else:
                lines.append(one)
        texts.append("\n".join(lines) if name == first else f"MSG: {name}\n" + "\n".join(lines))
    return f"\n{'=' * 80}\n".join(texts) + "\n"


def stamped(ns: int, frame: str = "") -> dict[str, Any]:
    """A header."""
    return {"stamp": time(ns), "frame_id": frame}


def time(ns: int) -> dict[str, int]:
    """A time in nanoseconds as ROS tells it."""
    return {"sec": ns // 10**9, "nanosec": ns % 10**9}


def picture(values: np.ndarray) -> dict[str, Any]:
    """(row, column[, channel]) → the fields of an Image after its header."""
    shown = values.view(np.uint8) if values.dtype == bool else values
    channels = shown.shape[2] if shown.ndim == 3 else 1
    encoding = encoding_of(shown)
    row = shown.shape[1] * channels * shown.itemsize
    data = np.ascontiguousarray(shown).tobytes()
    return {"height": shown.shape[0], "width": shown.shape[1], "encoding": encoding, "step": row, "data": data}


def encoding_of(values: np.ndarray) -> str:
    """What ROS calls the type of such pictures, "" if it has no name."""
    channels = values.shape[-1] if values.ndim == 3 else 1
    if values.dtype == np.uint8:
        return {1: "mono8", 3: "rgb8", 4: "rgba8"}.get(channels, "")
    names = {("i", 2, 1): "16SC1", ("u", 2, 1): "16UC1", ("f", 4, 1): "32FC1", ("f", 4, 3): "32FC3"}
    if values.dtype == bool and channels == 1:
        return "mono8"
    return names.get((values.dtype.kind, values.itemsize, channels), "")


def points(values: np.ndarray) -> dict[str, Any]:
    """Points (point, 3) float32 → the fields of a PointCloud2 after its header."""
    fields = [{"name": axis, "offset": 4 * i, "datatype": 7, "count": 1} for i, axis in enumerate("xyz")]
    data = np.ascontiguousarray(values).tobytes()
    return {"height": 1, "width": len(values), "fields": fields, "point_step": 12, "row_step": len(data), "data": data}


def array(values: np.ndarray, dims: tuple[str, ...]) -> dict[str, Any]:
    """Numbers of any shape → a MultiArray."""
    strides = [int(np.prod(values.shape[i:], dtype=int)) for i in range(values.ndim)]
    named = zip(dims, values.shape, strides, strict=True)
    layout = {"dim": [{"label": label, "size": size, "stride": stride} for label, size, stride in named]}
    data = values.astype(np.uint8) if values.dtype == bool else values
    return {"layout": layout, "data": data.tobytes() if data.dtype == np.uint8 else data.ravel().tolist()}


def held(schema: str, message: Any) -> dict[str, np.ndarray] | None:
    """Field → array of what a message holds, "" for its only one; None if the type is not known.

    Raises:
        ValueError: the message contradicts itself.
        OSError: its picture can't be decoded.
    """
    reads = _READS.get(schema.replace("/msg/", "/"))
    return None if reads is None else {name: np.asarray(x) for name, x in reads(message).items()}


def names_of(message: Any) -> list[str]:
    """Names of the numbers in a message, such as those of joints."""
    return [str(name) for name in getattr(message, "name", None) or []] if hasattr(message, "position") else []


def _image(message: Any) -> dict[str, np.ndarray]:
    if message.encoding not in _ENCODINGS:
        return {}
    dtype, channels = _ENCODINGS[message.encoding]
    kind = np.dtype(dtype).newbyteorder(">" if message.is_bigendian else "<")
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    width = message.width * channels * kind.itemsize
    values = np.ascontiguousarray(rows[:, :width]).view(kind).astype(dtype)
    values = values.reshape(message.height, message.width, channels)[..., 0 if channels == 1 else slice(None)]
    swapped = message.encoding in ("bgr8", "bgra8")
    return {"": values[..., [2, 1, 0]] if swapped else values[..., :3] if channels == 4 else values}


def _compressed(message: Any) -> dict[str, np.ndarray]:
    if "compressedDepth" in message.format:
        return {}
    return {"": np.array(Image.open(io.BytesIO(bytes(message.data))).convert("RGB"))}


def _joints(message: Any) -> dict[str, np.ndarray]:
    kept = {"position": message.position, "velocity": message.velocity, "torque": message.effort}
    return {name: np.array(x) for name, x in kept.items() if len(x)}


def _cloud(message: Any) -> dict[str, np.ndarray]:
    fields = {f.name: f for f in message.fields}
    if not {"x", "y", "z"} <= fields.keys():
        return {}
    order = ">" if message.is_bigendian else "<"
    kept = [fields[axis] for axis in "xyz"]
    formats = [order + _POINT_TYPES[f.datatype] for f in kept]
    form: Any = {
        "names": list("xyz"),
        "formats": formats,
        "offsets": [f.offset for f in kept],
        "itemsize": message.point_step,
    }
    found = np.frombuffer(bytes(message.data), np.dtype(form), message.width * message.height)
    return {"": np.stack([found[axis] for axis in "xyz"], axis=-1).astype(np.float32)}


def _multi(message: Any) -> dict[str, np.ndarray]:
    values = np.frombuffer(message.data, np.uint8) if isinstance(message.data, bytes) else np.array(message.data)
    sizes = [d.size for d in message.layout.dim]
    return {"": values.reshape(sizes) if sizes else values}


def _scan(message: Any) -> dict[str, np.ndarray]:
    out = {"": np.array(message.ranges, np.float32)}
    return out | ({"intensity": np.array(message.intensities, np.float32)} if len(message.intensities) else {})


def _transforms(message: Any) -> dict[str, np.ndarray]:
    return {
        one.child_frame_id: np.array([*_xyz(one.transform.translation), *_xyzw(one.transform.rotation)])
        for one in message.transforms
    }


def _xyz(v: Any) -> list[float]:
    return [v.x, v.y, v.z]


def _xyzw(q: Any) -> list[float]:
    return [q.x, q.y, q.z, q.w]


def _data(message: Any) -> dict[str, Any]:
    return {"": message.data}


_READS: Mapping[str, Callable[[Any], Mapping[str, Any]]] = {
    "sensor_msgs/Image": _image,
    "sensor_msgs/CompressedImage": _compressed,
    "sensor_msgs/JointState": _joints,
    "sensor_msgs/PointCloud2": _cloud,
    "sensor_msgs/LaserScan": _scan,
    "sensor_msgs/Imu": lambda m: {"force": _xyz(m.linear_acceleration), "rate": _xyz(m.angular_velocity)},
    "sensor_msgs/Range": lambda m: {"": m.range},
    "sensor_msgs/Temperature": lambda m: {"": m.temperature + 273.15},
    "sensor_msgs/FluidPressure": lambda m: {"": m.fluid_pressure},
    "geometry_msgs/WrenchStamped": lambda m: {"": [*_xyz(m.wrench.force), *_xyz(m.wrench.torque)]},
    "geometry_msgs/PoseStamped": lambda m: {"": [*_xyz(m.pose.position), *_xyzw(m.pose.orientation)]},
    "geometry_msgs/TwistStamped": lambda m: {"": [*_xyz(m.twist.linear), *_xyz(m.twist.angular)]},
    "geometry_msgs/Twist": lambda m: {"": [*_xyz(m.linear), *_xyz(m.angular)]},
    "tf2_msgs/TFMessage": _transforms,
    **{name: _multi for name in _FIELDS if name.endswith("MultiArray")},
    **{f"std_msgs/{name}": _data for name in (*_WIDTHS, "Bool", "String")},
}
