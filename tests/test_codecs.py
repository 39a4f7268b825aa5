"""Codecs: every file of the room keeps the protocol and learns."""

import numpy as np
import pytest
import torch
import toy
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab import rooms
from twinlab.batches import Signal, Windows, fitted, hold
from twinlab.codecs.cloud import chosen
from twinlab.errors import ModelError
from twinlab.model import WorldModel
from twinlab.model.linear import typical_change
from twinlab.model.objective import Objective, draw
from twinlab.train import fit

WIDTH = 16
SIGNALS = {
    "image": Signal("picture", "image", "reading", ("row", "column", "channel"), (16, 16, 3)),
    "depth": Signal("range", "depth", "reading", ("row", "column"), (16, 16), mean=(1.0,), std=(0.2,)),
    "vector": Signal("tool", "vector", "reading", ("axis",), (3,), mean=(1.0, 2.0, 3.0), std=(0.5, 1.0, 2.0)),
    "pulse": Signal("beam", "pulse", "reading", (), ()),
    "label": Signal("colour", "label", "truth", (), (), labels=("red", "green", "blue")),
    "normals": Signal("facing", "normals", "reading", ("row", "column", "axis"), (16, 16, 3)),
    "mask": Signal("flaws", "mask", "truth", ("row", "column"), (16, 16)),
    "tactile": Signal("pads", "tactile", "reading", ("pad", "row", "column"), (2, 6, 5), std=(20_000.0,)),
    "cloud": Signal("points", "cloud", "reading", ("point", "axis"), (300, 3), mean=(0, 0, 1.0), std=(0.2, 0.2, 0.2)),
}
TOLD = {"label": (3,), "cloud": (32, 3)}  # what is read, where that is not what came in
SOME = sorted(set(SIGNALS) - {"vector", "label", "pulse", "image"})  # kinds whose values may hold what is no number
CODECS = pytest.mark.parametrize("kind", rooms.names("codecs"))


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Threads that wait for each other take most of the time of so small tensors, where others use the cores too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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
        "normals": lambda: normals(rng, count).astype("f2"),
        "mask": lambda: rng.random((count, 16, 16)) < 0.1,
        "tactile": lambda: np.where(rng.random((count, 2, 6, 5)) < 0.7, 0, rng.gamma(1, 5e4, (count, 2, 6, 5))).astype(
            "f4"
        ),
        "cloud": lambda: cloud(rng, count).astype("f2"),
    }
    return torch.from_numpy(made[kind]())


def normals(rng: np.random.Generator, count: int) -> np.ndarray:
    """Random unit vectors (count, 16, 16, 3), 0 at the left."""
    out = rng.normal([0, 0, -1], 0.5, (count, 16, 16, 3))
    out /= np.linalg.norm(out, axis=-1, keepdims=True)
    out[:, :, :3] = 0
    return out


def cloud(rng: np.random.Generator, count: int) -> np.ndarray:
    """Random clouds (count, 300, 3) [m] of 0, 60, 120, … points, the others +inf."""
    out = rng.normal([0, 0, 1], 0.2, (count, 300, 3))
    for number, points in enumerate(out):
        points[min(60 * number, 300) :] = np.inf
    return out


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
    assert read.shape == (6, *TOLD.get(kind, signal.shape))
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


def test_the_tests_here_know_every_codec():
    assert set(SIGNALS) == set(rooms.names("codecs"))


@pytest.mark.parametrize("kind", sorted(set(SIGNALS) - {"vector"}))
def test_an_encoder_learns_to_tell_samples_apart(kind):
    torch.manual_seed(0)
    shown = values(kind)
    wanted = (shown if kind in ("label", "pulse") else torch.arange(len(shown))) % 2
    encoder = rooms.build("codecs", kind).encoder(SIGNALS[kind], WIDTH)
    head = torch.nn.Linear(WIDTH, 2)
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], 0.01)
    for _ in range(80):
        token = encoder(shown)
        cost = torch.nn.functional.cross_entropy(
            head(token.flatten(2).mean(dim=2) if token.dim() > 2 else token), wanted
        )
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
    assert cost < 0.3


