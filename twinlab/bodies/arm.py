"""A robot arm whose tool follows Cartesian velocity set-points within limits that it enforces itself."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from twinlab import frames
from twinlab.bodies import Actuator, Body, Value, Vector
from twinlab.bodies._compliance import Compliance, Law
from twinlab.errors import WorldError
from twinlab.events import Event, Item
from twinlab.frames import Region
from twinlab.robots import Fixture
from twinlab.world import World

PANDA = "franka_panda/panda.urdf"
_PANDA: dict[str, Any] = {
    "joints": tuple(f"panda_joint{i}" for i in range(1, 8)),
    "tool": "panda_grasptarget",
    "wrist": "panda_hand",
    "rest": (0, -0.3, 0, -2.2, 0, 1.9, 0.785),
    "torque": (87, 87, 87, 87, 12, 12, 12),
}
_BEYOND = 1.5  # measured speeds this far beyond a limit are a violation; below, contacts and rounding make them


class ArmState(NamedTuple):
    """Where the arm is sent; a tuple, because each physics step makes a changed copy.

    Attributes:
        tool: the link whose frame is the tool, "arm/panda_grasptarget".
        wrist: the link whose joint measures the wrench.
        joints: names of the arm's own joints, from the base to the tool.
        torque: highest torque of each [N m].
        rest: where each would rather be [rad].
        at: where the tool was at the last tick (3,) [m].
        target: x, y, z [m] and yaw [rad] of the tool (4,).
        velocity: of the target in the last tick [m/s, rad/s] (4,).
        goal: joint targets at the end of this tick (joint,).
        start: the same at its begin; plain numbers, which a physics step reads one by one.
        way: how far each of these goes in the tick.
        steps: physics steps that a tick has.
        done: how many of them are done.
        over: which limit is exceeded now, "" for none.
        told: which one was told already.
        law: how a compliant arm gives way in this tick, None for a stiff one.
    """

    tool: str
    wrist: str
    joints: tuple[str, ...]
    torque: tuple[float, ...]
    rest: np.ndarray
    at: np.ndarray
    target: np.ndarray
    velocity: np.ndarray
    goal: np.ndarray
    start: tuple[float, ...]
    way: tuple[float, ...]
    steps: int = 1
    done: int = 0
    over: str = ""
    told: str = ""
    law: Law | None = None


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Zone(_Table):
    """A box that a tool must not enter."""

    low: Vector = Field(description="its lowest corner [m]")
    high: Vector = Field(description="its highest corner [m]")


class Mount(_Table):
    """A solid that is screwed to a link, such as a suction cup; its far end is the link `<name>_tip`."""

    link: str = Field(description="the link that it is screwed to")
    position: Vector = Field((0, 0, 0), description="of its foot in that link's frame [m]")
    turn: Vector = Field((0, 0, 0), description="roll, pitch, yaw in that link's frame; it stands along its z [rad]")
    form: Literal["cylinder", "box"] = "cylinder"
    size: Vector = Field((0.04, 0.04, 0.06), description="width (a cylinder's diameter), depth and length [m]")
    mass: float = Field(0.1, gt=0, description="mass [kg]")
    colour: Vector = Field((0.2, 0.2, 0.22), description="sRGB in 0–1")


class Arm(Body):
    """A robot arm, by default the Franka Emika Panda that `pybullet_data` brings, its tool pointing down.

    Limits are those of the robot's data sheet or tighter; a set-point beyond one is cut to it. What exceeds one all the
    same (a wrist force, a measured speed, a tool in a box that it must keep out of) is a violation and makes a
    protective stop: an event, and the tool stays where it is except for going back.
    """

    robot: str = Field(PANDA, description="robot file, a path below the scene's folder or a name below pybullet_data")
    position: Vector = Field((0, 0, 0), description="of the base [m]")
    yaw: float = Field(0, description="turn of the base about z [rad]")
    joints: tuple[str, ...] = Field(_PANDA["joints"], description="its joints, base first; () for all up to the tool")
    tool: str = Field(_PANDA["tool"], description='link whose frame is the tool; "" for the last link of the file')
    wrist: str = Field(_PANDA["wrist"], description='link whose joint measures the wrench; "" for the last that moves')
    mounts: dict[str, Mount] = Field(default_factory=dict, description="what is screwed to it, by name")
    turn: Vector = Field(frames.DOWN, description="roll, pitch, yaw of the tool's frame when its yaw is 0 [rad]")
    rest: tuple[float, ...] = Field(_PANDA["rest"], description="joint positions to stay near; () for middles [rad]")
    home: tuple[float, float, float, float] = Field((0.42, 0, 0.32, 0), description="x, y, z [m], yaw [rad] at start")
    low: Vector = Field((0.1, -0.7, 0.01), description="reach: the tool's lowest x, y, z [m]")
    high: Vector = Field((0.75, 0.7, 0.6), description="reach: the tool's highest x, y, z [m]")
    speed: float = Field(0.6, gt=0, description="highest speed of the tool [m/s]")
    turning: float = Field(2.5, gt=0, description="highest turning speed of the tool [rad/s]")
    acceleration: float = Field(5.0, gt=0, description="highest acceleration of the tool [m/s^2]")
    joint_speed: float = Field(2.175, gt=0, description="highest speed of a joint [rad/s]")
    torque: tuple[float, ...] = Field(_PANDA["torque"], description="highest motor torques; () for the file's [N m]")
    force: float = Field(60, gt=0, description="wrist force above which the arm stops [N]")
    keep_out: tuple[Zone, ...] = Field((), description="boxes that the tool must not enter")
    compliance: Compliance = Field(Compliance(), description="how the tool gives way to a load; stiff by default")

    @model_validator(mode="before")
    @classmethod
    def _found(cls, given: Any) -> Any:
        """What is not said of another robot than the default is found in its file."""
        if not isinstance(given, dict) or given.get("robot", PANDA) == PANDA:
            return given
        return {**{key: type(value)() for key, value in _PANDA.items()}, **given}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for key in ("rest", "torque"):
            given = getattr(self, key)
            if self.joints and given and len(given) != len(self.joints):
                raise ValueError(f"{key} has {len(given)} numbers for {len(self.joints)} joints")
        if not all(low < high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError(f"low {self.low} must be below high {self.high} on every axis")
        if not all(low <= at <= high for low, at, high in zip(self.low, self.home[:3], self.high, strict=True)):
            raise ValueError(f"home {self.home[:3]} must lie between low {self.low} and high {self.high}")
        return self

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> ArmState:
        """Load the robot and put its tool at home."""
        world.load(name, self.robot, frames.pose(self.position, self.yaw), fixtures=self._fixtures())
        tool = f"{name}/{self.tool or world.tip(name)}"
        joints = self.joints or world.path(tool)
        wrist = f"{name}/{self.wrist}" if self.wrist else world.moved_by(name, joints[-1])
        low, high = world.limits(name, joints)
        rest = np.array(self.rest or (low + high) / 2)
        torque = self.torque or world.efforts(name, joints)
        for key, values in (("rest", rest), ("torque", torque)):
            if len(values) != len(joints):
                raise WorldError(f"{name}: {key} has {len(values)} numbers for its {len(joints)} joints {joints}")
        world.set_joints(name, dict(zip(joints, rest.tolist(), strict=True)))
        target, goal = np.array(self.home), rest
        for _ in range(20):  # each call starts where the one before ended
            goal = self._solve(world, tool, target, goal, rest)
        world.set_joints(name, dict(zip(joints, goal.tolist(), strict=True)))
        start, way = tuple(goal.tolist()), (0.0,) * len(joints)
        return ArmState(
            tool, wrist, joints, tuple(torque), rest, world.pose(tool)[:3], target, np.zeros(4), goal, start, way
        )

    def actuators(self, name: str) -> tuple[Actuator, ...]:
        """The tool's velocity: x, y, z [m/s] and yaw [rad/s]."""
        s, w = self.speed, self.turning
        axes = [Actuator(f"{name}.{axis}", -s, s, "m s-1") for axis in "xyz"]
        return (*axes, Actuator(f"{name}.yaw", -w, w, "rad s-1"))

    def command(self, name: str, world: World, state: ArmState, values: Mapping[str, float], tick: float) -> ArmState:
        """Move the target by one tick of the set-point, as far as speed, reach and force allow."""
        velocity = self._velocity(name, state, values, tick)
        at, motion = world.pose(state.tool), world.motion(name, state.joints)
        over, base = self._exceeded(world, state, at, motion, tick), state.target
        if over:  # hold where the tool really is; only back, the way that it does not look, is free
            base = np.array([*at[:3], state.target[3]])
            velocity = np.array([*self._back(velocity[:3], at), 0.0])
        target, law = base + velocity * tick, None
        if self.compliance.stiffness:
            target = self.compliance.leashed(target, np.array([*at[:3], frames.tool_yaw(at, self.turn)]))
            law = self.compliance.law(*world.dynamics(state.tool))
        *at_most, yaw = target.tolist()
        target = np.array([*map(min, map(max, at_most, self.low), self.high), yaw])
        goal = self._solve(world, state.tool, target, state.goal, state.rest)
        start, ends = state.goal.tolist(), goal.tolist()
        farthest = max(abs(e - s) for e, s in zip(ends, start, strict=True))
        if farthest > self.joint_speed * tick:  # what the joints could not follow is not owed
            share = self.joint_speed * tick / farthest
            goal = state.goal + share * (goal - state.goal)
            target, ends = state.target + share * (target - state.target), goal.tolist()
        way = [e - s for e, s in zip(ends, start, strict=True)]
        velocity, steps = (target - state.target) / tick, round(tick / world.timestep)
        if law is None:  # at the tick's end each joint shall be at its goal, wherever it is now
            world.lead(name, state.joints, [(e - m[0]) / tick for e, m in zip(ends, motion, strict=True)], state.torque)
        return state._replace(
            at=at[:3], target=target, velocity=velocity, goal=goal, start=tuple(start), way=tuple(way),
            steps=steps, done=0, over=over, law=law,
        )  # fmt: skip

    def _velocity(self, name: str, state: ArmState, values: Mapping[str, float], tick: float) -> np.ndarray:
        """The set-points x, y, z, yaw (4,) as far as the tool's highest speed and acceleration allow."""
        x, y, z, yaw = (values[f"{name}.{axis}"] for axis in ("x", "y", "z", "yaw"))
        share = min(1.0, self.speed / max(math.sqrt(x * x + y * y + z * z), 1e-9))
        u, v, w, _ = state.velocity.tolist()
        x, y, z = share * x - u, share * y - v, share * z - w
        share = min(1.0, self.acceleration * tick / max(math.sqrt(x * x + y * y + z * z), 1e-9))
        return np.array([u + share * x, v + share * y, w + share * z, yaw])

    def advance(self, name: str, world: World, state: ArmState) -> tuple[ArmState, tuple[Event, ...]]:
        """Tell what begins and ends; give way where the tool is compliant. Stiff joints were led for the whole tick."""
        if state.law is not None:
            _give_way(name, world, state, state.law)
        elif state.over == state.told:
            return state, ()
        events: tuple[Event, ...] = ()
        if state.over and state.over != state.told:
            events = (Event(world.time, "violation", name, state.over),)
            events += () if state.told else (Event(world.time, "stop", name, state.over),)
        elif state.told and not state.over:
            events = (Event(world.time, "resumed", name),)
        return state._replace(done=state.done + 1, told=state.over), events

    def tags(self, name: str, world: World, state: ArmState) -> Mapping[str, Value]:
        """Where its tool is [m], and which limit has stopped it."""
        x, y, z = world.pose(state.tool)[:3].tolist()
        return {"x": x, "y": y, "z": z, "stopped": state.over}

    def _exceeded(
        self, world: World, state: ArmState, at: np.ndarray, motion: Sequence[tuple[float, float]], tick: float
    ) -> str:
        """Which limit is exceeded now, "" for none; a stop by force ends only when the load is clearly gone."""
        limit = self.force / 2 if state.over == "force" else self.force
        if math.hypot(*world.reaction(state.wrist)[:3].tolist()) > limit:
            return "force"
        if any(Region(zone.low, zone.high).contains(at[:3]) for zone in self.keep_out):
            return "keep_out"
        if math.dist(at[:3], state.at) > _BEYOND * self.speed * tick:
            return "speed"
        return "joint" if max(abs(speed) for _, speed in motion) > _BEYOND * self.joint_speed else ""

    def _back(self, velocity: np.ndarray, at: np.ndarray) -> np.ndarray:
        """The part of a velocity (3,) that leads the tool away from where it looks."""
        back = -frames.axis(at, 2)
        return max(0.0, float(velocity @ back)) * back

    def _solve(self, world: World, tool: str, target: np.ndarray, near: np.ndarray, rest: np.ndarray) -> np.ndarray:
        return world.inverse(tool, frames.tool_pose(target[:3], self.turn, float(target[3])), near, rest)

    def _fixtures(self) -> tuple[Fixture, ...]:
        return tuple(
            Fixture(name, m.link, frames.from_euler(m.position, m.turn), m.form, m.size, m.mass, m.colour)
            for name, m in self.mounts.items()
        )


def _give_way(name: str, world: World, state: ArmState, law: Law) -> None:
    """Pull the joints as springs and dampers do towards the line from the last tick's goal to this one's."""
    share = min(1.0, state.done / state.steps)
    rate = 1 / (state.steps * world.timestep) if share < 1 else 0.0
    off, slow = [], []
    for (at, speed), start, way in zip(world.motion(name, state.joints), state.start, state.way, strict=True):
        off.append(start + share * way - at)
        slow.append(rate * way - speed)
    torques = law.torques(np.array(off), np.array(slow)) + world.bias(name, state.joints)
    world.push(
        name, state.joints, [min(max(t, -most), most) for t, most in zip(torques.tolist(), state.torque, strict=True)]
    )
