"""A table of signals as it stands in a file: columns of cells, each of which knows its row."""

import csv
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from twinlab.errors import FormatError, did_you_mean
from twinlab.formats._columns import load

_MISSING = frozenset({"", "nan", "null", "none", "na", "n/a", "-"})
_TRUTHS = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0, "0.0": 0.0, "1.0": 1.0, "off": 0.0, "on": 1.0}
_HEADED = re.compile(r"(.*?)\s*\[([^\[\]]*)\]")


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written."""

    delimiter: str
    decimal: str
    encoding: str


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of a file.

    Attributes:
        path: of the file.
        cells: name → cells, "" where one is missing.
        units: name → unit that stands in the header, `pressure [bar]`.
        lines: line in the file of each row; for parquet its number from 0 on.
        word: what such a number is called.
    """

    path: Path
    cells: dict[str, np.ndarray]
    units: dict[str, str]
    lines: np.ndarray
    word: str

    def where(self, row: int, name: str) -> str:
        """The place of a cell, for a message."""
        return f"{str(self.path)!r}, {self.word} {self.lines[row]}, column {name!r}"

    def column(self, name: str) -> np.ndarray:
        """The cells of a column.

        Raises:
            FormatError: there is none of that name.
        """
        if name not in self.cells:
            known = list(self.cells)
            raise FormatError(f"{str(self.path)!r} has no column {name!r}; it has {known}.{did_you_mean(name, known)}")
        return self.cells[name]

    def numbers(self, name: str, decimal: str = ".") -> np.ndarray:
        """A column as numbers, NaN where one is missing.

        Raises:
            FormatError: a cell is no number; says where.
        """
        cells = self.column(name)
        if cells.dtype.kind == "f":
            return cells
        plain = np.char.replace(cells, decimal, ".") if decimal != "." else cells
        plain = np.where(missing(plain), "nan", plain)
        try:
            return plain.astype(float)
        except ValueError:
            row = next(i for i, cell in enumerate(plain.tolist()) if not _is_number(cell))
            raise FormatError(
                f"{self.where(row, name)}: came {str(cells[row])!r}; wanted a number. Mend the cell or empty it; for a "
                f"column of words give classes={{{name!r}: (…)}}, for a comma as decimal point decimal=','"
            ) from None

    def truths(self, name: str) -> np.ndarray:
        """A column of yes and no as 1 and 0, NaN where one is missing.

        Raises:
            FormatError: a cell is neither.
        """
        cells = self.column(name)
        return self.classes(name, _TRUTHS) if cells.dtype.kind != "f" else cells.astype(bool) * 1.0 + 0 * cells

    def classes(self, name: str, known: dict[str, float]) -> np.ndarray:
        """A column of words as numbers, NaN where one is missing.

        Raises:
            FormatError: a cell is no such word; says where.
        """
        cells = self.column(name).astype(str)
        gone = missing(cells)
        lower = known is _TRUTHS
        out = np.full(len(cells), np.nan)
        for row in np.flatnonzero(~gone).tolist():
            word = str(cells[row]).strip().lower() if lower else str(cells[row]).strip()
            if word not in known:
                raise FormatError(
                    f"{self.where(row, name)}: came {str(cells[row])!r}; wanted one of {list(known)}."
                    f"{did_you_mean(word, known)}"
                )
            out[row] = known[word]
        return out

    def times(self, name: str, clock: str, decimal: str = ".") -> tuple[np.ndarray, str]:
        """Seconds since the first row, which must rise from row to row, and when that was, "" if the clock has no date.

        Raises:
            FormatError: a time is missing, is none, or is not later than the one before; says where.
        """
        if clock == "iso":
            found = np.array([self._date(row, name, str(cell)) for row, cell in enumerate(self.column(name).tolist())])
        else:
            found = self.numbers(name, decimal)
        if (gone := np.flatnonzero(~np.isfinite(found))).size:
            raise FormatError(f"{self.where(int(gone[0]), name)}: no time; every row needs one, so fill or remove it")
        if (back := np.flatnonzero(np.diff(found) <= 0)).size:
            row = int(back[0]) + 1
            told = f"{self.column(name)[row]} comes after {self.column(name)[row - 1]}"
            same = found[row] == found[row - 1]
            cure = "two rows have the same time: remove one of them" if same else "sort the rows by time"
            raise FormatError(f"{self.where(row, name)}: {told}; {cure}, or check the clock {clock!r}")
        scale = {"s": 1.0, "ms": 1e-3, "iso": 1.0}[clock]
        dated = clock == "iso" or found[0] * scale > 1e8
        began = datetime.fromtimestamp(found[0] * scale, UTC).isoformat() if dated else ""
        return (found - found[0]) * scale, began

    def _date(self, row: int, name: str, cell: str) -> float:
        try:
            found = datetime.fromisoformat(cell.strip())
        except ValueError as told:
            raise FormatError(
                f"{self.where(row, name)}: came {cell!r}; wanted a time of ISO 8601 such as "
                "2026-05-04T12:00:00.25+09:00, or another clock: 's', 'ms'"
            ) from told
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def missing(cells: np.ndarray) -> np.ndarray:
    """Which cells hold nothing."""
    return np.array([cell.strip().lower() in _MISSING for cell in cells.astype(str).tolist()], bool)


