"""The contract of measured data: what a variable is, and the check that readings keep to it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from twinlab.errors import ReadingsError, did_you_mean

Kind = Literal["image", "depth", "normals", "mask", "cloud", "range", "tactile", "vector", "pulse", "label", "pose"]
_OPEN = ("depth", "cloud", "range")  # kinds in which +inf says that nothing was seen
Role = Literal["reading", "truth", "action"]
Readings = Mapping[str, np.ndarray]
"""One tick: name → array. Light on purpose; xarray comes in only when an episode is complete."""


@dataclass(frozen=True)
class Variable:
    """What a name in the readings stands for.

    Attributes:
        name: the variable's name, unique in a cell.
        dims: names of its axes, without `time`; () for a scalar.
        shape: sizes of these axes.
        dtype: NumPy's name of its type.
        units: SI unit, "1" where it has none.
        kind: what sort of signal it is; it chooses the codec of the world model.
        role: "reading" goes to policies, "truth" only to tasks, scores and training targets.
        labels: names along the last axis, or the classes that a "label" counts through; () where there are none.
        given: name of a pulse that must be true for this value to mean something, "" if it always does.
        about: more that an episode says of it, such as a camera's calibration: name → what JSON can hold.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    units: str
    kind: Kind
    role: Role = "reading"
    labels: tuple[str, ...] = ()
    given: str = ""
    about: Mapping[str, Any] = field(default_factory=dict, hash=False)


def check(readings: Readings, variables: Iterable[Variable]) -> None:
    """Raise unless readings hold exactly these variables, each as declared and finite.

    Depth, ranges and clouds may hold +inf, which means that nothing was seen along that ray.

    Raises:
        ReadingsError: a variable is missing, unknown, of another shape or type, or not finite.
    """
    wanted = {v.name: v for v in variables}
    for name in readings:
        if name not in wanted:
            raise ReadingsError(
                f"reading {name!r} was never declared; declared are {sorted(wanted)}.{did_you_mean(name, wanted)}"
            )
    for name, variable in wanted.items():
        if name not in readings:
            raise ReadingsError(f"reading {name!r} is missing; came {sorted(readings)}")
        value = readings[name]
        if value.shape != variable.shape or value.dtype != np.dtype(variable.dtype):
            raise ReadingsError(
                f"reading {name!r}: came {value.dtype} of shape {value.shape}, "
                f"wanted {variable.dtype} of shape {variable.shape} {variable.dims}"
            )
        if value.dtype.kind == "f" and not _sound(value, variable.kind in _OPEN):
            raise ReadingsError(f"reading {name!r} holds a value that is not finite; look at the sensor that gives it")


def _sound(value: np.ndarray, open_: bool) -> bool:
    """Whether all numbers are finite, or +inf where that is allowed."""
    finite = np.isfinite(value)
    return bool(finite.all()) or (open_ and bool((value[~finite] == np.inf).all()))
