"""What holds without fingers: a suction cup's seal, as a constraint that breaks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from twinlab.robots import quiet

with quiet():  # PyBullet tells its build time on stderr, which notebooks would show
    import pybullet


@dataclass(frozen=True)
class Tie:
    """A link that holds another body where they met.

    Attributes:
        link: the link that holds, "arm/cup_tip".
        other: the body that is held.
        number: PyBullet's number of the constraint.
        parts: body and link number of the holder, body number of what is held.
        frames: where they meet in the centre of mass frame of either (position, quaternion, position, quaternion).
        force: the highest force that it can carry [N].
    """

    link: str
    other: str
    number: int
    parts: tuple[int, int, int]
    frames: tuple[tuple[float, ...], ...]
    force: float


def tied(link: str, other: str, parts: tuple[int, int, int], force: float, client: int) -> Tie:
    """Hold a body just where it is now against a link."""
    body, index, held = parts
    state = pybullet.getLinkState(body, index, physicsClientId=client)
    at = pybullet.getBasePositionAndOrientation(held, client)
    own = pybullet.invertTransform(*at)
    meet = pybullet.multiplyTransforms(*own, state[0], state[1])  # the holder's frame, seen from what is held
    return _made(link, other, parts, ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0), *meet), force, client)


def loosed(tie: Tie, client: int) -> None:
    """Let go."""
    pybullet.removeConstraint(tie.number, client)
    _meet(tie.parts, 1, client)


def load(tie: Tie, client: int) -> np.ndarray:
    """Force [N] and torque [N m] (6,) that what is held gave the holder in the last step, in the link's own axes."""
    told = pybullet.getConstraintState(tie.number, client)
    body, index, _ = tie.parts
    x, y, z, w = pybullet.getLinkState(body, index, physicsClientId=client)[1]
    # PyBullet tells forces in the world's axes and torques in the link's
    force, _ = pybullet.multiplyTransforms((0, 0, 0), (-x, -y, -z, w), told[:3], (0, 0, 0, 1))
    return np.array(force + told[3:])


def stretch(tie: Tie, client: int) -> float:
    """How far what is held has moved off the place where it was sealed [m]."""
    body, index, held = tie.parts
    holder = pybullet.getLinkState(body, index, physicsClientId=client)[:2]
    at = pybullet.getBasePositionAndOrientation(held, client)
    meets, _ = pybullet.multiplyTransforms(*at, *tie.frames[2:])
    return math.dist(meets, holder[0])


def brought_back(now: Mapping[str, Tie], then: Mapping[str, Tie], client: int) -> dict[str, Tie]:
    """The ties of a saved state: those that are still there are kept, others made anew as they were."""
    for link, tie in now.items():
        if then.get(link) != tie:
            loosed(tie, client)
    return {
        link: tie if now.get(link) == tie else _made(link, tie.other, tie.parts, tie.frames, tie.force, client)
        for link, tie in then.items()
    }


def _made(
    link: str, other: str, parts: tuple[int, int, int], at: tuple[tuple[float, ...], ...], force: float, client: int
) -> Tie:
    body, index, held = parts
    own, own_turn, its, its_turn = at
    number = pybullet.createConstraint(
        body, index, held, -1, pybullet.JOINT_FIXED, (0, 0, 0), own, its, own_turn, its_turn, physicsClientId=client
    )
    pybullet.changeConstraint(number, maxForce=force, physicsClientId=client)
    _meet(parts, 0, client)
    return Tie(link, other, number, parts, at, force)


def _meet(parts: tuple[int, int, int], collide: int, client: int) -> None:
    """Let what is held and the links that are rigid with the holder collide, or not.

    A tie carries pressure as well as pull. Where they touched besides, pressure and pull could be anything, as only
    their difference moves something, and nobody could tell when a seal breaks.
    """
    body, index, held = parts
    while index >= 0:
        pybullet.setCollisionFilterPair(body, held, index, -1, collide, client)
        info = pybullet.getJointInfo(body, index, client)
        index = info[16] if info[2] == pybullet.JOINT_FIXED else -1
