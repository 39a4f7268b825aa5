"""Which body each pixel of a camera shows, -1 for none: truth, not a reading."""

from typing import ClassVar

from twinlab.readings import Readings, Variable
from twinlab.sensors import Imager, Moment


class Mask(Imager):
    """Which body each pixel of a camera shows, -1 for none: truth, not a reading."""

    truth: ClassVar[bool] = True

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """One picture [1]."""
        camera = moment.cameras[self.camera].camera
        dims = tuple(f"{self.camera}_{axis}" for axis in ("row", "column"))
        shape = (camera.height, camera.width)
        return (Variable(name, dims, shape, "int16", "1", "mask", "truth", about=camera.about()),)

    def read(self, name: str, moment: Moment, state: None) -> tuple[Readings, None]:
        """The renderer's picture as it is."""
        return {name: moment.picture(self.camera).mask}, None
