"""Points from depth pictures, and where these come from."""

import numpy as np

from twinlab.cameras import Camera
from twinlab.errors import ReadingsError, did_you_mean
from twinlab.sensors import Moment
from twinlab.sensors._depth import slopes


def points(depth: np.ndarray, camera: Camera) -> np.ndarray:
    """The points of a depth picture in the optical frame, by the camera's calibration.

    Args:
        depth: along the optical axis (height, width) [m].
        camera: which took it.

    Returns:
        float32, (height, width, 3) [m].
    """
    x, y, _ = slopes(camera.intrinsics())
    return np.stack([depth * x, depth * y, depth], axis=-1)


def taken(name: str, of: str, moment: Moment, camera: str) -> np.ndarray:
    """The picture (height, width) [m] that a depth sensor took last; before time 0 perhaps the true one.

    Args:
        name: of the sensor that asks.
        of: the depth sensor's name.
        moment: what was taken.
        camera: the camera that the picture must be of.

    Raises:
        ReadingsError: no sensor of that name stands above, or what it gives is not a depth picture of the camera.
    """
    if of not in moment.taken and moment.time < 0:  # what is on its way at reset was taken before any sensor began
        return moment.picture(camera).depth
    if of not in moment.taken:
        known = sorted(moment.taken)
        raise ReadingsError(
            f"[sensors.{name}] of: came {of!r}, and no sensor above it measures that; those above give {known}. "
            f"Name a depth sensor, and put its table above this one's.{did_you_mean(of, known)}"
        )
    picture, lens = moment.taken[of], moment.cameras[camera].lens
    if picture.shape != (lens.height, lens.width) or picture.dtype != np.float32:
        raise ReadingsError(
            f"[sensors.{name}] of: {of!r} gives {picture.dtype} of shape {picture.shape}; wanted a depth picture of "
            f"camera {camera!r}, float32 of shape {(lens.height, lens.width)}. Name a depth sensor of that camera"
        )
    return picture
