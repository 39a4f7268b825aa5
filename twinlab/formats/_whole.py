"""An episode as a text that says all of it but its large arrays, and back to the bit."""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import xarray as xr

from twinlab.errors import FormatError

VERSION = 1


def check(episode: xr.Dataset, number: int) -> None:
    """Raise unless it is an episode: over `time` [s], with units, kind and role on every variable.

    Raises:
        FormatError: it is not; says which variable lacks what.
    """
    if "time" not in episode.coords or episode["time"].dims != ("time",) or not episode.sizes["time"]:
        raise FormatError(f"episode {number} has no coordinate 'time' with at least one tick; give what `record` gives")
    for name, variable in episode.data_vars.items():
        for word in ("units", "kind", "role"):
            if word not in variable.attrs:
                raise FormatError(f"episode {number}: {name!r} has no attribute {word!r}; set it before writing")


def tick_of(episode: xr.Dataset, number: int) -> float:
    """The length of an episode's ticks [s].

    Raises:
        FormatError: its times are not even.
    """
    time = episode["time"].values.astype(float)
    if len(time) < 2:
        return float(episode.attrs.get("tick", 0.05))
    tick = float((time[-1] - time[0]) / (len(time) - 1))
    if tick <= 0 or np.abs(np.diff(time) - tick).max() > 0.01 * tick:
        raise FormatError(f"episode {number}: its times are not even (mean step {tick:.6g} s); resample it to a tick")
    return tick


def over_time(episode: xr.Dataset) -> list[str]:
    """The names of an episode's variables over time."""
    return [str(name) for name, v in episode.data_vars.items() if v.dims[:1] == ("time",)]


def labels_of(variable: xr.DataArray) -> list[Any]:
    """The names along a variable's last axis; none where they are not told."""
    axis = variable.dims[-1]
    return variable.coords[axis].values.tolist() if axis in variable.coords else [*variable.attrs.get("labels", ())]


def described(episode: xr.Dataset, apart: Collection[str], **more: Any) -> str:
    """JSON that says all of an episode but the values of the variables that are kept apart."""
    variables = {}
    for name, v in episode.variables.items():
        told: dict[str, Any] = {"dims": list(v.dims), "shape": list(v.shape), "dtype": v.dtype.str, "attrs": v.attrs}
        told["coordinate"] = name in episode.coords
        if v.dtype.kind == "O":
            told["dtype"] = "U"
        if name not in apart:
            told["values"] = v.values.tolist()
        variables[str(name)] = told
    whole = {"twinlab": VERSION, "attrs": episode.attrs, "variables": variables, **more}
    text = json.dumps(whole, ensure_ascii=False, default=_plain)
    return f'{text[:-1]}, "digest": "{_digest(text)}"}}'


def parsed(text: str, where: str) -> dict[str, Any]:
    """What `described` told.

    Raises:
        FormatError: it is damaged, or of a later version.
    """
    body, _, end = text.rpartition(', "digest": "')
    if end != f'{_digest(f"{body}}}")}"}}':
        raise FormatError(f"{where}: twinlab's description is cut short or was altered; restore the file")
    told = json.loads(text)
    version = told["twinlab"]
    if version != VERSION:
        raise FormatError(f"{where}: its description has version {version}, this twinlab reads {VERSION}; update it")
    return dict(told)


def restored(told: Mapping[str, Any], arrays: Mapping[str, np.ndarray], where: str) -> xr.Dataset:
    """The episode of a description and of what was kept apart; variables that are nowhere are told as `left_out`.

    Raises:
        FormatError: an array does not have the shape that is told.
    """
    out: dict[str, xr.Variable] = {}
    coordinates, lost = [], []
    for name, one in told["variables"].items():
        if name not in arrays and "values" not in one:
            lost.append(name)
            continue
        values = arrays[name] if name in arrays else np.array(one["values"], np.dtype(one["dtype"]))
        shape, dtype = tuple(one["shape"]), np.dtype(one["dtype"])
        if values.size != np.prod(shape, dtype=int):
            raise FormatError(f"{where}: {name!r} has {values.size} numbers, wanted shape {shape}; restore the file")
        out[name] = xr.Variable(one["dims"], values.reshape(shape).astype(dtype, copy=False), one["attrs"])
        if one["coordinate"]:
            coordinates.append(name)
    attrs = told["attrs"] | ({"left_out": lost} if lost else {})
    return xr.Dataset(out, attrs=attrs).set_coords(coordinates)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _plain(value: Any) -> Any:
    """What JSON can hold, of NumPy's numbers and arrays."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise FormatError(f"an attribute came as {type(value).__name__}; wanted texts, numbers and lists of them")
