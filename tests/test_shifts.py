"""Random shifts: pictures are moved in training, what is told of their pixels is not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import toy
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from test_masks import episode

from twinlab.batches import Windows, fitted, hold
from twinlab.errors import ModelError
from twinlab.model import WorldModel
from twinlab.model.linear import typical_change
from twinlab.model.objective import Objective, draw
from twinlab.model.perception import moved
from twinlab.train import Fit, fit

LENS = [[40.0, 0, 15.5], [0, 40.0, 15.5], [0, 0, 1]]


def measured(seed: int) -> xr.Dataset:
    """The toy line with marked pixels, whose depth tells its camera, a metre above the plate."""
    out = episode(seed)
    pose = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0)
    out["top_depth"].attrs.update(camera_matrix=np.ravel(LENS), distortion=np.zeros(5), extrinsics=pose, link="")
    return out


@pytest.fixture(scope="module")
def windows() -> Windows:
    tracks, signals = hold([measured(0), measured(1)])
    return Windows(tracks, fitted(signals, tracks), window=1, horizon=0)


@pytest.fixture(scope="module")
def model(windows) -> WorldModel:
    torch.manual_seed(0)
    return WorldModel(windows.signals, toy.SMALL.size).eval()


@given(st.integers(1, 9), st.integers(1, 9), st.integers(-12, 12), st.integers(-12, 12))
def test_a_map_is_read_so_many_pixels_further_and_its_edges_are_repeated(rows, columns, down, right):
    maps = torch.arange(2.0 * 3 * rows * columns).view(2, 3, rows, columns)
    out = moved(maps, torch.tensor([[0, 0], [down, right]]))
    assert torch.equal(out[0], maps[0])
    for row in range(rows):
        for column in range(columns):
            at = min(max(row + down, 0), rows - 1), min(max(column + right, 0), columns - 1)
            assert torch.equal(out[1, :, row, column], maps[1, :, *at])


def test_where_a_view_looks_and_what_it_marks_is_told_of_pixels_where_they_were(windows, model):
    batch = windows.take(range(4))
    pictures = {name: batch.readings[name][:, 0] for name in ("top_rgb", "top_depth")}
    there = dict.fromkeys(pictures, torch.ones(4, dtype=torch.bool))
    patches = torch.tensor([[[4, -4]], [[-4, 8]], [[0, 4]], [[-8, 0]]])  # whole ones, so that the same ones are seen
    with torch.no_grad():
        looks = [model.perception.attend(pictures, there, 4, by)[1][0] for by in (None, patches)]
    for plain, other in ((look.places, look.masks["top_flaws"]) for look in looks):
        assert plain.shape[2:] == other.shape[2:] == (toy.EDGE, toy.EDGE)
    inner = (..., slice(12, 20), slice(12, 20))  # a patch's logits follow from the patches beside it
    torch.testing.assert_close(looks[0].places[inner], looks[1].places[inner])


def test_points_that_a_moved_view_looks_at_lie_where_the_camera_measured_them(windows, model):
    batch = windows.take(range(6))
    pictures = {name: batch.readings[name][:, 0] for name in ("top_rgb", "top_depth")}
    there = dict.fromkeys(pictures, torch.ones(6, dtype=torch.bool))
    view = model.perception.views[0]
    by = torch.tensor([[3, -2], [-4, 4], [0, 1], [2, 2], [-1, -3], [4, 0]])
    with torch.no_grad():
        found, looked = view(pictures, there, by)
        points, _ = view.points(found)
        expected, _ = view.gaze(pictures["top_depth"], looked.places)
    torch.testing.assert_close(points, expected)


def test_without_shifts_all_else_is_drawn_as_with_them(model):
    plain, other = (draw(model, 5, 3, np.random.default_rng(1), 2, 0.5, 0.5, shift) for shift in (0, 4))
    assert plain.shifts is None and other.shifts is not None
    assert other.shifts.shape == (5, 3, 1, 2)
    assert torch.equal(plain.starts, other.starts) and torch.equal(plain.members, other.members)
    assert all(torch.equal(plain.present[name], other.present[name]) for name in plain.present)
    assert torch.equal(other.of(slice(1, 3)).shifts, other.shifts[1:3])


def test_each_shift_is_drawn_as_often_up_to_the_largest(model):
    drawn = draw(model, 2000, 1, np.random.default_rng(0), shift=2).shifts
    values, counts = drawn.unique(return_counts=True)
    assert values.tolist() == [-2, -1, 0, 1, 2]
    assert counts.min() > 0.9 * counts.max()


def test_a_loss_is_of_the_pictures_as_they_were_moved(windows, model):
    change = torch.from_numpy(typical_change(windows.tracks, windows.signals, 1))
    objective, batch = Objective(model, 1, 0, change), windows.take(range(8))
    choices = draw(model, 8, 1, np.random.default_rng(0), shift=4)
    with torch.no_grad():
        losses = [objective(batch, one)[0] for one in (choices, replace(choices, shifts=None))]
    for name in ("found", "masked"):
        assert losses[0][name] != losses[1][name], name


def test_training_with_shifts_follows_from_its_seed_and_a_wrong_one_is_told():
    episodes = [toy.episode(0), toy.episode(1), toy.episode(50_000)]
    plain, one, same = (fit(episodes, replace(toy.SMALL, shift=shift)).state_dict() for shift in (0, 4, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(plain[name], one[name]) for name in one)
    with pytest.raises(ModelError, match=r"shift came as -1; wanted 0 or more"):
        Fit(shift=-1)
