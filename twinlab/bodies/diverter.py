"""A diverter: a blade that swings over a belt and leads what comes along it off to one side."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field

from twinlab import frames, meshes
from twinlab.bodies import Actuator, Body, Value, Vector
from twinlab.events import Event, Item
from twinlab.snapshot import Piece
from twinlab.world import Link, World

_TURNS = 0.5  # a set-point further from 0 than this switches the valve [1]


@dataclass(frozen=True)
class Swing:
    """What a diverter keeps.

    Attributes:
        wish: whether it shall divert.
        angle: where its motor leads the blade [rad].
    """

    wish: bool = False
    angle: float = 0.0


class Diverter(Body):
    """A low-friction blade on a post, led by a motor of limited torque between two angles.

    Its set-point is a valve's: above 0.5 it swings over the belt, below -0.5 back beside it, in between it stays. So
    each of -1, 0 and 1 has the range of what is nearest to it: a learnt policy tells numbers, and data are noisy.
    """

    position: Vector = Field((0.67, -0.2, 0.1), description="foot of its post, at the height of the belt's surface [m]")
    yaw: float = Field(-1.5708, description="where the blade points when it stands beside the belt [rad]")
    swing: float = Field(-0.9, description="how far it swings over the belt, positive to the left [rad]")
    size: Vector = Field((0.36, 0.012, 0.05), description="length, thickness and height of the blade [m]")
    clear: float = Field(0.004, ge=0, description="how far it clears the belt [m]")
    friction: float = Field(0.05, ge=0, description="Coulomb friction coefficient of the blade [1]")
    speed: float = Field(3.0, gt=0, description="highest speed of the blade [rad/s]")
    torque: float = Field(8.0, gt=0, description="highest torque of its motor [N m]")
    mass: float = Field(0.5, gt=0, description="of the blade [kg]")
    colour: Vector = Field((0.9, 0.75, 0.2), description="sRGB in 0–1")

    def build(self, name: str, world: World, items: tuple[Item, ...]) -> Swing:
        """Add post and blade; the blade stands beside the belt."""
        x, y, z = self.size
        lift = self.clear + z / 2
        post = Piece(meshes.cylinder(0.015, 0.06), frames.pose((0, 0, 0.03)), (0.4, 0.42, 0.45))
        blade = Piece(meshes.box((x, y, z)), frames.pose((x / 2, 0, 0)), self.colour)
        low, high = min(0.0, self.swing), max(0.0, self.swing)
        link = Link(
            "blade", (blade,), frames.pose((0, 0, lift)), low=low, high=high, mass=self.mass, friction=self.friction
        )
        world.assemble(name, [post], [link], frames.pose(self.position, self.yaw))
        world.set_joints(name, {"blade": 0.0})
        return Swing()

    def actuators(self, name: str) -> tuple[Actuator, ...]:
        """Its valve: 1 diverts, -1 lets pass, 0 changes nothing."""
        return (Actuator(name, -1.0, 1.0, "1"),)

    def command(self, name: str, world: World, state: Swing, values: Mapping[str, float], tick: float) -> Swing:
        """Take the valve's set-point."""
        wish = values[name]
        return Swing(bool(wish > 0), state.angle) if abs(wish) > _TURNS else state

    def advance(self, name: str, world: World, state: Swing) -> tuple[Swing, tuple[Event, ...]]:
        """Lead the blade on towards where it shall stand."""
        goal, most = self.swing if state.wish else 0.0, self.speed * world.timestep
        angle = state.angle + min(max(goal - state.angle, -most), most)
        world.drive(name, ("blade",), (angle,), (self.torque,))
        return (state if angle == state.angle else Swing(state.wish, angle)), ()

    def tags(self, name: str, world: World, state: Swing) -> Mapping[str, Value]:
        """Its valve, and where the blade is."""
        angle = float(world.joints(name).position[0])
        return {"diverting": state.wish, "angle": angle, "there": abs(angle - self.swing * state.wish) < 0.05}

    def writable(self) -> tuple[str, ...]:
        """Its valve."""
        return ("diverting",)

    def write(self, name: str, world: World, state: Swing, tag: str, value: Value) -> Swing:
        """Set its valve."""
        return Swing(bool(value), state.angle)
