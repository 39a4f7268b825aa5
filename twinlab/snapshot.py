"""What the world looks like at one instant: arrays and names only, safe to keep after the world moves on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from twinlab.errors import WorldError, did_you_mean
from twinlab.meshes import Mesh, Solid


@dataclass(frozen=True, eq=False)
class Texture:
    """A picture that covers a surface: it multiplies the colour, and is repeated along the planes of the body's axes.

    Compared by identity, so that renderers can keep what they uploaded.

    Attributes:
        picture: sRGB, uint8 (row, column, 3).
        edge: length of the picture's width on the surface [m].
    """

    picture: np.ndarray
    edge: float


@dataclass(frozen=True)
class Light:
    """One sun and light from all around; renderers that draw no shadows use it all the same.

    Attributes:
        direction: where the sun stands, as a direction in the world.
        sun, ambient: strength of the sun and of the light around; with a sum of about 1 white looks white.
    """

    direction: tuple[float, float, float] = (-0.45, -0.5, 1.0)
    sun: float = 0.6
    ambient: float = 0.45


@dataclass(frozen=True, eq=False)
class Piece:
    """One solid of a body.

    Attributes:
        solid: its shape; a surface is drawn and collides with nothing.
        pose: its frame in the body's frame (7,).
        colour: sRGB in 0–1.
        gloss: share of the light that is mirrored instead of scattered, 0 matt to 1 a mirror.
        texture: what covers it, or None.
        hidden: whether it collides and is not drawn, because a surface is drawn instead.
    """

    solid: Solid
    pose: np.ndarray
    colour: tuple[float, float, float]
    gloss: float = 0.0
    texture: Texture | None = None
    hidden: bool = False


@dataclass(frozen=True, eq=False)
class Visual:
    """One drawn mesh, fixed to a link.

    Attributes:
        link: index of the link it moves with, into `Snapshot.links`.
        body: index of the body it belongs to, into `Snapshot.bodies`; the value of its pixels in a mask.
        mesh: its triangles, in the visual's own frame.
        pose: the visual's frame in the link's frame, (7,).
        colour: sRGB in 0–1, for faces that have no colour of their own.
        gloss: share of the light that is mirrored instead of scattered, 0 matt to 1 a mirror.
        texture: what covers it, or None.
    """

    link: int
    body: int
    mesh: Mesh
    pose: np.ndarray
    colour: tuple[float, float, float]
    gloss: float = 0.0
    texture: Texture | None = None


@dataclass(frozen=True)
class Joints:
    """The moving joints of one robot, in the order of its file.

    Attributes:
        names: joint names (joint,).
        position: [rad] or [m] for a prismatic joint, (joint,).
        velocity: [rad/s] or [m/s], (joint,).
        torque: what the motor applied [N m] or [N], (joint,).
    """

    names: tuple[str, ...]
    position: np.ndarray
    velocity: np.ndarray
    torque: np.ndarray


class Touch(NamedTuple):
    """One contact of a body, without its direction.

    Attributes:
        link: the body's own touched link, such as "arm/panda_leftfinger".
        other: name of the body that touches it.
        force: normal force [N].
        depth: penetration [m], positive inside.
    """

    link: str
    other: str
    force: float
    depth: float


@dataclass(frozen=True)
class Contacts:
    """What touches one body.

    Attributes:
        links: the body's own touched links, such as "arm/panda_leftfinger" (contact,).
        others: names of the bodies that touch it (contact,).
        force: normal force [N] (contact,).
        depth: penetration [m], positive inside (contact,).
        points: where it is touched, in the world (contact, 3) [m].
        normals: unit vectors in the world, from the other body towards this one (contact, 3).
        friction: force along the surface that the other body gives this one, in the world (contact, 3) [N].
    """

    links: tuple[str, ...]
    others: tuple[str, ...]
    force: np.ndarray
    depth: np.ndarray
    points: np.ndarray
    normals: np.ndarray
    friction: np.ndarray


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The world at one instant.

    Attributes:
        time: since reset [s].
        bodies: names of the bodies, in the order of their mask values.
        links: names of the links: "body" for a body's base, "body/link" for the others.
        poses: frame of each link in the world (link, 7).
        visuals: what is drawn; the same tuple object as long as no body came or went.
        joints: body → its joints, for bodies that have some.
        light: what lights it.
        rows: link → its row in `poses`; found from `links` if not given.
    """

    time: float
    bodies: tuple[str, ...]
    links: tuple[str, ...]
    poses: np.ndarray
    visuals: tuple[Visual, ...]
    joints: Mapping[str, Joints]
    light: Light = field(default_factory=Light)
    rows: Mapping[str, int] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not self.rows:
            object.__setattr__(self, "rows", {name: i for i, name in enumerate(self.links)})

    def pose(self, link: str) -> np.ndarray:
        """The pose (7,) of a link by its name.

        Raises:
            WorldError: there is no such link.
        """
        row = self.rows.get(link)
        if row is None:
            raise WorldError(f"no link {link!r}; there are {list(self.links)}.{did_you_mean(link, self.links)}")
        return self.poses[row]
