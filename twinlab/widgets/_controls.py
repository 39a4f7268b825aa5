"""What stands around the view in a panel: buttons, progress, counts, camera pictures, sliders."""

import html
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import ipywidgets
import numpy as np
from matplotlib import colormaps

from twinlab.readings import Readings, Variable
from twinlab.scene import SceneSpec
from twinlab.widgets._poster import png

State = Literal["idle", "running", "paused"]
_EDGE = 128  # of a camera's picture on the page [pixel]
_COUNTED = ("spawned", "picked", "placed", "missed", "dropped", "stop")
_NEAR_IS_BRIGHT = (255 * colormaps["viridis_r"](np.arange(256))[:, :3]).astype(np.uint8)
_NOTHING = np.array([60, 60, 66], np.uint8)  # colour of depth where nothing is


class Controls:
    """Play, pause and stop; how far the run is; what was counted; what went wrong.

    Attributes:
        play, stop: the buttons.
        row: everything, for a panel.
    """

    def __init__(self) -> None:
        layout = ipywidgets.Layout(width="80px")
        self.play = ipywidgets.Button(description="Play", button_style="primary", layout=layout)
        self.stop = ipywidgets.Button(description="Stop", disabled=True, layout=layout, tooltip="End the run")
        self._bar = ipywidgets.FloatProgress(0.0, max=1.0, layout=ipywidgets.Layout(flex="1 1 80px", min_width="60px"))
        self._left = ipywidgets.HTML(layout=ipywidgets.Layout(width="150px"))
        self._status = ipywidgets.HTML()
        self._told = ipywidgets.HTML()
        self._since: tuple[float, int] | None = None  # when the run (re)started, and at which tick
        line = [self.play, self.stop, self._bar, self._left]
        self.row = ipywidgets.VBox([_row(line), self._status, self._told])
        self.state("idle")

    def state(self, state: State) -> None:
        """Let the buttons offer what can be done now."""
        self._since = None
        self.play.description = {"idle": "Play", "running": "Pause", "paused": "Resume"}[state]
        self.play.tooltip = {"idle": "Run the line from its start", "running": "Let it wait", "paused": "Go on"}[state]
        self.stop.disabled = state == "idle"
        if state != "running":
            self._left.value = _quiet(state if state == "paused" else "")

    def show(self, tick: int, ticks: int, seconds: float, counts: Mapping[str, int]) -> None:
        """How far the run is.

        Args:
            tick, ticks: done, and of how many.
            seconds: length of a tick [s].
            counts: kind of event → how many.
        """
        now = time.monotonic()
        self._bar.value = tick / ticks
        if self._since is None:
            self._since = (now, tick)
        done, spent = tick - self._since[1], now - self._since[0]
        if done and tick < ticks and not self.stop.disabled:
            self._left.value = _quiet(f"{(ticks - tick) * spent / done:.0f} s left, {done * seconds / spent:.2f}× time")
        time_ = f"<b>{tick * seconds:.2f}</b> of {ticks * seconds:g} s"
        shown = [k for k in _COUNTED if counts.get(k) or k != "stop"]
        told = "".join(f"<span>{k} <b>{counts.get(k, 0)}</b></span>" for k in shown)
        self._status.value = (
            '<div style="display:flex;flex-wrap:wrap;gap:2px 18px;font-variant-numeric:tabular-nums;line-height:1.6">'
            f"<span>{time_}</span>{told}</div>"
        )

    def tell(self, error: Exception | None) -> None:
        """Say what ended a run, or nothing."""
        text = "" if error is None else html.escape(f"The run ended: {type(error).__name__}: {error}")
        style = "color:var(--jp-error-color1,#c62828);line-height:1.5;white-space:pre-wrap"
        self._told.value = f'<div role="alert" style="{style}">{text}</div>' if text else ""


