"""Mechanisms: bodies of links that move against each other, such as a door, a chuck, a turntable or a valve."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from twinlab import frames
from twinlab.errors import WorldError
from twinlab.robots import quiet
from twinlab.snapshot import Piece
from twinlab.world._shapes import collision

with quiet():  # PyBullet tells its build time on stderr, which notebooks would show
    import pybullet

_JOINTS = {
    "revolute": pybullet.JOINT_REVOLUTE,
    "prismatic": pybullet.JOINT_PRISMATIC,
    "fixed": pybullet.JOINT_FIXED,
}


@dataclass(frozen=True, eq=False)
class Link:
    """One moving link of a mechanism; its joint has the link's name.

    Attributes:
        name: unique in its mechanism.
        pieces: what it is made of, in its own frame.
        pose: its frame in its parent's frame where the joint stands at zero (7,).
        joint: how it moves against its parent.
        axis: of the joint, in its own frame (3,).
        low, high: limits of the joint [rad or m]; without a limit where low is above high.
        mass: [kg], above 0.
        parent: name of the link that it hangs on, "" for the base.
        friction: Coulomb friction coefficient of its surface.
        drag: friction in the joint, which a motor that holds still applies [N m or N].
    """

    name: str
    pieces: tuple[Piece, ...]
    pose: np.ndarray = field(default_factory=lambda: frames.IDENTITY)
    joint: Literal["revolute", "prismatic", "fixed"] = "revolute"
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0)
    low: float = 0.0
    high: float = -1.0
    mass: float = 1.0
    parent: str = ""
    friction: float = 0.6
    drag: float = 0.0


def mechanism(name: str, pieces: Sequence[Piece], links: Sequence[Link], pose: np.ndarray, client: int) -> int:
    """PyBullet's number of a mechanism whose base stands still.

    Args:
        name: of the body, for messages.
        pieces: of its base; may be empty.
        links: each after its parent.
        pose: of its base in the world (7,).
        client: PyBullet's client.

    Raises:
        WorldError: a link hangs on none that came before it, or has no mass.
    """
    names = [link.name for link in links]
    for i, link in enumerate(links):
        if link.parent and link.parent not in names[:i]:
            raise WorldError(
                f"{name}: link {link.name!r} hangs on {link.parent!r}; wanted one of {names[:i]} or '' for the base"
            )
        if not link.mass > 0:
            raise WorldError(f"{name}: link {link.name!r} came with a mass of {link.mass} kg; wanted more than 0")
    number = pybullet.createMultiBody(
        baseMass=0,
        baseCollisionShapeIndex=collision(name, pieces, client) if pieces else -1,
        basePosition=pose[:3],
        baseOrientation=pose[3:],
        linkMasses=[link.mass for link in links],
        linkCollisionShapeIndices=[collision(f"{name}/{link.name}", link.pieces, client) for link in links],
        linkVisualShapeIndices=[-1] * len(links),
        linkPositions=[link.pose[:3].tolist() for link in links],
        linkOrientations=[link.pose[3:].tolist() for link in links],
        linkInertialFramePositions=[(0, 0, 0)] * len(links),
        linkInertialFrameOrientations=[(0, 0, 0, 1)] * len(links),
        linkParentIndices=[names.index(link.parent) + 1 if link.parent else 0 for link in links],
        linkJointTypes=[_JOINTS[link.joint] for link in links],
        linkJointAxis=[link.axis for link in links],
        physicsClientId=client,
    )
    for i, link in enumerate(links):
        limits = {"jointLowerLimit": link.low, "jointUpperLimit": link.high} if link.low <= link.high else {}
        pybullet.changeDynamics(
            number, i, lateralFriction=link.friction, linearDamping=0, angularDamping=0, jointDamping=0,
            physicsClientId=client, **limits,
        )  # fmt: skip
        if link.joint != "fixed":
            still = {"targetVelocity": 0.0, "force": link.drag, "physicsClientId": client}
            pybullet.setJointMotorControl2(number, i, pybullet.VELOCITY_CONTROL, **still)
    return number
