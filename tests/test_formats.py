"""Formats: every file of the room writes whole things or nothing, reads back what it wrote, and tells wrong files."""

import dataclasses
import shutil

import pytest
import toy
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinlab import rooms
from twinlab.batches import hold
from twinlab.errors import FormatError, StoreError
from twinlab.formats import made
from twinlab.store import EpisodeStore
from twinlab.train import fit

NAMES = rooms.names("formats")
FORMATS = pytest.mark.parametrize("name", NAMES)
PACKED = {"lerobot": ("image",)}  # kinds that a format packs with loss


def files(path):
    return sorted(p for p in path.rglob("*") if p.is_file())


def same(came: xr.Dataset, wrote: xr.Dataset, loss: tuple[str, ...] = ()) -> None:
    """The same to the bit, but for kinds that are packed with loss and what is told as left out."""
    left = came.attrs.get("left_out", [])
    packed = [n for n, v in wrote.data_vars.items() if v.attrs["kind"] in loss]
    told = wrote.attrs | ({"left_out": left} if left else {})
    plain = wrote.drop_vars([*left, *packed], errors="ignore")
    xr.testing.assert_identical(came.drop_vars(packed), plain.assign_attrs(told))
    for name in packed:
        assert came[name].attrs == wrote[name].attrs and came[name].dims == wrote[name].dims


@pytest.fixture(scope="module")
def toys():
    return [toy.episode(seed, ticks=20) for seed in (0, 1)]


@pytest.fixture(scope="module", params=NAMES)
def written(request, toys, tmp_path_factory):
    """A format's name and what it wrote of two toy episodes."""
    path = tmp_path_factory.mktemp(request.param) / "out"
    return request.param, rooms.build("formats", request.param).write(toys, path)


@FORMATS
def test_a_format_is_frozen_and_has_a_default_for_every_field(name):
    one = rooms.build("formats", name)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(one, dataclasses.fields(one)[0].name, None)


@pytest.mark.parametrize(
    ("name", "told", "said"),
    [
        ("lerobot", "depht=video", "'depht=video' came; wanted field=value.* Did you mean 'depth'"),
        ("lerobot", "depth=vidoe", "depth came as 'vidoe'; wanted 'exact' or 'video'"),
        ("lerobot", "video_mb=0", "video_mb came as 0; wanted a whole number, 1 or more"),
        ("mcap", "tick=-1", "tick came as -1; wanted seconds"),
        ("mcap", "topics=/camera", "topics came as '/camera'; wanted names of topics"),
        ("signals", "clock=min", "clock came as 'min'; wanted 's', 'ms' or 'iso'"),
        ("signals", "tick", "'tick' came; wanted field=value"),
    ],
)
def test_a_field_that_does_not_fit_is_told(name, told, said):
    with pytest.raises(FormatError, match=said):
        made(name, [told])


def test_fields_can_be_told_as_text():
    one = made("signals", ["tick=0.1", 'units={"pressure": "bar"}', 'columns=["pressure"]', "scene=press"])
    wanted = {"tick": 0.1, "units": {"pressure": "bar"}, "columns": ("pressure",), "scene": "press"}
    assert one == rooms.build("formats", "signals", **wanted)


@FORMATS
def test_a_recorded_episode_comes_back(name, small_episode, tmp_path):
    one = rooms.build("formats", name)
    path = one.write([small_episode], tmp_path / "out")
    (came,) = one.read(path)
    same(came, small_episode, PACKED.get(name, ()))
    assert [*came.variables] == [n for n in small_episode.variables if n not in came.attrs.get("left_out", [])]
    assert set(came.attrs.get("left_out", [])) <= {
        n for n, v in small_episode.data_vars.items() if v.dims[:1] == ("time",) and v[0].size > 64
    }


@FORMATS
def test_what_comes_back_can_be_stored_and_written_again_from_the_store(name, toys, tmp_path):
    one = rooms.build("formats", name)
    store = EpisodeStore(tmp_path / "store")
    for episode in one.read(one.write(toys, tmp_path / "first")):
        store.append(episode)
    came = list(one.read(one.write(store, tmp_path / "second")))
    assert [e.attrs["seed"] for e in came] == [0, 1] and not store.verify()
    for episode, kept in zip(came, store, strict=True):
        same(episode, kept, PACKED.get(name, ()))


