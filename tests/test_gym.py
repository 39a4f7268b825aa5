"""Lines as Gymnasium environments: they keep Gymnasium's contract, and are the twin that `record` runs."""

import functools
import subprocess
import sys
from typing import get_args

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from twinlab.bodies import Actuator
from twinlab.cell import Cell
from twinlab.episodes import record
from twinlab.errors import ActionError, CellError, ReadingsError, SceneError
from twinlab.gym import BOUND, LineEnv, env_id, observed, setpoints, space
from twinlab.kpi import kpis
from twinlab.readings import Kind, Variable
from twinlab.scene import scene_names
from twinlab.tasks.sort import Sort

BLIND = {"pictures": False, "ticks": 20}


class Ending(Sort):
    """A task that is done when the second part comes, and whose truth has a size that is drawn."""

    size: int = 1

    def drawn(self, rng):
        return self.model_copy(update={"size": 1 + int(rng.integers(1000))})

    def variables(self, items):
        done = Variable("done", (), (), "bool", "1", "pulse", "truth")
        return (
            *super().variables(items),
            done,
            Variable("odd", ("n",), (self.size,), "float32", "1", "vector", "truth"),
        )

    def observe(self, stage, state):
        truth, events, state = super().observe(stage, state)
        done = np.array(len(stage.spawned) > 1)
        return {**truth, "done": done, "odd": np.zeros(self.size, np.float32)}, events, state


class Idle(Sort):
    """A task that does not say when the robot is busy."""

    def variables(self, items):
        return tuple(v for v in super().variables(items) if v.name != "busy")

    def observe(self, stage, state):
        truth, events, state = super().observe(stage, state)
        return {name: value for name, value in truth.items() if name != "busy"}, events, state


class Replay:
    """A policy that does what was done."""

    sees_truth = sees_pictures = False

    def __init__(self, actions):
        self.actions = iter(actions)

    def reset(self, seed, meaning):
        pass

    def __call__(self, readings):
        return next(self.actions)


@pytest.fixture(scope="module")
def env():
    with LineEnv("sorting", **BLIND) as env:
        yield env


def with_task(spec, task):
    return spec.model_copy(update={"task": task(**spec.task.model_dump())})


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def run(env, count, seed=1, **options):
    """Observations, rewards and actions of random actions."""
    seen, _ = env.reset(seed=seed, options=options)
    env.action_space.seed(seed)
    rows = [(seen, 0.0, np.zeros(env.action_space.shape))]
    for _ in range(count):
        action = env.action_space.sample()
        seen, reward, *_ = env.step(action)
        rows.append((seen, reward, action))
    return rows


@pytest.mark.parametrize("scene", scene_names())
def test_every_scene_is_an_environment_that_keeps_gymnasiums_contract(scene):
    made = gymnasium.make(env_id(scene), **BLIND)
    check_env(made.unwrapped)
    made.close()


def test_a_line_with_pictures_and_with_truth_keeps_gymnasiums_contract_too(env):
    made = gymnasium.make("twinlab/Sorting-v0", ticks=5, truth=True)
    check_env(made.unwrapped, skip_render_check=True)
    shown = made.observation_space.spaces
    assert shown["overhead_rgb"] == gymnasium.spaces.Box(0, 255, (48, 112, 3), np.uint8)
    assert "link_pose" in shown and "reward" not in shown
    assert not {"link_pose", "overhead_rgb"} & set(env.observation_space.spaces)
    made.close()


def test_names_follow_from_scenes():
    assert (env_id("sorting"), env_id("machine_tending")) == ("twinlab/Sorting-v0", "twinlab/MachineTending-v0")


def test_importing_it_loads_neither_torch_nor_open3d():
    code = "import twinlab.gym, sys; sys.exit(bool({'torch', 'open3d', 'moderngl'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_what_is_observed_is_what_the_cell_measures(sorting):
    with LineEnv(sorting, ticks=5) as env, Cell(sorting) as cell:
        seen, _ = env.reset(options={"episode_seed": 3})
        readings = cell.reset(3)
        for name, value in readings.items():
            assert np.array_equal(seen[name], np.where(np.isfinite(value), value, 0).reshape(seen[name].shape)), name
        assert (seen["wrist_depth"] == 0).any() and np.isinf(readings["wrist_depth"]).any()
        assert seen["width"].shape == seen["break_beam"].shape == (1,)


def test_actions_span_the_limits_and_are_cut_there(env):
    env.reset(seed=0)
    limits = np.array([a.high for a in env.cell.actuators], np.float32)
    for share in (-1.0, 0.0, 0.5, 1.0, 7.0):
        env.step(np.full(6, share, np.float32))
        assert env.cell.action == pytest.approx(np.clip(share, -1, 1) * limits)


def test_limits_that_are_not_symmetric_are_spanned_too():
    actuators = (Actuator("valve", 0, 90, "deg"), Actuator("belt", -0.1, 0.3, "m s-1"))
    found = [setpoints(np.full(2, share), actuators).tolist() for share in (-1, 0, 0.5, 1)]
    assert found == [pytest.approx(one) for one in ([0, -0.1], [45, 0.1], [67.5, 0.2], [90, 0.3])]


