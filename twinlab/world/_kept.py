"""What the world keeps of its bodies and surfaces, and how it looks up names."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from twinlab.errors import WorldError, did_you_mean


@dataclass
class Body:
    """What the world keeps of a body."""

    number: int
    index: int  # place in `Snapshot.bodies`
    first: int  # place of its base in `Snapshot.links`
    links: tuple[str, ...]
    joints: tuple[int, ...] = ()  # PyBullet's indices of the moving joints
    names: tuple[str, ...] = ()  # names of the moving joints
    inertial: np.ndarray | None = None  # the base's centre of mass in its link frame
    mass: float | None = None  # of a single rigid body [kg]


@dataclass
class Surface:
    """What the world keeps of a moving surface."""

    number: int
    home: np.ndarray
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
    """

    number: int
    steps: int
    masses: Mapping[str, float]
    surfaces: Mapping[str, tuple[tuple[float, ...], float]]


def known(what: str, name: str, there: Collection[str]) -> str:
    """The name, if there is something of that name."""
    if name not in there:
        raise WorldError(f"no {what} {name!r}; there are {list(there)}.{did_you_mean(name, there)}")
    return name
