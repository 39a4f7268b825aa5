"""What is changed: factors of an experiment by name, their levels, and the lines and policies that follow."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from twinlab import rooms
from twinlab.episodes import Policy, policy_name
from twinlab.errors import ExperimentError, TwinlabError, did_you_mean
from twinlab.scene import SceneSpec
from twinlab.score import acting

Factors = Mapping[str, Sequence[Any] | Mapping[str, Any]]


@dataclass(frozen=True)
class Factor:
    """One thing that is varied.

    Attributes:
        name: as it was given.
        path: the scene's key, "" for `policy` and `vary`.
        levels: what is put in.
        labels: what stands in the table for each: numbers in SI units where they are numbers.
        units: of the labels.
    """

    name: str
    path: str
    levels: tuple[Any, ...]
    labels: tuple[Any, ...]
    units: str


@dataclass(frozen=True)
class Setting:
    """One combination of levels.

    Attributes:
        at: index of each factor's level.
        spec: the line.
        policy: who acts.
    """

    at: tuple[int, ...]
    spec: SceneSpec
    policy: Policy


def factors_of(spec: SceneSpec, factors: Factors) -> tuple[Factor, ...]:
    """The factors of an experiment on a line, checked.

    Raises:
        ExperimentError: a name is unknown or stands for several keys, or levels are missing or double.
        SceneError: a level does not fit its key.
    """
    out = []
    for name, given in factors.items():
        if isinstance(given, str) or not isinstance(given, Mapping | Sequence | np.ndarray) or not len(given):
            raise ExperimentError(f"factor {name!r}: levels came as {given!r}; wanted a list of at least one")
        if name in ("seed", "statistic"):
            raise ExperimentError(f"factor {name!r}: this name is taken; give seeds by `seeds`")
        path = "" if name in ("policy", "vary") else resolved(spec, name)
        named = isinstance(given, Mapping)
        levels = tuple(given.values() if isinstance(given, Mapping) else given)
        levels = tuple(one.item() if isinstance(one, np.generic) else one for one in levels)
        labels = tuple(given) if named else tuple(_label(spec, name, path, one) for one in levels)
        if len(set(labels)) < len(labels):
            raise ExperimentError(f"factor {name!r}: levels came as {list(labels)}, some twice; name them by a mapping")
        if len({isinstance(label, str) for label in labels}) > 1:
            labels = tuple(map(str, labels))
        units = "" if named or isinstance(labels[0], str) else _units(spec, path)
        out.append(Factor(name, path, levels, labels, units))
    paths = [factor.path for factor in out if factor.path]
    if len(set(paths)) < len(paths):
        raise ExperimentError(f"factors {[f.name for f in out]}: two of them are the same key of {spec.name}")
    return tuple(out)


def factor_of(text: str) -> tuple[str, list[Any]]:
    """Name and levels of "belt.speed=80 mm/s,0.1": numbers, truths and lists as TOML has them, all else as text.

    A policy with a model of its own is written "cloned@folder".

    Raises:
        ExperimentError: name or levels are missing.
    """
    name, given, told = (part.strip() for part in text.partition("="))
    if not (name and given and told):
        raise ExperimentError(f"factor {text!r}; wanted a name and levels, such as belt.speed=0.1,0.15")
    try:
        levels = tomllib.loads(f"levels = [{told}]")["levels"]
    except tomllib.TOMLDecodeError:
        levels = []
        for part in map(str.strip, told.split(",")):
            try:
                levels.append(tomllib.loads(f"level = {part}")["level"])
            except tomllib.TOMLDecodeError:
                levels.append(part)
    if name == "policy":
        levels = [(one, model) if model else one for one, _, model in (str(level).partition("@") for level in levels)]
    return name, levels


def settings_of(
    spec: SceneSpec, factors: Sequence[Factor], policy: str | Policy | tuple[str, str], model: str
) -> Iterator[Setting]:
    """Every combination of levels. What is named is built for the changed line, a policy object acts as it was made."""
    for at in product(*(range(len(factor.levels)) for factor in factors)):
        chosen = {factor.name: factor.levels[i] for factor, i in zip(factors, at, strict=True)}
        changed = spec.vary(chosen["vary"]) if "vary" in chosen else spec
        changes = {factor.path: chosen[factor.name] for factor in factors if factor.path}
        changed = changed.change(changes) if changes else changed
        yield Setting(at, changed, _policy(chosen.get("policy", policy), changed, model))


def resolved(spec: SceneSpec, name: str) -> str:
    """The whole path of a key: "belt.speed" → "bodies.belt.speed".

    The last parts of a path are enough, and of each part some of its words ("overhead.noise" for
    "sensors.overhead_rgb.read_noise"), if no other key has them too; what has the very parts goes first.

    Raises:
        ExperimentError: no key or several.
    """
    paths = list(_paths(spec.tables()))
    asked = name.split(".")
    if asked[0] == "faults" and len(asked) == 2:
        return name  # a whole fault, which need not be there yet
    ends = [p for p in paths if p.split(".")[-len(asked) :] == asked]
    found = [p for p in ends if p == name] or ends or [p for p in paths if _like(p.split("."), asked)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ExperimentError(f"factor {name!r} of {spec.name} may be any of {sorted(found)}; write out which")
    short = {p.partition(".")[2] if p.count(".") > 1 else p: p for p in paths}
    known = [*short, "policy", "vary"]
    raise ExperimentError(
        f"factor {name!r}: {spec.name} has no such key; wanted 'policy', 'vary' or a key such as "
        f"{next((p for p in short if p.endswith('.speed')), 'physics.substeps')!r}.{did_you_mean(name, known)}"
    )


def _paths(tables: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for key, value in tables.items():
        if isinstance(value, Mapping):
            yield from _paths(value, f"{before}{key}.")
        elif key not in ("kind", "name", "title", "description"):
            yield f"{before}{key}"


def _like(path: list[str], asked: list[str]) -> bool:
    own = path[-len(asked) :]
    return len(own) == len(asked) and all(
        one == want or one.startswith(f"{want}_") or one.endswith(f"_{want}")
        for one, want in zip(own, asked, strict=True)
    )


def _label(spec: SceneSpec, name: str, path: str, level: Any) -> Any:
    """What stands in the table for a level: the value as the changed line holds it, or a text for what is no number."""
    if name == "vary":
        if isinstance(level, bool) or not isinstance(level, int | float) or not level >= 0:
            raise ExperimentError(f"factor 'vary': a level came as {level!r}; wanted a share from 0 on")
        return float(level)
    if name == "policy":
        if isinstance(level, tuple):
            return f"{level[0]} ({Path(str(level[1])).name})"
        return level if isinstance(level, str) else policy_name(level)
    if isinstance(level, BaseModel):
        return type(level).__name__.lower()
    table: Any = spec.change({path: level}).tables()
    for part in path.split("."):
        table = table[part]
    return table if isinstance(table, str | int | float | bool) else re.sub(r"[\[\]']", "", str(table))


def _units(spec: SceneSpec, path: str) -> str:
    """The unit in the description of a scene's key, "1" for none."""
    part: Any = spec
    *way, key = path.split(".") if path else [""]
    for step in way:
        part = part[step] if isinstance(part, dict) else getattr(part, step)
    field = type(part).model_fields.get(key) if isinstance(part, BaseModel) else None
    found = re.search(r"\[([^\[\]]+)\]$", (field.description or "") if field else "")
    return found[1] if found else "1"


def _policy(level: Any, spec: SceneSpec, model: str) -> Policy:
    name, folder = level if isinstance(level, tuple) and len(level) == 2 else (level, model)
    if isinstance(name, str):
        try:
            return acting(name, spec, folder)
        except TwinlabError as told:
            raise ExperimentError(f"factor 'policy': {told}") from told
    if not callable(name) or not callable(getattr(name, "reset", None)):
        known = list(rooms.names("policies"))
        raise ExperimentError(f"factor 'policy': came {name!r}; wanted one of {known}, (name, model) or a policy")
    acts: Policy = name
    return acts
