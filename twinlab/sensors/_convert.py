"""From what a sensor measures to what it gives: errors of calibration, saturation, steps, all in one pass."""

from typing import NamedTuple

import numba
import numpy as np

from twinlab.errors import ReadingsError
from twinlab.readings import Variable
from twinlab.sensors import Sensor


class Conversion(NamedTuple):
    """How the numbers of one variable are changed; `n` is how many it has, `k` the length of its last axis.

    Attributes:
        gain, offset: factor [1] and zero of each number, float64 (n,); empty where there are no such errors.
        most: largest magnitude, float64 (k,), inf for any.
        step: smallest step, float64 (k,), 0 for none.
    """

    gain: np.ndarray
    offset: np.ndarray
    most: np.ndarray
    step: np.ndarray


def conversions_of(
    sensor: Sensor, variables: tuple[Variable, ...], rng: np.random.Generator
) -> tuple[Conversion | None, ...]:
    """What an episode does to the numbers of each variable of a sensor; None where nothing."""
    off = sensor.on("calibration") and (any(sensor.gain_error) or any(sensor.offset_error))
    cut, coarse = sensor.on("saturation") and any(sensor.saturation), sensor.on("quantisation") and any(sensor.quantum)
    out: list[Conversion | None] = []
    for i, v in enumerate(variables):
        gain = offset = np.empty(0)
        if off:
            gain, offset = rng.normal(size=(2, *v.shape))
            gain = np.ravel(1 + _each(sensor.gain_error, variables, i, "gain_error") * gain)
            offset = np.ravel(_each(sensor.offset_error, variables, i, "offset_error") * offset)
        most = _each(sensor.saturation, variables, i, "saturation") if cut else np.zeros(())
        most = np.where(most > 0, most, np.inf)
        step = _each(sensor.quantum, variables, i, "quantum") if coarse else np.zeros(())
        most, step = (np.array(np.broadcast_to(one, v.shape[-1:] or 1), float) for one in (most, step))
        changes = v.dtype.startswith("float") and (off or np.isfinite(most).any() or step.any())
        out.append(Conversion(gain, offset, most, step) if changes else None)
    return tuple(out)


def _each(numbers: tuple[float, ...], variables: tuple[Variable, ...], i: int, key: str) -> np.ndarray:
    """Of numbers for a sensor those for its variable `i`: one for all, one a variable, or one a component.

    Raises:
        ReadingsError: there are neither as many nor one.
    """
    if len(numbers) == 1:
        return np.array(numbers[0])
    if len(variables) > 1 and len(numbers) == len(variables):
        return np.array(numbers[i])
    shape = variables[i].shape
    if len(variables) == 1 and shape and len(numbers) == shape[-1]:
        return np.array(numbers)
    wanted = shape[-1] if len(variables) == 1 and shape else len(variables)
    raise ReadingsError(
        f"[sensors] {key} of {variables[i].name!r}: came {len(numbers)} numbers; wanted 1 or {wanted}, one for each of "
        f"{[v.name for v in variables] if len(variables) > 1 else variables[0].labels or shape}"
    )


def converted(value: np.ndarray, how: Conversion) -> np.ndarray:
    """A value of any shape and of floating point after its conversion, in its own type."""
    return np.asarray(_converted(np.ascontiguousarray(value).reshape(-1), *how).reshape(value.shape))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _converted(
    value: np.ndarray, gain: np.ndarray, offset: np.ndarray, most: np.ndarray, step: np.ndarray
) -> np.ndarray:
    """The same of a flat value (n,); see `Conversion`."""
    out, k = np.empty_like(value), most.size
    whole = np.where(step > 0, step, 1.0)
    row = np.empty(k)
    # Short loops of one kind each over a row become vector instructions.
    for start in range(0, value.size, k):
        row[:] = value[start : start + k]
        if gain.size:
            for j in range(k):
                row[j] = row[j] * gain[start + j] + offset[start + j]
        for j in range(k):
            inside = min(max(row[j], -most[j]), most[j])
            row[j] = np.rint(inside / whole[j]) * step[j] if step[j] > 0 else inside
        out[start : start + k] = row
    return out
