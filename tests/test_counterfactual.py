"""Counterfactual data: the same moment goes on in other ways, is kept with where it came from, and not twice."""

import shutil

import numpy as np
import pytest
import xarray as xr

from twinlab.batches import Windows, fitted, hold
from twinlab.cell import Cell
from twinlab.collect import collect
from twinlab.counterfactual import WAYS, Way, branches, counterfactuals, moments
from twinlab.episodes import Episode, record
from twinlab.errors import CellError, StoreError
from twinlab.policies.expert import Expert
from twinlab.policies.still import Still
from twinlab.store import EpisodeStore

SEED, TICKS, AHEAD = 60_100, 150, 20  # a part is picked
READINGS = ("tcp", "joints_position", "wrench", "break_beam", "part_pose", "target", "arm_step")


@pytest.fixture(scope="module")
def trunk(blind_spec) -> Episode:
    with Cell(blind_spec) as cell:
        return record(cell, Expert(blind_spec), TICKS, SEED)


@pytest.fixture(scope="module")
def grown(trunk, blind_spec) -> list[Episode]:
    """All branches from two moments, taught by the expert."""
    ways = (Way("the same"), *WAYS, Way("expert", policy=Expert(blind_spec)))
    with Cell(blind_spec) as cell:
        return list(branches(cell, trunk, ways, 2, AHEAD, Expert(blind_spec)))


@pytest.fixture(scope="module")
def store(tmp_path_factory, blind_spec) -> EpisodeStore:
    """Two episodes and their branches."""
    path = tmp_path_factory.mktemp("counterfactual") / "store"
    collect(path, blind_spec, Expert(blind_spec), [0, 1], 60)
    return counterfactuals(path, blind_spec, [0, 1], WAYS[:2], 2, AHEAD, Expert(blind_spec))


def plain(length: int, switches: tuple[int, ...] = ()) -> xr.Dataset:
    """An episode of which only a mark that changes at some ticks is known."""
    mark = np.cumsum(np.isin(np.arange(length), switches)) % 2 == 1
    held = ("time", mark, {"kind": "pulse", "role": "truth"})
    return xr.Dataset({"held": held}, {"time": 0.05 * np.arange(length)}, {"tick": 0.05})


def test_a_branch_that_does_the_same_is_the_episode_from_there_on(trunk, grown):
    branch = next(b for b in grown if b.attrs["way"] == "the same")
    part = trunk.sel(time=branch["time"])
    assert branch.attrs["off"] == 0 and branch.attrs["branched_at"] == float(branch["time"][0]) > 0
    for name in (*READINGS, "action"):
        assert (branch[name].values == part[name].values).all(), name
    inside = trunk["event_time"] > branch.attrs["branched_at"]
    inside &= trunk["event_time"] <= float(branch["time"][-1]) + 0.05 + 1e-9
    assert branch["event_time"].values.tolist() == trunk["event_time"].values[inside.values].tolist()


def test_branches_of_a_moment_begin_alike_and_end_apart(grown):
    for moment in {b.attrs["branched_at"] for b in grown}:
        mine = [b for b in grown if b.attrs["branched_at"] == moment]
        assert len(mine) == len(WAYS) + 2
        for name in ("tcp", "joints_position", "part_pose", "target"):
            assert all((b[name][0].values == mine[0][name][0].values).all() for b in mine), name
        ends = {tuple(b["tcp"][-1].values.tolist()) for b in mine if b.attrs["way"] != "expert"}
        assert len(ends) >= len(WAYS)


def test_each_branch_says_where_it_comes_from(grown):
    assert [b.attrs["branch"] for b in grown] == list(range(1, len(grown) + 1))
    for branch in grown:
        told = branch.attrs
        assert (told["seed"], told["teacher"], branch.sizes["time"]) == (SEED, "expert", AHEAD)
        assert told["policy"] == ("expert" if told["way"] == "expert" else "counterfactual")
        assert told["noise"] == {"disturbed": 0.15, "wandering": 0.4}.get(told["way"], 0.0)


def test_a_way_does_what_it_says(grown):
    of = {b.attrs["way"]: b["action"].sel(actuator=["arm.x", "gripper"]).values for b in grown}
    own = of["the same"]
    assert (of["still"] == 0).all() and (of["going back"] == -own).all()
    assert (of["letting go"][:, 1] == np.float32(0.2)).all() and (of["letting go"][:, 0] == own[:, 0]).all()
    assert 0 < abs(of["disturbed"] - own).mean() < abs(of["wandering"]).mean()
    stands = next(b for b in grown if b.attrs["way"] == "still")
    assert (abs(stands["intent"]).max("time") > 0).any()  # the teacher still says what to do


