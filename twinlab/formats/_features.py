"""What LeRobot calls the variables of an episode, and what it wants to know of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from twinlab.errors import FormatError, did_you_mean
from twinlab.formats._whole import labels_of, over_time
from twinlab.units import each_unit

PLAIN: dict[str, dict[str, Any]] = {
    "timestamp": {"dtype": "float32", "shape": [1], "names": None},
    **{
        name: {"dtype": "int64", "shape": [1], "names": None}
        for name in ("frame_index", "episode_index", "index", "task_index")
    },
}
"""The columns that every dataset has."""


@dataclass(frozen=True)
class Plan:
    """Where each variable of an episode goes.

    Attributes:
        state: names of the vectors that stand one behind the other in `observation.state`.
        columns: key → variable, of all other columns of parquet.
        videos: key → variable, of pictures.
        deep: the keys of `videos` that hold depth.
    """

    state: tuple[str, ...]
    columns: dict[str, str]
    videos: dict[str, str]
    deep: tuple[str, ...]

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {"state": self.state, "columns": self.columns, "videos": self.videos, "deep": self.deep}


def plan(episode: xr.Dataset, state: Sequence[str], deep: bool) -> Plan:
    """Where the variables of an episode go.

    Args:
        episode: the first one of a dataset.
        state: what makes up `observation.state`; () for all vectors that a policy reads, but ages of samples.
        deep: whether depth pictures become videos.

    Raises:
        FormatError: there is no such variable, or no `action`.
    """
    known = over_time(episode)
    for name in (*state, "action"):
        if name not in known:
            raise FormatError(f"an episode has no {name!r} over time; it has {known}.{did_you_mean(name, known)}")
    parts = tuple(state) or tuple(name for name in known if _is_state(name, episode[name]))
    columns, videos, depths = {}, {}, []
    for name in known:
        v = episode[name]
        reads = v.attrs["role"] == "reading"
        if v.attrs["kind"] == "image" and v.ndim == 4 and v.shape[3] == 3 and v.dtype == np.uint8:
            videos[f"observation.images.{name}" if reads else f"twin.images.{name}"] = name
        elif deep and v.attrs["kind"] == "depth" and v.ndim == 3:
            key = f"observation.images.{name}" if reads else f"twin.images.{name}"
            videos[key] = name
            depths.append(key)
        elif name not in parts:
            columns["action" if name == "action" else f"twin.{name}"] = name
    return Plan(parts, columns, videos, tuple(depths))


def features(episode: xr.Dataset, where: Plan) -> dict[str, dict[str, Any]]:
    """Key → what info.json tells of it; info of videos is added when they are written."""
    out: dict[str, dict[str, Any]] = {}
    for key, name in where.videos.items():
        shape = [*episode[name].shape[1:3], 1 if key in where.deep else 3]
        out[key] = {"dtype": "video", "shape": shape, "names": ["height", "width", "channels"]}
        out[key]["info"] = _info(episode[name])
    if where.state:
        names = [label for name in where.state for label in _names(name, episode[name])]
        units = [
            unit for v in (episode[name] for name in where.state) for unit in each_unit(v.attrs["units"], v[0].size)
        ]
        info = {"units": units, "kind": "vector", "role": "reading"}
        out["observation.state"] = {"dtype": "float32", "shape": [len(names)], "names": names, "info": info}
    for key, name in where.columns.items():
        v = episode[name]
        dtype = "string" if v.dtype.kind in "UO" else v.dtype.name
        labels = _names("", v) if v.ndim == 2 else None
        out[key] = {"dtype": dtype, "shape": list(v.shape[1:]) or [1], "names": labels, "info": _info(v)}
    return out | PLAIN


def values(episode: xr.Dataset, where: Plan) -> dict[str, np.ndarray]:
    """Key → array over time, of everything that goes into parquet."""
    out = {key: episode[name].values for key, name in where.columns.items()}
    if where.state:
        parts = [episode[name].values.reshape(episode.sizes["time"], -1) for name in where.state]
        out["observation.state"] = np.concatenate(parts, axis=1)
    return out


def _is_state(name: str, v: xr.DataArray) -> bool:
    told = v.attrs
    plain = told["kind"] == "vector" and told["role"] == "reading" and v.dtype == np.float32 and v.ndim < 3
    return plain and not name.endswith("_age")


def _names(name: str, v: xr.DataArray) -> list[str]:
    """A name for each number of a vector."""
    size = int(np.prod(v.shape[1:], dtype=int))
    labels = labels_of(v)
    if v.ndim < 2 or len(labels) != size:
        labels = [str(i) for i in range(size)] if v.ndim > 1 else [""]
    return [".".join(part for part in (name, str(label)) if part) for label in labels]


def _info(v: xr.DataArray) -> dict[str, Any]:
    return {word: v.attrs[word] for word in ("units", "kind", "role")}