@pytest.mark.parametrize("kind", SOME)
@pytest.mark.parametrize("blank", [np.nan, np.inf, -np.inf, 0.0])
def test_what_is_no_number_anywhere_costs_and_trains_nothing_that_is_not_finite(kind, blank):
    codec, signal = rooms.build("codecs", kind), SIGNALS[kind]
    mixed = values(kind)
    mixed[0], mixed[1].view(-1)[::7] = blank, blank
    encoder, decoder = codec.encoder(signal, WIDTH), codec.decoder(signal, WIDTH)
    features = encoder(mixed)
    features = features.flatten(2).mean(dim=2) if codec.spatial else features
    cost = codec.loss(signal, decoder(features), mixed)
    cost.sum().backward()
    grads = [p.grad for p in (*encoder.parameters(), *decoder.parameters())]
    assert torch.isfinite(features).all() and torch.isfinite(cost).all()
    assert all(torch.isfinite(g).all() for g in grads) and any(g.any() for g in grads)


@CODECS
def test_an_answer_of_nothing_at_all_has_finite_gradients(kind):
    codec, signal = rooms.build("codecs", kind), SIGNALS[kind]
    out = torch.zeros_like(codec.decoder(signal, WIDTH)(torch.randn(6, WIDTH))).requires_grad_()
    codec.loss(signal, out, values(kind)).sum().backward()
    assert torch.isfinite(out.grad).all()


def test_normals_read_as_unit_vectors_and_as_nothing_where_none_are():
    codec, signal, shown = rooms.build("codecs", "normals"), SIGNALS["normals"], values("normals").float()
    there = (shown != 0).any(dim=-1)
    vectors = torch.where(there[..., None], 5 * shown, 1.0)
    out = torch.cat([vectors, torch.where(there, 3.0, -3.0)[..., None]], dim=-1).permute(0, 3, 1, 2)
    assert torch.allclose(codec.read(signal, out), shown, atol=1e-3)
    sure = codec.loss(signal, out * torch.tensor([1.0, 1, 1, 10])[:, None, None], shown)
    assert torch.allclose(sure, torch.zeros(6), atol=1e-5)


@settings(deadline=None)
@given(angle=st.floats(0, np.pi), length=st.floats(0.2, 5.0))
def test_normals_cost_1_less_the_cosine_whatever_their_length(angle, length):
    codec, signal = rooms.build("codecs", "normals"), SIGNALS["normals"]
    shown = torch.tensor([0.0, 0.0, -1.0]).expand(1, 16, 16, 3)
    out = torch.tensor([length * np.sin(angle), 0, -length * np.cos(angle), 40.0], dtype=torch.float32)
    cost = codec.loss(signal, out[None, :, None, None].expand(1, 4, 16, 16), shown)
    assert cost.item() == pytest.approx(1 - np.cos(angle), abs=1e-4)


def test_normals_that_are_no_vectors_are_told():
    with pytest.raises(ModelError, match=r"'flat' has shape \(16, 16\); wanted \(rows, columns, 3\)"):
        rooms.build("codecs", "normals").encoder(Signal("flat", "normals", "reading", (), (16, 16)), WIDTH)


@settings(deadline=None)
@given(st.floats(-1e6, 1e6, width=32), st.floats(10.0, 1e5))
def test_a_tactile_map_comes_back_in_its_own_units_whatever_its_scale(felt, scale):
    codec = rooms.build("codecs", "tactile")
    signal = Signal("pad", "tactile", "reading", ("row", "column"), (2, 2), std=(scale,))
    shown = torch.tensor([[[felt, 0.0], [-felt, 1.0]]])
    told = torch.from_numpy(np.sign(shown.numpy()) * np.log1p(np.abs(shown.numpy()) / scale)).reshape(1, 1, 2, 2)
    assert codec.loss(signal, told.float(), shown).item() == pytest.approx(0, abs=1e-6)
    assert torch.allclose(codec.read(signal, told.float()), shown, rtol=1e-4, atol=1e-3)


