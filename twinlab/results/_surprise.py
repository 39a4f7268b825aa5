"""The table of surprise: which faults are noticed by what was not foreseen, and how often the alarm is false."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from twinlab import evaluate
from twinlab.model import WorldModel
from twinlab.results._document import Target, verdicts
from twinlab.results._runs import Bench, Tell

_USUAL, _TEST = 51_000, 67_000  # first seeds: of runs that set the thresholds, of those that are judged
_SECONDS, _ONSET = 30.0, 8.0
_AUROC, _RATE, _HOURS = 0.95, 1.0, 3.0
_STRENGTH = (
    "Strength of faults: a bias of one training standard deviation (2 cm of depth, 20 of 255 of a picture), a drift of "
    "a fifth of that a second, noise of half of it, all samples lost or frozen, 40 % of a picture covered, 20 % "
    "stained, a camera turned by four of its pixels and moved by 1 cm, 80 % of the light gone."
)


def surprise(model: WorldModel, bench: Bench, hours: float, each: int, tell: Tell) -> str:
    """How well faults are told from running without, as markdown; each run is kept.

    Args:
        model: of the line.
        bench: its line, folder and workers.
        hours: how long the line runs without faults: once for the thresholds, once to be judged [h].
        each: runs of each fault [1].
        tell: called with a stage, how many runs are done, of how many.
    """
    if model.usual is None:
        told = "Not measured: the model was never told what is usual; train it with validation episodes."
        return f"{verdicts(noticed(None))}\n\n{told}"
    tried = evaluate.trials(bench.spec, model)
    line, folder = evaluate.prone(bench.spec, tried), bench.folder.parent / "watched"
    count = max(each, int(np.ceil(hours * 3600 / _SECONDS)))

    def runs(name: str, seeds: range, every: Sequence[Any]) -> list[Any]:
        """What a watcher kept of each seed under each of these faults."""
        jobs = [(seed, one) for one in every for seed in seeds]
        told = partial(tell, f"surprise {name}")
        return evaluate.watched(line, bench.model, jobs, folder, _SECONDS, _ONSET, bench.workers, told)

    usual = runs("usual", range(_USUAL, _USUAL + count), [None])
    quiet = runs("quiet", range(_TEST, _TEST + count), [None])
    faulty = runs("faults", range(_TEST, _TEST + each), tried)
    evaluate.tune(model, usual)
    out = evaluate.surprised(model, quiet, faulty)
    return f"{verdicts(noticed(out))}\n\n{_STRENGTH}\n\n{evaluate.markdown(out)}"


def noticed(found: xr.Dataset | None) -> list[Target]:
    """What is asked of surprise.

    Args:
        found: what `evaluate.surprised` gave, None if nothing was measured.
    """
    areas = "AUROC of at least 0.95 over the faults that change a reading"
    alarms = "one false alarm an hour or less, over 3 hours or more without faults"
    if found is None:
        return [Target(areas, "–", None), Target(alarms, "–", None)]
    told, auroc = found.attrs, np.full(3, np.nan)
    if "all of readings" in found["fault"].values:
        one = found.sel(fault="all of readings")
        auroc = np.array([float(one[key]) for key in ("auroc", "auroc_low", "auroc_high")])
    rate = f"{told['rate']:.2f} [{told['rate_low']:.2f}, {told['rate_high']:.2f}] in {told['hours']:.2f} h"
    good = told["rate"] <= _RATE and told["hours"] >= _HOURS - 1e-9
    known = bool(np.isfinite(auroc[0]))
    ends = f" [{auroc[1]:.3f}, {auroc[2]:.3f}]" if np.isfinite(auroc[1]) else ""
    area = f"{auroc[0]:.3f}{ends}" if known else "–"
    return [Target(areas, area, bool(auroc[0] >= _AUROC) if known else None), Target(alarms, rate, bool(good))]
