"""Three renderers check each other over the shipped scenes: OpenGL, Embree and PyBullet's TinyRenderer.

The scenes are looked at in mid-episode, while the expert moves the arm, by each camera at its own size and at 640×480.
A silhouette is where the picture of the bodies changes, or where the surface jumps by 5 mm: inverse depth is linear on
a plane, so that a second difference of it, brought back to metres, tells a step from a slope. What lies within two
pixels of a silhouette is not compared, because there each renderer may see another surface.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pybullet
import pytest
from scipy.ndimage import binary_dilation, distance_transform_edt, maximum_filter, minimum_filter

from twinlab import frames, meshes, rooms
from twinlab.cell import Cell
from twinlab.episodes import record
from twinlab.frames import Intrinsics
from twinlab.meshes import Mesh
from twinlab.renderers import Frame, View
from twinlab.renderers.raster import Raster
from twinlab.renderers.raycast import Raycast
from twinlab.scene import SceneSpec, read_scene, scene_names
from twinlab.snapshot import Piece, Snapshot, Texture, Visual
from twinlab.world import World

LARGE = (640, 480)
MOMENTS = {0: (45, 110), 3: (60, 150)}  # seed → ticks
FINE = 8  # samples along a pixel's edge where outlines are measured


@dataclass(frozen=True, eq=False)
class Look:
    """What three renderers see through one camera at one moment; `flat` is where no silhouette is near."""

    name: str
    raster: Frame
    raycast: Frame
    tiny: np.ndarray
    flat: np.ndarray


def tiny_depth(client: int, lens: Intrinsics, pose: np.ndarray) -> np.ndarray:
    """The metric depth that PyBullet's TinyRenderer sees through a pinhole camera, +inf where nothing is.

    It looks through a pixel's lower left corner. The projection is moved by half a pixel to the left and down against
    OpenGL's, so that this corner is what `Intrinsics` calls the pixel's centre.
    """
    near, far, w, h = 0.01, 20.0, lens.width, lens.height
    view = np.diag([1, -1, -1, 1]) @ frames.matrix(frames.inverse(pose))
    project = np.array(
        [
            [2 * lens.fx / w, 0, 1 - 2 * lens.cx / w, 0],
            [0, 2 * lens.fy / h, 2 * (lens.cy + 1) / h - 1, 0],
            [0, 0, -(far + near) / (far - near), -2 * far * near / (far - near)],
            [0, 0, -1, 0],
        ]
    )
    buffer = pybullet.getCameraImage(
        w, h, view.T.reshape(-1).tolist(), project.T.reshape(-1).tolist(), shadow=0,
        renderer=pybullet.ER_TINY_RENDERER, physicsClientId=client,
    )[3]  # fmt: skip
    buffer = np.reshape(buffer, (h, w)).astype(float)
    depth = far * near / (far - (far - near) * buffer)
    return np.where(depth < 0.99 * far, depth, np.inf)


def borders(mask: np.ndarray) -> np.ndarray:
    """Pixels that touch one of another body."""
    return maximum_filter(mask, 3) != minimum_filter(mask, 3)


def steps(depth: np.ndarray, least: float = 0.005) -> np.ndarray:
    """Pixels beside which the surface leaves its own plane by a step [m]."""
    inverse = np.where(np.isfinite(depth), 1 / depth, 0)
    found = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        wide = np.pad(inverse, [(int(axis == a),) * 2 for a in (0, 1)], mode="reflect", reflect_type="odd")
        found |= np.abs(np.diff(wide, n=2, axis=axis)) * np.minimum(depth, 20) ** 2 > least
    return found


def look_at_all(cell: Cell, views: tuple[View, View], found: list[Look]) -> None:
    snapshot = cell.snapshot()
    for name, camera in cell.spec.cameras.items():
        for w, h in ((camera.width, camera.height), LARGE):
            lens, pose = Intrinsics.from_fov(w, h, camera.fov), camera.pose(snapshot)
            raster, raycast = (view.render(snapshot, lens, pose) for view in views)
            tiny = tiny_depth(cell.world.client, lens, pose)
            edges = borders(raster.mask) | borders(raycast.mask) | steps(raycast.depth) | steps(tiny)
            flat = ~binary_dilation(edges, np.ones((3, 3)), iterations=2)
            told = f"{cell.spec.name}, seed {cell.seed}, {cell.time:.2f} s, {name} {w}×{h}"
            found.append(Look(told, raster, raycast, tiny, flat))


def run(spec: SceneSpec, seed: int, ticks: tuple[int, ...], look: Callable[[Cell], None]) -> None:
    """Let the expert work, and look after so many ticks."""
    blind = [name for name, sensor in spec.sensors.items() if getattr(sensor, "camera", "")]
    with Cell(spec, without=blind) as cell:
        expert = rooms.build("policies", "expert", spec=spec)
        record(cell, expert, max(ticks), seed, progress=lambda tick: look(cell) if tick in ticks else None)


OPEN = {name for name in scene_names() if name != "sorting"}
"""Lines whose pictures are not settled yet: some cameras look at parts of a few pixels, or from centimetres."""

SCENES = [
    pytest.param(name, marks=[pytest.mark.xfail(reason="not settled yet")] if name in OPEN else [])
    for name in scene_names()
]


@pytest.fixture(scope="module", params=SCENES)
def looks(request: pytest.FixtureRequest) -> list[Look]:
    spec, found = read_scene(request.param), []
    views = Raster(shadows=False).open(), Raycast().open()
    for seed, ticks in MOMENTS.items():
        run(spec, seed, ticks, lambda cell: look_at_all(cell, views, found))
    for view in views:
        view.close()
    return found


def test_tiny_renderer_looks_through_the_lower_left_corner_of_a_pixel() -> None:
    lens = Intrinsics(64, 48, 60.0, 55.0, 33.0, 20.0)
    eye = frames.look_at((0.9, -0.7, 0.8), (0, 0, 0), (0.5, 0.6, 1))  # it stands aslant in every way
    with World() as world:
        world.add("plate", [Piece(meshes.box((50, 50, 0.1)), frames.pose((0, 0, -0.05)), (1, 1, 1))], frames.IDENTITY)
        seen = tiny_depth(world.client, lens, eye)

    def truth(right: float, down: float) -> np.ndarray:
        moved = replace(lens, cx=lens.cx - right, cy=lens.cy - down)
        return -0.8 / frames.rotate(eye, moved.rays().reshape(-1, 3))[:, 2].reshape(48, 64)  # where z is 0

    near = seen < 2  # further away its depth buffer is too coarse
    assert near.mean() > 0.3
    assert np.abs(seen - truth(0, 0))[near].max() < 1e-4
    assert all(np.median(np.abs(seen - truth(*off))[near]) > 1e-3 for off in ((0.5, 0), (0, -0.5), (0.5, -0.5)))


def test_depths_of_three_renderers_agree_off_silhouettes(looks: list[Look]) -> None:
    for look in looks:
        depths = {"raster": look.raster.depth, "raycast": look.raycast.depth, "tiny": look.tiny}
        compared = look.flat & np.all([np.isfinite(d) for d in depths.values()], axis=0)
        assert compared.mean() > 0.3, look.name
        # TinyRenderer draws the robot's full meshes, the others what is within 2 mm of them.
        for one, other, median, most in (
            ("raster", "tiny", 1e-3, 5e-3),
            ("raycast", "tiny", 1e-3, 5e-3),
            ("raster", "raycast", 1e-6, 1e-5),
        ):
            off = np.abs(depths[one] - depths[other])[compared]
            assert np.median(off) < median, (look.name, one, other)
            assert np.percentile(off, 95) < most, (look.name, one, other)


def test_all_three_see_something_at_the_same_pixels_off_silhouettes(looks: list[Look]) -> None:
    for look in looks:
        there = [np.isfinite(depth)[look.flat] for depth in (look.raster.depth, look.raycast.depth, look.tiny)]
        assert (there[0] == there[1]).all() and (there[0] == there[2]).all(), look.name


def test_masks_of_raster_and_raycast_agree(looks: list[Look]) -> None:
    large = 0
    for look in looks:
        one, other = look.raster.mask, look.raycast.mask
        for body in np.union1d(one, other):
            mine, theirs = one == body, other == body
            if max(mine.sum(), theirs.sum()) >= 10_000:
                large += 1
                assert (mine & theirs).sum() >= 0.98 * (mine | theirs).sum(), (look.name, body)
            else:
                assert (borders(one) & borders(other))[mine ^ theirs].all(), (look.name, body)
    assert large >= len(looks)  # each large picture has two such bodies at least


def test_colours_and_normals_of_raster_and_raycast_agree_off_silhouettes(looks: list[Look]) -> None:
    for look in looks:
        colour = np.abs(look.raster.rgb.astype(int) - look.raycast.rgb)[look.flat]
        normal = np.abs(look.raster.normals - look.raycast.normals)[look.flat]
        assert np.percentile(colour, 99) <= 1, look.name  # beside creases one may see the next face
        assert np.percentile(normal, 99) < 2e-3, look.name


def test_textures_of_raster_and_raycast_lie_alike() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (5, 7, 3), dtype=np.uint8)
    texture, names = Texture(picture, 0.07), ("box", "prism")
    solids = meshes.box((0.2, 0.3, 0.2)).mesh, meshes.prism(200, 0.1, 0.2).mesh
    poses = np.stack([frames.from_euler((0.05, 0.02, 0.1), (0.3, -0.5, 0.8)), frames.pose((0.2, -0.2, 0.1))])
    visuals = tuple(
        Visual(i, i, mesh, frames.IDENTITY, (0.9, 0.8, 0.7), texture=texture) for i, mesh in enumerate(solids)
    )
    snapshot, lens = Snapshot(0.0, names, names, poses, visuals, {}), Intrinsics(320, 240, 300, 310, 150, 120)
    views = Raster(shadows=False).open(), Raycast().open()
    one, other = (v.render(snapshot, lens, frames.look_at((0.5, -0.7, 0.6), (0.1, -0.1, 0.05))) for v in views)
    there = (one.mask >= 0) & (one.mask == other.mask)
    assert len(np.unique(one.rgb[there], axis=0)) > 100
    differ = np.abs(one.rgb.astype(int) - other.rgb).max(axis=-1) > 2
    assert differ[there].mean() < 0.01  # a pixel at the edge of a texel may take the next one
    for view in views:
        view.close()


def drawn(file: str, faces: int) -> list[Mesh]:
    """The meshes of a robot with so many faces at most."""
    with World() as world:
        world.load("robot", file, frames.IDENTITY, faces=faces)
        return [visual.mesh for visual in world.snapshot().visuals]


def alone(snapshot: Snapshot, body: str, drawn: list[Mesh]) -> Snapshot:
    """A robot as it stands in a snapshot and nothing else, in other meshes."""
    own = [visual for visual in snapshot.visuals if snapshot.bodies[visual.body] == body]
    return replace(snapshot, visuals=tuple(replace(v, mesh=mesh) for v, mesh in zip(own, drawn, strict=True)))


def outline_moves(view: View, one: Snapshot, other: Snapshot, lens: Intrinsics, pose: np.ndarray) -> float:
    """How far two robots' outlines are from each other at most [px], to 1/FINE px."""
    centre = ((c + 0.5) * FINE - 0.5 for c in (lens.cx, lens.cy))
    fine = Intrinsics(lens.width * FINE, lens.height * FINE, lens.fx * FINE, lens.fy * FINE, *centre)
    masks = [view.render(snapshot, fine, pose).mask >= 0 for snapshot in (one, other)]
    differ = masks[0] != masks[1]
    if not differ.any() or not (masks[0].any() and masks[1].any()):
        return 0.0
    depths = [distance_transform_edt(m) + distance_transform_edt(~m) for m in masks]  # to the nearest other pixel
    return float(max(depth[differ].max() for depth in depths)) / FINE


@pytest.mark.parametrize("scene", SCENES)
def test_decimation_moves_no_silhouette_by_half_a_pixel(scene: str) -> None:
    spec, snapshots = read_scene(scene), []
    for seed, ticks in MOMENTS.items():
        run(spec, seed, ticks, lambda cell: snapshots.append(cell.snapshot()))
    view = Raster(shadows=False).open()
    for arm, body in spec.bodies.items():
        if not getattr(body, "robot", ""):
            continue
        usual, full = drawn(body.robot, 1500), drawn(body.robot, 10**9)
        moved = [replace(mesh, vertices=mesh.vertices + np.float32([0, 0.01, 0])) for mesh in full]
        moves, known = [], []
        for snapshot in snapshots:
            for camera in spec.cameras.values():
                lens, pose = camera.intrinsics(), camera.pose(snapshot)
                truth = alone(snapshot, arm, full)
                moves.append(outline_moves(view, alone(snapshot, arm, usual), truth, lens, pose))
                known.append(outline_moves(view, alone(snapshot, arm, moved), truth, lens, pose))
        assert max(moves) < 0.5 - 1 / FINE  # how far is known to 1/FINE px
        assert max(known) > 1  # a centimetre shows
    view.close()
