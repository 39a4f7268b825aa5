"""The oracle: its twin is the line to the bit, it says so when it is not, and its plans keep hard limits."""

from dataclasses import replace

import cloudpickle
import numpy as np
import pytest

from twinlab import rooms
from twinlab.cell import Cell
from twinlab.episodes import record
from twinlab.errors import CellError
from twinlab.planners.icem import Icem
from twinlab.planners.shooting import Shooting
from twinlab.policies._twin import Twin
from twinlab.policies.expert import Expert
from twinlab.policies.oracle import Oracle, Trials
from twinlab.scene import FOLDERS, read_scene
from twinlab.score import acting, run

QUICK = {"planner": Icem(samples=2, iterations=1, elites=1, spread=0.1), "horizon": 2, "every": 2, "tail": 2}
LINES = sorted(path.stem for path in FOLDERS[0].glob("*.toml"))


def pictures(spec):
    return [name for name, sensor in spec.sensors.items() if sensor.sees()]


@pytest.fixture
def oracle(blind_spec) -> Oracle:
    return Oracle(blind_spec, **QUICK)


@pytest.mark.parametrize("line", LINES)
def test_on_every_line_the_twin_is_the_line(line):
    spec = read_scene(line)
    with Cell(spec, without=pictures(spec)) as cell:
        episode = record(cell, Oracle(spec, **QUICK), 6, 50_000, keep=())
    assert episode.sizes["time"] == 6


def test_cameras_make_no_difference_to_the_twin(sorting):
    with Cell(sorting) as cell:
        readings, twin = cell.reset(7), Twin(sorting, 7)
        for _ in range(3):
            twin.check({**readings, **cell.truth})
            readings = cell.step({"arm.x": 0.1})
            twin.step(cell.action)
    assert set(readings) - set(twin.cell.readings) >= {"overhead_rgb"}
    twin.close()


def test_a_disturbed_line_is_told_with_reading_and_time(blind_cell, oracle):
    words = r"seed 3, at 0\.05 s: '\w+' came as .*, wanted .*without noise, written tags or triggered faults"
    with pytest.raises(CellError, match=words):
        record(blind_cell, oracle, 4, 3, noise=0.2)


def test_a_written_tag_is_told(blind_cell, oracle):
    readings = blind_cell.reset(3)
    oracle.reset(3, blind_cell.task.meaning())
    blind_cell.write("belt.speed", 0.2)
    readings = blind_cell.step(oracle({**readings, **blind_cell.truth}))
    with pytest.raises(CellError, match="the line did not do what the twin did"):
        oracle({**readings, **blind_cell.truth})


def test_a_triggered_fault_is_told(sorting):
    oracle, fault = Oracle(sorting, **QUICK), next(iter(sorting.faults))
    with Cell(sorting, without=pictures(sorting)) as cell:
        readings = cell.reset(3)
        oracle.reset(3, cell.task.meaning())
        cell.trigger(fault)
        readings = cell.step(oracle({**readings, **cell.truth}))
        with pytest.raises(CellError, match="triggered faults"):
            oracle({**readings, **cell.truth})


def test_another_seed_is_told(blind_cell, oracle):
    readings = blind_cell.reset(4)
    oracle.reset(3, blind_cell.task.meaning())
    with pytest.raises(CellError, match=r"seed 3, at 0\.00 s.*It must be reset with the policy's seed"):
        oracle({**readings, **blind_cell.truth})


def test_readings_of_another_line_are_told(oracle, blind_spec):
    oracle.reset(3, blind_spec.task.meaning())
    with pytest.raises(CellError, match=r"none of \['x'\] is known to it.*spec=cell.spec"):
        oracle({"x": np.zeros(2)})


def test_mistakes_in_its_use_are_told(blind_spec):
    with pytest.raises(CellError, match="called before its reset"):
        Oracle(blind_spec)({})
    with pytest.raises(CellError, match="every came as 9 ticks, tail as 12; wanted every from 1 to 8"):
        Oracle(blind_spec, every=9)
    with pytest.raises(CellError, match="proposal 'cloned' looks at pictures"):
        Oracle(blind_spec, proposal="cloned").reset(0, blind_spec.task.meaning())


