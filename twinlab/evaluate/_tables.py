"""Results as text for a terminal and as markdown for docs/results.md."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from twinlab.errors import ModelError
from twinlab.evaluate._foreseen import PREDICTORS
from twinlab.evaluate._prediction import BASELINES

WIDTH = 100  # of a terminal's line
_SHORT = {"nothing changes": "nothing", "linear": "linear", "constant velocity": "velocity"}


@dataclass(frozen=True)
class _Block:
    """One table: a title, the head of each column, and rows of cells."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def table(result: xr.Dataset) -> str:
    """What `predict`, `perceive`, `coverage`, `surprised`, `foresee` or `localise` found, as text.

    Those of the first four fit 100 columns: a wide table is continued below with its first column again. A * marks the
    best baseline; "still" a reading that does not move.
    """
    if "found" not in result.attrs:
        return _foreseen_table(result) if "error" in result else _localised_table(result)
    return "\n\n".join([_about(result), *(_text(block) for block in _blocks(result))])


def markdown(result: xr.Dataset) -> str:
    """What `predict`, `perceive`, `coverage` or `surprised` found, as markdown.

    Raises:
        ModelError: the result is of another function.
    """
    if "found" not in result.attrs:
        raise ModelError(
            "markdown: wanted what predict, perceive, coverage or surprised gave; for others there is `table`"
        )
    return "\n\n".join([_about(result), *(_marked(block) for block in _blocks(result))]) + "\n"


def _about(result: xr.Dataset) -> str:
    told = result.attrs
    if told["found"] == "surprised":
        return _about_surprise(told)
    count = f"{told['windows']} windows" if "windows" in told else f"{told['moments']} moments"
    lines = [
        f"{told['episodes']} held-out episodes (seeds {_ranges(told['seeds'])}), {count}; 95 % intervals over episodes;"
    ]
    lines.append(f"scene {', '.join(told['scenes'])}; weights {told['weights']}")
    return "\n".join(lines)


def _about_surprise(told: Mapping[str, Any]) -> str:
    ends = f"[{told['rate_low']:.2f}, {told['rate_high']:.2f}]"
    return "\n".join(
        [
            f"{told['false_alarms']} false alarms in {told['hours']:.2f} h without faults, {told['rate']:.2f} {ends} "
            f"an hour (Poisson);",
            f"thresholds of {told['usual_hours']:.2f} h of {told['usual_runs']} other runs; {told['windows']} windows "
            f"of {told['window']:g} s without faults;",
            f"seeds {_ranges(sorted(set(told['seeds'])))}; weights {told['weights']}",
        ]
    )


def _ranges(seeds: Sequence[str]) -> str:
    """Such as "65000–65003, 65010"; as they are where one is no number."""
    if not all(seed.lstrip("-").isdigit() for seed in seeds):
        return ", ".join(seeds)
    runs: list[list[int]] = []
    for seed in sorted(map(int, seeds)):
        if runs and seed == runs[-1][-1] + 1:
            runs[-1][1:] = [seed]
        else:
            runs.append([seed])
    return ", ".join("–".join(map(str, run)) for run in runs)


def _blocks(result: xr.Dataset) -> Iterator[_Block]:
    return {"predict": _predicted, "perceive": _perceived, "coverage": _covered, "surprised": _surprised}[
        result.attrs["found"]
    ](result)


def _predicted(result: xr.Dataset) -> Iterator[_Block]:
    head = ("reading", "model", *(_SHORT[b] for b in BASELINES), "model - best", "finding")
    gone = [str(p) for p in result["predictor"].values if str(p).startswith("model without ")]
    for ahead in result["ahead"].values:
        there = result.sel(ahead=ahead)
        for window in result["window"].values:
            one = there.sel(window=window)
            title = f"error over that of telling the mean, {ahead:g} s ahead, {window} windows ({int(one['windows'])})"
            if int(one["windows"]):
                yield _Block(title, head, tuple(_predicted_row(one.sel(reading=r)) for r in one["reading"].values))
        one = there.sel(window="all")
        rows = tuple(
            (str(r), *(_cell(one.sel(reading=r, predictor=p), "error", "low", "high") for p in ("model", *gone)))
            for r in one["reading"].values
        )
        if gone:
            yield _Block(f"readings taken away, {ahead:g} s ahead, all windows", ("reading", "model", *gone), rows)


