"""Events → key performance indicators of ISO 22400-2, formulas as in OPC 40501-1 Annex C.2.4.

An item is decided when it was placed, missed or dropped; the last such event counts, so that a part that fell back onto
the belt and was picked again counts by its end. Items still on their way when the episode ends are left out.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from twinlab.errors import ReadingsError

UNITS = {
    "throughput": "1/h", "correct": "1", "wrong": "1", "missed": "1", "dropped": "1", "cycle_time": "s",
    "availability": "1", "effectiveness": "1", "quality": "1", "oee": "1", "stops": "1", "items": "1",
}  # fmt: skip


@dataclass(frozen=True)
class Kpis:
    """What a line achieved; NaN where nothing was produced and a ratio has no meaning.

    Attributes:
        throughput: produced quantity PQ (placed items, right or wrong) per hour of planned busy time [1/h].
        correct, wrong, missed, dropped: shares of the decided items; they add up to 1 [1].
        cycle_time: actual production time per produced item, APT / PQ [s].
        availability: actual production time APT (ticks in which the robot works on an item) / planned busy time PBT
            (the episode's length) [1].
        effectiveness: planned run time per item PRI · PQ / APT [1]; above 1 means that PRI is too long, it is not cut.
        quality: good / produced quantity [1].
        oee: availability · effectiveness · quality = PRI · GQ / PBT [1].
        stops: protective stops of the robot [1].
        items: decided items [1].
    """

    throughput: float
    correct: float
    wrong: float
    missed: float
    dropped: float
    cycle_time: float
    availability: float
    effectiveness: float
    quality: float
    oee: float
    stops: float
    items: float


def kpis(episode: xr.Dataset) -> Kpis:
    """The KPIs of one episode.

    Raises:
        ReadingsError: the episode lacks its events or the truth `busy`.
    """
    for name in ("event_kind", "event_item", "event_right", "busy"):
        if name not in episode:
            raise ReadingsError(f"KPIs need {name!r}; the episode holds {sorted(map(str, episode.variables))}")
    kinds, items, right = (episode[f"event_{key}"].values for key in ("kind", "item", "right"))
    last: dict[str, str] = {}
    for kind, item, good in zip(kinds, items, right, strict=True):
        if kind in ("placed", "missed", "dropped"):
            last[str(item)] = ("correct" if good else "wrong") if kind == "placed" else str(kind)
    count = {end: list(last.values()).count(end) for end in ("correct", "wrong", "missed", "dropped")}
    tick, planned = float(episode.attrs["tick"]), float(episode.attrs["planned_run_time"])
    busy_time, length = float(episode["busy"].values.sum()) * tick, episode.sizes["time"] * tick
    produced, decided = count["correct"] + count["wrong"], len(last)
    return Kpis(
        throughput=3600 * produced / length,
        **{end: _ratio(number, decided) for end, number in count.items()},
        cycle_time=_ratio(busy_time, produced),
        availability=busy_time / length,
        effectiveness=_ratio(planned * produced, busy_time),
        quality=_ratio(count["correct"], produced),
        oee=planned * count["correct"] / length,
        stops=float((kinds == "stop").sum()),
        items=float(decided),
    )


def _ratio(over: float, under: float) -> float:
    return over / under if under else float(np.nan)
