"""What every way to act keeps to, over every file of policies/."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import toy

from twinlab import rooms
from twinlab.cell import Cell
from twinlab.episodes import record
from twinlab.errors import ModelError
from twinlab.model.checkpoint import find
from twinlab.scene import read_scene
from twinlab.train import fit

NAMES = rooms.names("policies")
LEARNED = ("cloned", "planned")


@pytest.fixture(scope="module")
def model(tmp_path_factory, blind_cell, blind_spec) -> str:
    """The folder of a model that has learnt next to nothing, on readings without pictures."""
    expert = rooms.build("policies", "expert", spec=blind_spec)
    folder = tmp_path_factory.mktemp("model")
    fit([record(blind_cell, expert, 60, seed, noise=0.1) for seed in (0, 1)], toy.SMALL, folder)
    return str(folder)


@pytest.fixture(params=NAMES)
def policy(request, blind_spec):
    fields = {} if request.param == "still" else {"spec": blind_spec}
    fields |= {"model": request.getfixturevalue("model")} if request.param in LEARNED else {}
    fields |= {"horizon": 2, "every": 2, "tail": 2} if request.param == "oracle" else {}
    return rooms.build("policies", request.param, **fields)


@pytest.mark.parametrize("name", NAMES)
def test_every_policy_has_a_default_for_every_field_and_says_what_it_sees(name):
    policy = rooms.build("policies", name)
    assert policy.sees_truth == (name in ("expert", "oracle", "straying"))
    assert policy.sees_pictures == (name in LEARNED)


def test_actions_have_the_lines_shape_and_keep_its_limits(policy, blind_cell):
    limits = np.array([a.high for a in blind_cell.actuators])
    readings = blind_cell.reset(3)
    policy.reset(3, blind_cell.spec.task.meaning())
    for _ in range(12 if policy.__class__.__name__ in ("Oracle", "Planned") else 110):
        action = policy({**readings, **blind_cell.truth} if policy.sees_truth else readings)
        assert action.shape == limits.shape and np.isfinite(action).all()
        assert (np.abs(action) <= limits + 1e-6).all()
        readings = blind_cell.step(action)


def test_readings_and_truth_are_left_as_they_were(policy, blind_cell):
    readings = blind_cell.reset(3)
    policy.reset(3, blind_cell.spec.task.meaning())
    shown = {**readings, **blind_cell.truth} if policy.sees_truth else dict(readings)
    before = {name: value.copy() for name, value in shown.items()}
    policy(shown)
    assert set(shown) == set(before)
    assert all((shown[name] == value).all() for name, value in before.items())


def test_the_same_seed_gives_the_same_actions_whatever_came_before(policy, blind_cell):
    one, _, two = (record(blind_cell, policy, 6, seed, keep=()) for seed in (3, 4, 3))
    assert (one["action"] == two["action"]).all()


def test_who_strays_acts_as_the_expert_until_he_strays(blind_cell, blind_spec):
    straying = rooms.build("policies", "straying", spec=blind_spec)
    episode = record(blind_cell, straying, 120, 2, teacher=rooms.build("policies", "expert", spec=blind_spec), keep=())
    same = (episode["action"] == episode["intent"]).all("actuator").values
    assert 0 < same.mean() < 1
    never = replace(straying, every=1e9)
    taught = record(blind_cell, never, 60, 2, teacher=rooms.build("policies", "expert", spec=blind_spec), keep=())
    assert (taught["action"] == taught["intent"]).all()


def test_a_line_without_arms_strays_by_what_its_devices_are_told():
    spec = read_scene("inspection")
    straying, expert = (rooms.build("policies", name, spec=spec) for name in ("straying", "expert"))
    with Cell(spec, without=spec.pictures) as cell:
        episode = record(cell, straying, 200, 2, teacher=expert, keep=("target_present",))
    there = episode["target_present"].values
    assert set(np.sign(episode["intent"].values[there, 0])) <= {-1, 1}
    right = np.sign(episode["action"].values[there, 0]) == np.sign(episode["intent"].values[there, 0])
    assert 0.2 < right.mean() < 0.8


def test_a_planner_draws_from_the_seed(blind_cell, blind_spec, model):
    planned, readings = rooms.build("policies", "planned", spec=blind_spec, model=model), blind_cell.reset(0)
    actions = []
    for seed in (0, 1):
        planned.reset(seed, blind_spec.task.meaning())
        actions.append(planned(readings))
    assert (actions[0] != actions[1]).any()


@pytest.mark.parametrize("name", LEARNED)
def test_without_a_model_nobody_acts_by_one(name, tmp_path, blind_spec):
    policy = rooms.build("policies", name, spec=blind_spec, model=str(tmp_path))
    with pytest.raises(ModelError, match=r"no config\.json"):
        policy.reset(0, blind_spec.task.meaning())


def test_a_plan_that_its_replay_contradicts_gives_way_to_the_actors(blind_cell, blind_spec, model):
    planned = rooms.build("policies", "planned", spec=blind_spec.change({"gate": 1e-6}), model=model)
    gated = record(blind_cell, planned, 6, 3)
    assert planned.refused == 6
    cloned = record(blind_cell, rooms.build("policies", "cloned", spec=blind_spec, model=model), 6, 3)
    assert np.array_equal(gated["action"], cloned["action"])
    free = rooms.build("policies", "planned", spec=blind_spec, model=model, gate=1e6)
    record(blind_cell, free, 6, 3)
    assert free.refused == 0


def test_planned_gives_a_planner_that_follows_the_slope_of_its_cost_one(blind_cell, blind_spec, model):
    gradient = rooms.build("planners", "gradient")
    planned = rooms.build("policies", "planned", spec=blind_spec, model=model, planner=gradient)
    episode = record(blind_cell, planned, 4, 3)
    assert np.isfinite(episode["action"]).all() and episode["action"].any()


@pytest.mark.parametrize("name", LEARNED)
def test_a_learned_policy_stops_and_says_why_where_a_needed_sensor_is_gone(name, blind_spec, model):
    policy = rooms.build("policies", name, spec=blind_spec, model=model)
    with Cell(blind_spec, without=["tcp"]) as cell:
        episode = record(cell, policy, 5, 3)
    assert not episode["action"].any()
    assert policy.stopped == "stopped: 'tcp' gives no readings, and the line needs it"


@pytest.mark.parametrize("name", ["cloned", "planned"])
def test_a_learned_policy_says_by_which_weights_it_acts(name):
    weights = (find("sorting") / "model.safetensors").read_bytes()
    wanted = {"model": "sorting", "weights": hashlib.sha256(weights).hexdigest()[:16]}
    assert rooms.build("policies", name).lineage() == wanted
