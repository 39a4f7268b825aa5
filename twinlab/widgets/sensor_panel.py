"""A sensor's effects under one's hands: clean and measured picture side by side, a switch for each effect, sliders."""

import base64
import html
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ipywidgets
import numpy as np
from PIL import Image

from twinlab import effects
from twinlab.cell import Action, Cell
from twinlab.effects import Error
from twinlab.errors import CellError
from twinlab.readings import Variable
from twinlab.scene import SceneSpec
from twinlab.widgets import _page
from twinlab.widgets._cameras import Cameras, coloured
from twinlab.widgets._controls import row, slider
from twinlab.widgets._poster import png

_SHOWN = ("clean", "measured", "difference")
_WORST = 0.02  # a depth that is wrong by this is drawn as the strongest colour [m]


class SensorPanel(ipywidgets.VBox):
    """What a camera's sensor measures of one moment of a line: `SensorPanel(spec, "overhead_depth")`.

    Each switch turns one effect on or off, each slider moves one value of the scene; the same moment is then measured
    anew, which takes some tenths of a second, and its errors are told.

    Args:
        spec: the line.
        sensor: one that gives a picture of colours or of depth.
        sliders: what can be changed, as `SceneSpec.change` names it → lowest and highest value.
        seed: of the line.
        ticks: how long it runs until the moment.
        action: what is done meanwhile.
        errors: what is told of the picture; by default what fits its kind.

    Attributes:
        switches: effect → its switch.
        errors: name → value of the picture that is shown.

    Raises:
        CellError: no such sensor, or one that gives no picture.
        SceneError: a slider's name is unknown, or an end of its range does not fit.
    """

    def __init__(
        self,
        spec: SceneSpec,
        sensor: str,
        sliders: Mapping[str, tuple[float, float]] | None = None,
        seed: int = 0,
        ticks: int = 20,
        action: Action | None = None,
        errors: Iterable[Error] | None = None,
    ) -> None:
        self._spec, self._sensor = effects.lone(spec, sensor), sensor
        self._when: tuple[int, int, Action | None] = (int(seed), int(ticks), action)
        self._sliders = {path: slider(self._spec, path, ends) for path, ends in (sliders or {}).items()}
        names = effects.names(self._spec, sensor)
        self.switches = {name: _switch(name) for name in names}
        with effects.moment(self._spec, sensor, seed, 0) as cell:
            variable = _picture(cell, sensor)
        self._kind = variable.kind
        chosen = (effects.picture_error,) if variable.kind == "image" else effects.OF_DEPTH
        self._told = tuple(errors) if errors is not None else chosen
        shape = (*variable.shape[:2], 3)
        self._pictures = Cameras(
            Variable(n, ("row", "column", "channel"), shape, "uint8", "1", "image") for n in _SHOWN
        )
        self._status = ipywidgets.HTML()
        self._drawn: tuple[np.ndarray, ...] = (np.zeros(shape, np.uint8),) * 3
        self._turning = False  # several switches at once: measured when all have moved
        for one in (*self.switches.values(), *self._sliders.values()):
            one.observe(lambda _: self._measure(), "value")
        self._pictures.layout = ipywidgets.Layout(width="100%", grid_template_columns="repeat(3, 1fr)")
        both = [_button("All", lambda: self.turn(names)), _button("None", lambda: self.turn(()))]
        values = ipywidgets.VBox([*self._sliders.values()], layout=ipywidgets.Layout(flex="0 1 440px"))
        switches = row([*both, *self.switches.values()], gap="2px 14px")
        self._measure()
        rows = [self._pictures, switches, row([values, self._status], "flex-start", "4px 40px")]
        super().__init__(rows, layout=ipywidgets.Layout(width="100%"))

    def __repr__(self) -> str:
        return f"SensorPanel({', '.join([self._spec.name, self._sensor, *self._sliders])})"

    @property
    def spec(self) -> SceneSpec:
        """The line with this sensor alone, and what switches and sliders say."""
        moved = self._spec.change({path: slider.value for path, slider in self._sliders.items()})
        return effects.with_only(moved, self._sensor, [name for name, one in self.switches.items() if one.value])

    def turn(self, on: Iterable[str]) -> None:
        """Let just these effects be on.

        Raises:
            CellError: there is no such effect.
        """
        on = set(on)
        effects.with_only(self._spec, self._sensor, on)  # says what does not fit
        self._turning = True
        try:
            for name, switch in self.switches.items():
                switch.value = name in on
        finally:
            self._turning = False
        self._measure()

    def to_png(self) -> bytes:
        """The three pictures side by side, each about 300 pixels wide."""
        size = max(1, round(300 / self._drawn[0].shape[1]))
        large = [np.kron(picture, np.ones((size, size, 1), np.uint8)) for picture in self._drawn]
        rim = np.full((large[0].shape[0], 8, 3), 255, np.uint8)
        return png(Image.fromarray(np.concatenate([large[0], rim, large[1], rim, large[2]], axis=1)))

    def to_html(self) -> str:
        """One self-contained page with what is shown now: it opens from a file and asks no network."""
        return _page.fill(
            "sensor_panel.html.jinja",
            title=f"twinlab: {self!r}",
            shown=", ".join(_SHOWN),
            picture=base64.b64encode(self.to_png()).decode(),
            effects=", ".join(name for name, switch in self.switches.items() if switch.value) or "none",
            errors=_table(self.errors),
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        shown = super()._repr_mimebundle_() or {}
        return dict(shown) | {"image/png": base64.b64encode(self.to_png()).decode()}

    def _measure(self) -> None:
        """Measure the moment anew and show it; what goes wrong stands in the panel."""
        if self._turning:
            return
        seed, ticks, action = self._when
        try:
            with effects.moment(self.spec, self._sensor, seed, ticks, action) as cell:
                self.errors = effects.told(cell, self._sensor, self._told)
                self._show(cell.truth[f"{self._sensor}_clean"], cell.readings[self._sensor])
        except Exception as told:
            self._status.value = _alert(f"{type(told).__name__}: {told}")
            return
        self._status.value = _table(self.errors)

    def _show(self, clean: np.ndarray, measured: np.ndarray) -> None:
        if self._kind == "image":
            apart = np.abs(measured.astype(np.int16) - clean)
            pictures = (clean, measured, np.clip(4 * apart, 0, 255).astype(np.uint8))
        else:
            seen = clean[np.isfinite(clean)]
            low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 1.0)
            both = np.isfinite(clean) & np.isfinite(measured)
            apart = np.where(both, np.abs(np.where(both, measured, 0) - np.where(both, clean, 0)), np.inf)
            pictures = (coloured(clean, low, high), coloured(measured, low, high), coloured(_WORST - apart, 0, _WORST))
        self._drawn = pictures
        self._pictures.show(dict(zip(_SHOWN, pictures, strict=True)))


