"""Runs that are done: one small JSON file each, named by the digest of all that its numbers follow from."""

import hashlib
import inspect
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from pydantic import BaseModel

import twinlab
from twinlab.episodes import Policy
from twinlab.errors import ExperimentError
from twinlab.files import fingerprint, whole
from twinlab.scene import SceneSpec

Metric = Callable[[xr.Dataset], float]
_HOUSE = Path(twinlab.__file__).parent
_SHOWN_ONLY = ("widgets", "experiment", "cli.py", "plots.py", "doctor.py", "quickstart.py", "tracking.py", "workers.py")


@cache
def code() -> str:
    """Digest of the source that a run's numbers follow from: the package without what only shows or hands out."""
    told = hashlib.sha256(twinlab.__version__.encode())
    for file in sorted(_HOUSE.rglob("*.py")):
        if file.relative_to(_HOUSE).parts[0] not in _SHOWN_ONLY:
            told.update(f"{file.relative_to(_HOUSE).as_posix()}\0".encode() + file.read_bytes())
    return told.hexdigest()[:16]


def policy_key(policy: Policy) -> Any:
    """What a policy is: its class, its settings, and the digest of its model's weights.

    Raises:
        ExperimentError: it is no dataclass, so that its settings cannot be told.
    """
    if not is_dataclass(policy):
        raise ExperimentError(
            f"policy {type(policy).__qualname__} is no dataclass; wanted one, because a run is found again by the "
            "settings of its policy: put @dataclass above the class"
        )
    weights = ""
    if isinstance(model := getattr(policy, "model", None), str):
        from twinlab.model.checkpoint import digest  # brings torch

        weights = digest(model)
    told = {field.name: _plain(getattr(policy, field.name)) for field in fields(policy) if field.name != "model"}
    return [_source(type(policy)), told, weights]


def key_of(line: str, policy: Any, seed: int, ticks: int, own: Mapping[str, Metric]) -> str:
    """The digest that names a run's file.

    Args:
        line: digest of the spec.
        policy: see `policy_key`.
        seed: of the run.
        ticks: its length.
        own: metrics that are no KPIs; their source counts, what else they refer to does not.
    """
    metrics = {name: _source(metric) for name, metric in own.items()}
    what = {"line": line, "policy": policy, "seed": seed, "ticks": ticks, "own": metrics, "code": code()}
    return fingerprint(what, 24)


def kept(folder: Path, key: str) -> dict[str, float] | None:
    """The numbers of a run that was done, or None; a file that is damaged counts as none."""
    try:
        told = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
        return {name: math.nan if value is None else float(value) for name, value in told["metrics"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def keep(folder: Path, key: str, about: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Write a run's numbers; the file is whole or not there, whoever else writes it meanwhile."""
    plain = {name: None if math.isnan(value) else value for name, value in metrics.items()}
    text = json.dumps({"about": about, "metrics": plain}, indent=1)
    try:
        with whole(folder / f"{key}.json", lasting=True) as draft:
            draft.write_text(text, encoding="utf-8")
    except OSError as told:
        raise ExperimentError(f"can't keep a run in {str(folder)!r} ({told}); is it full or read-only?") from told


def _source(what: Any) -> list[str]:
    """Name and source of a function or class; the bytecode and constants of one whose source is not in a file."""
    name = f"{what.__module__}.{what.__qualname__}"
    if what.__module__.startswith("twinlab."):
        return [name]  # its source is in `code`
    try:
        text = inspect.getsource(what)
    except (OSError, TypeError):
        inner = getattr(what, "__code__", None)
        text = f"{inner.co_code.hex()}{inner.co_consts!r}{inner.co_names!r}" if inner else ""
    return [name, hashlib.sha256(text.encode()).hexdigest()[:16]]


def _plain(value: Any) -> Any:
    """A setting as JSON would have it."""
    if isinstance(value, SceneSpec):
        return value.digest
    if isinstance(value, BaseModel):
        return [type(value).__qualname__, value.model_dump(mode="json")]
    if is_dataclass(value) and not isinstance(value, type):
        return [type(value).__qualname__, {field.name: _plain(getattr(value, field.name)) for field in fields(value)}]
    if isinstance(value, np.ndarray):
        return [value.dtype.str, list(value.shape), hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return value.as_posix()
    if callable(value):
        return _source(value)
    raise ExperimentError(f"a policy's setting came as {type(value).__qualname__}; wanted plain values or dataclasses")
