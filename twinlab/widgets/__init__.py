"""Widgets: one view per file; the only place that imports ipywidgets, anywidget or a 3D viewer."""

from typing import Protocol


class Page(Protocol):
    """What every widget can also be: a page that lives without a kernel and without a network."""

    def to_html(self) -> str:
        """One self-contained HTML document; nothing in it is fetched from anywhere."""
        ...
