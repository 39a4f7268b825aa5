"""What `raycast` does beyond its room's contract: single rays, movers, textures, and that it stands in for OpenGL."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from twinlab import frames, meshes
from twinlab.errors import RendererError
from twinlab.frames import Intrinsics
from twinlab.meshes import Mesh
from twinlab.renderers.raycast import Raycast, RaycastView
from twinlab.snapshot import Snapshot, Texture, Visual

RED, GREY = (0.8, 0.1, 0.1), (0.6, 0.6, 0.6)
PLATE = meshes.box((2, 2, 0.1)).mesh  # its upper side lies 0.05 m above its middle
FEW, MANY = meshes.prism(6, 0.1, 0.2).mesh, meshes.prism(200, 0.1, 0.2).mesh  # merged with others, and of its own


def seen(*things: tuple[Mesh, np.ndarray], **of_first: object) -> Snapshot:
    """A snapshot of one body for each mesh at a pose; `of_first` are fields of the first one's visual."""
    names = tuple(f"thing{i}" for i in range(len(things)))
    visuals = tuple(Visual(i, i, mesh, frames.IDENTITY, GREY) for i, (mesh, _) in enumerate(things))
    visuals = (replace(visuals[0], **of_first), *visuals[1:])
    return Snapshot(0.0, names, names, np.stack([pose for _, pose in things]), visuals, {})


def unit(*vectors: tuple[float, float, float]) -> np.ndarray:
    return np.array(vectors) / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def view() -> Iterator[RaycastView]:
    opened = Raycast().open()
    yield opened
    opened.close()


def test_a_ray_tells_how_far_it_is_to_what_and_how_that_is_turned(view: RaycastView) -> None:
    snapshot = seen((PLATE, frames.pose((0, 0, -0.05))), (FEW, frames.pose((0.3, 0, 0.1))))
    starts = np.array([[0.3, 0, 1], [0, 0, 1], [0, 0, 1], [-0.3, 0, 0.1]])
    hits = view.cast(snapshot, starts, unit((0, 0, -1), (0, 3, -4), (0, 0, 1), (1, 0, 0)))
    # onto the prism's top at z = 0.2; aslant onto the plate, 1 m below at a slope of 4/5; into the air; onto its edge
    assert hits.distance[:3] == pytest.approx([0.8, 1.25, np.inf], abs=1e-6)
    assert hits.distance[3] == pytest.approx(0.5, abs=1e-5)
    assert hits.visual.tolist() == [1, 0, -1, 1]
    assert hits.normal[:3] == pytest.approx(np.array([[0, 0, 1], [0, 0, 1], [0, 0, 0]]), abs=1e-6)
    assert (hits.distance.dtype, hits.visual.dtype, hits.normal.dtype) == (np.float32, np.int16, np.float32)


def test_rays_from_anywhere_meet_a_round_thing_where_the_maths_says(view: RaycastView) -> None:
    rng = np.random.default_rng(0)
    turned = frames.from_euler((0.4, -0.2, 0.3), (0.5, -0.4, 1.0))
    starts = rng.normal(0, 1, (2000, 3)) + turned[:3]
    directions = turned[:3] + rng.normal(0, 0.1, (2000, 3)) - starts
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    hits = view.cast(seen((MANY, turned)), starts, directions)
    start, along = (f(frames.inverse(turned), v) for f, v in ((frames.apply, starts), (frames.rotate, directions)))
    a, b = (along[:, :2] ** 2).sum(axis=1), (along[:, :2] * start[:, :2]).sum(axis=1)
    root = b**2 - a * ((start[:, :2] ** 2).sum(axis=1) - 0.01)
    side = (-b - np.sqrt(np.maximum(root, 0))) / a  # where the ray enters the endless cylinder
    on_side = (root > 0) & (side > 0) & (np.abs(start[:, 2] + side * along[:, 2]) < 0.0999)
    grazing = root < 1e-3 * a * 0.01
    told = on_side & ~grazing
    assert told.sum() > 500
    # A prism of 200 sides lies within the cylinder by r(1 - cos(pi/200)) = 1.2e-5 m, more along rays that graze it.
    assert hits.distance[told] == pytest.approx(side[told], abs=1.2e-5 / np.sqrt(1e-3) + 1e-6)
    assert (hits.visual[told] == 0).all()
    past = (root < 0) | ((start[:, 2] > 0.1) & (along[:, 2] > 0)) | ((start[:, 2] < -0.1) & (along[:, 2] < 0))
    assert past.sum() > 300
    assert np.isposinf(hits.distance[past]).all()


