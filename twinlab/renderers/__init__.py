"""Renderers: a snapshot and a camera in; colour, metric depth, mask and normals out."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from twinlab.frames import Intrinsics
from twinlab.snapshot import Snapshot


@dataclass(frozen=True, eq=False)
class Frame:
    """One rendered picture; row 0 is the top, as in OpenCV.

    Attributes:
        rgb: sRGB, uint8 (height, width, 3).
        depth: distance along the optical axis [m], float32 (height, width); +inf where nothing is.
        mask: index into `Snapshot.bodies`, int16 (height, width); -1 where nothing is.
        normals: unit normals of the surface in the camera's optical frame, float32 (height, width, 3); 0 where
            nothing is.
    """

    rgb: np.ndarray
    depth: np.ndarray
    mask: np.ndarray
    normals: np.ndarray


class View(Protocol):
    """An open renderer; it holds what the graphics library keeps for it until `close`."""

    def render(self, snapshot: Snapshot, camera: Intrinsics, pose: np.ndarray) -> Frame:
        """The picture of a camera whose optical frame stands at `pose` (7,) in the world."""
        ...

    def close(self) -> None:
        """Give back all that the graphics library holds; calling it twice does no harm."""
        ...


class Renderer(Protocol):
    """A renderer's settings: a frozen dataclass in a file of its own, with a default for every field."""

    def open(self) -> View:
        """A view that is ready to render.

        Raises:
            RendererError: this machine lacks what the renderer needs; the message says what to install.
        """
        ...
