"""Renderers: the contract that every file of the room keeps, and what only `raster` does."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import numpy as np
import psutil
import pybullet
import pytest
from scipy.ndimage import maximum_filter, minimum_filter
from scipy.spatial import ConvexHull

from twinlab import frames, meshes, rooms
from twinlab.errors import RendererError
from twinlab.frames import Intrinsics
from twinlab.meshes import Mesh, _seams
from twinlab.meshes._reduced import _ray_scene
from twinlab.renderers import Frame, View
from twinlab.renderers.raster import Raster
from twinlab.renderers.raycast import Raycast
from twinlab.snapshot import Light, Snapshot, Visual
from twinlab.world import Piece, World

RED, GREY = (0.8, 0.1, 0.1), (0.6, 0.6, 0.6)
DOWN = frames.look_at((0, 0, 1.1), (0, 0, 0), (0, 1, 0))  # x to the right, y upwards in the picture
ASIDE = frames.look_at((0.5, -0.7, 0.6), (0.02, 0.01, 0.05))
LENS = Intrinsics(width=90, height=70, fx=101.3, fy=96.7, cx=41.6, cy=37.2)  # nothing about it is symmetric
BOX = meshes.box((0.2, 0.3, 0.2)).mesh
FLAT = meshes.box((0.1, 0.1, 0.1)).mesh


def seen(*things: tuple[Mesh, np.ndarray, tuple[float, float, float]]) -> Snapshot:
    """A snapshot of one body for each mesh at a pose in a colour."""
    names = tuple(f"thing{i}" for i in range(len(things)))
    visuals = tuple(Visual(i, i, mesh, frames.IDENTITY, colour) for i, (mesh, _, colour) in enumerate(things))
    poses = np.stack([pose for _, pose, _ in things]) if things else np.empty((0, 7))
    return Snapshot(0.0, names, names, poses, visuals, {})


def same(one: Frame, other: Frame) -> bool:
    """Whether two frames have the same bytes."""
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in pairs)


TURNED = frames.from_euler((0.05, 0.02, 0.1), (0.3, -0.5, 0.8))
SCENE = seen((BOX, TURNED, RED), (meshes.box((2, 2, 0.1)).mesh, frames.pose((0, 0, -0.25)), GREY))


@pytest.fixture(params=rooms.names("renderers"), scope="module")
def view(request: pytest.FixtureRequest) -> Iterator[View]:
    opened = rooms.build("renderers", request.param).open()
    yield opened
    opened.close()


def test_a_frame_has_the_shapes_and_types_of_the_contract(view: View) -> None:
    frame = view.render(SCENE, LENS, ASIDE)
    for name, shape, kind in (
        ("rgb", (70, 90, 3), "uint8"),
        ("depth", (70, 90), "float32"),
        ("mask", (70, 90), "int16"),
        ("visual", (70, 90), "int16"),
    ):
        array = getattr(frame, name)
        assert (array.shape, array.dtype, array.flags.c_contiguous) == (shape, np.dtype(kind), True)
    assert (frame.normals.shape, frame.normals.dtype) == ((70, 90, 3), np.dtype("float32"))


def test_a_box_from_above_is_what_one_works_out_by_hand(view: View) -> None:
    frame = view.render(seen((BOX, frames.pose((0, 0, 0.1)), RED)), LENS, DOWN)
    rays = LENS.rays()
    on_top = (np.abs(rays[..., 0] * 0.9) < 0.1) & (np.abs(rays[..., 1] * 0.9) < 0.15)
    assert (frame.mask == np.where(on_top, 0, -1)).all()
    assert frame.depth[on_top] == pytest.approx(0.9, abs=1e-6)
    assert frame.normals[on_top] == pytest.approx(np.tile([0, 0, -1], (on_top.sum(), 1)), abs=1e-3)
    assert np.isposinf(frame.depth[~on_top]).all()
    assert (frame.normals[~on_top] == 0).all()


def test_the_inside_of_the_silhouette_is_exactly_what_projects_into_it(view: View) -> None:
    frame = view.render(seen((BOX, TURNED, RED)), LENS, ASIDE)
    corners = frames.apply(frames.inverse(ASIDE), frames.apply(TURNED, BOX.vertices))
    sides = ConvexHull(LENS.project(corners)).equations
    u, v = np.meshgrid(np.arange(LENS.width), np.arange(LENS.height))
    inside = -(np.stack([u, v, np.ones_like(u)], axis=-1) @ sides.T).max(axis=-1)  # distance to the edge [px]
    clear = np.abs(inside) > 0.01  # OpenGL puts corners on a grid of 1/256 px
    assert clear.mean() > 0.99
    assert ((frame.mask == 0) == (inside > 0))[clear].all()


def test_depth_and_normals_are_those_of_the_face_that_the_ray_meets_first(view: View) -> None:
    frame = view.render(seen((BOX, TURNED, RED)), LENS, ASIDE)
    pose = frames.compose(frames.inverse(ASIDE), TURNED)
    axes = np.stack([frames.rotate(pose, axis) for axis in np.eye(3)])
    normals = np.concatenate([axes, -axes])
    level = normals @ pose[:3] + np.array([0.1, 0.15, 0.1] * 2)
    rays = LENS.rays()
    towards = rays @ normals.T
    entry = np.where(towards < 0, level / np.where(towards == 0, 1, towards), -np.inf)
    hit = frame.mask == 0
    assert hit.sum() > 500
    assert frame.depth[hit] == pytest.approx(entry.max(axis=-1)[hit], abs=1e-5)
    ranked = np.sort(entry, axis=-1)
    clear = hit & (ranked[..., -1] - ranked[..., -2] > 1e-3)  # not on an edge between two faces
    assert frame.normals[clear] == pytest.approx(normals[entry.argmax(axis=-1)[clear]], abs=1e-3)


def test_what_is_nearer_hides_what_is_behind(view: View) -> None:
    small = (meshes.box((0.1, 0.1, 0.1)).mesh, frames.pose((0, 0, 0.5)), RED)
    large = (BOX, frames.pose((0, 0, 0.1)), GREY)
    for things, first, second in (((small, large), 0, 1), ((large, small), 1, 0)):
        frame = view.render(seen(*things), LENS, DOWN)
        assert frame.mask[37, 42] == first
        assert frame.depth[37, 42] == pytest.approx(0.55, abs=1e-6)
        assert frame.mask[37, 32] == second
        assert frame.depth[37, 32] == pytest.approx(0.9, abs=1e-6)


@pytest.mark.parametrize("sides", [4, 200])
def test_insides_are_not_seen(view: View, sides: int) -> None:
    around = (meshes.prism(sides, 0.3, 0.4).mesh, frames.pose((0, 0, 1.0)), RED)  # the camera stands in it, at 1.1 m
    frame = view.render(seen(around, (BOX, frames.pose((0, 0, 0.1)), GREY)), LENS, DOWN)
    assert (frame.mask[37, 42], frame.depth[37, 42]) == (1, pytest.approx(0.9, abs=1e-6))
    assert set(np.unique(frame.mask)) == {-1, 1}


def test_what_is_nearer_than_a_centimetre_or_further_than_100_metres_is_not_seen(view: View) -> None:
    plate = meshes.box((100, 100, 0.1)).mesh
    for near, first in ((0.009, 1), (0.011, 0)):
        things = (BOX, frames.pose((0, 0, 1.0 - near)), RED), (plate, frames.pose((0, 0, 0)), GREY)
        assert (view.render(seen(*things), LENS, DOWN).mask == first).all()
    for far, first in ((99.9, 0), (100.1, -1)):
        assert view.render(seen((plate, frames.pose((0, 0, 1.05 - far)), GREY)), LENS, DOWN).mask[37, 42] == first


def test_large_and_small_meshes_hide_each_other(view: View) -> None:
    many = meshes.prism(200, 0.05, 0.1).mesh
    for heights, first in (((0.5, 0.1), 0), ((0.1, 0.5), 1)):
        one, other = ((mesh, frames.pose((0, 0, z)), RED) for mesh, z in zip((many, FLAT), heights, strict=True))
        frame = view.render(seen(one, other), LENS, DOWN)
        assert (frame.mask[37, 42], frame.depth[37, 42]) == (first, pytest.approx(0.55, abs=1e-6))


def test_colours_come_from_the_faces_or_else_from_the_visual(view: View) -> None:
    green = Mesh(BOX.vertices, BOX.faces, np.tile(np.float32([0, 0.7, 0]), (len(BOX.faces), 1)))
    left, right = frames.pose((-0.15, 0, 0.1)), frames.pose((0.15, 0, 0.1))
    rgb = view.render(seen((green, left, RED), (BOX, right, RED)), LENS, DOWN).rgb.astype(int)
    assert rgb[37, 25, 1] > 100 > rgb[37, 25, [0, 2]].max()
    assert rgb[37, 58, 0] > 100 > rgb[37, 58, [1, 2]].max()


def test_things_move_come_and_go_between_frames(view: View) -> None:
    first = view.render(SCENE, LENS, ASIDE)
    moved = replace(SCENE, poses=SCENE.poses + np.array([[0.05, 0, 0, 0, 0, 0, 0], [0] * 7]))
    assert not same(view.render(moved, LENS, ASIDE), first)
    alone = seen((BOX, TURNED, RED))
    assert set(np.unique(view.render(alone, LENS, ASIDE).mask)) == {-1, 0}
    assert same(view.render(SCENE, LENS, ASIDE), first)


def test_an_empty_world_is_all_background(view: View) -> None:
    frame = view.render(seen(), LENS, ASIDE)
    assert np.isposinf(frame.depth).all()
    assert (frame.mask == -1).all()
    assert (frame.normals == 0).all()
    assert len(np.unique(frame.rgb.reshape(-1, 3), axis=0)) == 1


def test_the_same_snapshot_gives_the_same_bytes_whatever_was_rendered_between(view: View) -> None:
    first = view.render(SCENE, LENS, ASIDE)
    view.render(SCENE, Intrinsics.from_fov(64, 48, 1.0), DOWN)
    view.render(seen((BOX, frames.IDENTITY, GREY)), LENS, ASIDE)
    assert same(view.render(replace(SCENE), LENS, ASIDE), first)


def test_pictures_that_were_begun_are_what_would_have_been_rendered_in_whatever_order_they_are_read(view: View) -> None:
    moved = replace(SCENE, poses=SCENE.poses + np.array([0.03, 0, 0, 0, 0, 0, 0]), light=Light((1, 0, 1)))
    other = seen((BOX, frames.IDENTITY, GREY))
    asked = [(scene, LENS, at) for scene in (SCENE, moved, other) for at in (ASIDE, DOWN)]
    wanted = [view.render(*one) for one in asked]
    for order in ([0, 1, 2, 3, 4, 5], [5, 0, 3, 1, 4, 2]):
        begun = [view.begin(*one) for one in asked]
        assert all(same(begun[i](), wanted[i]) for i in order)


@pytest.mark.parametrize("name", rooms.names("renderers"))
def test_a_picture_that_was_begun_cannot_be_had_from_a_closed_view(name: str) -> None:
    view = rooms.build("renderers", name).open()
    begun = view.begin(SCENE, LENS, ASIDE)
    view.close()
    with pytest.raises(RendererError, match="closed"):
        begun()


@pytest.mark.parametrize("name", rooms.names("renderers"))
def test_open_views_do_not_disturb_each_other_and_a_closed_one_says_so(name: str) -> None:
    one, other = rooms.build("renderers", name).open(), rooms.build("renderers", name).open()
    first = one.render(SCENE, LENS, ASIDE)
    other.render(seen((BOX, frames.IDENTITY, GREY)), LENS, DOWN)
    assert same(one.render(SCENE, LENS, ASIDE), first)
    assert same(other.render(SCENE, LENS, ASIDE), first)
    other.close()
    other.close()
    assert same(one.render(SCENE, LENS, ASIDE), first)
    with pytest.raises(RendererError, match="closed"):
        other.render(SCENE, LENS, ASIDE)
    one.close()


def test_any_thread_may_render(view: View) -> None:
    first = view.render(SCENE, LENS, ASIDE)
    with ThreadPoolExecutor(3) as pool:
        assert all(same(frame, first) for frame in pool.map(lambda _: view.render(SCENE, LENS, ASIDE), range(12)))


def test_a_pose_that_is_not_finite_is_an_error(view: View) -> None:
    with pytest.raises(RendererError, match="not finite"):
        view.render(replace(SCENE, poses=SCENE.poses * np.nan), LENS, ASIDE)


def panda(world: World) -> None:
    """A Franka Panda on a table between boxes."""
    world.load("arm", "franka_panda/panda.urdf", frames.IDENTITY)
    bend = (0.3, -0.3, 0.2, -2.2, 0.1, 1.9, 0.785)
    world.set_joints("arm", {f"panda_joint{i + 1}": angle for i, angle in enumerate(bend)})
    world.add("table", [Piece(meshes.box((2, 2, 0.1)), frames.IDENTITY, GREY)], frames.pose((0.4, 0, -0.05)))
    for i in range(6):
        piece = Piece(meshes.box((0.08, 0.06, 0.1)), frames.IDENTITY, RED)
        world.add(f"box{i}", [piece], frames.pose((0.3 + 0.08 * i, 0.35 - 0.13 * i, 0.05), yaw=0.5 * i))


def tiny_depth(client: int, eye: tuple, target: tuple, lens: Intrinsics, fov: float) -> np.ndarray:
    """The depth [m] that PyBullet's own software renderer gives."""
    near, far = 0.05, 10.0
    _, _, _, buffer, _ = pybullet.getCameraImage(
        lens.width,
        lens.height,
        pybullet.computeViewMatrix(eye, target, (0, 0, 1)),
        pybullet.computeProjectionMatrixFOV(np.degrees(fov), lens.width / lens.height, near, far),
        shadow=0,
        renderer=pybullet.ER_TINY_RENDERER,
        physicsClientId=client,
    )
    buffer = np.reshape(buffer, (lens.height, lens.width)).astype(float)
    depth = far * near / (far - (far - near) * buffer)
    return np.where(depth < 0.99 * far, depth, np.inf)