def _picture(cell: Cell, sensor: str) -> Variable:
    for variable in cell.variables:
        if variable.name == sensor and variable.kind in ("image", "depth") and len(variable.dims) < 4:
            return variable
    kinds = [v.kind for v in cell.variables if v.name.startswith(sensor)]
    raise CellError(f"{sensor!r} gives {kinds}; this panel shows sensors that give one picture of colours or depth")


def _switch(name: str) -> ipywidgets.Checkbox:
    return ipywidgets.Checkbox(True, description=name, indent=False, layout=ipywidgets.Layout(width="auto"))


def _button(name: str, act: Callable[[], None]) -> ipywidgets.Button:
    made = ipywidgets.Button(description=name, layout=ipywidgets.Layout(width="64px"))
    made.on_click(lambda _: act())
    return made


def _table(errors: Mapping[str, float]) -> str:
    """Rows of name and value, in units that people read."""
    rows = []
    for name, value in errors.items():
        unit, size = effects.UNITS.get(name, ("", 1.0))
        told = "–" if not np.isfinite(value) else f"{value * size:.2f} {unit}"
        rows.append(f"<tr><td style='padding-right:14px'>{html.escape(name)}</td><td><b>{told}</b></td></tr>")
    return f"<table style='font-variant-numeric:tabular-nums;line-height:1.5'>{''.join(rows)}</table>"


def _alert(text: str) -> str:
    style = "color:var(--jp-error-color1,#c62828);line-height:1.5;white-space:pre-wrap"
    return f'<div role="alert" style="{style}">{html.escape(text)}</div>'
