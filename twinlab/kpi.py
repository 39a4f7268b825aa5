"""Events → key performance indicators of ISO 22400-2, formulas as in OPC 40501-1 Annex C.2.4.

An item is decided when it was placed, missed or dropped; the last such event counts, so that a part that fell back onto
the belt and was picked again counts by its end. Items still on their way when the episode ends are left out.

Time is of three sorts, as in the states of OPC 40001-1: busy (the truth `busy`: executing and processing), down (from a
`stop` to `resumed`), and idle, which is all else. A `fault` alone is no down time, because a line can go on with a
sensor that is wrong; what a fault halts tells `stop`. A device whose state is not known (MTConnect's UNAVAILABLE)
is neither busy nor down.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import xarray as xr

from twinlab.errors import ReadingsError
from twinlab.events import Event, EventKind

UNITS = {
    "throughput": "1/h", "correct": "1", "wrong": "1", "missed": "1", "dropped": "1", "cycle_time": "s",
    "availability": "1", "effectiveness": "1", "quality": "1", "oee": "1", "stops": "1", "items": "1",
    "takt": "s", "lead_time": "s", "wip": "1", "first_pass": "1", "rework": "1", "scrap": "1", "escape": "1",
    "false_reject": "1", "down": "1", "mtbf": "s", "mttr": "s", "utilisation": "1", "violations": "1",
    "collisions": "1", "orders": "1", "orders_right": "1",
}  # fmt: skip
ENDS = ("placed", "missed", "dropped")
"""Kinds of events with which the handling of an item ends."""

_OF_ITEMS = ("spawned", "picked", "inspected", *ENDS)
_ARRAYS = ("busy", "event_time", "event_kind", "event_item", "event_place", "event_right")


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
        stops: protective stops of the robot, and stops of machines [1].
        items: decided items [1].
        takt: planned busy time per item that came within it (`spawned`), PBT / demand [s]; a line keeps up with what
            comes if its cycle time is not longer.
        lead_time: mean time from an item's `spawned` to its decision [s]; from 0 s for one that was there at the start.
        wip: work in process, the mean over time of the number of items that came and are not decided [1]. Little's law
            (1961): where all that came were decided, wip = lead_time / takt.
        first_pass: first pass yield GP / IP, items that are good and needed no second handling / produced items, which
            the twin's truth inspects all [1]. Second handling is whatever follows after an item was dropped, placed
            wrong or inspected once.
        rework: produced items that needed a second handling / produced items, RQ / PQ [1].
        scrap: items that the last verdict rejects / inspected items, SQ / PQ of an inspection [1].
        escape: defective items that passed by the last verdict / defective items inspected [1].
        false_reject: good items that the last verdict rejects / good items inspected [1].
        down: share of the planned busy time in which some device was stopped [1]; a stop that nobody resumed lasts to
            the end.
        mtbf: mean time between failures, planned busy time that is not down / stops [s].
        mttr: mean time to restoration, from a `stop` to its `resumed` [s]; stops that last are left out.
        utilisation: time that machines spend within their cycles (`started` to `finished`) / planned busy time [1];
            where a line has several machines they add up.
        violations: safety limits that were exceeded [1].
        collisions: how often a robot hit what it must not touch [1].
        orders: orders (kits, pallets, trays, rounds) that are done with [1].
        orders_right: share of them that are as wanted [1].
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
    takt: float
    lead_time: float
    wip: float
    first_pass: float
    rework: float
    scrap: float
    escape: float
    false_reject: float
    down: float
    mtbf: float
    mttr: float
    utilisation: float
    violations: float
    collisions: float
    orders: float
    orders_right: float


class Span(NamedTuple):
    """A time in which something lasts.

    Attributes:
        start, end: of it [s].
        over: whether it ended before the episode did.
    """

    start: float
    end: float
    over: bool


def kpis(episode: xr.Dataset) -> Kpis:
    """The KPIs of one episode.

    Raises:
        ReadingsError: the episode lacks its events, the truth `busy` or an attribute, or a verdict is none.
    """
    for name in _ARRAYS:
        if name not in episode:
            raise ReadingsError(f"KPIs need {name!r}; the episode holds {sorted(map(str, episode.variables))}")
    columns = [episode[f"event_{key}"].values.tolist() for key in ("time", "kind", "item", "place", "right")]
    events = [Event(t, cast(EventKind, kind), *rest) for t, kind, *rest in zip(*columns, strict=True)]
    tick, planned = (float(_told(episode, key)) for key in ("tick", "planned_run_time"))
    return reckoned(events, episode["busy"].values, tick, planned)


def ends_of(events: Iterable[Event]) -> dict[str, str]:
    """Item → how it ended: "correct", "wrong", "missed" or "dropped"; the last such event counts."""
    return {event.item: _way(event) for event in events if event.kind in ENDS}


def kpis_of(episodes: Iterable[xr.Dataset]) -> xr.Dataset:
    """The KPIs of several episodes, in the form of `score.score`, so that `score.summary` gives their intervals.

    Args:
        episodes: what `record` gave or a store holds; one is looked at after the other.

    Returns:
        A dataset with dim `seed`, in the order of the episodes, and one variable a KPI. Its attributes `scene`,
        `scene_digest`, `policy` and `instruction` name all that occur, with commas between.

    Raises:
        ReadingsError: there are no episodes, or one lacks what KPIs need.
    """
    rows, seeds = [], []
    about: dict[str, set[str]] = {}
    for episode in episodes:
        rows.append(asdict(kpis(episode)))
        seeds.append(int(_told(episode, "seed")))
        for key in ("scene", "scene_digest", "policy", "instruction"):
            about.setdefault(key, set()).add(str(_told(episode, key)))
    if not rows:
        raise ReadingsError("no episodes came; wanted at least one, such as those of an EpisodeStore")
    out = xr.Dataset(coords={"seed": ("seed", seeds, {"units": "1"})})
    for name, unit in UNITS.items():
        out[name] = ("seed", np.array([row[name] for row in rows], float), {"units": unit})
    return out.assign_attrs({key: ",".join(sorted(values)) for key, values in about.items()})


def reckoned(events: Iterable[Event], busy: np.ndarray, tick: float, planned_run_time: float) -> Kpis:
    """The KPIs of what happened.

    Args:
        events: in the order in which they happened.
        busy: whether the robot works on an item, bool (tick,).
        tick: length of a tick [s].
        planned_run_time: per item, PRI [s].

    Raises:
        ReadingsError: no tick has passed, or a verdict is neither "pass" nor "reject".
    """
    if busy.ndim != 1 or not len(busy) or not tick > 0:
        raise ReadingsError(f"KPIs: busy came with shape {busy.shape}, tick as {tick} s; wanted (tick,) and above 0 s")
    events, length, busy_time = list(events), len(busy) * tick, float(busy.sum()) * tick
    stories: dict[str, list[Event]] = {}
    for event in events:
        if event.kind in _OF_ITEMS:
            stories.setdefault(event.item, []).append(event)
    return Kpis(
        **_output(list(stories.values()), length, busy_time, planned_run_time),
        **_flow(list(stories.values()), length),
        **_verdicts(events),
        **_stops(events, length),
        **_counts(events, length),
    )


def _output(stories: list[list[Event]], length: float, busy_time: float, planned: float) -> dict[str, float]:
    """What was produced: OEE and its factors."""
    ended = [story for story in stories if _end(story)]
    ends = [_way(_end(story)) for story in ended]
    count = {way: ends.count(way) for way in ("correct", "wrong", "missed", "dropped")}
    produced = count["correct"] + count["wrong"]
    again = [_way(_end(story)) for story in ended if _again(story)]
    return {
        "throughput": 3600 * produced / length,
        **{way: _ratio(number, len(ended)) for way, number in count.items()},
        "cycle_time": _ratio(busy_time, produced),
        "availability": busy_time / length,
        "effectiveness": _ratio(planned * produced, busy_time),
        "quality": _ratio(count["correct"], produced),
        "oee": planned * count["correct"] / length,
        "items": float(len(ended)),
        "first_pass": _ratio(count["correct"] - again.count("correct"), produced),
        "rework": _ratio(again.count("correct") + again.count("wrong"), produced),
    }


def _flow(stories: list[list[Event]], length: float) -> dict[str, float]:
    """How items pass through the line."""
    came = [min((event.time for event in story if event.kind == "spawned"), default=0.0) for story in stories]
    ends = [_end(story) for story in stories]
    demand = sum(any(event.kind == "spawned" for event in story) for story in stories)
    led = [end.time - start for start, end in zip(came, ends, strict=True) if end]
    until = [min(end.time, length) if end else length for end in ends]
    within = sum(max(0.0, end - start) for start, end in zip(came, until, strict=True))
    return {"takt": _ratio(length, demand), "lead_time": _ratio(sum(led), len(led)), "wip": within / length}


def _verdicts(events: list[Event]) -> dict[str, float]:
    """How well items were told apart; the last verdict on each counts."""
    last = {event.item: event for event in events if event.kind == "inspected"}
    for event in last.values():
        if event.place not in ("pass", "reject"):
            raise ReadingsError(
                f"KPIs: the verdict on {event.item!r} at {event.time:.2f} s came as {event.place!r}; "
                'wanted "pass" or "reject" as the place of an "inspected" event'
            )
    found = [(event.place, event.right) for event in last.values()]
    passed = {right: found.count(("pass", right)) for right in (True, False)}
    rejected = {right: found.count(("reject", right)) for right in (True, False)}
    return {
        "scrap": _ratio(rejected[True] + rejected[False], len(found)),
        "escape": _ratio(passed[False], passed[False] + rejected[True]),
        "false_reject": _ratio(rejected[False], rejected[False] + passed[True]),
    }


def _stops(events: list[Event], length: float) -> dict[str, float]:
    """How long the line stood, and how often."""
    spans = _spans(events, "stop", "resumed", length)
    down, until = 0.0, 0.0
    for span in sorted(spans):  # what several devices share counts once
        down += max(0.0, span.end - max(span.start, until))
        until = max(until, span.end)
    mended = [span.end - span.start for span in spans if span.over]
    return {
        "stops": float(_count(events, "stop")),
        "down": down / length,
        "mtbf": _ratio(length - down, len(spans)),
        "mttr": _ratio(sum(mended), len(mended)),
    }


def _counts(events: list[Event], length: float) -> dict[str, float]:
    """What machines, orders and safety add."""
    orders = {event.item: event.right for event in events if event.kind == "completed"}
    cycles = _spans(events, "started", "finished", length)
    return {
        "utilisation": sum(span.end - span.start for span in cycles) / length,
        "violations": float(_count(events, "violation")),
        "collisions": float(_count(events, "collided")),
        "orders": float(len(orders)),
        "orders_right": _ratio(sum(orders.values()), len(orders)),
    }


def _spans(events: list[Event], begin: EventKind, end: EventKind, length: float) -> list[Span]:
    """The times from one kind of event to the next of another kind of the same device, within the episode."""
    out: list[Span] = []
    since: dict[str, float] = {}
    for event in events:
        if event.kind == begin:
            since.setdefault(event.item, min(event.time, length))
        elif event.kind == end and event.item in since:
            out.append(Span(since.pop(event.item), min(event.time, length), True))
    return out + [Span(start, length, False) for start in since.values()]


def _end(story: list[Event]) -> Event | None:
    return next((event for event in reversed(story) if event.kind in ENDS), None)


def _way(end: Event | None) -> str:
    assert end is not None
    if end.kind == "placed":
        return "correct" if end.right else "wrong"
    return str(end.kind)


def _again(story: list[Event]) -> bool:
    """Whether an item needed a second handling before its end."""
    ends = [event for event in story if event.kind in ENDS]
    return any(not event.right for event in ends[:-1]) or _count(story, "inspected") > 1


def _count(events: Iterable[Event], kind: EventKind) -> int:
    return sum(event.kind == kind for event in events)


def _told(episode: xr.Dataset, key: str) -> Any:
    if key not in episode.attrs:
        raise ReadingsError(f"KPIs need the attribute {key!r}; the episode has {sorted(map(str, episode.attrs))}")
    return episode.attrs[key]


def _ratio(over: float, under: float) -> float:
    return over / under if under else float(np.nan)
