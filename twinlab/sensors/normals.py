"""Which way the surfaces face that a camera sees, as they are or as a depth sensor's picture tells."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from twinlab.readings import Readings, Variable
from twinlab.sensors import Draw, Imager, Moment
from twinlab.sensors._cloud import points, taken


class Normals(Imager):
    """Unit normals of the surfaces in a camera's optical frame, towards the camera; 0 where there are none.

    The effect "measured" takes them from the picture of the depth sensor `of`: across each pixel lies a plane through
    its four neighbours. Where one of them is missing there is no normal.
    """

    effects: ClassVar[tuple[str, ...]] = ("measured",)
    of: str = Field("", description='depth sensor of that camera, above in the scene, "" for the true surfaces')

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """One picture of unit vectors [1]."""
        camera = moment.cameras[self.camera].camera
        dims = tuple(f"{self.camera}_{axis}" for axis in ("row", "column", "axis"))
        shape = (camera.height, camera.width, 3)
        about = camera.about() | {"of": self.of}
        return (Variable(name, dims, shape, "float32", "1", "normals", "reading", ("x", "y", "z"), about=about),)

    def read(self, name: str, moment: Moment, state: None) -> tuple[Readings, None]:
        """The renderer's picture as it is."""
        return {name: moment.picture(self.camera).normals}, None

    def measure(self, name: str, moment: Moment, clean: Readings, state: None, draw: Draw) -> tuple[Readings, None]:
        """The normals of the depth that was measured."""
        if not (self.of and self.on("measured")):
            return clean, None
        depth = taken(name, self.of, moment, self.camera)
        at = points(np.where(np.isfinite(depth), depth, np.float32(np.nan)), moment.cameras[self.camera].camera)
        out = np.zeros((*depth.shape, 3), np.float32)
        across, down = at[1:-1, 2:] - at[1:-1, :-2], at[2:, 1:-1] - at[:-2, 1:-1]
        normal = np.cross(down, across)
        length = np.linalg.norm(normal, axis=-1, keepdims=True)
        found = length[..., 0] > 0
        out[1:-1, 1:-1][found] = (normal[found] / length[found]).astype(np.float32)
        return {name: out}, None
