"""The store: what was complete is never lost, what is not complete is never taken for an episode."""

import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from twinlab.errors import StoreError
from twinlab.store import EpisodeStore

BIG_WRITER = """
import resource, signal, sys
import numpy as np, xarray as xr
from twinlab.store import EpisodeStore
store = EpisodeStore(sys.argv[1])
if sys.argv[2] == "killed":
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it, so that a write fails instead
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
bytes_ = np.random.default_rng(0).integers(0, 256, 100_000, np.uint8)
store.append(xr.Dataset({"few": ("one", [1]), "many": ("time", bytes_)}, attrs={"seed": 9}))
"""
WRITER = """
import sys
import numpy as np, xarray as xr
from twinlab.store import EpisodeStore
store, first = EpisodeStore(sys.argv[1]), int(sys.argv[2])
for seed in range(first, first + 8):
    store.append(xr.Dataset({"x": ("time", np.full(50, seed))}, attrs={"seed": seed}))
"""


def made(seed: int, **attrs) -> xr.Dataset:
    """A small episode with every sort of value that episodes hold."""
    rng = np.random.default_rng(seed)
    depth = rng.random((6, 2, 3), np.float32)
    depth[0, 0] = [np.inf, np.nan, 0]
    return xr.Dataset(
        {
            "rgb": (("time", "row", "column"), rng.integers(0, 256, (6, 2, 3), np.uint8), {"units": "1"}),
            "depth": (("time", "row", "column"), depth, {"units": "m", "kind": "depth"}),
            "mask": (("time", "row"), rng.integers(-1, 9, (6, 2), np.int16)),
            "beam": ("time", rng.random(6) > 0.5, {"units": "1", "role": "reading"}),
            "colour": ("time", rng.integers(0, 3, 6), {"labels": ["red", "green", "blue"]}),
            "action": (("time", "actuator"), rng.random((6, 2), np.float32), {"low": [-1.0, -2.0], "high": [1.0, 2.0]}),
            "event_time": ("event", rng.random(seed % 3), {"units": "s"}),
            "event_item": ("event", np.array([f"part é {i}" for i in range(seed % 3)], dtype="<U32"), {"units": "1"}),
        },
        coords={"time": ("time", 0.05 * np.arange(6), {"units": "s"}), "actuator": ["arm.x", "gripper"]},
        attrs={"seed": seed, "policy": "expert", "noise": 0.1, **attrs},
    )


@pytest.fixture
def store(tmp_path) -> EpisodeStore:
    """Three episodes, of seeds 0, 1 and 2: with no, one and two events."""
    out = EpisodeStore(tmp_path / "store")
    for seed in range(3):
        out.append(made(seed))
    return out


def whole(store: EpisodeStore, seeds=(0, 1, 2)) -> None:
    for index, seed in enumerate(seeds):
        xr.testing.assert_identical(store[index].load(), made(seed))


def test_what_is_appended_is_read_the_same(store):
    whole(store)
    whole(EpisodeStore(store.path))
    for name, variable in made(1).variables.items():
        assert store[1][name].dtype.kind == variable.dtype.kind
        assert variable.dtype.kind == "U" or store[1][name].dtype == variable.dtype
    assert (len(store), len(list(store)), store.verify()) == (3, 3, [])
    assert repr(store).endswith("3 episodes)")


def test_a_recorded_episode_is_read_the_same(tmp_path, small_episode):
    store = EpisodeStore(tmp_path / "store")
    assert store.append(small_episode) == 0
    xr.testing.assert_identical(store[0].load(), small_episode)


def test_episodes_are_counted_from_both_ends_and_no_further(store):
    assert (store[-1].attrs["seed"], store[0].attrs["seed"]) == (2, 0)
    for index in (3, -4):
        with pytest.raises(IndexError, match=f"no episode {index} .* holds 3"):
            store[index]


def test_episodes_are_selected_by_seed_and_attributes(store):
    store.append(made(1, policy="still"))
    assert store.select(seeds=(1, 2, 77)) == [1, 2, 3]
    assert store.select(policy="still") == [3]
    assert store.select(seeds=[1], policy="expert", noise=0.1) == [1]
    assert store.select(policy="cloned") == store.select(weather="fair") == []


def test_attributes_are_told_with_the_length(store):
    assert store.attrs()[2] == {"seed": 2, "policy": "expert", "noise": 0.1, "ticks": 6}


