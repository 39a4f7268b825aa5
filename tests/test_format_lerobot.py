"""LeRobotDataset v3: layout, statistics, what went wrong in others' conversions, and datasets of others."""

import io
import json

import av
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import toy
import xarray as xr
from PIL import Image

from twinlab.batches import hold
from twinlab.errors import FormatError
from twinlab.formats.lerobot import Lerobot

RGB = "observation.images.top_rgb"
DATA = "data/chunk-000/file-000.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"


def noisy(seed: int, ticks: int = 40, edge: int = 64) -> xr.Dataset:
    """A toy episode whose pictures cannot be packed, and say in their corner of which tick they are."""
    episode = toy.episode(seed, ticks, edge)
    rgb = np.random.default_rng(seed).integers(0, 256, episode["top_rgb"].shape, dtype=np.uint8)
    rgb[:, :16, :16] = (40 + 3 * np.arange(ticks) + 9 * seed)[:, None, None, None]
    episode["top_rgb"].values[:] = rgb
    return episode


def psnr(came: np.ndarray, wrote: np.ndarray) -> float:
    """Of the worst picture [dB]."""
    error = ((came.astype(float) - wrote) ** 2).reshape(len(wrote), -1).mean(axis=1)
    return float(10 * np.log10(255**2 / error.max()))


def info(root, **change):
    path = root / "meta/info.json"
    told = json.loads(path.read_text(encoding="utf-8")) | change
    path.write_text(json.dumps(told), encoding="utf-8")
    return told


def changed(path, change):
    """Write a parquet file again, its columns changed as pandas."""
    frame = pq.read_table(path).to_pandas()
    pq.write_table(pa.Table.from_pandas(change(frame), preserve_index=False), path)


@pytest.fixture
def root(tmp_path):
    return Lerobot().write([toy.episode(0, 12), toy.episode(1, 9)], tmp_path / "set")


def test_the_layout_is_that_of_lerobot(root):
    told = info(root)
    assert told["codebase_version"] == "v3.0" and told["fps"] == 20 and isinstance(told["fps"], int)
    assert (told["total_episodes"], told["total_frames"], told["total_tasks"]) == (2, 21, 1)
    assert told["splits"] == {"train": "0:2"} and told["chunks_size"] == 1000
    assert told["features"]["timestamp"] == {"dtype": "float32", "shape": [1], "names": None}
    assert told["features"]["action"]["names"] == ["tool.x", "tool.y"]
    assert told["features"][RGB]["shape"] == [32, 32, 3] and told["features"][RGB]["info"]["video.codec"] == "h264"
    assert told["features"]["observation.state"]["names"] == ["tool.x", "tool.y", "tool.phase"]
    table = pq.read_table(root / DATA)
    assert RGB not in table.column_names and table["timestamp"].type == pa.float32()
    assert table["index"].to_pylist() == list(range(21))
    assert table["frame_index"].to_pylist() == [*range(12), *range(9)]
    assert np.array_equal(table["timestamp"].to_numpy()[:12], (np.arange(12) / 20).astype(np.float32))
    assert pq.ParquetFile(root / DATA).num_row_groups == 2
    tasks = pd.read_parquet(root / "meta/tasks.parquet")
    assert tasks.index.name == "task" and tasks["task_index"].tolist() == [0]
    rows = pq.read_table(root / EPISODES).to_pylist()
    assert [(r["dataset_from_index"], r["dataset_to_index"], r["length"]) for r in rows] == [(0, 12, 12), (12, 21, 9)]
    assert rows[1][f"videos/{RGB}/from_timestamp"] == 0.6 and rows[1][f"videos/{RGB}/to_timestamp"] == pytest.approx(
        1.05
    )