class Cameras:
    """The pictures of a line's cameras, colours and depth, as they come with the readings.

    Args:
        variables: what the readings hold; images and depths are shown.

    Attributes:
        box: the pictures with their names; empty if there are none.
    """

    def __init__(self, variables: Iterable[Variable]) -> None:
        shown = [v for v in variables if v.role == "reading" and v.kind in ("image", "depth")]
        self._kinds = {v.name: v.kind for v in shown}
        self._ranges: dict[str, tuple[float, float]] = {}
        self._pictures = {v.name: _picture(v) for v in shown}
        self._names = {name: ipywidgets.HTML(_quiet(name)) for name in self._kinds}
        cells = [ipywidgets.VBox([self._names[n], self._pictures[n]]) for n in self._kinds]
        across = f"repeat({min(2, max(1, len(cells)))}, {_EDGE}px)"
        layout = ipywidgets.Layout(
            grid_template_columns=across, grid_gap="2px 10px", flex="0 0 auto", margin="0 0 0 10px"
        )
        self.box = ipywidgets.GridBox(cells, layout=layout)

    def show(self, readings: Readings) -> None:
        """The pictures of a tick."""
        for name, kind in self._kinds.items():
            value = readings[name]
            rgb = value if kind == "image" else self._coloured(name, value)
            times = max(1, _EDGE // max(rgb.shape[:2]))
            self._pictures[name].value = png(rgb.repeat(times, axis=0).repeat(times, axis=1))

    def _coloured(self, name: str, depth: np.ndarray) -> np.ndarray:
        """Colours (row, column, 3) of depths [m]; the range grows with what was seen, so colours keep their meaning."""
        finite = np.isfinite(depth)
        if finite.any():
            low, high = float(depth[finite].min()), float(depth[finite].max())
            was = self._ranges.get(name, (low, high))
            now = (min(low, was[0]), max(high, was[1]))
            self._ranges[name] = now
            self._names[name].value = _quiet(f"{name}, {now[0]:.2f}–{now[1]:.2f} m")
        low, high = self._ranges.get(name, (0.0, 1.0))
        share = np.clip((np.where(finite, depth, high) - low) / max(high - low, 1e-9), 0, 1)
        return np.where(finite[..., None], _NEAR_IS_BRIGHT[(255 * share).astype(np.uint8)], _NOTHING)


def slider(spec: SceneSpec, path: str, ends: tuple[float, float]) -> ipywidgets.FloatSlider:
    """A slider for a value of a scene.

    Args:
        spec: the scene.
        path: what it moves, such as "bodies.belt.speed" or "belt.speed".
        ends: lowest and highest value.

    Raises:
        SceneError: there is no such value, or an end does not fit.
    """
    low, high = (float(end) for end in ends)
    for end in (low, high):
        spec.change({path: end})
    name, value, unit = _described(spec, path)
    return ipywidgets.FloatSlider(
        value, min=low, max=high, step=10 ** np.floor(np.log10(high - low)) / 20, readout_format=".3~g",
        description=name + (f" [{unit}]" if unit else ""), continuous_update=False,
        style={"description_width": "initial"}, layout=ipywidgets.Layout(width="min(420px, 100%)"),
    )  # fmt: skip


def beside(view: ipywidgets.DOMWidget, box: ipywidgets.Box) -> ipywidgets.Box:
    """The view with what stands beside it; below it where the page is narrow."""
    view.layout.flex, view.layout.min_width = "1 1 420px", "min(420px, 100%)"
    return _row([view, box], align="flex-start") if box.children else view


def _row(children: list[Any], align: str = "center") -> ipywidgets.Box:
    layout = ipywidgets.Layout(display="flex", flex_flow="row wrap", align_items=align, width="100%")
    return ipywidgets.Box(children, layout=layout)


def _picture(variable: Variable) -> ipywidgets.Image:
    rows, columns = variable.shape[:2]
    times = max(1, _EDGE // max(rows, columns))
    layout = ipywidgets.Layout(width=f"{min(_EDGE, columns * times)}px", object_fit="contain", margin="0")
    return ipywidgets.Image(format="png", layout=layout, tooltip=f"{variable.name}, live picture")


def _quiet(text: str) -> str:
    style = "font-size:12px;line-height:1.5;white-space:nowrap;opacity:0.75;font-variant-numeric:tabular-nums"
    return f'<span style="{style}">{html.escape(text)}</span>'


def _described(spec: SceneSpec, path: str) -> tuple[str, float, str]:
    """Of a value that is there: name for people, value, unit."""
    *way, key = path.split(".")
    if way and way[0] not in type(spec).model_fields:
        way.insert(0, next(room for room in ("bodies", "sensors", "cameras") if way[0] in getattr(spec, room)))
    part: Any = spec
    for step in way:
        part = part[step] if isinstance(part, Mapping) else getattr(part, step)
    unit = re.search(r"\[([^\]]+)\]$", type(part).model_fields[key].description or "")
    return (
        f"{way[-1] if way else spec.name} {key}".replace("_", " "),
        float(getattr(part, key)),
        unit[1] if unit else "",
    )
