"""`EpisodeStore`: episodes on disk, appended by one atomic step each, so that a killed writer loses only its own.

A store is a folder: `store.json` says what it is, `episodes/000007/data` is one Zarr v3 group, and `checks.json` beside
it, written last, holds the size and SHA-256 of every file. What `episodes/` holds is the manifest; there is no other
that could disagree.
"""

import json
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from twinlab.errors import StoreError
from twinlab.files import sync, whole
from twinlab.store import _drafts, _files, _windows

FORMAT = 1
_SETTLED = 1_000_000_000  # a folder that did not change for so long is listed once [ns]


class EpisodeStore:
    """A folder of episodes.

    Args:
        path: the folder; it is made if it is not there.

    Raises:
        StoreError: something else is there, it is of a later format, or it cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._episodes = self.path / "episodes"
        self._listed: tuple[int, list[str]] = (-1, [])
        mark = self.path / "store.json"
        if not mark.is_file():
            if self.path.exists() and not (self.path.is_dir() and self._is_blank()):
                raise StoreError(f"{str(path)!r} holds something else, not a store; give another path")
            self._make(mark)
        try:
            version = json.loads(mark.read_text(encoding="utf-8"))["format"]
        except (ValueError, KeyError, TypeError, OSError) as told:
            raise StoreError(f"{mark.name} in {str(path)!r} is damaged ({told}); its episodes are safe") from told
        if version != FORMAT:
            raise StoreError(f"{str(path)!r} has format {version}, this twinlab reads {FORMAT}; update twinlab")

    def __repr__(self) -> str:
        return f"EpisodeStore({str(self.path)!r}, {len(self)} episodes)"

    def __len__(self) -> int:
        return len(self._names())

    def __iter__(self) -> Iterator[xr.Dataset]:
        for index in range(len(self)):
            yield self[index]

    def __getitem__(self, index: int) -> xr.Dataset:
        """An episode, read lazily.

        Raises:
            IndexError: there are not so many.
            StoreError: it is damaged or half written.
        """
        names = self._names()
        if not -len(names) <= index < len(names):
            raise IndexError(f"no episode {index} in {str(self.path)!r}; it holds {len(names)}")
        return _files.read(self._episodes / names[index])

    def append(self, episode: xr.Dataset) -> int:
        """Add an episode and give its index; when this returns, it is on disk and outlasts a power cut.

        Raises:
            StoreError: the folder cannot be written; nothing has changed then.
        """
        try:
            with _drafts.draft(self.path) as draft:
                _files.write(draft / "episode", episode)
                name = self._adopt(draft / "episode")
        except (TypeError, ValueError, KeyError) as told:
            raise StoreError(f"can't keep this episode: {told!r}; it needs a dim `time` and plain attributes") from told
        except OSError as told:
            raise StoreError(f"can't append to {str(self.path)!r} ({told}); is it full or read-only?") from told
        return self._names().index(name)

    def copy(self, source: "EpisodeStore", indices: Iterable[int] | None = None) -> list[int]:
        """Append episodes of another store, each with its `origin`: that store's name and its digest there.

        Args:
            source: where they are read.
            indices: which; None takes all.
        """
        out = []
        for index in range(len(source)) if indices is None else indices:
            origin = json.dumps({"store": source.path.name, "episode": source.digest(index)}, sort_keys=True)
            out.append(self.append(source[index].load().assign_attrs(origin=origin)))
        return out

    def open(self, indices: Sequence[int] | None = None, names: Iterable[str] | None = None) -> xr.Dataset:
        """All episodes, or some, as one lazy dataset: one after the other along `time` and along `event`.

        `time` is a timedelta on which each episode begins at a whole minute, so that `resample` works and mixes no two
        of them up to bins of a minute; `clock` is the time in the episode [s]. `episode`, `scene`, `scene_digest`,
        `seed`, `policy` and `instruction` are coordinates of every tick, and with `event_` before them of every event.

        Args:
            indices: which, such as `select` gives; None takes all.
            names: variables to take; None takes all.

        Raises:
            StoreError: there are none, or they have not the same variables with the same axes.
        """
        from twinlab.store._table import joined  # Dask takes a third of a second to import

        taken = range(len(self)) if indices is None else indices
        if not len(taken):
            raise StoreError(f"no episode to open in {str(self.path)!r}; it holds {len(self)}")
        return joined({index: self._folder(index) for index in taken}, None if names is None else set(names))

    def manifest(self) -> xr.Dataset:
        """The attributes of every episode with `ticks` and `digest`, as a table; `manifest().to_pandas()` shows it."""
        from twinlab.store._table import manifest

        return manifest([{**found, "digest": self.digest(i)} for i, found in enumerate(self.attrs())])

    def digest(self, index: int) -> str:
        """What an episode's checksums come to: equal for equal content."""
        return _files.digest(self._folder(index))

    def window(self, index: int, start: int, stop: int, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Some ticks of some variables of an episode, read from the chunks that hold them and from nothing else.

        Args:
            index: of the episode.
            start, stop: first tick, and the one after the last [1].
            names: of arrays over `time`.

        Returns:
            name → array (stop - start, …), each in memory of its own.

        Raises:
            StoreError: a variable or the ticks are not there, or a chunk is damaged.
        """
        return _windows.window(self._folder(index) / _files.DATA, start, stop, names)

    def attrs(self) -> list[dict[str, Any]]:
        """The attributes of every episode, with its number of `ticks`, without reading any array."""
        return [_files.told(self._episodes / name)[0] for name in self._names()]

    def select(self, seeds: Iterable[int] | None = None, **attrs: Any) -> list[int]:
        """Indices of the episodes with one of these seeds and these attributes: `select(policy="expert")`."""
        wanted = None if seeds is None else set(seeds)
        return [
            index
            for index, found in enumerate(self.attrs())
            if (wanted is None or found.get("seed") in wanted) and all(found.get(k) == v for k, v in attrs.items())
        ]

    def verify(self) -> list[str]:
        """What is wrong, one line for each episode; nothing if all is well. Reads every file."""
        return [told for _, told in self._faults()]

    def repair(self) -> list[str]:
        """Put aside what is damaged or half written, and tell of each; complete episodes stay.

        A damaged episode and what a killed writer left go to `quarantine/` with all their files; an episode that was
        complete, but killed before it was added, is added. Drafts of a writer that lives are left alone.
        """
        out = []
        for draft in _drafts.abandoned(self.path):
            if not any(draft.iterdir()):
                draft.rmdir()
                continue
            try:
                _files.verify(draft / "episode")
            except StoreError as told:
                out.append(f"{told}: moved to {self._aside(draft)}")
            else:
                out.append(f"{draft.name} was complete: added as {self._adopt(draft / 'episode')}")
                draft.rmdir()
        return out + [f"{told}: moved to {self._aside(folder)}" for folder, told in self._faults()]

    def _faults(self) -> Iterator[tuple[Path, str]]:
        """The episodes that are damaged, and what is wrong with each."""
        for name in self._names():
            try:
                _files.verify(self._episodes / name)
            except StoreError as told:
                yield self._episodes / name, str(told)

    def _adopt(self, written: Path) -> str:
        """Make a whole episode part of the store, by one rename, and give its name."""
        while True:
            names = self._names()
            name = f"{int(names[-1]) + 1 if names else 0:06d}"
            try:
                os.rename(written, self._episodes / name)
                break
            except OSError:  # another writer took the number: try the next one
                if not (self._episodes / name).exists():
                    raise
        sync(self._episodes)
        return name

    def _aside(self, folder: Path) -> str:
        """Move a folder to the quarantine, under a name that is free."""
        try:
            (self.path / "quarantine").mkdir(exist_ok=True)
            goal = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=self.path / "quarantine"))
            os.rename(folder, goal)  # onto an empty folder
        except OSError as told:
            raise StoreError(f"can't move {str(folder)!r} aside ({told}); is the store read-only?") from told
        return str(goal.relative_to(self.path))

    def _folder(self, index: int) -> Path:
        names = self._names()
        if not -len(names) <= index < len(names):
            raise StoreError(f"no episode {index} in {str(self.path)!r}; it holds {len(names)}")
        return self._episodes / names[index]

    def _names(self) -> list[str]:
        """Names of the episodes; listed anew when the folder has changed."""
        try:
            changed = os.stat(self._episodes).st_mtime_ns
            if changed == self._listed[0]:
                return self._listed[1]
            settled = time.time_ns() - changed > _SETTLED  # else more may come within the clock's step
            names = sorted(p.name for p in self._episodes.iterdir() if p.name.isdigit())
            self._listed = (changed if settled else -1, names)
            return names
        except OSError as told:
            raise StoreError(f"can't read {str(self._episodes)!r}: {told}") from told

    def _is_blank(self) -> bool:
        """Whether nothing is there but what a killed maker of a store may have left: an empty `episodes/`, a mark."""
        return all(
            p.name.startswith("store.json") or (p == self._episodes and not any(p.iterdir()))
            for p in self.path.iterdir()
        )

    def _make(self, mark: Path) -> None:
        try:
            self._episodes.mkdir(parents=True, exist_ok=True)
            with whole(mark, lasting=True) as draft:
                draft.write_text(json.dumps({"format": FORMAT}), encoding="utf-8")
            sync(self.path.parent)
        except OSError as told:
            raise StoreError(f"can't make a store at {str(self.path)!r}: {told}") from told