def test_it_goes_to_another_process_without_its_twin(blind_cell, oracle):
    one = record(blind_cell, oracle, 4, 3, keep=())
    two = record(blind_cell, cloudpickle.loads(cloudpickle.dumps(oracle)), 4, 3, keep=())
    assert (one["action"] == two["action"]).all()


def test_a_trial_stands_where_the_line_stands_whatever_was_tried(blind_spec):
    twin = Twin(blind_spec, 3)
    for _ in range(3):
        trial = twin.trial()
        saved = trial.save()
        for _ in range(5):
            trial.step({"arm.z": -0.5})
        trial.restore(saved)
        trial.forget(saved)
        twin.step(np.array([0.1, 0, 0, 0, 0, 0]))
    trial = twin.trial()
    assert trial.truth["link_pose"] == pytest.approx(twin.cell.truth["link_pose"], abs=1e-4)
    for _ in range(5):  # a trial that was not brought back is begun anew
        trial.step({"arm.z": -0.5})
    twin.step(np.zeros(6))
    assert (twin.trial().truth["link_pose"] == twin.cell.truth["link_pose"]).all()
    twin.close()


def test_the_plan_is_worth_no_less_than_the_experts(blind_spec):
    twin = Twin(blind_spec, 3)
    cell, expert = twin.trial(), Expert(blind_spec)
    for _ in range(60):
        twin.step(expert({**twin.cell.readings, **twin.cell.truth}))
    saved = twin.trial().save()
    trials = Trials(cell, saved, expert, tail=4, gamma=0.99, guide=1.0)
    alone = trials.rolled(expert, 4)
    trials.aim(alone)
    low, high = (np.array([getattr(a, side) for a in blind_spec.actuators]) for side in ("low", "high"))
    plan = Shooting(samples=4).plan(trials.cost, alone, low, high, np.random.default_rng(0), trials.limits)
    assert trials.cost(plan[None])[0] <= trials.cost(alone[None])[0]
    assert trials.cost(alone[None])[0] == pytest.approx(0), "nothing is decided yet, and it ends where it should"
    twin.close()


def test_what_presses_too_hard_is_never_chosen_whatever_it_earns(blind_spec):
    twin = Twin(blind_spec, 3)
    cell = twin.trial()
    trials = Trials(cell, cell.save(), Expert(blind_spec), tail=2, gamma=0.99, guide=1.0)
    press = np.tile([0, 0, -0.3, 0, 0, 0], (40, 1))
    assert trials.limits(press[None]).max() > 0
    low, high = (np.array([getattr(a, side) for a in blind_spec.actuators]) for side in ("low", "high"))
    wish = lambda plans: plans[:, :, 2].sum(axis=1)  # noqa: E731  # the deeper, the better
    plan = Shooting(samples=3, spread=0.05).plan(wish, press, low, high, np.random.default_rng(0), trials.limits)
    assert trials.limits(plan[None]).max() <= 0
    twin.close()


def test_what_the_program_judges_wrong_the_oracle_puts_right():
    spec = read_scene("inspection")
    fields = {"backed": False, "horizon": 3, "every": 3, "tail": 1, "planner": Shooting(samples=4, spread=1.5)}

    def verdicts(policy):
        with Cell(spec, without=pictures(spec)) as cell:
            episode = record(cell, policy, 70, 50_008, keep=())
        return episode["event_right"].values[episode["event_kind"].values == "inspected"]

    alone, mended = (
        verdicts(p) for p in (rooms.build("policies", "program", spec=spec), Oracle(spec, proposal="program", **fields))
    )
    assert not alone.all() and mended.all() and len(mended) == len(alone)


def test_without_a_tail_only_the_plan_counts(blind_cell, oracle):
    short = replace(oracle, tail=0)
    assert record(blind_cell, short, 4, 3, keep=()).sizes["time"] == 4


def test_it_is_scored_as_every_policy_is(blind_spec, oracle):
    assert acting("oracle", blind_spec) == Oracle(blind_spec)
    assert run(blind_spec, oracle, 50_000, 6)[0] == 50_000
