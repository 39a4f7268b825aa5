"""Evaluation: baselines are right, and a model that was trained for seconds foresees and perceives better than they."""

from functools import cache

import numpy as np
import pytest
import torch
import toy
import xarray as xr

from twinlab import rooms
from twinlab.batches import fitted, hold
from twinlab.errors import ModelError
from twinlab.evaluate import Linear, coverage, foresee, localise, markdown, perceive, predict, table
from twinlab.model import Size, WorldModel, calibration
from twinlab.model.linear import scaled, stacked
from twinlab.train import Fit, Stage, fit

TRAINING, HELD_OUT = tuple(range(240)), tuple(range(60_000, 60_006))


@cache
def training() -> list:
    return [toy.episode(seed, ticks=24) for seed in TRAINING]


@cache
def held_out() -> list:
    return [toy.episode(seed) for seed in HELD_OUT]


@cache
def trained() -> WorldModel:
    small = Fit(
        seeing=Stage(steps=400, batch=48, window=1, horizon=0, starts=1, rate=4e-3),
        following=Stage(steps=200, batch=32, window=12, horizon=10, starts=2, rate=2e-3),
        blind=0.15,
        size=Size(96, 128, 32, 8, 3),
    )
    return fit(training(), small)


@cache
def foreseen():
    return foresee(trained(), held_out(), training(), context=6, without=("top_rgb", "tool"))


@cache
def localised():
    return localise(trained(), held_out(), context=6, without=("top_rgb", "top_depth"))


def test_the_linear_baseline_foresees_a_linear_line_exactly():
    tracks, signals = hold(training()[:4])
    signals = fitted(signals, tracks)
    linear = Linear.fit(tracks, signals, horizon=5)
    values, acts = stacked(tracks[0], signals), scaled(tracks[0].values["action"], signals)
    found = linear(values[:-5], np.stack([acts[k : k - 5] for k in range(5)], axis=1))
    assert np.abs((found - values[5:])[:, :2]).max() < 0.02  # the tool's place is the sum of its velocities


def test_a_trained_model_foresees_better_than_no_change_and_than_a_linear_model():
    mean = foreseen()["mean"].sel(without="")
    others = mean.sel(predictor=["linear", "nothing changes"])
    assert float(mean.sel(predictor="model")) < 0.6 * float(others.min())


def test_intervals_hold_the_mean_and_say_on_how_many_episodes():
    result = foreseen()
    assert (result["low"] <= result["mean"]).all() and (result["mean"] <= result["high"]).all()
    assert result.attrs == {"horizon": 0.5, "episodes": 6, "windows": 6 * 5}


def test_a_trained_model_finds_the_dot_within_a_pixel_from_pictures():
    found = localised().sel(place="target")
    pixel = toy.SPAN / toy.EDGE
    assert float(found["median"].sel(without="")) < pixel
    assert float(found["median"].sel(without="top_depth")) < 6 * pixel  # 9 by guessing
    assert float(found["within"].sel(without="")) > 0.6


def test_a_trained_model_tells_colours_from_the_picture_that_shows_them():
    right = localised()["accuracy"].sel(what="target_colour")
    assert float(right.sel(without="")) > 0.95
    assert float(right.sel(without="top_rgb")) < float(right.sel(without=""))


def test_tables_say_the_numbers_and_on_what():
    assert "0.5 s ahead, 6 episodes, 30 windows" in table(foreseen())
    assert "model without tool" in table(foreseen())
    assert "without top_rgb:" in table(localised()) and "target_colour" in table(localised())


