"""Cameras of a scene, how far each is off from its calibration, and the light that they see by."""

import functools
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from twinlab import frames
from twinlab.frames import Intrinsics
from twinlab.snapshot import Light, Snapshot

Vector = tuple[float, float, float]


class Lamp(BaseModel):
    """What lights a line, and by how much that differs between seeds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    direction: Vector = Field((-0.45, -0.5, 1.0), description="where the sun stands")
    sun: float = Field(0.6, ge=0, le=10, description="strength of the sun; with `ambient` 1 shows white as white [1]")
    ambient: float = Field(0.45, ge=0, le=10, description="strength of the light from all around [1]")
    swing: float = Field(0.0, ge=0, le=1.5, description="the direction varies by this standard deviation [rad]")
    wander: float = Field(0.0, ge=0, le=1, description="both strengths vary by this standard deviation, a share [1]")

    @model_validator(mode="after")
    def _comes_from_somewhere(self) -> "Lamp":
        if not np.any(self.direction):
            raise ValueError("direction must not be (0, 0, 0); take (-0.45, -0.5, 1)")
        return self

    def lit(self, rng: np.random.Generator) -> Light:
        """The light of one episode; always draws the same count of numbers."""
        turn, strength = rng.normal(size=3), rng.normal(size=2)
        direction = frames.rotate(frames.from_rotvec((0, 0, 0), self.swing * turn), np.array(self.direction))
        sun, ambient = np.maximum(0, (1 + self.wander * strength) * (self.sun, self.ambient)).tolist()
        x, y, z = direction.tolist()
        return Light((x, y, z), sun, ambient)


class Camera(BaseModel):
    """A pinhole camera with a lens that may distort, fixed in the world or on a link.

    What the scene says is the calibration. The four errors are standard deviations, drawn once an episode, of how far
    the real camera is off from it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    width: int = Field(64, gt=0, le=8192, description="columns of the picture")
    height: int = Field(64, gt=0, le=8192, description="rows of the picture")
    fov: float = Field(0.8, gt=0, lt=np.pi, description="vertical angle of view [rad]")
    position: Vector = Field((0, 0, 1), description="centre of projection [m]")
    look_at: Vector = Field((0, 0, 0), description="what the middle of the picture shows [m]")
    up: Vector = Field((0, 0, 1), description="direction that shows upwards in the picture")
    link: str = Field("", description='link that it is fixed to, such as "arm/panda_hand", "" for the world')
    distortion: tuple[float, float, float, float, float] = Field(
        (0, 0, 0, 0, 0), description="of the colours: OpenCV's k1, k2, p1, p2, k3 [1]"
    )
    focal_error: float = Field(0.003, ge=0, le=0.2, description="error of the focal length, as a share of it [1]")
    centre_error: float = Field(0.001, ge=0, le=0.2, description="error of the principal point, share of the width [1]")
    place_error: float = Field(0.001, ge=0, le=0.1, description="error of the position along each axis [m]")
    turn_error: float = Field(0.003, ge=0, le=0.2, description="error of the direction about each axis [rad]")

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
        """Its lens and picture size, as calibrated."""
        return Intrinsics.from_fov(self.width, self.height, self.fov)

    def mount(self) -> np.ndarray:
        """Its optical frame in the world or in its link's frame, as calibrated, (7,)."""
        return frames.look_at(self.position, self.look_at, self.up)

    def pose(self, snapshot: Snapshot) -> np.ndarray:
        """Where its optical frame stands in the world, as calibrated, (7,).

        Raises:
            WorldError: the link that it is fixed to is not in the snapshot.
        """
        return _placed(self.link, self.mount(), snapshot)

    def mounted(self, rng: np.random.Generator) -> "Mounted":
        """The camera as it really is in one episode; always draws the same count of numbers."""
        lens, (focal, column, row), shift, turn = self.intrinsics(), *np.split(rng.normal(size=9), 3)
        scale, centre = 1 + self.focal_error * focal, self.centre_error * self.width
        real = Intrinsics(
            lens.width, lens.height, lens.fx * scale, lens.fy * scale, lens.cx + centre * column, lens.cy + centre * row
        )
        off = frames.from_euler(self.place_error * shift, tuple(self.turn_error * turn))
        return Mounted(self, real, frames.compose(self.mount(), off))

    def source(self) -> np.ndarray:
        """Where each pixel of a distorted picture is in the ideal one, columns and rows (height, width, 2) [px]."""
        return _source(self.intrinsics(), self.distortion)

    def margin(self) -> int:
        """By how many pixels the lens sees further than an ideal one, at most."""
        if not any(self.distortion):
            return 0
        low = -self.source().min()
        high = (self.source() - np.array([self.width - 1, self.height - 1])).max()
        return int(np.ceil(max(0.0, low, high))) + 1

    def about(self) -> dict[str, Any]:
        """Its calibration as attributes of a reading.

        Returns:
            `camera_matrix`: OpenCV's K, 9 numbers row by row [px]; `distortion`: k1, k2, p1, p2, k3, 0 where the
            picture is rectified; `width`, `height` [px]; `extrinsics`: the pose of
            the optical frame (x right, y down, z forward) in the frame of `link` or, where that is "", in the
            world: x, y, z [m] and quaternion x, y, z, w; `link`.
        """
        lens = self.intrinsics()
        return {
            "camera_matrix": lens.matrix.ravel().tolist(),
            "distortion": [0.0] * 5,
            "width": lens.width,
            "height": lens.height,
            "extrinsics": self.mount().tolist(),
            "link": self.link,
        }


@dataclass(frozen=True, eq=False)
class Mounted:
    """A camera as it really is in one episode.

    Attributes:
        camera: what the scene says, which is the calibration.
        lens: its real lens.
        mount: its real optical frame in the world or in its link's frame, (7,).
    """

    camera: Camera
    lens: Intrinsics
    mount: np.ndarray

    def widened(self, margin: int) -> "Mounted":
        """The same camera with so many more pixels on each side [px]."""
        if not margin:
            return self
        lens = self.lens
        width, height = lens.width + 2 * margin, lens.height + 2 * margin
        return replace(self, lens=Intrinsics(width, height, lens.fx, lens.fy, lens.cx + margin, lens.cy + margin))

    def pose(self, snapshot: Snapshot) -> np.ndarray:
        """Where its optical frame really stands in the world, (7,)."""
        return _placed(self.camera.link, self.mount, snapshot)


@functools.lru_cache(maxsize=32)
def _source(lens: Intrinsics, distortion: tuple[float, ...]) -> np.ndarray:
    u, v = np.meshgrid(np.arange(lens.width, dtype=np.float64), np.arange(lens.height, dtype=np.float64))
    pixels = np.stack([u, v], axis=-1).reshape(-1, 1, 2)
    ideal = cv2.undistortPoints(pixels, lens.matrix, np.array(distortion), P=lens.matrix)
    return ideal.reshape(lens.height, lens.width, 2).astype(np.float32)


def _placed(link: str, mount: np.ndarray, snapshot: Snapshot) -> np.ndarray:
    return frames.compose(snapshot.pose(link), mount) if link else mount