def test_statistics_hold_the_pictures_too(root):
    first, second = toy.episode(0, 12), toy.episode(1, 9)
    stats = json.loads((root / "meta/stats.json").read_text(encoding="utf-8"))
    shown = np.concatenate([first["top_rgb"], second["top_rgb"]]) / 255
    for what in ("min", "max", "mean", "std", "q01", "q50", "q99"):
        assert np.shape(stats[RGB][what]) == (3, 1, 1)
    assert np.allclose(np.ravel(stats[RGB]["mean"]), shown.mean(axis=(0, 1, 2)))
    assert np.allclose(np.ravel(stats[RGB]["std"]), shown.std(axis=(0, 1, 2)))
    action = np.concatenate([first["action"], second["action"]])
    assert np.allclose(stats["action"]["mean"], action.mean(axis=0)) and stats["action"]["count"] == [21]
    assert np.allclose(stats["action"]["min"], action.min(axis=0))
    row = pq.read_table(root / EPISODES).to_pylist()[1]
    assert np.allclose(np.ravel(row[f"stats/{RGB}/mean"]), second["top_rgb"].values.mean(axis=(0, 1, 2)) / 255)


def test_recorded_pictures_come_back_within_the_codec_s_error(small_episode, tmp_path):
    (came,) = Lerobot().read(Lerobot().write([small_episode], tmp_path / "set"))
    for name in ("overhead_rgb", "wrist_rgb"):
        assert psnr(came[name].values, small_episode[name].values) > 38


def test_data_and_videos_are_split_into_files_of_their_own_numbers(tmp_path):
    wrote = [noisy(seed, 60) for seed in range(4)]  # 351 KiB of video each
    root = Lerobot(video_mb=1).write(wrote, tmp_path / "set")
    rows = pq.read_table(root / EPISODES).to_pylist()
    assert [r["data/file_index"] for r in rows] == [0, 0, 0, 0]
    assert [r[f"videos/{RGB}/file_index"] for r in rows] == [0, 0, 1, 1]
    for came, one in zip(Lerobot().read(root), wrote, strict=True):
        assert (
            abs(came["top_rgb"].values[:, 4:12, 4:12].mean(axis=(1, 2, 3)) - one["top_rgb"].values[:, 0, 0, 0]).max()
            < 2
        )
        assert np.array_equal(came["tool"], one["tool"])
    flat = [toy.episode(seed, 60, 64) for seed in range(3)]
    for seed, one in enumerate(flat):
        one["top_depth"].values[:] = np.random.default_rng(seed).random(one["top_depth"].shape)
    root = Lerobot(data_mb=1).write(flat, tmp_path / "other")
    rows = pq.read_table(root / EPISODES).to_pylist()
    assert [r["data/file_index"] for r in rows] == [0, 1, 2] and [r[f"videos/{RGB}/file_index"] for r in rows] == [
        0,
        0,
        0,
    ]
    for came, one in zip(Lerobot().read(root), flat, strict=True):
        assert psnr(came["top_rgb"].values, one["top_rgb"].values) > 38
        assert np.array_equal(came["top_depth"], one["top_depth"])


def test_scrambled_rows_are_told(root):
    changed(root / DATA, lambda f: f.iloc[[3, *range(3), *range(4, len(f))]])
    with pytest.raises(FormatError, match=r"file-000.parquet', row 0: frame_index is 3, wanted 0: .* are scrambled"):
        list(Lerobot().read(root))


def test_an_index_that_does_not_go_on_is_told(root):
    changed(root / DATA, lambda f: f.assign(index=f["index"].where(f["episode_index"] == 0, f["index"] + 1)))
    with pytest.raises(FormatError, match="row 12: index is 13, wanted 12"):
        list(Lerobot().read(root))


