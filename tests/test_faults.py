"""Faults: every file of the room leaves its truth in the episode and changes what it says; clear errors otherwise."""

import numpy as np
import pytest

from twinlab import rooms
from twinlab.cell import Cell
from twinlab.episodes import record
from twinlab.errors import CellError, SceneError
from twinlab.faults import Course, course
from twinlab.faults.bias import Bias
from twinlab.faults.slip import Slip
from twinlab.scene import SceneSpec, read_scene, scene_names
from twinlab.sensing import stream

FAULTS = pytest.mark.parametrize("kind", rooms.names("faults"))
ON = {  # what a fault of each target is tried on
    "sensor": "tcp",
    "camera": "overhead",
    "actuator": "arm",
    "line": "",
}
BODIES = {"slip": "belt", "jam": "feeder", "wear": "gripper", "wrong_part": "feeder", "defect_burst": "feeder"}
ONSET, DURATION = 1.0, 1.0


def place(kind: str) -> str:
    return BODIES.get(kind) or ON[rooms.load("faults", kind).target]


def table(kind: str, **fields: object) -> dict:
    return {"kind": kind, "of": place(kind), "onset": ONSET, "duration": DURATION, **fields}


def troubled(spec: SceneSpec, **faults: dict) -> SceneSpec:
    return spec.change({"faults": faults})


def expert(spec: SceneSpec, seed: int = 3, ticks: int = 60):
    with Cell(spec) as cell:
        return record(cell, rooms.build("policies", "expert", spec=spec), ticks, seed)


QUICK = {
    "feeder.first": 0.2,
    "feeder.period": 0.8,
    "feeder.jitter": 0.0,
    "feeder.count": 4,
    "feeder.colours": ["red", "blue"],
    "feeder.position": [0.53, 0.65, 0.13],
}


@pytest.fixture(scope="module")
def fast(sorting) -> SceneSpec:
    """The sorting line with ideal sensors and parts that come early and often."""
    return sorting.ideal().change(QUICK)


@pytest.fixture(scope="module")
def blind(blind_spec) -> SceneSpec:
    """The same without cameras, for what no camera shows."""
    return blind_spec.ideal().change(QUICK)


@pytest.fixture(scope="module")
def sound(fast):
    return expert(fast)


@pytest.fixture
def ground(kind, fast, blind) -> SceneSpec:
    """The line that a kind of fault is tried on."""
    return fast if rooms.load("faults", kind).target in ("camera", "line") else blind


def line(fault: Bias) -> Course:
    return course("trouble", fault, 1, stream(1, "trouble"))


# ---- the contract of every file


@FAULTS
def test_a_fault_leaves_in_the_episode_which_when_and_how_strong(ground, kind):
    episode = expert(troubled(ground, trouble=table(kind)))
    level = episode["fault_level"]
    assert level.attrs["role"] == "truth" and level.attrs["labels"] == ["trouble"]
    during = (episode["time"] >= ONSET - 1e-9) & (episode["time"] <= ONSET + DURATION + 1e-9)
    assert (level.isel(fault=0) == during).all()
    told = [
        (e, i, p) for e, i, p in zip(*(episode[f"event_{k}"].values for k in ("kind", "item", "place")), strict=True)
    ]
    assert told.count(("fault", "trouble", place(kind))) == 1
    assert told.count(("recovered", "trouble", place(kind))) == 1
    times = episode["event_time"].values[[k in ("fault", "recovered") for k, *_ in told]]
    assert times == pytest.approx([ONSET, ONSET + DURATION + 0.05], abs=1e-6)


@FAULTS
def test_a_fault_changes_nothing_before_its_onset_and_something_after(ground, sound, kind):
    episode = expert(troubled(ground, trouble=table(kind)))
    unseen = ("wrong_part", "defect_burst", "wear")  # show only in parts that are looked at or held
    early = slice(0, round(ONSET / 0.05))
    names = [n for n, v in sound.data_vars.items() if n in episode and v.attrs["role"] in ("reading", "action")]
    same = [bool((episode[n][early].values == sound[n][early].values).all()) for n in names]
    assert all(same), [n for n, s in zip(names, same, strict=True) if not s]
    later = any((episode[n].values != sound[n].values).any() for n in names)
    assert later or kind in unseen


