"""Collecting episodes: several processes write what one would, and nothing is recorded twice."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import xarray as xr

from twinlab.cell import Cell
from twinlab.collect import collect
from twinlab.episodes import record
from twinlab.policies.expert import Expert
from twinlab.policies.still import Still
from twinlab.store import EpisodeStore

TICKS = 20


@dataclass
class Trained(Still):
    """A policy that says which model it acts by."""

    weights: str = "0a"

    def lineage(self) -> dict[str, str]:
        return {"model": "toy", "weights": self.weights}


def contents(store: EpisodeStore) -> dict[int, dict[str, bytes]]:
    """Seed → file → what is in it."""
    folders = sorted((store.path / "episodes").iterdir())
    seeds = [found["seed"] for found in store.attrs()]
    return {
        seed: {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        for seed, folder in zip(seeds, folders, strict=True)
    }


@pytest.fixture(scope="module")
def parallel(tmp_path_factory, blind_spec) -> EpisodeStore:
    """Four episodes recorded by two processes."""
    path: Path = tmp_path_factory.mktemp("parallel") / "store"
    return collect(path, blind_spec, Expert(blind_spec), range(4), TICKS, noise=0.1, workers=2)


def test_two_processes_write_the_same_bytes_as_recording_alone(parallel, tmp_path, blind_cell, blind_spec):
    alone = EpisodeStore(tmp_path / "store")
    for seed in range(4):
        alone.append(record(blind_cell, Expert(blind_spec), TICKS, seed, noise=0.1))
    assert contents(parallel) == contents(alone)
    assert parallel.verify() == []


def test_what_is_there_is_not_recorded_again(parallel, blind_spec):
    before, told = contents(parallel), []
    again = collect(
        parallel.path, blind_spec, Expert(blind_spec), range(5), TICKS, noise=0.1, progress=lambda *n: told.append(n)
    )
    assert told == [(1, 1)]
    after = contents(again)
    assert sorted(after) == [0, 1, 2, 3, 4]
    assert {seed: after[seed] for seed in before} == before


def test_another_line_policy_noise_length_or_teacher_is_recorded_beside(tmp_path, blind_spec):
    faster = blind_spec.change({"belt.speed": 0.15})
    jobs = [
        (blind_spec, Still(), 3, 0.0),
        (faster, Still(), 3, 0.0),
        (blind_spec, Expert(blind_spec), 3, 0.0),
        (blind_spec, Still(), 3, 0.2),
        (blind_spec, Still(), 4, 0.0),
        (blind_spec, Still(), 3, 0.0, Expert(blind_spec)),
    ]
    for _ in range(2):
        for spec, policy, ticks, noise, *teacher in jobs:
            store = collect(tmp_path / "store", spec, policy, [7], ticks, noise, teacher=next(iter(teacher), None))
    assert len(store) == len(jobs)
    assert store.select(scene_digest=faster.digest) == [1]
    assert store.select(policy="still", scene_digest=blind_spec.digest, noise=0.0, ticks=4) == [4]


def test_an_episode_that_is_collected_is_the_one_that_is_recorded(tmp_path, sorting):
    found = collect(tmp_path / "store", sorting, Still(), [5], 3, teacher=Expert(sorting))[0].load()
    with Cell(sorting) as cell:
        xr.testing.assert_identical(found, record(cell, Still(), 3, 5, teacher=Expert(sorting)))


def test_a_seed_that_is_given_twice_is_recorded_once(tmp_path, blind_spec):
    assert len(collect(tmp_path / "s", blind_spec, Still(), [0, 1, 0], 2)) == 2


def test_episodes_from_elsewhere_in_the_store_do_not_matter(tmp_path, blind_spec):
    EpisodeStore(tmp_path / "s").append(xr.Dataset({"x": ("time", [1.0])}))
    assert len(collect(tmp_path / "s", blind_spec, Still(), [0], 2)) == 2


def test_an_episode_says_which_model_acted_or_taught(tmp_path, blind_spec):
    pairs = [(Trained(), None), (Still(), None), (Still(), Trained()), (Trained(weights="1b"), None)]
    for _ in range(2):
        for policy, teacher in pairs:
            store = collect(tmp_path / "s", blind_spec, policy, [0], 2, teacher=teacher)
    both = {role: {"model": "toy", "weights": "0a"} for role in ("policy", "teacher")}
    told = [json.loads(found.get("lineage", "{}")) for found in store.attrs()]
    assert told[:3] == [both, {}, {"teacher": both["teacher"]}]
    assert told[3]["policy"] == {"model": "toy", "weights": "1b"} and len(store) == len(pairs)