def test_frames_at_other_times_than_the_data_are_told(root):
    changed(root / DATA, lambda f: f.assign(timestamp=f["timestamp"] * 2))
    with pytest.raises(FormatError, match=r"timestamp of frame 11 is .* off the times of 20 Hz"):
        list(Lerobot().read(root))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"from_timestamp": 0.62}, "0.40 of a frame off"),
        ({"from_timestamp": 0.9}, "holds 3 of the 9 frames from 0.900 s on"),
        ({"file_index": 7}, r"file-007.mp4' is not there, but episode 1 stands in it"),
        ({"file_index": None}, "is not told"),
    ],
)
def test_a_wrong_place_in_the_videos_is_told(root, change, said):
    ((word, value),) = change.items()

    def wrong(frame):
        frame[f"videos/{RGB}/{word}"] = pd.Series([frame[f"videos/{RGB}/{word}"][0], value], dtype=object)
        return frame

    changed(root / EPISODES, wrong)
    with pytest.raises(FormatError, match=said):
        list(Lerobot().read(root))


def test_a_video_of_another_dataset_is_told(root, tmp_path):
    other = Lerobot().write([toy.episode(0, 21, 48)], tmp_path / "other")
    video = f"videos/{RGB}/chunk-000/file-000.mp4"
    (root / video).write_bytes((other / video).read_bytes())
    with pytest.raises(FormatError, match=r"pictures of 48×48, info.json tells of"):
        list(Lerobot().read(root))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"total_episodes": 3}, "total_episodes is 3, but meta/ holds 2"),
        ({"total_frames": 22}, "total_frames is 22, but meta/ holds 21"),
        ({"total_tasks": 2}, "total_tasks is 2, but meta/ holds 1"),
        ({"codebase_version": "v4.0"}, "'v4.0', this twinlab reads v3.x; update twinlab"),
        ({"codebase_version": "v2.1"}, "convert it with LeRobot's convert_dataset_v21_to_v30"),
        ({"fps": 0}, "fps came as 0; wanted"),
        ({"data_path": None}, "is not told"),
        ({"features": {"action": {"dtype": "float32"}}}, "feature 'action' lacks dtype or shape"),
        ({"features": {"gone": {"dtype": "float32", "shape": [2]}}}, "'action' is not known"),
    ],
)
def test_an_info_that_lies_is_told_at_once(root, change, said):
    info(root, **change)
    if "gone" in str(change):  # a feature that twinlab's description knows may be gone; then it is left out
        assert "action" in next(Lerobot().read(root)).attrs["left_out"]
        return
    with pytest.raises(FormatError, match=said):
        Lerobot().read(root)


@pytest.mark.parametrize(
    "gone", ["meta/info.json", "meta/tasks.parquet", EPISODES, DATA, f"videos/{RGB}/chunk-000/file-000.mp4"]
)
def test_a_file_that_is_missing_is_told_at_once(root, gone):
    (root / gone).unlink()
    with pytest.raises(FormatError, match=r"info.json|tasks.parquet|meta/episodes|file-000.parquet|file-000.mp4"):
        Lerobot().read(root)


def test_rows_that_are_missing_are_told(root):
    changed(root / DATA, lambda f: f.iloc[:-2])
    with pytest.raises(FormatError, match="has 7 rows of episode 1, meta/episodes tells of 9"):
        list(Lerobot().read(root))
    changed(root / DATA, lambda f: f.drop(columns="action"))
    with pytest.raises(FormatError, match=r"no column 'action', which info.json tells of"):
        list(Lerobot().read(root))


def test_a_dataset_of_others_is_read_with_what_can_be_guessed(root):
    changed(root / EPISODES, lambda f: f.drop(columns=[c for c in f if c == "twinlab" or c.startswith("stats/")]))
    features = info(root)["features"]
    for one in features.values():
        one["info"] = {k: v for k, v in (one.get("info") or {}).items() if k not in ("units", "kind", "role")}
    info(root, features=features)
    first, second = Lerobot().read(root)
    assert {"top_rgb", "state", "action", "twin_beam"} <= set(first.data_vars)
    kinds = {n: first[n].attrs["kind"] for n in ("top_rgb", "state", "action", "twin_beam", "twin_top_depth")}
    assert kinds == {"top_rgb": "image", "state": "vector", "action": "vector", "twin_beam": "pulse",
                     "twin_top_depth": "tactile"}  # fmt: skip
    assert first["state"].attrs["labels"] == ["tool.x", "tool.y", "tool.phase"] and first["state"].attrs["units"] == "1"
    assert "state" in first.attrs["guessed"] and second.attrs["seed"] == 1 and second.sizes["time"] == 9
    assert np.array_equal(second["state"], toy.episode(1, 9)["tool"])
    assert np.array_equal(second["time"], np.arange(9) / 20)
    _, signals = hold([first, second])
    assert signals.actuators == ("tool.x", "tool.y") and signals.low == pytest.approx(
        np.concatenate([toy.episode(0, 12)["action"], toy.episode(1, 9)["action"]]).min(axis=0)
    )