def test_a_tactile_map_tells_light_touches_apart_as_well_as_hard_ones():
    codec, signal = rooms.build("codecs", "tactile"), SIGNALS["tactile"]
    nothing, light, hard, harder = (torch.full((1, 2, 6, 5), p) for p in (0.0, 2_700.0, 300_000.0, 302_700.0))
    out = torch.zeros(1, 2, 6, 5)
    assert codec.loss(signal, out, nothing) == 0 < codec.loss(signal, out, light)
    step = codec.loss(signal, out, harder).sqrt() - codec.loss(signal, out, hard).sqrt()
    assert codec.loss(signal, out, light).sqrt() > 10 * step


@pytest.mark.parametrize("shape", [(4, 3), (1, 1), (20, 2, 12, 16), (3, 40, 24)])
def test_tactile_maps_of_any_size_and_number_of_axes_pass(shape):
    codec, signal = rooms.build("codecs", "tactile"), Signal("skin", "tactile", "reading", (), shape)
    assert codec.encoder(signal, WIDTH)(torch.rand(2, *shape)).shape == (2, WIDTH)
    out = codec.decoder(signal, WIDTH)(torch.randn(2, WIDTH))
    assert codec.read(signal, out).shape == (2, *shape) and codec.loss(signal, out, torch.rand(2, *shape)).shape == (2,)


def test_a_tactile_line_and_a_flat_cloud_are_told():
    with pytest.raises(ModelError, match=r"tactile 'line' has shape \(5,\); wanted \(pad, row, column\)"):
        rooms.build("codecs", "tactile").encoder(Signal("line", "tactile", "reading", (), (5,)), WIDTH)
    for build in (rooms.build("codecs", "cloud").encoder, rooms.build("codecs", "cloud").decoder):
        with pytest.raises(ModelError, match=r"cloud 'flat' has shape \(50, 2\); wanted \(point, column\)"):
            build(Signal("flat", "cloud", "reading", (), (50, 2)), WIDTH)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 300), st.sampled_from((np.nan, np.inf, -np.inf)))
def test_neither_order_nor_absent_points_change_a_clouds_token_or_its_cost(seed, count, blank):
    rng = np.random.default_rng(seed)
    signal = Signal("points", "cloud", "reading", ("point", "column"), (400, 4), mean=(0.0,) * 4, std=(1.0,) * 4)
    codec = rooms.build("codecs", "cloud")
    shown = np.full((400, 4), blank, np.float32)
    shown[:count] = rng.normal(size=(count, 4))
    turned = shown[rng.permutation(400)]
    torch.manual_seed(seed % 100)
    encoder, out = codec.encoder(signal, WIDTH), torch.randn(1, 97)
    both = torch.from_numpy(np.stack([shown, turned]))
    one, two = encoder(both)
    assert torch.isfinite(one).all() and torch.allclose(one, two, atol=1e-5)
    costs = codec.loss(signal, out.expand(2, -1), both)
    assert torch.allclose(costs[0], costs[1], rtol=1e-5)
    assert torch.allclose(encoder(both.half()), encoder(both), atol=1e-5)  # as it is kept and as it is measured


def test_a_cloud_is_looked_at_where_it_is_and_not_where_it_is_not():
    """A point among those looked at changes the token; all of a cloud with fewer points is looked at."""
    encoder = rooms.build("codecs", "cloud").encoder(SIGNALS["cloud"], WIDTH)
    shown = values("cloud")
    moved, more = shown.clone(), shown.clone()
    moved[1, 7], more[1, 299] = torch.tensor([0.5, 0.5, 1.5]), torch.tensor([np.inf, 0.0, 0.0])
    assert not torch.allclose(encoder(moved)[1], encoder(shown)[1])
    assert torch.equal(encoder(more), encoder(shown))


def test_a_lone_points_features_are_the_clouds_maximum_and_mean():
    encoder = rooms.build("codecs", "cloud").encoder(SIGNALS["cloud"], WIDTH)
    shown = torch.full((1, 300, 3), torch.nan)
    shown[0, 211] = torch.tensor([0.25, -0.5, 1.25])
    features = encoder.points((shown[:, 211] - torch.tensor([0, 0, 1.0])) / 0.2)
    wanted = encoder.token(torch.cat([features, features, torch.tensor([[1 / 128]])], dim=1))
    assert torch.allclose(encoder(shown), wanted, atol=1e-6)


