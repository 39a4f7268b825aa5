"""What the world keeps of its bodies and surfaces, and how it looks up names."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twinlab.errors import WorldError, did_you_mean
from twinlab.snapshot import Contacts, Joints
from twinlab.world._inverse import Chain
from twinlab.world._ties import Tie


@dataclass
class Body:
    """What the world keeps of a body."""

    number: int
    index: int  # place in `Snapshot.bodies`
    first: int  # place of its base in `Snapshot.links`
    links: tuple[str, ...]
    joints: tuple[int, ...] = ()  # PyBullet's indices of the moving joints
    names: tuple[str, ...] = ()  # names of the moving joints
    groups: dict[tuple[str, ...], tuple[list[int], list[int]]] = field(default_factory=dict)  # see `group`
    joint_of: dict[str, int] = field(default_factory=dict)  # name of a moving joint → PyBullet's index
    link_of: dict[str, int] = field(default_factory=dict)  # name of a link → PyBullet's index
    limits: tuple[tuple[float, float], ...] = ()  # lowest and highest position of each moving joint [rad] or [m]
    inertial: np.ndarray | None = None  # of a robot: its base's centre of mass in that link's frame
    home: np.ndarray | None = None  # where its base stands in the world, if it cannot move by itself
    unstood: np.ndarray | None = None  # from the world to its base, if that cannot move by itself
    paths: dict[str, tuple[str, ...]] = field(default_factory=dict)  # link → names of the joints on the way to it
    chains: dict[str, Chain] = field(default_factory=dict)  # link → the joints on the way to it
    mass: float | None = None  # of a single rigid body [kg]
    gyration: list[float] | None = None  # of a single rigid body: moments of inertia over mass [m^2]
    compound: bool = False  # whether it collides as several shapes
    exact: bool = True  # whether it goes on as before after going back

    def __post_init__(self) -> None:
        self.link_of = {name: i for i, name in reversed(tuple(enumerate(self.links)))}

    def moves(self, joints: Sequence[tuple[int, str, float, float]]) -> None:
        """Take the moving joints: PyBullet's index, name, lowest and highest position of each."""
        self.joints, self.names = tuple(j[0] for j in joints), tuple(j[1] for j in joints)
        self.joint_of, self.limits = dict(zip(self.names, self.joints, strict=True)), tuple(j[2:] for j in joints)

    @property
    def moving(self) -> bool:
        """Whether it can move, as a whole or in its joints."""
        return bool(self.mass or self.joints)

    def link(self, name: str) -> int:
        """PyBullet's index of a link."""
        index = self.link_of.get(name)
        return self.link_of[known("link", name, self.links)] if index is None else index

    def group(self, names: Sequence[str]) -> tuple[list[int], list[int]]:
        """Of some moving joints PyBullet's indices, and their places among all of them."""
        key = tuple(names)
        if key not in self.groups:
            self.groups[key] = [self.joint(name) for name in key], [self.names.index(name) for name in key]
        return self.groups[key]

    def joint(self, name: str) -> int:
        """PyBullet's index of a moving joint."""
        index = self.joint_of.get(name)
        return self.joint_of[known("joint", name, self.joint_of)] if index is None else index


class Told(Mapping[str, Joints]):
    """The joints of several bodies as PyBullet told them; made into arrays when they are looked at, which few are.

    Args:
        told: body → names of its joints, and their states.
        moved: whether the world has made a step; before the first one PyBullet tells torques of before the reset.
    """

    def __init__(self, told: Mapping[str, tuple[tuple[str, ...], Sequence[Any]]], moved: bool) -> None:
        self._told, self._moved = told, moved

    def __getitem__(self, name: str) -> Joints:
        return joints(*self._told[name], self._moved)

    def __iter__(self) -> Iterator[str]:
        return iter(self._told)

    def __len__(self) -> int:
        return len(self._told)


def joints(names: tuple[str, ...], states: Sequence[Any], moved: bool) -> Joints:
    """Joints as arrays, of what PyBullet told of them; their torques are 0 before the first step."""
    position, velocity, torque = np.array([(one[0], one[1], one[3] if moved else 0.0) for one in states]).T
    return Joints(names, position, velocity, torque)


@dataclass
class Surface:
    """What the world keeps of a moving surface."""

    number: int
    home: tuple[tuple[float, ...], tuple[float, ...]]  # position and quaternion
    velocity: tuple[float, ...]
    speed: float
    travel: float


@dataclass(frozen=True)
class Saved:
    """A state of a world that `World.restore` brings back; valid until the world is reset or closed.

    Attributes:
        number: PyBullet's number of it.
        steps: physics steps since reset.
        masses: body → mass [kg].
        surfaces: moving surface → velocity (3,) [m/s] and travel [m].
        ties: link → what it holds.
        loads: link → what that gave it in the last step (6,).
        joints: robot → what PyBullet told of each of its joints; it does not bring back their forces and torques.
    """

    number: int
    steps: int
    masses: Mapping[str, float]
    surfaces: Mapping[str, tuple[tuple[float, ...], float]]
    ties: Mapping[str, Tie]
    loads: Mapping[str, np.ndarray]
    joints: Mapping[str, Sequence[Any]]


def known(what: str, name: str, there: Collection[str]) -> str:
    """The name, if there is something of that name."""
    if name not in there:
        raise WorldError(f"no {what} {name!r}; there are {list(there)}.{did_you_mean(name, there)}")
    return name


def owned(number: int, points: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """PyBullet's contact points of a body with others, each with 1 where the body stands first in it, -1 where second.

    PyBullet must be asked for all contacts: where it is asked for those of one body it turns the normals around so
    that they fit, but not the friction. Both are what the second body does to the first.
    """
    for p in points:
        if p[1] != p[2] and number in (p[1], p[2]):
            yield (1 if p[1] == number else -1), p


def touching(name: str, body: Body, names: Mapping[int, str], points: Sequence[Any]) -> Contacts:
    """What touches a body, of all of PyBullet's contact points; contacts between its own links are left out."""
    own, others, numbers, vectors = [], [], [], []
    for sign, p in owned(body.number, points):
        first = sign > 0
        link = p[3] if first else p[4]
        own.append(name if link < 0 else f"{name}/{body.links[link]}")
        others.append(names[p[2] if first else p[1]])
        numbers.append((p[9], -p[8]))
        along = [sign * (p[10] * a + p[12] * b) for a, b in zip(p[11], p[13], strict=True)]
        vectors.append((p[5] if first else p[6], [sign * n for n in p[7]], along))
    force, depth = np.array(numbers).reshape(-1, 2).T
    at, normals, friction = np.array(vectors, float).reshape(-1, 3, 3).transpose(1, 0, 2)
    return Contacts(tuple(own), tuple(others), force, depth, at, normals, friction)
