"""The store: what was complete is never lost, what is not complete is never taken for an episode."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from twinlab.errors import StoreError
from twinlab.store import EpisodeStore

SLOW_WRITER = """
import sys
import dask.array as da
from test_store import made
from twinlab.store import EpisodeStore

def slow(block):
    print("writing", flush=True)
    sys.stdin.readline()
    return block

episode = made(5)
lazy = da.from_array(episode["rgb"].values, chunks=-1).map_blocks(slow, meta=episode["rgb"].values[:0])
EpisodeStore(sys.argv[1]).append(episode.assign(rgb=episode["rgb"].copy(data=lazy)))
"""
FILLING = """
import sys, time
import numpy as np, xarray as xr
from twinlab.errors import StoreError
from twinlab.store import EpisodeStore
noise = np.random.default_rng(0).integers(0, 256, 900_000, np.uint8)
store = EpisodeStore(sys.argv[1])
few = xr.Dataset({"x": ("time", noise[:1000])})
store.append(few)
try:
    store.append(xr.Dataset({"x": ("time", np.tile(noise, 2))}))
except StoreError as told:
    time.sleep(0.5)  # what writes on in the background would have made the draft anew by then
    drafts = list(store.path.glob("draft-*"))
    xr.testing.assert_identical(store[0].load(), few)
    print(f"kept {len(store)}, {'damaged' if store.verify() else 'sound'}, {'a' if drafts else 'no'} draft")
    store.append(few)
    raise