@FORMATS
def test_a_model_can_be_trained_on_what_comes_back(name, tmp_path):
    one = rooms.build("formats", name)
    path = one.write([toy.episode(seed, ticks=20) for seed in (0, 1, 50_000)], tmp_path / "out")
    came = list(one.read(path))
    assert hold(came)[1].actuators == ("tool.x", "tool.y")
    if name != "signals":  # it holds no pictures, which the toy's model looks at
        model = fit(came, toy.SMALL)
        assert {"top_rgb", "top_depth", "tool"} <= {s.name for s in model.signals.of("reading")}


@FORMATS
def test_nothing_is_written_over_what_is_there(name, toys, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(FormatError, match="is there already; give another path"):
        rooms.build("formats", name).write(toys, tmp_path / "out")


@FORMATS
def test_a_write_that_fails_leaves_nothing(name, toys, tmp_path):
    broken = toys[1].copy()
    del broken["tool"].attrs["units"]
    with pytest.raises(FormatError, match="'tool' has no attribute 'units'"):
        rooms.build("formats", name).write([toys[0], broken], tmp_path / "out")
    with pytest.raises(FormatError, match="no episode came"):
        rooms.build("formats", name).write([], tmp_path / "out")
    with pytest.raises(FormatError, match="no coordinate 'time'"):
        rooms.build("formats", name).write([xr.Dataset({"x": ("t", [1])})], tmp_path / "out")
    assert not files(tmp_path) and not list(tmp_path.iterdir())


@FORMATS
def test_what_is_not_there_empty_or_something_else_is_told(name, toys, tmp_path):
    one = rooms.build("formats", name)
    (tmp_path / "else").mkdir()
    (tmp_path / "else/notes.txt").write_text("hello")
    for suffix in ("mcap", "csv", "parquet"):
        (tmp_path / f"empty.{suffix}").touch()
    for path in ("missing", "else", "else/notes.txt", "empty.mcap", "empty.csv", "empty.parquet"):
        with pytest.raises(FormatError, match=path):
            list(one.read(tmp_path / path))
    for other in set(NAMES) - {name}:
        if {name, other} == {"lerobot", "signals"}:
            continue  # a dataset's root holds no table, but each of its parquet files is one
        path = rooms.build("formats", other).write(toys, tmp_path / other)
        with pytest.raises(FormatError, match=other):
            list(one.read(path))


def test_a_file_that_is_half_there_is_told_by_its_name(written, toys, tmp_path):
    name, path = written
    for file in files(path):
        shutil.copytree(path, tmp_path / "cut", dirs_exist_ok=True)
        cut = tmp_path / "cut" / file.relative_to(path)
        cut.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        with pytest.raises(FormatError, match=file.stem):
            list(rooms.build("formats", name).read(tmp_path / "cut"))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_cut_anywhere_is_told_or_harms_nothing(written, toys, tmp_path, data):
    name, path = written
    file = data.draw(st.sampled_from(files(path)))
    keep = data.draw(st.integers(0, file.stat().st_size - 1))
    shutil.copytree(path, tmp_path / "cut", dirs_exist_ok=True)
    (tmp_path / "cut" / file.relative_to(path)).write_bytes(file.read_bytes()[:keep])
    try:
        came = list(rooms.build("formats", name).read(tmp_path / "cut"))
    except FormatError:
        return
    for episode, wrote in zip(came, toys, strict=True):
        same(episode, wrote, PACKED.get(name, ()))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_byte_that_flips_is_never_an_error_of_another_kind(written, tmp_path, data):
    name, path = written
    file = data.draw(st.sampled_from(files(path)))
    at = data.draw(st.integers(0, file.stat().st_size - 1))
    shutil.copytree(path, tmp_path / "flip", dirs_exist_ok=True)
    bytes_ = bytearray(file.read_bytes())
    bytes_[at] ^= 1 << data.draw(st.integers(0, 7))
    (tmp_path / "flip" / file.relative_to(path)).write_bytes(bytes_)
    try:
        assert len(list(rooms.build("formats", name).read(tmp_path / "flip"))) == 2
    except FormatError:
        return


def test_a_folder_that_cannot_be_written_is_told(toys, tmp_path):
    (tmp_path / "file").touch()
    for name in NAMES:
        with pytest.raises(FormatError, match="can't write"):
            rooms.build("formats", name).write(toys, tmp_path / "file/out")


def test_a_store_is_no_outside_format(toys, tmp_path):
    store = EpisodeStore(tmp_path / "store")
    store.append(toys[0])
    for name in NAMES:
        with pytest.raises(FormatError, match="store"):
            list(rooms.build("formats", name).read(store.path))
    with pytest.raises(StoreError):
        EpisodeStore(rooms.build("formats", NAMES[0]).write(toys, tmp_path / "out"))
