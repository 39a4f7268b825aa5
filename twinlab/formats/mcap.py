"""MCAP with ROS 2 messages, out and in: what `ros2 bag` records and Foxglove shows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import xarray as xr

from twinlab.formats import _mcap_in, _mcap_out, wanted
from twinlab.formats._files import each, write_each

_SUFFIXES = (".mcap",)


@dataclass(frozen=True)
class Mcap:
    """MCAP, one file for each episode.

    A message stands for a sample: its log time is that of the tick that first shows it, its header and publish time are
    its sensor's own (the tick's less `<sensor>_age`); a sample that is held is not written again. A metadata record
    `twinlab` holds what the messages do not.

    Attributes:
        start: time of an episode's reset in the file [s]; samples older than the reset need some.
        tick: of episodes that are made of foreign files [s].
        topics: what is taken of foreign files; () takes all whose schema is known.
        action: the topic of foreign files whose first field is the action, "" if none is.
    """

    start: float = 10.0
    tick: float = 0.05
    topics: tuple[str, ...] = ()
    action: str = ""

    def __post_init__(self) -> None:
        wanted(
            "start", self.start, isinstance(self.start, int | float) and 0 <= self.start < 2**31, "seconds, 0 or more"
        )
        wanted("tick", self.tick, isinstance(self.tick, int | float) and self.tick > 0, "seconds, more than 0")
        wanted("topics", self.topics, not isinstance(self.topics, str), "names of topics, as a tuple")

    def write(self, episodes: Iterable[xr.Dataset], path: str | Path) -> Path:
        """Write episodes: one into a path that ends in ".mcap", any number into a folder.

        Raises:
            FormatError: something is there, no episode came, or several for one file.
        """
        numbers = count()
        return write_each(
            episodes, path, _SUFFIXES, lambda e, p: _mcap_out.write(e, p, round(self.start * 1e9), next(numbers))
        )

    def read(self, path: str | Path) -> Iterator[xr.Dataset]:
        """The episodes of a file or folder, whoever wrote it.

        Of a foreign file each topic becomes a variable, or one for each field (`joint_states_position`), on ticks from
        the first time at which every topic has spoken: the newest message by then, with `<topic>_age` [s] by its
        header's stamp and `<topic>_valid`, false when the next is overdue by half a period. Schemas that are not known
        are left out and told (`left_out` in the attributes).

        Raises:
            FormatError: no such file is there, it is cut short or damaged, or holds nothing that is known.
        """
        files = each(path, _SUFFIXES)
        for file in files:
            _mcap_in.check_ends(file)
        settings = _mcap_in.Foreign(self.tick, self.topics, self.action)
        return (_mcap_in.read(file, number, settings) for number, file in enumerate(files))
