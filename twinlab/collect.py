"""Record many episodes into a store, several at once, and go on where an earlier call was stopped."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from twinlab.cell import Cell
from twinlab.episodes import Policy, lineage, policy_name, record
from twinlab.scene import SceneSpec
from twinlab.store import EpisodeStore
from twinlab.workers import spread


def collect(
    path: str | Path,
    spec: SceneSpec,
    policy: Policy,
    seeds: Iterable[int],
    ticks: int,
    noise: float = 0.0,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    teacher: Policy | None = None,
    cluster: Any = None,
) -> EpisodeStore:
    """Record one episode for each seed that the store does not hold yet.

    Args:
        path: the store's folder; it is made if it is not there.
        spec: the line.
        policy: who acts.
        seeds: one episode each.
        ticks: length of each episode.
        noise: see `episodes.record`.
        workers: processes, each with a cell of its own.
        progress: called with how many are done, of how many.
        teacher: see `episodes.record`.
        cluster: a `distributed.Client` whose workers record instead; all must see the store's folder under its path.

    Returns:
        The store.
    """
    store = EpisodeStore(path)
    who = {"policy": policy_name(policy), "teacher": policy_name(teacher or policy)}
    same = {"scene_digest": spec.digest, **who, "noise": float(noise), "ticks": ticks, "lineage": None}
    same |= {"branched_at": None}  # a branch of another episode is none that begins at a reset
    same |= lineage(policy, teacher)  # another model behind the same policy is another policy
    there = {found.get("seed") for found in store.attrs() if all(found.get(k) == v for k, v in same.items())}
    wanted = [seed for seed in dict.fromkeys(seeds) if seed not in there]
    jobs = [(str(store.path.absolute()), spec, policy, ticks, seed, noise, teacher) for seed in wanted]
    for done, _ in enumerate(spread(_one, jobs, workers, cluster), 1):
        if progress is not None:
            progress(done, len(wanted))
    return store


def _one(
    path: str, spec: SceneSpec, policy: Policy, ticks: int, seed: int, noise: float, teacher: Policy | None
) -> None:
    with Cell(spec) as cell:
        EpisodeStore(path).append(record(cell, policy, ticks, seed, noise, teacher=teacher))