def read_csv(path: Path, dialect: Dialect) -> Table:
    """A CSV file with one row of names.

    Raises:
        FormatError: it has no names, no rows, two columns of one name, a row of another length, or other letters.
    """
    try:
        with path.open(encoding=dialect.encoding, newline="") as file:
            reader = csv.reader(file, delimiter=dialect.delimiter)
            header = [name.strip() for name in next(reader, [])]
            rows, lines = [], []
            for row in reader:
                if row:
                    rows.append(row)
                    lines.append(reader.line_num)
    except (UnicodeDecodeError, LookupError) as told:
        raise FormatError(
            f"{str(path)!r} is no text in {dialect.encoding!r} ({told}); give its encoding, such as 'cp932'"
        ) from told
    except (csv.Error, OSError) as told:
        raise FormatError(f"{str(path)!r} can't be read as CSV ({told}); is it a CSV file?") from told
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(header):
            raise FormatError(
                f"{str(path)!r}, line {line}: {len(row)} cells, the header has {len(header)}; it was cut short, or the "
                f"delimiter is not {dialect.delimiter!r}"
            )
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    return _table(path, header, [np.array(c, dtype=str) for c in columns], np.array(lines), "line")


def read_parquet(path: Path) -> tuple[Table, str | None]:
    """A parquet file of plain columns, and what twinlab told of it, None if it is foreign.

    Raises:
        FormatError: it is cut short, no parquet, or has columns of lists.
    """
    found = load(path)
    own = (found.schema.metadata or {}).get(b"twinlab")
    told = None if own is None else own.decode("utf-8", errors="replace")
    columns = []
    for name in found.column_names:
        columns.append(found[name].to_numpy() if own else _plain(found[name], name, path))
    return _table(path, found.column_names, columns, np.arange(found.num_rows), "row"), told


def _plain(column: pa.ChunkedArray, name: str, path: Path) -> np.ndarray:
    kind = column.type
    if pa.types.is_timestamp(kind):
        return np.array([str(x) for x in column.to_numpy().astype("datetime64[us]")], dtype=str)
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return np.asarray(column.cast(pa.float64()).to_numpy(), float)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return np.array([x or "" for x in column.to_pylist()], dtype=str)
    raise FormatError(f"{str(path)!r}: column {name!r} holds {kind}; wanted numbers, words or times: leave it out")


def _table(path: Path, header: list[str], columns: list[np.ndarray], lines: np.ndarray, word: str) -> Table:
    names, units = [], {}
    for told in header:
        found = _HEADED.fullmatch(told)
        names.append(found[1] if found else told)
        if found:
            units[found[1]] = found[2]
    several = sorted({name for name in names if names.count(name) > 1 or not name})
    if several or not names:
        raise FormatError(
            f"{str(path)!r}: names of columns are missing or come twice: {several}; the first line names each "
            "column once"
        )
    if not len(lines):
        raise FormatError(f"{str(path)!r} has names of columns but no rows; is it cut short?")
    return Table(path, dict(zip(names, columns, strict=True)), units, lines, word)


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