"""
LOCKED = """
import sys
import xarray as xr
from twinlab.store import EpisodeStore
store = EpisodeStore(sys.argv[1])
print(f"read {len([e.load() for e in store])}, {'damaged' if store.verify() else 'sound'}")
store.append(xr.Dataset({"x": ("time", [1])}))
"""
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


def in_own_mounts(mounts: str, code: str, path: Path) -> str:
    """What a program tells that runs with file systems of its own, as user namespaces allow it."""
    command = ["unshare", "-rm", "sh", "-c", mounts]
    if not shutil.which("unshare") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this machine lets no process have mounts of its own")
    command[-1] += f' && exec {sys.executable} -c "$CODE" {path}'
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "CODE": code})
    return done.stdout + done.stderr


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
    with pytest.raises(StoreError, match=r"000001.*no readable zarr\.json.*see repair"):
        store.attrs()
    shutil.move(store.path / "episodes/000001", store.path.parent)
    assert [a["seed"] for a in store.attrs()] == [0, 2]
    assert store.append(made(3)) == 2


@pytest.mark.parametrize(("how", "code"), [("killed", -signal.SIGXFSZ), ("refused", 1)])
def test_an_append_that_is_killed_or_refused_leaves_the_store_whole(store, how, code):
    done = subprocess.run([sys.executable, "-c", BIG_WRITER, store.path, how], capture_output=True, text=True)
    assert done.returncode == code
    if how == "refused":
        assert "StoreError: can't append to" in done.stderr and "is it full or read-only?" in done.stderr
    assert len(list(store.path.glob("draft-*"))) == (how == "killed")
    assert len(store) == 3 and store.verify() == []
    whole(EpisodeStore(store.path))
    assert store.append(made(4)) == 3
    told = store.repair()
    assert ["half written" in line and "moved to quarantine/draft-" in line for line in told] == [True] * len(told)
    assert len(told) == (how == "killed") and not list(store.path.glob("draft-*"))
    whole(store, (0, 1, 2, 4))


def test_a_full_disk_is_told_and_costs_nothing_that_was_there(tmp_path):
    told = in_own_mounts(f"mount -t tmpfs -o size=1m none {tmp_path}", FILLING, tmp_path / "s")
    assert "StoreError: can't append to" in told and "No space left on device" in told and "full or read-only" in told
    assert told.splitlines()[0] == "kept 1, sound, no draft"


def test_a_read_only_folder_is_told_and_is_read(store):
    mounts = f"mount --bind {store.path} {store.path} && mount -o remount,bind,ro {store.path}"
    told = in_own_mounts(mounts, LOCKED, store.path)
    assert "can't append to" in told and "Read-only file system" in told and "full or read-only" in told
    assert told.splitlines()[0] == "read 3, sound"


def test_repair_puts_damaged_episodes_aside_and_keeps_all_others(store):
    file = store.path / "episodes/000001/data/depth/c/0/0/0"
    cut = file.read_bytes()[:-1]
    file.write_bytes(cut)
    (line,) = store.repair()
    goal = store.path / line.rpartition("moved to ")[2]
    assert "000001" in line and "damaged" in line
    assert (goal / "data/depth/c/0/0/0").read_bytes() == cut and (goal / "checks.json").is_file()
    whole(store, (0, 2))
    assert store.append(made(3)) == 2 and store.repair() == store.verify() == []


def test_repair_adds_what_was_complete_when_its_writer_was_killed(store):
    draft = store.path / "draft-abc"
    shutil.copytree(store.path / "episodes/000001", draft / "episode")
    assert store.repair() == ["draft-abc was complete: added as 000003"]
    whole(store, (0, 1, 2, 1))
    assert not draft.exists() and not (store.path / "quarantine").exists()


def test_repair_leaves_the_draft_of_a_writer_that_lives(store):
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_WRITER, store.path], stdin=-1, stdout=-1, text=True, cwd=Path(__file__).parent
    ) as writer:
        assert writer.stdout.readline() == "writing\n"
        assert store.repair() == [] and len(list(store.path.glob("draft-*"))) == 1
        writer.communicate("go on\n")
    assert writer.returncode == 0
    whole(store, (0, 1, 2, 5))


def test_every_file_is_forced_to_disk_before_the_episode_is_there(store, monkeypatch):
    forced, real = set(), os.fsync

    def fsync(handle: int) -> None:
        forced.add(os.readlink(f"/proc/self/fd/{handle}").rpartition("/episode/")[2])
        assert len(list((store.path / "episodes").iterdir())) == 3 or not list(store.path.glob("draft-*/episode"))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    store.append(made(4))
    new = store.path / "episodes/000003"
    assert {str(p.relative_to(new)) for p in new.rglob("*")} <= forced
    assert str(store.path / "episodes") in forced


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


def test_a_window_is_what_the_episode_holds_there(tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (150, 100, 90), np.uint8)  # kept as it is, in chunks of ticks
    flat = np.repeat(rng.integers(0, 9, (150, 1, 1)), 2000, axis=1)  # packed, in chunks of ticks
    vectors = rng.random((150, 7), np.float32)  # packed, in one chunk
    dims = ("time", "row", "column")
    whole_one = xr.Dataset(
        {"noise": (dims, noise), "flat": (("time", "at", "one"), flat), "v": (("time", "axis"), vectors)}
    )
    store = EpisodeStore(tmp_path / "s")
    store.append(whole_one)
    names, data = ("noise", "flat", "v"), store.path / "episodes/000000/data"
    assert (data / "noise/c/2/0/0").stat().st_size == 50 * 9000 and len(list((data / "flat/c").iterdir())) == 3
    for start, stop in ((0, 150), (0, 1), (149, 150), (45, 55), (50, 100), (49, 101)):
        found = store.window(-1, start, stop, names)
        for name in names:
            assert found[name].dtype == whole_one[name].dtype
            np.testing.assert_array_equal(found[name], whole_one[name][start:stop])


def test_a_window_of_what_is_not_there_is_told(store):
    for start, stop in ((-1, 3), (0, 7), (3, 3)):
        with pytest.raises(StoreError, match=f"'rgb' .*ticks 0 to 6, wanted {start} to {stop}"):
            store.window(0, start, stop, ["rgb"])
    with pytest.raises(StoreError, match=r"no array 'rbg'.* Did you mean 'rgb'\?"):
        store.window(0, 0, 1, ["rbg"])
    with pytest.raises(StoreError, match="wanted time first"):
        store.window(2, 0, 1, ["event_time"])
    with pytest.raises(StoreError, match=r"no episode 3 .* holds 3"):
        store.window(3, 0, 1, ["rgb"])


@pytest.mark.parametrize("pictures", ["noise", "flat"])
@pytest.mark.parametrize("harm", ["gone", "cut"])
def test_a_window_over_a_harmed_chunk_is_told(tmp_path, pictures, harm):
    values = np.random.default_rng(0).integers(0, 256 if pictures == "noise" else 2, (70, 40_000), np.uint8)
    store = EpisodeStore(tmp_path / "s")
    store.append(xr.Dataset({"rgb": (("time", "pixel"), values)}))
    chunk = store.path / "episodes/000000/data/rgb/c/1/0"
    content = chunk.read_bytes()
    chunk.unlink()
    if harm == "cut":
        chunk.write_bytes(content[:1000])
    assert (store.window(0, 0, 35, ["rgb"])["rgb"] == values[:35]).all()
    with pytest.raises(StoreError, match=r"rgb/c/1/0.* (cut short|can't be read).*see verify"):
        store.window(0, 30, 40, ["rgb"])


def test_a_store_opens_as_one_lazy_dataset(store):
    store.append(made(1, policy="still"))
    found = store.open()
    assert found["rgb"].chunks is not None and found.sizes["time"] == 24 and found.sizes["event"] == 4
    for index, seed in enumerate((0, 1, 2, 1)):
        for name in ("rgb", "depth", "mask", "beam", "colour", "action"):
            part = found[name][found["episode"].values == index]
            np.testing.assert_array_equal(part.values, made(seed)[name].values)
            assert part.attrs == made(seed)[name].attrs and part.dtype == made(seed)[name].dtype
        events = found["event_item"][found["event_episode"].values == index]
        assert events.values.tolist() == made(seed)["event_item"].values.tolist()
    assert found["actuator"].values.tolist() == ["arm.x", "gripper"]
    assert found["clock"].values[:7].tolist() == [*made(0)["time"].values, 0.0]


def test_an_open_store_is_grouped_resampled_and_drawn_at_once(store):
    longer = made(1, policy="still").isel(time=[0, 1, 2, 3, 4, 5, 5, 5]).assign_coords(time=0.05 * np.arange(8))
    store.append(longer)
    found = store.open()
    means = found.groupby("policy").mean()["action"].compute()
    np.testing.assert_allclose(means.sel(policy="still"), longer["action"].mean("time"), rtol=1e-6)
    assert found.groupby("episode").count()["beam"].values.tolist() == [6, 6, 6, 8]
    tenths = found[["action"]].resample(time="100ms").mean()["action"].dropna("time").compute()
    assert len(tenths) == 3 + 3 + 3 + 4
    np.testing.assert_allclose(tenths[-1], longer["action"][6:8].mean("time"), rtol=1e-6)
    np.testing.assert_allclose(tenths[3], made(1)["action"][0:2].mean("time"), rtol=1e-6)
    (line,) = found["action"].isel(actuator=0).plot(x="clock")
    assert len(line.get_xdata()) == 26


def test_some_episodes_and_variables_are_opened(store):
    found = store.open(store.select(seeds=[2]), names=["rgb"])
    assert list(found.data_vars) == ["rgb"] and set(found["episode"].values) == {2}
    for given, told in (({"names": ["rbg"]}, "Did you mean 'rgb'"), ({"indices": []}, "no episode to open")):
        with pytest.raises(StoreError, match=told):
            store.open(**given)


def test_episodes_of_different_lines_are_opened_apart_or_by_what_they_share(store):
    press = made(3, scene="press").drop_vars("depth").assign(force=("time", np.ones(6)))
    store.append(press.assign_coords(actuator=["ram", "guard"]))
    with pytest.raises(
        StoreError, match=r"episodes 0 .* and 3 \(scene 'press'\) can't be opened as one: 'actuator' is"
    ):
        store.open()
    assert store.open(store.select(scene="press"))["force"].sum() == 6
    assert store.open(names=["rgb"]).sizes["time"] == 24
    with pytest.raises(StoreError, match=r"no variable 'depth'"):
        store.open(names=["rgb", "depth"])


def test_the_manifest_is_what_the_episodes_say(store):
    store.append(made(1, policy="still", scene="press"))
    table = store.manifest()
    assert table["policy"].values.tolist() == ["expert"] * 3 + ["still"]
    assert (table["seed"].values.tolist(), table["ticks"].values.tolist()) == ([0, 1, 2, 1], [6] * 4)
    assert table["scene"].values.tolist() == ["", "", "", "press"]
    assert table["digest"].values.tolist() == [store.digest(i) for i in range(4)]
    assert len(set(table["digest"].values)) == 4 and len(table.to_pandas()) == 4


def test_a_copy_says_where_it_came_from(store, tmp_path):
    other = EpisodeStore(tmp_path / "other")
    assert other.copy(store, [2]) == [0]
    origin = {"store": "store", "episode": store.digest(2)}
    xr.testing.assert_identical(other[0].load(), made(2, origin=json.dumps(origin, sort_keys=True)))


def test_equal_episodes_have_equal_digests_and_others_not(store):
    store.append(made(1))
    assert store.digest(3) == store.digest(1) != store.digest(0)


def test_a_reader_sees_what_others_append_meanwhile(store):
    reader = EpisodeStore(store.path)
    for count in range(4, 40):
        store.append(xr.Dataset({"x": ("time", [count])}))
        assert len(reader) == count and reader.window(-1, 0, 1, ["x"])["x"] == count
