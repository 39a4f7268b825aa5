"""A machine tool's controller: door, chuck, start button, signal tower and light curtain, by their tags."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from pydantic import Field

from twinlab.bodies import TAG, VARIES, Body, Value, Vector
from twinlab.errors import CellError, did_you_mean
from twinlab.events import Event, Item
from twinlab.world import World

Phase = Literal["waiting", "closing", "working", "opening", "done", "stopped"]
_STATES = {"working": "Executing", "stopped": "OutOfService"}  # MachineryItemState of OPC 40001-1, else NotExecuting
_COLOURS = {"waiting": "yellow", "closing": "green", "working": "green", "opening": "green", "stopped": "red"}
_DRAWN = 32  # cycles for which an episode's times and outcomes are drawn


@dataclass(frozen=True)
class Run:
    """How far a machine is.

    Attributes:
        phase: what it does.
        time: of the last scan [s].
        since: for how long it has been in this phase, by its own clock [s].
        cycles: how many it has begun.
        part: the part of the last cycle, "" once it is out.
        good: whether that came out as wanted.
        pressed: whether its button was pressed at the last scan.
        inside: whether something broke the light curtain at the begin of the tick.
        told: whether it has told its phase.
    """

    phase: Phase = "waiting"
    time: float = 0.0
    since: float = 0.0
    cycles: int = 0
    part: str = ""
    good: bool = False
    pressed: bool = False
    inside: bool = False
    told: bool = False


@dataclass(frozen=True)
class Inputs:
    """What a scan reads; a device that is not there is never in the way.

    Attributes:
        start: whether the button was pushed since the last scan.
        open, closed: what the door's limit switches tell.
        present: whether a part stands in the chuck.
        holds: whether one is clamped in it.
        part: what it is called.
    """

    start: bool
    open: bool
    closed: bool
    present: bool
    holds: bool
    part: str


Answer = tuple[Run, dict[str, Value], tuple[Event, ...]]


class Machine(Body):
    """The controller of a machine that is tended; it sees and moves its devices by their tags alone.

    A push of the button starts it if a part is clamped and nobody is within the light curtain: the door closes, the
    cycle runs, the door opens; then it waits until the part is taken out. The chuck is locked from start to end. What
    is refused is a violation, and so is a tool that comes in meanwhile: that stops the machine; a door that closes
    opens again, a cycle that runs ends and spoils its part. A door that does not get there in time and a part that
    comes loose stop it as well. The next push of the button lets it go on.

    Cycle times and outcomes of an episode are drawn with the seed. What the cycle does to the part is its outcome and
    no more: the part keeps its form and its looks.
    """

    door: str = Field("", description='its door, "" for none')
    chuck: str = Field("", description='its chuck, "" for none: then it works without a part')
    button: str = Field("", description='its start button, "" for none: then it never starts')
    lamp: str = Field("", description='its signal tower, "" for none')
    tool: str = Field("", description='link that the light curtain sees, such as "arm/panda_grasptarget", "" for none')
    low: Vector = Field((0.47, -0.14, 0), description="lowest corner of the space behind the light curtain [m]")
    high: Vector = Field((0.69, 0.14, 0.33), description="its highest corner [m]")
    cycle: float = Field(4.0, gt=0, description="time of a cycle [s]", json_schema_extra=TAG)
    patience: float = Field(3.0, gt=0, description="how long its door may take [s]")
    pace: float = Field(1.0, ge=0, le=1, description="speed of its own clock, 1 where nothing is jammed [1]")
    spread: float = Field(
        0.4, ge=0, lt=1, description="cycle times vary by up to this share [1]", json_schema_extra=VARIES
    )
    faulty: float = Field(
        0.15, ge=0, le=1, description="share of the cycles that end with a faulty part [1]", json_schema_extra=VARIES
    )
    shares: tuple[float, ...] = Field((), description="time of each cycle over `cycle`, 1 where there is none [1]")
    faults: tuple[int, ...] = Field((), description="numbers of the cycles that end with a faulty part, from 0 [1]")

    def drawn(self, rng: np.random.Generator) -> Self:
        """The machine of one episode: how long each cycle takes, and which end with a faulty part."""
        shares = self.shares or tuple((1 + self.spread * rng.uniform(-1, 1, _DRAWN)).tolist())
        faults = (*self.faults, *np.flatnonzero(rng.random(_DRAWN) < self.faulty).tolist())
        one = {"spread": 0.0, "faulty": 0.0, "shares": shares, "faults": faults}
        return type(self).model_validate({**self.model_dump(), **one})

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> Run:
        """Nothing to build: it is a controller in a cabinet."""
        return Run()

    def command(self, name: str, world: World, state: Run, values: Mapping[str, float], tick: float) -> Run:
        """Sample the light curtain."""
        if not self.tool:
            return state
        at = world.pose(self.tool)[:3]
        return replace(state, inside=bool((at >= self.low).all() and (at <= self.high).all()))

    def tags(self, name: str, world: World, state: Run) -> Mapping[str, Value]:
        """What a line controller reads of it; `state` as in OPC 40001-1, `progress` of the cycle in 0–1."""
        working = state.phase == "working"
        return {
            "phase": state.phase, "state": _STATES.get(state.phase, "NotExecuting"), "inside": state.inside,
            "cycles": float(state.cycles), "part": state.part, "good": state.good,
            "progress": min(1.0, state.since / self._time(state)) if working else 0.0,
        }  # fmt: skip

    def scan(
        self, name: str, state: Run, tags: Mapping[str, Value], time: float
    ) -> tuple[Run, Mapping[str, Value], tuple[Event, ...]]:
        """Read, decide, write; see the class's text."""
        pushed = bool(self._read(name, tags, self.button, "pressed", False))
        seen = Inputs(
            pushed and not state.pressed,
            bool(self._read(name, tags, self.door, "open", True)),
            bool(self._read(name, tags, self.door, "closed", True)),
            bool(self._read(name, tags, self.chuck, "part_present", True)),
            bool(self._read(name, tags, self.chuck, "clamped", True)),
            str(self._read(name, tags, self.chuck, "part", "")),
        )
        elapsed = self.pace * (time - state.time)
        before = replace(state, time=time, since=state.since + elapsed, pressed=pushed, told=True)
        after, writes, events = self._decided(name, before, seen)
        if after.phase == before.phase and state.told:
            return after, writes, events
        colour = _COLOURS.get(after.phase, "blue" if after.good else "red")
        writes |= {f"{self.lamp}.colour": colour} if self.lamp else {}
        return replace(after, since=0.0), writes, (*events, Event(time, "state", f"{name}.phase", after.phase))

    def _decided(self, name: str, state: Run, seen: Inputs) -> Answer:
        """What follows from the phase that it is in."""
        if state.phase == "closing":
            return self._closing(name, state, seen)
        if state.phase == "working":
            return self._working(name, state, seen)
        if state.phase == "opening":
            return self._opening(name, state, seen)
        if state.phase == "done" and not seen.present:
            state = replace(state, phase="waiting", part="", good=False)
        return self._pushed(name, state, seen) if seen.start else (state, {}, ())

    def _pushed(self, name: str, state: Run, seen: Inputs) -> Answer:
        """Start or go on, unless that is refused."""
        refused = "finished" if state.phase == "done" else ""
        if state.phase == "waiting" and not (seen.present and seen.holds):
            refused = "no_part"
        if refused or state.inside:
            return state, {}, (Event(state.time, "violation", name, refused or "inside"),)
        events = (Event(state.time, "resumed", name),) if state.phase == "stopped" else ()
        if state.part or not seen.holds:  # it has had its cycle, or cannot have one
            return self._opened(replace(state, phase="opening"), events)
        writes: dict[str, Value] = {f"{self.door}.open": False} if self.door else {}
        writes |= {f"{self.chuck}.locked": True} if self.chuck else {}
        return replace(state, phase="closing"), writes, events

    def _closing(self, name: str, state: Run, seen: Inputs) -> Answer:
        why = "inside" if state.inside else "" if seen.holds else "chuck"
        if why or (not seen.closed and state.since > self.patience):
            return self._opened(*self._stopped(name, state, why or "door"))
        if not seen.closed:
            return state, {}, ()
        good = state.cycles not in self.faults
        state = replace(state, phase="working", part=seen.part or "none", good=good, cycles=state.cycles + 1)
        return state, {}, (Event(state.time, "started", name, seen.part),)

    def _working(self, name: str, state: Run, seen: Inputs) -> Answer:
        why = "inside" if state.inside else "" if seen.closed else "door"
        why = why or ("" if seen.holds else "chuck")
        if not why and state.since < self._time(state) - 1e-9:
            return state, {}, ()
        state = replace(state, good=state.good and not why)
        over = Event(state.time, "finished", name, state.part if self.chuck else "", state.good)
        if why:
            state, events = self._stopped(name, state, why)
            return state, {}, (over, *events)
        return self._opened(replace(state, phase="opening"), (over,))

    def _opening(self, name: str, state: Run, seen: Inputs) -> Answer:
        if seen.open:
            return replace(state, phase="done"), {f"{self.chuck}.locked": False} if self.chuck else {}, ()
        if state.since <= self.patience:
            return state, {}, ()
        state, events = self._stopped(name, state, "door")
        return state, {}, events

    def _stopped(self, name: str, state: Run, why: str) -> tuple[Run, tuple[Event, ...]]:
        """Halt; somebody who is inside has exceeded a limit of safety as well."""
        violated = (Event(state.time, "violation", name, why),) if why == "inside" else ()
        return replace(state, phase="stopped"), (*violated, Event(state.time, "stop", name, why))

    def _opened(self, state: Run, events: tuple[Event, ...]) -> Answer:
        return state, {f"{self.door}.open": True} if self.door else {}, events

    def _time(self, state: Run) -> float:
        """Of the cycle that runs [s]."""
        number = state.cycles - 1
        return self.cycle * (self.shares[number] if 0 <= number < len(self.shares) else 1.0)

    def _read(self, name: str, tags: Mapping[str, Value], device: str, key: str, without: Value) -> Value:
        """A tag of one of its devices, `without` where it has no such device."""
        if not device:
            return without
        if (tag := f"{device}.{key}") not in tags:
            known = list(tags)
            raise CellError(f"{name}: no tag {tag!r} to read; there are {known}.{did_you_mean(tag, known)}")
        return tags[tag]