def test_pictures_that_stand_in_the_table_are_read(root):
    features = info(root)["features"]
    shown = np.random.default_rng(0).integers(0, 256, (21, 8, 8, 3), dtype=np.uint8)

    def embed(frame):
        return frame.assign(**{"observation.images.side": [{"bytes": png(x), "path": None} for x in shown]})

    changed(root / DATA, embed)
    changed(root / EPISODES, lambda f: f.drop(columns="twinlab"))
    info(root, features=features | {"observation.images.side": {"dtype": "image", "shape": [8, 8, 3], "names": None}})
    assert np.array_equal(list(Lerobot().read(root))[1]["side"], shown[12:])


def png(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(values).save(out, "png")
    return out.getvalue()


def test_depth_as_video_is_lerobot_s_and_off_by_half_a_step(tmp_path):
    wrote = toy.episode(0, 10)
    root = Lerobot(depth="video").write([wrote], tmp_path / "set")
    told = info(root)["features"]["observation.images.top_depth"]
    assert told["shape"] == [32, 32, 1] and told["info"]["is_depth_map"] and told["info"]["depth_unit"] == "m"
    with av.open(str(root / "videos/observation.images.top_depth/chunk-000/file-000.mp4")) as file:
        assert file.streams.video[0].codec_context.pix_fmt == "gray12le"
    (came,) = Lerobot().read(root)
    depth, true = came["top_depth"].values, wrote["top_depth"].values
    seen = np.isfinite(true)
    half = (true[seen] + 3.5) * np.log(13.5 / 3.51) / 4095 / 2
    assert (np.abs(depth[seen] - true[seen]) <= 1.001 * half + 1e-6).all()
    assert np.allclose(depth[~seen], 10.0, atol=1e-5)


def test_what_lerobot_cannot_hold_is_told(tmp_path):
    slow = toy.episode(0, 5)
    slow = slow.assign_coords(time=("time", 0.03 * np.arange(5), {"units": "s"}))
    with pytest.raises(FormatError, match=r"a tick of 0.03 s is 33.3333 Hz; LeRobot keeps whole numbers"):
        Lerobot().write([slow], tmp_path / "set")
    jumpy = slow.assign_coords(time=("time", np.array([0, 0.05, 0.1, 0.2, 0.25]), {"units": "s"}))
    with pytest.raises(FormatError, match="its times are not even"):
        Lerobot().write([jumpy], tmp_path / "set")
    with pytest.raises(
        FormatError, match=r"episode 1: 'observation.images.top_rgb' is video of shape .48, 48, 3., in the"
    ):
        Lerobot().write([toy.episode(0, 5), toy.episode(1, 5, 48)], tmp_path / "set")
    with pytest.raises(FormatError, match="Did you mean 'tool'"):
        Lerobot(state=("tol",)).write([toy.episode(0, 5)], tmp_path / "set")
    odd = toy.episode(0, 5, 33)
    with pytest.raises(FormatError, match=r"does not encode pictures of 33×33 as 'yuv420p'.*ask for pixels='yuv444p'"):
        Lerobot(pixels="yuv420p").write([odd], tmp_path / "set")
    assert next(Lerobot().read(Lerobot().write([odd], tmp_path / "set")))["top_rgb"].shape == (5, 33, 33, 3)
