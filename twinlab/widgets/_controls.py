"""What stands around the view in a panel: buttons, progress, counts, sliders."""

import html
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import ipywidgets
import numpy as np

from twinlab.scene import SceneSpec

State = Literal["idle", "running", "paused"]
_COUNTED = ("spawned", "picked", "placed", "missed", "dropped", "stop")


class Controls:
    """Run, pause and stop; how far the run is; what was counted; what went wrong.

    Attributes:
        start, stop: the buttons; the first also pauses and resumes.
        row: everything, for a panel.
    """

    def __init__(self) -> None:
        layout = ipywidgets.Layout(width="80px")
        self.start = ipywidgets.Button(description="Run", button_style="primary", layout=layout)
        self.stop = ipywidgets.Button(description="Stop", disabled=True, layout=layout, tooltip="End the run")
        self._bar = ipywidgets.FloatProgress(0.0, max=1.0, layout=ipywidgets.Layout(flex="1 1 80px", min_width="60px"))
        self._left = ipywidgets.HTML(layout=ipywidgets.Layout(width="175px"))
        self._status = ipywidgets.HTML()
        self._told = ipywidgets.HTML()
        self._since: tuple[float, int] | None = None  # when the run (re)started, and at which tick
        line = [self.start, self.stop, self._bar, self._left]
        self.row = ipywidgets.VBox([row(line), self._status, self._told])
        self.state("idle")

    def state(self, state: State) -> None:
        """Let the buttons offer what can be done now."""
        self._since = None
        self.start.description = {"idle": "Run", "running": "Pause", "paused": "Resume"}[state]
        self.start.tooltip = {"idle": "Start the line anew", "running": "Let it wait", "paused": "Go on"}[state]
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
            self._left.value = _quiet(
                f"{(ticks - tick) * spent / done:.0f} s left, {done * seconds / spent:.2f}× real time"
            )
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
        value, min=low, max=high, step=10 ** np.floor(np.log10(high - low)) / 20, readout_format=".3g",
        description=name + (f" [{unit}]" if unit else ""), continuous_update=False,
        style={"description_width": "initial"}, layout=ipywidgets.Layout(width="min(420px, 100%)"),
    )  # fmt: skip


def noted(notes: Sequence[str]) -> str:
    """HTML that tells what a line's robot files left open, folded up; "" if they left nothing open."""
    if not notes:
        return ""
    told = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    title = f"{len(notes)} note{'s' * (len(notes) > 1)} on robot files: defaults that were taken"
    return f'<details style="line-height:1.5"><summary>{title}</summary><ul style="margin:0">{told}</ul></details>'


def beside(view: ipywidgets.DOMWidget, pictures: ipywidgets.DOMWidget) -> ipywidgets.Box:
    """The view with the cameras' pictures beside it, or below it where the page is narrow."""
    view.layout.flex, view.layout.min_width = "3 1 420px", "min(420px, 100%)"
    pictures.layout.flex, pictures.layout.min_width = "1 1 250px", "min(250px, 100%)"
    return row([view, pictures], align="flex-start")


def row(children: list[Any], align: str = "center", gap: str = "8px") -> ipywidgets.Box:
    """Widgets side by side, broken into lines where the page is narrow."""
    layout = ipywidgets.Layout(display="flex", flex_flow="row wrap", align_items=align, width="100%", grid_gap=gap)
    return ipywidgets.Box(children, layout=layout)


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
