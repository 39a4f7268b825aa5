"""How fast the sorting line is recorded on one core, and where the time goes.

Two 96×96 cameras with colour and depth, wrench and joints at 20 Hz, all effects of their sensors on; what the expert
needs besides (tool, opening, encoder) is recorded too. One episode to warm up, then whole episodes, from reset to
what is on disk. Each of them is run twice in turn: bare, which gives the factor, and watched, which gives the shares.

    python benchmarks/recording.py [--episodes N] [--ticks N]
"""

import os

for _name in ("LP_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before the libraries that read it are loaded

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from twinlab import rooms, sensing
from twinlab.cell import Cell
from twinlab.episodes import record
from twinlab.renderers.raster import RasterView
from twinlab.scene import SceneSpec, read_scene
from twinlab.sensors import Moment
from twinlab.store import EpisodeStore
from twinlab.world import World
from twinlab.world._moved import Moved

KINDS = ("rgb", "depth", "wrench", "joints", "tcp", "width", "encoder")


def line() -> SceneSpec:
    """The sorting line with two 96×96 RGB-D cameras."""
    spec = read_scene("sorting")
    sensors = {n: s for n, s in spec.sensors.items() if type(s).__module__.rpartition(".")[2] in KINDS}
    sizes = {f"cameras.{name}.{side}": 96 for name in spec.cameras for side in ("width", "height")}
    return spec.change({"sensors": sensors, **sizes})


class Shares:
    """How long was spent where; time within a watched call that is itself within another counts for the inner one."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._open: list[str] = []
        self._since = 0.0

    @contextmanager
    def watching(self, *places: tuple[Any, str, str]) -> Iterator[None]:
        """Watch calls of (owner, name, what they count as) within the block."""
        kept = [(owner, name, owner.__dict__[name]) for owner, name, _ in places]
        for owner, name, share in places:
            setattr(owner, name, self._watched(owner.__dict__[name], share))
        try:
            yield
        finally:
            for owner, name, original in kept:
                setattr(owner, name, original)

    def _watched(self, call: Callable[..., Any], share: str) -> Callable[..., Any]:
        def timed(*args: Any, **fields: Any) -> Any:
            self._switch(share)
            try:
                return call(*args, **fields)
            finally:
                self._switch(None)

        return timed

    def _switch(self, share: str | None) -> None:
        now = time.perf_counter()
        if self._open:
            self.spent[self._open[-1]] = self.spent.get(self._open[-1], 0.0) + now - self._since
        if share is None:
            self._open.pop()
        else:
            self._open.append(share)
        self._since = now


def places(spec: SceneSpec) -> list[tuple[Any, str, str]]:
    """What counts as physics, rendering, noise and storing."""
    noisy = {type(s) for s in spec.sensors.values() if "measure" in type(s).__dict__}
    steady = {type(s) for s in spec.sensors.values() if "advance" in type(s).__dict__}
    return [
        *((World, name, "physics") for name in ("step", "reset", "load", "add")),
        *((Moved, name, "physics") for name in ("inverse", "drive")),
        *((owner, name, "rendering") for owner, name in ((RasterView, "begin"), (Moment, "picture"))),
        *((kind, "measure", "noise") for kind in noisy),
        *((kind, "advance", "noise") for kind in steady),
        (sensing, "converted", "noise"),
        (EpisodeStore, "append", "storing"),
    ]


def told(name: str, values: list[float], unit: str) -> None:
    """One JSON line: the median of the episodes, their lowest and highest, and how many there are."""
    row = {"name": name, "value": float(np.median(values)), "unit": unit, "n": len(values)}
    print(json.dumps(row | {"low": min(values), "high": max(values)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--episodes", type=int, default=5)
    parser.add_argument("--ticks", type=int, default=600)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    spec = line()
    expert = rooms.build("policies", "expert", spec=spec)
    factors: list[float] = []
    shares: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, Cell(spec) as cell:
        store = EpisodeStore(Path(folder) / "store")

        def run(seed: int) -> float:
            start = time.perf_counter()
            store.append(record(cell, expert, asked.ticks, seed))
            return time.perf_counter() - start

        run(0)
        for seed in range(1, asked.episodes + 1):
            factors.append(asked.ticks * spec.physics.tick / run(seed))
            watch = Shares()
            with watch.watching(*places(spec)):
                whole = run(seed + 1000)
            for name in ("physics", "rendering", "noise", "storing"):
                shares.setdefault(name, []).append(watch.spent.get(name, 0.0) / whole)
            shares.setdefault("other", []).append(1 - sum(watch.spent.values()) / whole)
    told("realtime_factor", factors, "1")
    for name, values in shares.items():
        told(f"share_{name}", values, "1")


if __name__ == "__main__":
    main()
