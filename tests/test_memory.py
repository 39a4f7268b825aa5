"""Memory stays flat however long a twin runs: restores, renders, saved states that come and go."""

from collections.abc import Callable

import numpy as np
import psutil

from twinlab.cell import Cell
from twinlab.frames import Intrinsics, look_at
from twinlab.renderers.raster import Raster

TIMES, SAMPLES = 10_000, 40


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


def test_the_slope_finds_a_leak_of_two_kibibytes_a_call():
    leaked = []
    assert slope(lambda i: leaked.append(bytes(2048)), times=5_000) > 1900


def test_10_000_restores_and_renders_leave_the_memory_flat(blind_spec):
    lens, pose = Intrinsics.from_fov(64, 64, 0.62), look_at((1.9, -1.05, 1.15), (0.37, 0.08, 0.17))
    with Cell(blind_spec) as cell:
        view = Raster(shadow_size=128).open()
        states = []
        for _ in range(4):
            for _ in range(10):
                cell.step(np.zeros(len(cell.actuators)))
            states.append(cell.world.save())

        def again(i: int) -> None:
            cell.world.restore(states[i % len(states)])
            view.render(cell.world.snapshot(), lens, pose)

        assert slope(again) < 1024
        view.close()


def test_states_that_are_saved_and_forgotten_leave_the_memory_flat(blind_spec):
    with Cell(blind_spec) as cell:
        assert slope(lambda _: cell.world.forget(cell.world.save()), times=3_000) < 1024


def test_views_that_are_opened_and_closed_leave_the_memory_flat(blind_spec):
    lens, pose = Intrinsics.from_fov(32, 32, 0.62), look_at((1.9, -1.05, 1.15), (0.37, 0.08, 0.17))
    with Cell(blind_spec) as cell:
        snapshot = cell.world.snapshot()

        def once(_: int) -> None:
            view = Raster(shadow_size=64).open()
            view.render(snapshot, lens, pose)
            view.close()

        assert slope(once, times=600) < 1024
