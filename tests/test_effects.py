"""Effects: what each costs is what one works out, and a switch turns on that one alone."""

import numpy as np
import pytest
import xarray as xr

from twinlab import effects
from twinlab.errors import CellError
from twinlab.scene import SceneSpec

IN_VIEW = {"feeder.position": [0.53, 0.3, 0.12], "feeder.first": 0.05, "feeder.period": 0.4, "feeder.jitter": 0.0}
SENSOR = "overhead_depth"
ENDS = ("position", "look_at")


@pytest.fixture(scope="module")
def spec(sorting) -> SceneSpec:
    """The sorting line whose feeder drops its parts where the overhead camera looks."""
    return sorting.change(IN_VIEW)


def test_an_ideal_depth_tells_the_belt_where_it_is(spec):
    with effects.moment(effects.with_only(effects.lone(spec, SENSOR), SENSOR, ()), SENSOR, 1, 2) as cell:
        found = effects.plane_error(cell, SENSOR)
    assert found["offset"] == pytest.approx(0, abs=2e-4)
    assert found["tilt"] == pytest.approx(0, abs=1e-3)
    assert found["holes"] == 0


def test_a_calibration_that_is_too_high_shows_the_belt_too_high_by_as_much(spec):
    plain = effects.with_only(effects.lone(spec, SENSOR), SENSOR, ())
    camera = spec.cameras["overhead"]
    lifted = {f"cameras.overhead.{key}": [*getattr(camera, key)[:2], getattr(camera, key)[2] + 0.01] for key in ENDS}
    with effects.moment(plain, SENSOR, 1, 2) as seen, effects.moment(plain.change(lifted), SENSOR, 1, 2) as wrong:
        right = effects.plane_error(seen, SENSOR)["offset"]
        wrong.readings = seen.readings
        assert effects.plane_error(wrong, SENSOR)["offset"] - right == pytest.approx(0.01, abs=2e-4)


def test_costs_tell_each_effect_alone_and_all_together(spec):
    found = effects.costs(spec, SENSOR, [effects.plane_error], [1, 2], ticks=3, effects=("noise", "shadow"))
    assert found["effect"].values.tolist() == ["none", "noise", "shadow", "all"]
    assert found["seed"].values.tolist() == [1, 2]
    rough, holes = found["roughness"].mean("seed"), found["holes"].mean("seed")
    assert float(rough.sel(effect="noise")) > 3 * float(rough.sel(effect="none"))
    assert float(holes.sel(effect="noise")) == 0 < float(holes.sel(effect="shadow")) < float(holes.sel(effect="all"))


def test_costs_as_text_have_intervals_over_seeds_in_units_that_people_read():
    values = (("effect", "seed"), np.array([[0.001, 0.001], [0.001, 0.003]]))
    found = xr.Dataset({"offset": values, "tilt": values}, {"effect": ["none", "noise"], "seed": [0, 1]})
    assert effects.rows(found) == [
        {"effect": "none", "offset [mm]": "1.00 [1.00, 1.00]", "tilt [°]": "0.06 [0.06, 0.06]"},
        {"effect": "noise", "offset [mm]": "2.00 [1.00, 3.00]", "tilt [°]": "0.11 [0.06, 0.17]"},
    ]


def test_effects_that_change_nothing_are_left_out(spec):
    found = effects.costs(spec, SENSOR, [effects.plane_error], [1], ticks=2)
    assert "jitter" not in found["effect"].values and "noise" in found["effect"].values


def test_registration_of_a_clean_cloud_with_itself_moves_nothing_and_noise_moves_it(spec):
    found = effects.costs(spec, SENSOR, [effects.registration_error], [1, 2], ticks=12, effects=("noise",))
    assert float(found["shift"].sel(effect="none").max()) < 1e-4
    assert float(found["shift"].sel(effect="noise").mean()) > float(found["shift"].sel(effect="none").mean())


def test_the_names_of_effects_are_those_that_the_scene_gives_a_strength(spec):
    assert "dropout" not in effects.names(spec, SENSOR)
    lossy = spec.change({f"sensors.{SENSOR}.dropout": 0.1, "cameras.overhead.place_error": 0.0})
    assert {"noise", "dropout", effects.CAMERA} <= set(effects.names(lossy, SENSOR))
    assert effects.CAMERA not in effects.names(spec, "encoder")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda spec: effects.lone(spec, "overhead_deth"), "Did you mean 'overhead_depth'"),
        (lambda spec: effects.with_only(spec, SENSOR, ["nois"]), "Did you mean 'noise'"),
        (
            lambda spec: effects.costs(spec, "overhead_rgb", [effects.plane_error], [1], 1, effects=()),
            "kind 'image'; wanted a depth sensor",
        ),
    ],
)
def test_what_does_not_fit_is_an_error_that_says_so(spec, call, said):
    with pytest.raises(CellError, match=said):
        call(spec)
