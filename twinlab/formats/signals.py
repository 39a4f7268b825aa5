"""Signals of a plant, logged as a table: CSV or parquet, one row for each time, one column for each tag."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xarray as xr

from twinlab.errors import FormatError
from twinlab.formats import wanted
from twinlab.formats._cells import Dialect, Table, read_csv, read_parquet
from twinlab.formats._files import each, write_each
from twinlab.formats._foreign import about, held, limits
from twinlab.formats._units import si
from twinlab.formats._whole import check, described, labels_of, over_time, parsed, restored
from twinlab.units import each_unit

_THROUGH = {"b": np.int8}  # by what texts become such numbers
_CLOSE = 1e-6  # to which dates in 64 bits can be told apart [s]
_MOST = 50_000_000  # ticks; more come of a wrong clock


@dataclass(frozen=True)
class Signals:
    """Tables of signals.

    A unit stands in the header, `pressure [bar]`, or in `units`; values become SI, `units="1"` says that there is none,
    "bool" that a column is yes or no. Between rows a value is held, as long as its cell is missing too.

    Attributes:
        units: column → unit; goes before what the header says.
        classes: column of words → its words, in the order of their numbers.
        columns: what is taken; () takes all.
        action: columns that are set-points; together they become `action`.
        time: the column of times.
        clock: what it holds: seconds, milliseconds (since whenever), or dates of ISO 8601; dates without zone are UTC.
        tick: of the episodes [s].
        gap: a value older than this is not valid [s].
        scene, instruction: attributes of the episodes; "" takes the file's name for the scene.
        delimiter, decimal, encoding: of CSV files.
        suffix: of the files that are written into a folder.
        widest: variables with more numbers a tick than this are not written, but told as `left_out` [1].
    """

    units: Mapping[str, str] = field(default_factory=dict, hash=False)
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    columns: tuple[str, ...] = ()
    action: tuple[str, ...] = ()
    time: str = "time"
    clock: Literal["s", "ms", "iso"] = "s"
    tick: float = 0.05
    gap: float = 1.0
    scene: str = ""
    instruction: str = ""
    delimiter: str = ","
    decimal: str = "."
    encoding: str = "utf-8-sig"
    suffix: Literal[".csv", ".parquet"] = ".csv"
    widest: int = 64

    def __post_init__(self) -> None:
        for name in ("tick", "gap"):
            came = getattr(self, name)
            wanted(name, came, isinstance(came, int | float) and came > 0, "seconds, more than 0")
        wanted("clock", self.clock, self.clock in ("s", "ms", "iso"), "'s', 'ms' or 'iso'")
        wanted("suffix", self.suffix, self.suffix in (".csv", ".parquet"), "'.csv' or '.parquet'")
        for name in ("columns", "action"):
            wanted(name, getattr(self, name), not isinstance(getattr(self, name), str), "names of columns, as a tuple")

    def write(self, episodes: Iterable[xr.Dataset], path: str | Path) -> Path:
        """Write one table for each episode: into a path that ends in ".csv" or ".parquet", or into a folder.

        A CSV file gets a file `….csv.json` beside it, which holds what the table does not; parquet holds that itself.

        Raises:
            FormatError: something is there, no episode came, or several for one file.
        """
        other = ".parquet" if self.suffix == ".csv" else ".csv"
        return write_each(episodes, path, (self.suffix, other), self._write)

    def read(self, path: str | Path) -> Iterator[xr.Dataset]:
        """An episode for each table at a path, whoever wrote it.

        Each column becomes a variable with `<column>_age` [s] and `<column>_valid`, false where its cell is missing in
        the newest row or that is older than `gap`. Ticks begin where every column has had a value.

        Raises:
            FormatError: no such file is there; it is cut short or foreign; a column, unit, time or cell is wrong.
        """
        files = each(path, (".csv", ".parquet"))
        return (self._read(file, number) for number, file in enumerate(files))

    def _write(self, episode: xr.Dataset, path: Path) -> None:
        check(episode, 0)
        columns: dict[str, np.ndarray] = {"time [s]": episode["time"].values}
        kept: dict[str, list[str]] = {}
        ticked = over_time(episode)
        for name in ticked:
            v = episode[name]
            flat = v.values.reshape(episode.sizes["time"], -1)
            if 0 < flat.shape[1] <= self.widest:
                heads = _heads(name, v, flat.shape[1])
                columns |= dict(zip(heads, flat.T, strict=True))
                kept[name] = heads
        told = described(episode, ticked, columns=kept)
        if path.suffix == ".parquet":
            pq.write_table(pa.table(columns).replace_schema_metadata({"twinlab": told}), path, write_page_checksum=True)
            return
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            texts = [_texts(values) for values in columns.values()]
            writer.writerows(zip(*texts, strict=True))
        _beside(path).write_text(told, encoding="utf-8")

    def _read(self, path: Path, number: int) -> xr.Dataset:
        told = None
        if path.suffix == ".parquet":
            table, told = read_parquet(path)
        elif _beside(path).is_file():
            table = read_csv(path, Dialect(",", ".", "utf-8"))
            told = _beside(path).read_text(encoding="utf-8", errors="replace")
        else:
            table = read_csv(path, Dialect(self.delimiter, self.decimal, self.encoding))
        return self._foreign(table, number) if told is None else _own(table, told)

    def _foreign(self, table: Table, number: int) -> xr.Dataset:
        where = repr(str(table.path))
        for name in (self.time, *self.columns, *self.action, *self.units, *self.classes):
            table.column(name)
        wanted = [n for n in self.columns or table.cells if n != self.time] + [
            n for n in self.action if self.columns and n not in self.columns
        ]
        units = {n: self.units.get(n, table.units.get(n)) for n in wanted if n not in self.classes}
        if bare := [n for n, unit in units.items() if unit is None]:
            raise FormatError(
                f"{where}: no unit is told for {bare}; give units={{{bare[0]!r}: 'bar', …}} or name the columns like "
                f"'{bare[0]} [bar]'; '1' where there is none, 'bool' for yes and no"
            )
        if not wanted:
            raise FormatError(f"{where} has no column but {self.time!r}; wanted at least one signal")
        times, began = table.times(self.time, self.clock, self.decimal)
        signals = {name: self._signal(table, name, units.get(name)) for name in wanted}
        starts = {name: np.flatnonzero(~np.isnan(values)) for name, (values, _) in signals.items()}
        if empty := [name for name, there in starts.items() if not there.size]:
            raise FormatError(f"{where}: columns {empty} hold nothing; leave them out with columns=…")
        first = max(float(times[there[0]]) for there in starts.values())
        count = int((times[-1] - first + _CLOSE) / self.tick) + 1
        if times[-1] < self.tick or count > _MOST:
            raise FormatError(
                f"{where} spans {times[-1]:.6g} s by the clock {self.clock!r}, at a tick of {self.tick} s; is the "
                "clock another one ('s', 'ms', 'iso')?"
            )
        ticks = np.arange(count) * self.tick
        out: dict[str, Any] = {}
        for name, (values, attrs) in signals.items():
            out |= self._held(name, values, attrs, times, ticks + first)
        attrs = about(self.scene or table.path.stem, number, self.tick, self.instruction)
        attrs |= {"began": began} if began else {}
        return self._with_action(xr.Dataset(out, {"time": ("time", ticks, {"units": "s"})}, attrs))

    def _signal(self, table: Table, name: str, unit: str | None) -> tuple[np.ndarray, dict[str, Any]]:
        """Values in SI, NaN where they are missing, and what they are."""
        attrs: dict[str, Any] = {"units": "1", "kind": "vector", "role": "reading"}
        if name in self.classes:
            words = list(self.classes[name])
            numbers = {word: float(i) for i, word in enumerate(words)}
            return table.classes(name, numbers), attrs | {"kind": "label", "labels": words}
        if unit == "bool":
            return table.truths(name), attrs | {"kind": "pulse"}
        told, scale, offset = si(str(unit), f"{str(table.path)!r}, column {name!r}")
        return table.numbers(name, self.decimal) * scale + offset, attrs | {"units": told}

    def _held(
        self, name: str, values: np.ndarray, attrs: dict[str, Any], times: np.ndarray, ticks: np.ndarray
    ) -> dict[str, Any]:
        """A column on ticks: its newest value, how old that is, and whether it is valid."""
        newest = np.searchsorted(times, ticks + _CLOSE, side="right") - 1
        there = np.maximum.accumulate(np.where(np.isnan(values), -1, np.arange(len(values))))[newest]
        dtype = {"pulse": bool, "label": np.int64}.get(attrs["kind"], np.float32)
        age = ticks - times[there]
        valid = (there == newest) & (age <= self.gap)
        return {name: ("time", values[there].astype(dtype), attrs), **held(name, age, valid)}

    def _with_action(self, episode: xr.Dataset) -> xr.Dataset:
        if not self.action:
            return episode
        values = np.stack([episode[name].values.astype(np.float32) for name in self.action], axis=1)
        units = " ".join(episode[name].attrs["units"].replace(" ", "*") for name in self.action)
        attrs = {"units": units, "kind": "vector", "role": "action", **limits(values)}
        gone = [f"{name}{end}" for name in self.action for end in ("", "_age", "_valid")]
        kept = episode.drop_vars(gone).assign_coords(actuator=list(self.action))
        return kept.assign(action=(("time", "actuator"), values, attrs))


def _own(table: Table, text: str) -> xr.Dataset:
    """What twinlab wrote."""
    where = repr(str(table.path))
    told = parsed(text, where)
    arrays = {}
    for name, heads in told["columns"].items():
        plain = [head.rpartition(" [")[0] for head in heads]
        dtype = np.dtype(told["variables"][name]["dtype"])
        try:
            columns = [table.column(head) for head in plain]
            arrays[name] = np.stack([c.astype(_THROUGH.get(dtype.kind, dtype)) for c in columns], axis=1).astype(dtype)
        except (ValueError, FormatError) as wrong:
            raise FormatError(
                f"{where} does not hold what {_beside(table.path).name!r} tells of {name!r} ({wrong}); restore the "
                "table, or remove that file to read it as any other"
            ) from wrong
    return restored(told, arrays, f"{where} and {_beside(table.path).name!r}")


def _heads(name: str, v: xr.DataArray, size: int) -> list[str]:
    """Names of the columns of a variable, with units."""
    units = ["bool"] * size if v.dtype == bool else each_unit(str(v.attrs["units"]), size)
    if v.ndim == 1:
        return [f"{name} [{units[0]}]"]
    labels = labels_of(v)
    if v.ndim > 2 or len(labels) != size:
        labels = list(range(size))
    return [f"{name}.{label} [{unit}]" for label, unit in zip(labels, units, strict=True)]


def _texts(values: np.ndarray) -> list[str]:
    """Numbers so that they come back to the bit; yes and no as 1 and 0."""
    if values.dtype == bool:
        return [str(x) for x in values.astype(int).tolist()]
    return [repr(x) if isinstance(x, float) else str(x) for x in values.tolist()]


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")