def _predicted_row(row: xr.Dataset) -> tuple[str, ...]:
    best = str(row["best"].values)
    others = [_number(float(row["error"].sel(predictor=b))) + ("*" if b == best else "") for b in BASELINES]
    finding = str(row["finding"].values) if bool(row["moves"]) else "still"
    return (
        str(row["reading"].values),
        _cell(row.sel(predictor="model"), "error", "low", "high"),
        *others,
        _cell(row, "difference", "difference_low", "difference_high"),
        finding or "–",
    )


def _perceived(result: xr.Dataset) -> Iterator[_Block]:
    cases = result["case"].values
    for dim, prefix, what, write in (
        ("place", "", "distance off [mm]", _millimetres),
        ("angle", "yaw_", "yaw off [°]", _degrees),
    ):
        for name in result[dim].values:
            one, keys = result.sel({dim: name}), [prefix + m for m in ("median", "mean", "p90")]
            rows = tuple(
                (str(c), *(_cell(one.sel(case=c), k, f"{k}_low", f"{k}_high", write) for k in keys)) for c in cases
            )
            yield _Block(f"{name}: {what}", ("readings", "median", "mean", "p90"), rows)
    names = tuple(map(str, result["what"].values))
    if names:
        rows = tuple(
            (str(c), *(_cell(result.sel(case=c, what=w), "f1", "f1_low", "f1_high", _short) for w in names))
            for c in cases
        )
        yield _Block("F1 (labels: mean over classes; pulses: of being true)", ("readings", *names), rows)
        one = result.isel(case=0)
        rows = tuple(
            (str(c), _cell(one.sel({"class": c}), "f1_class", "f1_class_low", "f1_class_high", _short))
            for c in one["class"].values
        )
        yield _Block(f"F1 of each class, {cases[0]}", ("class", "F1"), rows)


def _surprised(result: xr.Dataset) -> Iterator[_Block]:
    head = ("fault", "AUROC", "detected", "delay [s]", "named", "runs", "changed nothing")
    rows = []
    for name in result["fault"].values:
        row = result.sel(fault=name)
        cells = (_cell(row, key, f"{key}_low", f"{key}_high", _short) for key in ("auroc", "detected", "named"))
        auroc, detected, named = cells
        delay = "–" if np.isnan(float(row["delay"])) else f"{float(row['delay']):.2f}"
        rows.append((str(name), auroc, detected, delay, named, str(int(row["runs"])), str(int(row["unchanged"]))))
    yield _Block(f"faults found within {result.attrs['window']:g} s", head, tuple(rows))


def _covered(result: xr.Dataset) -> Iterator[_Block]:
    calibrated = int(result.attrs["calibrated"])
    for ahead in result["ahead"].values:
        one = result.sel(ahead=ahead)
        rows = []
        for name in one["what"].values:
            if np.isnan(one["share"].sel(what=name)).all():
                continue
            cells = [one.sel(what=name, level=level) for level in one["level"].values]
            told = [_cell(c, "share", "low", "high", _short) for c in cells]
            if calibrated:
                before = [_short(float(c["believed"])) for c in cells]
                told.append("–" if "nan" in before else " ".join(before))
            found = [str(c["finding"].values) for c in cells]
            rows.append((str(name), *told, ", ".join(dict.fromkeys(f for f in found if f)) or "–"))
        levels = [f"{100 * float(level):g} %" for level in one["level"].values]
        head = ("what", *levels, *(["before"] if calibrated else []), "finding")
        which = f"intervals calibrated on {calibrated} episodes" if calibrated else "believed intervals, not calibrated"
        yield _Block(f"share within, {ahead:g} s ahead, {which}", head, tuple(rows))


