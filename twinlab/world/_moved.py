"""What moves in a world: bodies that are placed, surfaces that run, motors, inverse kinematics, suction."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from twinlab import frames
from twinlab.robots import quiet
from twinlab.world import _ties as ties
from twinlab.world._inverse import chain, solve, told
from twinlab.world._kept import Surface
from twinlab.world._seen import Seen

with quiet():  # PyBullet tells its build time on stderr, which notebooks would show
    import pybullet


class Moved(Seen):
    """The part of a world that moves what was built."""

    _substeps: int
    _efforts: dict[tuple[str, ...], dict[str, Any]]
    _driven: dict[str, dict[tuple[str, ...], Any]]  # body → joints → how `drive` drove them last

    def pad(self, name: str, links: Sequence[str], friction: float, rolling: float) -> None:
        """Give links of a robot rough pads: Coulomb friction coefficient, and spinning friction coefficient [m]."""
        body = self._body(name)
        for link in links:
            pybullet.changeDynamics(
                body.number, body.link(link), lateralFriction=friction, spinningFriction=rolling,
                physicsClientId=self.client,
            )  # fmt: skip

    def surface(self, name: str, velocity: np.ndarray) -> None:
        """Make a body's surface move at a velocity (3,) [m/s] while the body itself stays where it is."""
        travel = self._surfaces[name].travel if name in self._surfaces else 0.0
        speed, at = float(np.linalg.norm(velocity)), self.pose(name).tolist()
        home = tuple(at[:3]), tuple(at[3:])
        self._surfaces[name] = Surface(self._body(name).number, home, tuple(velocity.tolist()), speed, travel)

    def place(self, name: str, pose: np.ndarray, mass: float | None = None) -> None:
        """Put a body at a pose (7,) at rest, and give it another mass [kg] if one is given."""
        body = self._body(name)
        if mass is not None:
            self._weigh(name, mass)
        pybullet.resetBasePositionAndOrientation(body.number, pose[:3], pose[3:], self.client)
        pybullet.resetBaseVelocity(body.number, (0, 0, 0), (0, 0, 0), self.client)
        self._stand(name)

    def set_joints(self, name: str, positions: Mapping[str, float]) -> None:
        """Put joints at positions at once, at rest; for building, not for control."""
        body = self._body(name)
        for joint, value in positions.items():
            pybullet.resetJointState(body.number, body.joint(joint), value, 0.0, self.client)
        self._before = {}
        self._follow(body.number)

    def drive(
        self,
        name: str,
        joints: Sequence[str],
        positions: Sequence[float],
        forces: Sequence[float],
        speeds: Sequence[float] | None = None,
        gain: float = 0.3,
    ) -> None:
        """Let motors lead joints along positions, each with at most a force.

        Args:
            name: the robot.
            joints: which of its joints (joint,).
            positions: where each should be now (joint,) [rad or m].
            forces: its highest force (joint,) [N m or N].
            speeds: how fast it should move now (joint,) [rad/s or m/s]; at rest if not given.
            gain: which share of an error is mended in one physics step, however many substeps it has.
        """
        body, count, asked = self._body(name), len(joints), (tuple(positions), tuple(forces), speeds, gain)
        if self._driving(name, joints, asked):
            return
        pybullet.setJointMotorControlArray(
            body.number, body.group(joints)[0], pybullet.POSITION_CONTROL, targetPositions=positions,
            targetVelocities=speeds or [0.0] * count, positionGains=[gain / self._substeps] * count,
            velocityGains=[1.0] * count, forces=forces, physicsClientId=self.client,
        )  # fmt: skip

    def lead(self, name: str, joints: Sequence[str], speeds: Sequence[float], forces: Sequence[float]) -> None:
        """Let motors keep joints at speeds (joint,) [rad/s or m/s] until the next call, each with at most a force."""
        body = self._body(name)
        if self._driving(name, joints, (tuple(speeds), forces)):
            return
        pybullet.setJointMotorControlArray(
            body.number, body.group(joints)[0], pybullet.VELOCITY_CONTROL, targetVelocities=speeds,
            forces=forces, physicsClientId=self.client,
        )  # fmt: skip

    def push(self, name: str, joints: Sequence[str], torques: Sequence[float]) -> None:
        """Let joints be driven by torques (joint,) [N m or N] that stay until the next call, their motors off."""
        body = self._body(name)
        numbers, key = body.group(joints)[0], (name, *joints)
        self._driving(name, joints)
        drive = {"bodyUniqueId": body.number, "jointIndices": numbers, "physicsClientId": self.client}
        if key not in self._efforts:
            off = [0.0] * len(numbers)
            pybullet.setJointMotorControlArray(**drive, controlMode=pybullet.VELOCITY_CONTROL, forces=off)
        self._efforts[key] = {**drive, "controlMode": pybullet.TORQUE_CONTROL, "forces": list(torques)}

    def inverse(self, link: str, pose: np.ndarray, near: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """Joint positions that bring a link's frame to a pose.

        Args:
            link: the link that shall get there, "arm/panda_grasptarget".
            pose: where to (7,), in the world.
            near: positions of the joints on the way to it to start from (joint,).
            rest: where they would rather be where the pose leaves a choice (joint,).

        Beyond reach the nearest is given. A pose is reached within 0.0001 mm.

        Returns:
            Positions of these joints, in the order of `path` (joint,).
        """
        name, _, part = link.partition("/")
        body = self._body(name)
        if part not in body.chains:
            limits = dict(zip(body.joints, body.limits, strict=True))
            body.chains[part] = chain(told(body.number, self.client, limits), body.link(part))
        base = frames.inverse(self._base(body)) if body.unstood is None else body.unstood
        return solve(body.chains[part], frames.compose(base, pose), near, rest).positions

    def tie(self, link: str, other: str, force: float) -> None:
        """Let a link hold a body just where it is now, as a suction cup does; what the link held before is let go.

        Args:
            link: the link that holds, "arm/cup_tip".
            other: the body that is held.
            force: the highest force that it can carry [N].
        """
        self.untie(link)
        name, _, part = link.partition("/")
        body, held = self._body(name), self._body(other)
        parts = (body.number, body.link(part), held.number)
        self._ties[link] = ties.tied(link, other, parts, force, self.client)

    def untie(self, link: str) -> None:
        """Let go what a link holds, if it holds something."""
        if link in self._ties:
            ties.loosed(self._ties.pop(link), self.client)
            self._loads.pop(link, None)

    def _driving(self, name: str, joints: Sequence[str], asked: Any = None) -> bool:
        """Whether `drive` drove these joints in just the same way last, so that their motors still do."""
        own, key = self._driven.setdefault(name, {}), tuple(joints)
        if asked is not None and own.get(key) == asked:
            return True
        for other in tuple(own):
            if not set(other).isdisjoint(key):
                del own[other]
        if asked is not None:
            own[key] = asked
        return False

    def _follow(self, number: int) -> None:
        """Let a robot's links stand where its joints say.

        PyBullet leaves them where the last step began until asked, and then the next step differs by a hair: so it is
        asked after every step, and nobody who looks changes anything.
        """
        self._memo.clear()
        pybullet.getLinkState(number, 0, computeForwardKinematics=True, physicsClientId=self.client)

    def _stand(self, name: str) -> None:
        """Keep where a body's base stands if it cannot move by itself, as this is asked for at every tick."""
        body, self._stood = self._bodies[name], None
        self._memo.clear()
        body.home = None if body.mass else self._base(body)
        body.unstood = None if body.home is None else frames.inverse(body.home)

    def _weigh(self, name: str, mass: float) -> None:
        body = self._body(name)
        pybullet.changeDynamics(body.number, -1, mass=mass, physicsClientId=self.client)
        if body.gyration is not None and mass:
            inertia = [mass * one for one in body.gyration]
            pybullet.changeDynamics(body.number, -1, localInertiaDiagonal=inertia, physicsClientId=self.client)
        body.mass = mass
        body.exact &= not (mass and body.compound)
