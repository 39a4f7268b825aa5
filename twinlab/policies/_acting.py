"""What all policies that run a task's steps have in common: orders and readings in, set-points out."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from twinlab import frames, rooms
from twinlab.errors import SceneError
from twinlab.readings import Readings
from twinlab.scene import SceneSpec
from twinlab.skills import Aim, Now, Skill


@dataclass(frozen=True)
class Hand:
    """How one arm is read and commanded.

    Attributes:
        arm: its name.
        home: where it waits.
        tcp, width, wrench, joints: names of the sensors that tell its tool, its gripper, its wrist and its joints;
            "" for none.
        numbers: which of an action's numbers are its x, y, z, yaw and hand; of the hand only where it has one.
        limits: of these numbers, from the lowest (number,) to the highest (number,).
        turn: roll, pitch, yaw of its tool's frame when its yaw is 0 [rad]; that of the wrist is turned alike.
    """

    arm: str
    home: Aim
    tcp: str
    width: str
    wrench: str
    joints: str
    numbers: tuple[int, ...]
    limits: tuple[np.ndarray, np.ndarray]
    turn: tuple[float, float, float] = frames.DOWN

    def now(self, readings: Readings) -> Now:
        """What the robot knows of itself."""
        width = float(readings[self.width]) if self.width else 0.0
        tool = readings[self.tcp].astype(float)
        if not self.wrench:
            return Now(tool, width)
        pose = frames.tool_pose(tool[:3], self.turn, float(tool[3]))
        wrench = frames.rotate(pose, readings[self.wrench].astype(float).reshape(2, 3))
        return Now(tool, width, wrench.reshape(6))


class Acting:
    """A task's steps through their skills.

    Args:
        spec: the line.
    """

    def __init__(self, spec: SceneSpec) -> None:
        self.hands = hands(spec)
        self._skills: list[Skill] = [rooms.build("skills", s.skill, **s.settings) for s in spec.task.steps()]
        self._wait: Skill = rooms.build("skills", "wait")
        self._size = len(spec.actuators)
        names = [a.name for a in spec.actuators]
        self._devices = [names.index(name) for name in spec.task.devices()]

    def __call__(self, readings: Readings, orders: Mapping[str, np.ndarray]) -> np.ndarray:
        """Set-points (actuator,) of this tick.

        Args:
            readings: the robots' own.
            orders: `arm_step` and `arm_aim` of each arm and, where the task has devices, `setpoints`.
        """
        action = np.zeros(self._size)
        if self._devices:
            action[self._devices] = orders["setpoints"]
        for hand in self.hands:
            self._move(hand, readings, orders, action)
        return action

    def waiting(self, hand: Hand, readings: Readings, aim: Aim) -> np.ndarray:
        """Set-points of one arm that goes to a place and stays there, fingers open (number,)."""
        return _cut(hand, self._wait.act(hand.now(readings), aim))

    def _move(self, hand: Hand, readings: Readings, orders: Mapping[str, np.ndarray], action: np.ndarray) -> None:
        step, told = int(orders[f"{hand.arm}_step"]), orders[f"{hand.arm}_aim"].astype(float)
        if step == 0:
            action[list(hand.numbers)] = self.waiting(hand, readings, hand.home)
            return
        aim = Aim(told[:3], float(np.arctan2(told[4], told[3])), tuple(told[5:]))
        action[list(hand.numbers)] = _cut(hand, self._skills[step - 1].act(hand.now(readings), aim))


def _cut(hand: Hand, wish: np.ndarray) -> np.ndarray:
    return np.clip(wish[: len(hand.numbers)], *hand.limits)


def hands(spec: SceneSpec) -> tuple[Hand, ...]:
    """The arms that a line's task orders about.

    Raises:
        SceneError: there is no such arm, or nothing tells where its tool is.
    """
    return tuple(_hand(spec, arm) for arm in spec.task.arms())


def _hand(spec: SceneSpec, arm: str) -> Hand:
    if arm not in spec.bodies:
        raise SceneError(f"{spec.name}: the task orders {arm!r} about, but there is no such body; add [bodies.{arm}]")
    found = {}
    for kind, key in (("tcp", "link"), ("width", "of"), ("wrench", "link"), ("joints", "of")):
        of_arm = [n for n, s in spec.sensors.items() if _kind(s) == kind and getattr(s, key).partition("/")[0] == arm]
        found[kind] = of_arm[0] if of_arm else ""
    if not found["tcp"]:
        raise SceneError(f"{spec.name}: nothing tells where the tool of {arm!r} is; add a sensor of the kind 'tcp'")
    devices = [name for name, body in spec.bodies.items() if getattr(body, "of", "") == arm]
    wanted = [f"{arm}.{axis}" for axis in ("x", "y", "z", "yaw")] + devices
    every = spec.actuators
    numbers = tuple(i for name in wanted for i, a in enumerate(every) if a.name == name)
    limits = tuple(np.array([getattr(every[i], side) for i in numbers]) for side in ("low", "high"))
    *place, yaw = spec.bodies[arm].home  # type: ignore[attr-defined]  # each arm has one
    home = Aim(np.array(place), yaw)
    turn = spec.bodies[arm].turn  # type: ignore[attr-defined]
    sensors = (found["tcp"], found["width"], found["wrench"], found["joints"])
    return Hand(arm, home, *sensors, numbers, limits, turn)  # type: ignore[arg-type]


def _kind(sensor: object) -> str:
    return type(sensor).__module__.rpartition(".")[2]
