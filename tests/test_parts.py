"""Parts: what they weigh and turn like by hand, flaws, hulls and their cache, contacts that come to rest."""

import importlib.util
from pathlib import Path

import coacd
import numpy as np
import pybullet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.spatial.transform import Rotation
from test_memory import alone, slope

from twinlab import frames, meshes, rooms
from twinlab.errors import MeshError, SceneError, WorldError
from twinlab.parts import Part
from twinlab.snapshot import Piece
from twinlab.world import World

FOLDER = Path(__file__).parents[1] / "scenes/meshes"
STEEL = 7850.0
GREY = (0.5, 0.5, 0.5)
BOLT, NUT, WASHER, VIAL = (
    Part(form="mesh", mesh=f"{name}.stl", unit="mm", density=STEEL)
    for name in ("hex_bolt", "hex_nut", "washer", "vial")
)


def find(name: str) -> Path:
    return FOLDER / name


def nowhere(name: str) -> Path:
    raise AssertionError(f"nothing to find, and {name!r} was asked for")


def polygon(diameter: float) -> float:
    """Area of a ring's 24 corners."""
    return 3 * diameter**2 * np.sin(np.pi / 12)


@pytest.mark.parametrize(
    ("part", "volume", "moments"),
    [
        (Part(size=(0.1, 0.2, 0.3)), 0.006, np.array([0.13, 0.1, 0.05]) / 12),
        (Part(form="cylinder", size=(0.2, 0.1)), 0.001 * np.pi, np.array([0.01 / 3, 0.01 / 3, 0.005])),
        (Part(form="tube", size=(0.2, 0.1, 0.1)), 0.00075 * np.pi, [0.0475 / 12, 0.0475 / 12, 0.00625]),
        (Part(form="prism", size=(0.2, 0.1)), 0.0015 * 3**0.5, [35 / 12000, 35 / 12000, 50 / 12000]),
    ],
)
def test_forms_weigh_and_turn_as_in_the_textbook(part, volume, moments):
    assert part.weight(nowhere) == pytest.approx(1000 * volume, rel=1e-6)
    assert part.inertia(nowhere) == pytest.approx(np.array(moments) * 1000 * volume, rel=1e-5)


def test_a_part_weighs_its_mass_if_it_has_one_and_is_twice_as_heavy_at_twice_the_density():
    assert Part(mass=0.25).weight(nowhere) == pytest.approx(0.25)
    assert Part(density=2000).weight(nowhere) == pytest.approx(2 * Part().weight(nowhere))


def test_a_bolt_is_its_head_and_its_shank():
    head, shank = 13**2 * 3**0.5 / 2 * 5.3, polygon(8) * 29.2
    tip = (polygon(6.8) + polygon(8) + np.sqrt(polygon(6.8) * polygon(8))) / 3 * 0.8
    tip_centre = -29.2 - 0.8 * (polygon(8) + 2 * np.sqrt(polygon(6.8) * polygon(8)) + 3 * polygon(6.8)) / (
        4 * (polygon(8) + np.sqrt(polygon(6.8) * polygon(8)) + polygon(6.8))
    )
    volume = head + shank + tip
    centre = (head * 2.65 - shank * 14.6 + tip * tip_centre) / volume
    assert BOLT.weight(find) == pytest.approx(STEEL * volume * 1e-9, rel=1e-6)
    assert BOLT.foot(find) == pytest.approx((30 + centre) / 1000, rel=1e-5)
    assert BOLT.extent(find) == pytest.approx([26 / 3**0.5 / 1000, 0.013, 0.0353], abs=0.0002)


@given(st.tuples(*[st.floats(0.01, 10)] * 3), st.tuples(*[st.floats(-3, 3)] * 3), st.tuples(*[st.floats(-5, 5)] * 3))
@settings(max_examples=50, deadline=None)
def test_the_bulk_of_a_box_is_that_of_a_box_wherever_it_stands(size, angles, at):
    turn, box = Rotation.from_euler("xyz", angles), meshes.box(size).mesh
    found = meshes.bulk(meshes.made(turn.apply(box.vertices) + at, box.faces))
    square = np.square(size)
    moments = np.prod(size) / 12 * (square.sum() - square)
    near = 1e-4 * max(1, *np.abs(at)) / min(size)  # vertices are float32
    assert found.closed
    assert found.volume == pytest.approx(np.prod(size), rel=near)
    assert found.centre == pytest.approx(at, abs=1e-3 * near * max(size) + 1e-5)
    expected = turn.as_matrix() @ np.diag(moments) @ turn.as_matrix().T
    assert np.abs(found.inertia - expected).max() < near * moments.max()


def obj(folder: Path, mesh: meshes.Mesh, name: str = "part.obj") -> Path:
    lines = [f"v {x} {y} {z}" for x, y, z in mesh.vertices.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (mesh.faces + 1).tolist()]
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


