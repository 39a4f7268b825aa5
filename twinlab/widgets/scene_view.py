"""The 3D view of a twin: live, or as the replay of a recorded run."""

import asyncio
import base64
import contextlib
import dataclasses
import os
import time
from typing import Any

import anywidget
import numpy as np
import traitlets
from ipywidgets import Widget, widget_serialization
from numpy.typing import ArrayLike

from twinlab.errors import ReadingsError, RendererError
from twinlab.snapshot import Snapshot
from twinlab.widgets import _page
from twinlab.widgets._code import STATIC, code, version
from twinlab.widgets._geometry import pack
from twinlab.widgets._poster import poster

STATIC_PAGES = "TWINLAB_STATIC_PAGES"
"""Environment variable: set to 1, a displayed view also leaves the whole player as HTML in the notebook, for pages made
by `jupyter nbconvert`. Without it the notebook stays small and keeps a picture."""

_PAUSE = 1 / 30  # between two live frames [s]
_POSTER = 720  # width of the picture that a notebook keeps [pixel]


class SceneView(anywidget.AnyWidget):
    """A 3D view; the browser draws, the kernel only says where the links are.

    Drag to orbit, right-drag to pan, click and use the wheel to zoom, hover to read a link's name. Links below z = -5 m
    wait for their turn; they are neither shown nor framed.

    Args:
        snapshot: the twin; its meshes go to the browser once.
        height: of the view [pixel]; it is as wide as there is room.

    Attributes:
        seek: the time of the replay that the user went to last [s]; set it to move there.
    """

    _esm = STATIC / "loader.js"
    _code = traitlets.Instance(Widget).tag(sync=True, **widget_serialization)
    _version = traitlets.Unicode().tag(sync=True)
    _kind = traitlets.Unicode("player").tag(sync=True)
    _height = traitlets.Unicode().tag(sync=True)
    _table = traitlets.Dict().tag(sync=True)
    _mesh = traitlets.Bytes().tag(sync=True)
    _live = traitlets.Bytes().tag(sync=True)
    _times = traitlets.Bytes().tag(sync=True)
    _run = traitlets.Bytes().tag(sync=True)
    seek = traitlets.Float(0.0).tag(sync=True)

    def __init__(self, snapshot: Snapshot, height: int = 440) -> None:
        self._snapshot = snapshot
        self._due = 0.0
        self._pending: asyncio.TimerHandle | None = None
        table, mesh = pack(snapshot)
        super().__init__(
            _code=code(),
            _version=version(),
            _height=f"{int(height)}px",
            _table=table,
            _mesh=mesh,
            _live=_floats(snapshot.poses),
        )

    def __repr__(self) -> str:
        frames = len(self._times) // 4
        return f"SceneView({len(self._table['links'])} links{f', {frames} frames' if frames else ''})"

    def show(self, snapshot: Snapshot) -> None:
        """Show the twin as it is now, at most 30 times a second; of what comes faster the newest is shown.

        Args:
            snapshot: of the same twin; if its visuals are others (after a reset), they go to the browser again.
        """
        fresh = snapshot.visuals is not self._snapshot.visuals
        self._snapshot = snapshot
        wait = self._due - time.monotonic()
        if fresh or wait <= 0:
            self._push(fresh)
        elif self._pending is None:
            self._pending = _call_later(wait, self._push)

    def replay(self, times: ArrayLike, poses: ArrayLike) -> "SceneView":
        """Give the view a recorded run to play: `view.replay(episode.time, episode.link_pose)`.

        Args:
            times: of the frames, ascending (frame,) [s].
            poses: of the links (frame, link, 7), in the order of the snapshot's links.

        Returns:
            The view itself.

        Raises:
            ReadingsError: the shapes don't fit the twin, times don't ascend, or a value is not finite.
        """
        times, poses = np.asarray(times, float), np.asarray(poses, np.float32)
        self._check(times, poses)
        self._stop_pending()
        with self.hold_sync():
            self._times, self._run, self.seek = _floats(times), _floats(poses), float(times[0])
        return self

    def to_html(self) -> str:
        """One self-contained page with the player: it opens from a file and asks no network."""
        return _page.fill("view.html.jinja", title=f"twinlab: {self!r}", scene=self.scene())

    def to_png(self, width: int = _POSTER, height: int = 405) -> bytes:
        """A picture of what the view shows, from where it looks at first.

        Raises:
            RendererError: this machine cannot render.
        """
        return poster(self._seen(), width, height)

    def scene(self) -> str:
        """What the player needs, as JSON for a page's script element of class `twinlab-data`."""
        times, poses = self._recorded()
        if not len(times):
            poses = self._snapshot.poses[None]
        return _page.scene(self._table, self._mesh, times, poses, self._height)

    def fallbacks(self) -> dict[str, str]:
        """What a notebook keeps for readers without a kernel: a picture and, if wished, the whole player.

        See `STATIC_PAGES`; the picture is left out on machines that cannot render.
        """
        out = {}
        with contextlib.suppress(RendererError):
            out["image/png"] = base64.b64encode(self.to_png()).decode()
        if os.environ.get(STATIC_PAGES, "") not in ("", "0"):
            out["text/html"] = _page.framed(self.to_html(), repr(self), self._height)
        return out

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        shown = super()._repr_mimebundle_()
        data, metadata = shown if isinstance(shown, tuple) else (shown or {}, {})
        return {**data, **self.fallbacks()}, metadata

    def _push(self, fresh: bool = False) -> None:
        self._stop_pending()
        self._due = time.monotonic() + _PAUSE
        with self.hold_sync():
            if fresh:
                self._table, self._mesh = pack(self._snapshot)
            self._times = self._run = b""
            self._live = _floats(self._snapshot.poses)

    def _stop_pending(self) -> None:
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None

    def _recorded(self) -> tuple[np.ndarray, np.ndarray]:
        """Times (frame,) and poses (frame, link, 7) of the replay, both empty in a live view."""
        poses = np.frombuffer(self._run, "<f4").reshape(-1, len(self._table["links"]), 7)
        return np.frombuffer(self._times, "<f4"), poses

    def _seen(self) -> Snapshot:
        """The twin as the view shows it."""
        times, poses = self._recorded()
        if not len(times):
            return self._snapshot
        frame = min(int(np.searchsorted(times, np.float32(self.seek))), len(times) - 1)
        return dataclasses.replace(self._snapshot, time=float(times[frame]), poses=poses[frame].astype(float))

    def _check(self, times: np.ndarray, poses: np.ndarray) -> None:
        links = len(self._table["links"])
        if times.ndim != 1 or not len(times) or poses.shape != (len(times), links, 7):
            raise ReadingsError(
                f"replay: came times of shape {times.shape} and poses of shape {poses.shape}, wanted (frame,) and "
                f"(frame, {links}, 7); view and run must be of the same scene and seed"
            )
        if not (np.isfinite(times).all() and np.isfinite(poses).all()):
            raise ReadingsError("replay: times or poses hold a value that is not finite; look at the recorded run")
        if (np.diff(times) <= 0).any():
            raise ReadingsError("replay: times must ascend; sort the frames by time")


def _floats(values: ArrayLike) -> bytes:
    return np.asarray(values, "<f4").tobytes()


def _call_later(wait: float, act: Any) -> asyncio.TimerHandle | None:
    """The act after a while [s] on the running loop; None where no loop runs, so nobody watches."""
    try:
        return asyncio.get_running_loop().call_later(wait, act)
    except RuntimeError:
        return None
