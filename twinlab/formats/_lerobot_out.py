"""A LeRobotDataset that is being written: data, videos and what is told of both."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import xarray as xr

from twinlab.errors import FormatError
from twinlab.formats import _stats
from twinlab.formats._columns import column
from twinlab.formats._features import features, plan, values
from twinlab.formats._video import Film, Log
from twinlab.formats._whole import check, described, tick_of

if TYPE_CHECKING:
    from twinlab.formats.lerobot import Lerobot

VERSION = "v3.0"
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
CHUNK = 1000  # files in a folder
_MEGA = 2**20
_NAMES = {"libx264": "h264", "libx265": "hevc", "libsvtav1": "av1"}


class Dataset:
    """What is written so far. Files are numbered on their own for data and for each video.

    Args:
        root: its folder.
        first: its first episode, which says what all of them hold.
        settings: the format's fields.
    """

    def __init__(self, root: Path, first: xr.Dataset, settings: "Lerobot") -> None:
        check(first, 0)
        self.root, self.settings = root, settings
        self.plan = plan(first, settings.state, settings.depth == "video")
        self.features = features(first, self.plan)
        self.tick = tick_of(first, 0)
        self.fps = round(1 / self.tick)
        if not self.fps or abs(1 / self.tick - self.fps) > 1e-3 * self.fps:
            raise FormatError(
                f"a tick of {self.tick:.6g} s is {1 / self.tick:.6g} Hz; LeRobot keeps whole numbers of frames per "
                "second, so record or resample at a tick such as 0.05 s"
            )
        self._rows: list[dict[str, Any]] = []
        self._tasks: dict[str, int] = {}
        self._total = 0
        self._stats: dict[str, _stats.Stats] = {}
        self._data: tuple[pq.ParquetWriter, Any] | None = None
        self._films: dict[str, Film] = {}
        self._number = dict.fromkeys(("data", *self.plan.videos), -1)
        self._last = dict.fromkeys(("data", *self.plan.videos), 0)

    def add(self, episode: xr.Dataset) -> None:
        """Add an episode.

        Raises:
            FormatError: it does not hold what the first one holds.
        """
        number, length = len(self._rows), episode.sizes["time"]
        check(episode, number)
        self._check_same(episode, number)
        task, frame, where = str(episode.attrs.get("instruction", "")), np.arange(length), self.plan
        arrays = values(episode, where) | {
            "timestamp": (frame / self.fps).astype(np.float32),
            "frame_index": frame,
            "episode_index": np.full(length, number),
            "index": self._total + frame,
            "task_index": np.full(length, self._tasks.setdefault(task, len(self._tasks))),
        }
        row: dict[str, Any] = {
            "episode_index": number,
            "tasks": [task],
            "length": length,
            "dataset_from_index": self._total,
            "dataset_to_index": self._total + length,
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
        }
        row |= self._write_data(arrays)
        stats = {k: _stats.of_numbers(v) for k, v in arrays.items() if v.ndim < 3 and v.dtype.kind in "biuf"}
        for key, name in where.videos.items():
            told, stats[key] = self._write_video(key, episode[name].values)
            row |= told
        for key, found in stats.items():
            self._stats[key] = _stats.merged(self._stats.get(key), found)
            row |= {f"stats/{key}/{what}": x.tolist() for what, x in found.items()}
        apart = {*where.state, *where.columns.values(), *where.videos.values()}
        self._rows.append(row | {"twinlab": described(episode, apart, lerobot=where.told())})
        self._total += length

    def finish(self) -> None:
        """Close all files and tell what is in them."""
        self.close()
        place = self.root / EPISODES
        place.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(self._rows), place, write_page_checksum=True)
        texts = pd.Index(list(self._tasks), name="task")
        pd.DataFrame({"task_index": list(self._tasks.values())}, texts).to_parquet(self.root / "meta/tasks.parquet")
        stats = {key: {what: x.tolist() for what, x in found.items()} for key, found in self._stats.items()}
        for name, told in (("stats", stats), ("info", self._info())):
            text = json.dumps(told, indent=4, ensure_ascii=False, allow_nan=False)
            (self.root / f"meta/{name}.json").write_text(text, encoding="utf-8")

    def close(self) -> None:
        """Close the files that are open."""
        if self._data is not None:
            for one in self._data:
                one.close()
        for film in self._films.values():
            film.close()
        self._data, self._films = None, {}

    def _check_same(self, episode: xr.Dataset, number: int) -> None:
        came = features(episode, plan(episode, self.settings.state, self.settings.depth == "video"))
        for key in sorted({*came, *self.features}):
            one, other = (told.get(key, {}) for told in (came, self.features))
            if any(one.get(word) != other.get(word) for word in ("dtype", "shape")):
                raise FormatError(
                    f"episode {number}: {key!r} is {_shown(one)}, in the first one {_shown(other)}; a dataset holds "
                    "episodes of one scene, so write those of each scene to a folder of its own"
                )
        if abs(tick_of(episode, number) - self.tick) > 1e-3 * self.tick:
            raise FormatError(f"episode {number}: its tick is {tick_of(episode, number):.6g} s, not {self.tick:.6g} s")

    def _rolls(self, what: str, size: int, limit: int) -> bool:
        """Whether the next episode needs a new file; it is numbered then."""
        if self._number[what] >= 0 and size + self._last[what] <= limit * _MEGA:
            return False
        self._number[what] += 1
        return True

    def _index(self, what: str) -> dict[str, int]:
        chunk, file = divmod(self._number[what], CHUNK)
        return {"chunk_index": chunk, "file_index": file}

    def _write_data(self, arrays: dict[str, np.ndarray]) -> dict[str, int]:
        table = pa.table({key: column(v) for key, v in arrays.items()})
        before = 0 if self._data is None else self._data[1].tell()
        if self._rolls("data", before, self.settings.data_mb):
            if self._data is not None:
                for one in self._data:
                    one.close()
            path = self.root / DATA.format(**self._index("data"))
            path.parent.mkdir(parents=True, exist_ok=True)
            sink, before = pa.OSFile(str(path), "wb"), 0
            self._data = pq.ParquetWriter(sink, table.schema, write_page_checksum=True), sink
        assert self._data is not None
        self._data[0].write_table(table)  # one row group for each episode, so that one is read without the others
        self._last["data"] = self._data[1].tell() - before
        return {f"data/{word}": n for word, n in self._index("data").items()}

    def _write_video(self, key: str, shown: np.ndarray) -> tuple[dict[str, Any], _stats.Stats]:
        """Where it was written to, and its statistics."""
        film = self._films.get(key)
        if self._rolls(key, 0 if film is None else film.size, self.settings.video_mb):
            if film is not None:
                film.close()
            path = self.root / VIDEO.format(video_key=key, **self._index(key))
            film = self._films[key] = Film(path, *self._coding(key in self.plan.deep))
        assert film is not None
        start, size = film.count / self.fps, film.size
        film.add(Log().steps(shown) if key in self.plan.deep else shown)
        self._last[key] = film.size - size
        told: dict[str, Any] = {f"videos/{key}/{word}": n for word, n in self._index(key).items()}
        told |= {f"videos/{key}/from_timestamp": start, f"videos/{key}/to_timestamp": film.count / self.fps}
        if key in self.plan.deep:
            return told, _stats.of_pictures(np.minimum(shown, Log().high)[..., None], 1.0)
        return told, _stats.of_pictures(shown)

    def _coding(self, deep: bool) -> tuple[str, str, int, dict[str, str]]:
        own = self.settings
        if deep:
            return "libx265", "gray12le", self.fps, {"g": str(own.gop), "x265-params": "lossless=1:log-level=none"}
        quiet = {"x265-params": "log-level=none"} if own.codec == "libx265" else {}
        return own.codec, own.pixels, self.fps, {"g": str(own.gop), "crf": str(own.crf), **quiet}

    def _info(self) -> dict[str, Any]:
        told = {}
        for key, one in self.features.items():
            if one["dtype"] == "video":
                deep = key in self.plan.deep
                height, width, channels = one["shape"]
                video = {
                    "height": height,
                    "width": width,
                    "codec": "hevc" if deep else _NAMES.get(self.settings.codec, self.settings.codec),
                    "pix_fmt": "gray12le" if deep else self.settings.pixels,
                    "fps": self.fps,
                    "channels": channels,
                }
                info = one["info"] | {f"video.{word}": x for word, x in video.items()} | {"has_audio": False}
                one = one | {"info": info | (Log().told() if deep else {"is_depth_map": False})}
            told[key] = one
        return {
            "codebase_version": VERSION,
            "robot_type": self.settings.robot_type,
            "total_episodes": len(self._rows),
            "total_frames": self._total,
            "total_tasks": len(self._tasks),
            "chunks_size": CHUNK,
            "data_files_size_in_mb": self.settings.data_mb,
            "video_files_size_in_mb": self.settings.video_mb,
            "fps": self.fps,
            "splits": {"train": f"0:{len(self._rows)}"},
            "data_path": DATA,
            "video_path": VIDEO if self.plan.videos else None,
            "features": told,
        }


def _shown(feature: dict[str, Any]) -> str:
    return f"{feature['dtype']} of shape {tuple(feature['shape'])}" if feature else "missing"
