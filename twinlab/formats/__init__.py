"""Formats: episodes to and from what others use. One file per outside format, one class with two verbs.

`write` takes any iterable of episodes, an `EpisodeStore` too, and leaves either a whole thing at the path or nothing.
`read` looks at the file's head at once, so that a wrong file is told at the call, and gives the episodes one by one.
What twinlab wrote comes back with everything: kinds, roles, units, labels, events, attributes, all arrays to the bit,
but for pictures where the format packs them with loss. What others wrote comes back with what can be known of it; what
was guessed stands in the episode's attributes `guessed` and `left_out`.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol

import xarray as xr

from twinlab import rooms
from twinlab.errors import FormatError, did_you_mean


class Format(Protocol):
    """An outside format: a frozen dataclass with a default for every field."""

    def write(self, episodes: Iterable[xr.Dataset], path: str | Path) -> Path:
        """Write episodes and give the path; nothing may be there before.

        Raises:
            FormatError: something is there, there is no episode, or one cannot be held by the format.
        """
        ...

    def read(self, path: str | Path) -> Iterator[xr.Dataset]:
        """The episodes, one by one.

        Raises:
            FormatError: nothing is there, or it is cut short, damaged, of another version or of another format.
        """
        ...


def made(name: str, told: Iterable[str] = ()) -> Format:
    """A format with fields that are told as text: `made("signals", ["tick=0.1", 'units={"pressure": "bar"}'])`.

    Args:
        name: of the format.
        told: `field=value`; a value is JSON, or else a text as it stands.

    Raises:
        UnknownVariantError: there is no such format.
        FormatError: it has no such field, or the value does not fit.
    """
    known = [f.name for f in fields(rooms.load("formats", name))]
    values: dict[str, Any] = {}
    for one in told:
        field, equals, text = one.partition("=")
        if field not in known or not equals:
            raise FormatError(f"{one!r} came; wanted field=value, with one of {known}.{did_you_mean(field, known)}")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        values[field] = tuple(value) if isinstance(value, list) else value
    one_made: Format = rooms.build("formats", name, **values)
    return one_made


def wanted(field: str, came: Any, fits: bool, what: str) -> None:
    """Raise unless a field of a format fits.

    Raises:
        FormatError: it does not.
    """
    if not fits:
        raise FormatError(f"{field} came as {came!r}; wanted {what}")
