"""Clouds and normals: what Open3D builds from the reading's attributes, in the world and from measured depth."""

import depths
import numpy as np
import pytest

from twinlab import frames
from twinlab.cell import Cell
from twinlab.errors import ReadingsError
from twinlab.sensors.cloud import Cloud
from twinlab.sensors.normals import Normals


@pytest.fixture(scope="module")
def watched(sorting):
    """Readings, truth and variables of the ideal line with depth, cloud and normals of both cameras."""
    sensors = {}
    for camera in ("overhead", "wrist"):
        sensors[f"{camera}_depth"] = {"kind": "depth", "camera": camera}
        sensors[f"{camera}_cloud"] = {"kind": "cloud", "camera": camera, "of": f"{camera}_depth"}
        sensors[f"{camera}_normals"] = {"kind": "normals", "camera": camera}
        sensors[f"{camera}_mask"] = {"kind": "mask", "camera": camera}
    with Cell(sorting.change({"sensors": sensors}).ideal()) as cell:
        cell.reset(1)
        for _ in range(3):
            cell.step({})
        yield cell


@pytest.mark.parametrize("camera", ["overhead", "wrist"])
def test_open3d_builds_the_same_cloud_from_the_attributes(watched, camera):
    import open3d

    about = {v.name: v for v in watched.variables}[f"{camera}_cloud"].about
    matrix = np.reshape(about["camera_matrix"], (3, 3))
    lens = open3d.camera.PinholeCameraIntrinsic(
        about["width"], about["height"], matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]
    )
    depth = watched.readings[f"{camera}_depth"]
    picture = open3d.geometry.Image(np.where(np.isfinite(depth), depth, np.float32(0)))
    cloud = open3d.geometry.PointCloud.create_from_depth_image(
        picture, lens, depth_scale=1.0, depth_trunc=1000.0, project_valid_depth_only=True
    )
    ours = watched.readings[f"{camera}_cloud"]
    assert np.abs(np.asarray(cloud.points) - ours[np.isfinite(ours[:, 2])]).max() < 1e-6


def test_the_extrinsics_put_the_points_of_the_belt_onto_its_plane(watched):
    about = {v.name: v for v in watched.variables}["overhead_cloud"].about
    world = frames.apply(np.array(about["extrinsics"]), watched.readings["overhead_cloud"])
    belt = watched.truth["overhead_mask"].ravel() == watched.snapshot().bodies.index("belt")
    assert belt.sum() > 1000
    assert np.abs(world[belt, 2] - 0.1).max() < 1e-4  # the belt's upper face


def test_what_was_not_measured_is_infinite_in_all_three():
    z = np.ones((4, 6), np.float32)
    z[1, 2] = np.inf
    cloud = depths.shots(Cloud(), depths.wall(z, z.shape), depths.camera(10, *z.shape))[0]
    assert cloud.shape == (24, 3)
    assert np.isinf(cloud[8]).all() and np.isfinite(np.delete(cloud, 8, axis=0)).all()


def test_a_cloud_of_a_depth_sensor_shows_what_that_measured():
    view, seen = depths.wall(1, (4, 6)), depths.camera(10, 4, 6)
    measured = np.full((4, 6), 2, np.float32)
    cloud = depths.shots(Cloud(of="eye_depth"), view, seen, taken={"eye_depth": measured})[0]
    assert (cloud[:, 2] == 2).all()
    clean = depths.shots(Cloud(of="eye_depth", off=("all",)), view, seen, taken={"eye_depth": measured})[0]
    assert (clean[:, 2] == 1).all()
    assert cloud[0, :2] == pytest.approx(2 * np.array([-2.5, -1.5]) / 10)


def test_voxels_hold_the_mean_of_their_points_and_the_rest_is_infinite():
    z = np.ones((2, 4), np.float32)
    z[1] = np.inf
    seen = depths.camera(2, 2, 4)  # x is -0.75, -0.25, 0.25, 0.75 at 1 m, y is -0.25
    cloud = depths.shots(Cloud(voxel=0.5, points=5), depths.wall(z, z.shape), seen)[0]
    assert cloud[:4].tolist() == [[-0.75, -0.25, 1], [-0.25, -0.25, 1], [0.25, -0.25, 1], [0.75, -0.25, 1]]
    assert np.isinf(cloud[4]).all()
    two = depths.shots(Cloud(voxel=1.0, points=5), depths.wall(z, z.shape), seen)[0]
    assert two[:2].tolist() == [[-0.5, -0.25, 1], [0.5, -0.25, 1]] and np.isinf(two[2:]).all()
    few = depths.shots(Cloud(voxel=0.5, points=2), depths.wall(z, z.shape), seen)[0]
    assert few[:, 0].tolist() == [-0.75, 0.75]  # too many for the rows: those left out lie between the others
    nothing = depths.shots(Cloud(voxel=0.5, points=2), depths.wall(np.inf, z.shape), seen)[0]
    assert np.isinf(nothing).all()


