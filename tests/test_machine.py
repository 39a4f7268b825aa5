"""The devices of a machine that is tended against what can be worked out, and every rule of its controller."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from twinlab import frames, meshes, rooms
from twinlab.bodies import Body
from twinlab.errors import CellError
from twinlab.events import Event
from twinlab.kpi import reckoned
from twinlab.snapshot import Piece
from twinlab.world import World

TICK = 0.05


def block(size: tuple[float, float, float]) -> Piece:
    return Piece(meshes.box(size), frames.IDENTITY, (0.5, 0.5, 0.5))


def runs(world: World, body: Body, state: object, ticks: int, value: float = 0.0) -> object:
    """So many ticks with one set-point."""
    for _ in range(ticks):
        state = body.command("it", world, state, {"it": value}, TICK)
        for _ in range(round(TICK / world.timestep)):
            state, _ = body.advance("it", world, state)
            world.step()
    return body.command("it", world, state, {"it": 0.0}, TICK)  # which samples


# ---- door


def test_a_door_slides_at_its_speed_and_stops_at_its_ends():
    door = rooms.build("bodies", "door", speed=0.2, stroke=0.2, position=(0, 0, 0.2))
    with World() as world:
        state = door.write("it", world, door.build("it", world, ()), "open", False)
        state = runs(world, door, state, 10)
        assert door.tags("it", world, state) == {
            "open": False,
            "closed": False,
            "position": pytest.approx(0.1, abs=0.002),
        }
        state = runs(world, door, state, 12)
        assert door.tags("it", world, state)["closed"]
        state = runs(world, door, door.write("it", world, state, "open", True), 24)
        assert door.tags("it", world, state)["position"] == pytest.approx(0.2, abs=0.0005)


def test_an_obstacle_stops_a_door_which_presses_with_its_force_and_no_more():
    door = rooms.build("bodies", "door", position=(0, 0, 0.2), size=(0.2, 0.2, 0.02), stroke=0.2)
    with World(substeps=2) as world:
        state = door.write("it", world, door.build("it", world, ()), "open", False)
        world.add("wall", [block((0.02, 0.1, 0.1))], frames.pose((0, 0, 0.2)))  # the panel's edge meets it at 0.11 m
        state = runs(world, door, state, 40)
        assert state.position == pytest.approx(0.11, abs=0.002)
        assert np.abs(world.contacts("it").force.sum()) == pytest.approx(door.force, rel=0.05)
        world.place("wall", frames.pose((0, 0, -1)))
        assert door.tags("it", world, runs(world, door, state, 20))["closed"]


# ---- chuck


def clamped(off: tuple[float, float], diameter: float = 0.04, **fields: float) -> tuple[World, Body, object]:
    """A chuck that has had two seconds to clamp a part that stood beside its axis."""
    world, chuck = World(substeps=2, iterations=60), rooms.build("bodies", "chuck", position=(0, 0, 0.1), **fields)
    state = chuck.build("it", world, ())
    part = Piece(meshes.cylinder(diameter / 2, 0.06), frames.IDENTITY, (0, 0, 0))
    world.add("part", [part], frames.pose((*off, 0.1301)), 0.2, friction=0.8)
    return world, chuck, runs(world, chuck, state, 40, -1.0)


@pytest.mark.parametrize(
    ("off", "diameter"), [((0.003, 0.002), 0.04), ((-0.004, 0.001), 0.037), ((0.0, -0.002), 0.043)]
)
def test_a_chuck_centres_what_it_clamps_and_presses_with_its_force(off, diameter):
    world, chuck, state = clamped(off, diameter)
    with world:
        tags, contacts = chuck.tags("it", world, state), world.contacts("it")
        assert tags["clamped"] and tags["part"] == "part" and not tags["open"]
        assert world.pose("part")[:2] == pytest.approx([0, 0], abs=0.0003)
        assert tags["radius"] == pytest.approx(diameter / 2, abs=0.0004)
        forces = dict.fromkeys(("it/jaw_1", "it/jaw_2", "it/jaw_3"), 0.0)
        for _ in range(48):  # the solver shares the load out anew at each step
            state = runs(world, chuck, state, 0)
            chuck.advance("it", world, state)
            world.step()
            contacts = world.contacts("it")
            for link, force in zip(contacts.links, contacts.force, strict=True):
                forces[link] = forces.get(link, 0.0) + force / 48
        assert forces["it/jaw_1"] == pytest.approx(
            chuck.force, rel=0.02
        )  # it leads; the others bear what friction leaves
        assert 0.2 * chuck.force < min(forces["it/jaw_2"], forces["it/jaw_3"])
        assert contacts.depth.max() < 0.001


def test_friction_holds_a_part_in_a_chuck_up_to_what_its_jaws_press():
    """Three jaws at 80 N and a coefficient of 0.6 · 0.8 hold 115 N at most: a part of 4 kg, but not one of 40 kg."""
    for mass, stays in ((4.0, True), (40.0, False)):
        world, chuck, state = clamped((0, 0))
        with world:
            face = world.pose("part")[2]
            world.place("it", frames.pose((0, 0, 0.09)))  # jaws go down with the body, the part stays between them
            world.place("part", frames.pose((0, 0, face)), mass=mass)
            runs(world, chuck, state, 8)
            assert (world.pose("part")[2] > face - 0.002) == stays


def test_an_empty_chuck_closes_without_clamping_and_a_locked_one_does_not_open():
    world, chuck, state = clamped((0.2, 0))
    with world:
        tags = chuck.tags("it", world, state)
        assert not tags["clamped"] and not tags["part_present"]
        state = runs(world, chuck, chuck.write("it", world, state, "locked", True), 20, 1.0)
        assert not chuck.tags("it", world, state)["open"]
        state = runs(world, chuck, chuck.write("it", world, state, "locked", False), 20, 1.0)
        assert chuck.tags("it", world, state)["open"]


def test_a_set_point_below_half_leaves_a_chuck_as_it_is():
    world, chuck, state = clamped((0, 0))
    with world:
        assert chuck.tags("it", world, runs(world, chuck, state, 10, 0.5))["clamped"]
        assert chuck.tags("it", world, runs(world, chuck, state, 20, 0.51))["open"]


# ---- button, lamp, enclosure


@pytest.mark.parametrize(("mass", "pressed"), [(0.6, False), (1.2, True)])  # 5.9 N and 11.8 N on a spring of 8 N
def test_a_weight_beyond_its_spring_presses_a_button(mass, pressed):
    button = rooms.build("bodies", "button", position=(0, 0, 0))
    with World() as world:
        state = button.build("it", world, ())
        top = button.region().high[2]
        world.add("weight", [block((0.03, 0.03, 0.03))], frames.pose((0, 0, top + 0.0151)), mass)
        state = runs(world, button, state, 20)
        assert button.tags("it", world, state)["pressed"] == pressed
        world.place("weight", frames.pose((1, 0, 0.5)))
        assert button.tags("it", world, runs(world, button, state, 10)) == {
            "pressed": False,
            "position": pytest.approx(0, abs=2e-4),
        }


def test_the_lens_that_is_lit_stands_around_its_dull_one_and_the_others_are_out_of_sight():
    lamp = rooms.build("bodies", "lamp", position=(0, 0, 0.2), pole=0.05, height=0.03)
    with World() as world:
        state = lamp.write("it", world, lamp.build("it", world, ()), "colour", "green")
        runs(world, lamp, state, 20)
        heights = {colour: world.pose(f"it/{colour}")[2] for colour in lamp.lenses}
        assert heights.pop("green") == pytest.approx(0.2 + 0.05 + 1.5 * 0.03, abs=1e-4)
        assert max(heights.values()) < -2
        assert lamp.tags("it", world, state) == {"colour": "green", "on": True}
        with pytest.raises(CellError, match="Did you mean 'green'"):
            lamp.write("it", world, state, "colour", "gren")
    with pytest.raises(ValidationError, match="each is one of"):
        rooms.build("bodies", "lamp", lenses=("pink",))


def test_an_enclosure_is_shut_all_around_and_open_at_the_hatch_and_its_windows_are_clear():
    shell = rooms.build("bodies", "enclosure", position=(0, 0, 0))
    with World() as world:
        shell.build("it", world, ())
        x, y, z = shell.size
        middle = np.array([0, 0, 0.15])
        starts = middle + np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1]])
        shares, _ = world.hits(starts, np.tile(middle, (5, 1)))
        assert shares == pytest.approx([1 - x / 2, 1 - x / 2, 1 - y / 2, 1 - y / 2, 1])
        beside = [
            [s * (h / 2 + d), 0, 1.0] for s in (-1, 1) for h, d in ((shell.hatch[0], 0.002), (shell.hatch[0], -0.002))
        ]
        roof, _ = world.hits(np.array(beside), np.array(beside) * (1, 1, 0.15))
        assert roof == pytest.approx([(1 - z) / 0.85, 1, (1 - z) / 0.85, 1])
        drawn = [
            v.pose[2]
            for v in world.snapshot().visuals
            if len(v.mesh.faces) == 12 and np.ptp(v.mesh.vertices[:, 2]) > 0.1
        ]
        assert len(drawn) == 4  # of what is high only the corner posts are drawn


# ---- the controller


READY = {
    "door.open": True, "door.closed": False, "chuck.part_present": True, "chuck.clamped": True, "chuck.part": "a",
    "button.pressed": False,
}  # fmt: skip
SHUT = {"door.open": False, "door.closed": True}


class Scans:
    """A controller that is given tags, scan by scan, one a tick."""

    def __init__(self, **fields: object) -> None:
        names = {key: key for key in ("door", "chuck", "button", "lamp")}
        self.body = rooms.build("bodies", "machine", **{**names, "cycle": 1.0, **fields})
        self.state, self.time = self.body.build("it", None, ()), 0.0
        self.writes: dict = {}
        self.events: list[Event] = []

    def scan(self, ticks: int = 1, inside: bool = False, **tags: object) -> str:
        """Scan under the ready line's tags but for those given ("door_open"); gives the phase."""
        seen = READY | {key.replace("_", ".", 1): value for key, value in tags.items()}
        for _ in range(ticks):
            state = replace(self.state, inside=inside)
            self.state, writes, events = self.body.scan("it", state, seen, self.time)
            self.writes |= writes
            self.events += events
            self.time += TICK
        return self.state.phase

    def kinds(self) -> list[tuple[str, str]]:
        return [(e.kind, e.place) for e in self.events if e.kind != "state"]


