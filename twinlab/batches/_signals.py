"""What a model works on: each variable by kind, role, shape and spread, and what is known of cameras and tools."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from twinlab.errors import ModelError, did_you_mean
from twinlab.units import each_unit


@dataclass(frozen=True)
class Signal:
    """One variable as the model knows it.

    Attributes:
        name, kind, role, labels, given: as in `readings.Variable`.
        dims: names of its axes, without `time`; pictures that share theirs lie pixel on pixel.
        shape: sizes of these axes.
        units: one unit for each number of a vector, if the episode tells them one by one.
        mean, std: over the training episodes, of each number of a vector, of all of a depth picture or of each column
            of a cloud, whose x, y and z share one std; of a tactile map 0 and the lower quartile of what is felt where
            anything is. 0 and 1 for other kinds. What never varies has std 1.
        varies: which numbers of a vector vary over the training episodes.
        camera: of a depth picture, if the episode tells: focal lengths and centre of the pinhole [pixel], five numbers
            of distortion as OpenCV orders them, and the pose of the optical frame on `link`; of a tool, roll, pitch,
            yaw of its frame when its yaw is 0, and the poses in it of each of `mounts`; () otherwise.
        link: what the camera is mounted on, "" for the world; the tool's own.
        mounts: links of the tool's arm that carry cameras.
    """

    name: str
    kind: str
    role: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    labels: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    given: str = ""
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    varies: tuple[bool, ...] = (True,)
    camera: tuple[float, ...] = ()
    link: str = ""
    mounts: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return int(np.prod(self.shape, dtype=int))

    @property
    def numbers(self) -> int:
        """How many numbers stand for it in a belief: one for each class of a label."""
        return len(self.labels) if self.kind == "label" else self.size

    @property
    def axes(self) -> tuple[tuple[str, str], ...]:
        """Label and unit of each of its numbers, both "" where they are not told one by one."""
        told = len(self.labels) == len(self.units) == self.size
        return tuple(zip(self.labels, self.units, strict=True)) if told else (("", ""),) * self.size


@dataclass(frozen=True)
class Signals:
    """All that a model works on.

    Attributes:
        all: readings and truth whose kind has a codec, by kind and name; see `survey`.
        actuators: names of the numbers of an action.
        low, high: their limits.
        tick: length of a tick [s].
    """

    all: tuple[Signal, ...]
    actuators: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    tick: float = 0.05

    def of(self, role: str, *kinds: str) -> tuple[Signal, ...]:
        """The signals of a role, of some kinds only if these are given."""
        return tuple(s for s in self.all if s.role == role and (not kinds or s.kind in kinds))

    def __getitem__(self, name: str) -> Signal:
        known = {s.name: s for s in self.all}
        if name not in known:
            raise ModelError(f"no signal {name!r}; there are {sorted(known)}.{did_you_mean(name, known)}")
        return known[name]


def signal_of(name: str, variable: xr.DataArray) -> Signal:
    """The signal that a variable of an episode is, from its attributes alone; nothing is normalised yet."""
    told = variable.attrs
    shape = tuple(variable.sizes[d] for d in variable.dims if d != "time")
    labels, units = tuple(map(str, told.get("labels", ()))), str(told.get("units", ""))
    size = int(np.prod(shape, dtype=int))
    one_each = tuple(each_unit(units, size)) if units and (size == 1 or told["kind"] == "vector") else ()
    dims = tuple(str(d) for d in variable.dims if d != "time")
    given, link, mounts = str(told.get("given", "")), str(told.get("link", "")), tuple(map(str, told.get("mounts", ())))
    found = Signal(name, told["kind"], told["role"], dims, shape, labels, one_each, given)
    return replace(found, camera=_camera(told), link=link, mounts=mounts)


def _camera(told: Mapping[str, Any]) -> tuple[float, ...]:
    """What the attributes of a depth picture or a tool tell of cameras, see `Signal.camera`."""
    if told["kind"] == "vector" and "turn" in told:
        return tuple(float(x) for x in (*told["turn"], *told.get("mount_poses", ())))
    if told["kind"] != "depth" or not {"camera_matrix", "distortion", "extrinsics"} <= set(told):
        return ()
    (fx, _, cx), (_, fy, cy), _ = np.reshape(told["camera_matrix"], (3, 3)).tolist()
    return tuple(float(x) for x in (fx, fy, cx, cy, *told["distortion"], *told["extrinsics"]))
