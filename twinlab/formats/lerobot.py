"""LeRobotDataset v3.0, out and in: data as parquet, pictures as MP4, what is told of them as JSON and parquet.

Layout: the code of huggingface/lerobot (`src/lerobot/datasets`), not its page of documents. What LeRobot has no name
for stands under `twin.`, which its policies leave alone; what makes an episode of twinlab whole stands in a column
`twinlab` of `meta/episodes`, one text for each episode, so that it goes along when LeRobot's tools merge datasets.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import xarray as xr

from twinlab.errors import FormatError
from twinlab.formats import wanted
from twinlab.formats._files import draft
from twinlab.formats._lerobot_in import Source
from twinlab.formats._lerobot_out import Dataset


@dataclass(frozen=True)
class Lerobot:
    """LeRobotDataset v3.0.

    Images of three channels become videos `observation.images.<name>`; vectors that a policy reads stand one behind
    the other in `observation.state`; `action` is `action`, the instruction is the task; all else is `twin.<name>`, bit
    by bit.

    Attributes:
        state: which variables make up `observation.state`; () takes all readings that are vectors, but ages.
        depth: "exact" keeps depth as arrays, bit by bit; "video" as LeRobot's 12-bit logarithmic video from 0.01 to
            10 m, in steps of 1.2 mm at the near end and 4.4 mm at the far one, where +inf becomes 10 m.
        codec: FFmpeg's name of the encoder of pictures.
        pixels: their pixel format; "yuv420p" halves the colours' resolution, which hardware decoders want.
        crf: constant rate factor; less is better and larger [1].
        gop: frames from one whole picture to the next; 2 makes single frames quick to reach [1].
        data_mb, video_mb: size at which a new file of data or video begins [MiB].
        robot_type: what info.json tells of the robot.
    """

    state: tuple[str, ...] = ()
    depth: Literal["exact", "video"] = "exact"
    codec: str = "libx264"
    pixels: str = "yuv444p"
    crf: int = 12
    gop: int = 2
    data_mb: int = 100
    video_mb: int = 200
    robot_type: str = "twinlab"

    def __post_init__(self) -> None:
        wanted("depth", self.depth, self.depth in ("exact", "video"), "'exact' or 'video'")
        for name in ("gop", "data_mb", "video_mb"):
            came = getattr(self, name)
            wanted(name, came, isinstance(came, int) and came >= 1, "a whole number, 1 or more")
        wanted("crf", self.crf, isinstance(self.crf, int) and 0 <= self.crf <= 63, "a whole number from 0 to 63")
        wanted("state", self.state, not isinstance(self.state, str), "names of variables, as a tuple")

    def write(self, episodes: Iterable[xr.Dataset], path: str | Path) -> Path:
        """Write a dataset of episodes of one scene; `path` becomes its root folder.

        Raises:
            FormatError: something is there, no episode came, or an episode does not hold what the first one holds.
        """
        with draft(path) as root:
            dataset = None
            try:
                for episode in episodes:
                    dataset = dataset or Dataset(root, episode, self)
                    dataset.add(episode)
                if dataset is None:
                    raise FormatError(f"no episode came, so that {str(path)!r} was not written; record some first")
                dataset.finish()
            finally:
                if dataset is not None:
                    dataset.close()
        return Path(path)

    def read(self, path: str | Path) -> Iterator[xr.Dataset]:
        """The episodes of a dataset, whoever wrote it.

        Of a foreign one, `observation.images.top` becomes `top`, `observation.state` becomes `state`; what units and
        kinds are not told is guessed (`guessed` in the attributes), limits of the action are its extremes, and an
        episode's seed is its index, so that it counts as one for training.

        Raises:
            FormatError: no such dataset is there; it is of another version; a file is missing, cut short or foreign;
                or what one file tells is not what another holds.
        """
        return Source(Path(path)).episodes()
