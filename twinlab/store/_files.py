"""The files of one episode: written with their checksums, forced to disk, read back, checked."""

import errno
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numcodecs import blosc
from zarr.abc.buffer import Buffer
from zarr.codecs import BloscCodec
from zarr.storage import LocalStore

from twinlab.errors import StoreError
from twinlab.files import sync

DATA, CHECKS = "data", "checks.json"
_TEXTS, _TICKS = "_texts", "_ticks"  # attributes: the text variables of an episode, its length
_BIG = 1 << 20  # variables beyond so many bytes are cut into chunks of ticks [byte]
_CHUNK = 64  # ticks of such a chunk at most [1]
_SMALL = 1 << 14  # variables up to this are never packed: a file takes whole blocks of the disk [byte]
_WORTH = 0.5  # nor those that pack to more than this share, as noisy pictures do [1]


class _Target(LocalStore):
    """A folder that Zarr writes into until a write fails.

    Zarr tells of a failed chunk at once and goes on with all others for as long as that takes, in a folder that it
    makes anew if it was removed meanwhile; here they are refused.
    """

    def __init__(self, root: Path | str, *, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self._failed, self._busy = False, 0

    async def set(self, key: str, value: Buffer) -> None:
        """Write a file, unless one could not be written before."""
        if self._failed:
            raise OSError(errno.ECANCELED, "a write before this one failed", key)
        self._busy += 1
        try:
            await super().set(key, value)
        except BaseException:
            self._failed = True
            raise
        finally:
            self._busy -= 1

    def end(self) -> None:
        """Refuse all further writes, and wait for those that are under way."""
        self._failed = True
        while self._busy:
            time.sleep(0.001)


def write(folder: Path, episode: xr.Dataset) -> None:
    """Write one episode: arrays by Zarr, texts as JSON in its attributes, checksums last; all reaches the disk."""
    texts = {str(n): v for n, v in episode.variables.items() if v.dtype.kind in "UO"}
    kept = {
        name: {"dims": v.dims, "values": v.values.tolist(), "attrs": v.attrs, "coordinate": name in episode.coords}
        for name, v in texts.items()
    }
    notes = {_TEXTS: json.dumps(kept, sort_keys=True), _TICKS: episode.sizes["time"]}
    plain = episode.drop_vars(list(texts)).assign_attrs(notes)
    encoding = {n: _encoding(v) for n, v in plain.variables.items()}
    target = _Target(folder / DATA)
    try:
        plain.to_zarr(
            target, mode="w", consolidated=False, zarr_format=3, encoding=encoding, write_empty_chunks=True
        )  # to look for empty ones costs as much as to compress
    finally:
        target.end()
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    sums = {str(f.relative_to(folder)): [f.stat().st_size, _sum(f)] for f in files}
    (folder / CHECKS).write_text(json.dumps(sums, indent=0), encoding="utf-8")
    for path in (*files, folder / CHECKS, *(p for p in folder.rglob("*") if p.is_dir()), folder):
        sync(path)


def _encoding(variable: xr.Variable) -> dict[str, Any]:
    """How a variable is kept: as it is, to be read in place, unless packing halves it; pictures in chunks of ticks.

    The chunks of a variable are as even as can be, because Zarr fills the last one up.
    """
    length = variable.shape[0] if variable.ndim else 1
    count = -(-length // _CHUNK) if variable.nbytes > _BIG and variable.dims[0] == "time" else 1
    chunks = (max(1, -(-length // count)), *(max(n, 1) for n in variable.shape[1:])) if variable.ndim else ()
    packed = variable.nbytes > _SMALL and _share(variable.values[:_CHUNK]) <= _WORTH
    packing = (BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle"),)
    return {"chunks": chunks, "compressors": packing if packed else ()}


def _share(values: np.ndarray) -> float:
    """To which share of its size an array packs."""
    return len(blosc.compress(np.ascontiguousarray(values), b"lz4", 1, blosc.BITSHUFFLE)) / max(1, values.nbytes)


def read(folder: Path) -> xr.Dataset:
    """An episode, read lazily."""
    _check_whole(folder)
    try:
        found = xr.open_zarr(folder / DATA, consolidated=False, chunks=None, zarr_format=3)
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


def told(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """An episode's attributes with its number of `ticks`, and its text variables; no array is read."""
    try:
        attrs = json.loads((folder / DATA / "zarr.json").read_text(encoding="utf-8"))["attributes"]
        attrs["ticks"] = attrs.pop(_TICKS)
        texts = json.loads(attrs.pop(_TEXTS))
    except (OSError, ValueError, KeyError) as found:
        raise StoreError(f"episode {str(folder)!r} has no readable zarr.json ({found}); see repair()") from found
    return dict(attrs), dict(texts)


def digest(folder: Path) -> str:
    """What an episode's checksums come to: equal for equal content."""
    return hashlib.sha256(repr(sorted(_checks(folder).items())).encode()).hexdigest()[:16]


def _checks(folder: Path) -> dict[str, tuple[int, str]]:
    try:
        found = json.loads((folder / CHECKS).read_text(encoding="utf-8"))
        return {name: (size, digest) for name, (size, digest) in found.items()}
    except (OSError, ValueError, TypeError, AttributeError) as cause:
        raise StoreError(
            f"episode {str(folder)!r} is half written: no sound {CHECKS} ({cause}); see repair()"
        ) from cause


def _check_whole(folder: Path) -> None:
    """Raise unless every file is there in its full length; quick, contents are not read."""
    for name, (size, _) in _checks(folder).items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != size:
            came = f"{file.stat().st_size} bytes" if file.is_file() else "nothing"
            raise StoreError(
                f"episode {str(folder)!r} is damaged: {name} has {came}, wanted {size} bytes; "
                "restore it or see repair()"
            )


def verify(folder: Path) -> None:
    """Raise unless every file is there and holds what was written."""
    _check_whole(folder)
    for name, (_, wanted) in _checks(folder).items():
        if _sum(folder / name) != wanted:
            raise StoreError(f"episode {str(folder)!r} is damaged: {name} was altered; restore it or see repair()")


def _sum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
