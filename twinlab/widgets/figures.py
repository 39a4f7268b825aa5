"""A figure under one's hands: each control is an argument of the function that draws it."""

import base64
import html
import io
from collections.abc import Callable
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from twinlab.widgets import _page
from twinlab.widgets._controls import row


class Figures(ipywidgets.VBox):
    """A figure that is drawn anew when a control is moved: `Figures(draw, at=ipywidgets.IntSlider(90, 0, 200))`.

    What goes wrong while drawing stands below the figure, which stays as it was.

    Args:
        draw: gives the figure, from the values of all controls by name.
        controls: any widgets with a value.

    Attributes:
        controls: by name.
    """

    def __init__(self, draw: Callable[..., Figure], **controls: Any) -> None:
        self._draw, self.controls = draw, controls
        self._picture = ipywidgets.Image(format="png", layout=ipywidgets.Layout(width="min(900px, 100%)"))
        self._status = ipywidgets.HTML()
        self._picture.value = _png(draw(**self.values))
        for control in controls.values():
            control.observe(lambda _: self._again(), "value")
        rows = [row([*controls.values()], "flex-start", "4px 40px"), self._picture, self._status]
        super().__init__(rows, layout=ipywidgets.Layout(width="100%"))

    def __repr__(self) -> str:
        return f"Figures({', '.join(self.controls)})"

    @property
    def values(self) -> dict[str, Any]:
        """Of all controls, by name."""
        return {name: control.value for name, control in self.controls.items()}

    def to_png(self) -> bytes:
        """The figure that is shown now."""
        return bytes(self._picture.value)

    def to_html(self) -> str:
        """One self-contained page with what is shown now: it opens from a file and asks no network."""
        chosen = ", ".join(f"{name}: {value}" for name, value in self.values.items())
        picture = base64.b64encode(self.to_png()).decode()
        return _page.fill("figures.html.jinja", title=f"twinlab: {self!r}", picture=picture, chosen=chosen)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        shown = super()._repr_mimebundle_() or {}
        return dict(shown) | {"image/png": base64.b64encode(self.to_png()).decode()}

    def _again(self) -> None:
        try:
            self._picture.value = _png(self._draw(**self.values))
        except Exception as told:
            text = html.escape(f"{type(told).__name__}: {told}")
            self._status.value = f'<div role="alert" style="color:var(--jp-error-color1,#c62828)">{text}</div>'
            return
        self._status.value = ""


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=100, facecolor="white")
    return out.getvalue()
