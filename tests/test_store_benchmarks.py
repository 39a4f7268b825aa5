"""The benchmarks of the store run through: nothing that was stored is lost to SIGKILL, and windows are read fast."""

import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "benchmarks"


def figures(name: str, *asked: str) -> dict[str, float]:
    """What a benchmark prints: name → value."""
    said = subprocess.run([sys.executable, str(FOLDER / name), *asked], capture_output=True, text=True, timeout=200)
    assert said.returncode == 0, said.stderr
    return {line["name"]: line["value"] for line in map(json.loads, said.stdout.splitlines())}


def test_five_kills_while_recording_cost_no_episode_that_was_stored():
    found = figures("crash.py", "--kills", "5", "--longest", "2")
    assert (found["kills"], found["stored_lost"], found["gaps"], found["faults"]) == (5, 0, 0, 0)
    assert found["episodes"] >= found["stored"] > 0


def test_a_harmed_episode_counts_as_lost(tmp_path, small_episode):
    sys.path.insert(0, str(FOLDER))
    from crash import digest, lost

    from twinlab.store import EpisodeStore

    store = EpisodeStore(tmp_path / "s")
    store.append(small_episode)
    told = {small_episode.attrs["seed"]: digest(small_episode)}
    assert lost(store, told) == 0
    store.append(small_episode.assign_attrs(seed=8).assign(width=small_episode["width"] + 1))
    assert lost(store, told | {8: told[7]}) == 1 and lost(store, told | {9: told[7]}) == 1
    sys.path.remove(str(FOLDER))


def test_windows_of_all_ways_are_timed_and_ours_beats_gzip():
    asked = ("--episodes", "2", "--ticks", "70", "--windows", "96", "--turns", "3")
    found = figures("store.py", *asked)
    for way in ("memmap", "store", "hdf5", "hdf5_plain", "lerobot"):
        assert found[f"windows_per_s_{way}"] > 0 and found[f"bytes_per_episode_{way}"] > 0
    assert found["vs_hdf5"] > 2 and found["vs_lerobot"] > 2 and found["vs_memmap"] > 0.1