def test_cloning_leads_the_tool_to_the_dot_from_pictures():
    model, rng = trained(), np.random.default_rng(0)
    left = []
    for _ in range(5):
        dot, tool, colour = rng.uniform(-0.25, 0.25, 2), rng.uniform(-0.25, 0.25, 2), int(rng.integers(2))
        belief, action = model.initial(), None
        with torch.no_grad():
            for t in range(40):
                rgb, depth = toy.picture(dot, tool, colour, toy.EDGE)
                phase = np.array([*tool, np.sin(t / 5)], np.float32)
                readings = model.take({"top_rgb": rgb, "top_depth": depth, "tool": phase, "beam": np.array(dot[0] > 0)})
                belief = model.update(belief if action is None else model.step(belief, action), readings)
                action = model.act(belief)
                tool = tool + toy.TICK * action[0].numpy()
        left.append(np.linalg.norm(dot - tool))
    assert np.median(left) < 0.03


def test_a_reading_that_the_model_does_not_have_cannot_be_taken_away():
    with pytest.raises(ModelError, match=r"without: the model has no reading 'top_rbg'.*Did you mean 'top_rgb'"):
        foresee(trained(), held_out(), training(), without=("top_rbg",))


# From here on models are not trained: what is tested is how they are judged.

SMALL = Size(32, 32, 8, 2, 2)
STEP = 1 / 64  # such numbers are exact in the 16 bits in which depth and clouds are held
UNITS = {"vector": "m", "depth": "m", "cloud": "m", "tactile": "Pa"}
ACTION = {"role": "action", "kind": "vector", "units": "m/s", "low": [-1.0], "high": [1.0]}


def untrained(episodes: list, size: Size = SMALL) -> WorldModel:
    tracks, signals = hold(episodes)
    torch.manual_seed(0)
    return WorldModel(fitted(signals, tracks), size).eval()


def made(readings: dict, action: np.ndarray, seed: int = 0, truth: dict | None = None, **attrs: dict) -> xr.Dataset:
    """An episode of hand: name of a kind, perhaps with more after a space → values (time, …)."""
    out = xr.Dataset(coords={"time": 0.05 * np.arange(len(action)), "actuator": ["push"]})
    for role, values in (("reading", readings), ("truth", truth or {})):
        for name, value in values.items():
            kind, plain = name.split()[0], name.split()[-1]
            axes = [f"{plain}_axis{i}" for i in range(value.ndim - 1)]
            about = {"kind": kind, "role": role, "units": UNITS.get(kind, "1"), **attrs.get(plain, {})}
            out[plain] = (("time", *axes), value, about)
    out["action"] = (("time", "actuator"), action.astype(np.float32), ACTION)
    return out.assign_attrs(seed=seed, scene="hand", scene_digest="hand", tick=0.05)


def steady(seed: int, slope: int, ticks: int = 40) -> xr.Dataset:
    """All readings change by as much every tick, which no action tells."""
    t = slope * np.arange(ticks)
    readings = {
        "vector": np.stack([t, 3 - 2 * t], 1).astype(np.float32),
        "image": np.broadcast_to((120 + t)[:, None, None, None], (ticks, 4, 4, 3)).astype(np.uint8),
        "depth": np.broadcast_to(2 + STEP * t[:, None, None], (ticks, 4, 4)).astype(np.float32),
    }
    return made(readings, np.random.default_rng(seed).uniform(-1, 1, (ticks, 1)), seed)


def driven(seed: int, ticks: int = 40) -> xr.Dataset:
    """What a vector, the pictures and a pulse are follows from where the actions led."""
    push = np.random.default_rng(seed).uniform(-1, 1, ticks + 9)
    action = np.convolve(push, np.full(10, 0.2), "valid")[:, None]
    x = np.concatenate([[0], np.cumsum(action[:-1, 0])])[:, None]
    shade = 4 * x[:, :, None] * np.linspace(0, 1, 16).reshape(4, 4)
    readings = {
        "vector": x.astype(np.float32),
        "image": np.repeat((128 + shade)[..., None], 3, axis=-1).clip(0, 255).round().astype(np.uint8),
        "depth": (4 + shade / 20).astype(np.float32),
    }
    return made(readings, action, seed)