@FAULTS
def test_a_fault_repeats_under_the_same_seed(ground, kind):
    spec = troubled(ground, trouble=table(kind, spread=0.3, rise=0.2, recovery=0.2))
    assert expert(spec, ticks=50).identical(expert(spec, ticks=50))


@FAULTS
def test_a_fault_that_names_nothing_that_is_there_is_an_error(ground, kind):
    with pytest.raises(SceneError, match=r"\[faults.trouble\] of: came 'nobody'"):
        troubled(ground, trouble=table(kind, of="nobody"))


@FAULTS
def test_a_fault_is_its_own_frozen_configuration_with_units(kind):
    fault = rooms.build("faults", kind)
    with pytest.raises(ValueError, match="frozen"):
        fault.onset = 3
    for field in type(fault).model_fields.values():
        assert field.description


# ---- when


def test_the_level_rises_stays_and_recovers():
    one = line(Bias(onset=1, duration=2, rise=1, recovery=2))
    times = [0, 0.9, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert [one.level(t) for t in times] == pytest.approx([0, 0, 0, 0.5, 1, 1, 0.5, 0, 0], abs=1e-6)


def test_a_fault_without_an_end_stays():
    one = line(Bias(onset=1, duration=0))
    assert [one.level(t) for t in (0.99, 1.0, 1e6)] == [0, 1, 1]


def test_onset_and_chance_vary_with_the_seed_as_declared():
    fault = Bias(onset=5, spread=2, chance=0.3)
    starts = [course("x", fault, s, stream(s, "x")).start for s in range(1000)]
    happened = np.array([s for s in starts if s is not None])
    assert len(happened) == pytest.approx(300, abs=4 * np.sqrt(1000 * 0.3 * 0.7))
    assert happened.min() >= 3 and happened.max() <= 7
    assert happened.mean() == pytest.approx(5, abs=4 * (4 / np.sqrt(12)) / np.sqrt(len(happened)))


# ---- what


def test_a_frozen_or_dropped_camera_keeps_its_picture_and_only_the_dropped_one_says_so(fast, sound):
    frozen = expert(troubled(fast, t=table("freeze", of="overhead_rgb")))
    dropped = expert(troubled(fast, t=table("dropout", of="overhead_rgb")))
    a, b = 25, 38
    assert (frozen["overhead_rgb"][a].values == frozen["overhead_rgb"][b].values).all()
    assert (dropped["overhead_rgb"][a].values == dropped["overhead_rgb"][b].values).all()
    assert (sound["overhead_rgb"][a].values != sound["overhead_rgb"][b].values).any()
    assert frozen["overhead_rgb_valid"].all()
    assert not dropped["overhead_rgb_valid"][20:41].any() and dropped["overhead_rgb_valid"][41:].all()
    assert float(dropped["overhead_rgb_age"][40]) == pytest.approx(1.05)


def test_a_bias_is_added_and_a_drift_grows(blind, sound):
    plain = sound["encoder"].values
    off = expert(troubled(blind, t=table("bias", of="encoder", size=0.25)))["encoder"].values - plain
    assert off[20:41] == pytest.approx(np.full((21, 2), 0.25), abs=1e-5)
    grown = expert(troubled(blind, t=table("drift", of="encoder", slope=0.1)))["encoder"].values - plain
    assert grown[20:41, 0] == pytest.approx(0.1 * 0.05 * np.arange(21), abs=1e-5)


def test_less_light_makes_a_darker_picture(fast, sound):
    dark = expert(troubled(fast, t=table("light_failure", share=0.9)))
    assert dark["overhead_rgb"][30].mean() < 0.5 * sound["overhead_rgb"][30].mean()
    assert (dark["overhead_depth"][30].values == sound["overhead_depth"][30].values).all()


def test_a_knocked_camera_sees_a_moved_picture_and_its_calibration_does_not_tell(fast, sound):
    knocked = expert(troubled(fast, t=table("mis_mount", turn=0.05)))
    assert (knocked["overhead_depth"][30].values != sound["overhead_depth"][30].values).mean() > 0.5
    assert knocked["overhead_rgb"].attrs["extrinsics"] == sound["overhead_rgb"].attrs["extrinsics"]


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_sheet_covers_the_declared_share_of_the_picture_at_its_distance(fast, share):
    covered = expert(troubled(fast, t=table("occlusion", share=share, distance=0.3)))
    depth, mask = covered["overhead_depth"][30].values, covered["overhead_mask"][30].values
    near = np.isclose(depth, 0.3)
    assert near.mean() == pytest.approx(share, abs=0.03)
    assert (mask[near] == -1).all()


def test_dirt_stains_about_the_declared_share_and_makes_holes_in_the_depth(fast, sound):
    dirty = expert(troubled(fast, t=table("dirt", share=0.3)))
    changed = (np.abs(dirty["overhead_rgb"][30].values.astype(int) - sound["overhead_rgb"][30].values) > 3).any(axis=-1)
    assert 0.15 < changed.mean() < 0.5
    holes = np.isinf(dirty["overhead_depth"][30].values) & np.isfinite(sound["overhead_depth"][30].values)
    assert 0.1 < holes.mean() < 0.4


def test_a_stuck_arm_stays_while_it_is_stuck(blind):
    stuck = expert(troubled(blind, t=table("stuck", of="arm")))
    tool = stuck["tcp"].values[:, :3]
    assert np.abs(tool[40] - tool[30]).max() < 0.002
    assert np.abs(tool[59] - tool[41]).max() > 0.01


def test_a_stuck_axis_can_keep_its_last_set_point(blind, sound):
    held = expert(troubled(blind, t=table("stuck", of="arm.y", at="held")))
    tool = held["tcp"].values
    wanted = sound["action"].sel(actuator="arm.y").values[19]
    assert (tool[38, 1] - tool[25, 1]) / (13 * 0.05) == pytest.approx(wanted, abs=0.1) or abs(tool[38, 1]) > 0.69


def test_a_slipping_belt_carries_less_far(blind):
    slow = expert(troubled(blind, t=table("slip", share=0.5)))
    travel = slow["encoder"].values[:, 0]
    assert travel[40] - travel[20] == pytest.approx(0.05, abs=0.003)  # a second at half of 0.1 m/s
    assert travel[59] - travel[41] == pytest.approx(18 * 0.05 * 0.1, abs=0.003)


def test_a_jammed_feeder_brings_its_parts_later_and_loses_none(blind):
    def spawned(episode):
        return episode["event_time"].values[episode["event_kind"].values == "spawned"]

    jammed = expert(troubled(blind, t=table("jam")), ticks=90)
    plain = expert(blind, ticks=90)
    late = spawned(jammed)[: len(spawned(plain))]
    before = spawned(plain) < ONSET
    assert (late[before] == spawned(plain)[before]).all()
    assert late[~before][:2] == pytest.approx(spawned(plain)[~before][:2] + DURATION + 0.05, abs=0.03)


def test_a_worn_gripper_drops_what_a_sound_one_holds(blind_spec):
    spec = blind_spec.ideal().change({"feeder.defects": 0.0})
    worn = troubled(spec, t=table("wear", of="gripper", onset=0, duration=0, force=0.95, friction=0.97))
    kinds = [expert(s, seed=5, ticks=300)["event_kind"].values.tolist() for s in (spec, worn)]
    assert kinds[0].count("placed") > kinds[1].count("placed")


def test_wrong_parts_and_defects_come_only_meanwhile(blind):
    for kind in ("wrong_part", "defect_burst"):
        with Cell(blind) as plain, Cell(troubled(blind, t=table(kind, share=1.0))) as bad:
            plain.reset(3)
            bad.reset(3)
            for one, other in zip(plain.items, bad.items, strict=True):
                inside = ONSET <= one.time <= ONSET + DURATION
                if kind == "wrong_part":
                    assert (one.properties != other.properties) == inside
                else:
                    assert (one.defect != other.defect) == (inside and not one.defect)


def test_faults_compose(blind):
    both = expert(
        troubled(
            blind, a=table("bias", of="encoder", size=0.1), b=table("bias", of="encoder", size=0.2), c=table("slip")
        )
    )
    assert both["fault_level"].attrs["labels"] == ["a", "b", "c"]
    assert float(both["encoder"][30, 1]) == pytest.approx(0.05 + 0.3, abs=1e-5)


def test_a_fault_is_scheduled_from_python_as_the_scene_would_declare_it(blind):
    slip = Slip(of="belt", onset=1.0, duration=1.0, share=0.4)
    assert blind.change({"faults.trouble": slip}) == troubled(blind, trouble=table("slip", share=0.4))
    assert blind.change({"faults": {"trouble": slip}}).faults == {"trouble": slip}


def test_a_fault_can_be_triggered_while_the_line_runs_and_leaves_the_same_truth(blind):
    waiting = troubled(blind, trouble=table("slip", chance=0.0))
    with Cell(waiting) as cell:
        cell.reset(0)
        levels = []
        for tick in range(50):
            if tick == 10:
                cell.trigger("trouble")
            cell.step({})
            levels.append(float(cell.truth["fault_level"][0]))
        told = [(e.kind, e.item, e.place, pytest.approx(e.time, abs=0.05)) for e in cell.events if e.item == "trouble"]
    assert levels == [0.0] * 10 + [1.0] * 20 + [0.0] * 20
    assert told == [("fault", "trouble", "belt", 0.5), ("recovered", "trouble", "belt", 1.55)]


def test_a_sensors_fault_that_is_triggered_acts_on_its_values(blind):
    with Cell(troubled(blind, trouble=table("bias", size=0.5, chance=0.0))) as cell:
        before = cell.reset(0)["tcp"]
        cell.trigger("trouble")
        assert cell.step({})["tcp"] == pytest.approx(before + 0.5, abs=0.002)


@pytest.mark.parametrize(
    ("name", "said"), [("truoble", "Did you mean 'trouble'"), ("mixed", "cannot begin later; set its onset")]
)
def test_what_cannot_be_triggered_is_an_error(blind, name, said):
    with Cell(troubled(blind, trouble=table("slip"), mixed=table("wrong_part"))) as cell:
        with pytest.raises(CellError, match=said):
            cell.trigger(name)
        assert not [e for e in cell.events if e.kind == "fault"]


# ---- what does not fit


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "jam", "of": "belt"}, "it changes ..pace.., which that body does not have"),
        ({"kind": "defect_burst", "of": "feeder", "defect": "chiped"}, "Did you mean 'chipped'"),
        ({"kind": "bias", "of": "tpc"}, "Did you mean 'tcp'"),
        ({"kind": "light_failure", "of": "lamp"}, "it acts on the whole line"),
        ({"kind": "dorpout", "of": "tcp"}, "Did you mean 'dropout'"),
    ],
)
def test_a_fault_that_does_not_fit_is_an_error_that_says_so(blind, fields, said):
    with pytest.raises(SceneError, match=said):
        troubled(blind, trouble=fields)


def test_a_bias_on_a_switch_is_an_error(blind):
    with pytest.raises(Exception, match=r"break_beam.*pulse"), Cell(troubled(blind, t=table("bias", of="break_beam"))):
        pass


@pytest.mark.parametrize("scene", scene_names())
def test_every_fault_of_every_scene_can_be_triggered_and_the_line_goes_on(scene):
    spec = read_scene(scene)
    can = [name for name, fault in spec.faults.items() if not fault.planned]
    assert len(can) >= 3, "a line wants faults that make sense there"
    with Cell(spec) as cell:
        for _ in range(2):
            cell.step({})
        for name in can:
            cell.trigger(name)
        for _ in range(3):
            cell.step({})
        level = dict(zip(spec.faults, cell.truth["fault_level"], strict=True))
        assert all(level[name] > 0 for name in can)
        assert [e.item for e in cell.events if e.kind == "fault"] == can
