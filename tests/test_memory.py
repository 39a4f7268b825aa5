"""Memory stays flat however long a twin runs: restores, renders, saved states that come and go.

Each measurement has a process of its own, in which no memory that another test gave back hides a leak.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import psutil
import xarray as xr

from twinlab.cell import Cell
from twinlab.frames import Intrinsics, look_at
from twinlab.renderers.raster import Raster
from twinlab.scene import SceneSpec
from twinlab.store import EpisodeStore

TIMES, SAMPLES = 10_000, 40
POSE = look_at((1.9, -1.05, 1.15), (0.37, 0.08, 0.17))


def slope(job: Callable[[int], object], times: int = TIMES) -> float:
    """By how many bytes the process grows a call: a line fitted to its resident memory, after a warm-up.

    Theil and Sen's estimate, the median of the slopes between all pairs of samples: one late allocation of a library
    is a step and not a slope, while a leak of every call is in every pair.
    """
    process, at, held = psutil.Process(), [], []
    warm, every = times // 10, times // SAMPLES
    for i in range(times + warm):
        job(i)
        if i >= warm and i % every == 0:
            at.append(i)
            held.append(process.memory_info().rss)
    one, other = np.triu_indices(len(at), 1)
    return float(np.median((np.array(held)[other] - np.array(held)[one]) / (np.array(at)[other] - np.array(at)[one])))


def alone(measurement: Callable[..., float], *given: object) -> float:
    """What a measurement finds in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measurement, *given).result()


def leaking(size: int) -> float:
    leaked: list[bytes] = []
    return slope(lambda i: leaked.append(bytes(size)), times=5_000)


def restoring_and_rendering(spec: SceneSpec) -> float:
    lens = Intrinsics.from_fov(64, 64, 0.62)
    with Cell(spec) as cell:
        view = Raster(shadow_size=128).open()
        states = []
        for _ in range(4):
            for _ in range(10):
                cell.step(np.zeros(len(cell.actuators)))
            states.append(cell.world.save())

        def again(i: int) -> None:
            cell.world.restore(states[i % len(states)])
            view.render(cell.world.snapshot(), lens, POSE)

        found = slope(again)
        view.close()
    return found


def saving_and_forgetting(spec: SceneSpec) -> float:
    with Cell(spec) as cell:
        return slope(lambda _: cell.world.forget(cell.world.save()), times=3_000)


def opening_and_closing(spec: SceneSpec) -> float:
    lens = Intrinsics.from_fov(32, 32, 0.62)
    with Cell(spec) as cell:
        snapshot = cell.world.snapshot()

        def once(_: int) -> None:
            view = Raster(shadow_size=64).open()
            view.render(snapshot, lens, POSE)
            view.close()

        return slope(once, times=1_500)


def reading_windows(path: str) -> float:
    store, names = EpisodeStore(path), ("rgb", "flat", "vector")
    many, rng = len(store), np.random.default_rng(0)
    return slope(lambda _: store.window(int(rng.integers(many)), 20, 52, names), times=3_000)


def test_the_slope_finds_a_leak_of_two_kibibytes_a_call():
    assert alone(leaking, 2048) > 1900


def test_10_000_restores_and_renders_leave_the_memory_flat(blind_spec):
    assert alone(restoring_and_rendering, blind_spec) < 1024


def test_states_that_are_saved_and_forgotten_leave_the_memory_flat(blind_spec):
    assert alone(saving_and_forgetting, blind_spec) < 1024


def test_views_that_are_opened_and_closed_leave_the_memory_flat(blind_spec):
    assert alone(opening_and_closing, blind_spec) < 1024


def test_windows_read_all_over_a_store_leave_the_memory_flat(tmp_path):
    store, rng = EpisodeStore(tmp_path / "s"), np.random.default_rng(0)
    for _ in range(40):
        rgb = rng.integers(0, 256, (100, 64, 64, 3), np.uint8)
        flat = np.repeat(rng.integers(0, 9, (100, 1), np.int16), 9000, axis=1)
        vector = rng.random((100, 60), np.float32)
        dims = {"rgb": ("time", "row", "column", "channel"), "flat": ("time", "pixel"), "vector": ("time", "axis")}
        store.append(xr.Dataset({n: (dims[n], v) for n, v in {"rgb": rgb, "flat": flat, "vector": vector}.items()}))
    assert alone(reading_windows, str(store.path)) < 1024