def test_a_point_without_a_colour_is_still_a_point():
    codec, signal = rooms.build("codecs", "cloud"), Signal("points", "cloud", "reading", ("point", "column"), (9, 4))
    shown = torch.randn(1, 9, 4)
    bare, bland = shown.clone(), shown.clone()
    bare[..., 3], bland[..., 3] = torch.nan, 0.0
    encoder = codec.encoder(signal, WIDTH)
    assert torch.equal(encoder(bare), encoder(bland)) and not torch.equal(encoder(bare), encoder(shown))


def test_a_cloud_costs_how_far_the_told_points_lie_from_it_and_it_from_them():
    """One point is told at 0; the cloud's lie 1 and 3 m away: 1² m² to the nearest, (1² + 3²) / 2 m² on average."""
    codec, signal = rooms.build("codecs", "cloud", told=1), Signal("points", "cloud", "reading", (), (5, 3))
    shown = torch.full((1, 5, 3), torch.inf)
    shown[0, 1], shown[0, 4] = torch.tensor([1.0, 0, 0]), torch.tensor([0, -3.0, 0])
    assert codec.loss(signal, torch.tensor([[0.0, 0, 0, 40]]), shown).item() == pytest.approx(1 + 5)


def test_the_points_that_are_looked_at_cover_a_cloud_evenly():
    signal = Signal("wall", "cloud", "reading", ("point", "axis"), (4096, 3))
    across, down = np.meshgrid(np.linspace(-1, 1, 64), np.linspace(-1, 1, 64))
    wall = torch.from_numpy(np.stack([across, down, np.ones_like(down)], axis=-1).reshape(1, 4096, 3).astype("f4"))
    points, valid = chosen(signal, wall, 128)
    assert points.shape == (1, 128, 3) and valid.all()
    counts, *_ = np.histogram2d(*points[0, :, :2].numpy().T, bins=4, range=[[-1, 1]] * 2)
    assert counts.min() >= 2 and counts.max() <= 18  # 8 are expected in each


def test_a_cloud_reads_in_metres_and_costs_nothing_where_it_is_met():
    codec = rooms.build("codecs", "cloud")
    signal = Signal("points", "cloud", "reading", ("point", "axis"), (40, 3), mean=(0, 0, 1.0), std=(0.5, 0.5, 0.5))
    shown = torch.full((2, 40, 3), torch.inf)
    shown[0, :32] = torch.randn(32, 3).half().float()
    out = torch.cat([((shown[:, :32] - torch.tensor([0, 0, 1.0])) / 0.5).flatten(1), torch.tensor([[30.0], [-30]])], 1)
    out = torch.nan_to_num(out, posinf=7.0)
    read = codec.read(signal, out)
    assert torch.allclose(read[0], shown[0, :32], atol=1e-5) and torch.isinf(read[1]).all()
    assert torch.allclose(codec.loss(signal, out, shown), torch.zeros(2), atol=1e-6)
    apart = torch.cat([out[:, :-1] + 2.0, out[:, -1:]], dim=1)
    assert 0 < codec.loss(signal, apart, shown)[0] <= 2 * 12 + 1e-4