def shut(**tags: object) -> dict:
    return {"door_open": False, "door_closed": True, **tags}


def working(**fields: object) -> Scans:
    plc = Scans(**fields)
    plc.scan()
    assert plc.scan(button_pressed=True) == "closing"
    assert plc.writes["door.open"] is False and plc.writes["chuck.locked"] is True
    assert plc.scan(door_open=False) == "closing"
    assert plc.scan(**shut()) == "working"
    return plc


def test_a_cycle_lasts_as_long_as_it_shall_and_ends_with_an_open_door_and_a_free_chuck():
    plc = working()
    assert plc.scan(19, **shut()) == "working"
    assert plc.scan(**shut()) == "opening"
    assert plc.writes["door.open"] is True and plc.writes["chuck.locked"] is True
    assert plc.scan(door_open=False) == "opening"
    assert plc.scan() == "done"
    assert plc.writes["chuck.locked"] is False and plc.writes["lamp.colour"] == "blue"
    assert plc.kinds() == [("started", "a"), ("finished", "a")] and plc.events[-3].right
    assert plc.scan(chuck_part_present=False) == "waiting" and plc.writes["lamp.colour"] == "yellow"
    started, finished = (next(e.time for e in plc.events if e.kind == k) for k in ("started", "finished"))
    assert finished - started == pytest.approx(1.0)
    assert reckoned(plc.events, np.ones(40, bool), TICK, 1.0).utilisation == pytest.approx(0.5)


