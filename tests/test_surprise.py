"""Surprise: what came otherwise than foreseen is found, named and counted; running as usual is no alarm."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
import toy
import xarray as xr

from twinlab import rooms
from twinlab.batches import fitted, hold
from twinlab.cell import Cell
from twinlab.episodes import record
from twinlab.errors import ModelError
from twinlab.evaluate import markdown, prone, surprised, table, trials, tune, watched
from twinlab.evaluate._surprise import Run, Trial, readings_of
from twinlab.model import WorldModel, surprise
from twinlab.model.imitation import Cloning
from twinlab.model.residuals import Residuals, compact, is_mark, mark_of
from twinlab.model.surprise import Surprise, Trace, Watch
from twinlab.scene import read_scene
from twinlab.train import fit

ONSET = 60
SHORT = replace(toy.SMALL, cloning=Cloning(steps=3, batch=64))


@cache
def trained() -> WorldModel:
    """A model that knows nothing but that what is goes on, and that watched 16 runs as usual."""
    torch.manual_seed(0)
    tracks, signals = hold(runs(range(50_000, 50_016)))
    model = WorldModel(fitted(signals, tracks), toy.SMALL.size).eval()
    model.usual = surprise.usual(model, tracks)
    return model


def runs(seeds) -> list[xr.Dataset]:
    """Runs of a line that stands still: a camera and a tool with white noise, a beam that flickers."""
    out = []
    for seed in seeds:
        episode, rng = toy.episode(seed, ticks=120, edge=16), np.random.default_rng(seed)
        told = {"top_rgb": np.clip(rng.normal(120, 8, episode["top_rgb"].shape).round(), 0, 255)}
        told["top_depth"] = rng.normal(1, 0.02, episode["top_depth"].shape)
        told |= {"tool": rng.normal(0, 0.02, (120, 3)), "beam": rng.random(120) > 0.5}
        for name, value in told.items():
            episode[name].values[:] = value.astype(episode[name].dtype)
        out.append(episode)
    return out


def told(episode: xr.Dataset) -> list[Surprise]:
    """What a watcher says tick by tick."""
    watch, action = Watch(trained()), episode["action"].values
    names = [str(n) for n, v in episode.data_vars.items() if v.attrs["role"] == "reading"]
    every = [{n: episode[n].values[t] for n in names} for t in range(episode.sizes["time"])]
    return [watch.watch(r, action[t - 1] if t else None) for t, r in enumerate(every)]


def broken(seed: int, name: str, change) -> list[Surprise]:
    """A run in which one reading is another from a tick on."""
    (episode,) = runs([seed])
    values = episode[name].values
    values[ONSET:] = change(values)  # of a tick's type
    return told(episode)


@cache
def plain(seed: int) -> list[Surprise]:
    return told(runs([seed])[0])


def test_running_as_usual_is_no_alarm():
    every = [s for seed in (60_000, 60_001, 60_002) for s in plain(seed)]
    assert not any(s.alarm for s in every)
    assert {s.named for s in every} == {""} and {s.why for s in every} == {""}
    assert set(every[0].scores) == set(every[0].p) == {"top_rgb", "top_depth", "tool", "beam"}
    assert np.median([s.p["tool"] for s in every]) > 0.2


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("tool", lambda v: v[ONSET:] + np.float32([0.2, 0, 0]), "foreseen"),
        ("top_rgb", lambda v: v[ONSET:] // 3, "foreseen"),
        ("top_depth", lambda v: v[ONSET:] + np.float32(0.1), "foreseen"),
        ("top_rgb", lambda v: v[ONSET], "still"),
        ("top_depth", lambda v: v[ONSET], "still"),
    ],
)
def test_a_reading_that_is_not_as_foreseen_is_found_and_named(name, change, why):
    ticks = broken(60_003, name, change)
    alarms = [t for t, s in enumerate(ticks) if s.alarm]
    assert alarms and ONSET <= alarms[0] < ONSET + 40
    first = ticks[alarms[0]]
    assert first.named == name and first.why == why and first.scores[name] >= 1


def test_nothing_is_known_of_what_comes_later():
    """Up to the onset a run with a fault is told as without."""
    ticks = broken(60_000, "tool", lambda v: v[ONSET:] + 1)
    assert [s.scores for s in ticks[:ONSET]] == [s.scores for s in plain(60_000)[:ONSET]]


def test_readings_that_are_lost_or_not_valid_are_told():
    (episode,) = runs([60_000])
    watch, action = Watch(trained()), episode["action"].values
    names = ("top_rgb", "top_depth", "tool", "beam")
    ways = {"lost": lambda r: {n: v for n, v in r.items() if n != "tool"}}
    ways["marked"] = lambda r: r | {"tool_valid": np.array(False)}
    for change in ways.values():
        watch.reset()
        for t in range(ONSET):
            readings = {n: episode[n].values[t] for n in names}
            after = watch.watch(readings if t < 30 else change(readings), action[t - 1] if t else None)
        assert after.alarm and after.named == "tool" and after.why in ("lost", "away")
    assert watch.watch({}, action[0]).alarm


def test_a_watcher_that_is_reset_tells_the_same_again():
    assert [s.scores for s in told(runs([60_001])[0])] == [s.scores for s in plain(60_001)]


def test_statistics_of_a_trace_are_what_the_watcher_told():
    (episode,) = runs([60_001])
    watch, action, rows, marks = Watch(trained()), episode["action"].values, [], []
    for t in range(60):
        readings = {n: episode[n].values[t] for n in watch.usual.names}
        watch.watch(readings, action[t - 1] if t else None)
        rows.append(watch.last[0])
        marks.append(watch.last[1])
    ratios = surprise.statistics(watch.usual, Trace(np.array(rows), np.array(marks))).max(axis=2)
    assert ratios == pytest.approx(np.array([list(s.scores.values()) for s in plain(60_001)[:60]]))


def test_p_values_of_a_feature_are_its_shares_and_fall_beyond_the_last():
    rng = np.random.default_rng(0)
    model = trained()
    before, (pairs, readings) = model.usual, (len(model.usual.owner), len(model.usual.names))
    traces = [Trace(rng.exponential(size=(5000, pairs, 5)), np.zeros((5000, readings, 3)))]
    usual = surprise.tuned(before, traces, 0.05)
    lone = replace(usual, names=("one",), owner=np.zeros(pairs))
    features = np.zeros((3, pairs, 5))
    features[:, 0, 0] = -np.log([0.05, 0.01, 1e-4])
    nats = surprise.surprises(lone, features)[:, 0] + np.log(5 * pairs)
    known = np.maximum(surprise.surprises(lone, features)[:, 0], 0) > 0
    assert nats[known] == pytest.approx(-np.log([0.05, 0.01, 1e-4])[known], rel=0.15)
    assert usual.hours == pytest.approx(5000 * 0.05 / 3600) and usual.runs == 1


def test_more_running_without_faults_lowers_no_guard():
    """The threshold of a sum with exponential excursions is where one in two hours is expected, over all readings."""
    rng = np.random.default_rng(1)
    nats = [rng.exponential(size=72_000)]
    limit = surprise._limit(nats, 2.0, 1.0, 10)
    sums, now, above = 0, 0.0, 0.0
    for step in rng.exponential(size=2_000_000) - 2.0:
        now = max(now + step, 0.0) if now < limit else 0.0
        sums += now >= limit
        above = max(above, now)
    hours = 2_000_000 / 72_000
    assert sums / hours <= 3 / (surprise.HOURS * 10) or above < 1.3 * limit


def test_what_is_usual_is_saved_and_loaded(tmp_path):
    model = trained()
    loaded = WorldModel.load(model.save(tmp_path))
    assert loaded.usual.names == model.usual.names and loaded.usual.runs == 16
    for key in ("mean", "std", "knots", "limit", "longest"):
        assert np.allclose(getattr(loaded.usual, key), getattr(model.usual, key), rtol=1e-4, atol=1e-9)


def test_training_tells_what_is_usual_by_validation_episodes():
    model = fit([*toy.episodes(2), *toy.episodes(2, 50_000)], SHORT)
    assert model.usual.runs == 2 and model.usual.hours == pytest.approx(120 * 0.05 / 3600)
    assert "thresholds" in model.card["Surprise"]
    blind = fit(toy.episodes(2), SHORT)
    assert blind.usual is None and blind.card["Surprise"] == {"hours": 0.0}
    with pytest.raises(ModelError, match=r"never told what is usual.*seeds from 50000"):
        Watch(blind)
    with pytest.raises(ModelError, match="what is usual came for readings"):
        Watch(blind, replace(model.usual, names=("other",)))
    with pytest.raises(ModelError, match="traces: no run has more than 20 ticks"):
        surprise.tuned(model.usual, (), 0.05)


def test_every_kind_of_reading_is_told_in_few_numbers():
    signal = trained().signals["top_depth"]
    shapes = {"normals": (16, 8, 3), "tactile": (2, 8, 4), "cloud": (20, 3), "label": (), "pulse": (2,)}
    for kind, shape in shapes.items():
        one = replace(signal, kind=kind, shape=shape, labels=("a", "b", "c"), varies=(True,))
        few = compact(one, np.zeros(shape, np.float32))
        assert few.ndim == 1 and 0 < len(few) <= 24
    hole = np.full((16, 16), np.inf, np.float32)
    assert np.isnan(compact(signal, hole)[:4]).all() and (compact(signal, hole)[4:] == 0).all()
    assert np.isnan(compact(replace(signal, kind="cloud"), np.full((4, 3), np.inf))[:6]).all()


def test_ages_and_validity_belong_to_their_sensor():
    names = ("arm_position", "arm_velocity", "arm_age", "arm_valid", "tool", "tool_age", "age")
    assert [n for n in names if is_mark(n, names)] == ["arm_age", "arm_valid", "tool_age"]
    readings = {"arm_position": np.zeros(2), "arm_valid": np.array(False), "tool_age": np.array(0.3)}
    assert not mark_of("arm_position", readings, "_valid", True) and mark_of("tool", readings, "_age", 0) == 0.3
    assert mark_of("tool", readings, "_valid", True) is True
    assert readings_of("arm", names[:2]) == names[:2] and readings_of("", names) == names
    assert Residuals(trained()).names == ("top_rgb", "top_depth", "tool", "beam")


# How a watcher is judged, by hand.


def traced(seed: int, trial: Trial | None, ticks: int, at: int | None = None, name: str = "tool") -> Run:
    """A run whose readings are as usual but for one that is never valid from a tick on."""
    usual = trained().usual
    marks = np.zeros((ticks, len(usual.names), 3))
    prints = np.zeros((ticks, len(usual.names)), np.uint32)
    if at is not None:
        marks[at:, usual.names.index(name), 1] = 1
        prints[at:, usual.names.index(name)] = 1
    return Run(seed, trial, 100, Trace(np.zeros((ticks, len(usual.owner), 5)), marks), prints)


def test_detection_naming_and_false_alarms_are_those_worked_out_by_hand():
    free = [traced(60_000 + i, None, 2400, at=2000 if i == 0 else None) for i in range(6)]
    tool, rgb = Trial("dropout", "tool"), Trial("dropout", "top_rgb")
    faulty = [traced(60_001 + i, tool, 300, at=101) for i in range(3)]
    faulty += [
        traced(60_004, rgb, 300, at=101),
        traced(60_005, rgb, 300),
        traced(60_005, Trial("jam", "feeder"), 300, 150),
    ]
    result = surprised(trained(), free, faulty, window=8.0)
    one = result.sel(fault="dropout")
    assert int(one["runs"]) == 4 and int(one["unchanged"]) == 1
    assert float(one["detected"]) == 1 and float(one["named"]) == 0.75  # at the top camera it names the tool
    assert float(one["auroc"]) > 0.95 and float(one["auroc_low"]) <= float(one["auroc"])
    assert 0.1 <= float(one["delay"]) <= 0.5
    assert np.isnan(float(result["named"].sel(fault="jam"))) and float(result["detected"].sel(fault="jam")) == 1
    assert result["fault"].values.tolist() == ["dropout", "jam", "all of readings"]
    assert result.attrs["false_alarms"] == 1 and result.attrs["hours"] == pytest.approx(6 * 2400 * 0.05 / 3600)
    assert result.attrs["rate_low"] < result.attrs["rate"] < result.attrs["rate_high"]
    assert "1 false alarms in 0.20 h" in table(result) and "| dropout |" in markdown(result)
    with pytest.raises(ModelError, match="no run without faults of seed 60009"):
        surprised(trained(), free, [traced(60_009, tool, 300)])
    with pytest.raises(ModelError, match=r"have 2400 and 200 ticks, wanted 261 .*run longer"):
        surprised(trained(), free, [traced(60_001, tool, 200)])
    with pytest.raises(ModelError, match="0 runs without"):
        surprised(trained(), [], faulty)


def test_without_a_false_alarm_the_rate_has_an_upper_end():
    free = [traced(60_000, None, 2400)]
    result = surprised(trained(), free, [traced(60_000, Trial("freeze", "tool"), 300, 101)])
    hours = 2400 * 0.05 / 3600
    assert result.attrs["rate"] == 0 and result.attrs["rate_high"] == pytest.approx(3.689 / hours, rel=1e-3)


def test_runs_of_a_line_are_watched_kept_and_not_run_again(tmp_path):
    spec = read_scene("sorting")
    with Cell(spec) as cell:
        tracks, signals = hold([record(cell, rooms.build("policies", "expert", spec=spec), 60, 50_000)])
    torch.manual_seed(0)
    model = WorldModel(fitted(signals, tracks), toy.SMALL.size).eval()
    model.usual = surprise.usual(model, tracks)
    model.save(tmp_path / "model")
    some = trials(spec, model)
    assert {t.kind for t in some} >= {"dropout", "freeze", "bias", "occlusion", "light_failure", "slip"}
    one = next(t for t in some if t.kind == "freeze" and t.of == "wrist_rgb")
    told: list = []
    for _ in range(2):
        jobs = [(60_000, None), (60_000, one)]
        free, faulty = watched(
            prone(spec, [one]), str(tmp_path / "model"), jobs, tmp_path, 2.5, 1.5, progress=lambda *n: told.append(n)
        )
    assert told == [(1, 2), (2, 2)]
    assert np.array_equal(free.trace.features[:30], faulty.trace.features[:30], equal_nan=True)
    which = model.usual.names.index("wrist_rgb")
    assert (free.prints[32:, which] != faulty.prints[32:, which]).any()
    assert faulty.trace.marks[33:, which, 0].all() and not free.trace.marks[33:, which, 0].any()
    assert tune(model, [free]).hours == pytest.approx(2.5 / 3600)
    assert float(surprised(model, [free], [faulty], window=0.5)["runs"].sel(fault="freeze")) == 1