def episode(seed: int, ticks: int = 40) -> xr.Dataset:
    """The toy line with every kind of reading: normals and points of its camera, pressure where the tool is near."""
    plain, rng = toy.episode(seed, ticks).drop_vars("intent"), np.random.default_rng(seed)
    depth = plain["top_depth"].values
    slope = np.gradient(np.where(np.isfinite(depth), depth, 1), axis=(1, 2))
    facing = np.stack([slope[1], slope[0], -np.full(depth.shape, toy.SPAN / toy.EDGE)], axis=-1)
    facing = facing / np.linalg.norm(facing, axis=-1, keepdims=True) * np.isfinite(depth)[..., None]
    axis = np.linspace(-toy.SPAN / 2, toy.SPAN / 2, toy.EDGE)
    x, y = (np.broadcast_to(part, depth.shape) for part in np.meshgrid(axis, axis))
    points = np.where(np.isfinite(depth)[..., None], np.stack([x, y, depth], axis=-1), np.inf).reshape(ticks, -1, 3)
    gap = np.linalg.norm(plain["target"].values - plain["tool"].values[:, :2], axis=1)
    felt = np.exp(rng.normal(10, 1, (ticks, 2, 6, 6))) * (gap < 0.1)[:, None, None, None]

    def reading(dims: tuple[str, ...], value: np.ndarray, kind: str) -> tuple:
        return ("time", *dims), value.astype(np.float32), {"kind": kind, "role": "reading", "units": "1"}

    return plain.assign(
        top_normals=reading(("top_row", "top_column", "top_axis"), facing, "normals"),
        pads=reading(("pad", "pad_row", "pad_column"), felt, "tactile"),
        points=reading(("point", "point_axis"), points, "cloud"),
        top_flaws=(("time", "top_row", "top_column"), depth < 0.98, {"kind": "mask", "role": "truth", "units": "1"}),
    )


@pytest.fixture(scope="module")
def whole():
    tracks, signals = hold([episode(0), episode(1)])
    signals = fitted(signals, tracks)
    torch.manual_seed(0)
    return tracks, WorldModel(signals, toy.SMALL.size)


def test_a_model_of_every_kind_looks_at_normals_with_the_camera_and_at_the_rest_by_itself(whole):
    _, model = whole
    assert [view.names for view in model.perception.views] == [("top_rgb", "top_depth", "top_normals")]
    assert set(model.perception.encoders) == {"beam", "pads", "points"}


def test_training_on_every_kind_passes_all_its_stages():
    told: list[dict[str, float]] = []
    model = fit([episode(0), episode(1), episode(50_000)], toy.SMALL, progress=lambda *args: told.append(args[-1]))
    assert told and all(np.isfinite(value) for one in told for value in one.values())
    numbers = model.card["Metrics"]
    assert np.isfinite(numbers["val_loss"]) and numbers["val_pictures"] > 0


def test_a_model_learns_from_every_kind(whole):
    """Every weight of the new kinds gets a gradient that is finite, whichever readings are taken away."""
    tracks, model = whole
    windows = Windows(tracks, model.signals, window=4, horizon=5)
    objective = Objective(model, 4, 5, torch.from_numpy(typical_change(tracks, model.signals, 5))).train()
    rng = np.random.default_rng(0)
    for _ in range(2):
        terms, _ = objective(windows.sample(rng, 6), draw(model, 6, 4, rng, 2, drop=0.5, blind=0.5))
        assert all(torch.isfinite(value) for value in terms.values())
        terms["loss"].backward()
    mine = [*model.perception.encoders["points"].parameters(), *model.perception.encoders["pads"].parameters()]
    mine += [p for n in ("pads", "points", "top_normals") for p in model.decoders[n].parameters()]
    mine += list(model.perception.views[0].stems["top_normals"].parameters())
    mine += list(model.perception.views[0].marks.parameters())
    assert all(torch.isfinite(p.grad).all() and p.grad.any() for p in mine)
    model.zero_grad()


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_belief_is_finite_whatever_is_missing_and_whatever_stands_in_its_place(whole, data):
    tracks, model = whole
    model.eval()
    names = data.draw(st.sets(st.sampled_from(sorted(model.readings)), min_size=1))
    lost = data.draw(st.sets(st.sampled_from(sorted(names))))
    readings = {n: torch.from_numpy(tracks[0].values[n][:3].copy()) for n in sorted(names)}
    for name in lost:
        if readings[name].is_floating_point():
            readings[name][1] = torch.nan
    present = {n: torch.tensor([True, n not in lost, True]) for n in names}
    with torch.no_grad():
        belief = model.update(model.initial(3), model.encode(readings, present))
        told = model.decode(belief)
    assert torch.isfinite(belief).all()
    assert told["points"].shape == (3, 32, 3) and told["pads"].shape == (3, 2, 6, 6)
    assert torch.isfinite(told["pads"]).all() and not torch.isnan(told["points"]).any()
