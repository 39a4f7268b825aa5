"""Training at scale: several processes learn what one does, a killed run goes on, memory does not grow."""

import copy
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import toy
from training_child import SETTINGS, episodes, halved

from twinlab.batches import Scratch, Windows, fitted, hold
from twinlab.errors import ModelError
from twinlab.model import WorldModel
from twinlab.model.imitation import Cloning, clone, lessons
from twinlab.store import EpisodeStore
from twinlab.train import fit

CHILD = Path(__file__).parent / "training_child.py"
ROUNDING = 2e-5  # largest difference of losses before Adam turns rounding into steps: the log's own is 1e-5
APART = 1e-3  # the same over all steps, relative to losses above 1; 2.2e-4 was measured
MICRO = 0.1  # mean difference of losses between two batches of 32 and one of 64; 0.02 to 0.05 was measured


def child(asked: dict, processes: int = 0) -> subprocess.CompletedProcess:
    """What a process, or several that torchrun starts, said."""
    run = []
    if processes:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        run = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}", f"--master-port={port}"]
    command = [sys.executable, *run, str(CHILD), json.dumps(asked)]
    malloc = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}  # what is freed counts no more
    threads = {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env=os.environ | threads | malloc)


def losses(folder: Path) -> list[dict[str, float]]:
    """The log without times."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "waiting", "steps")} for line in lines]


def apart(one: list[dict], two: list[dict]) -> float:
    """The largest difference of any term in any step, relative to 1 or to the term."""
    pairs = [(a[k], b[k]) for a, b in zip(one, two, strict=True) for k in a if k != "stage"]
    return max(abs(a - b) / max(1.0, abs(a)) for a, b in pairs)


def same(one: WorldModel, two: WorldModel) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[WorldModel, Path]:
    """The model and the folder of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    return fit(episodes(), SETTINGS, folder), folder


def stopping(step: int):
    """A `progress` that ends a run at a step, as Ctrl-C does."""

    def progress(at: int, *_: object) -> None:
        if at == step:
            raise KeyboardInterrupt

    return progress


@pytest.fixture
def cut(tmp_path) -> Path:
    """The folder of a run that was ended in its fifth step."""
    with pytest.raises(KeyboardInterrupt):
        fit(episodes(), SETTINGS, tmp_path / "cut", stopping(5))
    return tmp_path / "cut"


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> Path:
    """Folders of runs by two processes."""
    out = tmp_path_factory.mktemp("together")
    fits = {
        "ddp": {"halved": True},
        "fsdp2": {"halved": True, "strategy": "fsdp2"},
        "micro": {"halved": True, "accumulate": 2},
        "filed": {"halved": True, "memory": 0},
    }
    said = child({"out": str(out), "fits": fits}, processes=2)
    assert said.returncode == 0, said.stderr
    return out


@pytest.mark.parametrize("name", ["ddp", "fsdp2", "filed"])
def test_two_processes_have_the_losses_of_one_with_twice_the_batch(whole, together, name):
    one, two = losses(whole[1]), losses(together / name)
    assert {line["stage"] for line in two} == {"seeing", "following", "cloning"}
    assert apart(one[:2], two[:2]) <= ROUNDING and apart(one, two) <= APART


def test_that_would_not_be_so_if_each_process_took_means_of_its_own(whole, tmp_path):
    fit(episodes(), halved(), tmp_path)
    assert apart(losses(whole[1])[:2], losses(tmp_path)[:2]) > 100 * APART


def test_two_processes_accumulate_as_one_does(together, tmp_path):
    fit(episodes(), replace(SETTINGS, accumulate=2), tmp_path)
    one, two = losses(tmp_path), losses(together / "micro")
    assert apart(one[:2], two[:2]) <= ROUNDING and apart(one, two) <= APART


def test_the_card_of_two_processes_says_so(together):
    cards = {name: WorldModel.load(together / name).card for name in ("ddp", "fsdp2", "micro")}
    assert [card["Scale"]["processes"] for card in cards.values()] == [2, 2, 2]
    assert [card["Scale"]["strategy"] for card in cards.values()] == ["ddp", "fsdp2", "ddp"]
    assert [card["Scale"]["windows a step"]["seeing"] for card in cards.values()] == [8, 8, 16]


def test_two_accumulated_batches_are_about_one_twice_as_large(tmp_path):
    large = replace(
        SETTINGS,
        seeing=replace(SETTINGS.seeing, steps=20, batch=64),
        following=replace(SETTINGS.following, steps=20, batch=64),
        drop=0.15,
        blind=0.1,
    )
    runs = {"one": large, "two": replace(halved(large), accumulate=2), "other": replace(large, seed=1)}
    for name, settings in runs.items():
        fit(toy.episodes(4), settings, tmp_path / name)
    one, two, other = ([line["loss"] for line in losses(tmp_path / name)] for name in runs)
    assert np.abs(np.subtract(one, two)).mean() < MICRO < np.abs(np.subtract(one, other)).mean()


