"""Which body each pixel of a camera shows, -1 for none: truth, not a reading."""

from pydantic import Field

from twinlab.readings import Readings, Variable
from twinlab.sensors import Moment, Sensor


class Mask(Sensor):
    """Which body each pixel of a camera shows, -1 for none: truth, not a reading."""

    camera: str = Field("overhead", description="which of the scene's cameras")

    def sees(self) -> str:
        """Its camera."""
        return self.camera

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """One picture [1]."""
        camera = moment.cameras[self.camera].camera
        dims = tuple(f"{self.camera}_{axis}" for axis in ("row", "column"))
        shape = (camera.height, camera.width)
        return (Variable(name, dims, shape, "int16", "1", "mask", "truth", about=camera.about()),)

    def read(self, name: str, moment: Moment, state: None) -> tuple[Readings, None]:
        """The renderer's picture as it is."""
        return {name: moment.picture(self.camera).mask}, None
