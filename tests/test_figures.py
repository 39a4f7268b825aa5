"""A figure with controls: a control draws it anew, what goes wrong is told, and readers without a kernel see it."""

import io

import ipywidgets
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from twinlab.widgets.figures import Figures


def line(end: int, grid: bool = False) -> Figure:
    if end > 5:
        raise ValueError("end came as <6>")
    figure, axes = plt.subplots(figsize=(3, 2))
    axes.plot([0, end], [0, 1])
    axes.grid(grid)
    plt.close(figure)
    return figure


def test_a_control_draws_the_figure_anew_and_what_goes_wrong_stands_below():
    shown = Figures(line, end=ipywidgets.IntSlider(2, 0, 9), grid=ipywidgets.Checkbox(False))
    assert repr(shown) == "Figures(end, grid)" and shown.values == {"end": 2, "grid": False}
    first = shown.to_png()
    shown.controls["end"].value = 5
    second = shown.to_png()
    assert first != second
    shown.controls["end"].value = 6
    assert shown.to_png() == second and "ValueError: end came as &lt;6&gt;" in shown._status.value
    shown.controls["end"].value = 2
    assert shown.to_png() == first and shown._status.value == ""


def test_a_figure_is_a_page_and_a_picture_for_readers_without_a_kernel():
    shown = Figures(line, end=ipywidgets.IntSlider(2, 0, 9))
    with Image.open(io.BytesIO(shown.to_png())) as picture:
        assert picture.size == (300, 200)
    page = shown.to_html()
    assert "end: 2" in page and "http" not in page.replace("http-equiv", "")
    assert "image/png" in shown._repr_mimebundle_()
