"""The colours that a camera sees."""

import numpy as np
from pydantic import Field

from twinlab.readings import Readings, Variable
from twinlab.sensors import Moment, Sensor


class Rgb(Sensor):
    """The colours that a camera sees."""

    camera: str = Field("overhead", description="which of the scene's cameras")

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """One picture [1]."""
        camera = moment.cameras[self.camera]
        dims = tuple(f"{self.camera}_{axis}" for axis in ("row", "column", "channel"))
        shape = (camera.height, camera.width, 3)
        return (Variable(name, dims, shape, "uint8", "1", "image", "reading", labels=("red", "green", "blue")),)

    def read(self, name: str, moment: Moment, state: None, rng: np.random.Generator) -> tuple[Readings, None]:
        """The renderer's picture as it is."""
        return {name: moment.picture(self.camera).rgb}, None
