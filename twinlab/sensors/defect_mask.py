"""Where a camera's picture shows another part than was designed: ground truth of defects, not a reading."""

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from twinlab.readings import Readings, Variable
from twinlab.renderers import Frame
from twinlab.sensors import Imager, Moment
from twinlab.snapshot import Snapshot, Visual


class DefectMask(Imager):
    """Which pixels of a camera are defects: true where the part as designed would look otherwise.

    The picture is drawn a second time with each part replaced by its twin as designed, the body `<part>_designed`, at
    the same pose. A pixel is marked where the two differ in depth or in the colour of what they show; light and shadow
    do not count. So what is missing is marked where it should be, and what is too large where it stands over, both to
    the pixel. Parts without such a twin are never marked.
    """

    truth: ClassVar[bool] = True
    twin: str = Field("_designed", min_length=1, description="what the name of a part's twin as designed ends with")
    deeper: float = Field(0.0002, gt=0, description="smallest difference in depth that counts [m]")

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """One picture of yes and no [1]."""
        camera = moment.cameras[self.camera].camera
        dims = tuple(f"{self.camera}_{axis}" for axis in ("row", "column"))
        shape = (camera.height, camera.width)
        return (Variable(name, dims, shape, "bool", "1", "mask", "truth", about=camera.about()),)

    def read(self, name: str, moment: Moment, state: None) -> tuple[Readings, None]:
        """Where the two pictures differ."""
        made = moment.picture(self.camera)
        designed = moment.imagined(self.camera, as_designed(moment.snapshot, self.twin))
        return {name: differing(made, designed, moment.snapshot.visuals, self.deeper)}, None


@functools.lru_cache(maxsize=1)  # several cameras ask for the same moment
def as_designed(snapshot: Snapshot, twin: str) -> Snapshot:
    """The snapshot with each body "part" and its twin "part" + `twin` in each other's place."""
    poses = snapshot.poses.copy()
    for name in snapshot.bodies:
        if name.endswith(twin) and name.removesuffix(twin) in snapshot.links:
            pair = [snapshot.links.index(name.removesuffix(twin)), snapshot.links.index(name)]
            poses[pair] = poses[pair[::-1]]
    return replace(snapshot, poses=poses)


def differing(one: Frame, other: Frame, visuals: Sequence[Visual], deeper: float) -> np.ndarray:
    """Where two frames of the same camera differ in depth [m] or in colour, bool (height, width).

    Args:
        one, other: the frames.
        visuals: what both show.
        deeper: smallest difference in depth that counts [m].
    """
    colours = np.array([*(visual.colour for visual in visuals), (-1, -1, -1)], float)  # the last for nothing
    painted = (colours[one.visual] != colours[other.visual]).any(axis=-1)
    both = np.isfinite(one.depth) & np.isfinite(other.depth)
    apart = np.where(both, one.depth, 0) - np.where(both, other.depth, 0)
    differs: np.ndarray = painted | (np.abs(apart) > deeper) | (np.isfinite(one.depth) != np.isfinite(other.depth))
    return differs