@pytest.mark.parametrize("harm", ["gone", "cut", "empty"])
def test_an_episode_with_any_file_harmed_is_told_and_the_others_are_read(store, harm):
    victim = store.path / "episodes" / "000001"
    files = [p.relative_to(victim) for p in sorted(victim.rglob("*")) if p.is_file()]
    assert len(files) > 10
    safe = store.path.parent / "safe"
    shutil.copytree(victim, safe)
    for name in files:
        content = (victim / name).read_bytes()
        (victim / name).unlink()
        if harm != "gone":
            (victim / name).write_bytes(content[: len(content) // 2 if harm == "cut" else 0])
        with pytest.raises(StoreError, match="000001"):
            store[1]
        (line,) = store.verify()
        assert "000001" in line and ("damaged" in line or "half written" in line)
        xr.testing.assert_identical(store[2].load(), made(2))
        (victim / name).write_bytes((safe / name).read_bytes())
    whole(store)


def test_altered_bytes_of_the_same_number_are_found_by_verify(store):
    file = next(p for p in (store.path / "episodes/000002/data/rgb").rglob("*") if p.is_file() and p.suffix == "")
    file.write_bytes(bytes(b ^ 1 for b in file.read_bytes()))
    (line,) = store.verify()
    assert "000002" in line and "was altered" in line


def test_attributes_that_cannot_be_read_are_told(store):
    (store.path / "episodes/000001/data/zarr.json").write_text('{"attributes": {')
    with pytest.raises(StoreError, match=r"000001.*no readable zarr\.json.*move it away"):
        store.attrs()
    shutil.move(store.path / "episodes/000001", store.path.parent)
    assert [a["seed"] for a in store.attrs()] == [0, 2]
    assert store.append(made(3)) == 2


@pytest.mark.parametrize(("how", "code"), [("killed", -signal.SIGXFSZ), ("refused", 1)])
def test_an_append_that_is_killed_or_finds_no_space_leaves_the_store_whole(store, how, code):
    done = subprocess.run([sys.executable, "-c", BIG_WRITER, store.path, how], capture_output=True, text=True)
    assert done.returncode == code
    if how == "refused":
        assert "StoreError: can't append to" in done.stderr and "is it full or read-only?" in done.stderr
    assert [p.name for p in store.path.glob("draft-*")]
    assert len(store) == 3 and store.verify() == []
    whole(EpisodeStore(store.path))
    assert store.append(made(4)) == 3
    assert store.repair() == 1
    assert sorted(p.name for p in store.path.iterdir()) == ["episodes", "store.json"]
    whole(store, (0, 1, 2, 4))


def test_two_writers_at_once_lose_nothing(tmp_path):
    EpisodeStore(tmp_path / "s")
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, tmp_path / "s", first]) for first in ("0", "100")]
    assert [w.wait() for w in writers] == [0, 0]
    store = EpisodeStore(tmp_path / "s")
    assert sorted(e.attrs["seed"] for e in store) == [*range(8), *range(100, 108)]
    assert all((e["x"] == e.attrs["seed"]).all() for e in store)
    assert store.verify() == []


def test_a_later_format_is_refused(store):
    (store.path / "store.json").write_text(json.dumps({"format": 2}))
    with pytest.raises(StoreError, match="has format 2, this twinlab reads 1; update twinlab"):
        EpisodeStore(store.path)


@pytest.mark.parametrize("text", ["", '{"form', "[]", "{}"])
def test_a_damaged_mark_is_told_and_the_episodes_are_safe(store, text):
    mark = store.path / "store.json"
    good = mark.read_text()
    mark.write_text(text)
    with pytest.raises(StoreError, match=r"store\.json .* is damaged .*its episodes are safe"):
        EpisodeStore(store.path)
    mark.write_text(good)
    whole(EpisodeStore(store.path))


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(StoreError, match="holds something else, not a store; give another path"):
            EpisodeStore(path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_store_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="can't make a store at"):
        EpisodeStore(tmp_path / "file" / "store")


def test_long_texts_are_kept_whole(tmp_path):
    store, long = EpisodeStore(tmp_path / "s"), xr.Dataset({"x": ("time", [1.0]), "note": ("time", ["n" * 50])})
    xr.testing.assert_identical(store[store.append(long)].load(), long)


@pytest.mark.parametrize(
    "bad", [xr.Dataset({"x": ("place", [1])}), xr.Dataset({"x": ("time", [1])}, attrs={"seed": {1, 2}})]
)
def test_what_is_no_episode_is_told_and_leaves_nothing(tmp_path, bad):
    store = EpisodeStore(tmp_path / "s")
    with pytest.raises(StoreError, match="can't keep this episode"):
        store.append(bad)
    assert len(store) == 0 and not list(store.path.glob("draft-*"))


def test_a_store_whose_maker_was_killed_is_made_whole(tmp_path):
    (tmp_path / "s" / "episodes").mkdir(parents=True)
    assert len(EpisodeStore(tmp_path / "s")) == 0
    assert EpisodeStore(tmp_path / "s").path.joinpath("store.json").is_file()
