"""What is kept of robot files, found again by content: in the cache, or for a while if that can't be written to."""

import functools
import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twinlab import meshes
from twinlab.files import whole


def cache_folder() -> Path:
    """Where prepared robots, converted meshes and what was measured of them are kept."""
    return meshes.cache_folder().parent / "robots"


def digest(*parts: str | bytes) -> str:
    """What content is found again by."""
    found = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        found.update(len(content).to_bytes(8, "little") + content)
    return found.hexdigest()[:32]


def kept(text: str, suffix: str) -> Path:
    """A file of that text."""
    name = f"{digest(text)}{suffix}"
    return cache_folder() / name if (cache_folder() / name).is_file() else _put(name, text)


def remembered(key: str, make: Callable[[], Any]) -> Any:
    """What was kept as JSON under a key; it is made first if there is nothing, or if that is damaged."""
    file = cache_folder() / f"{key}.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        made = make()
        _put(file.name, json.dumps(made))
        return made


def _put(name: str, text: str) -> Path:
    try:
        return _written(cache_folder(), name, text)
    except OSError:
        return _written(Path(_own().name), name, text)


def _written(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with whole(folder / name) as draft:
        draft.write_text(text, encoding="utf-8")
    return folder / name


@functools.cache
def _own() -> "tempfile.TemporaryDirectory[str]":
    """A folder of this process."""
    return tempfile.TemporaryDirectory(prefix="twinlab_")
