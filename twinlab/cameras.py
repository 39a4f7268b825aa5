"""A camera of a scene: its lens and picture size, and where it is mounted."""

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from twinlab import frames
from twinlab.frames import Intrinsics
from twinlab.snapshot import Snapshot

Vector = tuple[float, float, float]


class Camera(BaseModel):
    """An ideal pinhole camera, fixed in the world or on a link."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    width: int = Field(64, gt=0, le=8192, description="columns of the picture")
    height: int = Field(64, gt=0, le=8192, description="rows of the picture")
    fov: float = Field(0.8, gt=0, lt=np.pi, description="vertical angle of view [rad]")
    position: Vector = Field((0, 0, 1), description="centre of projection [m]")
    look_at: Vector = Field((0, 0, 0), description="what the middle of the picture shows [m]")
    up: Vector = Field((0, 0, 1), description="direction that shows upwards in the picture")
    link: str = Field("", description='link that it is fixed to, such as "arm/panda_hand", "" for the world')

    @model_validator(mode="after")
    def _has_direction(self) -> "Camera":
        sight = np.subtract(self.look_at, self.position)
        if np.linalg.norm(sight) < 1e-9:
            raise ValueError(f"look_at must differ from position, both are {self.position}")
        if not np.any(self.up):
            raise ValueError("up must not be (0, 0, 0); take (0, 0, 1)")
        if not np.linalg.norm(np.cross(sight, self.up)) and not np.any(sight[1:]):
            raise ValueError(f"up must not lie along the line of sight, both along x: {self.up}; take (0, 0, 1)")
        return self

    def intrinsics(self) -> Intrinsics:
        """Its lens and picture size."""
        return Intrinsics.from_fov(self.width, self.height, self.fov)

    def pose(self, snapshot: Snapshot) -> np.ndarray:
        """Where its optical frame stands in the world, (7,).

        Raises:
            WorldError: the link that it is fixed to is not in the snapshot.
        """
        optical = frames.look_at(self.position, self.look_at, self.up)
        if not self.link:
            return optical
        return frames.compose(snapshot.pose(self.link), optical)
