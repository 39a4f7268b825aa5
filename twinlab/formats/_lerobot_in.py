"""A LeRobotDataset that is being read: what its files tell of each other is checked, then episodes come one by one."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xarray as xr

from twinlab.errors import FormatError
from twinlab.formats._columns import load, numbers
from twinlab.formats._lerobot_foreign import guessed
from twinlab.formats._video import Log, pictures
from twinlab.formats._whole import parsed, restored

_NEEDED = ("codebase_version", "fps", "features", "total_episodes", "total_frames", "data_path")
_ROW = ("episode_index", "length", "dataset_from_index", "dataset_to_index", "data/chunk_index", "data/file_index")


class Source:
    """A dataset on disk, whose tables of contents agree with each other and with the files that are there.

    Args:
        root: its folder.

    Raises:
        FormatError: see `Lerobot.read`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.info = self._read_info()
        self.features: dict[str, dict[str, Any]] = self.info["features"]
        self.videos = [key for key, one in self.features.items() if one["dtype"] == "video"]
        self.rows = self._read_rows()
        self.stats = self._read_stats()
        for row in self.rows:
            for path in (self.data(row), *(self.video(row, key) for key in self.videos)):
                if not path.is_file():
                    raise FormatError(
                        f"{str(path)!r} is not there, but episode {row['episode_index']} stands in it; copy the whole "
                        "dataset, with git-lfs if it comes from a repository"
                    )

    def episodes(self) -> Iterator[xr.Dataset]:
        """The episodes in their order; a data file is read once for all of its own."""
        path, table = None, None
        for row in self.rows:
            if path != self.data(row) or table is None:
                path = self.data(row)
                table = load(path)
                if "episode_index" not in table.column_names:
                    raise FormatError(f"{str(path)!r} has no column 'episode_index'; it is no data of LeRobot v3")
            yield self._episode(row, self._rows_of(table, row, repr(str(path))))

    def data(self, row: dict[str, Any]) -> Path:
        """The data file of an episode."""
        return self._place("data_path", row, "data")

    def video(self, row: dict[str, Any], key: str) -> Path:
        """The file of an episode's video: its number is its own, not that of the data."""
        return self._place("video_path", row, f"videos/{key}", video_key=key)

    def film(self, row: dict[str, Any], key: str) -> np.ndarray:
        """The pictures of an episode: (time, row, column, 3) uint8, or depth (time, row, column) [m]."""
        told = self.features[key].get("info") or self.features[key].get("video_info") or {}
        deep = bool(told.get("is_depth_map") or told.get("video.is_depth_map"))
        start = float(row.get(f"videos/{key}/from_timestamp") or 0.0)
        shown = pictures(self.video(row, key), start, row["length"], float(self.info["fps"]), deep)
        wanted = [n for n in self.features[key]["shape"] if n not in (1, 3)]
        if sorted(wanted) != sorted(n for n in shown.shape[1:] if n not in (1, 3)):
            raise FormatError(
                f"{str(self.video(row, key))!r} has pictures of {shown.shape[2]}×{shown.shape[1]}, "
                f"info.json tells of {self.features[key]['shape']}; one of them is of another dataset"
            )
        return Log.of(told).depth(shown) if deep else shown

    def _episode(self, row: dict[str, Any], table: pa.Table) -> xr.Dataset:
        where = f"{str(self.data(row))!r}, episode {row['episode_index']}"
        text = row.get("twinlab")
        if not text:
            return guessed(self, row, table, where)
        told = parsed(text, where)
        plan, known = told["lerobot"], told["variables"]
        arrays = {name: self.film(row, key) for key, name in plan["videos"].items() if key in self.features}
        for key, name in plan["columns"].items():
            if key in self.features:
                arrays[name] = numbers(table, key, tuple(self.features[key]["shape"]), where)
        if plan["state"] and "observation.state" in self.features:
            state = numbers(table, "observation.state", tuple(self.features["observation.state"]["shape"]), where)
            sizes = [math.prod(known[name]["shape"][1:]) for name in plan["state"]]
            if sum(sizes) != state[0].size:
                raise FormatError(f"{where}: 'observation.state' has {state[0].size} numbers, wanted {sum(sizes)}")
            parts = np.split(state.reshape(len(state), -1), np.cumsum(sizes)[:-1], axis=1)
            arrays |= dict(zip(plan["state"], parts, strict=True))
        return restored(told, arrays, where)

    def _rows_of(self, table: pa.Table, row: dict[str, Any], where: str) -> pa.Table:
        """The rows of an episode, after a look at whether they are all there, in their order and at their times."""
        episode, length = row["episode_index"], row["length"]
        which = np.flatnonzero(table["episode_index"].to_numpy() == episode)
        if len(which) != length:
            raise FormatError(
                f"{where} has {len(which)} rows of episode {episode}, meta/episodes tells of {length}; the file is "
                "cut short or of another dataset"
            )
        part = table.take(which) if len(which) and np.ptp(which) + 1 != length else table.slice(which[0], length)
        for name, first in (("frame_index", 0), ("index", row["dataset_from_index"])):
            found = numbers(part, name, (), where).astype(int)
            if (wrong := np.flatnonzero(found != first + np.arange(length))).size:
                at = int(wrong[0])
                raise FormatError(
                    f"{where}, row {which[at]}: {name} is {found[at]}, wanted {first + at}: the frames of episode "
                    f"{episode} are scrambled; convert the dataset again, or sort its rows by episode and frame"
                )
        times = numbers(part, "timestamp", (), where).astype(float)
        off = np.abs(times - times[0] - np.arange(length) / self.info["fps"])
        if off.max() > 0.25 / self.info["fps"]:
            raise FormatError(
                f"{where}: timestamp of frame {int(off.argmax())} is {off.max():.4f} s off the times of "
                f"{self.info['fps']} Hz; data and videos would not fit, so resample the data or mend fps in info.json"
            )
        return part

    def _place(self, template: str, row: dict[str, Any], prefix: str, **more: str) -> Path:
        try:
            index = {word: int(row[f"{prefix}/{word}"]) for word in ("chunk_index", "file_index")}
            return self.root / self.info[template].format(**index, **more)
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as told:
            raise FormatError(
                f"{str(self.root)!r}: where {prefix!r} of episode {row['episode_index']} stands is not told "
                f"({template} in info.json, {prefix}/chunk_index and file_index in meta/episodes): {told!r}"
            ) from told

    def _read_info(self) -> dict[str, Any]:
        path = self.root / "meta/info.json"
        if not path.is_file():
            raise FormatError(f"{str(self.root)!r} has no meta/info.json, so it is no LeRobot dataset; give its root")
        try:
            info = json.loads(path.read_text(encoding="utf-8"))
            version = str(info["codebase_version"])
        except (ValueError, KeyError, TypeError) as told:
            raise FormatError(f"{str(path)!r} is damaged ({told!r}); copy it again") from told
        if not version.startswith("v3."):
            old = version.startswith(("v1", "v2"))
            cure = "convert it with LeRobot's convert_dataset_v21_to_v30" if old else "update twinlab"
            raise FormatError(f"{str(path)!r}: codebase_version is {version!r}, this twinlab reads v3.x; {cure}")
        if missing := [key for key in _NEEDED if key not in info]:
            raise FormatError(f"{str(path)!r} lacks {missing}; it is no info.json of LeRobot v3")
        if not (isinstance(info["fps"], int | float) and info["fps"] > 0):
            raise FormatError(f"{str(path)!r}: fps came as {info['fps']!r}; wanted frames per second, more than 0")
        for key, one in info["features"].items():
            if not (isinstance(one, dict) and isinstance(one.get("shape"), list) and "dtype" in one):
                raise FormatError(f"{str(path)!r}: feature {key!r} lacks dtype or shape; wanted both")
        return dict(info)

    def _read_rows(self) -> list[dict[str, Any]]:
        files = sorted(self.root.glob("meta/episodes/*/*.parquet"))
        if not files:
            raise FormatError(f"{str(self.root)!r} has no meta/episodes; it was never finalized, or half copied")
        rows: list[dict[str, Any]] = []
        for file in files:
            table = load(file)
            if missing := [key for key in _ROW if key not in table.column_names]:
                raise FormatError(f"{str(file)!r} lacks the columns {missing}; it is no list of episodes of LeRobot v3")
            rows += table.select([n for n in table.column_names if not n.startswith("stats/")]).to_pylist()
        rows.sort(key=lambda row: row["episode_index"])
        frames, tasks = sum(row["length"] for row in rows), load(self.root / "meta/tasks.parquet").num_rows
        for what, told, found in (
            ("total_episodes", self.info["total_episodes"], len(rows)),
            ("total_frames", self.info["total_frames"], frames),
            ("total_tasks", self.info.get("total_tasks", tasks), tasks),
        ):
            if told != found:
                raise FormatError(
                    f"{str(self.root / 'meta/info.json')!r}: {what} is {told}, but meta/ holds {found}; "
                    "a file of meta/ is missing or a copy was stopped: copy the dataset again"
                )
        at = 0
        for number, row in enumerate(rows):
            ends = (row["episode_index"], row["dataset_from_index"], row["dataset_to_index"])
            if ends != (number, at, at + row["length"]) or row["length"] < 1:
                raise FormatError(
                    f"{str(self.root)!r}: meta/episodes tells that episode {ends[0]} goes from frame {ends[1]} to "
                    f"{ends[2]} and has {row['length']}; wanted episode {number} from frame {at} on, without gaps"
                )
            at += row["length"]
        return rows

    def _read_stats(self) -> dict[str, Any]:
        """Statistics; datasets without any are read too."""
        path = self.root / "meta/stats.json"
        if not path.is_file():
            return {}
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as told:
            raise FormatError(f"{str(path)!r} is damaged ({told}); copy it again, or remove it") from told
