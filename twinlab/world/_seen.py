"""What can be asked of a world: names in, arrays out. Nothing here changes how it goes on."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from twinlab import frames
from twinlab.errors import WorldError
from twinlab.robots import quiet
from twinlab.snapshot import Contacts, Joints, Light, Snapshot, Touch, Visual
from twinlab.world._kept import Body, Surface, Told, joints, known, owned, touching
from twinlab.world._shapes import speed
from twinlab.world._ties import Tie, stretch

with quiet():  # PyBullet tells its build time on stderr, which notebooks would show
    import pybullet


_Answer = TypeVar("_Answer")
_Standing = tuple[np.ndarray, dict[str, int], list[Body], list[tuple[str, Body]]]


class Seen(ABC):
    """The half of a world that only looks.

    Attributes:
        client: PyBullet's number of it, below 0 once it is closed.
        steps: physics steps since reset.
    """

    client: int
    steps: int
    _step: float
    _gravity: float
    _bodies: dict[str, Body]
    _names: dict[int, str]  # PyBullet's number of a body → its name
    _links: tuple[str, ...]
    _before: Mapping[str, Sequence[Any]]  # robot → its joints when the state was saved that was just restored
    _memo: dict[Any, Any]  # what was asked since anything moved: many ask for the same
    _stood: _Standing | None
    _visuals: tuple[Visual, ...]
    _surfaces: dict[str, Surface]
    _ties: dict[str, Tie]
    _loads: dict[str, np.ndarray]

    @abstractmethod
    def step(self) -> None:
        """One physics step."""

    @property
    def timestep(self) -> float:
        """Length of a physics step [s]."""
        return self._step

    @property
    def time(self) -> float:
        """Time since reset [s]."""
        return self.steps * self._step

    @property
    def gravity(self) -> float:
        """Acceleration of what falls, along z [m/s^2]."""
        return self._gravity

    @property
    def bodies(self) -> tuple[str, ...]:
        """Names of the bodies, in the order of their mask values."""
        return tuple(self._bodies)

    def pose(self, link: str) -> np.ndarray:
        """The pose (7,) of a body "belt" or of a link "arm/panda_hand"."""
        name, _, part = link.partition("/")
        body = self._body(name)
        if part:
            state = pybullet.getLinkState(body.number, body.link(part), physicsClientId=self.client)
            return np.array([*state[4], *state[5]])
        return self._base(body) if body.home is None else body.home.copy()

    def joints(self, name: str) -> Joints:
        """The moving joints of a robot as they are now; its arrays are shared, do not write to them."""
        return self._once(("joints", name), lambda: joints(*self._told(name, self._body(name)), self.steps > 0))

    def motion(self, name: str, joints: Sequence[str]) -> list[tuple[float, float]]:
        """Position and velocity of some joints, as plain numbers [rad or m, rad/s or m/s]."""
        body = self._body(name)
        places, states = body.group(joints)[1], self._told(name, body)[1]
        return [states[place][:2] for place in places]

    def path(self, link: str) -> tuple[str, ...]:
        """The moving joints between a robot's base and one of its links "arm/panda_hand", base first."""
        name, _, part = link.partition("/")
        body = self._body(name)
        if part not in body.paths:
            index, found = body.link(part), []
            while index >= 0:
                if index in body.joints:
                    found.append(body.names[body.joints.index(index)])
                index = pybullet.getJointInfo(body.number, index, self.client)[16]
            body.paths[part] = tuple(reversed(found))
        return body.paths[part]

    def tip(self, name: str) -> str:
        """The only link of a robot that carries no other.

        Raises:
            WorldError: it has several.
        """
        body = self._body(name)
        infos = [pybullet.getJointInfo(body.number, i, self.client) for i in range(len(body.links))]
        carrying = {info[16] for info in infos}
        tips = [link for i, link in enumerate(body.links) if i not in carrying]
        if len(tips) != 1:
            raise WorldError(f"{name}: its links {tips} carry no other; say which one is the tool: tool = {tips[0]!r}")
        return tips[0]

    def moved_by(self, name: str, joint: str) -> str:
        """The link "arm/panda_hand" that a joint moves."""
        body = self._body(name)
        return f"{name}/{body.links[body.joint(joint)]}"

    def limits(self, name: str, joints: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest position of joints (joint,) [rad or m]; a whole turn where the file gives none."""
        body = self._body(name)
        found = [body.limits[body.names.index(joint)] for joint in joints]
        low, high = np.array([(a, b) if a < b else (-np.pi, np.pi) for a, b in found]).T
        return low, high

    def efforts(self, name: str, joints: Sequence[str]) -> tuple[float, ...]:
        """The highest torque or force of joints that the file gives (joint,) [N m or N]."""
        body = self._body(name)
        return tuple(pybullet.getJointInfo(body.number, body.joint(joint), self.client)[10] for joint in joints)

    def reaction(self, link: str) -> np.ndarray:
        """Force [N] and torque [N m] (6,) that a link's joint carries, in the link's own frame."""
        name, _, part = link.partition("/")
        body = self._body(name)
        index = body.link(part)
        told = self._before[name][index] if name in self._before else None
        load = np.array((told or pybullet.getJointState(body.number, index, self.client))[2])
        return load * (self.steps > 0)  # before the first step PyBullet tells that of before the reset

    def dynamics(self, link: str) -> tuple[np.ndarray, np.ndarray]:
        """What a controller of torques must know of a robot's joints on the way to a link, in the order of `path`.

        Returns:
            The Jacobian of the link's frame (6, joint), linear above angular, in the world's axes, and the mass matrix
            (joint, joint) [kg m^2].
        """
        name, _, part = link.partition("/")
        body = self._body(name)
        own, still = body.group(self.path(link))[1], [0.0] * len(body.names)
        at = [state[0] for state in self._told(name, body)[1]]
        inertial = pybullet.getLinkState(body.number, body.link(part), physicsClientId=self.client)[2:4]
        origin = pybullet.invertTransform(*inertial)[0]
        rows = pybullet.calculateJacobian(body.number, body.link(part), origin, at, still, still, self.client)
        mass = pybullet.calculateMassMatrix(body.number, at, physicsClientId=self.client)
        return np.array(rows).reshape(6, -1)[:, own], np.array(mass)[own][:, own]

    def bias(self, name: str, joints: Sequence[str]) -> np.ndarray:
        """The torques (joint,) [N m or N] that gravity and motion ask of some of a robot's joints now."""
        body = self._body(name)
        states = self._told(name, body)[1]
        at, speeds = [one[0] for one in states], [one[1] for one in states]
        found = pybullet.calculateInverseDynamics(body.number, at, speeds, [0.0] * len(at), physicsClientId=self.client)
        return np.array([found[place] for place in body.group(joints)[1]])

    def within(self, low: Sequence[float] | np.ndarray, high: Sequence[float] | np.ndarray) -> tuple[str, ...]:
        """The bodies that can move and are, at least in part or nearly so, in a box along the world's axes.

        It compares boxes, at a tenth of what contacts or rays cost.

        Args:
            low, high: corners of the box (3,) [m].
        """
        self._check_open()
        there = pybullet.getOverlappingObjects(low, high, self.client) or ()
        names = dict.fromkeys(self._names[number] for number, _ in there)
        return tuple(name for name in names if self._bodies[name].moving)

    def contacts(self, name: str) -> Contacts:
        """What touches a body now; contacts between its own links are left out."""
        body = self._body(name)
        return self._once(("contacts", name), lambda: touching(name, body, self._names, self._points(name)))

    def touches(self, name: str) -> tuple[Touch, ...]:
        """The same as `contacts` in a tenth of the time, for who does not need directions."""
        body = self._body(name)
        return self._once(("touches", name), lambda: self._touched(name, body))

    def net(self, name: str) -> tuple[tuple[float, float, float], float]:
        """The force that all that touches a body gives it (3,) [N], and the deepest penetration of it [m]."""
        (x, y, z), deepest = (0.0, 0.0, 0.0), 0.0
        for sign, p in owned(self._body(name).number, self._points(name)):
            a, b, c = (p[9] * n + p[10] * u + p[12] * v for n, u, v in zip(p[7], p[11], p[13], strict=True))
            x, y, z, deepest = x + sign * a, y + sign * b, z + sign * c, max(deepest, -p[8])
        return (x, y, z), deepest

    def velocity(self, link: str) -> np.ndarray:
        """Linear [m/s] and angular [rad/s] velocity (6,) of a body's or link's frame, in the world's axes."""
        name, _, part = link.partition("/")
        body = self._body(name)
        return speed(body.number, body.link(part) if part else -1, self.client)

    def hits(self, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
        """What rays from (ray, 3) to (ray, 3) [m] first hit: at which share of their length (1 for nothing), and whom.

        Names are those of bodies, "" for nothing.
        """
        self._check_open()
        found = pybullet.rayTestBatch(starts, ends, physicsClientId=self.client)
        return np.array([hit[2] for hit in found]), tuple(self._names.get(hit[0], "") for hit in found)

    def snapshot(self, light: Light | None = None) -> Snapshot:
        """All poses, joints and visuals at this instant, in a light."""
        self._check_open()
        stood, rows, loose, robots = self._stood or self._standing()
        poses, joints = stood.copy(), {}
        for body in loose:
            poses[body.first] = self._base(body)
        for name, body in robots:
            states = pybullet.getLinkStates(body.number, range(len(body.links)), physicsClientId=self.client)
            poses[body.first + 1 : body.first + 1 + len(states)] = [s[4] + s[5] for s in states]
            if body.joints:
                joints[name] = self._told(name, body)
        told, light = Told(joints, self.steps > 0), light or Light()
        return Snapshot(self.time, self.bodies, self._links, poses, self._visuals, told, light, rows)

    def travel(self, name: str) -> tuple[float, float]:
        """How far a moving surface has run since reset [m], and its speed [m/s]."""
        surface = self._surfaces[known("moving surface", name, self._surfaces)]
        return surface.travel, surface.speed

    def surface_velocity(self, name: str) -> tuple[float, ...]:
        """The velocity (3,) [m/s] of a moving surface."""
        return self._surfaces[known("moving surface", name, self._surfaces)].velocity

    def tied(self, link: str) -> str:
        """The body that a link holds by a tie, "" for none."""
        return self._ties[link].other if link in self._ties else ""

    def burden(self, link: str) -> np.ndarray:
        """What a link's tie carried in the last step, its mean over the substeps; zeros without one.

        Force [N] and torque [N m] (6,) that what is held gives the link, in the link's own axes.
        """
        return self._loads[link].copy() if link in self._ties and link in self._loads else np.zeros(6)

    def strain(self, link: str) -> float:
        """The force that a link's tie carried in the last step [N], 0 without one."""
        return float(np.linalg.norm(self.burden(link)[:3]))

    def stretch(self, link: str) -> float:
        """How far what a link's tie holds has moved off the place where it was tied [m], 0 without one."""
        return stretch(self._ties[link], self.client) if link in self._ties else 0.0

    def loose(self, name: str) -> bool:
        """Whether a body is a single rigid one that can be moved by what touches it."""
        return bool(self._body(name).mass)

    def _check_open(self) -> None:
        if self.client < 0:
            raise WorldError("this world is closed; nothing in it can be reached any more, make a new one")

    def _standing(self) -> _Standing:
        """Where what cannot move stands in a snapshot, the row of each link, the bodies that can move, and robots."""
        poses = np.empty((len(self._links), 7))
        for body in self._bodies.values():
            if body.home is not None:
                poses[body.first] = body.home
        rows = {link: i for i, link in reversed(tuple(enumerate(self._links)))}
        loose = [body for body in self._bodies.values() if body.home is None]
        self._stood = poses, rows, loose, [(name, body) for name, body in self._bodies.items() if body.links]
        return self._stood

    def _once(self, key: Any, ask: Callable[[], _Answer]) -> _Answer:
        """An answer that holds until something moves; it is asked for once."""
        if key not in self._memo:
            self._memo[key] = ask()
        found: _Answer = self._memo[key]
        return found

    def _told(self, name: str, body: Body) -> tuple[tuple[str, ...], Sequence[Any]]:
        """Names and states of a body's moving joints."""
        if name in self._before:
            return body.names, [self._before[name][joint] for joint in body.joints]
        states = self._once(("told", name), lambda: pybullet.getJointStates(body.number, body.joints, self.client))
        return body.names, states

    def _joints(self, body: Body) -> Sequence[Any]:
        """What PyBullet tells of each joint of a robot, those included that do not move."""
        every = range(pybullet.getNumJoints(body.number, self.client))
        return list(pybullet.getJointStates(body.number, every, self.client))

    def _points(self, name: str) -> Sequence[Any]:
        """All contact points as PyBullet tells them; none if nothing touches a body."""
        if not self.touches(name):
            return ()
        return self._once("points", lambda: pybullet.getContactPoints(physicsClientId=self.client))

    def _touched(self, name: str, body: Body) -> tuple[Touch, ...]:
        if not self.steps:  # before the first step PyBullet tells those of before the reset
            return ()
        links, names, number = body.links, self._names, body.number
        points = pybullet.getContactPoints(number, physicsClientId=self.client)
        return tuple(
            Touch(name if p[3] < 0 else f"{name}/{links[p[3]]}", names[p[2]], p[9], -p[8])
            for p in points
            if p[2] != number
        )

    def _base(self, body: Body) -> np.ndarray:
        position, quaternion = pybullet.getBasePositionAndOrientation(body.number, self.client)
        at = np.array(position + quaternion)
        return at if body.inertial is None else frames.compose(at, frames.inverse(body.inertial))

    def _body(self, name: str) -> Body:
        body = self._bodies.get(name)
        if body is not None and self.client >= 0:
            return body
        self._check_open()
        return self._bodies[known("body", name, self._bodies)]