def test_a_file_in_inches_is_a_box_of_inches(tmp_path):
    obj(tmp_path, meshes.box((1, 2, 3)).mesh)
    part = Part(form="mesh", mesh="part.obj", unit="inch", contact="hull")
    assert part.weight(tmp_path.joinpath) == pytest.approx(1000 * 6 * 0.0254**3, rel=1e-5)
    assert part.extent(tmp_path.joinpath) == pytest.approx(np.array([1, 2, 3]) * 0.0254, rel=1e-5)


def test_a_mesh_that_is_not_closed_weighs_as_much_as_its_hull_and_says_so(tmp_path):
    box = meshes.box((0.1, 0.1, 0.1)).mesh
    obj(tmp_path, meshes.made(box.vertices, box.faces[1:]))
    part = Part(form="mesh", mesh="part.obj", unit="m", contact="hull")
    assert part.weight(tmp_path.joinpath) == pytest.approx(1, rel=1e-5)
    assert "not a closed surface" in part.notes(tmp_path.joinpath)[1]
    assert len(BOLT.notes(find)) == 1


def test_a_mesh_that_encloses_nothing_or_is_not_there_is_an_error(tmp_path):
    sheet = meshes.made(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]]), np.array([[0, 1, 2], [1, 3, 2]]))
    obj(tmp_path, sheet)
    part = Part(form="mesh", mesh="part.obj", unit="m")
    with pytest.raises(MeshError, match="no hull with a volume"):
        part.weight(tmp_path.joinpath)
    with pytest.raises(MeshError, match="no mesh file"):
        part.pieces(lambda name: tmp_path / "gone" / name)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"form": "tube", "size": (0.02, 0.03, 0.01)}, "inner diameter must be below its outer one"),
        ({"form": "cylinder", "size": (0.02, 0.03, 0.01)}, "a cylinder has 2 lengths above 0"),
        ({"size": (0.02, 0, 0.01)}, "a box has 3 lengths above 0"),
        ({"mass": 1, "density": 1000}, "give one of them"),
        ({"form": "mesh"}, "a file go together"),
        ({"mesh": "a.stl"}, "a file go together"),
        ({"form": "mesh", "mesh": "a.stl"}, "wanted one of"),
        ({"form": "mesh", "mesh": "a.dae", "unit": "mm"}, "leave it out"),
        ({"unit": "mm"}, "leave it out"),
        ({"colour": (1.2, 0, 0)}, "between 0 and 1"),
        ({"mass": 0}, "greater than 0"),
        ({"frction": 0.5}, "Extra inputs"),
    ],
)
def test_a_part_that_cannot_be_says_why(fields, said):
    with pytest.raises(ValidationError, match=said):
        Part(**fields)


@pytest.mark.parametrize(
    ("part", "turn"),
    [
        (Part(), np.pi / 2), (Part(size=(0.1, 0.2, 0.1)), np.pi), (Part(form="cylinder"), 0),
        (Part(form="prism"), np.pi / 3), (BOLT, 2 * np.pi), (Part(symmetry=1.5), 1.5),
        (Part().flawed("chipped"), 2 * np.pi), (Part().flawed("oversized"), np.pi / 2),
    ],
)  # fmt: skip
def test_a_part_knows_by_which_turn_it_looks_the_same(part, turn):
    assert part.symmetry == pytest.approx(turn)
    assert Part(**part.model_dump()) == part


@pytest.mark.parametrize("part", [Part(), Part(form="tube"), Part(mass=0.2, form="prism"), BOLT])
def test_an_oversized_part_is_1_3_times_as_long_and_a_chipped_one_lacks_a_corner(part):
    large, chipped = part.flawed("oversized"), part.flawed("chipped")
    assert large.extent(find) == pytest.approx(1.3 * part.extent(find), rel=1e-5)
    assert large.weight(find) == pytest.approx(1.3**3 * part.weight(find), rel=1e-5)
    assert 0.9 * part.weight(find) < chipped.weight(find) < 0.99 * part.weight(find)
    drawn = [p for p in chipped.pieces(find) if not p.hidden]
    assert len(drawn) == 1
    assert part.flawed("") == part


def test_a_chipped_mesh_is_the_chipped_form(tmp_path):
    obj(tmp_path, meshes.box((0.04, 0.04, 0.04)).mesh)
    part = Part(form="mesh", mesh="part.obj", unit="m", contact="hull").flawed("chipped")
    form = Part().flawed("chipped")
    solid = meshes.chipped(meshes.box((0.04, 0.04, 0.04)))
    assert part.weight(tmp_path.joinpath) == pytest.approx(form.weight(nowhere), rel=1e-5)
    assert form.weight(nowhere) == pytest.approx(1000 * meshes.bulk(solid.mesh).volume, rel=1e-5)
    drawn, hull = part.pieces(tmp_path.joinpath)
    assert meshes.bulk(drawn.solid.mesh).closed
    assert meshes.distance(drawn.solid.mesh, hull.solid.mesh) < 1e-6


