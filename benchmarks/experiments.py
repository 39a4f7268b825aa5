"""How much faster two workers run an experiment than one, here and on a LocalCluster. Starting workers is included.

Each turn runs the same table with one and with two, in a random order, into a new folder; the figure is the median over
turns of the quotient of their times. A cluster is there before its turn, as one that is used for more than one table;
the processes that do the runs are started within it.

    python benchmarks/experiments.py [--scene NAME] [--turns N] [--seeds N] [--ticks N]
"""

import os

for _name in ("LP_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # one core a process, as `workers.spread` has it

import argparse
import contextlib
import logging
import random
import tempfile
import time

import numpy as np
from turns import tell

from twinlab.experiment import experiment

KINDS = ("local", "cluster")


def spent(kind: str, workers: int, asked: argparse.Namespace) -> float:
    """The time that an experiment takes [s]."""
    with tempfile.TemporaryDirectory() as out, contextlib.ExitStack() as stack:
        client = None
        if kind == "cluster":
            from distributed import Client, LocalCluster

            cluster = LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
            )
            client = stack.enter_context(Client(stack.enter_context(cluster)))
        start = time.perf_counter()
        experiment(
            asked.scene, {"vary": [0.5, 1.0]}, range(60_000, 60_000 + asked.seeds), ticks=asked.ticks,
            out=out, workers=workers, cluster=client,
        )  # fmt: skip
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scene", default="sorting")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=48)
    parser.add_argument("--ticks", type=int, default=600)
    asked, order = parser.parse_args(), random.Random(0)
    times: dict[tuple[str, int], list[float]] = {(kind, n): [] for kind in KINDS for n in (1, 2)}
    for _ in range(asked.turns):
        for kind, workers in order.sample(sorted(times), len(times)):
            times[kind, workers].append(spent(kind, workers, asked))
    for kind in KINDS:
        one, two = (np.array(times[kind, n]) for n in (1, 2))
        for name, values, unit in (("one", one, "s"), ("two", two, "s"), ("two_over_one", one / two, "1")):
            tell(f"{name}_{kind}", values, unit)


if __name__ == "__main__":
    main()
