"""Figures of matplotlib: episodes, cameras, what was foreseen against what came, surprise, replayed plans, scores."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twinlab.batches import Signal, Signals, Windows, hold
from twinlab.cell import Cell
from twinlab.effects import UNITS
from twinlab.errors import ModelError, did_you_mean
from twinlab.evaluate import readings_of
from twinlab.intervals import interval
from twinlab.model import WorldModel
from twinlab.model.surprise import Surprise
from twinlab.plans import Plan
from twinlab.units import each_unit

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
        axis.set_ylabel(f"{name}\n[{_unit(values)}]", fontsize=8)
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
def foresight(
    model: WorldModel, recorded: xr.Dataset, at: int, ahead: Sequence[int] = (2, 5, 10), without: Sequence[str] = ()
) -> Figure:
    """Foreseen against real pictures: the model sees up to tick `at`, then only what is done.

    Args:
        model: the model.
        recorded: an episode.
        at: last tick that the model sees; it sees all ticks before.
        ahead: ticks ahead.
        without: sensors, or cameras with all their sensors, that are switched off from the start.

    Raises:
        ModelError: the episode does not reach from `at` to the last tick ahead, or there is no such sensor.
    """
    pictures = [s for s in model.signals.of("reading", "image", "depth")]
    beliefs = _followed(model, recorded, at, max(ahead), without)[at + 1 :]
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


@torch.no_grad()
def foreseen(
    model: WorldModel,
    recorded: xr.Dataset,
    at: int,
    names: Sequence[str],
    ahead: int = 20,
    without: Sequence[str] = (),
    level: float = 0.9,
) -> Figure:
    """Foreseen against real numbers, with calibrated intervals: the model sees up to tick `at`, then what is done.

    Before that moment, the lines tell what the model believed then. Of truth that means nothing while something else is
    not there (`given`), neither what was so nor what the model believes is drawn meanwhile.

    Args:
        model: the model, calibrated.
        recorded: an episode, with truth.
        at: last tick that the model sees; it sees all ticks before.
        names: what is drawn, one panel each: a reading or a truth, with the label of one of its numbers where it has
            several, such as "tcp z"; of a label the probability of one class.
        ahead: ticks ahead; as many before are drawn.
        without: sensors, or cameras with all their sensors, that are switched off from the start.
        level: the share of what is so that an interval holds.

    Raises:
        ModelError: the episode does not reach from `at` to the last tick ahead, a name is unknown or of a picture, or
            the model is not calibrated.
    """
    chosen = [_number(model.signals, name) for name in names]
    first, tick = max(0, at - ahead), model.signals.tick
    beliefs = _followed(model, recorded, at, ahead, without)[first:]
    steps = np.arange(first, at + ahead + 1) - at
    ends = [model.intervals(b[None], level, max(k, 0) * tick) for k, b in zip(steps.tolist(), beliefs, strict=True)]
    readings = tuple({s.name for s, _ in chosen if s.role == "reading"})
    told = model.heads(beliefs) | (model.decode(beliefs, readings) if readings else {})
    figure, axes = plt.subplots(
        -(-len(chosen) // 2), 2, figsize=(9, 0.5 + 1.7 * -(-len(chosen) // 2)), squeeze=False, layout="constrained",
        sharex=True,
    )  # fmt: skip
    time = steps * tick
    for axis, name, (signal, i) in zip(axes.flat, names, chosen, strict=False):
        real, mean = _compared(recorded.isel(time=steps + at), told, signal, i)
        axis.axvline(0, color="0.6", lw=0.8)
        axis.plot(time, real, color="black", lw=1.2, label="what came")
        axis.plot(time, mean, color="tab:blue", lw=1.2, ls="--", label="believed, then foreseen")
        if signal.name in ends[0]:
            low, high = (np.array([e[signal.name][j].reshape(-1)[i].item() for e in ends]) for j in (0, 1))
            band = {"color": "tab:blue", "alpha": 0.25, "lw": 0, "label": f"{level:.0%} interval"}
            axis.fill_between(time, np.where(np.isnan(mean), np.nan, low), high, **band)
        if signal.kind != "vector":
            axis.set_ylim(-0.06, 1.06)
        unit = each_unit(recorded[signal.name].attrs["units"], signal.numbers)[i]
        axis.set_ylabel(f"{name.replace(' ', chr(10), 1)} [{unit}]", fontsize=8)
        axis.tick_params(labelsize=7)
    _legend(figure, axes, len(chosen))
    plt.close(figure)
    return figure


def surprise(runs: Mapping[str, Sequence[Surprise]], tick: float, onset: float | None = None) -> Figure:
    """Each reading's score of surprise over time, one panel a run; 1 is an alarm, and the title says what it names.

    Args:
        runs: title → what `surprise.Watch` told of each tick of a run.
        tick: length of a tick [s].
        onset: when a fault began [s].
    """
    readings = list(next(iter(runs.values()))[0].scores)
    shades = mpl.colormaps["Blues"].with_extremes(over="tab:red")
    figure, axes = plt.subplots(
        1, len(runs), figsize=(9, 1 + 0.2 * len(readings)), squeeze=False, sharey=True, layout="constrained"
    )
    for axis, (title, told) in zip(axes[0], runs.items(), strict=True):
        scores = np.array([[one.scores[name] for name in readings] for one in told]).T
        edges = (-0.5 * tick, (len(told) - 0.5) * tick, len(readings) - 0.5, -0.5)
        drawn = axis.imshow(scores, vmin=0, vmax=1, cmap=shades, aspect="auto", extent=edges, interpolation="nearest")
        said = "no alarm"
        alarms = [i for i, one in enumerate(told) if one.alarm]
        if alarms:
            alarm, when = told[alarms[0]], alarms[0] * tick
            said = f"alarm at {when:.2f} s:\n{alarm.named} ({alarm.why})"
            axis.plot(when, readings.index(alarm.named), "o", ms=8, mfc="white", mec="black", mew=1.5)
        if onset is not None:
            axis.axvline(onset, color="black", lw=1, ls=":")
        axis.set_title(f"{title}\n{said}", fontsize=8)
        axis.set_yticks(range(len(readings)), readings, fontsize=7)
        axis.tick_params(axis="x", labelsize=7)
        axis.set_xlabel("time [s]" + ("; dotted: the fault begins" if onset is not None else ""), fontsize=8)
    bar = figure.colorbar(drawn, ax=axes[0], extend="max", ticks=(0, 0.5, 1), pad=0.01)
    bar.set_label("score [1]; red: alarm", fontsize=8)
    plt.close(figure)
    return figure


def replayed(gap: xr.Dataset, plan: Plan, names: Sequence[str], limit: float | None = None) -> Figure:
    """What a plan imagined and what came, one panel a name; then how far off each name is.

    Args:
        gap: what `plans.check_plan` gave.
        plan: of that plan.
        names: vectors and pulses that were compared, with the label of a number where there are several, as "tcp z".
        limit: the largest gap at which the plan is trusted [training standard deviations].

    Raises:
        ModelError: a name was not compared, or is no vector or pulse.
    """
    there = [str(k).removesuffix("_off") for k in gap.data_vars if str(k).endswith("_off")]
    rows, time = -(-(len(names) + 1) // 2), gap["time"].values
    figure, axes = plt.subplots(
        rows, 2, figsize=(9, 0.5 + 1.8 * rows), squeeze=False, sharex=True, layout="constrained"
    )
    for axis, text in zip(axes.flat, names, strict=False):
        name = text.partition(" ")[0]
        if name not in there:
            raise ModelError(f"{name!r} was not compared; there are {there}.{did_you_mean(name, there)}")
        signal, i = _number(plan.signals, text)
        imagined, came, off = (gap[f"{name}_{e}"].values.reshape(len(time), -1) for e in ("imagined", "came", "gap"))
        axis.plot(time, np.where(np.isnan(off[:, i]), np.nan, came[:, i]), color="black", lw=1.2, label="what came")
        axis.plot(time, imagined[:, i], color="tab:blue", lw=1.2, ls="--", label="imagined")
        unit = f" [{signal.units[i] if signal.units else 1}]" if signal.units or signal.kind != "vector" else ""
        axis.set_ylabel(text.replace(" ", "\n", 1) + unit, fontsize=8)
    handles = axes.flat[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=2, fontsize=8, frameon=False)
    _off(axes.flat[len(names)], gap, there, limit)
    for axis in axes.flat[len(names) + 1 :]:
        axis.set_axis_off()
    for axis in axes.flat:
        axis.tick_params(labelsize=7)
    for axis in axes[-1]:
        axis.set_xlabel("time ahead [s]", fontsize=8)
    plt.close(figure)
    return figure


def _legend(figure: Figure, axes: np.ndarray, used: int) -> None:
    """Hide the panels that are not used, name the axis of time, and tell once what all lines are."""
    for axis in axes.flat[used:]:
        axis.set_axis_off()
    for axis in axes[-1]:
        axis.set_xlabel("time from the last tick that was seen [s]", fontsize=8)
    shown = {text: line for a in axes.flat for line, text in zip(*a.get_legend_handles_labels(), strict=True)}
    figure.legend(shown.values(), shown.keys(), loc="outside upper center", ncols=3, fontsize=8, frameon=False)


def _off(axis: Axes, gap: xr.Dataset, names: Sequence[str], limit: float | None) -> None:
    """How far off each name is over time; the five worst have colours."""
    worst = sorted(names, key=lambda name: -float(np.nanmax(gap[f"{name}_off"].values, initial=0.0)))
    for name in worst:
        (line,) = axis.plot(gap["time"], gap[f"{name}_off"], lw=1.3)
        if name in worst[:5]:
            line.set_label(name)
        else:
            line.set(color="0.8", lw=0.7)
    if limit is not None:
        axis.axhline(limit, color="black", lw=1, ls=":", label="limit")
    axis.set_ylabel("off\n[training std]", fontsize=8)
    axis.legend(fontsize=6, ncols=2, handlelength=1)


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


def _unit(values: xr.DataArray) -> str:
    """The units of a vector's numbers, each once."""
    return ", ".join(dict.fromkeys(each_unit(values.attrs["units"], int(np.prod(values.shape[1:], dtype=int)))))