def still(seed: int, ticks: int = 40) -> xr.Dataset:
    """Nothing changes, and each episode is another one."""
    rng = np.random.default_rng(seed)
    readings = {
        "vector": np.repeat(rng.normal(size=(1, 3)), ticks, axis=0).astype(np.float32),
        "image": np.repeat(rng.integers(0, 255, (1, 4, 4, 3)), ticks, axis=0).astype(np.uint8),
        "pulse": np.full((ticks, 2), [seed % 2, seed % 3 > 0]),
    }
    return made(readings, rng.uniform(-1, 1, (ticks, 1)), seed)


@cache
def foreseen_by_hand(of: str) -> xr.Dataset:
    episode = {"steady": lambda s: steady(s, [-2, -1, 1, 2][s % 4]), "driven": driven, "still": still}[of]
    training = [episode(s) for s in range(8)]
    held = [episode(s) for s in range(60_000, 60_004)]
    return predict(untrained(training), held, training, ahead=(0.25, 0.5), context=4, stride=5)


@pytest.mark.parametrize(
    ("of", "best"), [("steady", "constant velocity"), ("driven", "linear"), ("still", "nothing changes")]
)
def test_the_baseline_whose_world_it_is_errs_by_nothing_and_is_the_best(of, best):
    result = foreseen_by_hand(of).sel(window="all")
    error = result["error"].sel(predictor=best)
    assert float(error.max()) < 0.05, error  # pictures are rounded
    assert (result["best"] == best).all() or of == "still"  # where the velocity is 0, going on is as good
    if of != "still":  # a model that was not trained tells vectors to stay
        assert (result["difference"] > 0).all() and set(result["finding"].values.ravel()) == {"worse"}


def test_other_baselines_err_where_the_world_is_not_theirs():
    error = foreseen_by_hand("steady")["error"].sel(window="all", ahead=0.5)
    assert float(error.sel(predictor="nothing changes").min()) > 0.1
    assert float(error.sel(predictor="linear").min()) > 5 * float(error.sel(predictor="constant velocity").max())
    error = foreseen_by_hand("driven")["error"].sel(window="all", ahead=0.5)
    assert float(error.sel(predictor="nothing changes").min()) > 0.2
    assert (error.sel(predictor="constant velocity") > error.sel(predictor="nothing changes")).all()


def test_what_changes_moves_and_what_stays_does_not():
    assert foreseen_by_hand("driven")["moves"].all()
    assert not foreseen_by_hand("still")["moves"].any()


def test_noise_alone_is_no_movement():
    rng = np.random.default_rng(0)
    noise = [
        made({"vector": rng.normal(size=(200, 2)).astype(np.float32)}, np.zeros((200, 1)), seed=s) for s in range(3)
    ]
    result = predict(untrained(noise), noise, noise, ahead=(0.5,), context=2)
    nothing = result["error"].sel(predictor="nothing changes", window="all")
    assert nothing.values == pytest.approx(2**0.5, rel=0.1) and result["floor"].values == pytest.approx(2**0.5, rel=0.1)
    assert not result["moves"].any()


def test_an_error_of_one_is_what_telling_the_mean_costs():
    """A model whose depth decoder tells the mean of all training pixels everywhere, of a picture without structure."""
    rng = np.random.default_rng(1)
    depths = [rng.uniform(1, 2, (400, 4, 4)).astype(np.float32) for _ in range(2)]
    some = [made({"depth": depth, "vector": depth[:, 0]}, np.zeros((400, 1)), s) for s, depth in enumerate(depths)]
    model = untrained(some)
    last = [p for n, p in model.decoders["depth"].named_parameters() if n.startswith("layers.4")]
    for parameter in last:
        torch.nn.init.zeros_(parameter)
    torch.nn.init.constant_(last[1][16:], 1.0)  # something is seen everywhere
    result = predict(model, some, some, ahead=(0.5,), context=2)
    one = result.sel(predictor="model", window="all", reading="depth", ahead=0.5)
    assert float(one["error"]) == pytest.approx(1, rel=0.02)
    assert float(one["scale"]) == pytest.approx(1 / 12**0.5, rel=0.02)  # of a uniform distribution [m]