def test_an_unknown_flaw_is_an_error():
    with pytest.raises(SceneError, match=r"no defect 'bent' of a part; there are \['chipped', 'oversized'\]"):
        BOLT.flawed("bent")


def test_a_mesh_is_drawn_once_and_collides_as_hulls_and_comes_as_the_same_objects():
    drawn, *hulls = WASHER.pieces(find)
    assert drawn.solid.form == "surface" and not drawn.hidden
    assert len(hulls) > 3
    assert all(p.solid.form == "hull" and p.hidden for p in hulls)
    assert Part(**WASHER.model_dump()).pieces(find) is WASHER.pieces(find)


def test_hulls_have_at_most_64_corners_and_tell_how_far_off_they_are():
    found = meshes.convex(find("hex_bolt.stl"), 0.001)
    assert [len(s.mesh.vertices) <= 64 for s in found.solids] == [True, True]
    assert abs(found.excess) < 0.01
    assert found.lacking < 0.0001
    assert found.standing < 0.0001
    whole = meshes.convex(find("hex_bolt.stl"), 0.001, threshold=1.0)
    assert len(whole.solids) == 1
    assert whole.standing > 0.003  # between the head's rim and the shank
    assert whole.excess > 0.5


def test_hulls_are_the_same_in_a_new_cache_and_a_hit_needs_no_decomposition(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("decomposed again")

    def corners() -> list[bytes]:
        monkeypatch.setattr(meshes, "_convexes", {})
        return [s.mesh.vertices.tobytes() for s in meshes.convex(find("hex_bolt.stl"), 0.001).solids]

    before = corners()
    monkeypatch.setenv("TWINLAB_CACHE", str(tmp_path))
    assert corners() == before
    monkeypatch.setattr(coacd, "run_coacd", refuse)
    assert corners() == before
    (kept,) = meshes.cache_folder().glob("*.npz")
    kept.write_bytes(kept.read_bytes()[:100])
    with pytest.raises(RuntimeError, match="decomposed again"):
        corners()


def put(world: World, name: str, part: Part, pose: np.ndarray) -> None:
    world.add(name, part.pieces(find), pose, part.weight(find), part.friction, part.rolling)
    number = world.bodies.index(name)
    moments = part.inertia(find).tolist()
    pybullet.changeDynamics(number, -1, localInertiaDiagonal=moments, physicsClientId=world.client)


def floor(world: World) -> None:
    world.add("floor", [Piece(meshes.box((2, 2, 0.1)), frames.pose((0, 0, -0.05)), GREY)], frames.IDENTITY)


@pytest.fixture
def world():
    with World(step=1 / 240, iterations=60) as world:
        yield world


@pytest.mark.parametrize(
    "part",
    [Part(), Part(form="prism"), Part(form="tube"), Part(form="cylinder"), Part().flawed("chipped"), NUT, WASHER],
    ids=str,
)
def test_a_part_rests_on_its_face_where_it_is_drawn(world, part):
    floor(world)
    put(world, "part", part, frames.pose((0, 0, part.foot(find) + 0.001)))
    for _ in range(240):
        world.step()
    assert world.pose("part")[2] == pytest.approx(part.foot(find), abs=3e-5)


@pytest.mark.parametrize("part", [BOLT, NUT, WASHER], ids=lambda part: part.mesh)
def test_parts_that_are_dropped_come_to_rest(world, part):
    floor(world)
    rng = np.random.default_rng(3)
    names = [f"part{i}" for i in range(6)]
    for i, name in enumerate(names):
        put(world, name, part, np.array([0.06 * (i % 3), 0.06 * (i // 3), 0.05, *Rotation.random(rng=rng).as_quat()]))
    for _ in range(720):
        world.step()
    corners = np.concatenate([frames.apply(p.pose, p.solid.mesh.vertices) for p in part.pieces(find) if p.hidden])
    for i, name in enumerate(names):
        pose = world.pose(name)
        assert np.linalg.norm(world.velocity(name)[:3]) < 0.001
        assert world.contacts(name).depth.max() < 0.0005
        assert abs(frames.apply(pose, corners)[:, 2].min()) < 0.0003
        assert np.abs(pose[:2] - (0.06 * (i % 3), 0.06 * (i // 3))).max() < 0.06


def test_a_hole_is_a_hole(world):
    floor(world)
    world.add("washer", WASHER.pieces(find), frames.pose((0, 0, 0.0008)))
    above = np.array([[0.0, 0, 0.1], [0.0062, 0, 0.1]])
    shares, whom = world.hits(above, above - (0, 0, 0.2))
    assert whom == ("floor", "washer")
    assert shares == pytest.approx([0.5, 0.492], abs=5e-4)


def test_compounds_go_the_same_way_to_the_bit_in_another_world_and_after_a_reset(world):
    def trail(world: World) -> np.ndarray:
        floor(world)
        for i, part in enumerate((BOLT, WASHER, NUT)):
            put(world, f"part{i}", part, frames.from_euler((0.005 * i, 0, 0.04 + 0.03 * i), (0.4 * i, 0.3, 0)))
        rows = []
        for _ in range(150):
            world.step()
            rows.append(np.concatenate([world.pose(name) for name in world.bodies]))
        return np.stack(rows)

    first = trail(world)
    world.reset()
    assert (trail(world) == first).all()
    with World(step=1 / 240, iterations=60) as other:
        assert (trail(other) == first).all()


def test_a_body_can_be_boxes_cylinders_and_hulls_together(world):
    floor(world)
    feet = [
        Piece(meshes.box((0.02, 0.02, 0.06)), frames.pose((0.1, 0, 0)), GREY),
        Piece(meshes.cylinder(0.01, 0.06), frames.pose((-0.1, 0.1, 0)), GREY),
        Piece(meshes.prism(6, 0.01, 0.06), frames.pose((-0.1, -0.1, 0)), GREY),
    ]
    world.add("stool", [*feet, Piece(meshes.box((0.2, 0.2, 0.02)), frames.pose((0, 0, 0.04)), GREY)],
              frames.pose((0, 0, 0.031)), mass=1.0)  # fmt: skip
    for _ in range(240):
        world.step()
    assert world.pose("stool") == pytest.approx(frames.pose((0, 0, 0.03)), abs=1e-4)


def test_a_body_that_pybullet_could_not_make_whole_is_an_error(world):
    box = Piece(meshes.box((0.1, 0.1, 0.1)), frames.IDENTITY, GREY)
    world.add("many", [box] * 16, frames.IDENTITY)
    with pytest.raises(WorldError, match="more: 17 boxes and cylinders in one body; PyBullet takes 16"):
        world.add("more", [box] * 17, frames.IDENTITY)
    with pytest.raises(WorldError, match="ghost: nothing of it collides"):
        world.add("ghost", [Piece(meshes.surface(box.solid.mesh), frames.IDENTITY, GREY)], frames.IDENTITY)


def resetting() -> float:
    with World() as world:

        def once(_: int) -> None:
            world.reset()
            world.add("bolt", BOLT.pieces(find), frames.IDENTITY, mass=0.01)
            world.add("prism", Part(form="prism").pieces(find), frames.pose((0, 0, 1)), mass=0.01)

        return slope(once, times=600)


def test_hulls_that_come_and_go_leave_the_memory_flat():
    assert alone(resetting) < 1024  # points without a file would leak 1,700 bytes for each of both


def test_the_scenes_meshes_are_what_their_script_makes():
    spec = importlib.util.spec_from_file_location("make", FOLDER / "make.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    assert sorted(f.stem for f in FOLDER.glob("*.stl")) == sorted(m.__name__ for m in make.MESHES)
    for one in make.MESHES:
        mesh, file = one(), find(f"{one.__name__}.stl")
        assert mesh.is_volume
        assert file.read_bytes() == mesh.export(file_type="stl")
        assert file.stat().st_size <= 30_000


def moments(world: World, name: str) -> list[float]:
    """A body's moments of inertia in the physics [kg m^2]."""
    number = world.bodies.index(name)
    return list(pybullet.getDynamicsInfo(number, -1, world.client)[2])


def test_a_part_in_a_tray_has_the_moments_of_its_own_shape():
    bottle = Part(form="tube", size=(0.02, 0.01, 0.03), mass=0.05)
    tray = rooms.build("bodies", "tray", part=bottle, rows=1, columns=1)
    with World() as world:
        tray.build("tray", world, tray.schedule("tray", np.random.default_rng(0)))
        spin = 0.05 * (0.01**2 + 0.005**2) / 2
        across = spin / 2 + 0.05 * 0.03**2 / 12
        assert moments(world, "tray_00") == pytest.approx([across, across, spin])


def test_a_chipped_part_from_a_feeder_is_easier_to_turn_than_a_whole_one():
    feeder = rooms.build("bodies", "feeder", count=30, shapes=("cube",), defects=1.0)
    with World() as world:
        for item in feeder.build("feeder", world, feeder.schedule("feeder", np.random.default_rng(0))).items:
            world.place(item.name, frames.IDENTITY, mass=1.0)
            whole = item.height**2 / 6
            found = moments(world, item.name)
            assert found == pytest.approx([whole] * 3) if item.defect != "chipped" else max(found) < whole
