"""Ticks of an episode straight from its chunk files: only what is asked for, without opening Zarr."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs import blosc

from twinlab.errors import StoreError, did_you_mean


@dataclass(frozen=True)
class Layout:
    """How an array lies on disk, from its `zarr.json`.

    Attributes:
        dims, shape, dtype: of the array.
        step: length of a chunk along its first axis [1]; the other axes are not cut.
        packed: by Blosc; otherwise as in memory.
        attrs: of the variable.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    step: int
    packed: bool
    attrs: dict[str, Any] = field(hash=False, default_factory=dict)


def window(data: Path, start: int, stop: int, names: Iterable[str]) -> dict[str, np.ndarray]:
    """The ticks `start` to `stop` of variables: name → (stop - start, …).

    Raises:
        StoreError: there is no such array over `time`, there are no such ticks, or a chunk is damaged.
    """
    place, mark, out = str(data), _mark(data), {}
    for name in names:
        found = _layout(data, place, mark, name)
        if found.dims[:1] != ("time",):
            raise StoreError(f"{name!r} in {place!r} has axes {found.dims}, wanted time first; read the episode")
        if not 0 <= start < stop <= found.shape[0]:
            raise StoreError(f"{name!r} in {place!r} has ticks 0 to {found.shape[0]}, wanted {start} to {stop}")
        out[name] = _cut(f"{place}/{name}/c/", found, start, stop)
    return out


def cut(data: Path, start: int, stop: int, name: str) -> np.ndarray:
    """What lies between two places of an array's first axis."""
    return _cut(f"{data}/{name}/c/", layout(data, name), start, stop)


def layout(data: Path, name: str) -> Layout:
    """How an array of an episode lies on disk; remembered as long as the episode's folder is the same."""
    return _layout(data, str(data), _mark(data), name)


def _cut(chunks: str, found: Layout, start: int, stop: int) -> np.ndarray:
    out = np.empty((stop - start, *found.shape[1:]), found.dtype)
    if not out.size:
        return out
    step, tail = found.step, "/0" * (len(found.shape) - 1)
    take = _unpack if found.packed else _in_place
    for chunk in range(start // step, (stop - 1) // step + 1):
        low, high = max(start, chunk * step), min(stop, (chunk + 1) * step)
        take(f"{chunks}{chunk}{tail}", found, low - chunk * step, out[low - start : high - start])
    return out


def _mark(data: Path) -> int:
    """A number that another episode in the same place would not have."""
    try:
        return os.stat(data).st_ino
    except OSError as told:
        raise StoreError(f"episode {str(data.parent)!r} can't be read ({told}); see verify() and repair()") from told


def _layout(data: Path, place: str, mark: int, name: str) -> Layout:
    try:
        return _known(place, mark, name)
    except FileNotFoundError:
        known = sorted(p.parent.name for p in data.glob("*/zarr.json"))
        raise StoreError(f"no array {name!r} in {place!r}; it has {known}.{did_you_mean(name, known)}") from None
    except (OSError, ValueError, KeyError, TypeError) as told:
        raise StoreError(f"{name!r} in {place!r} can't be read in place ({told}); see verify()") from told


@lru_cache(maxsize=8192)
def _known(data: str, folder: int, name: str) -> Layout:
    with open(f"{data}/{name}/zarr.json", "rb") as opened:
        return _parsed(opened.read())


def _in_place(file: str, layout: Layout, skip: int, out: np.ndarray) -> None:
    """Read into `out` what lies `skip` ticks into the file."""
    try:
        handle = os.open(file, os.O_RDONLY)
        try:
            came = os.preadv(handle, [out.data.cast("B")], skip * out[0].nbytes)
        finally:
            os.close(handle)
    except OSError as told:
        raise StoreError(f"chunk {file!r} can't be read ({told}); see verify() and repair()") from told
    if came != out.nbytes:
        raise StoreError(f"chunk {file!r} is cut short; see verify() and repair()")


def _unpack(file: str, layout: Layout, skip: int, out: np.ndarray) -> None:
    """Unpack the whole file and give `out` what lies `skip` ticks into it."""
    whole = np.empty((layout.step, *layout.shape[1:]), layout.dtype)
    try:
        with open(file, "rb") as opened:
            packed = opened.read()
        sizes = (int.from_bytes(packed[4:8], "little"), int.from_bytes(packed[12:16], "little"))  # a chunk's header
        if sizes != (whole.nbytes, len(packed)):
            raise StoreError(f"its header tells {sizes} bytes, wanted {(whole.nbytes, len(packed))}")
        blosc.decompress(packed, whole)
    except (OSError, ValueError, RuntimeError) as told:
        raise StoreError(f"chunk {file!r} can't be read ({told}); see verify() and repair()") from told
    out[:] = whole[skip : skip + len(out)]


@lru_cache(maxsize=1024)
def _parsed(text: bytes) -> Layout:
    """What a `zarr.json` says; that of one variable is the same in all episodes of a line and length."""
    told = json.loads(text)
    shape, grid = tuple(told["shape"]), tuple(told["chunk_grid"]["configuration"]["chunk_shape"])
    codecs = [codec["name"] for codec in told["codecs"]]
    whole = all(chunk >= size for chunk, size in zip(grid[1:], shape[1:], strict=True))
    if codecs not in (["bytes"], ["bytes", "blosc"]) or not whole or not shape:
        raise StoreError(f"codecs {codecs} with chunks of {grid} were not written by a store")
    dims = tuple(map(str, told["dimension_names"]))
    attrs = {key: value for key, value in told["attributes"].items() if key != "_FillValue"}  # xarray's own
    return Layout(dims, shape, np.dtype(told["data_type"]), grid[0], codecs[-1] == "blosc", attrs)
