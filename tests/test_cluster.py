"""A Dask cluster does the same as this machine, bit for bit, whatever happens to its workers."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import dask
import pytest
import xarray as xr
from distributed import Client, LocalCluster

from twinlab.collect import collect
from twinlab.errors import WorkerError
from twinlab.experiment import experiment
from twinlab.policies.still import Still
from twinlab.score import score
from twinlab.workers import spread

FACTORS = {"belt.speed": ["80 mm/s", "120 mm/s"], "policy": ["expert", "still"]}
SEEDS = (60_001, 60_100)
TICKS = 60


@pytest.fixture(scope="module")
def client():
    """Two worker processes with two threads each; a job that took two workers down is given up."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        LocalCluster(
            n_workers=2, threads_per_worker=2, dashboard_address=":0", silence_logs=logging.CRITICAL, memory_limit=0
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def local(blind_spec, tmp_path_factory) -> xr.Dataset:
    return experiment(blind_spec, FACTORS, SEEDS, ticks=TICKS, out=tmp_path_factory.mktemp("local"))


def busy(number: int, seconds: float) -> tuple[int, int, float, float]:
    """Who did it, and from when to when."""
    start = time.time()
    time.sleep(seconds)
    return number, os.getpid(), start, time.time()


def dies(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def kills_its_worker(number: int) -> int:
    """End the process that would wait for the answer, each time."""
    if number == 1:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(0.5)
    return number


def test_a_cluster_gives_the_same_table_as_this_machine(client, blind_spec, local, tmp_path):
    told = []
    there = experiment(
        blind_spec, FACTORS, SEEDS, ticks=TICKS, out=tmp_path, cluster=client,
        progress=lambda done, of, left: told.append((done, of)),
    )  # fmt: skip
    xr.testing.assert_identical(there, local)
    assert told == [(n, 8) for n in range(9)]


def test_a_score_may_be_got_on_a_cluster_too(client, blind_cell):
    found = score(blind_cell, Still(), SEEDS, 20, cluster=client)
    xr.testing.assert_identical(found, score(blind_cell, Still(), SEEDS, 20))


def test_episodes_may_be_recorded_on_a_cluster_too(client, blind_spec, tmp_path):
    there = collect(tmp_path / "there", blind_spec, Still(), SEEDS, 5, cluster=client)
    here = collect(tmp_path / "here", blind_spec, Still(), SEEDS, 5)
    found = [{store[i].attrs["seed"]: store.digest(i) for i in range(len(store))} for store in (there, here)]
    assert found[0] == found[1] and set(found[0]) == set(SEEDS)


def test_each_process_does_one_job_at_a_time_though_its_worker_has_two_threads(client):
    spans: dict[int, list[tuple[float, float]]] = {}
    for _, pid, start, end in spread(busy, [(i, 0.1) for i in range(12)], cluster=client):
        spans.setdefault(pid, []).append((start, end))
    assert len(spans) >= 2 and not set(spans) & set(client.run(os.getpid).values())
    for own in map(sorted, spans.values()):
        assert all(before[1] <= after[0] for before, after in pairwise(own))


def test_a_job_that_crashes_costs_neither_the_worker_nor_the_other_jobs(client):
    before = client.run(os.getpid)
    told = spread(dies, [(i,) for i in range(6)], cluster=client)
    assert sorted(next(told) for _ in range(5)) == [0, 1, 3, 4, 5]
    with pytest.raises(WorkerError, match=r"dies, call 2 of 6: its process died 3 times"):
        next(told)
    assert client.run(os.getpid) == before


def test_a_worker_that_is_killed_in_the_middle_costs_its_jobs_only(client, blind_spec, local, tmp_path):
    victim = next(iter(client.run(os.getpid).values()))
    killed = threading.Event()

    def kill(done: int, of: int, left: float) -> None:
        if done == 1:
            os.kill(victim, signal.SIGKILL)
            killed.set()

    there = experiment(blind_spec, FACTORS, SEEDS, ticks=TICKS, out=tmp_path, cluster=client, progress=kill)
    assert killed.is_set()
    xr.testing.assert_identical(there, local)


def test_a_job_that_kills_its_worker_each_time_is_given_up_and_its_neighbours_are_not(client):
    client.wait_for_workers(1, timeout=60)  # one that was killed is Dask's to bring back, and it does not always
    told = spread(kills_its_worker, [(i,) for i in range(8)], cluster=client)
    done = []
    with pytest.raises(WorkerError, match=r"kills_its_worker, call 1 of 8: the cluster gave it up.*; all others"):
        done.extend(iter(told))
    assert sorted(done) == [0, 2, 3, 4, 5, 6, 7]


def test_a_cluster_of_threads_in_this_process_does_the_work_in_other_processes():
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        done = list(spread(busy, [(i, 0.05) for i in range(4)], cluster=client))
    assert sorted(number for number, *_ in done) == [0, 1, 2, 3]
    assert os.getpid() not in {pid for _, pid, *_ in done}


def test_the_benchmark_prints_how_much_faster_two_workers_are_here_and_on_a_cluster():
    script = Path(__file__).parents[1] / "benchmarks" / "experiments.py"
    options = ("--scene", "valve_round", "--turns", "1", "--seeds", "1", "--ticks", "10")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), *options], capture_output=True, text=True, check=True, timeout=120
    )
    told = {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}
    kinds = ("local", "cluster")
    assert set(told) == {f"{what}_{kind}" for what in ("one", "two", "two_over_one") for kind in kinds}
    for kind in kinds:
        wanted = told[f"one_{kind}"]["value"] / told[f"two_{kind}"]["value"]
        assert told[f"two_over_one_{kind}"]["value"] == pytest.approx(wanted, abs=0.01)
        assert told[f"two_over_one_{kind}"]["n"] == 1
