"""Drafts: where an episode is written before one rename makes it part of a store. A lock tells who still writes."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def draft(store: Path) -> Iterator[Path]:
    """A folder to write in, locked by this process until it is left, and gone then."""
    while True:
        path = Path(tempfile.mkdtemp(prefix="draft-", dir=store))
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # a repair took it before it was locked
            continue
        fcntl.flock(handle, fcntl.LOCK_EX)
        if path.exists():
            break
        os.close(handle)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(handle)


def abandoned(store: Path) -> Iterator[Path]:
    """Drafts whose writer is no more; each is locked as long as it is looked at, so that no writer takes it up."""
    for path in sorted(store.glob("draft-*")):
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # its writer is done
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield path
        except BlockingIOError:  # its writer lives
            continue
        finally:
            os.close(handle)
