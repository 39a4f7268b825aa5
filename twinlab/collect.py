"""Record many episodes into a store, several at once, and go on where an earlier call was stopped."""

import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from twinlab.cell import Cell
from twinlab.episodes import Policy, record
from twinlab.scene import SceneSpec
from twinlab.store import EpisodeStore

_cell: dict[SceneSpec, Cell] = {}


def collect(
    path: str | Path,
    spec: SceneSpec,
    policy: Policy,
    seeds: Iterable[int],
    ticks: int,
    noise: float = 0.0,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> EpisodeStore:
    """Record one episode for each seed that the store does not hold yet.

    Args:
        path: the store's folder; it is made if it is not there.
        spec: the line.
        policy: who acts; it must survive pickling, as all of `policies/` do.
        seeds: one episode each.
        ticks: length of each episode.
        noise: see `episodes.record`.
        workers: processes; each has a cell of its own and draws on one core.
        progress: called with how many are done, of how many.

    Returns:
        The store.
    """
    store = EpisodeStore(path)
    name = type(policy).__name__.lower()
    there = {(a["scene_digest"], a["policy"], a["noise"], a["seed"], a["ticks"]) for a in store.attrs()}
    wanted = [s for s in seeds if (spec.digest, name, float(noise), s, ticks) not in there]
    if workers <= 1:
        for done, seed in enumerate(wanted, 1):
            _one(str(path), spec, policy, ticks, seed, noise)
            if progress is not None:
                progress(done, len(wanted))
        return store
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_core) as pool:
        jobs = [pool.submit(_one, str(path), spec, policy, ticks, seed, noise) for seed in wanted]
        for done, job in enumerate(as_completed(jobs), 1):
            job.result()
            if progress is not None:
                progress(done, len(wanted))
    return store
