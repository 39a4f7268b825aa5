"""A cloud of points, from a camera's depth or from what a depth sensor measured."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from twinlab.readings import Readings, Variable
from twinlab.sensors import Draw, Imager, Moment
from twinlab.sensors._cloud import points, taken


class Cloud(Imager):
    """Points in a camera's optical frame, +inf where nothing was measured.

    Without `voxel` there is a point for each pixel, row by row; with it the mean of the points in each cube of that
    edge that holds some. The points come from the camera's calibration, which the variable carries: with
    `extrinsics` they are in the world, or in the frame of the camera's link.
    """

    effects: ClassVar[tuple[str, ...]] = ("measured",)
    of: str = Field("", description='depth sensor of that camera, above in the scene, "" for the true depth')
    voxel: float = Field(0.0, ge=0, description="edge of the cubes that hold one point each, 0 for all points [m]")
    points: int = Field(0, ge=0, description="rows of the cloud with `voxel`, 0 for as many as there are pixels [1]")

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """One cloud [m]."""
        camera = moment.cameras[self.camera].camera
        shape = (self._rows(camera.height * camera.width), 3)
        about = camera.about() | {"of": self.of, "voxel": self.voxel}
        dims = (f"{name}_point", f"{name}_axis")
        return (Variable(name, dims, shape, "float32", "m", "cloud", "reading", ("x", "y", "z"), about=about),)

    def read(self, name: str, moment: Moment, state: None) -> tuple[Readings, None]:
        """The points of the renderer's depth."""
        return {name: self._cloud(moment.picture(self.camera).depth, moment)}, None

    def measure(self, name: str, moment: Moment, clean: Readings, state: None, draw: Draw) -> tuple[Readings, None]:
        """The points of the depth that was measured."""
        if not (self.of and self.on("measured")):
            return clean, None
        return {name: self._cloud(taken(name, self.of, moment, self.camera), moment)}, None

    def _rows(self, pixels: int) -> int:
        return self.points if self.voxel and self.points else pixels

    def _cloud(self, depth: np.ndarray, moment: Moment) -> np.ndarray:
        """The points (row, 3) [m] of a depth picture (height, width) [m]."""
        seen = np.isfinite(depth)
        found = points(np.where(seen, depth, np.float32(0)), moment.cameras[self.camera].camera)
        if not self.voxel:
            found[~seen] = np.inf
            return found.reshape(-1, 3)
        means = _means(found[seen], self.voxel)
        out = np.full((self._rows(depth.size), 3), np.inf, np.float32)
        if len(means) > len(out):  # leave out evenly, so that what is kept covers all of the view
            means = means[np.linspace(0, len(means) - 1, len(out)).round().astype(int)]
        out[: len(means)] = means
        return out


def _means(found: np.ndarray, voxel: float) -> np.ndarray:
    """The mean of the points (n, 3) [m] in each cube of edge `voxel` [m], ordered by cube."""
    if not len(found):
        return found
    cube = np.floor(found / voxel).astype(np.int64)
    cube -= cube.min(axis=0)
    size = cube.max(axis=0) + 1
    key = (cube[:, 2] * size[1] + cube[:, 1]) * size[0] + cube[:, 0]
    _, own, count = np.unique(key, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(own, found[:, axis]) for axis in range(3)], axis=-1)
    return (sums / count[:, None]).astype(np.float32)
