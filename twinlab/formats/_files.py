"""Where formats write and read: whole files or nothing, one file for each episode where a format wants that."""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import xarray as xr

from twinlab.errors import FormatError


@contextmanager
def draft(path: str | Path) -> Iterator[Path]:
    """A path to write at; it and what lies beside it move to their place when all is written, and go if that fails.

    Raises:
        FormatError: something is there, or nothing can be written there.
    """
    path = Path(path)
    if path.exists():
        raise FormatError(f"{str(path)!r} is there already; give another path, or remove it first")
    room = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        yield room / path.name
        for one in sorted(room.iterdir(), key=lambda p: p.name == path.name):  # the path itself comes last
            one.rename(path.parent / one.name)
    except OSError as told:
        raise FormatError(f"can't write {str(path)!r} ({told}); is the disk full or the folder read-only?") from told
    finally:
        if room is not None:
            shutil.rmtree(room, ignore_errors=True)


def write_each(
    episodes: Iterable[xr.Dataset], path: str | Path, suffixes: tuple[str, ...], one: Callable[[xr.Dataset, Path], None]
) -> Path:
    """One file for each episode: at the path itself if it ends like a file, else in a folder of that name.

    Raises:
        FormatError: no episode came, or several for one file.
    """
    path = Path(path)
    count = 0
    with draft(path) as place:
        for count, episode in enumerate(episodes, 1):
            if path.suffix not in suffixes:
                place.mkdir(exist_ok=True)
                one(episode, place / f"episode-{count - 1:06d}{suffixes[0]}")
            elif count == 1:
                one(episode, place)
            else:
                raise FormatError(
                    f"{str(path)!r} holds one episode and several came; give a folder: a path without {path.suffix!r}"
                )
        if not count:
            raise FormatError(f"no episode came, so that {str(path)!r} was not written; record some first")
    return path


def each(path: str | Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files at a path, in the order of their names.

    Raises:
        FormatError: nothing is there, or nothing that ends so, or an empty file.
    """
    path = Path(path)
    if not path.exists():
        raise FormatError(f"{str(path)!r} is not there; give the path of a file or folder that is")
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.suffix in suffixes)
    if not files:
        raise FormatError(f"{str(path)!r} holds no file that ends in {' or '.join(suffixes)}; is it of another format?")
    for file in files:
        if file.suffix not in suffixes:
            raise FormatError(f"{str(file)!r} came; wanted a file that ends in {' or '.join(suffixes)}")
        if not file.stat().st_size:
            raise FormatError(f"{str(file)!r} is empty; copy it again from where it came")
    return files
