"""Textures in `raster`: a picture repeated over a body's faces, against values worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from twinlab import frames, meshes
from twinlab.frames import Intrinsics
from twinlab.renderers import Frame
from twinlab.renderers.raster import Raster
from twinlab.snapshot import Light, Snapshot, Texture, Visual

WHITE = (1.0, 1.0, 1.0)
LENS = Intrinsics.from_fov(101, 101, 0.8)
BRIGHT = Light((0, 0, 1), sun=0.0, ambient=1.0)  # from above it shows the colour itself: 0.74 + 0.26 is 1
# Rows count upwards along the second axis, columns along the first.
PICTURE = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[255, 255, 0], [0, 255, 255], [51, 102, 204]]], np.uint8)
CUBE = meshes.box((0.4, 0.4, 0.4)).mesh


@pytest.fixture(scope="module")
def view():
    opened = Raster(shadows=False).open()
    yield opened
    opened.close()


def seen(*visuals: Visual) -> Snapshot:
    return Snapshot(0.0, ("cube",), ("cube",), frames.IDENTITY[None], visuals, {}, BRIGHT)


def places(frame: Frame, hit: np.ndarray) -> np.ndarray:
    """What the pixels of `hit` show, in the camera's frame (pixel, 3) [m]."""
    return LENS.rays()[hit] * frame.depth[hit][:, None]


def expected(first: np.ndarray, second: np.ndarray, texture: Texture) -> np.ndarray:
    """The texel by the definition: u = first/edge, v = second/(edge*rows/columns), nearest, both repeated."""
    rows, columns = texture.picture.shape[:2]
    u, v = first / texture.edge, second / (texture.edge * rows / columns)
    row, column = np.floor((v - np.floor(v)) * rows), np.floor((u - np.floor(u)) * columns)
    return texture.picture[row.astype(int), column.astype(int)]


def off_edges(first: np.ndarray, second: np.ndarray, texel: float) -> np.ndarray:
    """Whether points are further than a hundredth of a texel from where texels meet."""
    shares = np.stack([first, second]) / texel
    return (np.abs(shares - np.round(shares)) > 0.01).all(axis=0)


@pytest.mark.parametrize(
    ("eye", "up", "axes"),
    [
        ((0, 0, 2.0), (0, 1, 0), (0, 1)),  # the face of z: x, y
        ((0, 0, -2.0), (0, 1, 0), (0, 1)),
        ((2.0, 0, 0), (0, 0, 1), (1, 2)),  # of x: y, z
        ((0, 2.0, 0), (0, 0, 1), (0, 2)),  # of y: x, z
    ],
)
def test_a_face_shows_the_texel_of_its_two_other_axes(view, eye, up, axes):
    texture = Texture(PICTURE, edge=0.15)
    snapshot = replace(seen(Visual(0, 0, CUBE, frames.IDENTITY, WHITE, texture=texture)), light=Light(eye, 1.0, 0.0))
    pose = frames.look_at(eye, (0, 0, 0), up)
    frame = view.render(snapshot, LENS, pose)
    hit = frame.mask == 0
    points = frames.apply(pose, places(frame, hit))
    first, second = points[:, axes[0]], points[:, axes[1]]
    clear = off_edges(first, second, 0.05)  # a texel is 0.15 m / 3 columns wide, and as high
    assert clear.sum() > 500
    assert (frame.rgb[hit][clear] == expected(first, second, texture)[clear]).all()


def test_one_texel_by_hand(view):
    # The point (0.06, 0.03) of the upper face: u = 0.06/0.15 = 0.4 is column 1, v = 0.03/0.1 = 0.3 is row 0: green.
    # The point (-0.01, 0.06): u = -0.067 repeats to 0.933, column 2; v = 0.6 is row 1: (51, 102, 204).
    texture = Texture(PICTURE, edge=0.15)
    pose = frames.look_at((0, 0, 2.0), (0, 0, 0), (0, 1, 0))
    frame = view.render(seen(Visual(0, 0, CUBE, frames.IDENTITY, WHITE, texture=texture)), LENS, pose)
    for point, colour in (((0.06, 0.03, 0.2), (0, 255, 0)), ((-0.01, 0.06, 0.2), (51, 102, 204))):
        column, row = np.round(LENS.project(frames.apply(frames.inverse(pose), np.array([point])))[0]).astype(int)
        assert frame.rgb[row, column].tolist() == list(colour)


