"""`Cell`: a spec brought to life. It never knows a policy."""

import copy
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from twinlab import failing, renderers, rooms
from twinlab.bodies import Body
from twinlab.cameras import Mounted
from twinlab.errors import ActionError, CellError, did_you_mean
from twinlab.events import Event
from twinlab.faults import Course
from twinlab.readings import Contract, Readings, Variable
from twinlab.renderers import Caster, Frame, Hits, View
from twinlab.scene import SceneSpec
from twinlab.sensing import Channel, advance, begin, capture, declare, due, show, stream
from twinlab.sensors import Moment
from twinlab.snapshot import Snapshot
from twinlab.tags import Tags, changed, settings_of
from twinlab.tasks import Stage, Task, Value, goal
from twinlab.world import Different, Saved, World

Action = np.ndarray | Mapping[str, float]


@dataclass(frozen=True)
class SavedCell:
    """A moment of a cell that `Cell.restore` brings back; valid until the cell is reset or closed.

    Attributes:
        resets: how many resets the cell had had.
        world: the physics, which keeps 400 KiB until `Cell.forget`.
        kept: all else, by the name of the cell's attribute.
    """

    resets: int
    world: Saved
    kept: Mapping[str, Any]


_KEPT = (
    "_bodies", "_set", "_states", "_faults", "_failing", "_stuck", "_light", "_cameras", "_events", "_seen",
    "_progress", "_told", "_sick", "_spawned", "_channels", "_due", "action", "truth", "readings",
)  # fmt: skip