def test_an_episode_is_the_one_that_record_keeps(blind_spec):
    with LineEnv(blind_spec, ticks=120) as env, Cell(blind_spec) as cell:
        _, info = env.reset(options={"episode_seed": 60_100})
        events, actions, total, over = info["events"], [], 0.0, False
        rng = np.random.default_rng(0)
        while not over:
            _, reward, terminated, over, info = env.step(rng.uniform(-1, 1, 6))
            assert not terminated and ("kpis" in info) == over
            total, events = total + reward, events + info["events"]
            actions.append(env.cell.action)
        episode = record(cell, Replay(actions), 120, 60_100)
        assert events == list(cell.events) and len(events) > 1 and len(actions) == 120
        assert info["kpis"] == pytest.approx(kpis(episode).__dict__, nan_ok=True)
        assert total == pytest.approx(float(episode["reward"][1:].sum()) + float(cell.truth["reward"]))
        assert (info["seed"], info["scene"], info["scene_digest"]) == (60_100, "blind", blind_spec.digest)
        assert info["instruction"] == episode.attrs["instruction"]


def test_the_same_seed_and_actions_give_the_same_and_other_seeds_do_not(env):
    one, two, other = (run(env, 8, seed) for seed in (1, 1, 2))
    assert all(same(a, b) and c == d for (a, c, _), (b, d, _) in zip(one, two, strict=True))
    assert not same(one[-1][0], other[-1][0])


def test_two_environments_in_a_process_do_not_disturb_each_other(env):
    alone = run(env, 8)
    with LineEnv("sorting", **BLIND) as second:
        env.reset(seed=1)
        second.reset(seed=5)
        for wanted, _, action in alone[1:]:
            seen = env.step(action)[0]
            second.step(-action)
            assert same(seen, wanted)


def test_seeds_are_drawn_from_the_training_range_and_an_option_gives_an_exact_one(env):
    drawn = [env.reset(seed=3)[1]["seed"], *(env.reset()[1]["seed"] for _ in range(4))]
    assert len(set(drawn)) == 5 and all(0 <= seed < 50_000 for seed in drawn)
    env.reset(seed=3)
    assert env.reset(options={"episode_seed": 60_001})[1]["seed"] == 60_001
    assert env.reset()[1]["seed"] == drawn[2]  # the option changed no later episode


def test_an_episode_that_is_over_goes_on_only_after_a_reset(env):
    run(env, 19)
    assert env.step(np.zeros(6))[2:4] == (False, True)
    with pytest.raises(CellError, match=r"no episode runs; call reset\(\) first"):
        env.step(np.zeros(6))
    env.reset()
    env.step(np.zeros(6))


def test_an_episode_is_as_long_as_its_scene_says_unless_told_otherwise(blind_spec):
    with LineEnv(blind_spec.change({"ticks": 2})) as env:
        env.reset(seed=0)
        assert [env.step(np.zeros(6))[3] for _ in range(2)] == [False, True]


def test_a_task_that_is_done_terminates_its_episode(blind_spec):
    with LineEnv(with_task(blind_spec, Ending), ticks=300) as env:
        env.reset(seed=0)
        over, ticks = False, 0
        while not over:
            _, _, over, truncated, info = env.step(np.zeros(6))
            ticks += 1
        assert not truncated and info["events"][-1].kind == "spawned"
        assert info["kpis"]["takt"] == pytest.approx(ticks * 0.05 / 2)


def test_readings_that_differ_between_seeds_in_shape_are_told(blind_spec):
    with (
        LineEnv(with_task(blind_spec, Ending), truth=True) as env,
        pytest.raises(ReadingsError, match=r"readings of seed 7 came as .* as of seed 0"),
    ):
        env.reset(options={"episode_seed": 7})


def test_a_task_without_what_an_environment_needs_is_told(blind_spec):
    with pytest.raises(ReadingsError, match="blind: its task tells no truth 'busy', which an environment needs"):
        LineEnv(with_task(blind_spec, Idle))


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"scene": "sortign"}, SceneError, "no scene 'sortign'.*Did you mean 'sorting'"),
        ({"ticks": 0}, CellError, "ticks came as 0; an episode has at least 1"),
        ({"ticks": 2.5}, CellError, "ticks came as 2.5"),
        ({"render_mode": "human"}, CellError, "render_mode came as 'human'; wanted 'rgb_array'"),
        ({"camera": "wrsit"}, CellError, "no 'wrsit'.*Did you mean 'wrist'"),
    ],
)
def test_arguments_that_do_not_fit_are_told(arguments, error, told):
    with pytest.raises(error, match=told):
        LineEnv(**arguments)


