"""What a store holds, as a table, and all of it as one lazy dataset. Both are made from the episodes alone."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from twinlab.errors import StoreError, did_you_mean
from twinlab.store import _files, _windows

_TOLD = ("scene", "scene_digest", "seed", "policy", "instruction")  # attributes that become coordinates of each tick
_MINUTE = 60_000_000_000  # [ns]
_BLOCK = 1 << 24  # of a lazy array, about [byte]


def manifest(rows: Sequence[Mapping[str, Any]]) -> xr.Dataset:
    """A table over `episode`: a variable for each attribute that any has; "" or NaN where an episode has none."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    columns = {key: ("episode", _column([row.get(key) for row in rows])) for key in keys}
    return xr.Dataset(columns, {"episode": np.arange(len(rows))})


def joined(folders: Mapping[int, Path], names: Iterable[str] | None) -> xr.Dataset:
    """Episodes one after the other; see `EpisodeStore.open`.

    Args:
        folders: index → folder of the episodes, at least one.
        names: variables to take; None takes all.

    Raises:
        StoreError: they have not the same variables with the same axes.
    """
    parts = [_Part(index, folder, None if names is None else {"time", *names}) for index, folder in folders.items()]
    first = parts[0]
    for part in parts[1:]:
        first.fits(part)
    out: dict[str, Any] = {}
    for name, layout in first.arrays.items():
        if layout.dims[0] == "time":
            out[name] = (layout.dims, _lazy(parts, name), layout.attrs)
        else:
            taken = parts if layout.dims[0] == "event" else parts[:1]
            out[name] = (layout.dims, np.concatenate([p.whole(name) for p in taken]), layout.attrs)
    for name, text in first.texts.items():
        taken = parts if text["dims"][0] in ("time", "event") else parts[:1]
        values = [value for part in taken for value in part.texts[name]["values"]]
        out[name] = (tuple(text["dims"]), np.array(values, dtype=str), text["attrs"])
    clocks = [part.whole("time") for part in parts]
    more: dict[str, Any] = {
        "time": ("time", _laid(clocks)),
        "clock": ("time", np.concatenate(clocks), {"units": "s", "long_name": "time in the episode"}),
        **_coordinates(parts, "time", "", [len(clock) for clock in clocks]),
    }
    if any("event" in value[0] for value in out.values()):
        more |= _coordinates(parts, "event", "event_", [part.events() for part in parts])
    coords = [name for name, text in first.texts.items() if text["coordinate"]]
    return xr.Dataset(out).set_coords(coords).assign_coords(more)


class _Part:
    """An episode as a part of a store: its attributes, texts and the layout of its arrays."""

    def __init__(self, index: int, folder: Path, names: set[str] | None) -> None:
        self.index, self.folder, self.data = index, folder, folder / _files.DATA
        self.attrs, texts = _files.told(folder)
        there = {p.parent.name for p in self.data.glob("*/zarr.json")}
        for name in sorted((names or set()) - there - set(texts)):
            known = sorted(there | set(texts))
            raise StoreError(f"episode {index} has no variable {name!r}; it has {known}.{did_you_mean(name, known)}")
        arrays = {name: _windows.layout(self.data, name) for name in sorted(there)}
        self.arrays = {n: a for n, a in arrays.items() if names is None or n in names}
        dims = {dim for array in self.arrays.values() for dim in array.dims}
        asked = {
            n for n, t in texts.items() if names is None or n in names or (t["coordinate"] and {*t["dims"]} & dims)
        }
        self.texts = {n: t for n, t in texts.items() if n in asked}

    def whole(self, name: str) -> np.ndarray:
        return _windows.cut(self.data, 0, _windows.layout(self.data, name).shape[0], name)

    def events(self) -> int:
        """How many there are."""
        sizes = [a.shape[0] for a in self.arrays.values() if a.dims[0] == "event"]
        return next(iter(sizes + [len(t["values"]) for t in self.texts.values() if t["dims"] == ["event"]]))

    def shapes(self) -> dict[str, tuple[Any, ...]]:
        """Of each variable what must be the same in all: axes, sizes, type; a text's values if it has no ticks."""
        out = {n: (a.dims, a.shape[a.dims[0] in ("time", "event") :], a.dtype) for n, a in self.arrays.items()}
        along = {n: t["dims"][0] in ("time", "event") for n, t in self.texts.items()}
        return out | {n: (t["dims"], "text", along[n] or t["values"]) for n, t in self.texts.items()}

    def fits(self, other: "_Part") -> None:
        """Raise unless the other can be joined to this one."""
        mine, its = self.shapes(), other.shapes()
        for name in sorted(mine.keys() | its.keys()):
            if mine.get(name) != its.get(name):
                raise StoreError(
                    f"episodes {self.index} (scene {self.attrs.get('scene')!r}) and {other.index} (scene "
                    f"{other.attrs.get('scene')!r}) can't be opened as one: {name!r} is "
                    f"{mine.get(name, 'missing')} and {its.get(name, 'missing')}; "
                    "open the episodes of one line, store.open(store.select(scene=...)), "
                    "or only what they share, store.open(names=[...])"
                )


def _lazy(parts: Sequence[_Part], name: str) -> da.Array:
    """A variable of all parts, a block for each piece of an episode."""
    layout = parts[0].arrays[name]
    rest = layout.shape[1:]
    tick = max(1, int(np.prod(rest, dtype=int)) * layout.dtype.itemsize)
    blocks, lengths = [], []
    for part in parts:
        step, ticks = part.arrays[name].step, part.arrays[name].shape[0]
        piece = max(step, _BLOCK // tick // step * step)
        for start in range(0, ticks, piece):
            blocks.append((str(part.data), start, min(start + piece, ticks)))
            lengths.append(blocks[-1][2] - start)
    return da.map_blocks(
        _block, blocks=blocks, name_=name, dtype=layout.dtype, chunks=(tuple(lengths), *((n,) for n in rest)),
        meta=np.empty((0,) * (1 + len(rest)), layout.dtype),
    )  # fmt: skip


def _block(blocks: list[tuple[str, int, int]], name_: str, block_id: tuple[int, ...]) -> np.ndarray:
    data, start, stop = blocks[block_id[0]]
    return _windows.cut(Path(data), start, stop, name_)


def _laid(clocks: Sequence[np.ndarray]) -> np.ndarray:
    """One time for all ticks: each episode begins at the whole minute after the one before."""
    begin, out = 0, []
    for clock in clocks:
        nanoseconds = np.round((clock - clock[:1]) * 1e9).astype(np.int64)
        out.append(begin + nanoseconds)
        begin += (int(nanoseconds[-1]) // _MINUTE + 1) * _MINUTE if len(clock) else 0
    return np.concatenate(out).astype("timedelta64[ns]")


def _coordinates(parts: Sequence[_Part], dim: str, prefix: str, counts: list[int]) -> dict[str, Any]:
    """The index of the episode and what its attributes say, at each place of a dim."""
    out: dict[str, Any] = {f"{prefix}episode": (dim, np.repeat([p.index for p in parts], counts))}
    for key in _TOLD:
        values = [part.attrs.get(key) for part in parts]
        if any(value is not None for value in values):
            column = _column(values)
            column = column.astype(object) if column.dtype.kind == "U" else column  # one text, many times
            out[prefix + key] = (dim, np.repeat(column, counts))
    return out


def _column(values: list[Any]) -> np.ndarray:
    if all(v is None or isinstance(v, int | float) for v in values):
        return np.array([np.nan if v is None else v for v in values])
    return np.array(["" if v is None else str(v) for v in values])
