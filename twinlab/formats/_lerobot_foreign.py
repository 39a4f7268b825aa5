"""What can be known of a LeRobot dataset that twinlab did not write."""

import io
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import xarray as xr
from PIL import Image, UnidentifiedImageError

from twinlab.errors import FormatError
from twinlab.formats._columns import numbers
from twinlab.formats._foreign import about, limits

_INDEX = ("timestamp", "frame_index", "episode_index", "index", "task_index")
_PREFIXES = ("observation.images.", "observation.", "next.")


class Known(Protocol):
    """What a dataset tells of itself; see `_lerobot_in.Source`."""

    info: dict[str, Any]
    features: dict[str, dict[str, Any]]
    stats: dict[str, Any]
    root: Any

    def film(self, row: dict[str, Any], key: str) -> np.ndarray:
        """The pictures of an episode."""
        ...


def guessed(source: Known, row: dict[str, Any], table: pa.Table, where: str) -> xr.Dataset:
    """An episode: kinds from types and shapes, names from keys, units "1" where none are told."""
    length, fps = row["length"], source.info["fps"]
    out: dict[str, Any] = {}
    unsure, left = [], []
    names = _names([key for key in source.features if key not in _INDEX])
    for key, name in names.items():
        told = source.features[key]
        if told["dtype"] in ("string", "language"):
            left.append(key)
            continue
        values = _values(source, row, table, key, where)
        attrs = _attrs(key, told, values)
        if "units" not in (told.get("info") or {}):
            unsure.append(name)
        dims = ("time", *(("actuator",) if key == "action" else (f"{name}_{i}" for i in range(values.ndim - 1))))
        if key == "action":
            values = values.reshape(length, -1)
            attrs |= _limits(source, values)
        out[name] = (dims, values, attrs)
    coords: dict[str, Any] = {"time": ("time", np.arange(length) / fps, {"units": "s"})}
    if "action" in out:
        labels = _labels(source.features["action"])
        coords["actuator"] = labels or [str(i) for i in range(out["action"][1].shape[1])]
    tasks = [str(task) for task in row.get("tasks") or ()]
    scene = str(source.info.get("robot_type") or "unknown")
    attrs = about(scene, int(row["episode_index"]), 1 / fps, "; ".join(tasks)) | {"guessed": unsure}
    return xr.Dataset(out, coords, attrs | ({"left_out": left} if left else {}))


def _names(keys: list[str]) -> dict[str, str]:
    """Short names for keys; the whole key where two would be the same."""
    short = {key: key for key in keys}
    for key in keys:
        prefix = next((p for p in _PREFIXES if key.startswith(p) and len(key) > len(p)), "")
        short[key] = key[len(prefix) :].replace(".", "_").replace("/", "_")
    several = {name for name in short.values() if list(short.values()).count(name) > 1} | {"time", "actuator"}
    return {key: key.replace(".", "_").replace("/", "_") if name in several else name for key, name in short.items()}


def _values(source: Known, row: dict[str, Any], table: pa.Table, key: str, where: str) -> np.ndarray:
    told = source.features[key]
    if told["dtype"] == "video":
        return source.film(row, key)
    if told["dtype"] == "image":
        return _embedded(table, key, where)
    shape = () if told["shape"] == [1] and key != "action" else tuple(told["shape"])
    values = numbers(table, key, shape, where)
    return values.astype(np.float32) if values.dtype == np.float64 else values


def _embedded(table: pa.Table, key: str, where: str) -> np.ndarray:
    """Pictures that stand in the table as PNG or TIFF (time, row, column[, 3])."""
    try:
        return np.stack([np.array(Image.open(io.BytesIO(one["bytes"]))) for one in table[key].to_pylist()])
    except (KeyError, TypeError, ValueError, UnidentifiedImageError) as told:
        raise FormatError(f"{where}: column {key!r} holds no pictures of one size ({told}); embed them again") from told


def _attrs(key: str, told: dict[str, Any], values: np.ndarray) -> dict[str, Any]:
    info = told.get("info") or {}
    reads = key.startswith("observation.")
    role = "action" if key == "action" else "reading" if reads else "truth"
    attrs: dict[str, Any] = {"units": "1", "kind": _kind(told, values), "role": role}
    attrs |= {word: info[word] for word in ("kind", "role") if word in info}
    if "units" in info:
        units = info["units"]
        attrs["units"] = " ".join(str(unit) for unit in units) if isinstance(units, list) else str(units)
    if attrs["kind"] == "depth":
        attrs["units"] = "m"
    labels = _labels(told)
    if attrs["kind"] == "image":
        attrs["labels"] = ["red", "green", "blue"]
    elif labels and values.ndim > 1 and len(labels) == values.shape[-1]:
        attrs["labels"] = labels
    return attrs


def _kind(told: dict[str, Any], values: np.ndarray) -> str:
    """Pictures of three channels are images, of one depth; yes and no is a pulse; small vectors are vectors."""
    if told["dtype"] in ("video", "image"):
        return "image" if values.ndim == 4 else "depth"
    if values.dtype == bool:
        return "pulse" if values.ndim == 1 else "mask"
    return "vector" if values.ndim < 3 else "tactile"


def _labels(told: dict[str, Any]) -> list[str]:
    """LeRobot tells names as a list, or as one list for each axis."""
    names = told.get("names")
    if isinstance(names, dict):
        names = next((x for x in names.values() if isinstance(x, list)), None)
    return [str(name) for name in names] if isinstance(names, list) else []


def _limits(source: Known, values: np.ndarray) -> dict[str, list[float]]:
    """Limits of the action: its extremes over the dataset, or over the episode if no statistics are told."""
    told, size = source.stats.get("action", {}), values.shape[1]
    low, high = (np.ravel(told.get(word, ())).astype(float) for word in ("min", "max"))
    return {"low": low.tolist(), "high": high.tolist()} if low.size == high.size == size else limits(values)