def _cell(row: xr.Dataset, mean: str, low: str, high: str, write: Callable[[float], str] | None = None) -> str:
    """Such as "0.930 [0.880, 0.970]"; a dash where nothing is known."""
    write = write or _number
    middle, ends = float(row[mean]), (float(row[low]), float(row[high]))
    if np.isnan(middle):
        return "–"
    return write(middle) if np.isnan(ends[0]) else f"{write(middle)} [{write(ends[0])}, {write(ends[1])}]"


def _number(x: float) -> str:
    """About three digits."""
    if np.isnan(x):
        return "–"
    return f"{x:.{3 if abs(x) < 10 else 1 if abs(x) < 1000 else 0}f}"


def _millimetres(x: float) -> str:
    return f"{1000 * x:.1f}"


def _degrees(x: float) -> str:
    return f"{np.degrees(x):.1f}"


def _short(x: float) -> str:
    return f"{x:.2f}"


def _text(block: _Block) -> str:
    """Columns under each other, no line longer than `WIDTH`."""
    grid = [block.head, *block.rows]
    wide = [max(len(row[i]) for row in grid) for i in range(len(block.head))]
    wide[0] = min(wide[0], WIDTH // 3)
    names = [row[0] if len(row[0]) <= wide[0] else row[0][: wide[0] - 1] + "…" for row in grid]
    lines, at = [block.title], 1
    while at < len(wide):
        end, room = at + 1, WIDTH - wide[0] - 2 - wide[at]
        while end < len(wide) and room >= wide[end] + 2:
            room -= wide[end] + 2
            end += 1
        for name, row in zip(names, grid, strict=True):
            cells = (row[i].ljust(wide[i]) for i in range(at, end))
            lines.append("  ".join([name.ljust(wide[0]), *cells]).rstrip())
        at = end
    return "\n".join(lines)


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in markdown."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("*", "\\*") for cell in cells) + " |"

    return "\n".join([line(head), "|---" * len(head) + "|", *map(line, rows)])


def _marked(block: _Block) -> str:
    return f"**{block.title}**\n\n{grid(block.head, block.rows)}"


def _foreseen_table(result: xr.Dataset) -> str:
    lines = [
        f"{result.attrs['horizon']:g} s ahead, {result.attrs['episodes']} episodes, {result.attrs['windows']} windows: "
        f"error over standard deviation,\nmean over {result.sizes['variable']} vector readings [95 % interval]"
    ]
    for gone in result["without"].values:
        for predictor in PREDICTORS if gone == "" else PREDICTORS[:1]:
            row = result.sel(predictor=predictor, without=gone)
            name = f"{predictor} without {gone}" if gone else predictor
            lines.append(f"{name:40s} {float(row['mean']):.3f} [{float(row['low']):.3f}, {float(row['high']):.3f}]")
    return "\n".join(lines)


def _localised_table(result: xr.Dataset) -> str:
    lines = [f"perceived from readings only, {result.attrs['episodes']} episodes, {result.attrs['samples']} moments"]
    for gone in result["without"].values:
        lines.append(f"without {gone}:" if gone else "with all readings:")
        for name in result["place"].values:
            row = result.sel(without=gone, place=name)
            median, mean, p90 = (float(row[key]) * 1000 for key in ("median", "mean", "p90"))
            inside = float(row["within"])
            lines.append(
                f"  {name:16s} median {median:6.1f} mm, mean {mean:6.1f}, p90 {p90:6.1f}, in its 90 %: {inside:.2f}"
            )
        for name in result["what"].values:
            right, usual = float(result["accuracy"].sel(without=gone, what=name)), float(result["usual"].sel(what=name))
            lines.append(f"  {name:16s} right {right:.3f} (always the most frequent: {usual:.3f})")
    return "\n".join(lines)
