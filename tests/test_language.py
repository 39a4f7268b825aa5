"""Meaning: a goal as slots says where each item belongs."""

import dataclasses

import pytest

from twinlab.language import Meaning

BINS = {"red": "left", "blue": "right", "cube": "left", "cylinder": "right"}
RED_CYLINDER = {"colour": "red", "shape": "cylinder"}
BLUE_CUBE = {"colour": "blue", "shape": "cube"}


@pytest.mark.parametrize(
    ("attribute", "properties", "place"),
    [
        ("colour", RED_CYLINDER, "left"),
        ("shape", RED_CYLINDER, "right"),
        ("colour", BLUE_CUBE, "right"),
        ("shape", BLUE_CUBE, "left"),
    ],
)
def test_only_the_property_that_the_goal_names_decides_the_place(attribute, properties, place):
    assert Meaning("sort", attribute, BINS, "scrap").place(properties, defective=False) == place


def test_a_defective_item_belongs_to_scrap_whatever_its_properties():
    meaning = Meaning("sort", "colour", BINS, "scrap")
    assert {meaning.place(p, defective=True) for p in (RED_CYLINDER, BLUE_CUBE, {})} == {"scrap"}


def test_without_scrap_a_defect_makes_no_difference():
    assert Meaning("sort", "colour", BINS).place(RED_CYLINDER, defective=True) == "left"


def test_what_the_goal_does_not_name_belongs_nowhere():
    meaning = Meaning("sort", "colour", BINS, "scrap")
    assert meaning.place({"colour": "green"}, defective=False) == ""
    assert meaning.place({"shape": "cube"}, defective=False) == ""
    assert Meaning("sort", "colour").place(RED_CYLINDER, defective=False) == ""


def test_a_meaning_is_data_equal_by_its_slots_and_fixed():
    assert Meaning("sort", "colour", dict(BINS), "scrap") == Meaning("sort", "colour", dict(BINS), "scrap")
    assert Meaning("sort", "colour", BINS) != Meaning("sort", "shape", BINS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Meaning("sort", "colour").attribute = "shape"


CENTRES = {"left": (0.2, 0.3, 0.1), "right": (0.2, -0.3, 0.1), "scrap": (0.5, 0.0, 0.1)}
KINDS = {"colour": ("red", "blue"), "shape": ("cube",)}


def test_a_goal_is_told_in_numbers_by_where_things_belong():
    told = Meaning("sort", "colour", {"red": "left"}, "scrap").numbers(KINDS, CENTRES)
    assert [told[f"colour red {axis}"] for axis in "xyz"] == [(0.2, "m"), (0.3, "m"), (0.1, "m")]
    assert told["colour red named"] == told["scrap named"] == (1.0, "1")
    assert told["colour blue named"] == told["shape cube named"] == (0.0, "1")


def test_two_goals_of_a_line_are_told_in_the_same_slots():
    one = Meaning("sort", "colour", {"red": "left", "blue": "right"}, "scrap").numbers(KINDS, CENTRES)
    two = Meaning("sort", "shape", {"cube": "right"}, "scrap").numbers(KINDS, CENTRES)
    assert list(one) == list(two) and one != two
    assert two["shape cube y"] == (-0.3, "m") and two["colour red named"] == (0.0, "1")


def test_counts_and_settings_are_told_too():
    told = Meaning("fill", "part", {"bolt": "left"}, counts={"bolt": 3}, settings={"valve": 2e5}).numbers({}, CENTRES)
    assert (told["bolt count"], told["valve setting"]) == ((3.0, "1"), (2e5, "1"))


def test_a_goal_without_places_has_no_numbers():
    assert Meaning("watch", "").numbers({}, CENTRES) == {}


def test_what_is_counted_has_its_turn_in_the_order_in_which_it_is_asked_for():
    told = Meaning("put", "part", {}, counts={"washer": 2, "bolt": 0, "nut": 1}).numbers({}, {})
    turns = {name: value for name, (value, _) in told.items() if name.endswith("turn")}
    assert turns == {"washer turn": 1.0, "nut turn": 2.0, "bolt turn": 0.0}
