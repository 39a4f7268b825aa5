"""Tags: the states and settings of a line's devices by name, as a controller (PLC) would see them."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError

from twinlab.bodies import Body, Value
from twinlab.errors import CellError
from twinlab.world import World


class Tags(Mapping[str, Value]):
    """All tags of a line, "door.open" → value; each is asked of its device when it is looked up.

    Args:
        world: the physics.
        bodies: the line's bodies as they are now; followed, not copied.
        states: their states of the moment; followed, not copied.
    """

    def __init__(self, world: World, bodies: Mapping[str, Body], states: Mapping[str, Any]) -> None:
        self._world, self._bodies, self._states = world, bodies, states

    def __getitem__(self, tag: str) -> Value:
        name, _, key = tag.partition(".")
        if name in self._bodies:
            body = self._bodies[name]
            if key in settings_of(body):
                return getattr(body, key)
            told = body.tags(name, self._world, self._states[name])
            if key in told:
                return told[key]
        raise KeyError(tag)

    def __iter__(self) -> Iterator[str]:
        return iter(self.now())

    def now(self) -> dict[str, Value]:
        """All of them as they are now; each device is asked once."""
        found: dict[str, Value] = {}
        for name, body in self._bodies.items():
            for key in settings_of(body):
                found[f"{name}.{key}"] = getattr(body, key)
            for key, value in body.tags(name, self._world, self._states[name]).items():
                found[f"{name}.{key}"] = value
        return found

    def __len__(self) -> int:
        return len(self.now())


def settings_of(body: Body) -> tuple[str, ...]:
    """The fields of a body that are tags as well."""
    return _settings(type(body))


@cache
def _settings(kind: type[Body]) -> tuple[str, ...]:
    return tuple(
        key
        for key, field in kind.model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("tag")
    )


def changed(body: Body, tag: str, value: Value) -> Body:
    """The body with another value of a field that is a tag.

    Raises:
        CellError: the value does not fit the field.
    """
    key = tag.partition(".")[2]
    try:
        return type(body).model_validate({**body.model_dump(), key: value})
    except ValidationError as told:
        meant = type(body).model_fields[key].description
        raise CellError(f"tag {tag!r}: came {value!r}; wanted: {told.errors()[0]['msg'].lower()} ({meant})") from told