def test_the_same_branches_come_again_and_only_those_that_are_wanted(trunk, grown, blind_spec):
    ways = (Way("the same"), *WAYS, Way("expert", policy=Expert(blind_spec)))
    with Cell(blind_spec) as cell:
        found = list(branches(cell, trunk, ways, 2, AHEAD, Expert(blind_spec), only={1, 2}))
    for one, other in zip(found, grown, strict=False):
        xr.testing.assert_identical(one, other)
    assert len(found) == 2


def test_three_of_four_moments_lie_within_a_second_before_a_switch():
    found = moments(plain(400, (200,)), 8, 50)
    assert len(found) == 8 and sum(180 <= tick < 200 for tick in found) == 6


def test_where_nothing_switches_moments_are_even_and_leave_room():
    found = moments(plain(200), 4, 40)
    assert len(found) == 4 and max(np.diff(found)) - min(np.diff(found)) <= 1
    assert min(moments(plain(200), 100, 40)) >= 1 and max(moments(plain(200), 100, 40)) < 160


def test_events_count_as_switches(trunk):
    picked = float(trunk["event_time"][trunk["event_kind"].values == "picked"][0])
    assert any(0 < picked - 0.05 * tick <= 1.05 for tick in moments(trunk, 6, AHEAD))


def test_branches_are_added_once_and_what_is_missing_of_them_only(store, blind_spec, tmp_path):
    told = store.attrs()
    assert len(store) == 2 + 2 * 2 * 2 and store.verify() == []
    assert {(a["seed"], a["branch"]) for a in told if "branch" in a} == {(s, n) for s in (0, 1) for n in (1, 2, 3, 4)}
    assert {a["trunk"] for a in told if "branch" in a} == {store.digest(i) for i in (0, 1)}
    copy = EpisodeStore(shutil.copytree(store.path, tmp_path / "store"))
    shutil.rmtree(copy.path / "episodes" / f"{4:06d}")
    gone, done = store.attrs()[4], []
    for _ in range(2):
        again = counterfactuals(
            copy.path, blind_spec, [0, 1], WAYS[:2], 2, AHEAD, Expert(blind_spec), progress=lambda *n: done.append(n)
        )
    assert done == [(1, 1)] and again.attrs()[-1] == gone
    xr.testing.assert_identical(again[-1].load(), store[4].load())


def test_other_ways_moments_lengths_or_teachers_are_recorded_beside(store, blind_spec, tmp_path):
    copy = EpisodeStore(shutil.copytree(store.path, tmp_path / "store"))
    jobs = [(WAYS[1:2], 1, 5, None), (WAYS[2:3], 1, 5, None), (WAYS[1:2], 1, 6, None), (WAYS[1:2], 1, 5, Still())]
    for _ in range(2):
        for ways, count, ticks, teacher in jobs:
            counterfactuals(copy.path, blind_spec, [0], ways, count, ticks, teacher)
    assert len(copy) == len(store) + len(jobs)


def test_short_episodes_that_begin_late_are_held_windowed_and_opened(store):
    held, signals = hold(store)
    signals = fitted(signals, held)
    assert sorted(track.length for track in held) == [AHEAD] * 8 + [60] * 2
    assert len(Windows(held, signals, 4, 5)) == 8 * (AHEAD - 8) + 2 * (60 - 8)
    assert len(Windows(held, signals, 20, 5)) == 2 * (60 - 24)  # shorter ones are passed over
    opened = store.open(names=["tcp"])
    assert opened.sizes["time"] == 8 * AHEAD + 120
    late = opened.isel(time=(opened["episode"] == 5).values)
    assert float(late["clock"][0]) == store.attrs()[5]["branched_at"] > 0


def test_what_cannot_be_branched_is_told(trunk, grown, blind_cell):
    for wrong, words in (
        (trunk.assign_attrs(scene_digest="0a"), "the episode is of scene 'blind' with digest '0a', the cell of"),
        (grown[0], "is a branch itself; give one that was recorded from a reset"),
    ):
        with pytest.raises(StoreError, match=words):
            next(branches(blind_cell, wrong, count=1, ticks=5))
    for count, ticks in ((0, 5), (1, 0), (1, TICKS)):
        with pytest.raises(CellError, match=f"moments came as {count}, ahead as {ticks} ticks"):
            next(branches(blind_cell, trunk, count=count, ticks=ticks))


def test_a_seed_without_an_episode_is_told(store, blind_spec):
    with pytest.raises(StoreError, match=r"has no episode of .* with seed \[7\]; collect it first"):
        counterfactuals(store.path, blind_spec, [0, 7])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"share": float("nan")}, "way 'x': share came as nan"),
        ({"noise": -1.0}, "and noise as -1.0"),
        ({"hands": 2.0}, r"hands came as 2.0; wanted -1 \(grip\) to 1 \(let go\)"),
    ],
)
def test_a_way_that_cannot_be_is_told(given, words):
    with pytest.raises(CellError, match=words):
        Way("x", **given)
