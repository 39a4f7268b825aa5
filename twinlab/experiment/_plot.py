"""A metric over a factor, with intervals."""

from __future__ import annotations  # a process that only runs cells loads no matplotlib

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from twinlab.errors import ExperimentError
from twinlab.experiment._statistics import _headed, _one_of, _said

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot(summary: xr.Dataset, metric: str, over: str, by: str = "", beside: str = "") -> Figure:
    """A metric over a factor, with its 95 % intervals: as a band over numbers, as bars over names.

    Args:
        summary: what `summarise` gave.
        metric: one of its variables.
        over: the factor along the axis.
        by: the factor that has a line for each level; none where it is "".
        beside: the factor that has a panel for each level; none where it is "".

    Raises:
        ExperimentError: no such metric or factor, or another factor is left; choose a level of it by `summary.sel`.
    """
    import matplotlib.pyplot as plt

    dims = [str(dim) for dim in summary["items"].dims]
    _one_of(metric, [str(name) for name in summary.data_vars], "metric")
    for name in filter(None, (over, by, beside)):
        _one_of(name, dims, "factor")
    if left := [dim for dim in dims if dim not in (over, by, beside)]:
        raise ExperimentError(
            f"plot: factors {left} are left; choose a level by summary.sel, or draw them by or beside"
        )
    panels = summary[beside].values if beside else [None]
    figure, axes = plt.subplots(
        1, len(panels), figsize=(1.2 + 3.6 * len(panels), 3.2), sharey=True, squeeze=False, layout="constrained"
    )
    for axis, panel in zip(axes[0], panels, strict=True):
        values = summary[metric] if panel is None else summary[metric].sel({beside: panel})
        lines = values[by].values if by else [None]
        for number, line in enumerate(lines):
            one = values if line is None else values.sel({by: line})
            shift = 0.12 * (number - (len(lines) - 1) / 2)
            _line(axis, one, over, "" if line is None else _said(line.item()), f"C{number % 10}", shift)
        axis.set(xlabel=_headed(over, summary[over]), ylabel="")
        axis.set_title(
            "" if panel is None else f"{_headed(beside, summary[beside])} = {_said(panel.item())}", fontsize=9
        )
        if by:
            axis.legend(title=_headed(by, summary[by]), fontsize=8, title_fontsize=8)
    axes[0, 0].set_ylabel(_headed(metric, summary[metric]))
    plt.close(figure)
    return figure


def _line(axis: Axes, values: xr.DataArray, over: str, label: str, colour: str, shift: float) -> None:
    mean, low, high = (values.sel(statistic=name) for name in ("mean", "low", "high"))
    if values[over].dtype.kind in "fi":
        mean.plot.line(x=over, ax=axis, marker="o", ms=4, label=label, color=colour, add_legend=False)
        axis.fill_between(values[over], low, high, color=colour, alpha=0.2, lw=0)
        axis.set_xticks(values[over].values)
        return
    at = np.arange(values.sizes[over]) + shift
    around = (np.maximum(mean - low, 0), np.maximum(high - mean, 0))
    axis.errorbar(at, mean, around, fmt="o", ms=5, capsize=3, color=colour, label=label)
    axis.set_xticks(np.arange(values.sizes[over]), values[over].values)
