"""The panel of a sensor's effects: switches and sliders do what they say, and what goes wrong is told."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from twinlab import effects
from twinlab.errors import CellError, SceneError
from twinlab.scene import SceneSpec
from twinlab.widgets.sensor_panel import SensorPanel

DEPTH, COLOUR = "overhead_depth", "overhead_rgb"


@pytest.fixture(scope="module")
def spec(sorting) -> SceneSpec:
    """The sorting line whose feeder drops its parts where the overhead camera looks."""
    return sorting.change({"feeder.position": [0.53, 0.3, 0.12], "feeder.first": 0.05, "feeder.period": 0.4})


def shown(panel: SensorPanel) -> list[np.ndarray]:
    """The pictures clean, measured and difference."""
    height, width = 48, 112
    pixels = np.frombuffer(panel._pictures._pixels, np.uint8).reshape(3, height, width, 3)
    return list(pixels)


def test_with_all_switches_off_the_measured_picture_is_the_clean_one(spec):
    panel = SensorPanel(spec, DEPTH, ticks=3)
    assert panel.errors["holes"] > 0
    clean, measured, apart = shown(panel)
    assert (clean != measured).any() and len(np.unique(apart.reshape(-1, 3), axis=0)) > 2
    panel.turn(())
    clean, measured, apart = shown(panel)
    assert (clean == measured).all() and len(np.unique(apart.reshape(-1, 3), axis=0)) == 1
    assert panel.errors["holes"] == 0 and abs(panel.errors["offset"]) < 3e-4


def test_a_switch_measures_anew_with_its_effect_alone_and_a_slider_with_its_value(spec):
    path = f"sensors.{DEPTH}.subpixel"
    panel = SensorPanel(spec, DEPTH, sliders={path: (0.0, 1.0)}, ticks=3)
    panel.turn(())
    still = panel.errors["roughness"]
    panel.switches["noise"].value = True
    noisy = panel.errors["roughness"]
    assert noisy > 2 * still
    (slider,) = panel._sliders.values()
    slider.value = 3 * slider.value
    assert panel.errors["roughness"] > 2 * noisy
    assert panel.spec.sensors[DEPTH].subpixel == slider.value
    assert "noise" not in panel.spec.sensors[DEPTH].off and "shadow" in panel.spec.sensors[DEPTH].off


def test_a_panel_is_a_page_and_a_picture_for_readers_without_a_kernel(spec):
    panel = SensorPanel(spec, DEPTH, ticks=1)
    page = panel.to_html()
    assert "roughness" in page and "http" not in page.replace("http-equiv", "")
    with Image.open(io.BytesIO(base64.b64decode(panel._repr_mimebundle_()["image/png"]))) as picture:
        assert picture.size == (3 * 336 + 16, 144) and np.asarray(picture).std() > 10
    assert re.search(r'src="data:image/png;base64,[\w+/=]{1000,}"', page)


def test_colours_have_a_panel_too(spec):
    panel = SensorPanel(spec, COLOUR, ticks=2)
    loud = panel.errors["rms"]
    panel.turn({"exposure"})
    assert 0 < panel.errors["rms"] < loud
    assert {"shot", "blur", effects.CAMERA} <= set(panel.switches)


def test_what_goes_wrong_while_measuring_stands_in_the_panel(spec):
    def wrong(cell, sensor):
        raise CellError("no luck <today>")

    panel = SensorPanel(spec, DEPTH, ticks=1, errors=(wrong,))
    assert "CellError: no luck &lt;today&gt;" in panel._status.value


@pytest.mark.parametrize(
    ("sensor", "sliders", "error", "said"),
    [
        ("encoder", {}, CellError, "this panel shows sensors that give one picture"),
        ("overhead_deth", {}, CellError, "Did you mean 'overhead_depth'"),
        (DEPTH, {f"sensors.{DEPTH}.subpixel": (-1, 1)}, SceneError, "subpixel"),
    ],
)
def test_what_does_not_fit_is_an_error_that_says_so(spec, sensor, sliders, error, said):
    with pytest.raises(error, match=said):
        SensorPanel(spec, sensor, sliders=sliders)


def test_an_effect_that_is_none_is_an_error_and_changes_no_switch(spec):
    panel = SensorPanel(spec, DEPTH, ticks=1)
    with pytest.raises(CellError, match="Did you mean 'noise'"):
        panel.turn(("noize",))
    assert all(switch.value for switch in panel.switches.values())
