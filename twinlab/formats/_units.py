"""Units as plants write them into SI."""

import re
from tokenize import TokenError

import numpy as np

from twinlab.errors import FormatError
from twinlab.units import loaded

_SI = (
    "1", "m", "kg", "s", "A", "K", "rad", "m s-1", "m s-2", "rad s-1", "rad s-2", "N", "J", "N m", "Pa", "W", "V",
    "ohm", "Hz", "m2", "m3", "m3 s-1", "kg s-1", "kg m-3", "N m-1", "T", "F", "C", "lx", "m s-3",
)  # fmt: skip
_COUNTS = ("", "1", "-", "none")
_PLAIN = ("1", "Hz")  # what pint takes angles and their rates for, which are told by their names instead
_ANGLES = re.compile(r"\b(rad|deg|degree|degrees|rpm|turn|turns|rev|revolutions?)\b|°(?!C)")
_ANGULAR = ("rad", "rad s-1", "rad s-2")
_ENERGIES = re.compile(r"J|W|cal|eV")


def si(unit: str, where: str) -> tuple[str, float, float]:
    """A unit's SI unit, and what to multiply by and to add.

    Args:
        unit: such as "bar", "degC", "mm/s", "1/min", "rad s-1", "%"; "1" or "" where there is none.
        where: for the message.

    Raises:
        FormatError: no such unit is known.

    >>> si("degC", "log.csv")
    ('K', 1.0, 273.15)
    """
    if unit.strip() in _COUNTS:
        return "1", 1.0, 0.0
    pint, registry = loaded()
    try:
        ends = registry.Quantity(np.array([0.0, 1.0]), _spelled(unit))
        name = next((n for n in _candidates(unit) if ends.is_compatible_with(_spelled(n))), "")
        found = ends.to(_spelled(name)) if name else ends.to_base_units()
        name = name or f"{found.units:~C}".replace("**", "").replace("*", " ")
    except (pint.PintError, TokenError, AssertionError, ValueError, TypeError, AttributeError) as told:
        raise FormatError(
            f"{where}: unit {unit!r} is not known ({told}); write it as in 'bar', 'mm/s', 'degC', '%', or '1' if it "
            "has none"
        ) from told
    low, high = found.magnitude.tolist()
    return name, float(f"{high - low:.15g}"), float(f"{low:.15g}")


def _candidates(unit: str) -> tuple[str, ...]:
    """SI units to try, those of angles only where the unit names an angle."""
    angle, energy = bool(_ANGLES.search(unit)), bool(_ENERGIES.search(unit))
    out = [name for name in _SI if name.startswith("rad") == angle or name not in (*_PLAIN, *_ANGULAR)]
    return tuple(name for name in out if name != ("N m" if energy else "J"))


def _spelled(unit: str) -> str:
    """As pint wants it: "m s-1" → "m * s**-1"; "Nm" is a torque, not the fineness of a yarn."""
    unit = "dimensionless" if unit == "1" else re.sub(r"\b([kmM]?)Nm\b", r"\1N * m", unit.strip())
    unit = re.sub(r"\bdeg(?:rees?)? *([CF])\b", r"deg\1", re.sub(r"\brev\b", "revolution", unit))
    unit = unit.replace("%", "percent").replace("°C", "degC").replace("°", "deg")
    powers = re.sub(r"([A-Za-z])(-?\d+)(?![\d.])", r"\1**\2", unit)
    return re.sub(r"(?<=[A-Za-z0-9]) +(?=[A-Za-z])", " * ", powers)
