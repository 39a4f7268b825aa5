"""Where held episodes lie: in memory up to a budget, in files beyond it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Filed:
    """An array that lies in a file; what is asked for is read, and nothing of it stays in memory.

    Attributes:
        path: the file.
        shape, dtype: of the array.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        if isinstance(index, slice) and index.step in (None, 1):
            first, last, _ = index.indices(len(self))
            each = int(np.prod(self.shape[1:], dtype=int))
            count, offset = max(last - first, 0) * each, first * each * self.dtype.itemsize
            return np.fromfile(self.path, self.dtype, count, offset=offset).reshape(-1, *self.shape[1:])
        return np.array(np.memmap(self.path, self.dtype, "r", shape=self.shape)[index])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype)

    def reshape(self, *shape: int) -> np.ndarray:
        """The whole array, read and reshaped."""
        return self[:].reshape(*shape)

    def astype(self, dtype: Any) -> np.ndarray:
        """The whole array, read and converted."""
        return self[:].astype(dtype)


class Scratch:
    """Room for arrays: in memory up to a budget, in files from then on. Who makes the folder removes it.

    Args:
        folder: for the files; it is made when the first one is needed.
        budget: of memory [byte].
        writes: whether this process writes them; False where another one of the same machine does.
    """

    def __init__(self, folder: str | Path, budget: int, writes: bool = True) -> None:
        self.folder, self.left, self._writes, self._count = Path(folder), budget, writes, 0

    @property
    def full(self) -> bool:
        """Whether the budget is used up, so that files are written."""
        return self._count > 0

    def keep(self, values: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """The same arrays, or where they are filed."""
        size = sum(value.nbytes for value in values.values())
        if size <= self.left and not self.full:
            self.left -= size
            return dict(values)
        return {name: self._filed(name, value) for name, value in values.items()}

    def _filed(self, name: str, value: np.ndarray) -> Filed:
        path = self.folder / f"{self._count:08d}-{name}"
        self._count += 1
        if self._writes:
            self.folder.mkdir(parents=True, exist_ok=True)
            value.tofile(path)
        return Filed(path, value.shape, value.dtype)
