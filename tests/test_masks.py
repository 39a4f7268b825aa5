"""Masks of the truth: they teach the views which pixels matter, and no belief carries them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import toy
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from twinlab import rooms
from twinlab.batches import Signal, Windows, fitted, hold, survey
from twinlab.errors import ModelError
from twinlab.model import WorldModel
from twinlab.model.linear import typical_change
from twinlab.model.objective import Objective, draw
from twinlab.train import look

FLAWS = Signal("top_flaws", "mask", "truth", ("top_row", "top_column"), (32, 32))


def episode(seed: int, ticks: int = 40) -> xr.Dataset:
    """The toy line with the pixels of its dot marked, a mask that numbers what each pixel shows, and one of parts."""
    plain = toy.episode(seed, ticks)
    rgb = plain["top_rgb"].values.astype(int)
    marked = np.abs(rgb[..., 0] - rgb[..., 1]) > 40
    about = {"kind": "mask", "role": "truth", "units": "1"}
    return plain.assign(
        top_flaws=(("time", *FLAWS.dims), marked, about),
        top_mask=(("time", *FLAWS.dims), marked.astype(np.int16), about),
        part_present=(("time", "part"), np.ones((ticks, 1), bool), about),
    )


@pytest.fixture(scope="module")
def windows() -> Windows:
    tracks, signals = hold([episode(0), episode(1), episode(2)])
    return Windows(tracks, fitted(signals, tracks), window=1, horizon=0)


def test_pictures_of_yes_and_no_are_modelled_and_masks_that_number_what_they_show_or_mark_parts_are_not():
    assert [s.name for s in survey(episode(0)).of("truth", "mask")] == ["top_flaws"]


def test_masks_are_told_by_views_and_are_no_part_of_a_belief(windows):
    torch.manual_seed(0)
    model = WorldModel(windows.signals, toy.SMALL.size)
    without = replace(windows.signals, all=tuple(s for s in windows.signals.all if s.kind != "mask"))
    plain = WorldModel(without, toy.SMALL.size)
    assert model.dynamics.size == plain.dynamics.size and set(model.truth.names) == set(plain.truth.names)
    assert model.perception.features == plain.perception.features + 1 + toy.SMALL.size.channels


def test_a_mask_is_read_only_where_pictures_are_looked_at(windows):
    assert windows.take([0, 5]).truth["top_flaws"].shape == (2, 1, 32, 32)
    model = WorldModel(windows.signals, toy.SMALL.size).eval()
    seen = Windows([look(model, track) for track in windows.tracks], windows.signals, window=4, horizon=5)
    assert "top_flaws" not in seen.take([0, 5]).truth


def test_a_view_learns_which_pixels_are_marked_and_from_any_of_its_pictures(windows):
    torch.manual_seed(0)
    model = WorldModel(windows.signals, toy.SMALL.size)
    change = torch.from_numpy(typical_change(windows.tracks, windows.signals, 1))
    objective, rng = Objective(model, 1, 0, change).train(), np.random.default_rng(0)
    optimizer = torch.optim.Adam(objective.parameters(), 0.03)
    for _ in range(120):
        terms, _ = objective(windows.sample(rng, 16), draw(model, 16, 1, rng, 1, blind=0.3))
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
    fresh, signals = hold([episode(9)], windows.signals)
    batch = Windows(fresh, signals, window=1, horizon=0).take(range(0, 40, 4))
    truth = batch.truth["top_flaws"][:, 0]
    for names in (("top_rgb", "top_depth"), ("top_rgb",), ("top_depth",)):
        odds = model.eval().marked({name: batch.readings[name][:, 0] for name in names})["top_flaws"]
        assert odds.shape == truth.shape
        assert odds[truth].mean() > 5 * odds[~truth].mean(), names


def test_half_of_the_pictures_that_are_looked_at_are_such_that_anything_is_marked_in():
    rare = episode(0).assign(top_flaws=lambda e: e["top_flaws"] & (e["time"] < 0.19))
    tracks, signals = hold([rare, episode(1).assign(top_flaws=lambda e: e["top_flaws"] & False)])
    for window, horizon in ((1, 0), (4, 5)):
        windows = Windows(tracks, signals, window, horizon)
        which = windows.drawn(np.random.default_rng(0), 4000)
        assert (which < 4).mean() == pytest.approx(0.5 + 0.5 * 4 / len(windows), abs=0.03)
        assert len(np.unique(which)) == len(windows)


def test_without_a_picture_of_its_camera_a_mask_is_left_out(windows):
    model = WorldModel(windows.signals, toy.SMALL.size).eval()
    assert model.marked({"tool": torch.zeros(2, 3)}) == {}
    with pytest.raises(ModelError, match="no readings came"):
        model.marked({})


def test_a_model_with_masks_comes_back_as_it_was(windows, tmp_path):
    model = WorldModel(windows.signals, toy.SMALL.size)
    again = WorldModel.load(model.save(tmp_path))
    pictures = {name: windows.take([3, 30]).readings[name][:, 0] for name in ("top_rgb", "top_depth")}
    assert torch.equal(model.eval().marked(pictures)["top_flaws"], again.marked(pictures)["top_flaws"])


@given(share=st.floats(0.001, 0.9))
def test_what_is_read_is_the_share_of_pixels_that_are_marked_whatever_they_weigh(share):
    """Where nothing tells pixels apart, the answer that costs least reads as how often they are marked."""
    codec = rooms.build("codecs", "mask")
    marked = torch.zeros(1, 100, 100, dtype=torch.bool)
    marked.view(-1)[: round(share * 10_000)] = True
    logit = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([logit], max_iter=50, line_search_fn="strong_wolfe")

    def cost() -> torch.Tensor:
        optimizer.zero_grad()
        value = codec.loss(FLAWS, logit.expand(1, 1, 100, 100), marked).sum()
        value.backward()
        return value

    optimizer.step(cost)
    read = codec.read(FLAWS, logit.detach().expand(1, 1, 100, 100))
    assert read.mean().item() == pytest.approx(marked.float().mean().item(), abs=0.01)
