"""A line that runs in a thread of its own, and a letter box from which a panel takes the newest."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twinlab.cell import Cell
from twinlab.episodes import Policy
from twinlab.events import Event
from twinlab.readings import Readings
from twinlab.scene import SceneSpec
from twinlab.snapshot import Snapshot

_active: "set[Run]" = set()


@dataclass(frozen=True, eq=False)
class Beat:
    """What is known after a tick.

    Attributes:
        tick: how many are done.
        snapshot: the twin.
        readings: what the sensors read.
        events: all since reset.
    """

    tick: int
    snapshot: Snapshot
    readings: Readings
    events: tuple[Event, ...] = ()


@dataclass(eq=False)
class Run:
    """One run of a line under a policy. Its worker never touches a widget; it is asked by `latest` and told by events.

    Attributes:
        spec: the line.
        policy: who acts; no other thread may use it meanwhile, so another run of it is ended first.
        seed: of line and policy.
        ticks: how many, at most.
        paced: whether to go no faster than the clock on the wall.
        latest: the newest beat, None before the first.
        error: what ended the run too early.
    """

    spec: SceneSpec
    policy: Policy
    seed: int
    ticks: int
    paced: bool = True
    latest: Beat | None = None
    error: Exception | None = None
    _times: list[float] = field(default_factory=list)
    _poses: list[np.ndarray] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _go: threading.Event = field(default_factory=threading.Event)
    _done: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Let the worker begin."""
        before = [run for run in _active if run.policy is self.policy]
        for run in before:
            run.stop()
        _active.add(self)
        self._go.set()
        threading.Thread(target=self._work, args=(before,), name="twinlab-run", daemon=True).start()

    def pause(self, wanted: bool) -> None:
        """Wait after the tick of now, or go on."""
        if wanted:
            self._go.clear()
        else:
            self._go.set()

    def stop(self) -> None:
        """End after the tick of now."""
        self._stop.set()
        self._go.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Whether the run has ended, after waiting for that so long at most [s]."""
        return self._done.wait(seconds)

    @property
    def paused(self) -> bool:
        """Whether it waits."""
        return not self._go.is_set()

    def recorded(self) -> tuple[np.ndarray, np.ndarray]:
        """Times (frame,) [s] and poses of the links (frame, link, 7) until now."""
        times, poses = list(self._times), list(self._poses)
        return np.array(times[: len(poses)]), np.array(poses[: len(times)])

    def _work(self, before: list["Run"]) -> None:
        try:
            for run in before:
                run.wait()
            with Cell(self.spec) as cell:
                self._live(cell)
        except Exception as told:  # whatever it is: a panel shows it, a blocking run raises it
            self.error = told
        finally:
            _active.discard(self)
            self._done.set()

    def _live(self, cell: Cell) -> None:
        readings = cell.reset(self.seed)
        self.policy.reset(self.seed, cell.task.meaning())
        self._put(cell, 0, readings)
        due = time.monotonic()
        for tick in range(1, self.ticks + 1):
            if self.paused:
                self._go.wait()
                due = time.monotonic()
            if self._stop.is_set():
                return
            seen: dict[str, Any] = dict(readings) | (dict(cell.truth) if self.policy.sees_truth else {})
            readings = cell.step(self.policy(seen))
            self._put(cell, tick, readings)
            due = max(due + cell.spec.physics.tick, time.monotonic() - cell.spec.physics.tick)
            if self.paced:
                self._stop.wait(max(0.0, due - time.monotonic()))

    def _put(self, cell: Cell, tick: int, readings: Readings) -> None:
        snapshot = cell.snapshot()
        self._times.append(cell.time)
        self._poses.append(snapshot.poses.astype(np.float32))
        self.latest = Beat(tick, snapshot, readings, cell.events)


def counts(events: tuple[Event, ...]) -> dict[str, int]:
    """Kind of event → how many there were."""
    return dict(Counter(e.kind for e in events))