def test_bits_are_judged_by_the_root_of_the_brier_score():
    """A bit that is true for 10 ticks and false for 10: 10 ticks ahead "nothing changes" is always wrong."""
    bit = np.arange(200) // 10 % 2 == 0
    some = [made({"pulse": bit, "vector": bit.astype(np.float32)}, np.zeros((200, 1)), s) for s in range(2)]
    result = predict(untrained(some), some, some, ahead=(0.25, 0.5), context=2, stride=1)
    error = result["error"].sel(window="all", reading="pulse")
    wrong = float(error.sel(predictor="nothing changes", ahead=0.5))
    assert wrong == pytest.approx(1 / 0.5)  # over the standard deviation of a fair bit
    half = float(error.sel(predictor="nothing changes", ahead=0.25))
    assert half == pytest.approx(0.5**0.5 / 0.5, rel=0.02)


def test_windows_with_contact_or_a_change_of_command_are_eventful():
    """At tick 60 a command, at 100 a touch, at 140 a force; each is between now and then for 5 ticks."""
    action, touch, force = np.zeros((180, 1)), np.zeros(180, bool), np.zeros((180, 6), np.float32)
    action[:, 0] = 0.1 * np.sin(np.arange(180))  # 20 % of the range are no change of command
    action[60:] += 0.7
    touch[100:], force[140:, 1], force[120:, 4] = True, 6.0, 50.0  # a torque is no force
    force[160:, 2] = 4.0  # 4 N are no contact
    told = {"wrench": {"units": "N N N N m N m N m", "labels": ["fx", "fy", "fz", "tx", "ty", "tz"]}}
    episode = made({"vector wrench": force}, action, truth={"pulse part_held": touch}, **told)
    result = predict(untrained([episode]), [episode, episode], [episode], ahead=(0.25,), context=2, stride=1)
    assert result["windows"].sel(window="eventful").item() == 2 * (5 + 5 + 5)
    assert result["windows"].sel(window="all").item() == result["windows"].sel(window=["eventful", "quiet"]).sum()


def test_every_kind_with_a_codec_is_compared_with_all_baselines():
    rng, shapes = np.random.default_rng(0), {"image": (8, 8, 3), "depth": (8, 8), "normals": (8, 8, 3)}
    shapes |= {"mask": (8, 8), "tactile": (2, 4, 4), "cloud": (40, 3), "vector": (2,), "pulse": (), "label": ()}
    kinds = [kind for kind in rooms.names("codecs") if kind in shapes]
    assert set(kinds) >= {"image", "depth", "vector", "pulse", "label"}
    assert set(rooms.names("codecs")) <= set(shapes), "say above what a reading of the new kind looks like"

    def some(seed: int) -> xr.Dataset:
        values = {kind: rng.normal(size=(30, *shapes[kind])).astype(np.float32) for kind in kinds}
        values["image"] = rng.integers(0, 255, (30, 8, 8, 3)).astype(np.uint8)
        values |= {"mask": values["mask"] > 1, "pulse": rng.random(30) > 0.5, "label": rng.integers(0, 3, 30)}
        values["depth"] = np.where(rng.random((30, 8, 8)) > 0.8, np.inf, 1 + values["depth"] ** 2).astype(np.float32)
        for kind in {"cloud", "tactile"} & set(kinds):
            values[kind][:, ..., 0] = np.inf if kind == "cloud" and seed % 2 else values[kind][:, ..., 0]
        return made(values, rng.uniform(-1, 1, (30, 1)), seed, label={"labels": ["a", "b", "c"]})

    training = [some(s) for s in range(4)]
    result = predict(untrained(training), training, training, ahead=(0.1,), context=2, stride=4)
    assert sorted(result["kind"].values) == sorted(kinds)
    assert np.isfinite(result["error"].sel(window="all")).all()
    assert float(result["error"].sel(window="all", predictor="linear").max()) < 3


