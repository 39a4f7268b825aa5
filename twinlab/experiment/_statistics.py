"""What a table says: means with intervals, and which differences are more than chance."""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from twinlab.errors import ExperimentError, did_you_mean
from twinlab.intervals import benjamini_hochberg, flipped, holm, interval, text
from twinlab.score import pooled

_STATISTICS = ("mean", "low", "high")
_CORRECTIONS = {"holm": holm, "benjamini_hochberg": benjamini_hochberg}


def summarise(table: xr.Dataset) -> xr.Dataset:
    """Means over seeds with 95 % intervals, for every combination of levels.

    Args:
        table: what `experiment` gave.

    Returns:
        A dataset over the factors and `statistic` (mean, low, high), told as `score.summary` tells them: shares of
        items are pooled over all items. `seeds` and `items` say how much each rests on.
    """
    dims = _factors(table)
    shape = tuple(table.sizes[dim] for dim in dims)
    out = xr.Dataset(coords={dim: table[dim] for dim in dims} | {"statistic": list(_STATISTICS)})
    for name in (n for n in map(str, table.data_vars) if n != "items"):
        found = np.empty((*shape, 3))
        for at in np.ndindex(shape):
            values, items = (table[n].transpose(*dims, "seed").values[at] for n in (name, "items"))
            found[at] = pooled(str(table[name].attrs.get("metric", name)), values, items)
        out[name] = ((*dims, "statistic"), found, dict(table[name].attrs))
    out["seeds"] = (dims, np.full(shape, table.sizes["seed"]), {"units": "1"})
    out["items"] = table["items"].sum("seed").assign_attrs(units="1")
    return out.assign_attrs(table.attrs)


def rows(found: xr.Dataset, metrics: Iterable[str] | None = None) -> list[dict[str, str]]:
    """What `summarise` or `compare` gave as text, one row a combination of levels: "0.93 [0.88, 0.97]".

    Args:
        found: it.
        metrics: those of a summary to tell, all by default.
    """
    dims = [str(dim) for dim in found["p" if "p" in found else "items"].dims]
    names = [str(n) for n in found.data_vars if "statistic" in found[n].dims] if metrics is None else list(metrics)
    plain = [str(n) for n in found.data_vars if "statistic" not in found[n].dims]
    out = []
    for levels in product(*(range(found.sizes[dim]) for dim in dims)):
        one = found.isel(dict(zip(dims, levels, strict=True)))
        row = {_headed(dim, found[dim]): _said(one[dim].item()) for dim in dims}
        row |= {name: _said(one[name].item()) for name in plain}
        out.append(row | {_headed(name, found[name]): text(*one[name].values) for name in names})
    return out


def compare(
    table: xr.Dataset,
    metric: str,
    along: str = "policy",
    baseline: Any = None,
    correction: str = "holm",
    level: float = 0.05,
) -> xr.Dataset:
    """What a factor's levels change against one of them, paired by seed.

    Each seed counts once, with the difference between its two runs. P-values are those of `intervals.flipped`,
    corrected over all comparisons of the answer.

    Args:
        table, metric: what `experiment` gave, and one of its variables.
        along, baseline: the factor, and its level that the others are compared with, by default the first.
        correction: "holm" bounds the chance of a single false finding, "benjamini_hochberg" the share of false ones.
        level: what `significant` means.

    Returns:
        A dataset over the factors, without the baseline: `difference` (…, statistic) with a bootstrapped 95 % interval
        that is not corrected, `p`, `p_corrected`, `significant`, and `pairs`, the seeds in which both are known.

    Raises:
        ExperimentError: no such metric, factor, level or correction.
    """
    dims = _factors(table)
    _one_of(metric, [str(name) for name in table.data_vars], "metric")
    _one_of(along, dims, "factor")
    _one_of(correction, list(_CORRECTIONS), "correction")
    levels = table[along].values.tolist()
    first = levels[0] if baseline is None else baseline
    _one_of(first, levels, f"level of {along!r}")
    if len(levels) < 2:
        raise ExperimentError(f"factor {along!r} has one level, {levels[0]!r}; there is nothing to compare")
    others = [i for i, one in enumerate(levels) if one != first]
    values = table[metric].transpose(*dims, "seed")
    moved = (values.isel({along: others}) - values.isel({along: levels.index(first)}, drop=True)).transpose(
        *dims, "seed"
    )
    flat = moved.values.reshape(-1, table.sizes["seed"])
    p = np.array([flipped(one) for one in flat])
    corrected = _CORRECTIONS[correction](p)
    out = xr.Dataset(coords={dim: moved[dim] for dim in dims} | {"statistic": list(_STATISTICS)})
    shape, spans = moved.shape[:-1], np.array([interval(one) for one in flat]).reshape(*moved.shape[:-1], 3)
    out["difference"] = ((*dims, "statistic"), spans, {"units": table[metric].attrs.get("units", "1")})
    for name, found in (("p", p), ("p_corrected", corrected)):
        out[name] = (dims, found.reshape(shape), {"units": "1"})
    out["significant"] = (dims, (corrected < level).reshape(shape), {"units": "1"})
    out["pairs"] = (dims, (~np.isnan(flat)).sum(axis=1).reshape(shape), {"units": "1"})
    return out.assign_attrs(
        metric=metric,
        baseline=first,
        test="sign flips of differences paired by seed, two-sided",
        correction=correction,
        comparisons=int((~np.isnan(p)).sum()),
        level=level,
    )


def _factors(table: xr.Dataset) -> list[str]:
    if "seed" not in table.dims or "items" not in table:
        raise ExperimentError(f"a table of dims {list(table.dims)} came; wanted what `experiment` gave, over `seed`")
    return [str(dim) for dim in table["items"].dims if dim != "seed"]


def _one_of(name: Any, known: Sequence[Any], what: str) -> None:
    if name not in known:
        near = did_you_mean(str(name), [str(one) for one in known])
        raise ExperimentError(f"no {what} {name!r}; there are {list(known)}.{near}")


def _headed(name: str, variable: xr.DataArray) -> str:
    units = variable.attrs.get("units", "")
    return name if units in ("", "1") else f"{name} [{units}]"


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
