"""A parallel gripper on an arm: it holds by friction alone."""

import math
from collections.abc import Mapping

from pydantic import Field

from twinlab.bodies import Actuator, Body
from twinlab.events import Event, Item
from twinlab.world import World

_MASS = 0.1  # of a finger, for the damping of the gear [kg]


class Gripper(Body):
    """The two-finger gripper of an arm that stands above it in the scene.

    Its set-point is the speed at which the opening grows; a closing finger that meets a part presses with `force`.
    """

    of: str = Field("arm", description="the arm that it is mounted on")
    joints: tuple[str, str] = ("panda_finger_joint1", "panda_finger_joint2")
    fingers: tuple[str, str] = ("panda_leftfinger", "panda_rightfinger")
    stroke: float = Field(0.08, gt=0, description="widest opening [m]")
    speed: float = Field(0.2, gt=0, description="highest opening or closing speed [m/s]")
    force: float = Field(20, gt=0, description="highest force of a finger [N]")
    friction: float = Field(1.5, ge=0, description="Coulomb friction coefficient of the rubber pads [1]")
    rolling: float = Field(0.005, ge=0, description="spinning friction coefficient of the pads [m]")
    coupling: float = Field(
        0,
        ge=0,
        description="stiffness of the gear that makes fingers move alike, 0 for fingers that are on their own [N/m]",
    )

    def needs(self) -> tuple[str, ...]:
        """Its arm."""
        return (self.of,)

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> float:
        """Open the fingers; the state is the opening that is asked for [m]."""
        self.tune(name, world)
        world.set_joints(self.of, dict.fromkeys(self.joints, self.stroke / 2))
        return self.stroke

    def tune(self, name: str, world: World) -> None:
        """Give the fingers their pads."""
        world.pad(self.of, self.fingers, self.friction, self.rolling)

    def actuators(self, name: str) -> tuple[Actuator, ...]:
        """How fast the opening grows [m/s]."""
        return (Actuator(name, -self.speed, self.speed, "m s-1"),)

    def command(self, name: str, world: World, state: float, values: Mapping[str, float], tick: float) -> float:
        """Drive both fingers to half of what is asked for each; the motors keep to it until the next tick.

        That is never far from the real opening, so that a blocked finger opens at once.
        """
        width = self.width(world)
        lead = 0.02  # enough for the motor to press with its full force [m]
        opening = max(state + values[name] * tick, 0.0, width - lead)
        opening = min(opening, self.stroke, width + lead)
        world.drive(self.of, self.joints, [opening / 2] * 2, [self.force] * 2)
        return opening

    def advance(self, name: str, world: World, state: float) -> tuple[float, tuple[Event, ...]]:
        """Let the gear press the finger that is farther out harder, and the other one less.

        Without it what is held floats along the fingers' way: two motors at their limits hold nothing in the middle.
        """
        if not self.coupling:
            return state, ()
        (left, faster), (right, slower) = world.motion(self.of, self.joints)
        damping = 2 * math.sqrt(self.coupling * _MASS)
        pull = (self.coupling * (left - right) + damping * (faster - slower)) / 2
        shift = min(max(pull, -self.force), self.force)
        world.drive(self.of, self.joints, [state / 2] * 2, [self.force + shift, self.force - shift])
        return state, ()

    def holds(self, name: str, world: World) -> tuple[str, ...]:
        """The bodies that both fingers touch."""
        left, right = (f"{self.of}/{finger}" for finger in self.fingers)
        touches = world.touches(self.of)
        others = dict.fromkeys(touch.other for touch in touches if touch.link == left)
        return tuple(other for other in others if any(t.link == right and t.other == other for t in touches))

    def width(self, world: World) -> float:
        """The opening between the fingers [m]."""
        return sum(position for position, _ in world.motion(self.of, self.joints))
