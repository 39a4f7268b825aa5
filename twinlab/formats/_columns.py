"""Arrays over time as columns of parquet, and back to the bit."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from twinlab.errors import FormatError


def column(values: np.ndarray) -> pa.Array:
    """Numbers, or texts, over time (time, …): a plain column, or lists of lists; a shape of (1,) is plain too."""
    if values.dtype.kind in "UO":
        return pa.array(values.reshape(len(values)).tolist(), pa.string())
    flat = np.ascontiguousarray(values).reshape(-1)
    out = pa.array(flat)
    shape = values.shape[1:]
    if shape in ((), (1,)):
        return out
    if len(shape) == 1:
        return pa.FixedSizeListArray.from_arrays(out, shape[0])
    for size in reversed(shape):
        count = len(out) // size if size else 0
        out = pa.ListArray.from_arrays(pa.array(np.arange(count + 1) * size, pa.int32()), out)
    return out


def numbers(table: pa.Table, key: str, shape: tuple[int, ...], where: str) -> np.ndarray:
    """What stands in a column (time, …).

    Raises:
        FormatError: the column is missing, has gaps, or does not have the shape.
    """
    if key not in table.column_names:
        raise FormatError(f"{where} has no column {key!r}, which info.json tells of; it has {table.column_names}")
    found = table[key].combine_chunks()
    if isinstance(found, pa.ChunkedArray):
        found = found.chunk(0) if found.num_chunks else pa.array([], found.type.value_type)
    while pa.types.is_list(found.type) or pa.types.is_large_list(found.type) or pa.types.is_fixed_size_list(found.type):
        if found.null_count:
            break
        found = found.flatten()
    if found.null_count:
        raise FormatError(f"{where}: column {key!r} has {found.null_count} gaps; fill them, or leave the feature out")
    values = found.to_numpy(zero_copy_only=False)
    if values.dtype.kind == "O" and pa.types.is_string(found.type):
        values = values.astype(str)
    wanted = (table.num_rows, *shape)
    if values.size != np.prod(wanted, dtype=int):
        raise FormatError(f"{where}: column {key!r} has {values.size} numbers, info.json tells of {wanted}")
    return values.reshape(wanted)


def load(path: Path) -> pa.Table:
    """A whole parquet file.

    Raises:
        FormatError: it is missing, empty, cut short or no parquet.
    """
    try:
        return pq.ParquetFile(path, page_checksum_verification=True).read()
    except (pa.ArrowException, OSError) as told:
        what = "is not there" if not path.exists() else f"can't be read as parquet ({str(told).splitlines()[0]})"
        raise FormatError(f"{str(path)!r} {what}; it was cut short, lost or never closed: copy it again") from told
