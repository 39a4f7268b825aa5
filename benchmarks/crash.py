"""Kill a recorder at random moments and see what of its store is lost.

A process records episodes of a line into a store and tells of each, with the digest of its arrays, once `append` has
returned. It is killed by SIGKILL at a random moment, the store is repaired, and the next process goes on.
Each episode that was told of must be there bit for bit (`stored_lost` counts those that are not), and no kill may cost
more than the one that was in flight: `gaps` counts the kills after which a seed was missing or two drafts were left.

    python benchmarks/crash.py [--kills N] [--scene NAME] [--ticks N] [--longest S] [--seed N]
"""

import os

for _name in ("LP_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import hashlib
import json
import multiprocessing
import random
import tempfile
import time
from multiprocessing.connection import Connection

import numpy as np
import xarray as xr

from twinlab import rooms
from twinlab.cell import Cell
from twinlab.episodes import record
from twinlab.scene import SceneSpec, read_scene
from twinlab.store import EpisodeStore


def digest(episode: xr.Dataset) -> str:
    """SHA-256 of all arrays of an episode, with names, types and axes."""
    out = hashlib.sha256()
    for name in sorted(map(str, episode.variables)):
        variable = episode[name]
        text = variable.dtype.kind in "UO"
        values = repr(variable.values.tolist()).encode() if text else np.ascontiguousarray(variable.values).tobytes()
        out.update(
            repr((name, "text" if text else variable.dtype.str, variable.dims, variable.shape)).encode() + values
        )
    return out.hexdigest()


def recorder(path: str, spec: SceneSpec, ticks: int, told: Connection) -> None:
    """Record episode after episode, of the seeds that the store does not hold yet, until killed."""
    store = EpisodeStore(path)
    seed = max((found["seed"] for found in store.attrs()), default=-1)
    with Cell(spec, without=spec.pictures) as cell:
        expert = rooms.build("policies", "expert", spec=spec)
        told.send(None)
        while True:
            seed += 1
            episode = record(cell, expert, ticks, seed)
            wanted = digest(episode)
            store.append(episode)
            told.send((seed, wanted))


def lost(store: EpisodeStore, told: dict[int, str]) -> int:
    """How many episodes that a recorder told of (seed → digest) are not in the store as they were."""
    there = {found["seed"]: index for index, found in enumerate(store.attrs())}
    return sum(seed not in there or digest(store[there[seed]].load()) != wanted for seed, wanted in told.items())


def killed(context: multiprocessing.context.ForkServerContext, job: tuple, wait: float) -> dict[int, str]:
    """What a recorder told of (seed → digest) until it was killed, so long after it was ready [s]."""
    ours, its = context.Pipe(duplex=False)
    process = context.Process(target=recorder, args=(*job, its), daemon=True)
    process.start()
    its.close()
    ours.recv()
    time.sleep(wait)
    process.kill()
    process.join()
    told = {}
    try:
        while True:
            seed, wanted = ours.recv()
            told[seed] = wanted
    except (EOFError, OSError):  # the end, within a message perhaps
        ours.close()
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--scene", default="sorting")
    parser.add_argument("--ticks", type=int, default=10)
    parser.add_argument("--longest", type=float, default=1.2, help="until a recorder is killed at the latest [s]")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    chance, spec = random.Random(asked.seed), read_scene(asked.scene)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["twinlab.collect", "twinlab.policies.expert"])  # a recorder starts at once then
    told: dict[int, str] = {}
    found = dict.fromkeys(("stored_lost", "drafts_completed", "drafts_put_aside", "gaps"), 0)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/store"
        for _ in range(asked.kills):
            new = killed(context, (path, spec, asked.ticks), chance.uniform(0, asked.longest))
            store = EpisodeStore(path)
            repairs = store.repair()
            found["stored_lost"] += lost(store, new)
            found["drafts_completed"] += sum("was complete" in line for line in repairs)
            found["drafts_put_aside"] += sum("moved to" in line for line in repairs)
            seeds = sorted(row["seed"] for row in store.attrs())
            found["gaps"] += seeds != list(range(len(seeds))) or len(repairs) > 1
            told |= new
        found["stored_lost"] = max(found["stored_lost"], lost(store, told))
        found |= {"stored": len(told), "episodes": len(store), "faults": len(store.verify())}
    for name, value in ({"kills": asked.kills} | found).items():
        print(json.dumps({"name": name, "value": value, "unit": "1", "n": asked.kills}))


if __name__ == "__main__":
    main()
