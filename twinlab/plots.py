"""Figures of matplotlib: an episode, what a camera sees, foreseen against real frames, scores with intervals."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure

from twinlab.batches import Windows, hold
from twinlab.cell import Cell
from twinlab.effects import UNITS
from twinlab.errors import ModelError
from twinlab.intervals import interval
from twinlab.model import WorldModel

_COLOURS = {"picked": "tab:blue", "placed": "tab:green", "missed": "tab:red", "dropped": "tab:orange", "stop": "black"}


def cameras(cell: Cell) -> Figure:
    """What each camera of a cell sees now: colour, depth [m] and mask."""
    names = list(cell.spec.cameras)
    frames = {name: cell.picture(name) for name in names}
    tall = [0.4 + 2.5 * len(frame.depth) / len(frame.depth[0]) for frame in frames.values()]
    figure, axes = plt.subplots(
        len(names), 3, figsize=(8, sum(tall)), height_ratios=tall, squeeze=False, layout="constrained"
    )
    for row, (name, frame) in zip(axes, frames.items(), strict=True):
        row[0].imshow(frame.rgb)
        depth = row[1].imshow(frame.depth, cmap="viridis")
        row[2].imshow(frame.mask, cmap="tab20", interpolation="nearest")
        figure.colorbar(depth, ax=row[1], label="m", shrink=0.9)
        for axis, what in zip(row, ("rgb", "depth", "mask (truth)"), strict=True):
            axis.set_title(f"{name} {what}", fontsize=9)
            axis.set_axis_off()
    plt.close(figure)
    return figure


def episode(recorded: xr.Dataset, names: Sequence[str] = ("tcp", "width", "wrench")) -> Figure:
    """Some vector readings of an episode over time, with its events."""
    figure, axes = plt.subplots(len(names), 1, figsize=(9, 1.9 * len(names)), sharex=True, squeeze=False)
    for axis, name in zip(axes[:, 0], names, strict=True):
        values = recorded[name]
        lines = axis.plot(recorded["time"], values.values.reshape(values.sizes["time"], -1), lw=1)
        axis.set_ylabel(f"{name}\n[{_unit(values.attrs['units'])}]", fontsize=8)
        if "labels" in values.attrs:
            axis.legend(lines, values.attrs["labels"], fontsize=6, ncols=3, loc="upper right")
        for time, kind in zip(recorded["event_time"].values, recorded["event_kind"].values, strict=True):
            if kind in _COLOURS:
                axis.axvline(time, color=_COLOURS[kind], lw=0.8, alpha=0.6)
    axes[-1, 0].set_xlabel(
        "time [s]; lines: " + ", ".join(f"{k} {c.removeprefix('tab:')}" for k, c in _COLOURS.items())
    )
    figure.tight_layout()
    plt.close(figure)
    return figure


def pictures(recorded: xr.Dataset, names: Sequence[str], ticks: Sequence[int]) -> Figure:
    """Some pictures of an episode, one row a variable, one column a tick; depths [m] share their colours."""
    shapes = [recorded[name].shape[1:3] for name in names]
    wide, tall = 9.0, [9.0 / len(ticks) * height / width + 0.35 for height, width in shapes]
    figure, axes = plt.subplots(
        len(names), len(ticks), figsize=(wide, sum(tall)), height_ratios=tall, squeeze=False, layout="constrained"
    )
    depths = [recorded[n].values[list(ticks)] for n in names if recorded[n].attrs["kind"] == "depth"]
    finite = np.concatenate([d[np.isfinite(d)] for d in depths]) if depths else np.zeros(1)
    limits = {"vmin": finite.min(), "vmax": finite.max(), "cmap": "viridis_r"}
    for row, name in zip(axes, names, strict=True):
        for axis, tick in zip(row, ticks, strict=True):
            value = recorded[name].values[tick]
            flat = recorded[name].attrs["kind"] == "depth"
            shown = axis.imshow(np.where(np.isfinite(value), value, np.nan), **limits) if flat else axis.imshow(value)
            axis.set_title(f"{name}, {float(recorded['time'][tick]):.2f} s", fontsize=9)
            axis.set_facecolor("0.25")
            axis.set_xticks([]), axis.set_yticks([])
        if recorded[name].attrs["kind"] == "depth":
            figure.colorbar(shown, ax=row[-1], label="m", shrink=0.9)
    plt.close(figure)
    return figure


def costs(found: xr.Dataset) -> Figure:
    """What each effect of a sensor costs (see `effects.costs`): mean size of each error, 95 % interval over seeds."""
    rows = -(-len(found.data_vars) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(9, 2.2 * rows), squeeze=False, layout="constrained")
    for axis in axes.flat[len(found.data_vars) :]:
        axis.set_axis_off()
    for axis, name in zip(axes.flat, map(str, found.data_vars), strict=False):
        unit, size = UNITS.get(name, ("1", 1.0))
        mean, low, high = np.array([interval(size * np.abs(row)) for row in found[name].values]).T
        at = np.arange(len(mean))
        axis.bar(at, mean, color="tab:blue", alpha=0.8)
        axis.errorbar(at, mean, (mean - low, high - mean), fmt="none", ecolor="black", elinewidth=1)
        axis.set_xticks(at, found["effect"].values, rotation=40, ha="right", fontsize=7)
        axis.set_ylabel(f"{name} [{unit}]", fontsize=8)
        axis.tick_params(axis="y", labelsize=7)
    plt.close(figure)
    return figure


@torch.no_grad()
def foresight(model: WorldModel, recorded: xr.Dataset, at: int, ahead: Sequence[int] = (2, 5, 10)) -> Figure:
    """Foreseen against real pictures: the model sees up to tick `at`, then only what is done.

    Args:
        model: the model.
        recorded: an episode.
        at: last tick that the model sees; it sees all ticks before.
        ahead: ticks ahead.

    Raises:
        ModelError: the episode does not reach from `at` to the last tick ahead.
    """
    last = recorded.sizes["time"] - 1 - max(ahead)
    if not 0 <= at <= last:
        raise ModelError(
            f"foresight: at came as {at}; in this episode, with {max(ahead)} ticks ahead, wanted 0 to {last}"
        )
    pictures = [s for s in model.signals.of("reading", "image", "depth")]
    window = Windows(hold([recorded], model.signals)[0], model.signals, at + 1, max(ahead)).take([0])
    seen = {name: value[:, : at + 1] for name, value in window.readings.items()}
    belief = model.observe(seen, window.action[:, : at + 1])[:, -1]
    beliefs = model.rollout(belief, window.action[:, at : at + max(ahead)])[0]
    tall = [s.shape[0] / s.shape[1] for s in pictures]
    figure, axes = plt.subplots(
        len(pictures),
        2 * len(ahead),
        figsize=(3 * len(ahead), sum(0.4 + 1.5 * edge for edge in tall)),
        height_ratios=[0.4 + 1.5 * edge for edge in tall],
        squeeze=False,
    )
    for i, step in enumerate(ahead):
        foreseen = model.decode(beliefs[step - 1 : step])
        for row, signal in zip(axes, pictures, strict=True):
            pair = {"real": recorded[signal.name].values[at + step], "foreseen": foreseen[signal.name][0].numpy()}
            for axis, (what, value) in zip(row[2 * i : 2 * i + 2], pair.items(), strict=True):
                axis.imshow(_shown(value, signal.kind), cmap="viridis")
                axis.set_title(f"{signal.name}\n{what}, {step * model.signals.tick:.2g} s", fontsize=6)
                axis.set_axis_off()
    figure.tight_layout()
    plt.close(figure)
    return figure


def scores(summary: xr.Dataset, metrics: Sequence[str] = ("correct", "oee")) -> Figure:
    """Means with 95 % intervals, one panel a metric, one bar a policy."""
    figure, axes = plt.subplots(1, len(metrics), figsize=(4 * len(metrics), 2.6), squeeze=False, layout="constrained")
    policies = [str(p) for p in summary["policy"].values]
    for axis, name in zip(axes[0], metrics, strict=True):
        mean, low, high = (summary[name].sel(statistic=s).values for s in ("mean", "low", "high"))
        axis.barh(policies, mean, color="tab:blue", alpha=0.7)
        axis.errorbar(mean, policies, xerr=[mean - low, high - mean], fmt="none", color="black", capsize=3, lw=1)
        axis.set_xlabel(f"{name} [{summary[name].attrs['units']}]")
        axis.invert_yaxis()
    plt.close(figure)
    return figure


def _shown(value: np.ndarray, kind: str) -> np.ndarray:
    if kind == "depth":
        return np.where(np.isfinite(value), value, np.nan)
    return value if value.dtype == np.uint8 else np.clip(value / 255 if value.max() > 1.5 else value, 0, 1)


def _unit(text: str) -> str:
    """The units of a vector's numbers, each once."""
    return ", ".join(dict.fromkeys(text.split()))
