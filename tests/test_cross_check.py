"""Three renderers check each other over the shipped scenes: OpenGL, Embree and PyBullet's TinyRenderer.

The scenes are looked at in mid-episode, while the expert moves the arm, by each camera at its own size and at 640×480.
A silhouette is where the picture of the bodies changes, or where the surface jumps by 5 mm: inverse depth is linear on
a plane, so that a second difference of it, brought back to metres, tells a step from a slope. What lies within two
pixels of a silhouette is not compared, because there each renderer may see another surface.

Renderers are compared on the same triangles: the coarser meshes that `raster` takes for small pictures are left out.
What these change is compared on its own, with the robots' whole files.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pybullet
import pytest
from scipy.ndimage import binary_dilation, distance_transform_edt, maximum_filter, minimum_filter

from twinlab import frames, meshes, rooms
from twinlab.bodies.arm import Arm
from twinlab.cell import Cell
from twinlab.episodes import record
from twinlab.frames import Intrinsics
from twinlab.meshes import Mesh
from twinlab.renderers import Caster, Frame, View
from twinlab.renderers.raster import Raster
from twinlab.renderers.raycast import Raycast
from twinlab.scene import SceneSpec, read_scene, scene_names
from twinlab.snapshot import Piece, Snapshot, Texture, Visual
from twinlab.world import World

LARGE = (640, 480)
MOMENTS = {0: (45, 110), 3: (60, 150)}  # seed → ticks
FINE = 8  # samples along a pixel's edge where outlines are measured
GRAIN = 1 / 64  # OpenGL puts corners on a grid of 1/256 px: this near to a pixel's centre an outline may go either way
AROUND = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]


@dataclass(frozen=True, eq=False)
class Look:
    """What three renderers see through one camera at one moment.

    Attributes:
        name: where and when.
        lens: of the camera.
        raster, raycast: of the finest meshes.
        used: what `raster` draws in practice, with the meshes that it chooses.
        tiny: TinyRenderer's depth.
        flat: where no silhouette is near.
        apart: at how many pixels the masks of `raster` and `raycast` differ though no outline passes by.
    """

    name: str
    lens: Intrinsics
    raster: Frame
    raycast: Frame
    used: Frame
    tiny: np.ndarray
    flat: np.ndarray
    apart: int


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


@dataclass(frozen=True, eq=False)
class Finest:
    """Snapshots without coarser meshes; each mesh and each tuple of visuals is made once, as renderers keep them."""

    meshes: dict[Mesh, Mesh]
    visuals: dict[tuple[Visual, ...], tuple[Visual, ...]]

    def of(self, snapshot: Snapshot) -> Snapshot:
        """The same in the finest meshes."""
        if snapshot.visuals not in self.visuals:
            self.visuals[snapshot.visuals] = tuple(replace(v, mesh=self._mesh(v.mesh)) for v in snapshot.visuals)
        return replace(snapshot, visuals=self.visuals[snapshot.visuals])

    def _mesh(self, mesh: Mesh) -> Mesh:
        return self.meshes.setdefault(mesh, replace(mesh, coarser=())) if mesh.coarser else mesh


def within(box: np.ndarray, at: np.ndarray) -> bool:
    return bool((box[0] - 1e-6 <= at).all() and (at <= box[1] + 1e-6).all())


def complete(cell: Cell, snapshot: Snapshot) -> list[int]:
    """Make PyBullet draw what cameras see, though it draws what collides: the numbers of bodies that came for it.

    Panes of clear plastic collide and nobody sees them; posts and prints are seen and nothing collides with them. A
    box or cylinder that no drawn mesh surrounds goes, a drawn mesh that surrounds neither comes.
    """
    client, ghosts = cell.world.client, []
    for body in cell.world._bodies.values():
        shapes = pybullet.getVisualShapeData(body.number, physicsClientId=client)
        for link in range(-1, len(body.links)):
            own = [shape for shape in shapes if shape[1] == link]
            if any(shape[2] == pybullet.GEOM_MESH for shape in own):
                continue  # hulls and robots' links
            drawn = [v for v in snapshot.visuals if v.link == body.first + 1 + link]
            corners = [frames.apply(v.pose, v.mesh.vertices.astype(float)) for v in drawn]
            boxes = [np.stack([points.min(axis=0), points.max(axis=0)]) for points in corners]
            for i, shape in enumerate(own):
                if not any(within(box, np.array(shape[5])) for box in boxes):
                    pybullet.changeVisualShape(body.number, link, i, rgbaColor=(0, 0, 0, 0), physicsClientId=client)
            for one, box in zip(drawn, boxes, strict=True):
                if not any(within(box, np.array(shape[5])) for shape in own):
                    ghosts.append(ghost(one, frames.compose(snapshot.poses[one.link], one.pose), client))
    return ghosts


def ghost(visual: Visual, pose: np.ndarray, client: int) -> int:
    """A body in PyBullet that is drawn and collides with nothing."""
    points, corners = visual.mesh.vertices.tolist(), visual.mesh.faces.reshape(-1).tolist()
    shape = pybullet.createVisualShape(pybullet.GEOM_MESH, vertices=points, indices=corners, physicsClientId=client)
    number: int = pybullet.createMultiBody(
        baseVisualShapeIndex=shape, basePosition=pose[:3], baseOrientation=pose[3:], physicsClientId=client
    )
    return number


def apart(raster: Frame, raycast: Frame, view: Caster, snapshot: Snapshot, lens: Intrinsics, at: np.ndarray) -> int:
    """How many pixels of two masks differ though rays beside the pixel's centre don't meet what `raster` saw either."""
    rows, columns = np.nonzero(raster.mask != raycast.mask)
    if not len(rows):
        return 0
    found = np.zeros(len(rows), bool)
    bodies = np.array([*(visual.body for visual in snapshot.visuals), -1])
    for i, j in AROUND:
        across, down = (columns + i * GRAIN - lens.cx) / lens.fx, (rows + j * GRAIN - lens.cy) / lens.fy
        way = frames.rotate(at, np.stack([across, down, np.ones(len(rows))], axis=1))
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        hits = view.cast(snapshot, np.tile(at[:3], (len(rows), 1)), way)
        found |= bodies[hits.visual] == raster.mask[rows, columns]
    return int((~found).sum())


def look_at_all(cell: Cell, views: tuple[View, Caster], finest: Finest, found: list[Look]) -> None:
    snapshot = cell.snapshot()
    fine, ghosts = finest.of(snapshot), complete(cell, snapshot)
    for name, camera in cell.spec.cameras.items():
        for w, h in ((camera.width, camera.height), LARGE):
            lens, pose = Intrinsics.from_fov(w, h, camera.fov), camera.pose(snapshot)
            raster, raycast = (view.render(fine, lens, pose) for view in views)
            used, tiny = views[0].render(snapshot, lens, pose), tiny_depth(cell.world.client, lens, pose)
            edges = borders(raster.mask) | borders(raycast.mask) | steps(raycast.depth) | steps(tiny)
            flat = ~binary_dilation(edges, np.ones((3, 3)))
            told = f"{cell.spec.name}, seed {cell.seed}, {cell.time:.2f} s, {name} {w}×{h}"
            torn = apart(raster, raycast, views[1], fine, lens, pose)
            found.append(Look(told, lens, raster, raycast, used, tiny, flat, torn))
    for number in ghosts:
        pybullet.removeBody(number, physicsClientId=cell.world.client)


def run(spec: SceneSpec, seed: int, ticks: tuple[int, ...], look: Callable[[Cell], None]) -> None:
    """Let the expert work, and look after so many ticks."""
    blind = [name for name, sensor in spec.sensors.items() if getattr(sensor, "camera", "")]
    with Cell(spec, without=blind) as cell:
        expert = rooms.build("policies", "expert", spec=spec)
        record(cell, expert, max(ticks), seed, progress=lambda tick: look(cell) if tick in ticks else None)


@pytest.fixture(scope="module", params=scene_names())
def looks(request: pytest.FixtureRequest) -> list[Look]:
    spec, finest, found = read_scene(request.param), Finest({}, {}), []
    views = Raster(shadows=False).open(), Raycast().open()
    for seed, ticks in MOMENTS.items():
        run(spec, seed, ticks, lambda cell: look_at_all(cell, views, finest, found))
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
        # Trays full of small parts leave a quarter of a picture of 96×40 px away from outlines.
        assert compared.mean() > (0.6 if compared.shape == LARGE[::-1] else 0.25), look.name
        # TinyRenderer draws the robot's full meshes, the others what is within 2 mm of them.
        for one, other, median, most in (
            ("raster", "tiny", 1e-3, 5e-3),
            ("raycast", "tiny", 1e-3, 5e-3),
            ("raster", "raycast", 1e-6, 1e-5),
        ):
            off = np.abs(depths[one][compared] - depths[other][compared])
            assert np.median(off) < median, (look.name, one, other)
            assert np.percentile(off, 95) < most, (look.name, one, other)


def test_all_three_see_something_at_the_same_pixels_off_silhouettes(looks: list[Look]) -> None:
    for look in looks:
        there = [np.isfinite(depth)[look.flat] for depth in (look.raster.depth, look.raycast.depth, look.tiny)]
        assert (there[0] == there[1]).all() and (there[0] == there[2]).all(), look.name


def test_masks_of_raster_and_raycast_differ_only_where_an_outline_meets_a_pixel_centre(looks: list[Look]) -> None:
    large = 0
    for look in looks:
        assert look.apart == 0, look.name
        assert (look.raster.mask != look.raycast.mask).sum() < 0.002 * look.flat.size, look.name
        large += sum(np.unique(look.raster.mask, return_counts=True)[1] >= 10_000)
    assert large >= len(looks)  # each large picture has two such bodies at least


def test_colours_and_normals_of_raster_and_raycast_agree_off_silhouettes(looks: list[Look]) -> None:
    for look in looks:
        colour = np.abs(look.raster.rgb.astype(int) - look.raycast.rgb)[look.flat]
        normal = np.abs(look.raster.normals - look.raycast.normals)[look.flat]
        assert np.percentile(colour, 99) <= 1, look.name  # beside creases one may see the next face
        assert np.percentile(normal, 99) < 2e-3, look.name


def test_coarser_meshes_move_no_surface_by_a_pixel(looks: list[Look]) -> None:
    for look in looks:
        there = look.flat & np.isfinite(look.used.depth) & np.isfinite(look.raster.depth)
        off = np.abs(look.used.depth[there] / look.raster.depth[there] - 1)
        assert np.percentile(off, 95) < 0.5 / look.lens.fx, look.name  # half a pixel where it faces the camera
        assert off.mean() < 0.1 / look.lens.fx, look.name


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


def whole(arm: Arm) -> list[Mesh]:
    """The meshes of an arm as its file has them, and of what is mounted on it."""
    with World() as world:
        world.load("robot", arm.robot, frames.IDENTITY, faces=10**9, fixtures=arm._fixtures())
        return [visual.mesh for visual in world.snapshot().visuals]


def alone(snapshot: Snapshot, body: str, drawn: list[Mesh] | None = None) -> Snapshot:
    """A robot as it stands in a snapshot and nothing else, in other meshes if some are given."""
    own = [visual for visual in snapshot.visuals if snapshot.bodies[visual.body] == body]
    drawn = drawn or [visual.mesh for visual in own]
    return replace(snapshot, visuals=tuple(replace(v, mesh=mesh) for v, mesh in zip(own, drawn, strict=True)))


def sampled(view: View, snapshot: Snapshot, lens: Intrinsics, pose: np.ndarray) -> np.ndarray:
    """Which visual is seen, with FINE × FINE samples a pixel: pictures of the lens's own size, side by side.

    A larger picture would not do, as finer meshes are chosen for it.
    """
    found = np.empty((lens.height * FINE, lens.width * FINE), np.int16)
    off = (np.arange(FINE) + 0.5) / FINE - 0.5
    for i, down in enumerate(off):
        for j, right in enumerate(off):
            moved = replace(lens, cx=lens.cx - right, cy=lens.cy - down)
            found[i::FINE, j::FINE] = view.render(snapshot, moved, pose).visual
    return found


def strayed(one: np.ndarray, truth: np.ndarray) -> float:
    """How much is filled in one picture and empty in the other, over half a pixel from all outlines of links [px²]."""
    differ = (one >= 0) != (truth >= 0)
    edges = borders(truth)
    far = distance_transform_edt(~edges) > FINE / 2 if edges.any() else np.zeros(truth.shape, bool)
    return float((differ & far).sum()) / FINE**2


@pytest.mark.parametrize("scene", scene_names())
def test_decimation_moves_no_silhouette_by_half_a_pixel(scene: str) -> None:
    spec, snapshots = read_scene(scene), []
    for seed, ticks in MOMENTS.items():
        run(spec, seed, ticks, lambda cell: snapshots.append(cell.snapshot()))
    view = Raster(shadows=False).open()
    for name, arm in spec.bodies.items():
        if not isinstance(arm, Arm):
            continue
        full = whole(arm)
        moved = [replace(mesh, vertices=mesh.vertices + np.float32([0, 0.01, 0])) for mesh in full]
        known = []
        for snapshot in snapshots:
            for camera in spec.cameras.values():
                lens, pose = camera.intrinsics(), camera.pose(snapshot)
                usual, truth, off = (
                    sampled(view, alone(snapshot, name, drawn), lens, pose) for drawn in (None, full, moved)
                )
                # Where links or their shells meet, light may come through: less than every fourth picture shows it.
                assert strayed(usual, truth) < 0.25, (scene, name, snapshot.time)
                known.append(strayed(off, truth))
        assert max(known) > 10  # a centimetre shows
    view.close()
