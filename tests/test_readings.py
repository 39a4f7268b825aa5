"""Readings: the check names the variable, what came and what was wanted."""

import numpy as np
import pytest

from twinlab.errors import ReadingsError
from twinlab.readings import Contract, Variable

TCP = Variable("tcp", ("tcp_axis",), (4,), "float32", "m m m rad", "vector", labels=("x", "y", "z", "yaw"))
DEPTH = Variable("depth", ("row", "column"), (2, 3), "float32", "m", "depth")
BEAM = Variable("beam", (), (), "bool", "1", "pulse")
ALL = (TCP, DEPTH, BEAM)


def good() -> dict[str, np.ndarray]:
    return {"tcp": np.zeros(4, np.float32), "depth": np.ones((2, 3), np.float32), "beam": np.array(True)}


def told(readings: dict[str, np.ndarray], variables=ALL) -> str:
    with pytest.raises(ReadingsError) as caught:
        Contract(variables).check(readings)
    return str(caught.value)


def test_readings_as_declared_pass_in_any_order():
    Contract(ALL).check(good())
    Contract(iter(reversed(ALL))).check(good())
    Contract(()).check({})


def test_a_missing_variable_is_named_beside_what_came():
    message = told({name: value for name, value in good().items() if name != "beam"})
    assert "'beam' is missing" in message and "came ['depth', 'tcp']" in message


def test_a_variable_that_was_never_declared_is_named_with_the_nearest():
    message = told({**good(), "tpc": np.zeros(4, np.float32)})
    assert "'tpc' was never declared" in message
    assert "declared are ['beam', 'depth', 'tcp']" in message
    assert message.endswith("Did you mean 'tcp'?")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("tcp", np.zeros(3, np.float32), "'tcp': came float32 of shape (3,), wanted float32 of shape (4,)"),
        ("tcp", np.zeros((1, 4), np.float32), "'tcp': came float32 of shape (1, 4), wanted float32 of shape (4,)"),
        ("tcp", np.zeros(4), "'tcp': came float64 of shape (4,), wanted float32 of shape (4,) ('tcp_axis',)"),
        ("depth", np.ones((3, 2), np.float32), "'depth': came float32 of shape (3, 2), wanted float32 of shape (2, 3)"),
        ("beam", np.array(1), "'beam': came int64 of shape (), wanted bool of shape ()"),
    ],
)
def test_another_shape_or_type_says_what_came_and_what_was_wanted(name, value, words):
    assert words in told({**good(), name: value})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_not_finite_is_named(bad):
    assert "'tcp' holds a value that is not finite" in told({**good(), "tcp": np.full(4, bad, np.float32)})


def test_depth_may_be_infinite_where_nothing_is_but_never_nan():
    Contract(ALL).check({**good(), "depth": np.full((2, 3), np.inf, np.float32)})
    assert "'depth' holds a value" in told({**good(), "depth": np.full((2, 3), np.nan, np.float32)})


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "bool", "float32"])
def test_every_type_of_number_can_be_checked(dtype):
    Contract([Variable("one", ("axis",), (2,), dtype, "1", "vector")]).check({"one": np.zeros(2, dtype)})


def test_a_variable_is_a_reading_unless_it_says_otherwise():
    assert (TCP.role, BEAM.labels, BEAM.given) == ("reading", (), "")
