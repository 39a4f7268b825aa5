"""Codecs: every file of the room keeps the protocol and learns."""

import numpy as np
import pytest
import torch

from twinlab import rooms
from twinlab.batches import Signal
from twinlab.errors import ModelError

WIDTH = 16
SIGNALS = {
    "image": Signal("picture", "image", "reading", ("row", "column", "channel"), (16, 16, 3)),
    "depth": Signal("range", "depth", "reading", ("row", "column"), (16, 16), mean=(1.0,), std=(0.2,)),
    "vector": Signal("tool", "vector", "reading", ("axis",), (3,), mean=(1.0, 2.0, 3.0), std=(0.5, 1.0, 2.0)),
    "pulse": Signal("beam", "pulse", "reading", (), ()),
    "label": Signal("colour", "label", "truth", (), (), labels=("red", "green", "blue")),
}
CODECS = pytest.mark.parametrize("kind", rooms.names("codecs"))


def values(kind: str, count: int = 6) -> torch.Tensor:
    rng = np.random.default_rng(0)
    made = {
        "image": lambda: rng.integers(0, 256, (count, 16, 16, 3), dtype=np.uint8),
        "depth": lambda: np.where(
            rng.random((count, 16, 16)) < 0.2, np.inf, rng.normal(1, 0.2, (count, 16, 16))
        ).astype("f2"),
        "vector": lambda: rng.normal([1, 2, 3], [0.5, 1, 2], (count, 3)).astype(np.float32),
        "pulse": lambda: rng.random(count) < 0.5,
        "label": lambda: rng.integers(0, 3, count),
    }
    return torch.from_numpy(made[kind]())


@pytest.mark.parametrize("kind", sorted(set(SIGNALS) - {"vector"}))
def test_a_codec_gives_tokens_or_maps_that_are_finite(kind):
    codec, signal = rooms.build("codecs", kind), SIGNALS[kind]
    token = codec.encoder(signal, WIDTH)(values(kind))
    assert token.shape == ((6, WIDTH, 4, 4) if codec.spatial else (6, WIDTH))
    assert torch.isfinite(token).all()


@CODECS
def test_a_codec_reads_out_what_it_takes_in(kind):
    codec, signal = rooms.build("codecs", kind), SIGNALS[kind]
    out = codec.decoder(signal, WIDTH)(torch.randn(6, WIDTH))
    read = codec.read(signal, out)
    assert read.shape == ((6, len(signal.labels)) if kind == "label" else values(kind).shape)
    assert codec.loss(signal, out, values(kind)).shape == (6,)
    assert torch.isfinite(codec.loss(signal, out, values(kind))).all()


@CODECS
def test_a_codec_learns_what_it_is_shown(kind):
    torch.manual_seed(0)
    codec, signal, shown = rooms.build("codecs", kind), SIGNALS[kind], values(kind)
    keys, decoder = torch.randn(6, WIDTH), codec.decoder(signal, WIDTH)
    optimizer = torch.optim.Adam(decoder.parameters(), 0.02)
    costs = []
    for _ in range(60):
        cost = codec.loss(signal, decoder(keys), shown).mean()
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        costs.append(cost.item())
    assert costs[-1] < costs[0] - 0.1 * abs(costs[0])


def test_a_vector_reads_out_in_its_own_units():
    codec, signal = rooms.build("codecs", "vector"), SIGNALS["vector"]
    out = torch.tensor([[0.0, 1.0, -1.0, 0.0, 0.0, 0.0]])
    assert torch.allclose(codec.read(signal, out), torch.tensor([[1.0, 3.0, 1.0]]))


def test_a_vector_that_is_sure_and_wrong_costs_more_than_one_that_is_unsure():
    codec, signal = rooms.build("codecs", "vector"), SIGNALS["vector"]
    wrong = torch.tensor([[2.0, 4.0, 5.0]])
    sure, unsure = (torch.tensor([[0.0, 0, 0, raw, raw, raw]]) for raw in (-2.0, 2.0))
    assert codec.loss(signal, sure, wrong) > codec.loss(signal, unsure, wrong)


def test_how_sure_a_vector_is_does_not_train_what_lies_before_it():
    codec, signal = rooms.build("codecs", "vector"), SIGNALS["vector"]
    features = torch.randn(6, WIDTH, requires_grad=True)
    _, std = codec.split(codec.decoder(signal, WIDTH)(features))
    (grad,) = torch.autograd.grad(std.sum(), features, allow_unused=True)
    assert grad is None or not grad.any()


def test_depth_reads_infinite_where_nothing_is():
    codec, signal = rooms.build("codecs", "depth"), SIGNALS["depth"]
    out = torch.zeros(1, 2, 16, 16)
    out[:, 1, :8], out[:, 1, 8:] = -3.0, 3.0
    read = codec.read(signal, out)
    assert torch.isinf(read[:, :8]).all() and torch.allclose(read[:, 8:], torch.tensor(1.0))


def test_a_picture_that_is_not_of_whole_patches_is_told():
    with pytest.raises(ModelError, match=r"'odd' has shape \(18, 16, 3\); wanted rows and columns in multiples of 4"):
        rooms.build("codecs", "image").encoder(Signal("odd", "image", "reading", (), (18, 16, 3)), WIDTH)


def test_a_label_without_classes_is_told():
    with pytest.raises(ModelError, match="wanted one number a tick and the names of its classes"):
        rooms.build("codecs", "label").decoder(Signal("what", "label", "truth", (), ()), WIDTH)