def _followed(
    model: WorldModel, recorded: xr.Dataset, at: int, ahead: int, without: Sequence[str] = ()
) -> torch.Tensor:
    """Beliefs (at + 1 + ahead, size): after each tick up to `at` as all is read, then as what is done lets foresee."""
    last = recorded.sizes["time"] - 1 - ahead
    if not 0 <= at <= last:
        raise ModelError(f"foresight: at came as {at}; in this episode, with {ahead} ticks ahead, wanted 0 to {last}")
    off = {name for sensor in without for name in _readings_of(model, sensor)}
    window = Windows(hold([recorded], model.signals)[0], model.signals, at + 1, ahead).take([0])
    seen = {name: value[:, : at + 1] for name, value in window.readings.items() if name not in off}
    past = model.observe(seen, window.action[:, : at + 1])
    return torch.cat([past, model.rollout(past[:, -1], window.action[:, at : at + ahead])], dim=1)[0]


def _readings_of(model: WorldModel, sensor: str) -> list[str]:
    """The readings of a sensor, or of all sensors of a camera."""
    found = list(readings_of(sensor, model.readings)) if sensor else []
    if not found:
        known = list(model.readings)
        raise ModelError(f"no reading of {sensor!r}; the model reads {known}.{did_you_mean(sensor, known)}")
    return found


