"""The ground truth of defects: what is marked in a picture agrees with projections worked out by hand."""

import cv2
import numpy as np
import pytest

from twinlab import frames
from twinlab.cell import Cell
from twinlab.scene import read_scene

NOMINAL = read_scene("inspection").vary(0)
STATION = np.array(NOMINAL.task.station)
FACE = 0.25  # height of the table's face [m]
FLAWS = ("scratch", "dent", "missing", "dimension")


@pytest.fixture(scope="module")
def studio():
    """The line without errors of its cameras, and one part of each kind of defect, and a good one."""
    sensors = {n: s for n, s in NOMINAL.tables()["sensors"].items() if n.endswith("defects")}
    with Cell(NOMINAL.ideal().change({"sensors": sensors, "loader.masters": [*FLAWS, ""]})) as cell:
        yield cell


def shown(cell: Cell, flaw: str, camera: str) -> np.ndarray:
    """The mask of a part that lies under the cameras, its axes along the world's."""
    cell.reset(0)
    name = next(i.name for i in cell.items if i.defect == flaw)
    cell.world.place(name, frames.pose((*STATION, FACE + 0.008)))
    cell.step({})
    return cell.truth[f"{camera}_defects"]


def projected(cell: Cell, camera: str, points: np.ndarray) -> np.ndarray:
    """Where points of a part (n, 3) [mm from the middle of its base] are in a picture (n, 2) [px]."""
    world = np.array(points) / 1000 + (*STATION, FACE + 0.008)
    spec = cell.spec.cameras[camera]
    x, y, z = frames.apply(frames.inverse(spec.mount()), world).T
    lens = spec.intrinsics()
    return np.stack([lens.fx * x / z + lens.cx, lens.fy * y / z + lens.cy], axis=-1)


def circle(x: float, z: float, radius: float) -> list[tuple[float, float, float]]:
    angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    return [(x + radius * np.cos(a), radius * np.sin(a), z) for a in angles]


def inside(outline: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """How far each pixel is inside the convex hull of points (n, 2), below 0 outside [px]."""
    hull = cv2.convexHull(outline.astype(np.float32))
    rows, columns = np.indices(shape)
    distances = [
        cv2.pointPolygonTest(hull, (float(u), float(v)), True) for v, u in zip(rows.flat, columns.flat, strict=True)
    ]
    return np.array(distances).reshape(shape)


def test_the_camera_above_shows_what_its_geometry_says(studio):
    """A point 17 mm along the world's x axis, 8 + 8 mm above the base's middle, worked out by hand."""
    focal, depth = 48 / np.tan(np.radians(6.5)), 0.58 - (FACE + 0.008 + 0.016)
    along = 0.017 * np.array([np.cos(np.pi / 6), 0.5])  # the picture's x axis is turned by 30 degrees
    assert projected(studio, "top", [(17, 0, 16)])[0] == pytest.approx(47.5 + focal * along / depth, abs=0.02)


CORNER = 6.5 * np.sqrt(3)  # how far a dent 6.5 mm deep reaches along each edge [mm]
OUTLINES = {
    ("scratch", "top"): [(x, 16.8 + y, 8.1) for x in (-7.5, 7.5) for y in (-0.5, 0.5)],
    ("dent", "top"): [(24, 24, 8), (24 - CORNER, 24, 8), (24, 24 - CORNER, 8), (24, 24, 8 - CORNER)],
    ("missing", "top"): [*circle(17, 16, 3), *circle(17, 10.5, 3)],
    ("missing", "side"): [*circle(17, 16, 3), *circle(17, 10.5, 3)],
    ("dimension", "top"): circle(0, 22.5, 10),
    ("dimension", "side"): [*circle(0, 22.5, 10), *circle(0, 20, 10)],
}


@pytest.mark.parametrize(("flaw", "camera"), OUTLINES)
def test_a_defect_is_marked_where_its_projection_lies_to_within_a_pixel(studio, flaw, camera):
    mask = shown(studio, flaw, camera)
    depth = inside(projected(studio, camera, OUTLINES[flaw, camera]), mask.shape)
    assert mask.sum() >= 15
    assert depth[mask].min() > -1, "a pixel is marked that shows no defect"
    assert mask[depth > 1].all(), "a pixel of the defect is not marked"
    assert mask.sum() == pytest.approx((depth > 0).sum(), rel=0.12)


@pytest.mark.parametrize("camera", ["top", "side"])
def test_a_good_part_has_no_pixel_marked(studio, camera):
    assert not shown(studio, "", camera).any()


def test_a_part_without_a_twin_is_never_marked(studio):
    sensors = studio.spec.tables()["sensors"]
    changed = {"sensors": {n: {**s, "twin": "_other"} for n, s in sensors.items()}}
    with Cell(studio.spec.change(changed)) as cell:
        assert not shown(cell, "dent", "top").any()


def test_the_twin_is_out_of_sight_in_the_picture_itself(studio):
    shown(studio, "missing", "top")
    bodies = studio.snapshot().bodies
    there = {bodies[i] for i in np.unique(studio.picture("top").mask)}
    assert not any(name.endswith("_designed") for name in there)
