"""A control panel of a running line: 3D view, cameras, run, pause, stop, sliders and counts."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets

from twinlab.cell import Cell
from twinlab.episodes import Policy
from twinlab.errors import CellError
from twinlab.events import Event
from twinlab.scene import SceneSpec
from twinlab.widgets._cameras import Cameras
from twinlab.widgets._controls import Controls, beside, noted, slider
from twinlab.widgets._run import Beat, Run, counts
from twinlab.widgets.scene_view import SceneView

_PAUSE = 0.1  # between two looks at the worker [s]


class Panel(ipywidgets.VBox):
    """A live control panel of a line: `Panel(spec, policy, sliders={"bodies.belt.speed": (0.05, 0.2)})`.

    The line runs in a thread of its own, no faster than the clock on the wall, while other cells run. When a run has
    ended, the view replays it. A slider that is moved during a run starts the line anew with its value.

    Args:
        spec: the line.
        policy: who acts; while a run goes on nobody else may use it.
        sliders: what can be changed, as `SceneSpec.change` names it → lowest and highest value.
        seconds: how long a run lasts [s].
        seed: of line and policy.
        height: of the 3D view [pixel].

    Attributes:
        view: the 3D view.

    Raises:
        SceneError: a slider's name is unknown, or an end of its range does not fit.
    """

    def __init__(
        self,
        spec: SceneSpec,
        policy: Policy,
        sliders: Mapping[str, tuple[float, float]] | None = None,
        seconds: float = 60.0,
        seed: int = 0,
        height: int = 400,
    ) -> None:
        self._spec, self._policy, self._seed = spec, policy, int(seed)
        self._ticks = max(1, round(seconds / spec.physics.tick))
        self._run: Run | None = None
        self._shown: Beat | None = None
        self._follower: asyncio.Task[None] | None = None
        self._loop = _running_loop()
        self._sliders = {path: slider(spec, path, ends) for path, ends in (sliders or {}).items()}
        with Cell(spec) as cell:
            start = Beat(0, readings=cell.reset(self._seed), snapshot=cell.snapshot())
            self._cameras = Cameras(cell.variables)
            self._notes = ipywidgets.HTML(noted(cell.world.notes))
        self.view = SceneView(start.snapshot, height)
        self._controls = Controls()
        self._show(start)
        self._controls.start.on_click(lambda _: self._soon(self._toggle))
        self._controls.stop.on_click(lambda _: self._soon(self.stop))
        for one in self._sliders.values():
            one.observe(lambda _: self._soon(self._restart), "value")
        rows = [beside(self.view, self._cameras), self._controls.row, *self._sliders.values(), self._notes]
        super().__init__(rows, layout=ipywidgets.Layout(width="100%"))

    def __repr__(self) -> str:
        seconds = self._ticks * self._spec.physics.tick
        return f"Panel({', '.join([self._spec.name, f'{seconds:g} s', *self._sliders])})"

    @property
    def spec(self) -> SceneSpec:
        """The line with what the sliders say."""
        return self._spec.change({path: slider.value for path, slider in self._sliders.items()})

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened in the run of now, or in the last one."""
        return self._run.latest.events if self._run is not None and self._run.latest is not None else ()

    @property
    def counts(self) -> dict[str, int]:
        """How many events there were of each kind."""
        return counts(self.events)

    def run(self, blocking: bool = False) -> None:
        """Start the line anew.

        Args:
            blocking: come back when the run has ended, and run as fast as the machine can; for tests and programs. What
                ended the run too early is raised then; otherwise it stands in the panel.

        Raises:
            CellError: not blocking, and no event loop runs here as it does in a notebook.
        """
        if not blocking and self._loop is None:
            raise CellError("no event loop runs here as it does in a notebook; call run(blocking=True)")
        run = self._run = Run(self.spec, self._policy, self._seed, self._ticks, not blocking)
        self._controls.tell(None)
        self._controls.state("running")
        run.start()
        if blocking:
            while not run.wait(_PAUSE):
                self._take(run)
            self._finish(run)
            if run.error is not None:
                raise run.error
        else:
            assert self._loop is not None  # said above
            self._follower = self._loop.create_task(self._follow(run))

    async def finished(self) -> None:
        """Wait for the end of the run without holding up the notebook: `await panel.finished()`."""
        if self._follower is not None:
            await self._follower

    def pause(self, wanted: bool = True) -> None:
        """Let the line wait, or go on."""
        if self._running() and self._run is not None:
            self._run.pause(wanted)
            self._controls.state("paused" if wanted else "running")

    def stop(self) -> None:
        """End the run after the tick of now."""
        if self._run is not None:
            self._run.stop()

    def to_html(self) -> str:
        """The view's page: the last run as a replay, or the line as it stands."""
        return self.view.to_html()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        shown = super()._repr_mimebundle_() or {}
        return dict(shown) | self.view.fallbacks()

    def _running(self) -> bool:
        return self._run is not None and not self._run.wait(0)

    def _toggle(self) -> None:
        if self._running() and self._run is not None:
            self.pause(not self._run.paused)
        else:
            self.run()

    def _restart(self) -> None:
        if self._running():
            self.run()

    async def _follow(self, run: Run) -> None:
        """Show what the worker tells until it ends; it never touches a widget itself."""
        while not run.wait(0):
            self._take(run)
            await asyncio.sleep(_PAUSE)
        self._finish(run)

    def _take(self, run: Run) -> None:
        beat = run.latest
        if run is self._run and beat is not None and beat is not self._shown:
            self._show(beat)

    def _show(self, beat: Beat) -> None:
        self._shown = beat
        self.view.show(beat.snapshot)
        self._cameras.show(beat.readings)
        self._controls.show(beat.tick, self._ticks, self._spec.physics.tick, counts(beat.events))

    def _finish(self, run: Run) -> None:
        if run is not self._run:
            return  # another one has begun
        self._take(run)
        self._controls.state("idle")
        self._controls.tell(run.error)
        times, poses = run.recorded()
        if len(times) > 1:
            self.view.replay(times, poses).seek = float(times[-1])

    def _soon(self, act: Callable[[], None]) -> None:
        """On the kernel's loop: clicks may come in on another thread."""
        if self._loop is None:
            act()
        else:
            self._loop.call_soon_threadsafe(act)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
