"""The pictures of a line's cameras, live: colours, and depth as colours."""

from collections.abc import Iterable

import anywidget
import numpy as np
import traitlets
from ipywidgets import Widget, widget_serialization
from matplotlib import colormaps

from twinlab.readings import Readings, Variable
from twinlab.widgets._code import STATIC, code, version

_NEAR_IS_BRIGHT = (255 * colormaps["viridis_r"](np.arange(256))[:, :3]).astype(np.uint8)
_NOTHING = np.array([60, 60, 66], np.uint8)  # colour of depth where nothing is


class Cameras(anywidget.AnyWidget):
    """One small picture for each image and each depth that the readings hold; raw pixels, drawn by the browser.

    Args:
        variables: what the readings hold.
    """

    _esm = STATIC / "loader.js"
    _code = traitlets.Instance(Widget).tag(sync=True, **widget_serialization)
    _version = traitlets.Unicode().tag(sync=True)
    _kind = traitlets.Unicode("pictures").tag(sync=True)
    _table: traitlets.List[dict[str, object]] = traitlets.List().tag(sync=True)
    _pixels = traitlets.Bytes().tag(sync=True)
    _notes = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, variables: Iterable[Variable]) -> None:
        self._shown = [v for v in variables if v.role == "reading" and v.kind in ("image", "depth")]
        self._ranges: dict[str, tuple[float, float]] = {}
        table = [{"name": v.name.replace("_", " "), "width": v.shape[1], "height": v.shape[0]} for v in self._shown]
        super().__init__(_code=code(), _version=version(), _table=table)

    def __repr__(self) -> str:
        return f"Cameras({', '.join(v.name for v in self._shown)})"

    def show(self, readings: Readings) -> None:
        """The pictures of a tick."""
        pictures = [
            readings[v.name] if v.kind == "image" else self._coloured(v.name, readings[v.name]) for v in self._shown
        ]
        with self.hold_sync():
            self._notes = [
                "{:.2f}–{:.2f} m".format(*self._ranges[v.name]) if v.name in self._ranges else "" for v in self._shown
            ]
            self._pixels = b"".join(p.tobytes() for p in pictures)

    def _coloured(self, name: str, depth: np.ndarray) -> np.ndarray:
        """Colours uint8 (row, column, 3) of depths [m]; their range only grows, so that a colour keeps its meaning."""
        finite = depth[np.isfinite(depth)]
        low, high = self._ranges.get(name, (np.inf, -np.inf))
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
            self._ranges[name] = (low, high)
        return coloured(depth, low, high)


def coloured(depth: np.ndarray, low: float, high: float) -> np.ndarray:
    """Colours uint8 (row, column, 3) of depths in a range [m]: near is bright, grey is nothing."""
    finite = np.isfinite(depth)
    share = np.clip((np.where(finite, depth, low) - low) / max(high - low, 1e-9), 0, 1) if finite.any() else finite
    return np.where(finite[..., None], _NEAR_IS_BRIGHT[(255 * share).astype(np.uint8)], _NOTHING)
