"""A robot file into PyBullet, and what PyBullet then says of it."""

import numpy as np

from twinlab.errors import MeshError
from twinlab.robots import Prepared, quiet

with quiet():  # PyBullet tells its build time on stderr, which notebooks would show
    import pybullet

_MENDED = 0.3  # share of a gear's error that a substep mends [1]


def loaded(name: str, file: Prepared, pose: np.ndarray, client: int) -> int:
    """PyBullet's number of a robot whose base is fixed at a pose (7,); each of its joints measures its load.

    Joints that follow others are geared to them, both ways: who holds the follower holds the leader too.

    Raises:
        MeshError: PyBullet cannot read the file or a mesh that it names.
    """
    flags = pybullet.URDF_USE_INERTIA_FROM_FILE if file.inertia == "file" else 0
    at = {"basePosition": pose[:3], "baseOrientation": pose[3:]}
    try:
        number = pybullet.loadURDF(str(file.path), **at, useFixedBase=True, flags=flags, physicsClientId=client)
    except pybullet.error as told:
        raise MeshError(f"{name}: PyBullet cannot load {str(file.path)!r} ({told}); are its meshes sound?") from told
    for joint in range(pybullet.getNumJoints(number, client)):
        pybullet.enableJointForceTorqueSensor(number, joint, True, client)
    _gear(number, file, client)
    return number


def _gear(number: int, file: Prepared, client: int) -> None:
    """Let joints follow their leaders, each with at most its own effort, from where these stand at zero."""
    infos = [pybullet.getJointInfo(number, j, client) for j in range(pybullet.getNumJoints(number, client))]
    joint = {info[1].decode(): info[0] for info in infos}
    for name, mimic in file.followers.items():
        own, effort = joint[name], file.joints[name].effort
        pybullet.setJointMotorControl2(number, own, pybullet.VELOCITY_CONTROL, force=0, physicsClientId=client)
        pybullet.resetJointState(number, own, mimic.offset, 0.0, client)
        gear = pybullet.createConstraint(
            number, own, number, joint[mimic.leader], pybullet.JOINT_GEAR, (0, 0, 1), (0, 0, 0), (0, 0, 0),
            physicsClientId=client,
        )  # fmt: skip
        pybullet.changeConstraint(
            gear, gearRatio=-mimic.multiplier, relativePositionTarget=mimic.offset, erp=_MENDED, maxForce=effort,
            physicsClientId=client,
        )  # fmt: skip


def described(number: int, client: int) -> tuple[tuple[str, ...], list[tuple[int, str, float, float]], np.ndarray]:
    """A robot's links, its moving joints (index, name, lowest, highest position), its base's centre of mass (7,)."""
    infos = [pybullet.getJointInfo(number, j, client) for j in range(pybullet.getNumJoints(number, client))]
    joints = [(i[0], i[1].decode(), *i[8:10]) for i in infos if i[2] != pybullet.JOINT_FIXED]
    base = pybullet.getDynamicsInfo(number, -1, client)
    return tuple(i[12].decode() for i in infos), joints, np.array([*base[3], *base[4]])
