"""A robot arm whose tool follows Cartesian velocity set-points within limits that it enforces itself."""

from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from twinlab import frames
from twinlab.bodies import Actuator, Body, Vector
from twinlab.events import Event, Item
from twinlab.world import World

_DOWN = (np.pi, 0.0)  # roll and pitch of a tool that points down


class ArmState(NamedTuple):
    """Where the arm is sent; a tuple, because each physics step makes a changed copy.

    Attributes:
        target: x, y, z [m] and yaw [rad] of the tool (4,).
        velocity: of the target in the last tick [m/s, rad/s] (4,).
        goal: joint targets at the end of this tick (joint,).
        start: those of the arm's own joints at its begin; plain numbers, which a physics step reads one by one.
        way: how far each of these goes in the tick.
        steps: physics steps that a tick has.
        done: how many of them are done.
        over: whether the wrist carries more than its limit now.
        told: whether this overload was told already.
    """

    target: np.ndarray
    velocity: np.ndarray
    goal: np.ndarray
    start: tuple[float, ...]
    way: tuple[float, ...]
    steps: int = 1
    done: int = 0
    over: bool = False
    told: bool = False


class Arm(Body):
    """A robot arm, by default the Franka Emika Panda that `pybullet_data` brings, its tool pointing down.

    Limits are those of the robot's data sheet or tighter; a set-point beyond one is cut to it, and a wrist force
    beyond `force` makes a protective stop: an event, and the tool stays where it is except for going up.
    """

    robot: str = Field("franka_panda/panda.urdf", description="URDF file, a path or a name below pybullet_data")
    position: Vector = Field((0, 0, 0), description="of the base [m]")
    yaw: float = Field(0, description="turn of the base about z [rad]")
    joints: tuple[str, ...] = tuple(f"panda_joint{i}" for i in range(1, 8))
    tool: str = Field("panda_grasptarget", description="link whose frame is the tool")
    wrist: str = Field("panda_hand", description="link whose joint measures the wrench")
    rest: tuple[float, ...] = Field((0, -0.3, 0, -2.2, 0, 1.9, 0.785), description="joint positions to stay near [rad]")
    home: tuple[float, float, float, float] = Field((0.42, 0, 0.32, 0), description="x, y, z [m], yaw [rad] at start")
    low: Vector = Field((0.1, -0.7, 0.01), description="reach: the tool's lowest x, y, z [m]")
    high: Vector = Field((0.75, 0.7, 0.6), description="reach: the tool's highest x, y, z [m]")
    speed: float = Field(0.6, gt=0, description="highest speed of the tool [m/s]")
    turning: float = Field(2.5, gt=0, description="highest turning speed of the tool [rad/s]")
    acceleration: float = Field(5.0, gt=0, description="highest acceleration of the tool [m/s^2]")
    joint_speed: float = Field(2.175, gt=0, description="highest speed of a joint [rad/s]")
    torque: tuple[float, ...] = Field((87, 87, 87, 87, 12, 12, 12), description="highest motor torques [N m]")
    force: float = Field(60, gt=0, description="wrist force above which the arm stops [N]")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for key in ("rest", "torque"):
            if len(getattr(self, key)) != len(self.joints):
                raise ValueError(f"{key} has {len(getattr(self, key))} numbers for {len(self.joints)} joints")
        if not all(low < high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError(f"low {self.low} must be below high {self.high} on every axis")
        if not all(low <= at <= high for low, at, high in zip(self.low, self.home[:3], self.high, strict=True)):
            raise ValueError(f"home {self.home[:3]} must lie between low {self.low} and high {self.high}")
        return self

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> ArmState:
        """Load the robot and put its tool at home."""
        world.load(name, self.robot, frames.pose(self.position, self.yaw))
        world.set_joints(name, self._named(np.array(self.rest)))
        target = np.array(self.home)
        for _ in range(5):  # each call starts where the one before ended
            goal = self._solve(name, world, target, world.joints(name).position)
            world.set_joints(name, self._named(goal))
        count = len(self.joints)
        return ArmState(target, np.zeros(4), goal, tuple(goal[:count].tolist()), (0.0,) * count)

    def actuators(self, name: str) -> tuple[Actuator, ...]:
        """The tool's velocity: x, y, z [m/s] and yaw [rad/s]."""
        s, w = self.speed, self.turning
        axes = [Actuator(f"{name}.{axis}", -s, s, "m s-1") for axis in "xyz"]
        return (*axes, Actuator(f"{name}.yaw", -w, w, "rad s-1"))

    def command(self, name: str, world: World, state: ArmState, values: Mapping[str, float], tick: float) -> ArmState:
        """Move the target by one tick of the set-point, as far as speed, reach and force allow."""
        velocity = np.array([values[f"{name}.{axis}"] for axis in ("x", "y", "z", "yaw")])
        speed = np.linalg.norm(velocity[:3])
        velocity[:3] *= min(1.0, self.speed / max(float(speed), 1e-9))
        change = velocity[:3] - state.velocity[:3]
        change *= min(1.0, self.acceleration * tick / max(float(np.linalg.norm(change)), 1e-9))
        velocity[:3] = state.velocity[:3] + change
        limit = self.force / 2 if state.over else self.force  # a stop ends only when the load is clearly gone
        over = bool(np.linalg.norm(world.reaction(f"{name}/{self.wrist}")[:3]) > limit)
        base = state.target
        if over:  # hold where the tool really is; only up is free
            base = np.array([*world.pose(f"{name}/{self.tool}")[:3], state.target[3]])
            velocity = velocity * [0, 0, velocity[2] > 0, 0]
        target = base + velocity * tick
        target[:3] = np.clip(target[:3], self.low, self.high)
        goal = self._solve(name, world, target, state.goal)
        way = goal - state.goal
        share = min(1.0, self.joint_speed * tick / max(np.abs(way).max(), 1e-9))
        way *= share
        target = state.target + share * (target - state.target)  # what the joints could not follow is not owed
        velocity, steps, count = (target - state.target) / tick, round(tick / world.timestep), len(self.joints)
        start, told = tuple(state.goal[:count].tolist()), state.told and over
        return ArmState(target, velocity, state.goal + way, start, tuple(way[:count].tolist()), steps, 0, over, told)

    def advance(self, name: str, world: World, state: ArmState) -> tuple[ArmState, tuple[Event, ...]]:
        """Lead the joints along the line from the last tick's goal to this one's."""
        share = min(1.0, state.done / state.steps)
        span = state.steps * world.timestep if share < 1 else np.inf
        positions = [at + share * way for at, way in zip(state.start, state.way, strict=True)]
        world.drive(name, self.joints, positions, self.torque, [way / span for way in state.way], gain=0.1)
        events = (Event(world.time, "stop", name),) if state.over and not state.told else ()
        return state._replace(done=state.done + 1, told=state.over), events

    def _named(self, positions: np.ndarray) -> dict[str, float]:
        """Joint → position; the gripper's joints, which come last, are left out."""
        return dict(zip(self.joints, positions[: len(self.joints)].tolist(), strict=True))

    def _solve(self, name: str, world: World, target: np.ndarray, near: np.ndarray) -> np.ndarray:
        pose = frames.from_euler(target[:3], (*_DOWN, float(target[3])))
        return world.inverse(name, self.tool, pose, near, self._named(np.array(self.rest)))