class Cell:
    """A line that runs: the same spec, seed and actions give bit-identical readings, in any process.

    Args:
        spec: the line.
        without: names of sensors that are not read, because nobody looks at what they give.

    Attributes:
        spec: the line.
        world: its physics; `cell.world.client` is PyBullet's client id.
        seed: of the last reset.
        items: all items of this episode, those to come included: truth.
        variables: everything that readings and truth hold.
        actuators: what an action holds, in this order.
        task: the goal of this episode.
        tags: what a controller sees of the line's devices, "door.open" → value; `write` changes one.
        action: the last action after limits (actuator,).
    """

    def __init__(self, spec: SceneSpec, without: Collection[str] = ()) -> None:
        self.spec = spec
        for name in without:
            if name not in spec.sensors:
                known = list(spec.sensors)
                raise CellError(f"without: no sensor {name!r}; there are {known}.{did_you_mean(name, known)}")
        self.actuators = spec.actuators
        self._names = tuple(a.name for a in self.actuators)
        self._low, self._high = np.array([(a.low, a.high) for a in self.actuators]).reshape(-1, 2).T
        self._sensors = {name: sensor for name, sensor in spec.sensors.items() if name not in without}
        self._steady = {name: sensor for name, sensor in self._sensors.items() if sensor.steady}
        physics = spec.physics
        roots = (spec.folder,) if spec.folder else ()
        solver = (physics.substeps, physics.iterations, physics.gravity)
        self.world = World(1 / physics.rate, *solver, roots, physics.apart)
        self._view: View | None = None
        self._caster: Caster | None = None
        self._open, self._resets = True, 0
        try:
            self.reset(0)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Cell":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Cell({self.spec.name!r}, seed={self.seed}, t={self.time:.2f} s)"

    def close(self) -> None:
        """Give back the physics and the renderer; calling it twice does no harm."""
        self._open = False
        self.world.close()
        for view in (self._view, self._caster):
            if view is not None:
                view.close()
        self._view = self._caster = None

    def reset(self, seed: int) -> Readings:
        """Build the line anew and give its first readings.

        Args:
            seed: decides everything that varies, 0 or more; each body and sensor draws from a stream of its own.
        """
        self._check_open()
        if not isinstance(seed, int | np.integer) or seed < 0:
            raise CellError(f"seed came as {seed!r}; wanted a whole number, 0 or more")
        self.seed = int(seed)
        self._resets += 1
        bodies = {name: body.drawn(stream(seed, f"{name} drawn")) for name, body in self.spec.bodies.items()}
        self._faults = failing.courses(self.spec.faults, seed)
        self._failing = failing.coming(self._faults)
        try:
            self._build(bodies, again=True)
        except Different:
            self._build(bodies, again=False)
        self._bodies: dict[str, Body] = dict(bodies)
        self._set: dict[str, Body] = dict(bodies)
        self._stuck: dict[str, Mapping[str, float]] = {}
        self._light = self.spec.light.lit(stream(seed, "light"))
        self._cameras = {name: c.mounted(stream(seed, name)) for name, c in self.spec.cameras.items()}
        self.task: Task = self.spec.task.drawn(stream(seed, "task"))
        self.tags = Tags(self.world, self._bodies, self._states)
        self.items = tuple(i for name, body in self.spec.bodies.items() for i in body.items(self._states[name]))
        self._hands = [(name, getattr(body, "of", name)) for name, body in bodies.items() if _has(body, Body.holds)]
        self._acting = [name for name, body in bodies.items() if _has(body, Body.advance)]
        self._controllers = [name for name, body in bodies.items() if _has(body, Body.scan)]
        self._seen, self._spawned = 0, frozenset[str]()
        self.action = np.zeros(len(self.actuators), np.float32)
        self._places = {name: r for name, body in bodies.items() if (r := body.region()) is not None}
        self._events: list[Event] = []
        self._progress: Any = None
        self._told = -1.0
        self._sick = self._sickness()
        moment = self._moment()
        tick = self.spec.physics.tick
        self._channels: dict[str, Channel] = begin(self._sensors, moment, seed, tick, self._sick)
        self._due = due(self._channels)
        self._fail()
        self.variables: tuple[Variable, ...] = (
            *declare(self._sensors, self._channels),
            *self.task.variables(self.items),
            *failing.variables(self._faults),
            _links(moment.snapshot),
        )
        self._meaning, told = goal(self.task, self.spec.kinds, self._places)
        self.variables += told
        self._contract = Contract(self.variables)
        self._truths = frozenset(v.name for v in self.variables if v.role == "truth")
        return self._look(moment)

    def _build(self, bodies: Mapping[str, Body], again: bool) -> None:
        """Build all bodies with this seed's items, in the world of before if it has the same bodies."""
        self.world.reset(again)
        self._states: dict[str, Any] = {}
        for name, body in bodies.items():
            items = failing.brought(self._faults, name, body.schedule(name, stream(self.seed, name)), body.kinds())
            self._states[name] = body.build(name, self.world, items)
        self.world.built()

    def step(self, action: Action) -> Readings:
        """Run one tick under an action and give the readings at its end.

        Args:
            action: set-points in the order of `actuators` (actuator,), or name → set-point; what lies beyond an
                actuator's limits is cut to them.

        Raises:
            ActionError: a wrong shape, an unknown name or a value that is not finite; the cell stays as it was.
        """
        self._check_open()
        self.action = self._limited(action)
        values, physics = dict(zip(self._names, self.action.tolist(), strict=True)), self.spec.physics
        if self._failing:
            values, self._stuck = failing.commands(self._failing, values, self._stuck, self.time)
        for name, body in self._bodies.items():
            self._states[name] = body.command(name, self.world, self._states[name], values, physics.tick)
        self._scan()
        acting, world, states = [(name, self._bodies[name]) for name in self._acting], self.world, self._states
        for _ in range(physics.steps):
            for name, body in acting:
                states[name], events = body.advance(name, world, states[name])
                if events:
                    self._events += events
            world.step()
            moment = None
            if self._steady or self._due <= self.world.steps:
                moment = self._moment()
                self._channels = advance(self._steady, self._channels, moment)
            if moment is not None and self._due <= self.world.steps:
                self._channels = capture(self._sensors, self._channels, moment, self._sick)
                self._due = due(self._channels)
        self._fail()
        return self._look(moment or self._moment())

    def write(self, tag: str, value: Value) -> None:
        """Give one of the line's tags a value: `cell.write("belt.speed", 0.2)`.

        Raises:
            CellError: no such tag, one that can only be read, or a value that does not fit.
        """
        self._check_open()
        name, _, key = tag.partition(".")
        if tag not in self.tags:
            raise CellError(f"no tag {tag!r}; there are {list(self.tags)}.{did_you_mean(tag, self.tags)}")
        if key in settings_of(self._set[name]):
            self._set[name] = changed(self._set[name], tag, value)
            self._fail()
        elif key in self._bodies[name].writable():
            self._states[name] = self._bodies[name].write(name, self.world, self._states[name], key, value)
        else:
            raise CellError(f"tag {tag!r} can only be read; it is {self.tags[tag]!r}")

    def trigger(self, fault: str) -> None:
        """Let one of the scene's faults begin now, for its duration; `chance = 0` there leaves it to this call.

        Args:
            fault: its name. What a reset plans for the whole episode, such as wrong parts, cannot be triggered.

        Raises:
            CellError: no such fault, or it cannot begin later.
        """
        self._check_open()
        self._faults = failing.triggered(self._faults, fault, self.time)
        self._failing = failing.coming(self._faults)
        self._sick, self._told = self._sickness(), self.time
        self._events.append(Event(self.time, "fault", fault, self.spec.faults[fault].of))

    def save(self) -> SavedCell:
        """Everything as it is now: physics, random streams, samples on their way, devices, events, the task's progress.

        From one saved moment many futures can be run: what a planner over the real simulator and counterfactual data
        are made of.
        """
        self._check_open()
        kept = {name: getattr(self, name) for name in _KEPT}
        return SavedCell(self._resets, self.world.save(), copy.deepcopy(kept))

    def restore(self, saved: SavedCell) -> Readings:
        """Bring a saved moment back, as often as wanted, and give its readings.

        Raises:
            CellError: the cell was reset since.
        """
        self._check_open()
        if saved.resets != self._resets:
            raise CellError("this moment was saved before the last reset; save one after it")
        self.world.restore(saved.world)
        for name, value in copy.deepcopy(dict(saved.kept)).items():
            setattr(self, name, value)
        self.tags = Tags(self.world, self._bodies, self._states)
        for name, body in self._bodies.items():
            body.tune(name, self.world)
        return self.readings

    def forget(self, saved: SavedCell) -> None:
        """Give back the memory that a saved moment takes; after a reset there is nothing to give back."""
        self._check_open()
        if saved.resets == self._resets:
            self.world.forget(saved.world)

    @property
    def time(self) -> float:
        """Time since reset [s]."""
        return self.world.time

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened since reset."""
        return tuple(self._events)

    def snapshot(self) -> Snapshot:
        """The world as it is now, in the light of now."""
        self._check_open()
        lit = failing.light(self._failing, self._light, self.time) if self._failing else self._light
        return self.world.snapshot(lit)

    def picture(self, camera: str) -> Frame:
        """The frame of one of the scene's cameras as it is now.

        Raises:
            CellError: the scene has no such camera.
            RendererError: this machine cannot render.
        """
        self._check_open()
        cameras = self.spec.cameras
        if camera not in cameras:
            raise CellError(f"no camera {camera!r}; there are {list(cameras)}.{did_you_mean(camera, cameras)}")
        return self._moment().picture(camera)

    def _moment(self) -> Moment:
        """What sensors may look at now, before the world's next step."""
        cameras, faults = self._cameras, self._failing
        if faults:
            cameras = {name: failing.mount(faults, name, camera, self.time) for name, camera in cameras.items()}
        return Moment(self.world, cameras, self.snapshot, self._begin, self._cast)

    def _begin(self, snapshot: Snapshot, camera: Mounted, name: str) -> Callable[[], Frame]:
        if self._view is None:
            self._view = renderers.open_view(self.spec.renderer)
        seen = self._view.begin(snapshot, camera.lens, camera.pose(snapshot))
        return lambda: failing.frame(self._failing, name, seen(), snapshot.time)

    def _cast(self, snapshot: Snapshot, starts: np.ndarray, directions: np.ndarray) -> Hits:
        if self._caster is None:
            self._caster = rooms.build("renderers", "raycast").open()
        return self._caster.cast(snapshot, starts, directions)

    def _sickness(self) -> dict[str, tuple[Course, ...]]:
        """Sensor → its faults in this episode."""
        return {name: failing.on(self._faults, "sensor", name) for name in self._sensors}

    def _fail(self) -> None:
        """Tell which faults came and went since the last tick, and let them and written tags act on the bodies."""
        if self._failing:
            self._events += failing.events(self._failing, self._told, self.time)
        elif self._set == self._bodies:
            return
        self._told = self.time
        for name, body in self._set.items():
            now = failing.changed(self._failing, name, body, self.time)
            if now != self._bodies[name]:
                self._bodies[name] = now
                now.tune(name, self.world)

    def _scan(self) -> None:
        """Let controllers read all tags, then write theirs."""
        if not self._controllers:
            return
        before = self.tags.now()
        for name in self._controllers:
            body = self._bodies[name]
            self._states[name], writes, events = body.scan(name, self._states[name], before, self.time)
            self._events += events
            for tag, value in writes.items():
                self.write(tag, value)

    def _look(self, moment: Moment) -> Readings:
        """Show what the sensors gave, let the task tell the truth, and give the readings."""
        values, self._channels = show(self._channels, self.time)
        happened = tuple(self._events[self._seen :])
        self._spawned |= {e.item for e in happened if e.kind == "spawned"}
        held = {of: self._bodies[name].holds(name, self.world) for name, of in self._hands}
        snapshot, tags = moment.snapshot, self.tags
        stage = Stage(self.world, snapshot, self.items, self._places, self._spawned, held, tags, happened)
        truth, events, self._progress = self.task.observe(stage, self._progress)
        self._seen = len(self._events) + len(events)
        self._events += events
        values = {**values, **self._meaning, **truth, **failing.truth(self._faults, self.time)}
        values["link_pose"] = snapshot.poses.astype(np.float32)
        self._contract.check(values)
        self.truth: Readings = {name: value for name, value in values.items() if name in self._truths}
        self.readings: Readings = {name: value for name, value in values.items() if name not in self._truths}
        return self.readings

    def _limited(self, action: Action) -> np.ndarray:
        names = list(self._names)
        if isinstance(action, Mapping):
            for name in action:
                if name not in names:
                    raise ActionError(f"action: no actuator {name!r}; there are {names}.{did_you_mean(name, names)}")
            action = np.array([action.get(name, 0.0) for name in names])
        try:
            given = np.asarray(action, dtype=np.float64)
        except (TypeError, ValueError) as told:
            raise ActionError(f"action: came {action!r}; wanted {len(names)} numbers, one each for {names}") from told
        if given.shape != (len(names),):
            raise ActionError(f"action: came shape {given.shape}, wanted ({len(names)},), one each for {names}")
        if not np.isfinite(given).all():
            bad = [name for name, value in zip(names, given, strict=True) if not np.isfinite(value)]
            raise ActionError(f"action: {bad} came as {given[~np.isfinite(given)].tolist()}; wanted finite set-points")
        return np.minimum(np.maximum(given, self._low), self._high).astype(np.float32)

    def _check_open(self) -> None:
        if not self._open:
            raise CellError(f"this cell of {self.spec.name!r} is closed; make a new one: Cell(spec)")


def _has(body: Body, verb: Callable[..., Any]) -> bool:
    """Whether a body has written a verb itself."""
    return getattr(type(body), verb.__name__) is not verb


def _links(snapshot: Snapshot) -> Variable:
    shape = snapshot.poses.shape
    return Variable("link_pose", ("link", "pose_axis"), shape, "float32", "m", "pose", "truth", snapshot.links)
