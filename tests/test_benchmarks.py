"""The benchmarks run and say all that they promise; how fast things are is not a test's business."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import toy

from twinlab.cell import Cell
from twinlab.scene import read_scene
from twinlab.score import acting
from twinlab.store import EpisodeStore

FOLDER = Path(__file__).parents[1] / "benchmarks"
SIZES = ("64", "128", "320x240", "640x480")


def printed(name: str, *options: str) -> dict[str, dict]:
    """What a benchmark prints, by name."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(FOLDER / name), *options],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "LP_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )
    lines = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    return {told["name"]: told for told in lines}


def test_stepping_prints_what_a_step_costs_over_its_physics():
    lines = printed("stepping.py", "--ticks", "100", "--scene", "valve_round")
    assert set(lines) == {"overhead_valve_round", "step_valve_round", "overhead_worst"}
    told = lines["overhead_valve_round"]
    assert 1 < told["low"] <= told["value"] <= told["high"] and told["n"] == 100
    assert lines["overhead_worst"]["value"] == told["value"]


def test_workers_prints_the_quotient_of_the_times_with_one_process_and_with_two():
    lines = printed("workers.py", "--scene", "valve_round", "--turns", "1", "--episodes", "2", "--ticks", "10")
    assert set(lines) == {"one", "two", "two_over_one"}
    assert lines["two_over_one"]["value"] == pytest.approx(lines["one"]["value"] / lines["two"]["value"], abs=0.01)


def test_cameras_prints_every_ratio_with_its_interval_and_count():
    lines = printed("cameras.py", "--rounds", "2")
    kinds = ("speedup_", "speedup_shadow_", "floor_")
    wanted = {f"{kind}{size}" for kind in kinds for size in SIZES}
    wanted |= {"two_cameras_over_one", "two_cameras_over_one_shadow"}
    wanted |= {f"{way}_{size}_ms" for way in ("raster", "raster_shadow", "tiny", "tiny_shadow") for size in SIZES}
    assert wanted <= set(lines)
    for told in lines.values():
        assert np.isfinite([told["value"], told["low"], told["high"]]).all()
        assert 0 < told["low"] <= told["value"] <= told["high"]
        assert told["n"] == 2
        assert told["unit"] == ("ms" if told["name"].endswith("_ms") else "1")


def test_planning_prints_its_rate_in_closed_loop_and_what_it_costs_over_its_products():
    lines = printed("planning.py", "--turns", "1", "--ticks", "4")
    assert set(lines) == {"rate_hz", "policy_hz", "over_products"}
    assert 0 < lines["rate_hz"]["value"] < lines["policy_hz"]["value"] and lines["over_products"]["value"] > 1


def test_objectives_prints_what_each_foresees_and_perceives(tmp_path):
    store = EpisodeStore(tmp_path / "store")
    for episode in (*toy.episodes(2), toy.episode(50_000)):
        store.append(episode)
    lines = printed(
        "objectives.py", str(store.path), "--seeds", "1", "--seeing", "2", "--following", "2", "--cloning", "2"
    )
    names = {"truth", "latent", "reconstruction", "both"}
    assert set(lines) == {
        f"{what}_{name}" for what in ("foreseen", "action", "place_goal", "place_target") for name in names
    }
    assert all(told["value"] > 0 and told["n"] == 1 for told in lines.values())


def test_told_prints_what_a_policy_has_right_when_its_actor_is_told_the_truth():
    lines = printed("told.py", "sorting", "sorting", "--seeds", "2", "--ticks", "150")
    assert set(lines) == {f"right_{told}" for told in ("expert", "nothing", "step", "order", "all")}
    assert lines["right_expert"]["value"] == 1
    for told in lines.values():
        assert 0 <= told["low"] <= told["value"] <= told["high"] <= 1 and told["n"] == 2


def test_told_tells_the_actor_what_is_true_and_no_more(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    ways = importlib.import_module("told").ways
    spec = read_scene("sorting")
    policies = ways(spec, "sorting")
    with Cell(spec) as cell:
        cell.reset(55_000)
        seen = {**cell.readings, **cell.truth}
        wishes = {}
        for told, policy in policies.items():
            policy.reset(55_000, cell.task.meaning())
            wishes[told] = policy(seen)
        cloned = acting("cloned", spec, "sorting")
        cloned.reset(55_000, cell.task.meaning())
        assert np.array_equal(wishes["nothing"], cloned(cell.readings))
    assert policies["step"].names == ("arm_step",)
    assert set(policies["order"].names) == {"arm_step", "arm_aim", "setpoints"}
    assert not np.array_equal(wishes["nothing"], wishes["all"])
