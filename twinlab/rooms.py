"""Rooms: a folder is the registry of its variants, a file's name is the variant's name."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from twinlab.errors import UnknownVariantError, did_you_mean

_HOUSE = Path(__file__).parent
_extra: dict[str, list[Path]] = {}


def add_folder(room: str, folder: str | Path) -> None:
    """Add a folder of variants of one's own to a room.

    Only Python can do this, never a scene file: a scene must not run code that it names.

    Args:
        room: the room's name, such as "sensors".
        folder: a folder with one file per variant; it is searched after the room's own.

    Raises:
        UnknownVariantError: there is no such room, or no such folder.
    """
    _check_room(room)
    path = Path(folder).resolve()
    if not path.is_dir():
        raise UnknownVariantError(f"no folder {str(folder)!r} to add to {room}/; give an existing folder")
    if path not in _extra.setdefault(room, []):
        _extra[room].append(path)


def names(room: str) -> tuple[str, ...]:
    """The names of a room's variants, sorted."""
    return tuple(sorted(_files(room)))


def load(room: str, name: str) -> type:
    """The class of a variant: `load("sensors", "break_beam")` gives `BreakBeam`.

    Raises:
        UnknownVariantError: the room has no such file, or the file no such class.
    """
    files = _files(room)
    if name not in files:
        raise UnknownVariantError(f"no {name!r} in {room}/; there are {sorted(files)}.{did_you_mean(name, files)}")
    module = _module(room, name, files[name])
    wanted = "".join(part.capitalize() for part in name.split("_"))
    if not hasattr(module, wanted):
        raise UnknownVariantError(
            f"{files[name].name} in {room}/ has no class {wanted!r}; name the class after its file"
        )
    return getattr(module, wanted)


def build(room: str, name: str, **fields: Any) -> Any:
    """A variant with the given fields; the others keep their defaults."""
    return load(room, name)(**fields)


def _check_room(room: str) -> None:
    rooms = [p.parent.name for p in _HOUSE.glob("*/__init__.py")]
    if room not in rooms:
        raise UnknownVariantError(f"no room {room!r}; there are {sorted(rooms)}.{did_you_mean(room, rooms)}")


def _files(room: str) -> dict[str, Path]:
    _check_room(room)
    folders = [_HOUSE / room, *_extra.get(room, [])]
    found = [p for folder in reversed(folders) for p in folder.glob("*.py") if not p.stem.startswith("_")]
    return {p.stem: p for p in found}  # the room's own file wins over an added one of the same name


def _module(room: str, name: str, file: Path) -> ModuleType:
    if file.parent == _HOUSE / room:
        return importlib.import_module(f"twinlab.{room}.{name}")
    full = f"twinlab_extra.{room}.{file.parent.name}_{abs(hash(file.parent)):x}.{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[full] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[full]  # so that a mended file can be loaded
            raise
    return sys.modules[full]
