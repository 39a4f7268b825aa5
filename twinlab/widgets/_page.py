"""Pages that open from a file: templates, and the data of a player packed into text."""

import base64
import functools
import gzip
import html
import json
from typing import Any

import jinja2
import numpy as np

from twinlab.widgets._code import STATIC, player

_GRAIN = 2.0**-15  # poses in pages are whole numbers of this: 0.03 mm, and they pack to half the size


@functools.cache
def _templates() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(STATIC)
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)


def fill(template: str, **values: Any) -> str:
    """A template of `static/` with values; `player` is the player's code."""
    return _templates().get_template(template).render(player=player(), **values)


def scene(table: dict[str, Any], mesh: bytes, times: np.ndarray, poses: np.ndarray, height: str) -> str:
    """The data of one player as JSON that may stand in a script element.

    Args:
        table, mesh: what `_geometry.pack` gives.
        times: of the frames (frame,) [s]; empty for a still picture.
        poses: of the links (frame, link, 7); one frame for a still picture.
        height: of the player, as CSS has it.
    """
    coarse = (np.round(np.asarray(poses, float) / _GRAIN) * _GRAIN).astype("<f4")
    blocks = {
        "mesh": mesh,
        "times": np.asarray(times, "<f4").tobytes(),
        "run": coarse.transpose(1, 2, 0).tobytes(),  # what stands still packs to nothing in this order
    }
    packed = {name: base64.b64encode(gzip.compress(block, 6, mtime=0)).decode() for name, block in blocks.items()}
    return json.dumps({"table": table, "height": height, **packed}).replace("</", "<\\/")


def framed(page: str, title: str, height: str) -> str:
    """A page within a notebook's output."""
    return (
        f'<iframe title="{html.escape(title, quote=True)}" srcdoc="{html.escape(page, quote=True)}" '
        f'sandbox="allow-scripts" loading="lazy" style="width:100%;height:{height};border:0"></iframe>'
    )