def test_ages_and_constants_are_left_out_and_more_readings_can_be_taken_away():
    result = predict(*_toys(), ahead=(0.5,), context=4, stride=20, without=("tool", "top_rgb"))
    assert set(result["reading"].values) == {"tool", "top_rgb", "top_depth", "beam"}
    assert result["predictor"].values.tolist()[4:] == ["model without tool", "model without top_rgb"]
    apart = result["error"].sel(predictor=["model", "model without tool"], reading="tool", window="all", ahead=0.5)
    assert apart.values[0] != apart.values[1]


def test_intervals_hold_means_and_attributes_say_where_the_numbers_come_from():
    result = predict(*_toys(), ahead=(0.5,), context=4, stride=20)
    known = result["error"].sel(window="all")
    assert (result["low"].sel(window="all") <= known).all() and (known <= result["high"].sel(window="all")).all()
    apart = result["error"].sel(predictor="model") - result["error"].sel(predictor=["linear"]).squeeze("predictor")
    by_linear = result["best"] == "linear"
    assert np.allclose(result["difference"].where(by_linear), apart.where(by_linear), equal_nan=True)
    assert result.attrs["seeds"] == ["60000", "60001", "60002"] and result.attrs["episodes"] == 3
    assert result.attrs["windows"] == 3 * 3 and result.attrs["scenes"] == ["toy"] and len(result.attrs["weights"]) == 16


def test_a_single_number_in_metres_is_a_distance_too():
    episodes = [toy.episode(seed) for seed in (0, 60_000)]
    for one in episodes:
        one["height"] = ("time", np.linspace(0, 1, one.sizes["time"], dtype=np.float32))
        one["height"].attrs.update(kind="vector", role="truth", units="m")
    model = untrained(episodes[:1])
    quick, full = localise(model, episodes[1:], context=4), perceive(model, episodes[1:], context=4)
    found = [float(quick["mean"].sel(place="height").squeeze())]
    found += [float(full["mean"].sel(place="height", case="all readings"))]
    assert found[0] == pytest.approx(found[1], rel=1e-4) and 0 < found[0] < 1


def test_one_episode_has_no_interval_and_no_finding():
    model, held, training = _toys()
    result = predict(model, held[:1], training, ahead=(0.5,), context=4, stride=20)
    assert np.isnan(result["low"]).all() and set(result["finding"].values.ravel()) == {""}
    assert "–" in table(result)


def test_what_is_perceived_is_as_localise_says_with_all_and_with_each_one_removed():
    model, held, _ = _toys()
    result = perceive(model, held, noise=(1.0,), context=4)
    quick = localise(model, held, context=4, without=("top_rgb", "tool"))
    for case, gone in (("all readings", ""), ("without top_rgb", "top_rgb"), ("without tool", "tool")):
        for measure in ("median", "mean", "p90"):
            one = result[measure].sel(case=case, place="target")
            assert float(one) == pytest.approx(float(quick[measure].sel(without=gone, place="target")), rel=1e-4)
            assert float(result[f"{measure}_low"].sel(case=case, place="target")) <= float(one) + 1e-9
            assert float(result[f"{measure}_high"].sel(case=case, place="target")) >= float(one) - 1e-9
    cases = result["case"].values.tolist()
    assert cases == ["all readings", *(f"without {n}" for n in model.readings), "noise 1"]
    assert (result["median"].sel(case="noise 1") != result["median"].sel(case="all readings")).all()


def test_readings_are_taken_away_together_where_a_plus_says_so():
    model, held, _ = _toys()
    both = perceive(model, held, without=("top_rgb+top_depth",), noise=(), context=4)
    assert both["case"].values.tolist() == ["all readings", "without top_rgb+top_depth"]
    with pytest.raises(ModelError, match=r"nothing is left"):
        perceive(model, held, without=("+".join(model.readings),), context=4)


