"""The distance along a camera's optical axis, +inf where nothing is."""

from pydantic import Field

from twinlab.readings import Readings, Variable
from twinlab.sensors import Moment, Sensor


class Depth(Sensor):
    """The distance along a camera's optical axis, +inf where nothing is."""

    camera: str = Field("overhead", description="which of the scene's cameras")

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """One picture [m]."""
        camera = moment.cameras[self.camera].camera
        dims = tuple(f"{self.camera}_{axis}" for axis in ("row", "column"))
        shape = (camera.height, camera.width)
        return (Variable(name, dims, shape, "float32", "m", "depth", "reading"),)

    def read(self, name: str, moment: Moment, state: None) -> tuple[Readings, None]:
        """The renderer's picture as it is."""
        return {name: moment.picture(self.camera).depth}, None
