"""A buffer: items queue up before its gate, are counted, and go on when it opens."""

import numpy as np
import pytest

from twinlab import frames, meshes, rooms
from twinlab.errors import CellError
from twinlab.snapshot import Piece
from twinlab.world import World

TICK, STEPS = 0.05, 12
EDGE = 0.04


class Rig:
    """A belt that runs along a heading, a buffer on it, and cubes that lie on it one behind the other."""

    def __init__(self, world: World, yaw: float = 0.0, cubes: int = 4, **fields: object) -> None:
        at = frames.pose((0.3, 0.2, 0), yaw)
        middle = tuple(frames.apply(at, np.array([[-0.2, 0, 0.05]]))[0].tolist())
        belt = rooms.build("bodies", "belt", position=middle, size=(1.6, 0.26, 0.1), yaw=yaw, speed=0.2)
        belt.build("belt", world, ())
        self.world, self.at = world, at
        gate = tuple(frames.apply(at, np.array([[0, 0, 0.1]]))[0].tolist())
        self.buffer = rooms.build("bodies", "buffer", position=gate, yaw=yaw, capacity=3, **fields)
        self.state = self.buffer.build("buffer", world, ())
        self.cubes = [f"cube_{i}" for i in range(cubes)]
        for i, name in enumerate(self.cubes):
            pose = frames.compose(at, frames.pose((-0.1 - 0.1 * i, 0.002 * i, 0.1 + EDGE / 2)))
            world.add(name, [Piece(meshes.box((EDGE,) * 3), frames.IDENTITY, (1, 0, 0))], pose, mass=0.08)

    def run(self, seconds: float, valve: float = 0.0) -> dict:
        for _ in range(round(seconds / TICK)):
            self.state = self.buffer.command("buffer", self.world, self.state, {"buffer": valve}, TICK)
            for _ in range(STEPS):
                self.world.step()
        return dict(self.buffer.tags("buffer", self.world, self.state))

    def along(self) -> list[float]:
        """How far each cube is along the belt from the gate [m]."""
        own = frames.inverse(self.at)
        return [float(frames.compose(own, self.world.pose(name))[0]) for name in self.cubes]


@pytest.fixture
def world():
    with World() as world:
        yield world


@pytest.mark.parametrize("yaw", [0.0, -np.pi / 2, 0.4])
def test_items_queue_up_before_the_gate_in_their_order_and_are_counted(world, yaw):
    rig = Rig(world, yaw)
    told = rig.run(4)
    along = rig.along()
    assert along == sorted(along, reverse=True)
    assert along[0] == pytest.approx(-EDGE / 2 - 0.003, abs=0.004) and np.ptp(along) < 3 * EDGE + 0.02
    assert told == {"level": 4, "empty": False, "full": True, "open": False, "closed": True}


def test_an_open_gate_lets_all_go_and_the_buffer_is_empty(world):
    rig = Rig(world)
    rig.run(3)
    told = rig.run(4, valve=1)
    assert min(rig.along()) > EDGE / 2
    assert told == {"level": 0, "empty": True, "full": False, "open": True, "closed": False}


def test_a_gate_that_comes_down_on_an_item_rests_on_it_and_closes_behind_it(world):
    rig = Rig(world, cubes=2)
    rig.run(2)
    while rig.along()[0] < 0:
        rig.run(TICK, valve=1)
    touched = 0.0
    for _ in range(20):
        rig.run(TICK, valve=-1)
        touched = max(touched, *(t.force for t in world.touches("buffer")), 0.0)
    assert 0 < touched < 40
    assert rig.run(2)["closed"] and max(rig.along()) > 0.1
    assert abs(world.pose("cube_0")[2] - 0.1 - EDGE / 2) < 0.002


def test_its_gate_can_be_asked_by_name_and_wants_true_or_false(world):
    rig = Rig(world, cubes=1, opened=True)
    assert rig.run(TICK)["open"]
    rig.state = rig.buffer.write("buffer", world, rig.state, "open", False)
    assert rig.run(1)["closed"]
    with pytest.raises(CellError, match="wanted true to open"):
        rig.buffer.write("buffer", world, rig.state, "open", 3.0)
