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