def test_depth_agrees_with_pybullet_off_silhouettes(view: View) -> None:
    eye, target, fov = (1.3, -0.9, 0.9), (0.3, 0.0, 0.25), 0.8
    lens = Intrinsics.from_fov(320, 240, fov)
    # TinyRenderer looks through a pixel's lower left corner, not through its centre.
    corner = replace(lens, cx=lens.cx + 0.5, cy=lens.cy - 0.5)
    with World() as world:
        panda(world)
        frame = view.render(world.snapshot(), corner, frames.look_at(eye, target))
        truth = tiny_depth(world.client, eye, target, lens, fov)
    assert (np.isfinite(truth) != np.isfinite(frame.depth)).sum() < 50  # of about 1,500 pixels along silhouettes
    near = np.where(np.isfinite(truth), truth, 100)
    flat = maximum_filter(near, 3) - minimum_filter(near, 3) < 0.05  # no jump of depth beside it
    compared = flat & np.isfinite(truth) & np.isfinite(frame.depth)
    for body, count, median in ((0, 3_000, 0.0005), (1, 30_000, 1e-5), (2, 100, 1e-5)):
        pixels = compared & (frame.mask == body)
        off = np.abs(frame.depth[pixels] - truth[pixels])
        assert pixels.sum() > count
        assert np.median(off) < median
        assert np.percentile(off, 95) < 0.002  # the robot is decimated within 2 mm


