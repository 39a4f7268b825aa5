"""`Cell`: a spec brought to life. It never knows a policy."""

import zlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from twinlab import rooms
from twinlab.bodies import Actuator
from twinlab.errors import ActionError, CellError, did_you_mean
from twinlab.events import Event, Item
from twinlab.readings import Readings, Variable, check
from twinlab.renderers import Frame, View
from twinlab.scene import SceneSpec
from twinlab.sensing import Held, declare, sense
from twinlab.sensors import Moment
from twinlab.snapshot import Snapshot
from twinlab.tasks import Stage
from twinlab.world import World

Action = np.ndarray | Mapping[str, float]


class Cell:
    """A line that runs: the same spec, seed and actions give bit-identical readings, in any process.

    Args:
        spec: the line.
        without: names of sensors that are not read, because nobody looks at what they give.

    Attributes:
        spec: the line.
        world: its physics; `cell.world.client` is PyBullet's client id.
        seed: of the last reset.
        variables: everything that readings and truth hold.
        actuators: what an action holds, in this order.
        action: the last action after limits (actuator,).
    """

    def __init__(self, spec: SceneSpec, without: Collection[str] = ()) -> None:
        self.spec = spec
        for name in without:
            if name not in spec.sensors:
                known = list(spec.sensors)
                raise CellError(f"without: no sensor {name!r}; there are {known}.{did_you_mean(name, known)}")
        self._sensors = {name: sensor for name, sensor in spec.sensors.items() if name not in without}
        physics = spec.physics
        self.world = World(1 / physics.rate, physics.substeps, physics.iterations, physics.gravity)
        self._view: View | None = None
        self._open = True
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
        if self._view is not None:
            self._view.close()
            self._view = None

    def reset(self, seed: int) -> Readings:
        """Build the line anew and give its first readings.

        Args:
            seed: decides everything that varies, 0 or more; each body and sensor draws from a stream of its own.
        """
        self._check_open()
        if not isinstance(seed, int | np.integer) or seed < 0:
            raise CellError(f"seed came as {seed!r}; wanted a whole number, 0 or more")
        self.seed = int(seed)
        self.world.reset()
        bodies = self.spec.bodies
        self._states: dict[str, Any] = {
            name: body.build(name, self.world, _stream(seed, name)) for name, body in bodies.items()
        }
        self._streams = {name: _stream(seed, name) for name in self._sensors}
        self.actuators: tuple[Actuator, ...] = tuple(a for name, body in bodies.items() for a in body.actuators(name))
        self.action = np.zeros(len(self.actuators), np.float32)
        self._places = {name: r for name, body in bodies.items() if (r := body.region()) is not None}
        self._events: list[Event] = []
        self._held: dict[str, Held] = {}
        self._progress: Any = None
        moment = self._moment()
        self.variables: tuple[Variable, ...] = (
            *declare(self._sensors, moment),
            *self.spec.task.variables(self.items),
            _links(moment.snapshot),
        )
        return self._look(moment)

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
        values = dict(zip((a.name for a in self.actuators), self.action.astype(float), strict=True))
        physics = self.spec.physics
        for name, body in self.spec.bodies.items():
            self._states[name] = body.command(name, self.world, self._states[name], values, physics.tick)
        for _ in range(physics.steps):
            for name, body in self.spec.bodies.items():
                self._states[name], events = body.advance(name, self.world, self._states[name])
                self._events += events
            self.world.step()
        return self._look(self._moment())

    @property
    def time(self) -> float:
        """Time since reset [s]."""
        return self.world.time

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened since reset."""
        return tuple(self._events)

    @property
    def items(self) -> tuple[Item, ...]:
        """All items of this episode, those to come included: truth."""
        return tuple(i for name, body in self.spec.bodies.items() for i in body.items(self._states[name]))

    def snapshot(self) -> Snapshot:
        """The world as it is now."""
        self._check_open()
        return self.world.snapshot()

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
        snapshot = self.world.snapshot()
        frames: dict[str, Frame] = {}

        def picture(name: str) -> Frame:
            if name not in frames:
                if self._view is None:
                    self._view = rooms.build("renderers", self.spec.renderer).open()
                camera = self.spec.cameras[name]
                frames[name] = self._view.render(snapshot, camera.intrinsics(), camera.pose(snapshot))
            return frames[name]

        return Moment(snapshot, self.world, self.spec.cameras, picture)

    def _look(self, moment: Moment) -> Readings:
        """Read all sensors, let the task tell the truth, and give the readings."""
        values, self._held = sense(self._sensors, self._held, moment, self._streams)
        spawned = frozenset(e.item for e in self._events if e.kind == "spawned")
        stage = Stage(self.world, moment.snapshot, self.items, self._places, spawned)
        truth, events, self._progress = self.spec.task.observe(stage, self._progress)
        self._events += events
        values = {**values, **truth} | {"link_pose": moment.snapshot.poses.astype(np.float32)}
        check(values, self.variables)
        roles = {v.name: v.role for v in self.variables}
        self.truth: Readings = {name: value for name, value in values.items() if roles[name] == "truth"}
        self.readings: Readings = {name: value for name, value in values.items() if roles[name] == "reading"}
        return self.readings

    def _limited(self, action: Action) -> np.ndarray:
        names = [a.name for a in self.actuators]
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
        low, high = ([getattr(a, side) for a in self.actuators] for side in ("low", "high"))
        return np.clip(given, low, high).astype(np.float32)

    def _check_open(self) -> None:
        if not self._open:
            raise CellError(f"this cell of {self.spec.name!r} is closed; make a new one: Cell(spec)")


def _stream(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _links(snapshot: Snapshot) -> Variable:
    shape = snapshot.poses.shape
    return Variable("link_pose", ("link", "pose_axis"), shape, "float32", "m", "pose", "truth", snapshot.links)
