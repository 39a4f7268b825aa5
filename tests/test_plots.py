"""Figures: each draws, and says what is on its axes and in which unit."""

import io
from functools import cache

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import toy
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image

from twinlab import plots
from twinlab.batches import fitted, hold
from twinlab.cell import Cell
from twinlab.errors import ModelError
from twinlab.kpi import UNITS
from twinlab.model import WorldModel, calibration
from twinlab.model.surprise import Surprise
from twinlab.plans import check_plan, imagine
from twinlab.score import summary
from twinlab.train import fit

mpl.use("Agg")


def drawn(figure: Figure) -> np.ndarray:
    """The colours (row, column, 3) of the figure as a file, from 0 to 255."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return np.asarray(Image.open(file).convert("RGB"))


def shown(axes) -> np.ndarray:
    return np.asarray(axes.get_images()[0].get_array())


def test_cameras_show_colour_depth_in_metres_and_mask_of_each(sorting):
    with Cell(sorting) as cell:
        figure = plots.cameras(cell)
        frame = cell.picture("wrist")
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    kinds = ("rgb", "depth", "mask (truth)")
    assert titles == [f"{camera} {kind}" for camera in ("overhead", "wrist") for kind in kinds]
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_label() == "<colorbar>"] == ["m", "m"]
    rgb, depth, mask = (shown(axes) for axes in figure.axes[3:6])
    assert (rgb == frame.rgb).all() and (mask == frame.mask).all()
    assert np.array_equal(np.ma.filled(depth, np.inf), np.where(np.isnan(frame.depth), np.inf, frame.depth))
    assert drawn(figure).std() > 10


def test_an_episode_shows_readings_with_units_labels_and_events(small_episode):
    figure = plots.episode(small_episode)
    tcp, width, wrench = figure.axes
    assert (tcp.get_ylabel(), width.get_ylabel()) == ("tcp\n[m, rad]", "width\n[m]")
    assert wrench.get_ylabel().startswith("wrench\n[")
    assert wrench.get_xlabel().startswith("time [s]")
    assert [t.get_text() for t in tcp.get_legend().get_texts()] == small_episode["tcp"].attrs["labels"]
    assert (tcp.get_lines()[2].get_ydata() == small_episode["tcp"].values[:, 2]).all()
    assert drawn(figure).std() > 10


def test_events_are_lines_where_they_happened(small_episode):
    times = {"event_time": ("event", [1.0, 2.0]), "event_kind": ("event", ["picked", "spawned"])}
    few = small_episode.drop_dims("event").assign(times)
    (axes,) = plots.episode(few, names=("width",)).axes
    assert [line.get_xdata()[0] for line in axes.get_lines()[1:]] == [1.0]


def test_foresight_shows_real_beside_foreseen_at_each_time_ahead():
    episode = toy.episode(0, ticks=30)
    model = fit([episode], toy.SMALL)
    figure = plots.foresight(model, episode, at=12, ahead=(2, 5))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:4] == [
        "top_rgb\nreal, 0.1 s", "top_rgb\nforeseen, 0.1 s", "top_rgb\nreal, 0.25 s", "top_rgb\nforeseen, 0.25 s",
    ]  # fmt: skip
    assert [t.partition("\n")[0] for t in titles[4:]] == ["top_depth"] * 4
    assert (shown(figure.axes[2]) == episode["top_rgb"].values[12 + 5]).all()
    assert shown(figure.axes[1]).shape == episode["top_rgb"].shape[1:]
    assert drawn(figure).std() > 10
    with pytest.raises(ModelError, match="at came as 25; in this episode, with 5 ticks ahead, wanted 0 to 24"):
        plots.foresight(model, episode, at=25, ahead=(2, 5))


@cache
def calibrated() -> tuple[WorldModel, xr.Dataset]:
    """A model that has learnt nothing, with intervals, and an episode."""
    episodes = toy.episodes(3, ticks=40)
    model = fit(episodes[:1], toy.SMALL)
    model.calibration = calibration.fitted(model, hold(episodes, model.signals)[0], ahead=(0.0, 0.25))
    return model, episodes[0]


def lines_of(axes) -> dict[str, np.ndarray]:
    return {line.get_label(): np.asarray(line.get_ydata(), float) for line in axes.get_lines()}


def test_foreseen_numbers_stand_beside_what_came_with_intervals_and_units():
    model, episode = calibrated()
    names = ("tool y", "beam", "target x", "target_colour green")
    figure = plots.foreseen(model, episode, 20, names, ahead=5)
    labels = ["tool\ny [m]", "beam [1]", "target\nx [m]", "target_colour\ngreen [1]"]
    assert [axes.get_ylabel() for axes in figure.axes] == labels
    tool, beam, target, colour = map(lines_of, figure.axes)
    assert tool["what came"] == pytest.approx(episode["tool"].values[15:26, 1])
    assert beam["what came"].tolist() == episode["beam"].values[15:26].tolist()
    assert target["what came"] == pytest.approx(episode["target"].values[15:26, 0])
    assert colour["what came"].tolist() == (episode["target_colour"].values[15:26] == 1).tolist()
    assert [len(axes.collections) for axes in figure.axes] == [1, 0, 1, 0]  # intervals of vectors alone
    believed = tool["believed, then foreseen"]
    assert believed[:6] == pytest.approx(tool["what came"][:6], abs=1e-5)  # what was read is believed
    assert figure.axes[2].get_xlabel() == "time from the last tick that was seen [s]"
    assert drawn(figure).std() > 10


def test_what_is_not_there_is_not_drawn():
    model, episode = calibrated()
    gone = episode.assign(target_present=episode["target_present"] & False)
    (target,) = (lines_of(axes) for axes in plots.foreseen(model, gone, 20, ("target x",), ahead=5).axes[:1])
    assert np.isnan(target["what came"]).all()


def test_a_sensor_that_is_switched_off_changes_what_is_believed():
    model, episode = calibrated()
    every, less = (
        lines_of(plots.foreseen(model, episode, 20, ("tool x",), ahead=5, without=off).axes[0])
        for off in ((), ("tool",))
    )
    assert (every["what came"] == less["what came"]).all()
    assert not np.allclose(every["believed, then foreseen"], less["believed, then foreseen"])
    real, blind = (plots.foresight(model, episode, 20, (2,), off) for off in ((), ("top",)))
    assert not np.array_equal(shown(real.axes[1]), shown(blind.axes[1]))


@pytest.mark.parametrize(
    ("name", "off", "said"),
    [
        ("top_rgb", (), "'top_rgb' is of kind 'image'; plots.foresight shows pictures"),
        ("tool", (), "'tool': wanted the name and one of .*, such as 'tool x'"),
        ("tol x", (), "Did you mean 'tool'"),
        ("tool x", ("bem",), "no reading of 'bem'; .*Did you mean 'beam'"),
    ],
)
def test_a_number_or_a_sensor_that_is_not_there_is_an_error(name, off, said):
    model, episode = calibrated()
    with pytest.raises(ModelError, match=said):
        plots.foreseen(model, episode, 20, (name,), ahead=5, without=off)


def test_surprise_shows_each_readings_score_and_names_the_first_alarm():
    quiet = [Surprise({"tool": 0.2, "beam": 0.0}, {})] * 3
    loud = [*quiet, Surprise({"tool": 1.5, "beam": 0.5}, {}, True, "tool", "foreseen")]
    figure = plots.surprise({"free": quiet, "frozen": loud}, tick=0.05, onset=0.1)
    free, frozen = figure.axes[:2]
    assert (free.get_title(), frozen.get_title()) == ("free\nno alarm", "frozen\nalarm at 0.15 s:\ntool (foreseen)")
    assert [t.get_text() for t in free.get_yticklabels()] == ["tool", "beam"]
    assert shown(frozen).tolist() == [[0.2, 0.2, 0.2, 1.5], [0, 0, 0, 0.5]]
    assert frozen.get_xlabel() == "time [s]; dotted: the fault begins"
    assert drawn(figure).std() > 10


def test_a_replayed_plan_shows_what_was_imagined_what_came_and_how_far_off(small_episode, blind_cell):
    tracks, signals = hold([small_episode])
    model = WorldModel(fitted(signals, tracks), toy.SMALL.size).eval()
    blind_cell.reset(0)
    plan = imagine(model, model.initial(), np.tile([0.1, 0, -0.1, 0, 0, 0], (5, 1)))
    gap = check_plan(blind_cell, plan, ("tcp", "width", "break_beam"))
    figure = plots.replayed(gap, plan, ("tcp z", "width", "break_beam"), limit=2.0)
    assert [axes.get_ylabel() for axes in figure.axes[:3]] == ["tcp\nz [m]", "width [m]", "break_beam [1]"]
    tcp, off = lines_of(figure.axes[0]), lines_of(figure.axes[3])
    assert tcp["what came"] == pytest.approx(gap["tcp_came"].values[:, 2])
    assert tcp["imagined"] == pytest.approx(plan.readings["tcp"][:, 2])
    assert set(off) == {"tcp", "width", "break_beam", "limit"} and off["limit"].tolist() == [2, 2]
    assert drawn(figure).std() > 10
    with pytest.raises(ModelError, match=r"'wrench' was not compared; there are .*'tcp'"):
        plots.replayed(gap, plan, ("wrench fx",))


@pytest.fixture
def scores() -> xr.Dataset:
    def one(policy: str, correct: list[float]) -> xr.Dataset:
        values = {name: ("seed", np.array(correct)) for name in UNITS} | {"items": ("seed", [4, 4])}
        return xr.Dataset(values, coords={"seed": [60_000, 60_001]}, attrs={"policy": policy})

    return summary({"still": one("still", [0, 0]), "expert": one("expert", [0.5, 1])})


def test_scores_show_means_with_intervals_units_and_a_bar_a_policy(scores):
    figure = plots.scores(scores, ("correct", "throughput"))
    assert [axes.get_xlabel() for axes in figure.axes] == ["correct [1]", "throughput [1/h]"]
    correct = figure.axes[0]
    assert [bar.get_width() for bar in correct.patches] == [0, 0.75]
    assert [t.get_text() for t in correct.get_yticklabels()] == ["still", "expert"]
    (intervals,) = correct.containers[1].lines[2]
    ends = [segment[:, 0].tolist() for segment in intervals.get_segments()]
    assert ends[1] == pytest.approx([0.5, 1])
    assert figure not in map(plt.figure, plt.get_fignums())  # a notebook would show it twice
    assert drawn(figure).std() > 10


def test_pictures_of_an_episode_share_the_colours_of_depth(small_episode):
    figure = plots.pictures(small_episode, ["overhead_rgb", "overhead_depth", "wrist_depth"], ticks=(0, 20, 40))
    shown = [axis for axis in figure.axes if axis.images and axis.get_title()]
    assert [axis.get_title() for axis in shown[:3]] == [f"overhead_rgb, {t:.2f} s" for t in (0, 1, 2)]
    limits = {axis.images[0].get_clim() for axis in shown[3:]}
    assert len(shown) == 9 and len(limits) == 1
    assert (shown[1].images[0].get_array() == small_episode["overhead_rgb"].values[20]).all()


def test_costs_are_drawn_by_their_size_with_intervals():
    values = (("effect", "seed"), np.array([[0.0, 0.0, 0.0], [-0.001, -0.003, -0.002]]))
    figure = plots.costs(xr.Dataset({"offset": values}, {"effect": ["none", "camera"], "seed": [0, 1, 2]}))
    axis = figure.axes[0]
    assert axis.get_ylabel() == "offset [mm]"
    assert [bar.get_height() for bar in axis.patches] == pytest.approx([0, 2])
    assert [label.get_text() for label in axis.get_xticklabels()] == ["none", "camera"]
