"""Units: in scene files a bare number is SI and a string such as "100 mm/s" is converted; texts that name several."""

import re
from functools import cache
from tokenize import TokenError
from typing import Any

from twinlab.errors import SceneError

_QUANTITY = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*[^\s\d].*")


def to_si(value: Any, description: str, where: str) -> Any:
    """The value in the unit that its field's description names in brackets at its end.

    Args:
        value: anything; only strings that begin with a number, and such strings in lists, are converted.
        description: "speed of the surface [m/s]"; without brackets nothing is converted.
        where: file, table and key, for the message.

    Returns:
        The number in the field's unit, or the value as it came.

    Raises:
        SceneError: the unit is unknown or measures something else.

    >>> to_si("100 mm/s", "speed [m/s]", "x.toml: [bodies.belt] speed")
    0.1
    """
    if isinstance(value, list):
        return [to_si(v, description, where) for v in value]
    unit = re.search(r"\[([^\[\]]+)\]$", description)
    if unit is None or not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        return value
    pint, registry = loaded()
    try:
        return float(round(registry.Quantity(value).to(unit[1]).magnitude, 12))
    except pint.DimensionalityError as told:
        raise SceneError(f"{where}: came {value!r}; wanted a value in {unit[1]}, and {told}") from told
    except (pint.PintError, TokenError, AssertionError, ValueError, TypeError) as told:  # pint's parser is not strict
        raise SceneError(f"{where}: came {value!r}; wanted a number or a value in {unit[1]} ({told})") from told


def each_unit(units: str, size: int) -> list[str]:
    """A unit for each of several numbers, from a text that names them one by one or one for all.

    >>> each_unit("m m s-1", 2), each_unit("N m", 7)[:2]
    (['m', 'm s-1'], ['N m', 'N m'])
    """
    found: list[str] = []
    for word in units.split():
        if found and re.search(r"-\d$", word):
            found[-1] += f" {word}"
        else:
            found.append(word)
    if len(found) != size:
        found = re.sub(r"\bN, m\b", "N m", ", ".join(found)).split(", ")
    return found if len(found) == size > 1 else [units] * size


@cache
def loaded() -> tuple[Any, Any]:
    """Pint and its registry, loaded when first asked for."""
    import pint  # costs a third of a second, and most scenes are all SI

    return pint, pint.UnitRegistry()