def says(model: WorldModel, name: str, bias: list[float]) -> None:
    """Let a head say the same whatever is believed; `bias` as its codec takes it."""
    numbers, truth, sight = torch.tensor(bias, dtype=torch.float32), model.truth, model.correction.sighting
    number = truth.names.index(name)
    own = slice(sum(truth.sizes[:number]), sum(truth.sizes[: number + 1]))
    told, doubt = numbers.split([truth.sizes[number], len(numbers) - truth.sizes[number]])
    for layer, value in ((sight.infer[-1], told), (sight.gain[-1], torch.full_like(told, 50.0))):
        layer.weight.data[own], layer.bias.data[own] = 0.0, value
    if len(doubt):
        torch.nn.init.zeros_(truth.doubts[name].weight)
        truth.doubts[name].bias.data = doubt


def test_f1_and_angles_are_those_worked_out_by_hand():
    """A model says "sound", "true" and no turn, always; of 10 moments 6 are sound, 2 true, all turned by 0.1 rad."""
    ticks, turn = 20, 0.1 + np.pi / 2 * (np.arange(20) % 4)  # a quarter turn is none, by symmetry of four
    worn, bit = np.repeat([0, 0, 1, 0, 0, 1, 1, 0, 1, 0], 2), np.repeat(np.arange(10) < 2, 2)
    yaw = np.stack([np.cos(4 * turn), np.sin(4 * turn)], 1).astype(np.float32)
    truth = {"label state": worn, "pulse bit": bit, "vector turn": yaw}
    told = {"state": {"labels": ["sound", "worn"]}, "turn": {"labels": ["cos4yaw", "sin4yaw"], "units": "1"}}
    rng = np.random.default_rng(0)
    reading = {"vector place": rng.normal(size=(ticks, 1)).astype(np.float32)}
    episode = made(reading, np.zeros((ticks, 1)), truth=truth, **told)
    model = untrained([episode])
    signal = model.signals["turn"]
    says(model, "state", [1, 0])
    says(model, "bit", [1])
    says(model, "turn", [(1 - signal.mean[0]) / signal.std[0], (0 - signal.mean[1]) / signal.std[1], 0, 0])
    result = perceive(model, [episode], without=(), noise=(), context=2, stride=2)
    assert result.attrs["moments"] == 10
    sound, true = 2 * 6 / (2 * 6 + 4), 2 * 2 / (2 * 2 + 8)
    assert result["f1"].sel(what=["state", "bit"]).values[0] == pytest.approx([sound / 2, true])
    assert result["f1_class"].sel({"class": ["state sound", "state worn"]}).values[0] == pytest.approx([sound, 0])
    assert float(result["yaw_median"].squeeze()) == pytest.approx(0.1, abs=1e-3)
    assert float(result["yaw_p90"].squeeze()) == pytest.approx(0.1, abs=1e-3)


@cache
def covered(share_of_truth: float, calibrate: bool = False) -> xr.Dataset:
    """Truth with Laplace errors of standard deviation 1; a model that believes a share of that, perhaps calibrated."""
    rng = np.random.default_rng(2)

    def some(seed: int) -> xr.Dataset:
        truth = {"vector place": rng.laplace(0, 0.5**0.5, (400, 2)).astype(np.float32)}
        return made({"vector": rng.normal(size=(400, 1)).astype(np.float32)}, np.zeros((400, 1)), seed, truth)

    episodes = [some(s) for s in range(10)]
    model = untrained(episodes)
    std = share_of_truth - 0.003  # the codec's floor; softplus(log(exp(x) - 1)) = x
    says(model, "place", [0, 0, *[float(np.log(np.expm1(std)))] * 2])
    if calibrate:
        model.calibration = calibration.fitted(model, hold((some(s) for s in range(10, 22)), model.signals)[0])
    return coverage(model, episodes, ahead=(0.0, 0.5), context=2, stride=3)


def test_a_model_that_knows_its_errors_is_within_its_intervals_as_often_as_it_believes():
    result = covered(1.0)
    assert np.abs(result["share"] - result["level"]).max() < 0.03
    assert (result["low"] <= result["share"]).all() and (result["share"] <= result["high"]).all()


