"""Units: a bare number is SI, a text with a unit is converted, a wrong one is an error that says where."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlab.errors import SceneError
from twinlab.units import to_si

WHERE = "line.toml: [bodies.belt] speed"
SPEED = "speed of the surface [m/s]"


@pytest.mark.parametrize(
    ("text", "description", "value"),
    [
        ("100 mm/s", SPEED, 0.1),
        ("100mm/s", SPEED, 0.1),
        ("6 m/min", SPEED, 0.1),
        ("3.6 km/h", SPEED, 1.0),
        ("-2.5e1 cm/s", SPEED, -0.25),
        (".5 m/s", SPEED, 0.5),
        ("90 deg", "turn about z [rad]", math.pi / 2),
        ("240 Hz", "steps per second [Hz]", 240.0),
        ("50 ms", "length of a tick [s]", 0.05),
        ("1.5 min", "a time [s]", 90.0),
        ("80 g", "mass of a part [kg]", 0.08),
        ("2 kN", "highest force [N]", 2000.0),
        ("9.81 m/s^2", "along z [m/s^2]", 9.81),
        ("12 N*mm", "highest torque [N m]", 0.012),
        ("10 %", "share of defective parts [1]", 0.1),
    ],
)
def test_a_text_with_a_unit_becomes_a_number_in_the_unit_of_its_field(text, description, value):
    assert to_si(text, description, WHERE) == pytest.approx(value, abs=1e-12)


@given(st.floats(-1e6, 1e6).map(lambda x: round(x, 3)))
def test_millimetres_are_a_thousandth_of_the_bare_number(number):
    assert to_si(f"{number} mm", "an edge [m]", WHERE) == pytest.approx(number / 1000, abs=1e-9)


def test_conversion_leaves_no_dust_behind_the_number():
    assert to_si("100 mm/s", SPEED, WHERE) == 0.1
    assert to_si("150 mm/s", SPEED, WHERE) == 0.15


def test_each_number_of_a_list_is_converted_by_itself():
    assert to_si(["10 cm", 0.2, "300 mm"], "centre [m]", WHERE) == [0.1, 0.2, 0.3]
    assert to_si([["1 cm"], []], "corners [m]", WHERE) == [[0.01], []]


@pytest.mark.parametrize("value", [0.1, 3, True, None, "fast", "arm/hand", "", {"red": "1 mm"}])
def test_what_is_no_quantity_comes_back_as_it_came(value):
    assert to_si(value, SPEED, WHERE) is value


@pytest.mark.parametrize("description", ["", "which camera", "x, y, z [m], yaw [rad] at start"])
def test_a_field_without_one_unit_at_its_end_converts_nothing(description):
    assert to_si("100 mm", description, WHERE) == "100 mm"


def test_a_unit_of_another_dimension_says_where_what_came_and_what_was_wanted():
    with pytest.raises(SceneError) as told:
        to_si("0.1 kg", SPEED, WHERE)
    assert str(told.value).startswith(f"{WHERE}: came '0.1 kg'; wanted a value in m/s")
    assert "[mass]" in str(told.value) and "[length] / [time]" in str(told.value)


def test_an_unknown_unit_is_named():
    with pytest.raises(SceneError, match=r"came '3 blorps'; wanted a number or a value in m/s \('blorps' is not def"):
        to_si("3 blorps", SPEED, WHERE)


def test_a_wrong_unit_within_a_list_is_found():
    with pytest.raises(SceneError, match="came '2 s'; wanted a value in m, and"):
        to_si([0.1, "2 s"], "centre [m]", WHERE)


@pytest.mark.parametrize("text", ["1 (m/s", "1 m/s)", "1 m**", "1 m/s mm", "1 m &", "1 'm'"])
def test_a_text_that_is_no_unit_is_told_and_not_a_parsers_complaint(text):
    with pytest.raises(SceneError, match="x: came"):
        to_si(text, "speed [m/s]", "x")
