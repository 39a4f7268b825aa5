"""Files that are whole or not there, whoever else writes them, and whoever is killed meanwhile."""

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def fingerprint(what: Any, digits: int = 16) -> str:
    """The name under which a result is kept: SHA-256 of all that it follows from, as JSON, in so many hex digits."""
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:digits]


@contextlib.contextmanager
def whole(path: Path, lasting: bool = False) -> Iterator[Path]:
    """A path to write a file at, which takes the place of `path` at once when all is written.

    Args:
        path: of the file; its folder must be there.
        lasting: whether it must be on disk then, so that it outlasts a power cut.
    """
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        yield draft
        if lasting:
            sync(draft)
        os.replace(draft, path)
        if lasting:
            sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def sync(path: Path) -> None:
    """Force a file or a folder's list of names to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
