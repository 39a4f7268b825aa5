"""`EpisodeStore`: episodes on disk, appended by one atomic step each, so that a killed writer loses only its own.

A store is a folder: `store.json` says what it is, `episodes/000007/data` is one Zarr v3 group, and `checks.json` beside
it, written last, holds the size and SHA-256 of every file. What `episodes/` holds is the manifest; there is no other
that could disagree.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from zarr.codecs import BloscCodec

from twinlab.errors import StoreError

FORMAT = 1
_DATA, _CHECKS = "data", "checks.json"
_TEXTS, _TICKS = "_texts", "_ticks"  # attributes: the text variables of an episode, its length


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
        return _read(self._episodes / names[index])

    def append(self, episode: xr.Dataset) -> int:
        """Add an episode and give its index; when this returns, it is on disk.

        Raises:
            StoreError: the folder cannot be written; nothing has changed then.
        """
        try:
            draft = Path(tempfile.mkdtemp(prefix="draft-", dir=self.path))
            _write(draft / "episode", episode)
            while True:
                names = self._names()
                name = f"{int(names[-1]) + 1 if names else 0:06d}"
                try:
                    os.rename(draft / "episode", self._episodes / name)
                    break
                except OSError:  # another writer took the number: try the next one
                    if not (self._episodes / name).exists():
                        raise
            _sync(self._episodes)
            draft.rmdir()
        except (TypeError, ValueError, KeyError) as told:
            shutil.rmtree(draft, ignore_errors=True)
            raise StoreError(f"can't keep this episode: {told!r}; it needs a dim `time` and plain attributes") from told
        except OSError as told:
            raise StoreError(f"can't append to {str(self.path)!r} ({told}); is it full or read-only?") from told
        return self._names().index(name)

    def attrs(self) -> list[dict[str, Any]]:
        """The attributes of every episode, with its number of `ticks`, without reading any array."""
        return [_attrs(self._episodes / name) for name in self._names()]

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
        faults = []
        for name in self._names():
            try:
                _verify(self._episodes / name)
            except StoreError as told:
                faults.append(str(told))
        return faults

    def repair(self) -> int:
        """Remove what killed writers left behind and give how many; episodes are never touched.

        Call it only when nobody else writes.
        """
        drafts = list(self.path.glob("draft-*"))
        for draft in drafts:
            shutil.rmtree(draft)
        return len(drafts)

    def _names(self) -> list[str]:
        try:
            return sorted(p.name for p in self._episodes.iterdir() if p.name.isdigit())
        except OSError as told:
            raise StoreError(f"can't read {str(self._episodes)!r}: {told}") from told

    def _is_blank(self) -> bool:
        """Whether nothing is there but what a killed maker of a store may have left: an empty `episodes/`."""
        return all(p == self._episodes and not any(p.iterdir()) for p in self.path.iterdir())

    def _make(self, mark: Path) -> None:
        try:
            self._episodes.mkdir(parents=True, exist_ok=True)
            mark.write_text(json.dumps({"format": FORMAT}), encoding="utf-8")
        except OSError as told:
            raise StoreError(f"can't make a store at {str(self.path)!r}: {told}") from told


def _write(folder: Path, episode: xr.Dataset) -> None:
    """Write one episode: arrays by Zarr, texts as JSON in its attributes, checksums last."""
    texts = {str(n): v for n, v in episode.variables.items() if v.dtype.kind in "UO"}
    kept = {
        name: {"dims": v.dims, "values": v.values.tolist(), "attrs": v.attrs, "coordinate": name in episode.coords}
        for name, v in texts.items()
    }
    notes = {_TEXTS: json.dumps(kept, sort_keys=True), _TICKS: episode.sizes["time"]}
    plain = episode.drop_vars(list(texts)).assign_attrs(notes)
    encoding = {n: _encoding(v) for n, v in plain.variables.items()}
    plain.to_zarr(
        folder / _DATA, mode="w", consolidated=False, zarr_format=3, encoding=encoding, write_empty_chunks=True
    )  # to look for empty ones costs as much as to compress
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    sums = {str(f.relative_to(folder)): [f.stat().st_size, _sum(f)] for f in files}
    with (folder / _CHECKS).open("w", encoding="utf-8") as file:
        file.write(json.dumps(sums, indent=0))
        file.flush()
        os.fsync(file.fileno())


def _encoding(variable: xr.Variable) -> dict[str, Any]:
    """Pictures in chunks of 64 ticks, so that a window is read quickly; all else in one chunk."""
    big = variable.nbytes > 1 << 20
    chunks = tuple(min(64, n) if big and d == "time" else max(n, 1) for d, n in variable.sizes.items())
    return {"chunks": chunks, "compressors": (BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle"),)}


def _read(folder: Path) -> xr.Dataset:
    _check_whole(folder)
    try:
        found = xr.open_zarr(folder / _DATA, consolidated=False, chunks=None, zarr_format=3)
        kept = json.loads(found.attrs.pop(_TEXTS))
        del found.attrs[_TICKS]
    except (OSError, ValueError, KeyError) as told:
        raise StoreError(f"episode {str(folder)!r} can't be read ({told}); see verify()") from told
    for name, text in kept.items():
        shape = tuple(found.sizes.get(d, len(text["values"])) for d in text["dims"])
        values = np.array(text["values"], dtype=str).reshape(shape)
        variable = xr.Variable(text["dims"], values, text["attrs"])
        found = found.assign_coords({name: variable}) if text["coordinate"] else found.assign({name: variable})
    return found


def _attrs(folder: Path) -> dict[str, Any]:
    try:
        attrs = json.loads((folder / _DATA / "zarr.json").read_text(encoding="utf-8"))["attributes"]
        attrs["ticks"] = attrs.pop(_TICKS)
        del attrs[_TEXTS]
    except (OSError, ValueError, KeyError) as told:
        raise StoreError(f"episode {str(folder)!r} has no readable zarr.json ({told}); move it away") from told
    return dict(attrs)


def _checks(folder: Path) -> dict[str, tuple[int, str]]:
    try:
        found = json.loads((folder / _CHECKS).read_text(encoding="utf-8"))
        return {name: (size, digest) for name, (size, digest) in found.items()}
    except (OSError, ValueError, TypeError, AttributeError) as told:
        raise StoreError(
            f"episode {str(folder)!r} is half written: no sound {_CHECKS} ({told}); move it away"
        ) from told


def _check_whole(folder: Path) -> None:
    """Raise unless every file is there in its full length; quick, contents are not read."""
    for name, (size, _) in _checks(folder).items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != size:
            came = f"{file.stat().st_size} bytes" if file.is_file() else "nothing"
            raise StoreError(
                f"episode {str(folder)!r} is damaged: {name} has {came}, wanted {size} bytes; restore or move it away"
            )


def _verify(folder: Path) -> None:
    _check_whole(folder)
    for name, (_, digest) in _checks(folder).items():
        if _sum(folder / name) != digest:
            raise StoreError(f"episode {str(folder)!r} is damaged: {name} was altered; restore it or move it away")


def _sum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
