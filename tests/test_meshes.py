"""Meshes: solids by hand, files read with their colours, decimation within its tolerance, the cache."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from twinlab import meshes
from twinlab.errors import MeshError
from twinlab.meshes import Mesh

CUBE = meshes.box((0.04, 0.04, 0.04))
SOLIDS = [CUBE, meshes.cylinder(0.02, 0.04), meshes.prism(6, 0.02, 0.04), meshes.chipped(CUBE)]

TETRA = "v 0 0 0\nv 1 0 0\nv 0 2 0\nv 0 0 3\n"
OBJ = "mtllib t.mtl\n" + TETRA + "usemtl red\nf 1 3 2\nf 1 2 4\nusemtl grey\nf 1 4 3\nf 2 3 4\n"
MTL = "newmtl red\nKd 1.0 0.0 0.0\nmap_Kd colors.png\nnewmtl grey\nKd 0.2 0.2 0.2\n"
DAE = """<?xml version="1.0"?>
<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1">
<asset><unit name="centimeter" meter="0.01"/><up_axis>Y_UP</up_axis></asset>
<library_geometries><geometry id="g"><mesh>
<source id="p"><float_array id="a" count="12">0 0 0 1 0 0 0 2 0 0 0 3</float_array><technique_common>
<accessor source="#a" count="4" stride="3"><param name="X" type="float"/><param name="Y" type="float"/>
<param name="Z" type="float"/></accessor></technique_common></source>
<vertices id="v"><input semantic="POSITION" source="#p"/></vertices>
<triangles count="4"><input semantic="VERTEX" source="#v" offset="0"/><p>0 2 1 0 1 3 0 3 2 1 2 3</p></triangles>
</mesh></geometry></library_geometries>
<library_visual_scenes><visual_scene id="s"><node><instance_geometry url="#g"/></node></visual_scene>
</library_visual_scenes><scene><instance_visual_scene url="#s"/></scene></COLLADA>"""


def volume(mesh: Mesh) -> float:
    """By the divergence theorem: negative where faces are wound inwards."""
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces].astype(float), 1, 0)
    return float((np.cross(a, b) * c).sum() / 6)


def ball(rings: int = 60) -> Mesh:
    """A sphere of 0.1 m, red where x > 0 and blue elsewhere."""
    points = np.random.default_rng(0).normal(size=(rings * rings, 3))
    mesh = meshes.hull(0.1 * points / np.linalg.norm(points, axis=1, keepdims=True)).mesh
    middle = mesh.vertices[mesh.faces].mean(axis=1)
    return Mesh(mesh.vertices, mesh.faces, np.where(middle[:, :1] > 0, (1, 0, 0), (0, 0, 1)).astype(np.float32))


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize("solid", SOLIDS)
def test_a_solid_is_closed_convex_and_wound_outwards(solid: meshes.Solid) -> None:
    edges = [tuple(face[[i, (i + 1) % 3]]) for face in solid.mesh.faces for i in range(3)]
    assert len(set(edges)) == len(edges)
    assert {(b, a) for a, b in edges} == set(edges)
    assert volume(solid.mesh) == pytest.approx(ConvexHull(solid.mesh.vertices.astype(float)).volume, rel=1e-5)


def test_volumes_are_those_of_the_textbook() -> None:
    assert volume(meshes.box((1, 2, 3)).mesh) == pytest.approx(6)
    assert volume(meshes.cylinder(1, 2, sides=32).mesh) == pytest.approx(16 * np.sin(np.pi / 16) * 2, rel=1e-5)
    assert volume(meshes.prism(6, 1, 1).mesh) == pytest.approx(1.5 * np.sqrt(3), rel=1e-5)


def test_a_chipped_cube_lacks_one_corner() -> None:
    chipped = meshes.chipped(CUBE, share=0.3)
    corner = (0.45 * 0.04) ** 3 / 6  # the plane cuts 45 % off the three edges of that corner
    assert chipped.form == "hull"
    assert volume(chipped.mesh) == pytest.approx(0.04**3 - corner, rel=1e-5)
    assert np.ptp(chipped.mesh.vertices, axis=0) == pytest.approx([0.04] * 3)
    assert chipped.mesh.vertices.sum(axis=1).max() < 0.047


def test_the_same_solid_is_the_same_object_and_nobody_can_write_to_it() -> None:
    assert meshes.box((0.04, 0.04, 0.04)) is CUBE
    with pytest.raises(ValueError, match="read-only"):
        CUBE.mesh.vertices[0] = 0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: meshes.box((1, -1, 1)), "wanted numbers above 0"),
        (lambda: meshes.cylinder(float("nan"), 1), "wanted numbers above 0"),
        (lambda: meshes.prism(2, 1, 1), "wanted 3 at least"),
        (lambda: meshes.hull(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0.0]])), "not in one plane"),
        (lambda: meshes.chipped(CUBE, share=1.0), "between 0 and 1"),
    ],
)
def test_a_solid_that_cannot_be_is_an_error(make, said: str) -> None:
    with pytest.raises(MeshError, match=said):
        make()


def test_a_box_is_shaded_flat_and_a_cylinder_round() -> None:
    corners = meshes.shading_normals(CUBE.mesh)
    assert np.abs(corners).max(axis=2) == pytest.approx(1)
    assert np.ptp(corners, axis=1) == pytest.approx(0)
    mesh = meshes.cylinder(1, 2).mesh
    places, normals = mesh.vertices[mesh.faces], meshes.shading_normals(mesh)
    side = np.abs(normals[..., 2]) < 0.5
    assert (normals[side][:, :2] * places[side][:, :2]).sum(axis=1) == pytest.approx(1, abs=0.01)


def test_an_obj_file_brings_the_colours_of_its_materials(tmp_path: Path) -> None:
    write(tmp_path, "t.mtl", MTL)
    mesh = meshes.read(write(tmp_path, "t.obj", OBJ))
    assert volume(mesh) == pytest.approx(1)
    assert mesh.colours is not None
    assert sorted(mesh.colours.tolist()) == pytest.approx(np.array([[0.2] * 3, [0.2] * 3, [1, 0, 0], [1, 0, 0]]))


@pytest.mark.parametrize("text", [OBJ, TETRA + "vt 0 0\nf 1/1 3/1 2/1\nf 1/1 2/1 4/1\nf 1/1 4/1 3/1\nf 2/1 3/1 4/1\n"])
def test_an_obj_file_without_its_materials_takes_the_colour_of_the_visual(tmp_path: Path, text: str) -> None:
    assert meshes.read(write(tmp_path, "t.obj", text)).colours is None


def test_a_dae_file_is_scaled_by_its_unit(tmp_path: Path) -> None:
    mesh = meshes.read(write(tmp_path, "t.dae", DAE))
    assert mesh.vertices.max(axis=0) == pytest.approx([0.01, 0.02, 0.03])


def test_stl_and_ply_files_are_read(tmp_path: Path) -> None:
    facets = "".join(
        "facet normal 0 0 0\nouter loop\n"
        + "".join(f"vertex {x} {y} {z}\n" for x, y, z in corner)
        + "endloop\nendfacet\n"
        for corner in CUBE.mesh.vertices[CUBE.mesh.faces].tolist()
    )
    stl = meshes.read(write(tmp_path, "t.stl", f"solid t\n{facets}endsolid t\n"))
    assert volume(stl) == pytest.approx(0.04**3, rel=1e-5)
    assert stl.colours is None
    head = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    head += "property uchar red\nproperty uchar green\nproperty uchar blue\n"
    head += "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    ply = meshes.read(
        write(tmp_path, "t.ply", head + "".join(f"{v} 0 255 0\n" for v in ("0 0 0", "1 0 0", "0 1 0")) + "3 0 1 2\n")
    )
    assert ply.colours is not None
    assert ply.colours.tolist() == [[0, 1, 0]]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("t.obj", "", "no triangles"),
        ("t.obj", TETRA, "no triangles"),
        ("t.obj", TETRA + "f 1 2 9\n", "export it again"),
        ("t.obj", TETRA.replace("3", "nan") + "f 1 2 4\n", "not finite"),
        ("t.stl", "not a mesh", "export it again"),
        ("t.ply", "ply\nformat ascii 1.0\n", "export it again"),
        ("t.dae", DAE[:700], "export it again"),
        ("t.step", "ISO-10303", "convert it to one of .obj"),
    ],
)
def test_a_broken_file_is_an_error_that_names_it(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = write(tmp_path, name, text)
    with pytest.raises(MeshError, match=said) as told:
        meshes.read(path)
    assert str(path) in str(told.value)


@pytest.mark.parametrize("verb", [meshes.read, meshes.cached])
def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path, verb) -> None:
    with pytest.raises(MeshError, match=r"no mesh file .*nothing\.obj"):
        verb(tmp_path / "nothing.obj")


def test_decimation_keeps_shape_and_colours() -> None:
    full = ball()
    small = meshes.decimated(full, faces=800, tolerance=0.002)
    assert len(small.faces) <= 1000 < len(full.faces)
    middle = small.vertices[small.faces].mean(axis=1)
    assert np.linalg.norm(small.vertices, axis=1) == pytest.approx(0.1, abs=0.002)
    assert np.linalg.norm(middle, axis=1) == pytest.approx(0.1, abs=0.002)
    clear = np.abs(middle[:, 0]) > 0.01
    assert small.colours is not None
    assert ((small.colours[:, 0] == 1) == (middle[:, 0] > 0))[clear].all()


def test_decimation_takes_more_faces_where_the_tolerance_asks_for_them() -> None:
    full = ball()
    coarse, fine = (meshes.decimated(full, faces=100, tolerance=t) for t in (0.01, 0.001))
    assert len(coarse.faces) < len(fine.faces) < len(full.faces)
    assert meshes.distance(full, coarse) <= 0.01
    assert meshes.distance(full, fine) <= 0.001
    assert meshes.decimated(full, faces=100, tolerance=0) is full
    assert meshes.decimated(CUBE.mesh) is CUBE.mesh


def test_the_distance_of_two_surfaces_is_the_larger_one_of_both_ways() -> None:
    small, large = meshes.box((1, 1, 1)).mesh, meshes.box((1, 1, 1.5)).mesh
    assert meshes.distance(small, large) == pytest.approx(0.25, abs=1e-5)
    part = Mesh(small.vertices, small.faces[:-1])
    assert meshes.distance(small, part) == meshes.distance(part, small) > 0.2


def test_the_cache_follows_the_content_of_the_file_and_of_its_materials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWINLAB_CACHE", str(tmp_path / "cache"))
    write(tmp_path, "t.mtl", MTL)
    path = write(tmp_path, "t.obj", OBJ)
    first = meshes.cached(path)
    assert meshes.cached(path) is first
    assert len(list(meshes.cache_folder().glob("*.npz"))) == len(list(meshes.cache_folder().iterdir())) == 1
    write(tmp_path, "t.mtl", MTL.replace("Kd 1.0", "Kd 0.5"))
    second = meshes.cached(path)
    assert second is not first
    assert second.colours.max() == pytest.approx(0.5, abs=0.01)


def test_a_hit_needs_neither_reader_nor_decimation_and_a_damaged_one_is_made_again(tmp_path: Path) -> None:
    write(tmp_path, "t.mtl", MTL)
    path = write(tmp_path, "t.obj", OBJ)
    code = (
        "import sys; from twinlab import meshes; mesh = meshes.cached(sys.argv[1], 3, 10.0); "
        "print(len(mesh.faces), 'open3d' in sys.modules, 'trimesh' in sys.modules)"
    )

    def run(folder: Path) -> str:
        env = {**os.environ, "TWINLAB_CACHE": str(folder)}
        done = subprocess.run([sys.executable, "-c", code, path], env=env, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    made = run(tmp_path / "cache")
    assert made.endswith("True True")
    assert run(tmp_path / "cache") == made.replace("True", "False")
    (kept,) = (tmp_path / "cache" / "meshes").glob("*.npz")
    kept.write_bytes(kept.read_bytes()[:100])
    assert run(tmp_path / "cache") == made
    assert run(path) == made  # a file where the folder should be: nothing is kept, the mesh is there all the same