def test_an_actor_learns_the_same_from_accumulated_ticks(whole):
    model = whole[0]
    track = hold(episodes()[:1], model.signals)[0]
    actors = []
    for batch, accumulate in ((32, 1), (8, 4)):
        actor = copy.deepcopy(model)
        clone(actor, lessons(actor, track), Cloning(steps=5, batch=batch), seed=0, accumulate=accumulate)
        actors.append(torch.cat([p.flatten() for p in actor.actor.parameters()]))
    assert 0 < (actors[0] - actors[1]).abs().mean() < 1e-5


@pytest.mark.parametrize(("stage", "step"), [("seeing", 5), ("following", 12), ("cloning", 20)])
def test_a_killed_run_goes_on_as_if_nothing_had_been(whole, tmp_path, stage, step):
    said = child({"out": str(tmp_path), "fits": {"run": {}}, "kill": step})
    assert said.returncode == -signal.SIGKILL, said.stderr
    assert losses(tmp_path / "run")[-1]["stage"] == stage and not (tmp_path / "run" / "model.safetensors").exists()
    told: list[int] = []
    model = fit(episodes(), SETTINGS, tmp_path / "run", lambda at, *_: told.append(at))
    assert step - SETTINGS.keep < told[0] <= step and told[-1] == 23
    assert losses(tmp_path / "run") == losses(whole[1])
    assert same(model, whole[0]) and not (tmp_path / "run" / "resume").exists()


def test_a_run_of_another_kind_does_not_go_on(cut):
    with pytest.raises(ModelError, match=r"of another kind: settings\.seed came as 1, was 0\. Give what it had"):
        fit(episodes(), replace(SETTINGS, seed=1), cut)
    with pytest.raises(ModelError, match=r"of another kind: episodes came as '\w{16}', was '\w{16}'\. Give"):
        fit(episodes()[1:], SETTINGS, cut)


def test_a_damaged_state_is_told_and_anew_forgets_it(whole, cut):
    file = cut / "resume" / "state.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(ModelError, match=r"state.safetensors' is damaged \(.*\); call fit\(…, anew=True\)"):
        fit(episodes(), SETTINGS, cut)
    told: list[int] = []
    assert same(fit(episodes(), SETTINGS, cut, lambda at, *_: told.append(at), anew=True), whole[0])
    assert told[0] == 1 and losses(cut) == losses(whole[1])


def test_a_budget_of_time_counts_what_was_spent_before_the_cut(cut):
    told: list[tuple[int, float]] = []
    state = cut / "resume" / "state.safetensors"
    with pytest.raises(ModelError, match=r"settings\.seconds came as 60\.0, was None"):
        fit(episodes(), replace(SETTINGS, seconds=60.0), cut)
    assert state.is_file()
    late = replace(SETTINGS, seconds=600.0)
    with pytest.raises(KeyboardInterrupt):
        fit(episodes(), late, cut.parent / "late", stopping(5))
    before = json.loads((cut.parent / "late" / "log.jsonl").read_text().splitlines()[2])["seconds"]
    fit(episodes(), late, cut.parent / "late", lambda at, _, numbers: told.append((at, numbers["seconds"])))
    assert told[0][0] == 4 and told[0][1] > before


def test_what_is_filed_gives_the_model_that_memory_gives(whole, tmp_path):
    model = fit(episodes(), replace(SETTINGS, memory=0, scratch=str(tmp_path / "aside")), tmp_path / "run")
    assert same(model, whole[0]) and losses(tmp_path / "run") == losses(whole[1])
    assert list((tmp_path / "aside").iterdir()) == []


def test_windows_of_files_are_those_of_memory(tmp_path):
    scratch = Scratch(tmp_path / "aside", budget=400_000)
    filed, signals = hold(toy.episodes(3), scratch=scratch)
    held, _ = hold(toy.episodes(3))
    assert scratch.full and isinstance(filed[0].values["tool"], np.ndarray) and len(filed[2].values["tool"]) == 60
    assert fitted(signals, filed) == fitted(signals, held)
    one, two = (Windows(t, signals, 4, 5, scratch=s).take([0, 70, 155]) for t, s in ((held, None), (filed, scratch)))
    assert torch.equal(one.readings["top_rgb"], two.readings["top_rgb"]) and torch.equal(one.returns, two.returns)
    assert torch.equal(one.truth["target"], two.truth["target"]) and torch.equal(one.action, two.action)


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="only Linux tells a process's peak of its own")
def test_memory_does_not_grow_with_the_store(tmp_path):
    peaks = {}
    for count in (4, 16):
        store = EpisodeStore(tmp_path / str(count))
        for seed in range(count):
            store.append(toy.episode(seed, ticks=200, edge=128).drop_vars("top_depth"))
        for name, memory in (("filed", 0), ("held", 4 << 30)):
            if (count, name) != (4, "held"):
                said = child({"out": str(tmp_path), "store": str(store.path), "fits": {name: {"memory": memory}}})
                assert said.returncode == 0, said.stderr
                peaks[count, name] = json.loads(said.stdout)["peak"] / 1024
    more = 12 * 200 * 128**2 * 3 / 2**20  # of pictures, 112 MiB
    assert peaks[16, "filed"] - peaks[4, "filed"] < 0.1 * more
    assert peaks[16, "held"] - peaks[16, "filed"] > 0.75 * more
