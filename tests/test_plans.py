"""Plans: what a model imagines is replayed in the simulator, told in units, and judged before it is done."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import toy

from twinlab import rooms
from twinlab.batches import fitted, hold
from twinlab.cell import Cell
from twinlab.episodes import record
from twinlab.errors import ActionError, ModelError
from twinlab.model import Size, WorldModel
from twinlab.plans import HARD, Plan, check_plan, imagine, trusted
from twinlab.policies._gate import Gate
from twinlab.policies._twin import Twin

TICKS = 6


SMALL = Size(latent=32, hidden=32, channels=8, places=2, members=3)


def unlearnt(episodes) -> WorldModel:
    """A model that knows what there is and its spread, and has learnt nothing."""
    torch.manual_seed(0)
    tracks, signals = hold(episodes)
    return WorldModel(fitted(signals, tracks), SMALL).eval()


@pytest.fixture(scope="module")
def model(blind_cell, blind_spec) -> WorldModel:
    expert = rooms.build("policies", "expert", spec=blind_spec)
    return unlearnt([record(blind_cell, expert, 120, 0, noise=0.1)])


@pytest.fixture
def cell(blind_cell):
    blind_cell.reset(3)
    for _ in range(4):
        blind_cell.step({"arm.x": 0.1})
    return blind_cell


@pytest.fixture
def plan(model, cell) -> Plan:
    belief = model.update(model.initial(), model.take(cell.readings))
    return imagine(model, belief, np.tile([0.1, 0, -0.1, 0, 0, 0], (TICKS, 1)))


def as_it_comes(cell, plan: Plan) -> Plan:
    """The plan of a model that foresees everything."""
    saved, rows = cell.save(), []
    for action in plan.actions:
        rows.append({**cell.step(action), **cell.truth})
    cell.restore(saved)
    cell.forget(saved)

    def told(name):
        values = np.stack([row[name] for row in rows])
        labels = plan.signals[name].labels
        return np.eye(len(labels))[values] if plan.signals[name].kind == "label" else values.astype(float)

    parts = (plan.readings, plan.truth)  # what only a model knows of, such as the time that is left, stays as it is
    foreseen = ({n: told(n) if n in rows[0] else value for n, value in part.items()} for part in parts)
    return replace(plan, **dict(zip(("readings", "truth"), foreseen, strict=True)), reward=np.zeros(len(rows)))


def everything(cell) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in {**cell.readings, **cell.truth}.items()}


def test_a_plan_tells_what_the_model_rolls_out(model, cell, plan):
    belief = model.update(model.initial(), model.take(cell.readings))
    with torch.no_grad():
        ahead = model.rollout(belief, torch.tensor(plan.actions[None], dtype=torch.float32))[0]
        wanted = {**model.decode(ahead), **model.heads(ahead)}
        assert np.allclose(plan.reward, model.reward(ahead))
    assert set(plan.imagined) == set(wanted)
    assert all(np.allclose(plan.imagined[name], value.numpy()) for name, value in wanted.items())
    assert set(plan.spread) == {s.name for s in model.signals.of("truth", "vector")} - {"reward"}
    assert plan.actuators == tuple(a.name for a in cell.actuators) and plan.tick == cell.spec.physics.tick


def test_pictures_are_imagined_on_request_only():
    model = unlearnt(toy.episodes(1))
    still = np.zeros((2, 2))
    assert set(imagine(model, model.initial(), still).readings) == {"tool", "beam"}
    asked = imagine(model, model.initial(), still, names=["top_rgb"]).readings
    assert asked["top_rgb"].shape == (2, toy.EDGE, toy.EDGE, 3) and set(asked) == {"top_rgb"}


def test_a_replay_leaves_the_cell_as_it_was_to_the_bit(cell, plan):
    before, events, time = everything(cell), cell.events, cell.time
    action, truth = cell.action.copy(), cell.task
    check_plan(cell, plan)
    assert everything(cell) == before
    assert (cell.events, cell.time, cell.task) == (events, time, truth) and (cell.action == action).all()


def test_a_line_goes_on_after_a_replay_as_it_would_have_gone_on(cell, plan):
    def on():
        return [cell.step({"arm.y": 0.1})["tcp"].tobytes() for _ in range(10)]

    check_plan(cell, plan)
    checked = on()
    cell.reset(3)
    for _ in range(4):
        cell.step({"arm.x": 0.1})
    assert on() == checked


def test_a_plan_that_foresees_everything_has_no_gap(cell, plan):
    gap = check_plan(cell, as_it_comes(cell, plan))
    offs = [name for name in gap.data_vars if name.endswith("_off")]
    assert {"tcp_off", "target_off", "arm_step_off"} <= set(offs)
    assert all(np.nan_to_num(gap[name]).max() < 1e-5 for name in offs)
    assert (gap["reward_gap"] == 0).all()
    assert gap["time"].values == pytest.approx(0.05 * np.arange(1, TICKS + 1)) and gap.attrs["seed"] == 3
    assert trusted(gap, 0.01).ok


def test_a_gap_is_told_in_the_signals_units_and_in_training_deviations(cell, plan):
    right = as_it_comes(cell, plan)
    tool = right.readings["tcp"] + np.array([0.02, 0, 0, 0])
    gap = check_plan(cell, replace(right, readings={**right.readings, "tcp": tool}), names=["tcp"])
    assert gap["tcp_gap"].values[:, 0] == pytest.approx(-0.02, abs=1e-6)
    assert gap["tcp_gap"].values[:, 1:] == pytest.approx(0.0, abs=1e-6)
    wanted = 0.02 / plan.signals["tcp"].std[0] / 2  # root mean square over four numbers
    assert gap["tcp_off"].values == pytest.approx(wanted, rel=1e-3)
    pressed = check_plan(cell, right, names=["wrench"])["wrench_gap"]
    assert pressed.attrs["units"] == "N N N N m N m N m"
    assert gap["tcp_gap"].attrs["units"].split() == list(plan.signals["tcp"].units)
    assert plan.signals["wrench"].units == ("N",) * 3 + ("N m",) * 3


def test_what_means_nothing_has_no_gap(cell, plan):
    assert not cell.truth["target_present"]
    gap = check_plan(cell, plan, names=["target", "target_present", "target_colour"])
    assert gap["target_gap"].isnull().all() and gap["target_colour_off"].isnull().all()
    assert gap["target_present_gap"].notnull().all()
    told = trusted(gap[[n for n in gap.data_vars if "target_present" not in n]], 1.0)
    assert not told.ok and "nothing of what was imagined could be compared" in told.why


def test_a_verdict_names_what_is_off_and_when(cell, plan):
    right = as_it_comes(cell, plan)
    tool = right.readings["tcp"].copy()
    tool[3] += 3 * np.array(plan.signals["tcp"].std)
    off = check_plan(cell, replace(right, readings={**right.readings, "tcp": tool}))
    told = trusted(off, 1.0)
    assert not told.ok
    assert told.why == "tcp is 3 training standard deviations off, 0.20 s ahead; the limit is 1"
    assert trusted(off, 4.0).ok


def test_a_plan_that_presses_too_hard_is_not_trusted_however_well_it_is_foreseen(model, cell):
    down = imagine(model, model.initial(), np.tile([0, 0, -0.3, 0, 0, 0], (40, 1)))
    told = trusted(check_plan(cell, as_it_comes(cell, down)), 1e9)
    assert not told.ok and told.why.startswith("violation: arm force, ") and told.why.endswith(" s ahead")
    assert not any(event.kind in HARD for event in cell.events), "it was only tried"


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        (np.zeros((0, 6)), r"came as \(0, 6\), wanted \(tick, 6\): at least one tick"),
        (np.zeros((3, 4)), r"came as \(3, 4\), wanted \(tick, 6\)"),
        (np.zeros(6), r"came as \(6,\)"),
        (np.full((2, 6), np.nan), "12 numbers of its actions are not finite"),
    ],
)
def test_actions_that_are_none_are_told(model, plan, actions, words):
    for make in (lambda: imagine(model, model.initial(), actions), lambda: replace(plan, actions=actions)):
        with pytest.raises(ActionError, match=words):
            make()


def test_what_a_model_cannot_imagine_is_told(model, plan):
    still = np.zeros((2, 6))
    with pytest.raises(ModelError, match=r"no reading 'tpc'.*Did you mean 'tcp'"):
        imagine(model, model.initial(), still, names=["tpc"])
    with pytest.raises(ModelError, match=r"belief came as \(2, .*wanted \(1, "):
        imagine(model, model.initial(2), still)
    with pytest.raises(ModelError, match=r"'tcp' is imagined as \(5, 4\), wanted \(6, 4\): a row for each"):
        replace(plan, readings={"tcp": plan.readings["tcp"][:5]})
    with pytest.raises(ModelError, match="'reward' is imagined as nan"):
        replace(plan, reward=np.full(TICKS, np.nan))


def test_a_plan_for_another_line_is_told(cell, plan):
    signals = plan.signals
    others = replace(signals, actuators=("arm.x", "arm.y", "arm.z", "arm.yaw", "gripper", "door"))
    with pytest.raises(
        ActionError, match=r"for actuators .*'door'\], but line .* has .*imagine it with a model of this"
    ):
        check_plan(cell, replace(plan, signals=others))
    with pytest.raises(ActionError, match=r"its tick is 0\.1 s, that of line .* 0\.05 s"):
        check_plan(cell, replace(plan, signals=replace(signals, tick=0.1)))
    every = tuple(replace(s, shape=(3,), std=(1.0,)) if s.name == "tcp" else s for s in signals.all)
    with pytest.raises(ModelError, match=r"'tcp' is a vector \(3,\), but line .* has a vector \(4,\)"):
        check_plan(cell, replace(plan, signals=replace(signals, all=every), readings={"tcp": np.zeros((TICKS, 3))}))
    with pytest.raises(ModelError, match=r"'taget' is not imagined.*Did you mean 'target'"):
        check_plan(cell, plan, names=["taget"])
    with pytest.raises(ModelError, match=r"nothing of \[\] is known to line"):
        check_plan(cell, replace(plan, readings={}, truth={}))


def test_a_reading_that_the_cell_leaves_out_cannot_be_compared(blind_spec, plan):
    with Cell(blind_spec, without=["tcp"]) as cell:
        assert "tcp_gap" not in check_plan(cell, plan)
        with pytest.raises(ModelError, match="'tcp' is not read by this cell"):
            check_plan(cell, plan, names=["tcp"])


@pytest.mark.parametrize("limit", [0, -1.0, np.nan, np.inf])
def test_a_limit_is_a_number_above_0(cell, plan, limit):
    with pytest.raises(ModelError, match=r"limit came as .*; wanted training standard deviations"):
        trusted(check_plan(cell, plan, names=["tcp"]), limit)


def test_a_gate_lets_a_plan_through_or_says_what_is_done_instead_and_counts(blind_spec, model):
    twin, gate, instead = Twin(blind_spec, 3), Gate(limit=0.05, names=("tcp",)), np.zeros((TICKS, 6))
    belief = model.update(model.initial(), model.take(twin.cell.readings))
    right = as_it_comes(twin.trial(), imagine(model, belief, np.tile([0.1, 0, 0, 0, 0, 0], (TICKS, 1))))
    wrong = replace(right, readings={**right.readings, "tcp": right.readings["tcp"] + 1})
    assert gate.chosen(twin, right, instead) is right.actions
    assert gate.chosen(twin, wrong, instead) is instead
    assert (gate.asked, gate.refused) == (2, 1) and gate.why.startswith("tcp is ")
    assert twin.cell.time == 0, "nothing was done yet"
    twin.close()
