"""Training windows per second from a store, against plain files, HDF5 and LeRobot's videos, all in one run.

A window is 32 ticks of two 96×96 cameras (colour and depth) and six vectors of the sorting line, as it is recorded with
all noise. Every way holds the same episodes and reads the same windows, in a random order of ways in each turn, from
files that the system holds in memory; the figures are medians over turns.

    memmap      one .npy for each variable and episode, kept open by numpy.memmap: the floor
    store       `EpisodeStore.window`
    hdf5        as robomimic compresses (`--compress`): one file, a group a demo, gzip; vectors in memory ("low_dim")
    hdf5_plain  the same without gzip
    lerobot     vectors from parquet, in memory; colour as AV1 (g = 2, crf 30), depth as 12-bit HEVC, decoded by PyAV

    python benchmarks/store.py [--episodes N] [--ticks N] [--windows N] [--turns N]
"""

import os

for _name in ("LP_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xarray as xr
from turns import tell

from twinlab import rooms
from twinlab.cell import Cell
from twinlab.episodes import record
from twinlab.formats._video import Film, Log, pictures
from twinlab.scene import read_scene
from twinlab.store import EpisodeStore

COLOUR, DEPTH = ("overhead_rgb", "wrist_rgb"), ("overhead_depth", "wrist_depth")
VECTORS = ("joints_position", "joints_velocity", "tcp", "wrench", "width", "action")
NAMES, TICKS, FPS = (*COLOUR, *DEPTH, *VECTORS), 32, 20
RGB = ("libsvtav1", "yuv420p", FPS, {"g": "2", "crf": "30", "svtav1-params": "lp=1"})
DEEP = ("libx265", "gray12le", FPS, {"g": "2", "crf": "30", "x265-params": "log-level=none"})
Reader = Callable[[int, int], dict[str, np.ndarray]]  # episode and first tick → arrays


def recorded(episodes: int, ticks: int) -> Iterator[xr.Dataset]:
    """Episodes of the expert on the sorting line with pictures of 96×96."""
    size = {f"cameras.{name}.{side}": 96 for name in ("overhead", "wrist") for side in ("width", "height")}
    spec = read_scene("sorting").change(size)
    expert = rooms.build("policies", "expert", spec=spec)
    with Cell(spec) as cell:
        for seed in range(episodes):
            yield record(cell, expert, ticks, seed, noise=0.1)[list(NAMES)].drop_vars("actuator", errors="ignore")


def memmap(folder: Path, episodes: list[xr.Dataset]) -> Reader:
    """Plain arrays."""
    folder.mkdir()
    for index, episode in enumerate(episodes):
        for name in NAMES:
            np.save(folder / f"{index}_{name}.npy", episode[name].values)
    held = [{n: np.load(folder / f"{i}_{n}.npy", mmap_mode="r") for n in NAMES} for i in range(len(episodes))]
    return lambda index, start: {n: np.array(held[index][n][start : start + TICKS]) for n in NAMES}


def store(folder: Path, episodes: list[xr.Dataset]) -> Reader:
    """Our own."""
    out = EpisodeStore(folder)
    for episode in episodes:
        out.append(episode)
    return lambda index, start: out.window(index, start, start + TICKS, NAMES)


def hdf5(folder: Path, episodes: list[xr.Dataset], compression: str | None = "gzip") -> Reader:
    """As robomimic keeps and reads its demos."""
    folder.mkdir()
    with h5py.File(folder / "data.hdf5", "w") as file:
        for index, episode in enumerate(episodes):
            for name in NAMES:
                file.create_dataset(f"data/demo_{index}/obs/{name}", data=episode[name].values, compression=compression)
    file = h5py.File(folder / "data.hdf5", "r", swmr=True, libver="latest")
    low = [{n: file[f"data/demo_{i}/obs/{n}"][()] for n in VECTORS} for i in range(len(episodes))]

    def read(index: int, start: int) -> dict[str, np.ndarray]:
        shown = {n: file[f"data/demo_{index}/obs/{n}"][start : start + TICKS] for n in (*COLOUR, *DEPTH)}
        return shown | {n: low[index][n][start : start + TICKS] for n in VECTORS}

    return read


def hdf5_plain(folder: Path, episodes: list[xr.Dataset]) -> Reader:
    """The same without gzip."""
    return hdf5(folder, episodes, None)


def lerobot(folder: Path, episodes: list[xr.Dataset]) -> Reader:
    """A parquet file of vectors, and a video for each camera with all episodes."""
    folder.mkdir()
    columns = {n: np.concatenate([e[n].values.reshape(e.sizes["time"], -1) for e in episodes]) for n in VECTORS}
    pq.write_table(pa.table({n: list(values) for n, values in columns.items()}), folder / "data.parquet")
    for name in (*COLOUR, *DEPTH):
        film = Film(folder / f"{name}.mp4", *(DEEP if name in DEPTH else RGB))
        for episode in episodes:
            values = episode[name].values
            film.add(Log().steps(values) if name in DEPTH else values)
        film.close()
    table = pq.read_table(folder / "data.parquet")
    low = {n: np.stack(table[n].to_numpy()) for n in VECTORS}
    first = np.cumsum([0] + [e.sizes["time"] for e in episodes])

    def read(index: int, start: int) -> dict[str, np.ndarray]:
        at = int(first[index]) + start
        out = {n: low[n][at : at + TICKS] for n in VECTORS}
        out |= {n: pictures(folder / f"{n}.mp4", at / FPS, TICKS, FPS) for n in COLOUR}
        return out | {n: Log().depth(pictures(folder / f"{n}.mp4", at / FPS, TICKS, FPS, deep=True)) for n in DEPTH}

    return read


def checked(readers: dict[str, Reader], episodes: list[xr.Dataset]) -> None:
    """Raise unless every way gives what was recorded: exactly, videos nearly."""
    for name in NAMES:
        wanted = episodes[-1][name].values[3 : 3 + TICKS]
        for way, read in readers.items():
            found = read(len(episodes) - 1, 3)[name]
            if way != "lerobot":
                np.testing.assert_array_equal(found, wanted)
            elif name in COLOUR:
                assert np.abs(found.astype(int) - wanted).mean() < 20, f"{name}: the video shows something else"


def rate(read: Reader, windows: list[tuple[int, int]]) -> float:
    """Windows per second."""
    began = time.perf_counter()
    for index, start in windows:
        read(index, start)
    return len(windows) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--episodes", type=int, default=8)
    parser.add_argument("--ticks", type=int, default=300)
    parser.add_argument("--windows", type=int, default=400, help="of each turn; a sixteenth for gzip and videos")
    parser.add_argument("--turns", type=int, default=9)
    asked = parser.parse_args()
    order, episodes = random.Random(0), list(recorded(asked.episodes, asked.ticks))
    ways = {way.__name__: way for way in (memmap, store, hdf5, hdf5_plain, lerobot)}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        readers = {name: way(Path(folder) / name, episodes) for name, way in ways.items()}
        sizes = {n: sum(p.stat().st_size for p in (Path(folder) / n).rglob("*") if p.is_file()) for n in ways}
        checked(readers, episodes)
        time.sleep(1.1)  # a store lists its episodes anew while they are younger than a second
        for _ in range(asked.turns):
            drawn = [
                (order.randrange(asked.episodes), order.randrange(asked.ticks - TICKS)) for _ in range(asked.windows)
            ]
            for name in order.sample(list(ways), len(ways)):
                few = max(1, asked.windows // 16) if name in ("hdf5", "lerobot") else asked.windows
                rates[name].append(rate(readers[name], drawn[:few]))
    found = {name: np.array(values) for name, values in rates.items()}
    for name, values in found.items():
        tell(f"windows_per_s_{name}", values, "1/s")
        tell(f"bytes_per_episode_{name}", np.array([sizes[name] / asked.episodes]), "byte")
    for name in ("memmap", "hdf5", "hdf5_plain", "lerobot"):
        tell(f"vs_{name}", found["store"] / found[name], "1")


if __name__ == "__main__":
    main()
