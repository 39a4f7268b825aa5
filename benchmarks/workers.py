"""How much faster two processes record a line than one. Starting them is included.

Each turn records the same episodes twice, with one process and with two, in a random order; the figure is the median
over turns of the quotient of their times.

    python benchmarks/workers.py [--scene NAME] [--turns N] [--episodes N] [--ticks N]
"""

import os

for _name in ("LP_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # one core a process, as `workers.spread` has it

import argparse
import random
import tempfile
import time
from pathlib import Path

import numpy as np
from turns import tell

from twinlab import rooms
from twinlab.collect import collect
from twinlab.scene import SceneSpec, read_scene


def spent(spec: SceneSpec, episodes: int, ticks: int, workers: int) -> float:
    """The time that it takes to record episodes with so many processes [s]."""
    expert = rooms.build("policies", "expert", spec=spec)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        collect(Path(folder) / "store", spec, expert, range(episodes), ticks, workers=workers)
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scene", default="sorting")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--episodes", type=int, default=48)
    parser.add_argument("--ticks", type=int, default=600)
    asked = parser.parse_args()
    spec, order = read_scene(asked.scene), random.Random(0)
    rows = []
    for _ in range(asked.turns):
        row = {workers: 0.0 for workers in order.sample([1, 2], 2)}
        for workers in row:
            row[workers] = spent(spec, asked.episodes, asked.ticks, workers)
        rows.append((row[1], row[2]))
    one, two = np.array(rows).T
    for name, values, unit in (("one", one, "s"), ("two", two, "s"), ("two_over_one", one / two, "1")):
        tell(name, values, unit)


if __name__ == "__main__":
    main()
