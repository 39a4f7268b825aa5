"""The player's code: once in a kernel for all views, so that no view carries it into a saved notebook."""

import functools
import gzip
import hashlib
from pathlib import Path

import ipywidgets
import traitlets

STATIC = Path(__file__).parent / "static"


@functools.cache
def player() -> str:
    """The built player, an ES module; `js/README.md` says how it is built."""
    return (STATIC / "view.js").read_text(encoding="utf-8")


@functools.cache
def version() -> str:
    """What tells one built player from another."""
    return hashlib.sha256(player().encode()).hexdigest()[:16]


class Code(ipywidgets.Widget):
    """A model without a view that holds the packed player; `static/loader.js` asks for it once a page."""

    packed = traitlets.Bytes().tag(sync=True)


_shared: list[Code] = []


def code() -> Code:
    """The kernel's one copy of the player."""
    if not _shared or _shared[0].comm is None:  # None: somebody closed all widgets
        _shared[:] = [Code(packed=gzip.compress(player().encode(), mtime=0))]
    return _shared[0]