def test_shadows_change_colours_alone() -> None:
    plate = (meshes.box((2, 2, 0.1)).mesh, frames.pose((0, 0, -0.05)), GREY)
    cube = (meshes.box((0.1, 0.1, 0.1)).mesh, frames.pose((0, 0, 0.4)), RED)
    snapshot = replace(seen(plate, cube), light=Light((-1, 0, 1)))
    lens = Intrinsics.from_fov(100, 100, 1.0)
    with_shadow, without = (Raster(shadows=on).open() for on in (True, False))
    dark, bright = (view.render(snapshot, lens, DOWN) for view in (with_shadow, without))
    lost = bright.rgb[..., 0].astype(int) - dark.rgb[..., 0]
    place = frames.apply(frames.inverse(DOWN), np.array([[0.4, 0, 0.0]]))  # where the sun's rays take the cube's centre
    column, row = np.round(lens.project(place)[0]).astype(int)
    assert (lost[row - 2 : row + 3, column - 2 : column + 3] > 30).all()
    assert (np.abs(lost) > 3).mean() < 0.03  # a lit plate has no speckles
    assert dark.depth.tobytes() == bright.depth.tobytes()
    assert dark.mask.tobytes() == bright.mask.tobytes()
    with_shadow.close()
    without.close()


def test_what_is_in_shadow_is_what_rays_to_the_sun_do_not_leave() -> None:
    lens, pose = Intrinsics.from_fov(240, 180, 0.8), frames.look_at((1.3, -0.9, 0.9), (0.3, 0.0, 0.25))
    views = Raster().open(), Raster(shadows=False).open()
    with World() as world, closing(Raycast().open()) as raycast:
        panda(world)
        snapshot = world.snapshot()
        dark, bright = (view.render(snapshot, lens, pose) for view in views)
        sun = np.divide(snapshot.light.direction, np.linalg.norm(snapshot.light.direction))
        normals = frames.rotate(pose, bright.normals.reshape(-1, 3)).reshape(bright.normals.shape)
        turned = (bright.mask >= 0) & (normals @ sun > 0.2)
        points = frames.apply(pose, (lens.rays() * np.where(turned, bright.depth, 0)[..., None])[turned])
        starts = points + 0.01 * normals[turned]
        distance = raycast.cast(snapshot, starts, np.broadcast_to(sun, starts.shape)).distance
    shaded, lost = np.zeros(turned.shape, bool), bright.rgb.sum(axis=-1, dtype=int) - dark.rgb.sum(axis=-1, dtype=int)
    shaded[turned] = np.isfinite(distance)
    flat = turned & (maximum_filter(shaded, 5) == minimum_filter(shaded, 5)) & (minimum_filter(turned, 5))
    assert (flat & shaded).sum() > 300
    assert (flat & ~shaded).sum() > 10_000
    assert ((lost > 30) == shaded)[flat].mean() > 0.999
    assert ((lost > 0) == shaded)[flat].mean() > 0.999
    for view in views:
        view.close()


