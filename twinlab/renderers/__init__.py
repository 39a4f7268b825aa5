"""Renderers: a snapshot and a camera in; colour, metric depth, mask and normals out.

A renderer that keeps `Caster` too also says what single rays meet, for lidars and other sensors that have no picture.
"""

import functools
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from twinlab import rooms
from twinlab.errors import RendererError
from twinlab.frames import Intrinsics
from twinlab.snapshot import Snapshot


@dataclass(frozen=True, eq=False)
class Frame:
    """One rendered picture; row 0 is the top, as in OpenCV.

    Attributes:
        rgb: sRGB, uint8 (height, width, 3).
        depth: distance along the optical axis [m], float32 (height, width); +inf where nothing is.
        mask: index into `Snapshot.bodies`, int16 (height, width); -1 where nothing is.
        visual: index into `Snapshot.visuals`, int16 (height, width); -1 where nothing is.
        normals: unit normals of the surface in the camera's optical frame, float32 (height, width, 3); 0 where
            nothing is.
    """

    rgb: np.ndarray
    depth: np.ndarray
    mask: np.ndarray
    visual: np.ndarray
    normals: np.ndarray


@dataclass(frozen=True, eq=False)
class Hits:
    """What rays meet first.

    Attributes:
        distance: from the ray's start [m], float32 (ray,); +inf where nothing is.
        visual: index into `Snapshot.visuals`, int16 (ray,); -1 where nothing is.
        normal: unit normals of the surface in the world, float32 (ray, 3); 0 where nothing is.
    """

    distance: np.ndarray
    visual: np.ndarray
    normal: np.ndarray


class View(Protocol):
    """An open renderer; it holds what the graphics library keeps for it until `close`."""

    def render(self, snapshot: Snapshot, camera: Intrinsics, pose: np.ndarray) -> Frame:
        """The picture of a camera whose optical frame stands at `pose` (7,) in the world."""
        ...

    def begin(self, snapshot: Snapshot, camera: Intrinsics, pose: np.ndarray) -> Callable[[], Frame]:
        """Begin a picture, as `render` would give it; call what comes back to have it.

        Where OpenGL works beside Python, others can be begun or something else be done meanwhile.
        """
        ...

    def close(self) -> None:
        """Give back all that the graphics library holds; calling it twice does no harm."""
        ...


class Caster(View, Protocol):
    """A view that also follows single rays."""

    def cast(self, snapshot: Snapshot, starts: np.ndarray, directions: np.ndarray) -> Hits:
        """What rays from (ray, 3) [m] along unit vectors (ray, 3) in the world meet first; insides are not seen.

        Raises:
            RendererError: the view is closed, or a pose or a ray is not finite.
        """
        ...


class Renderer(Protocol):
    """A renderer's settings: a frozen dataclass in a file of its own, with a default for every field."""

    def open(self) -> View:
        """A view that is ready to render.

        Raises:
            RendererError: this machine lacks what the renderer needs; the message says what to install.
        """
        ...


def open_view(name: str) -> View:
    """The view of a renderer by its name, ready to render.

    Where OpenGL cannot be had, `raycast` takes the place of `raster`, which is said once in a process by a
    RuntimeWarning: it gives the same picture, but takes longer and throws no shadows.

    Raises:
        UnknownVariantError: there is no such renderer.
        RendererError: this machine lacks what the renderer needs, and no other can take its place.
    """
    try:
        return _opened(name)
    except (RendererError, ImportError) as told:
        if name != "raster":
            raise
        view = _opened("raycast")
        _tell_once(f"{told}. Pictures are drawn by raycast instead, more slowly and without shadows.")
        return view


def _opened(name: str) -> Any:
    return rooms.build("renderers", name).open()


@functools.cache
def _tell_once(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=3)


def check(snapshot: Snapshot, pose: np.ndarray) -> None:
    """Raise unless a snapshot can be drawn from a camera's pose (7,).

    Raises:
        RendererError: a pose is not finite, or the light comes from nowhere.
    """
    if not math.isfinite(np.vdot(snapshot.poses, snapshot.poses) + np.vdot(pose, pose)):  # a tenth of isfinite's time
        raise RendererError("a pose of the snapshot or of the camera is not finite; has the simulation blown up?")
    if not any(snapshot.light.direction):
        raise RendererError(
            f"light: direction came as {snapshot.light.direction}; wanted a direction such as (-0.45, -0.5, 1)"
        )