def test_voxels_are_those_of_open3d():
    import open3d

    rng = np.random.default_rng(0)
    z = rng.uniform(0.5, 1.5, (40, 50)).astype(np.float32)
    ours = depths.shots(Cloud(voxel=0.1), depths.wall(z, z.shape), depths.camera(40, *z.shape))[0]
    ours = ours[np.isfinite(ours[:, 0])]
    every = depths.shots(Cloud(), depths.wall(z, z.shape), depths.camera(40, *z.shape))[0]
    # Open3D's cubes start half a cube below the least corner; a first point there moves them to where ours are.
    corner = np.floor(every.min(axis=0) / 0.1) * 0.1 + 0.05 - 0.1
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(np.vstack([corner, every]).astype(float)))
    theirs = np.asarray(cloud.voxel_down_sample(0.1).points)
    assert abs(len(theirs) - 1 - len(ours)) <= 3  # points on the border of two cubes, by rounding
    near = np.linalg.norm(theirs[:, None] - ours[None], axis=-1).min(axis=1)
    assert (near < 1e-5).mean() > 0.98


def test_an_unknown_depth_sensor_is_told_with_those_that_there_are(sorting):
    sensors = {"eye": {"kind": "depth"}, "cloud": {"kind": "cloud", "of": "eyes"}}
    with pytest.raises(ReadingsError, match=r"\[sensors.cloud\] of: came 'eyes'.*Did you mean 'eye'"):
        Cell(sorting.change({"sensors": sensors}))
    turned = {"cloud": {"kind": "cloud", "of": "eye"}, "eye": {"kind": "depth", "off": ["all"]}}
    with pytest.raises(ReadingsError, match="put its table above"):
        Cell(sorting.change({"sensors": turned}))
    other = {"eye": {"kind": "depth", "camera": "wrist"}, "cloud": {"kind": "cloud", "of": "eye"}}
    with pytest.raises(ReadingsError, match="Name a depth sensor of that camera"):
        Cell(sorting.change({"sensors": other}))


@pytest.mark.parametrize("fields", [{"latency": 0.1}, {"rate": 4}, {"rate": 40, "latency": 0.1}])
def test_a_late_or_slow_cloud_begins_with_what_its_depth_sensor_measures(sorting, fields):
    sensors = {"eye": {"kind": "depth", "off": ["all"]}, "cloud": {"kind": "cloud", "of": "eye", **fields}}
    with Cell(sorting.change({"sensors": sensors})) as cell:
        assert np.isfinite(cell.reset(1)["cloud"]).any()


# ---- normals


def test_normals_are_unit_vectors_towards_the_camera_where_something_is(watched):
    for camera in ("overhead", "wrist"):
        normals = watched.readings[f"{camera}_normals"]
        seen = watched.truth[f"{camera}_mask"] >= 0
        assert np.linalg.norm(normals[seen], axis=-1) == pytest.approx(1, abs=1e-3)
        assert (normals[~seen] == 0).all()


def test_normals_of_a_measured_plane_are_its_own():
    shape, focal = (30, 40), 50
    normal = np.array([0.3, -0.4, -1.0])
    normal /= np.linalg.norm(normal)
    v, u = np.indices(shape)
    rays = np.stack([(u - 19.5) / focal, (v - 14.5) / focal, np.ones(shape)], axis=-1)
    z = (-1 / (rays @ normal)).astype(np.float32)
    z[10, 10] = np.inf
    view, seen = depths.wall(1, shape), depths.camera(focal, *shape)
    found = depths.shots(Normals(of="eye_depth"), view, seen, taken={"eye_depth": z})[0]
    missing = (np.linalg.norm(found, axis=-1) == 0)[1:-1, 1:-1]
    rows, columns = np.nonzero(missing)
    assert sorted(zip(rows + 1, columns + 1, strict=True)) == [(9, 10), (10, 9), (10, 11), (11, 10)]
    assert np.abs(found[1:-1, 1:-1][~missing] - normal).max() < 1e-4
    assert (
        depths.shots(Normals(of="eye_depth", off=("all",)), view, seen, taken={"eye_depth": z})[0] == view.normals
    ).all()