def test_shares_say_how_long_each_cycle_takes_and_faults_which_one_is_faulty():
    plc = working(shares=(0.5,), faults=(0,))
    assert plc.scan(9, **shut()) == "working" and plc.scan(**shut()) == "opening"
    assert plc.scan() == "done" and plc.writes["lamp.colour"] == "red"
    assert [e.right for e in plc.events if e.kind == "finished"] == [False]


@pytest.mark.parametrize(
    ("why", "inside", "tags"),
    [
        ("inside", True, {}),
        ("no_part", False, {"chuck_part_present": False}),
        ("no_part", False, {"chuck_clamped": False}),
    ],
)
def test_a_start_that_an_interlock_forbids_is_refused(why, inside, tags):
    plc = Scans()
    plc.scan()
    assert plc.scan(2, inside=inside, button_pressed=True, **tags) == "waiting"
    assert plc.kinds() == [("violation", why)]  # once for one push
    assert "door.open" not in plc.writes


def test_a_finished_part_is_not_machined_again():
    plc = working()
    plc.scan(20, **shut())
    plc.scan()
    assert plc.scan(button_pressed=True) == "done"
    assert plc.kinds()[-1] == ("violation", "finished")


def test_who_comes_in_while_the_door_closes_stops_it_and_it_opens_again():
    plc = Scans()
    plc.scan()
    plc.scan(button_pressed=True)
    assert plc.scan(inside=True, door_open=False) == "stopped"
    assert plc.writes["door.open"] is True and plc.writes["lamp.colour"] == "red"
    assert plc.kinds() == [("violation", "inside"), ("stop", "inside")]
    assert plc.scan(inside=True, button_pressed=True) == "stopped"  # not as long as somebody is in there
    plc.scan()
    assert plc.scan(button_pressed=True) == "closing"
    assert plc.kinds()[2:] == [("violation", "inside"), ("resumed", "")]


