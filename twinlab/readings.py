"""The contract of measured data: what a variable is, and the check that readings keep to it."""

import math
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
        given: name of the pulse that must be true for this value to mean something, or of the label whose class must be
            another than the first; "" if it always does.
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


class Contract:
    """What readings are held to, tick by tick: exactly these variables, each as declared and finite.

    Depth, ranges and clouds may hold +inf, which means that nothing was seen along that ray.
    """

    def __init__(self, variables: Iterable[Variable]) -> None:
        self._wanted = {v.name: (v, v.shape, np.dtype(v.dtype)) for v in variables}

    def check(self, readings: Readings) -> None:
        """Raise unless the readings keep to it.

        Raises:
            ReadingsError: a variable is missing, unknown, of another shape or type, or not finite.
        """
        if readings.keys() != self._wanted.keys():
            self._tell_names(readings)
        for name, (variable, shape, dtype) in self._wanted.items():
            value = readings[name]
            if value.shape != shape or value.dtype != dtype:
                raise ReadingsError(
                    f"reading {name!r}: came {value.dtype} of shape {value.shape}, "
                    f"wanted {variable.dtype} of shape {shape} {variable.dims}"
                )
            # One number that is not finite makes this one so too; it is told in a third of the time.
            if dtype.kind == "f" and not math.isfinite(np.vdot(value, value)) and not _sound(value, variable):
                raise ReadingsError(
                    f"reading {name!r} holds a value that is not finite; look at the sensor that gives it"
                )

    def _tell_names(self, readings: Readings) -> None:
        for name in readings:
            if name not in self._wanted:
                raise ReadingsError(
                    f"reading {name!r} was never declared; declared are {sorted(self._wanted)}."
                    f"{did_you_mean(name, self._wanted)}"
                )
        missing = next(name for name in self._wanted if name not in readings)
        raise ReadingsError(f"reading {missing!r} is missing; came {sorted(readings)}")


def _sound(value: np.ndarray, variable: Variable) -> bool:
    """Whether all numbers are finite, or +inf where that is allowed."""
    finite = np.isfinite(value)
    return bool(finite.all()) or (variable.kind in _OPEN and bool((value[~finite] == np.inf).all()))