def test_actions_and_options_that_do_not_fit_are_told_and_change_nothing(env):
    run(env, 2)
    wanted = env.step(np.zeros(6))[0]
    run(env, 2)
    with pytest.raises(ActionError, match=r"came shape \(4,\), wanted \(6,\), within ±1, for \['arm.x'"):
        env.step(np.zeros(4))
    with pytest.raises(ActionError, match=r"\['arm.y'\] came as \[nan\]"):
        env.step(np.array([0, np.nan, 0, 0, 0, 0]))
    with pytest.raises(ActionError, match="came 'left'; wanted 6 numbers"):
        env.step("left")
    assert same(env.step(np.zeros(6))[0], wanted)
    with pytest.raises(CellError, match=r"no option 'episode_sed'.*Did you mean 'episode_seed'"):
        env.reset(options={"episode_sed": 1})
    with pytest.raises(CellError, match="seed came as -1"):
        env.reset(options={"episode_seed": -1})


def test_it_renders_the_whole_line_or_one_of_its_cameras():
    with LineEnv("sorting", render_mode="rgb_array", **BLIND) as env:
        env.reset(seed=0)
        whole = env.render()
        assert whole.shape == (480, 640, 3) and env.metadata["render_fps"] == 20
        corner = whole[0, 0].astype(int)
        shown = abs(whole - corner).sum(axis=-1) > 40
        assert not shown[[0, -1]].any() and not shown[:, [0, -1]].any()  # nothing is cut off
        assert max(shown.any(axis=axis).mean() for axis in (0, 1)) > 0.6  # and it is not lost in the picture
    with LineEnv("sorting", render_mode="rgb_array", camera="wrist", **BLIND) as env:
        env.reset(seed=0)
        assert env.render().shape == (64, 64, 3)


def test_without_a_mode_nothing_is_rendered(env):
    with pytest.raises(CellError, match='make the environment with render_mode="rgb_array"'):
        env.render()


def test_closing_twice_does_no_harm_and_what_is_closed_says_so():
    env = LineEnv("sorting", render_mode="rgb_array", **BLIND)
    env.reset(seed=0)
    env.close()
    env.close()
    for act in (env.reset, env.render, lambda: env.step(np.zeros(6))):
        with pytest.raises(CellError, match="is closed"):
            act()


def test_several_at_once_are_gymnasiums_vector_environment():
    many = gymnasium.make_vec("twinlab/Sorting-v0", 2, "sync", pictures=False, ticks=3)
    seen, info = many.reset(seed=0)
    assert seen["tcp"].shape == (2, 4) and len(set(info["seed"])) == 2
    for _ in range(3):
        *_, over, info = many.step(many.action_space.sample())
    assert over.all() and info["kpis"]["items"].tolist() == [0, 0]
    many.close()


def test_stable_baselines_trains_on_a_line_as_it_is():
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import SubprocVecEnv

    many = SubprocVecEnv([functools.partial(LineEnv, "sorting", ticks=40, pictures=False)] * 2)
    try:
        learner = PPO("MultiInputPolicy", many, n_steps=64, batch_size=64, n_epochs=2, device="cpu", seed=0)
        before = [p.detach().clone() for p in learner.policy.parameters()]
        learner.learn(256)
        assert learner.num_timesteps == 256
        assert any((p != q).any() for p, q in zip(before, learner.policy.parameters(), strict=True))
        action, _ = learner.predict(many.reset())
        assert many.action_space.contains(action[0])
    finally:
        many.close()


TYPES = {"image": ["uint8"], "mask": ["int16", "bool"], "label": ["int64"], "pulse": ["bool"]}


@st.composite
def readings(draw):
    """A variable of any kind and a value that keeps its contract."""
    kind = draw(st.sampled_from(get_args(Kind)))
    dtype = np.dtype(draw(st.sampled_from(TYPES.get(kind, ["float32"]))))
    shape = draw(npst.array_shapes(min_dims=0, max_dims=3, max_side=3))
    labels = draw(st.sampled_from([(), ("a", "b", "c")])) if kind == "label" else ()
    elements = st.integers(0, 2) if labels else npst.from_dtype(dtype, allow_nan=False, allow_infinity=False)
    if kind in ("depth", "range"):
        elements = st.sampled_from([np.float32(0.5), np.float32(np.inf)])
    if kind == "normals":
        elements = st.floats(-1, 1, width=32)
    if kind == "cloud":
        elements = st.sampled_from([np.float32(-0.5), np.float32(np.inf)])
    value = draw(npst.arrays(dtype, shape, elements=elements))
    return Variable("v", tuple("abc"[: len(shape)]), shape, dtype.name, "1", kind, "reading", labels), value


@given(readings())
def test_a_reading_of_any_kind_lies_in_its_space_and_is_a_copy(one):
    variable, value = one
    there = space(variable)
    seen = observed(value, variable)
    assert seen in there and there.sample() in there
    assert not np.shares_memory(seen, value)
    usual = np.isfinite(value) & (np.abs(value.astype(float)) <= BOUND)
    assert (np.reshape(seen, value.shape)[usual] == value[usual]).all()
