"""A report: one HTML file with a headline, the 3D replay, tables, figures and where it all comes from."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from twinlab.errors import StoreError
from twinlab.widgets import _page
from twinlab.widgets.scene_view import SceneView

Part: TypeAlias = str | Figure | SceneView | xr.Dataset | pd.DataFrame | Sequence[Mapping[str, Any]]
_LARGE = 300_000  # a figure whose SVG is larger than this [byte] comes as PNG


@dataclass(frozen=True, eq=False)
class Report:
    """One page that opens from a file, with no request to any network.

    Attributes:
        title: the page's.
        view: the replay at its top, None for none.
        sections: heading → what stands under it: a text (blank lines part its paragraphs), a table (a dataset, a data
            frame or a sequence of mappings, one a row), a figure of matplotlib, a view, or a list of these.
        lead: the answer in a sentence or two, under the title.
        headline: name → value of the few figures that matter most.
        settings: where it comes from: scene, digest, seeds, versions; mappings may be nested.
    """

    title: str
    view: SceneView | None = None
    sections: Mapping[str, Part | list[Part]] = field(default_factory=dict)
    lead: str = ""
    headline: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_html(self) -> str:
        """The page."""
        parts = {heading: [_shown(p, heading) for p in _list(content)] for heading, content in self.sections.items()}
        return _page.fill(
            "report.html.jinja",
            title=self.title,
            lead=_paragraphs(self.lead),
            headline=self.headline,
            scene=None if self.view is None else self.view.scene(),
            sections=parts,
            settings=list(_flat(self.settings)),
        )


def report(
    path: str | Path,
    title: str,
    view: SceneView | None = None,
    sections: Mapping[str, Part | list[Part]] | None = None,
    lead: str = "",
    headline: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """Write a `Report` to a file, whole or not at all; its folder is made if need be.

    Raises:
        StoreError: the file cannot be written.
    """
    path = Path(path)
    page = Report(title, view, sections or {}, lead, headline or {}, settings or {}).to_html()
    draft = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(page, encoding="utf-8")
        draft.replace(path)
    except OSError as told:
        raise StoreError(
            f"report: cannot write {str(path)!r} ({told}); is the disk full, or the folder yours?"
        ) from told
    return path


def _list(content: Part | list[Part]) -> list[Any]:
    """The parts of a section; a list of mappings is one part, a table."""
    if isinstance(content, list) and not all(isinstance(row, Mapping) for row in content):
        return content
    return [content]


def _shown(part: Any, heading: str) -> dict[str, Any]:
    """What the template needs of one part."""
    if isinstance(part, str):
        return {"kind": "text", "paragraphs": _paragraphs(part)}
    if isinstance(part, Figure):
        return {"kind": "figure", "source": _picture(part), "alt": _alt(part, heading)}
    if isinstance(part, SceneView):
        return {"kind": "scene", "scene": part.scene()}
    columns, rows = _table(part)
    numbers = [all(_is_number(row[i]) for row in rows) for i in range(len(columns))]
    return {"kind": "table", "columns": columns, "numbers": numbers, "rows": [[_text(x) for x in row] for row in rows]}


def _paragraphs(text: str) -> list[str]:
    return [p.strip() for p in text.split("\n\n") if p.strip()]


def _table(part: Any) -> tuple[list[str], list[list[Any]]]:
    """Names of columns and rows of values."""
    if isinstance(part, xr.Dataset):
        return _dataset(part)
    if isinstance(part, pd.DataFrame):
        frame = part if isinstance(part.index, pd.RangeIndex) else part.reset_index()
        return [str(c) for c in frame.columns], frame.to_numpy(object).tolist()
    rows = [dict(row) for row in part]
    columns = list(dict.fromkeys(key for row in rows for key in row))  # in the order of their first appearance
    return [str(c) for c in columns], [[row.get(c, "") for c in columns] for row in rows]


def _dataset(data: xr.Dataset) -> tuple[list[str], list[list[Any]]]:
    """A row for each place along the dims, a column a variable; mean, low and high of a dim `statistic` become one."""
    data = data.map(_interval)
    rows = data.to_dataframe().reset_index() if data.sizes else pd.DataFrame([{n: a.item() for n, a in data.items()}])
    units = {str(name): str(array.attrs.get("units", "1")) for name, array in data.variables.items()}
    names = [str(c) for c in rows.columns]
    columns = [name if units.get(name, "1") in ("1", "") else f"{name} [{units[name]}]" for name in names]
    return columns, rows.to_numpy(object).tolist()


def _interval(array: xr.DataArray) -> xr.DataArray:
    """Values with a dim `statistic` as texts such as "0.93 [0.88, 0.97]"; others as they are."""
    if "statistic" not in array.dims:
        return array
    three = array.transpose(..., "statistic").sel(statistic=["mean", "low", "high"])
    told = np.empty(three.shape[:-1], object)
    for place in np.ndindex(told.shape):
        mean, low, high = (_text(float(x)) for x in three.values[place])
        told[place] = mean if low == "–" else f"{mean} [{low}, {high}]"
    return xr.DataArray(told, dims=three.dims[:-1], attrs=array.attrs)


def _picture(figure: Figure) -> str:
    """A figure as a data URL."""
    out = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "twinlab"}):  # the same figure gives the same text
        figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None})
    kind = "svg+xml"
    if out.tell() > _LARGE:
        out, kind = io.BytesIO(), "png"
        figure.savefig(out, format="png", bbox_inches="tight", dpi=160)
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"


def _alt(figure: Figure, heading: str) -> str:
    """What a figure shows, from its titles and the names of its axes."""
    told = [figure.get_suptitle(), *(a.get_title() for a in figure.axes)]
    told += [f"{a.get_ylabel()} over {a.get_xlabel()}" for a in figure.axes if a.get_ylabel() and a.get_xlabel()]
    return "; ".join(dict.fromkeys(t for t in told if t)) or heading


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _text(value: Any) -> str:
    """A value for a reader: four significant digits, a dash where there is none."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    return str(value)


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, str]]:
    """Dotted name and text of every setting."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", _text(value)