@pytest.mark.parametrize("around", [FEW, MANY], ids=["merged", "of its own"])
def test_who_is_inside_a_thing_sees_through_it(view: RaycastView, around: Mesh) -> None:
    snapshot = seen((PLATE, frames.pose((0, 0, -1))), (around, frames.pose((0, 0, 0))))
    hits = view.cast(snapshot, np.zeros((2, 3)), unit((0, 0, -1), (0, 0, 1)))
    assert hits.distance == pytest.approx([0.95, np.inf], abs=1e-6)
    assert hits.visual.tolist() == [0, -1]


@pytest.mark.parametrize("gap", [0.0, 1e-6])
def test_who_looks_out_of_a_thing_sees_what_touches_it(view: RaycastView, gap: float) -> None:
    snapshot = seen((PLATE, frames.pose((0, 0, -0.15 - gap))), (FEW, frames.IDENTITY))
    hits = view.cast(snapshot, np.zeros((1, 3)), unit((0, 0, -1)))
    assert (hits.visual[0], hits.distance[0]) == (0, pytest.approx(0.1, abs=2e-6))


def test_a_cast_agrees_with_the_picture_of_the_same_rays(view: RaycastView) -> None:
    rng = np.random.default_rng(1)
    poses = [frames.from_euler(rng.uniform(-0.4, 0.4, 3), tuple(rng.uniform(-3, 3, 3))) for _ in range(8)]
    snapshot = seen(*((MANY if i % 2 else FEW, pose) for i, pose in enumerate(poses)))
    lens, eye = Intrinsics(60, 40, 55, 60, 28, 22), frames.look_at((0.9, -0.7, 0.6), (0, 0, 0))
    frame = view.render(snapshot, lens, eye)
    rays = lens.rays().reshape(-1, 3)
    size = np.linalg.norm(rays, axis=1)
    directions = frames.rotate(eye, rays / size[:, None])
    hits = view.cast(snapshot, np.broadcast_to(eye[:3], directions.shape), directions)
    same = hits.visual == frame.visual.reshape(-1)
    assert same.mean() > 0.998  # the same ray, rounded twice, may pass an edge on either side
    assert len(np.unique(hits.visual)) == 9
    found = same & (hits.visual >= 0)
    off = hits.distance / size - np.where(found, frame.depth.reshape(-1), 0)
    assert np.abs(off[found]).max() < 1e-4
    assert np.median(np.abs(off[found])) < 1e-6


@pytest.mark.parametrize("mesh", [FEW, MANY], ids=["merged", "of its own"])
def test_what_moves_rests_and_moves_again_is_seen_where_it_is(view: RaycastView, mesh: Mesh) -> None:
    first = seen((PLATE, frames.pose((0, 0, -0.05))), (mesh, frames.IDENTITY), (mesh, frames.pose((0.5, 0, 0.1))))
    places = (0.0, 0.25, 0.25, -0.25, 0.0)
    for x in places:
        poses = first.poses.copy()
        poses[1] = frames.pose((x, 0, 0.1))
        starts = np.array([[0.5, 0, 1], *([place, 0, 1] for place in places)])
        hits = view.cast(replace(first, poses=poses), starts, np.tile([0.0, 0, -1], (6, 1)))
        assert hits.visual.tolist() == [2, *(int(place == x) for place in places)]  # the plate where it is not
        assert hits.distance == pytest.approx([0.8, *(0.8 if place == x else 1.0 for place in places)], abs=1e-6)


def test_what_was_drawn_between_changes_no_bit_even_where_faces_coincide() -> None:
    rng = np.random.default_rng(2)
    first = seen((PLATE, frames.pose((0, 0, -0.3))), *[(FEW, frames.IDENTITY), (MANY, frames.IDENTITY)] * 4)
    lens, eye = Intrinsics.from_fov(48, 48, 0.9), frames.look_at((0.9, -0.7, 0.6), (0, 0, 0))
    used = Raycast().open()
    used.render(first, lens, eye)
    for count in (0, 1, 2, 3, 1):
        poses = first.poses.copy()
        poses[1 : 2 + count, :3] = rng.uniform(-0.3, 0.3, (count + 1, 3))
        snapshot, fresh = replace(first, poses=poses), Raycast().open()
        fresh.render(first, lens, eye)
        one, other = (vars(view.render(snapshot, lens, eye)).values() for view in (used, fresh))
        assert all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))
        fresh.close()
    used.close()


def test_a_texture_lies_on_the_planes_of_the_visuals_axes_and_multiplies_the_colour(view: RaycastView) -> None:
    picture = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[255] * 3, [51] * 3, [102] * 3]], np.uint8)
    texture = Texture(picture, 0.3)  # texels of 0.1 m; two rows, so that it repeats along v each 0.2 m
    plain, covered = (seen((PLATE, frames.IDENTITY), colour=(1, 1, 1), texture=t) for t in (None, texture))
    eye = frames.look_at((0, 0, 1.05), (0, 0, 0), (0, 1, 0))  # x to the right, y upwards in the picture
    lens = Intrinsics(80, 80, 100, 100, 39.5, 39.5)  # a pixel is 1 cm wide on the plate
    bare, dressed = (view.render(one, lens, eye).rgb.astype(float) for one in (plain, covered))
    x, y = (np.arange(80) - 39.5) / 100, (39.5 - np.arange(80)) / 100
    texels = picture[np.floor(y / 0.1).astype(int)[:, None] % 2, np.floor(x / 0.1).astype(int)[None] % 3]
    assert np.abs(dressed - bare * texels / 255).max() < 1.01  # both are rounded


