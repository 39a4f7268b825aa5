"""Events: what happened on the line, in order, as a story that can be true."""

import dataclasses
import re
from collections import Counter
from typing import get_args

import numpy as np
import pytest

from twinlab import rooms
from twinlab.cell import Cell
from twinlab.episodes import record
from twinlab.events import Event, EventKind, Item

STORY = re.compile(r"spawned( picked dropped)*( picked)?( placed| missed)?")


@pytest.fixture(scope="module", params=["expert", "still", "program"])
def worked(request, blind_spec):
    """Twenty seconds of the line under a policy: the cell and its episode."""
    fields = {} if request.param == "still" else {"spec": blind_spec}
    with Cell(blind_spec) as cell:
        yield cell, record(cell, rooms.build("policies", request.param, **fields), ticks=400, seed=60_005)


def test_events_come_in_order_and_are_of_known_kinds(worked):
    cell, episode = worked
    times = [e.time for e in cell.events]
    assert times == sorted(times) and times[-1] <= cell.time
    assert {e.kind for e in cell.events} <= set(get_args(EventKind))
    assert len(cell.events) == episode.sizes["event"] > 3


def test_each_part_has_a_story_that_can_be_true(worked):
    cell, _ = worked
    for item in cell.items:
        story = " ".join(e.kind for e in cell.events if e.item == item.name)
        assert STORY.fullmatch(story) or (not story and item.time > cell.time)


def test_parts_are_spawned_when_the_feeder_said(worked):
    cell, _ = worked
    spawned = {e.item: e.time for e in cell.events if e.kind == "spawned"}
    due = {i.name: i.time for i in cell.items if i.time < cell.time}
    assert spawned == pytest.approx(due, abs=1.01 / 240)


def test_only_a_placed_part_has_a_place_and_can_be_right(worked):
    cell, _ = worked
    items = {i.name: i for i in cell.items}
    meaning = cell.spec.task.meaning()
    for event in cell.events:
        if event.kind == "placed":
            item = items[event.item]
            assert event.right == (event.place == meaning.place(item.properties, bool(item.defect)))
        elif event.kind in ("spawned", "picked", "missed", "dropped"):
            assert (event.place, event.right) == ("", False)


def test_the_rewards_of_an_episode_are_its_events_counted(worked):
    cell, episode = worked
    last = float(cell.truth["reward"])  # of the last step, after the last row
    count = Counter("right" if e.right else e.kind for e in cell.events)
    assert episode["reward"].values.sum() + last == (
        count["right"] - count["placed"] - count["missed"] - count["dropped"]
    )


def test_the_expert_picks_and_places_and_who_stands_still_misses_what_comes_by(worked):
    cell, episode = worked
    kinds = {e.kind for e in cell.events}
    if episode.attrs["policy"] == "still":
        assert kinds == {"spawned", "missed"}
    if episode.attrs["policy"] == "expert":
        assert kinds >= {"spawned", "picked", "placed"}


def test_an_event_is_fixed_and_right_only_if_said(blind_cell):
    event = Event(1.0, "placed", "feeder_00", "red_bin")
    assert not event.right
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.right = True


def test_a_good_item_has_no_defect_and_looks_the_same_only_when_turned_right_round():
    item = Item("part", 0.0, tuple(np.zeros(7)))
    assert (item.defect, item.properties, item.symmetry) == ("", {}, 0.0)
