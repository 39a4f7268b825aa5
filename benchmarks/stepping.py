"""What a step of a cell costs beyond the physics, on every line.

The expert's set-points of an episode are recorded first. Then a cell without sensors takes them, and of each tick
both the whole step and the `stepSimulation` calls within it are timed. A figure is the median over ticks of one over
the other, with a 95 % bootstrap interval over blocks of 50 ticks.

    python benchmarks/stepping.py [--ticks N] [--scene NAME ...]
"""

import os

for _name in ("LP_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before the libraries that read it are loaded

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pybullet

from twinlab import rooms
from twinlab.cell import Cell
from twinlab.episodes import record
from twinlab.scene import SceneSpec, read_scene, scene_names

_BLOCK = 50  # ticks


@contextmanager
def counted() -> Iterator[list[float]]:
    """How long PyBullet's own steps took, one number each [s]."""
    real, spent = pybullet.stepSimulation, []

    def timed(*args: object, **fields: object) -> None:
        start = time.perf_counter()
        real(*args, **fields)
        spent.append(time.perf_counter() - start)

    pybullet.stepSimulation = timed
    try:
        yield spent
    finally:
        pybullet.stepSimulation = real


def actions_of(spec: SceneSpec, ticks: int) -> np.ndarray:
    """The expert's set-points in one episode (tick, actuator)."""
    with Cell(spec, without=spec.pictures) as cell:
        return record(cell, rooms.build("policies", "expert", spec=spec), ticks, seed=0, keep=())["action"].values


def ratios(spec: SceneSpec, ticks: int) -> tuple[np.ndarray, float]:
    """Each tick's time over that of the physics in it (tick,), and the mean time of a physics step [s]."""
    actions, found = actions_of(spec, ticks), []
    with Cell(spec, without=list(spec.sensors)) as cell, counted() as spent:
        cell.reset(0)
        for action in actions:
            spent.clear()
            start = time.perf_counter()
            cell.step(action)
            found.append((time.perf_counter() - start, sum(spent), len(spent)))
    whole, physics, steps = np.array(found).T
    return whole / physics, float(physics.sum() / steps.sum())


def told(name: str, values: np.ndarray, ticks: int) -> float:
    """Print one figure; gives its median."""
    blocks = values[: len(values) // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
    rng = np.random.default_rng(0)
    drawn = np.median(blocks[rng.integers(len(blocks), size=(1000, len(blocks)))].reshape(1000, -1), axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    middle = float(np.median(values))
    line = {"name": name, "value": round(middle, 4), "low": round(float(low), 4), "high": round(float(high), 4)}
    print(json.dumps({**line, "unit": "1", "n": ticks}), flush=True)
    return middle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ticks", type=int, default=600)
    parser.add_argument("--scene", nargs="*", default=list(scene_names()))
    settings = parser.parse_args()
    worst, names = 0.0, settings.scene
    for name in names:
        values, step = ratios(read_scene(name), settings.ticks)
        worst = max(worst, told(f"overhead_{name}", values, settings.ticks))
        print(json.dumps({"name": f"step_{name}", "value": round(1e6 * step, 1), "unit": "us", "n": settings.ticks}))
    print(json.dumps({"name": "overhead_worst", "value": round(worst, 4), "unit": "1", "n": len(names)}))


if __name__ == "__main__":
    main()