def test_a_model_that_believes_half_its_errors_is_overconfident():
    """Half the width of a Laplace's interval that holds p holds 1 - (1 - p)^(1/2); twice the width 1 - (1 - p)^2."""
    half, double = covered(0.5), covered(2.0)
    assert np.abs(half["share"] - (1 - (1 - half["level"]) ** 0.5)).max() < 0.03
    assert np.abs(double["share"] - (1 - (1 - double["level"]) ** 2)).max() < 0.03
    assert set(half["finding"].values.ravel()) == {"overconfident"}
    assert set(double["finding"].values.ravel()) == {"doubtful"}


def test_calibrated_intervals_are_judged_beside_what_was_believed():
    half, told = covered(0.5), covered(0.5, True)
    assert np.abs(told["share"] - told["level"]).sel(what="place").max() < 0.03
    assert np.allclose(told["believed"].sel(what="place"), half["share"].sel(what="place"), atol=1e-6)
    assert half.attrs["calibrated"] == 0 and told.attrs["calibrated"] == 12
    assert half["what"].values.tolist() == ["place"] and set(told["what"].values) == {"place", "vector"}
    assert np.isnan(told["share"].sel(what="vector", ahead=0.0)).all()  # it was just read
    assert np.abs(told["share"] - told["level"]).sel(what="vector", ahead=0.5).max() < 0.06
    assert "calibrated on 12 episodes" in table(told) and "not calibrated" in table(half)


def test_tables_fit_a_terminal_and_markdown_has_every_row():
    model, held, training = _toys()
    results = [
        predict(model, held, training, ahead=(0.5,), context=4, stride=20, without=("tool",)),
        perceive(model, held, context=4),
        coverage(model, held, context=4),
    ]
    for result in results:
        text, marked = table(result), markdown(result)
        assert max(map(len, text.splitlines())) <= 100
        assert "3 held-out episodes (seeds 60000–60002)" in text and "3 held-out episodes" in marked
        rows = [line for line in marked.splitlines() if line.startswith("|")]
        assert all(line.endswith("|") for line in rows) and len({line.count("|") for line in rows}) < 8
    assert "0.5 s ahead, eventful windows" in table(results[0]) and "model without tool" in table(results[0])
    assert "without top_rgb" in table(results[1]) and "target_colour green" in markdown(results[1])
    assert "90 %" in table(results[2])
    with pytest.raises(ModelError, match="markdown: wanted"):
        markdown(localise(model, held, context=4))


@cache
def _toys() -> tuple:
    training = tuple(toy.episode(s) for s in range(4))
    return untrained(list(training)), tuple(toy.episode(s) for s in (60_000, 60_001, 60_002)), training


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda m, h, t: predict(m, h, t, ahead=(0.26,)), "0.26 s came; wanted multiples of the tick"),
        (lambda m, h, t: predict(m, h, t, ahead=()), "wanted at least 1 and 2 ticks"),
        (lambda m, h, t: predict(m, h, t, context=1), "wanted at least 1 and 2 ticks"),
        (lambda m, h, t: predict(m, (), t), "episodes: none came"),
        (lambda m, h, t: predict(m, h, ()), "training: no episode came"),
        (lambda m, h, t: predict(m, h, t, ahead=(4.0,)), "no episode has more than 80 ticks"),
        (lambda m, h, t: predict(m, h, t, without=("tol",)), "no reading 'tol'.*Did you mean 'tool'"),
        (lambda m, h, t: perceive(m, h, noise=(-1,)), "noise came as"),
        (lambda m, h, t: perceive(m, h, without=("tool+tol",)), "no reading 'tol'"),
        (lambda m, h, t: coverage(m, h, levels=(90,)), "shares between 0 and 1"),
        (lambda m, h, t: coverage(m, ()), "episodes: none came"),
        (lambda m, h, t: coverage(m, h, ahead=()), "ahead: nothing came"),
    ],
)
def test_mistakes_are_told(wrong, told):
    with pytest.raises(ModelError, match=told):
        wrong(*_toys())
