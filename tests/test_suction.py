"""Suction: what a cup seals to, what it holds and when it breaks, against loads that are worked out by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from twinlab import frames, meshes, rooms
from twinlab.bodies import Body
from twinlab.cell import Cell
from twinlab.scene import read_scene
from twinlab.snapshot import Piece
from twinlab.world import Link, World

TICK, G = 0.05, 9.81
GREY = (0.5, 0.5, 0.5)
DOWN = frames.from_euler((0, 0, 0), (np.pi, 0, 0))
HEIGHT = 0.1  # of the cartons here [m]


class Rig:
    """A cup that looks down from a gantry, 0.2 m above a floor, and a carton below it.

    Args:
        mass: of the carton [kg]; 0 for one that cannot be moved.
        aside: how far the middle of the carton is off the cup's axis, along x [m].
        gap: between the cup's mouth and the carton's face [m].
        tilt: of the carton about y [rad].
    """

    def __init__(
        self, mass: float, aside: float = 0.0, gap: float = 0.0, tilt: float = 0.0, substeps: int = 1, **fields: object
    ) -> None:
        self.world = World(substeps=substeps, iterations=60)
        self.cup: Body = rooms.build("bodies", "suction", of="rig", **fields)
        cup = Piece(meshes.cylinder(0.02, 0.05), frames.pose((0, 0, -0.03)), GREY)  # ends 5 mm before the mouth
        beam = Piece(meshes.box((0.04, 0.04, 0.04)), frames.pose((0, 0, 0.2)), GREY)
        links = [
            Link("x", (beam,), joint="prismatic", axis=(1, 0, 0), mass=5.0),
            Link("z", (beam,), joint="prismatic", axis=(0, 0, 1), mass=5.0, parent="x"),
            Link("cup_tip", (cup,), DOWN, joint="fixed", mass=0.1, parent="z"),
        ]
        self.world.assemble("rig", [], links, frames.pose((0, 0, 0.2)))
        floor = Piece(meshes.box((2, 2, 0.1)), frames.IDENTITY, GREY)
        self.world.add("floor", [floor], frames.pose((0, 0, -0.05)))
        box = Piece(meshes.box((0.2, 0.1, HEIGHT)), frames.IDENTITY, GREY)
        at = frames.from_euler((aside, 0, 0.2 - gap - HEIGHT / 2), (0, tilt, 0))
        self.world.add("carton", [box], at, mass=mass)
        self.state = self.cup.build("cup", self.world, ())
        self.where = np.zeros(2)

    def run(self, ticks: int, ejector: float = 0.0, way: Callable[[float], tuple[float, float]] | None = None) -> None:
        """So many ticks with the ejector at a set-point; `way` tells x and z of the gantry after so many seconds."""
        start = self.where.copy()
        for step in range(12 * ticks):
            if step % 12 == 0:
                self.state = self.cup.command("cup", self.world, self.state, {"cup": ejector}, TICK)
            if way is not None:
                self.where = start + way((step + 1) / 240)
            self.state, _ = self.cup.advance("cup", self.world, self.state)
            self.world.drive("rig", ("x", "z"), self.where.tolist(), (2000.0, 2000.0), gain=0.9)
            self.world.step()

    @property
    def held(self) -> bool:
        return self.cup.holds("cup", self.world) == ("carton",)

    def close(self) -> float:
        """Give the world back; gives the load that it had last."""
        self.world.close()
        return self.state.load


# ---- what it seals to


def test_a_cup_that_sucks_seals_on_what_lies_before_its_mouth_and_only_then():
    rig = Rig(mass=0.5)
    rig.run(1)
    assert not rig.held and not rig.cup.tags("cup", rig.world, rig.state)["on"]
    rig.world.place("carton", frames.pose((0, 0, 0.2 - HEIGHT / 2)))
    rig.run(1, ejector=-0.2)
    assert rig.held
    assert rig.cup.tags("cup", rig.world, rig.state)["sealed"] is True
    rig.run(20)  # a set-point of 0 changes nothing
    assert rig.held and rig.world.pose("carton")[2] == pytest.approx(0.15, abs=0.001)
    rig.close()


@pytest.mark.parametrize(
    "place",
    [
        {"gap": 0.004},  # the lip stands out by 2 mm
        {"tilt": 0.15},  # more than the 0.1 rad that it gives way
        {"aside": 0.08},  # the carton ends 2 cm beside the cup's axis, the lip 2.5 cm
        {"mass": 0.0},  # nothing that could be taken
    ],
)
def test_a_cup_does_not_seal_where_air_gets_in_or_nothing_is_loose(place):
    rig = Rig(**{"mass": 0.5, **place})
    rig.run(2, ejector=-0.2)
    assert not rig.held
    rig.close()


@pytest.mark.parametrize("place", [{"gap": 0.0015}, {"tilt": 0.02}, {"aside": 0.07}])
def test_a_cup_seals_within_the_give_of_its_lip(place):
    rig = Rig(mass=0.5, **place)
    rig.run(1, ejector=-0.2)
    assert rig.held
    rig.close()


def test_what_is_blown_off_falls_and_is_not_sucked_in_again_at_once():
    rig = Rig(mass=0.5, settle=0.3)
    rig.run(2, ejector=-0.2)
    rig.run(1, ejector=0.2)
    assert not rig.held
    rig.world.place("carton", frames.pose((0, 0, 0.15)), mass=0.5)
    rig.run(1, ejector=-0.2)
    assert not rig.held
    rig.run(6, ejector=-0.2)
    rig.world.place("carton", frames.pose((0, 0, 0.15)), mass=0.5)
    rig.run(1, ejector=-0.2)
    assert rig.held
    rig.close()


# ---- what it holds


@pytest.mark.parametrize("substeps", [1, 2])
@pytest.mark.parametrize("aside", [0.0, 0.03])
def test_what_hangs_loads_the_cup_by_its_weight_and_by_its_lever_over_the_radius(aside, substeps):
    rig = Rig(mass=1.0, aside=aside, substeps=substeps, force=60, diameter=0.05)
    rig.run(10, ejector=-0.2)
    assert rig.close() == pytest.approx(1.0 * G * (1 + aside / 0.025) / 60, rel=0.01)


def test_what_is_swung_loads_the_cup_by_shear_over_friction_and_by_its_lever():
    rig, a = Rig(mass=1.0, force=100, friction=0.5, diameter=0.05), 2.0
    rig.run(10, ejector=-0.2)
    rig.run(10, way=lambda t: (a * t * t / 2, 0.0))
    assert rig.close() == pytest.approx((G + a / 0.5 + a * (HEIGHT / 2) / 0.025) / 100, rel=0.03)


@pytest.mark.parametrize(("mass", "stays"), [(5.0, True), (7.0, False)])
def test_the_seal_breaks_where_the_weight_is_beyond_what_the_vacuum_presses(mass, stays):
    rig = Rig(mass=mass, force=60)  # 49 N and 69 N
    rig.run(10, ejector=-0.2)
    assert rig.held is stays
    rig.run(10)  # sucking on; what fell is out of reach
    assert rig.held is stays
    rig.close()


@pytest.mark.parametrize(("friction", "stays"), [(0.6, True), (0.2, False)])
def test_a_slippery_cup_loses_what_it_swings(friction, stays):
    rig = Rig(mass=1.0, force=60, friction=friction)
    rig.run(10, ejector=-0.2)
    rig.run(8, way=lambda t: (8.0 * t * t / 2, 0.0))  # 8 m/s^2: 9.81 + 16 + 8 / friction = 39 N and 66 N
    assert rig.held is stays
    rig.close()


def test_a_worn_cup_drops_what_a_new_one_holds():
    worn = rooms.build("faults", "wear").fields(1.0)
    assert worn == {"force": 0.5, "friction": 0.5}
    rig = Rig(mass=4.0, force=60)
    rig.run(10, ejector=-0.2)
    assert rig.held
    rig.cup = type(rig.cup)(**{**rig.cup.model_dump(), "force": 60 * worn["force"], "friction": 0.5 * worn["friction"]})
    rig.run(4)  # 39 N hang on 30 N
    assert not rig.held
    rig.close()


def test_what_is_held_still_meets_the_floor_and_presses_on_it_no_harder_than_the_vacuum():
    rig = Rig(mass=1.0, force=60)
    rig.run(4, ejector=-0.2)
    rig.run(20, way=lambda t: (0.0, -0.1 * min(1.0, t)))  # the floor is 0.1 m below the carton
    assert rig.world.pose("carton")[2] == pytest.approx(HEIGHT / 2, abs=0.001)
    rig.run(4, way=lambda t: (0.0, -0.003 * min(1.0, 10 * t)))  # 3 mm into it
    contacts = rig.world.contacts("carton")
    assert set(contacts.others) == {"floor"}
    assert contacts.force.sum() == pytest.approx(60 + G, rel=0.05)
    assert contacts.depth.max() < 0.0005
    assert rig.close() < 0


def test_what_is_let_go_collides_with_the_cup_again():
    rig = Rig(mass=0.5)
    rig.run(2, ejector=-0.2)
    rig.run(1, ejector=0.2)
    rig.world.place("carton", frames.pose((0, 0, 0.2 - HEIGHT / 2 + 0.007)), mass=0.5)  # 2 mm into the solid cup
    rig.world.step()
    assert set(rig.world.contacts("carton").others) == {"rig"}
    rig.close()


def test_a_moment_that_is_brought_back_has_the_same_load():
    rig = Rig(mass=1.0, aside=0.02)
    rig.run(4, ejector=-0.2)
    saved, told = rig.world.save(), rig.world.burden("rig/cup_tip")
    rig.run(2, ejector=0.2)
    assert not rig.world.burden("rig/cup_tip").any()
    rig.world.restore(saved)
    assert rig.held
    assert (rig.world.burden("rig/cup_tip") == told).all()
    assert told == pytest.approx([0, 0, G, 0, -0.02 * G, 0], abs=0.05)  # in the cup's axes: z looks down
    rig.close()


# ---- the vacuum switch


def test_the_switch_shows_a_seal_as_late_as_its_response_says():
    spec = read_scene("palletising").vary(0)
    spec = spec.change({"vacuum.response": 0.12, "sensors.plain": {"kind": "vacuum", "response": 0}})
    with Cell(spec, without=[name for name, sensor in spec.sensors.items() if sensor.sees()]) as cell:
        carton = cell.items[0]
        tool = cell.world.pose("arm/cup_tip")[:3]
        cell.world.place(carton.name, frames.pose(tool - [0, 0, carton.height / 2]), mass=0.5)
        shown = []
        for _ in range(8):
            readings = cell.step({"suction": -1.0})
            shown.append((bool(readings["plain"]), bool(readings["vacuum"])))
    assert [clean for clean, _ in shown] == [True] * 8
    late = [slow for _, slow in shown]
    assert late == sorted(late) and 2 <= late.count(False) <= 3  # 0.12 s are between two ticks and three