def test_who_comes_in_while_it_works_stops_it_and_the_part_is_spoilt():
    plc = working()
    plc.writes.clear()
    assert plc.scan(inside=True, **shut()) == "stopped"
    assert "door.open" not in plc.writes
    assert plc.kinds()[1:] == [("finished", "a"), ("violation", "inside"), ("stop", "inside")]
    assert not any(e.right for e in plc.events)
    assert plc.scan(button_pressed=True, **shut()) == "opening"
    assert plc.scan() == "done" and plc.writes["lamp.colour"] == "red"


def test_a_part_that_comes_loose_or_a_door_that_opens_stops_a_cycle():
    for tags, why in ((shut(chuck_clamped=False), "chuck"), ({"door_open": False}, "door")):
        plc = working()
        assert plc.scan(**tags) == "stopped"
        assert plc.kinds()[1:] == [("finished", "a"), ("stop", why)]


def test_a_door_that_does_not_close_in_time_stops_it():
    plc = Scans(patience=0.5)
    plc.scan()
    plc.scan(button_pressed=True)
    assert plc.scan(10, door_open=False) == "closing"
    assert plc.scan(door_open=False) == "stopped"
    assert plc.kinds() == [("stop", "door")] and plc.writes["door.open"] is True


def test_cycles_vary_within_their_bounds_and_not_at_all_on_the_nominal_line():
    machine = rooms.build("bodies", "machine", spread=0.4, faulty=0.5)
    drawn = machine.drawn(np.random.default_rng(1))
    assert 0.6 <= min(drawn.shares) < 0.8 and 1.2 < max(drawn.shares) <= 1.4
    assert 0 < len(drawn.faults) < len(drawn.shares)
    nominal = rooms.build("bodies", "machine", spread=0, faulty=0).drawn(np.random.default_rng(1))
    assert set(nominal.shares) == {1.0} and nominal.faults == ()


def test_a_controller_without_one_of_its_devices_says_so():
    with pytest.raises(CellError, match=r"no tag 'dor.open' to read.*Did you mean 'door.open'"):
        Scans(door="dor").scan()