def test_samples_smooth_colours_alone() -> None:
    snapshot = seen((BOX, TURNED, RED))
    one, many = (Raster(samples=n, shadows=False).open() for n in (1, 4))
    rough, smooth = (view.render(snapshot, LENS, ASIDE) for view in (one, many))
    assert (rough.depth.tobytes(), rough.mask.tobytes()) == (smooth.depth.tobytes(), smooth.mask.tobytes())
    background = rough.rgb[0, 0].astype(int)
    mixed = (np.abs(smooth.rgb - background).max(axis=-1) > 3) & (rough.mask == -1)
    assert 20 < mixed.sum() < 200  # along the silhouette
    inner = minimum_filter(rough.mask, 3) == 0
    assert np.abs(smooth.rgb.astype(int) - rough.rgb)[inner].mean() < 1
    one.close()
    many.close()


@pytest.mark.parametrize("fields", [{"samples": 0}, {"shadow_size": -1}])
def test_a_raster_that_cannot_be_is_an_error(fields: dict) -> None:
    with pytest.raises(RendererError, match=f"raster: {next(iter(fields))} came as"):
        Raster(**fields)


def test_a_picture_that_is_too_large_is_an_error_that_says_what_to_lower() -> None:
    view = Raster(samples=100).open()
    with pytest.raises(RendererError, match="lower the camera's width and height, or the raster's samples"):
        view.render(SCENE, Intrinsics.from_fov(640, 480, 1.0), ASIDE)
    view.close()


