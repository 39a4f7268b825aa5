"""Episodes: everything is labelled, repeats, and truth reaches only who says that he sees it."""

import json
from dataclasses import dataclass, field
from importlib import metadata

import numpy as np
import pytest
import xarray as xr

import twinlab
from twinlab import rooms
from twinlab.cell import Cell
from twinlab.episodes import policy_name, record, split_of
from twinlab.errors import ActionError, CellError
from twinlab.policies.expert import Expert
from twinlab.policies.still import Still
from twinlab.scene import read_scene

NAMES = ["arm.x", "arm.y", "arm.z", "arm.yaw", "gripper", "diverter"]


@dataclass
class Watching:
    """Stands still and notes the names that it is shown, and with what it was reset."""

    sees_truth: bool = False
    sees_pictures: bool = False
    seen: list[set[str]] = field(default_factory=list)
    resets: list[tuple] = field(default_factory=list)
    actuators: int = 6

    def reset(self, seed, meaning):
        self.resets.append((seed, meaning))

    def __call__(self, readings):
        self.seen.append(set(readings))
        return np.zeros(self.actuators)


def test_every_variable_says_its_units_kind_and_role(small_episode):
    for name, variable in small_episode.data_vars.items():
        assert set(variable.attrs) >= {"units", "kind", "role"}, name
        assert variable.attrs["role"] in ("reading", "truth", "action")
    assert small_episode["time"].attrs["units"] == "s"
    assert (small_episode["overhead_depth"].attrs["units"], small_episode["tcp"].attrs["role"]) == ("m", "reading")
    assert small_episode["target_colour"].attrs["labels"] == ["red", "green", "blue"]
    assert small_episode["goal"].attrs["given"] == "target_present"


def test_an_episode_says_where_it_comes_from(small_episode, sorting):
    told = small_episode.attrs
    assert (told["scene"], told["scene_digest"], told["seed"]) == ("sorting", sorting.digest, 7)
    assert (told["policy"], told["noise"], told["tick"]) == ("expert", 0.1, 0.05)
    assert told["instruction"] == sorting.task.instruction()
    assert told["planned_run_time"] == sorting.planned_run_time
    versions = json.loads(told["versions"])
    assert versions["twinlab"] == twinlab.__version__
    assert versions["pybullet"] == metadata.version("pybullet")


def test_time_runs_in_ticks_from_zero(small_episode):
    assert np.allclose(small_episode["time"], 0.05 * np.arange(60), atol=1e-9)


def test_actions_have_names_limits_and_keep_them(small_episode):
    for name in ("action", "intent"):
        values = small_episode[name]
        assert values["actuator"].values.tolist() == NAMES
        assert (np.array(values.attrs["low"]) == -np.array(values.attrs["high"])).all()
        assert (abs(values) <= np.float32(values.attrs["high"])).all()


def test_the_same_actions_give_the_same_readings_again_before_each_action(blind_cell, blind_spec):
    episode = record(blind_cell, Expert(blind_spec), ticks=30, seed=4, noise=0.2)
    readings = blind_cell.reset(4)
    for now, action in zip(episode["time"].values, episode["action"].values, strict=True):
        for name, value in {**readings, **blind_cell.truth}.items():
            assert (episode[name].sel(time=now).values == value).all(), name
        readings = blind_cell.step(action)


def test_the_same_seed_gives_the_same_episode_and_another_seed_another(blind_cell, blind_spec):
    one, two, other = (record(blind_cell, Expert(blind_spec), 30, seed, noise=0.1) for seed in (3, 3, 4))
    xr.testing.assert_identical(one, two)
    assert not one["action"].equals(other["action"])


def test_without_noise_is_done_what_was_wanted(blind_cell, blind_spec):
    episode = record(blind_cell, Expert(blind_spec), ticks=30, seed=3)
    assert (episode["action"] == episode["intent"]).all()
    assert (episode["action"] != 0).any()


def test_noise_scatters_by_its_share_of_the_limits_and_wanders_slowly(blind_cell):
    episode = record(blind_cell, Still(), ticks=200, seed=3, noise=0.1)
    pushed = (episode["action"] / np.array(episode["action"].attrs["high"])).values
    assert (episode["intent"] == 0).all()
    assert 0.07 < pushed.std() < 0.13
    assert np.corrcoef(pushed[:-1].ravel(), pushed[1:].ravel())[0, 1] > 0.8


def test_a_teacher_is_asked_but_does_not_act(blind_cell, blind_spec):
    taught = record(blind_cell, Still(), ticks=30, seed=3, teacher=Expert(blind_spec))
    alone = record(blind_cell, Expert(blind_spec), ticks=30, seed=3)
    assert (taught["action"] == 0).all()
    assert (taught["intent"][0] == alone["intent"][0]).all()
    assert (abs(taught["intent"]).max("time")[:3] > 0).all()
    assert taught.attrs["policy"] == "still"