def test_a_texture_multiplies_the_colour_and_follows_the_visuals_own_frame(view):
    texture = Texture(PICTURE, edge=0.15)
    turned = frames.from_euler((0.03, -0.02, 0), (0, 0, 0.5))
    colour = (0.4, 0.8, 0.6)  # 102, 204, 153 of 255
    pose = frames.look_at((0, 0, 2.0), (0, 0, 0), (0, 1, 0))
    frame = view.render(seen(Visual(0, 0, CUBE, turned, colour, texture=texture)), LENS, pose)
    hit = (frame.mask == 0) & (frame.normals[..., 2] < -0.99)
    points = frames.apply(frames.inverse(turned), frames.apply(pose, places(frame, hit)))
    clear = off_edges(points[:, 0], points[:, 1], 0.05)
    wanted = expected(points[:, 0], points[:, 1], texture) * np.array(colour)
    assert clear.sum() > 500
    assert np.abs(frame.rgb[hit][clear] - wanted[clear]).max() < 1  # 0.5 of rounding, and the square root's


def test_a_slope_takes_the_axis_of_its_largest_component_and_x_before_y_before_z(view):
    # The face x + y = const of a prism turned by 45° has a normal with |x| = |y|: x wins, and y and z remain.
    tilted = meshes.hull(frames.apply(frames.from_euler((0, 0, 0), (0, 0, np.pi / 4)), CUBE.vertices)).mesh
    corners = tilted.vertices.astype(float)
    exact = np.where(np.abs(corners) < 1e-6, 0, np.sign(corners)) * (0.3, 0.3, 0.2)  # |x| = |y| to the bit
    tilted = meshes.hull(exact).mesh
    texture = Texture(PICTURE, edge=0.15)
    eye = (1.5, 1.5, 0.0)
    snapshot = replace(seen(Visual(0, 0, tilted, frames.IDENTITY, WHITE, texture=texture)), light=Light(eye, 1, 0))
    pose = frames.look_at(eye, (0, 0, 0))
    frame = view.render(snapshot, LENS, pose)
    hit = frame.mask == 0
    points = frames.apply(pose, places(frame, hit))
    clear = off_edges(points[:, 1], points[:, 2], 0.05)
    assert clear.sum() > 500
    assert (frame.rgb[hit][clear] == expected(points[:, 1], points[:, 2], texture)[clear]).all()


def test_textures_and_plain_colours_stand_side_by_side(view):
    rng = np.random.default_rng(0)
    checks = [Texture(rng.integers(0, 256, (7, 11, 3), dtype=np.uint8), 0.1 + 0.02 * i) for i in range(2)]
    big = Texture(rng.integers(0, 256, (60, 70, 3), dtype=np.uint8), 0.2)  # more texels than one line of the store
    small = meshes.box((0.2, 0.2, 0.2)).mesh
    corners = [(-0.15, -0.15), (0.15, -0.15), (-0.15, 0.15), (0.15, 0.15)]
    poses = [frames.pose((*place, 0)) for place in corners]
    textures = [checks[0], checks[1], None, big]
    visuals = [Visual(0, 0, small, at, WHITE, texture=t) for at, t in zip(poses, textures, strict=True)]
    pose = frames.look_at((0, 0, 2.0), (0, 0, 0), (0, 1, 0))
    frame = view.render(seen(*visuals), LENS, pose)
    for number, (at, texture) in enumerate(zip(poses, textures, strict=True)):
        hit = (frame.visual == number) & (frame.normals[..., 2] < -0.99)
        if texture is None:
            assert (frame.rgb[hit] == 255).all()
            continue
        points = frames.apply(frames.inverse(at), frames.apply(pose, places(frame, hit)))
        clear = off_edges(points[:, 0], points[:, 1], texture.edge / texture.picture.shape[1])
        assert clear.sum() > 50
        assert (frame.rgb[hit][clear] == expected(points[:, 0], points[:, 1], texture)[clear]).all()


def test_a_texture_changes_colours_alone(view):
    pose = frames.look_at((0.9, 0.7, 1.5), (0, 0, 0))
    textured, plain = (
        view.render(seen(Visual(0, 0, CUBE, frames.IDENTITY, WHITE, texture=t)), LENS, pose)
        for t in (Texture(PICTURE, 0.15), None)
    )
    for name in ("depth", "mask", "visual", "normals"):
        assert getattr(textured, name).tobytes() == getattr(plain, name).tobytes()
    assert textured.rgb.tobytes() != plain.rgb.tobytes()