def test_a_machine_without_egl_is_told_which_packages_it_needs() -> None:
    code = "from twinlab.renderers.raster import Raster; Raster().open()"
    env = {**os.environ, "GLCONTEXT_LINUX_LIBEGL": "libmissing.so"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert "RendererError" in done.stderr
    assert "apt install libegl1 libgl1" in done.stderr


def test_a_forked_process_is_told_to_be_spawned() -> None:
    code = (
        "import os; from twinlab.renderers.raster import Raster; view = Raster().open(); child = os.fork()\n"
        "if child: os._exit(os.waitpid(child, 0)[1] >> 8)\n"
        "try: Raster().open()\n"
        "except Exception as told: print(type(told).__name__, told, flush=True)\n"
        "os._exit(0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("RendererError")
    assert "spawn" in done.stdout


def test_2000_renders_leave_the_memory_flat(view: View) -> None:
    lens = Intrinsics.from_fov(32, 32, 1.0)
    snapshots = [seen((BOX, frames.pose((0, 0, 0.1 * i)), RED)) for i in range(5)]

    def run(times: int) -> int:
        for i in range(times):
            view.render(snapshots[i // 10 % 5], lens, ASIDE)
        return psutil.Process().memory_info().rss

    before = run(500)
    assert run(2000) - before < 1024 * 1024


def test_a_seam_that_decimation_has_torn_is_shut_and_holes_stay_open(view: View) -> None:
    """Two plates of 8 cm lie side by side; decimated ones leave a slit of 2 mm between them."""

    def plates(low: float) -> Mesh:
        ends = (-0.08, -low), (low, 0.08)
        squares = [[(a, -0.04, 0), (b, -0.04, 0), (b, 0.04, 0), (a, 0.04, 0)] for a, b in ends]
        return Mesh(np.float32(squares).reshape(-1, 3), np.int32([(0, 1, 2), (0, 2, 3), (4, 5, 6), (4, 6, 7)]))

    whole, torn = plates(1e-5), plates(0.001)
    shut = _seams.shut(torn, _ray_scene(whole), _ray_scene(torn), 0.001, 0.001)
    assert len(shut.faces) == 8  # a tongue from each plate, and none outwards
    assert meshes.distance(whole, shut) <= 0.001
    lens = Intrinsics(340, 200, 1700, 1700, 169.5, 99.5)  # 0.6 mm a pixel
    for eye in ((0.01, 0, 1.0), (0.5, 0.1, 0.8), (-0.6, 0.2, 0.6)):
        there, slit, truth = (
            view.render(seen((mesh, frames.pose(), RED)), lens, frames.look_at(eye, (0, 0, 0), (0, 1, 0))).mask == 0
            for mesh in (shut, torn, whole)
        )
        assert (there == truth).mean() > 0.999 > (slit == truth).mean()


# ---- what raster leaves out


def test_a_coarser_mesh_is_drawn_only_where_it_is_off_by_less_than_half_a_pixel() -> None:
    """A box of 120 faces stands for one that is 1 cm larger; at 100 px focal length half a pixel is that at 2 m."""
    fine, large = (meshes.cylinder(0.1, 0.2 + more, 64).mesh for more in (0.0, 0.02))
    both = Mesh(fine.vertices, fine.faces, None, ((0.01, large),))
    lens = Intrinsics(200, 200, 100.0, 100.0, 99.5, 99.5)
    with_both, alone = (seen((mesh, frames.pose(), RED)) for mesh in (both, fine))
    view = Raster(shadows=False).open()
    for away, same_as in ((1.5, alone), (3.0, seen((large, frames.pose(), RED)))):
        pose = frames.look_at((away, 0, 0), (0, 0, 0))
        assert same(view.render(with_both, lens, pose), view.render(same_as, lens, pose))
    view.close()


def test_what_is_partly_in_the_picture_is_drawn_whole_and_what_is_out_of_it_changes_nothing() -> None:
    ball = meshes.cylinder(0.3, 0.6, 64).mesh
    rng = np.random.default_rng(0)
    view, large = Raster(shadows=False).open(), Intrinsics(270, 210, LENS.fx, LENS.fy, LENS.cx + 90, LENS.cy + 70)
    inside = 0
    for place in rng.uniform(-1.6, 1.6, (60, 3)):
        snapshot = seen((ball, frames.pose(place), RED), (BOX, TURNED, GREY))
        part, whole = view.render(snapshot, LENS, ASIDE), view.render(snapshot, large, ASIDE)
        assert (part.visual == whole.visual[70:140, 90:180]).all()  # the same pixels of a picture three times as wide
        inside += bool((part.visual == 0).any())
    assert 10 < inside < 50, "some are in the picture and some are not"
    view.close()