def test_an_episode_goes_on_from_a_saved_moment_as_often_as_wanted(blind_cell, blind_spec):
    whole = record(blind_cell, Expert(blind_spec), ticks=140, seed=60_100)
    blind_cell.reset(60_100)
    for action in whole["action"].values[:100]:
        blind_cell.step(action)
    saved = blind_cell.save()
    one, other, again = (
        record(blind_cell, policy, 40, 5, start=saved) for policy in (Expert(blind_spec), Still(), Expert(blind_spec))
    )
    xr.testing.assert_identical(one, again)
    xr.testing.assert_equal(one["tcp"], whole["tcp"].isel(time=slice(100, 140)))
    assert one.attrs["seed"] == other.attrs["seed"] == 60_100
    assert one.attrs["branched_at"] == float(one["time"][0]) == pytest.approx(5.0) and "branched_at" not in whole.attrs
    later = whole["event_time"].values[whole["event_time"].values > 5.0].tolist()
    assert one["event_time"].values.tolist() == later and 0 < len(later) < whole.sizes["event"]
    assert (other["tcp"][0] == one["tcp"][0]).all() and (other["tcp"][-1] != one["tcp"][-1]).any()


def test_a_moment_of_before_the_last_reset_cannot_be_gone_on_from(blind_cell):
    blind_cell.reset(0)
    saved = blind_cell.save()
    record(blind_cell, Still(), 1, 0)
    with pytest.raises(CellError, match="this moment was saved before the last reset"):
        record(blind_cell, Still(), 1, 0, start=saved)


def test_only_what_is_to_be_kept_is_kept(blind_cell):
    episode = record(blind_cell, Still(), ticks=2, seed=0, keep=("tcp", "busy"))
    events = {"event_time", "event_kind", "event_item", "event_place", "event_right"}
    assert set(episode.data_vars) == {"tcp", "busy", "action", "intent"} | events


def test_events_are_those_of_the_cell_within_the_episode(blind_cell, blind_spec):
    episode = record(blind_cell, Expert(blind_spec), ticks=140, seed=60_100)
    assert (np.diff(episode["event_time"]) >= 0).all()
    assert float(episode["event_time"].max()) <= 140 * 0.05 + 1e-9
    assert episode["event_kind"].values.tolist() == [e.kind for e in blind_cell.events]
    assert episode["event_item"].values.tolist() == [e.item for e in blind_cell.events]
    assert {"spawned", "picked"} <= set(episode["event_kind"].values)
    assert episode["part_present"].values[-1].sum() == (episode["event_kind"] == "spawned").sum()


def test_only_who_says_that_he_sees_truth_is_shown_truth(blind_cell):
    readings = {v.name for v in blind_cell.variables if v.role == "reading"}
    truth = {v.name for v in blind_cell.variables if v.role == "truth"}
    blind, seeing = Watching(), Watching(sees_truth=True)
    record(blind_cell, blind, 3, seed=0, teacher=seeing)
    assert all(names == readings for names in blind.seen)
    assert all(names == readings | truth for names in seeing.seen)
    assert len(blind.seen) == len(seeing.seen) == 3 and truth


def test_a_policy_is_reset_once_with_seed_and_goal(blind_cell, blind_spec):
    policy, teacher = Watching(), Watching()
    record(blind_cell, policy, 2, seed=11, teacher=teacher)
    assert policy.resets == teacher.resets == [(11, blind_spec.task.meaning())]


def test_a_policy_and_its_episode_are_told_the_goal_that_was_drawn_for_it():
    spec, policy = read_scene("valve_round"), Watching(actuators=5)
    with Cell(spec, without=list(spec.sensors)) as cell:
        words = [record(cell, policy, 1, seed).attrs["instruction"] for seed in (0, 1)]
        assert words[1] == cell.task.instruction() and policy.resets[1] == (1, cell.task.meaning())
    assert len({*words, spec.task.instruction()}) == 3 and policy.resets[0][1] != policy.resets[1][1]


def test_progress_is_told_tick_by_tick(blind_cell):
    told = []
    record(blind_cell, Still(), ticks=3, seed=0, progress=told.append)
    assert told == [1, 2, 3]


@pytest.mark.parametrize("ticks", [0, -5])
def test_an_episode_without_a_tick_is_an_error(blind_cell, ticks):
    with pytest.raises(CellError, match=f"ticks came as {ticks}; an episode has at least 1"):
        record(blind_cell, Still(), ticks=ticks, seed=0)


@pytest.mark.parametrize(
    ("seed", "split"),
    [
        (0, "train"),
        (49_999, "train"),
        (50_000, "val"),
        (59_999, "val"),
        (60_000, "test"),
        (69_999, "test"),
        (70_000, ""),
    ],
)
def test_a_seed_belongs_to_one_split(seed, split):
    assert split_of(seed) == split


def test_a_policy_has_the_name_of_its_file(blind_spec):
    for name in ("still", "expert", "program"):
        assert policy_name(rooms.build("policies", name, **({} if name == "still" else {"spec": blind_spec}))) == name


@pytest.mark.parametrize("count", [1, 3])
def test_a_policy_for_another_line_is_an_error(blind_cell, count):
    for wrong in ({"policy": Still(count)}, {"policy": Still(), "teacher": Still(count)}):
        with pytest.raises(
            ActionError, match=rf"policy 'still': its action came with shape \({count},\), wanted \(6,\)"
        ):
            record(blind_cell, ticks=2, seed=0, **wrong)


def test_an_unknown_variable_cannot_be_kept(blind_cell):
    with pytest.raises(CellError, match=r"keep: no variable 'tpc'.*Did you mean 'tcp'"):
        record(blind_cell, Still(), 2, 0, keep=("tpc",))


@pytest.mark.parametrize("noise", [-0.1, float("nan"), float("inf")])
def test_noise_that_cannot_be_is_told(blind_cell, noise):
    with pytest.raises(CellError, match="noise came as"):
        record(blind_cell, Still(), 2, 0, noise=noise)