@pytest.mark.parametrize(
    ("starts", "directions", "told"),
    [
        (np.zeros((2, 3)), np.ones((3, 3)), r"\(2, 3\) and directions as \(3, 3\)"),
        (np.zeros(3), np.ones(3), r"wanted \(ray, 3\)"),
        (np.full((1, 3), np.nan), np.ones((1, 3)), "not finite"),
        (np.zeros((1, 3)), np.full((1, 3), np.inf), "not finite"),
    ],
)
def test_rays_that_cannot_be_are_an_error(
    view: RaycastView, starts: np.ndarray, directions: np.ndarray, told: str
) -> None:
    with pytest.raises(RendererError, match=told):
        view.cast(seen((FEW, frames.IDENTITY)), starts, directions)


def test_no_rays_and_an_empty_world_give_empty_answers(view: RaycastView) -> None:
    none = view.cast(seen((FEW, frames.IDENTITY)), np.empty((0, 3)), np.empty((0, 3)))
    assert (none.distance.shape, none.visual.shape, none.normal.shape) == ((0,), (0,), (0, 3))
    empty = Snapshot(0.0, (), (), np.empty((0, 7)), (), {})
    hits = view.cast(empty, np.zeros((2, 3)), unit((0, 0, 1), (1, 0, 0)))
    assert np.isposinf(hits.distance).all() and hits.visual.tolist() == [-1, -1]


def test_a_closed_view_casts_no_more() -> None:
    view = Raycast().open()
    view.close()
    with pytest.raises(RendererError, match="closed"):
        view.cast(seen((FEW, frames.IDENTITY)), np.zeros((1, 3)), unit((0, 0, 1)))


def test_a_number_of_threads_that_cannot_be_is_an_error() -> None:
    with pytest.raises(RendererError, match="raycast: threads came as -1"):
        Raycast(threads=-1)


def test_one_thread_and_two_give_the_same_picture() -> None:
    snapshot = seen((PLATE, frames.pose((0, 0, -0.3))), (MANY, frames.IDENTITY), (FEW, frames.pose((0.3, 0, 0))))
    one, two = (Raycast(threads=n).open() for n in (1, 2))
    lens, eye = Intrinsics.from_fov(160, 120, 0.9), frames.look_at((0.9, -0.7, 0.6), (0, 0, 0))
    pictures = [vars(v.render(snapshot, lens, eye)).values() for v in (one, two)]
    assert all(a.tobytes() == b.tobytes() for a, b in zip(*pictures, strict=True))
    one.close()
    two.close()


def run(code: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_open3d_is_imported_only_when_a_view_is_opened() -> None:
    code = (
        "import sys; from twinlab.renderers.raycast import Raycast; Raycast(); print('open3d' in sys.modules)\n"
        "Raycast().open(); print('open3d' in sys.modules)"
    )
    assert run(code).split() == ["False", "True"]


def test_a_machine_without_open3d_is_told_which_package_it_needs() -> None:
    code = (
        "import sys; sys.modules['open3d'] = None; from twinlab.renderers.raycast import Raycast\n"
        "try: Raycast().open()\n"
        "except Exception as told: print(type(told).__name__, told)"
    )
    told = run(code)
    assert told.startswith("RendererError") and "pip install open3d-cpu" in told


def test_without_opengl_a_cell_sees_by_raycast_and_says_so_once() -> None:
    code = """
import warnings
import numpy as np
from twinlab import renderers
from twinlab.cell import Cell
from twinlab.renderers.raycast import RaycastView
from twinlab.scene import read_scene
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for _ in range(2):
        with Cell(read_scene("sorting")) as cell:
            for _ in range(3):
                cell.step(np.zeros(len(cell.actuators)))
            print(len(np.unique(cell.picture("overhead").mask)) > 3, np.isfinite(cell.picture("wrist").depth).all())
    print(isinstance(renderers.open_view("raster"), RaycastView))
told = [one for one in told if one.category is RuntimeWarning]
print(len(told), "OpenGL" in str(told[0].message), "raycast" in str(told[0].message))
"""
    lines = run(code, __EGL_VENDOR_LIBRARY_FILENAMES="/nowhere").splitlines()
    assert lines == ["True True", "True True", "True", "1 True True"]