def _compared(
    came: xr.Dataset, told: Mapping[str, torch.Tensor], signal: Signal, i: int
) -> tuple[np.ndarray, np.ndarray]:
    """What came and what is believed of a number or a class (time,), NaN where it means nothing."""
    value = came[signal.name].values
    real = (value == i if signal.kind == "label" else value.reshape(len(value), -1)[:, i]).astype(float)
    mean = told[signal.name].reshape(len(value), -1)[:, i].numpy().astype(float)
    if signal.given:
        real[~came[signal.given].values.astype(bool)] = np.nan
        mean[told[signal.given].reshape(-1).numpy() < 0.5] = np.nan
    return real, mean


def _number(signals: Signals, text: str) -> tuple[Signal, int]:
    """What "tcp z" means: the signal, and which of its numbers or classes."""
    name, _, label = text.partition(" ")
    signal = signals[name]
    if signal.kind not in ("vector", "pulse", "label"):
        raise ModelError(f"{name!r} is of kind {signal.kind!r}; plots.foresight shows pictures")
    if signal.size == 1 and signal.kind != "label" and not label:
        return signal, 0
    if label not in signal.labels:
        raise ModelError(f"{text!r}: wanted the name and one of {list(signal.labels)}, such as {_such(signal)!r}")
    return signal, signal.labels.index(label)


def _such(signal: Signal) -> str:
    return f"{signal.name} {signal.labels[0]}" if signal.labels else signal.name
