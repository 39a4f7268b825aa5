"""Tables of closed-loop runs: who handles how many items rightly, and what is left of it when a sensor is gone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twinlab import rooms
from twinlab.evaluate import grid
from twinlab.intervals import flipped, interval, text
from twinlab.results._document import Target, verdicts
from twinlab.results._runs import FIRST, LEARNED, Bench, Ends, Run, Tally, Tell

POLICIES = ("still", "program", "expert", "cloned", "planned")
CONDITIONS = {"nominal": "nominal", "varied": "with variation", "faulty": "with variation and one fault a run"}
_BETTER, _LEAST, _AIM, _LEFT = 0.1, 0.8, 0.9, 0.75
Rows = Mapping[Run, Mapping[str, Any]]


@dataclass(frozen=True)
class Counts:
    """On how many test seeds each is run, from 60,000 on.

    Attributes:
        nominal, varied, faulty: every policy, under each condition [1].
        oracle: the oracle, with variation, one item each [1].
        needed: the cloned policy with one needed sensor removed [1].
    """

    nominal: int = 59
    varied: int = 20
    faulty: int = 20
    oracle: int = 12
    needed: int = 2


def control(bench: Bench, counts: Counts, tell: Tell) -> str:
    """What each policy does under each condition, planned against cloned, and all against the expert, as markdown."""
    names = [name for name in POLICIES if bench.weights or name not in LEARNED]
    conditions = [one for one in CONDITIONS if getattr(counts, one) and (one != "faulty" or bench.spec.faults)]
    rows: dict[Run, dict[str, Any]] = {}
    for name in names:  # the quick ones first
        runs = [Run(c, name, FIRST + i) for c in conditions for i in range(getattr(counts, c))]
        rows |= bench.rows(runs, f"control {name}", tell)
    told = [_about(bench), "", "", ""]
    targets: list[Target] = []
    for condition in conditions:
        seeds = range(FIRST, FIRST + getattr(counts, condition))
        found = {n: [rows[Run(condition, n, s)] for s in seeds] for n in names}
        tallies = {n: Tally.of(every).less(Tally.of(found["still"])) for n, every in found.items()}
        told += [f"**{CONDITIONS[condition]}: test seeds {seeds[0]}–{seeds[-1]}, n = {len(seeds)}**", ""]
        told += [grid(_HEAD, [_row(n, found[n], tallies) for n in names]), ""]
        if {"cloned", "planned"} <= set(names):
            more, line = _compared(condition, tallies)
            targets += more
            told += [line, ""]
    if "oracle" in rooms.names("policies") and counts.oracle:
        told += [_oracle(bench, counts.oracle, tell), ""]
    told[2] = verdicts(targets or [Target("the learned policies act on test seeds", "no model of this line", None)])
    return "\n".join(told)


def removal(bench: Bench, counts: Counts, tell: Tell) -> str:
    """What is left of the cloned policy's success when one sensor is removed, and whether it stops, as markdown."""
    spec, seeds = bench.spec, range(FIRST, FIRST + counts.varied)
    redundant = [name for name, sensor in spec.sensors.items() if sensor.redundant and not sensor.truth]
    few = range(FIRST, FIRST + counts.needed)
    gone: dict[tuple[str, ...], range] = {(): seeds, **{(n,): seeds for n in redundant}}
    gone |= {(n,): few for n in spec.needed}
    runs = [Run("varied", "cloned", s, away) for away, every in gone.items() for s in every]
    rows = bench.rows([Run("varied", "still", s) for s in seeds], "removed: still", tell)
    rows |= bench.rows(runs, "removed", tell)

    def tally(away: tuple[str, ...]) -> Tally:
        mine = Tally.of([rows[Run("varied", "cloned", s, away)] for s in gone[away]])
        return mine.less(Tally.of([rows[Run("varied", "still", s)] for s in gone[away]]))

    whole, table, left, stopped = tally(()), [], {}, {}
    table.append(("nothing", "", str(len(seeds)), text(*whole.share()), "", _stops(rows, gone, ())))
    for name in redundant:
        left[name] = tally((name,)).over(whole)
        table.append(
            (
                name,
                "redundant",
                str(len(seeds)),
                text(*tally((name,)).share()),
                text(*left[name]),
                _stops(rows, gone, (name,)),
            )
        )
    for name in spec.needed:
        stopped[name] = [bool(rows[Run("varied", "cloned", s, (name,))]["stopped"]) for s in few]
        table.append((name, "needed", str(len(few)), text(*tally((name,)).share()), "", _stops(rows, gone, (name,))))
    head = ("removed", "it is", "seeds", "success of `cloned`", "of that with all", "stopped")
    said = next((str(rows[one]["stopped"]) for one in runs if rows[one]["stopped"]), "")
    lines = [_about(bench), f"With variation, test seeds from {FIRST} on.", "", verdicts(_kept(left, stopped)), ""]
    lines += [grid(head, table), "", *([f"It says, for instance: “{said}”."] if said else [])]
    return "\n".join(lines)


_HEAD = ("policy", "items", "right", "success", "of the expert's", "wrong or dropped", "throughput [1/h]", "stopped")


def _about(bench: Bench) -> str:
    model = f"model file {bench.weights[:16]}" if bench.weights else "no model"
    return (
        f"Scene {bench.spec.digest}; {model}; {bench.ticks} ticks a run; 95 % intervals over seeds. *Success* is the "
        "share of items right without those that `still` gets right under the same seed: as many are taken off both "
        "counts."
    )


def _row(name: str, rows: Sequence[Mapping[str, Any]], tallies: Mapping[str, Tally]) -> tuple[str, ...]:
    mine = tallies[name]
    decided = Tally.of(rows).decided
    bad = sum(round((row["wrong"] + row["dropped"]) * row["decided"]) for row in rows if row["decided"])
    of_expert = "" if name == "expert" else text(*mine.over(tallies["expert"]))
    halted = sum(bool(row["stopped"]) for row in rows)
    return (
        name,
        str(int(decided.sum())),
        text(*Tally.of(rows).share()),
        f"{text(*mine.share())} ({int(mine.decided.sum())})",
        of_expert,
        str(bad),
        text(*interval(np.array([row["throughput"] for row in rows], float))),
        f"{halted} of {len(rows)}" if halted else "–",
    )


def _compared(condition: str, tallies: Mapping[str, Tally]) -> tuple[list[Target], str]:
    """What is asked of `planned` under a condition, and how it compares with `cloned`, paired by seed."""
    differences = tallies["planned"].shares - tallies["cloned"].shares
    found = interval(differences)
    pairs = int(np.isfinite(differences).sum())
    line = (
        f"planned − cloned: {_points(found)} points, n = {pairs} pairs, p = {flipped(differences):.3f} (signs flipped)"
    )
    where, known = CONDITIONS[condition], np.isfinite(found[0])
    worse = Target(
        f"planned is not worse than cloned, {where}",
        f"{_points(found)} points",
        not found[2] < 0 if known and np.isfinite(found[2]) else None,
    )
    if condition != "varied":
        return [worse], line
    better = Target(
        f"planned is 10 points better than cloned, {where}",
        f"{_points(found)} points",
        found[0] >= _BETTER if known else None,
        3,
    )
    share = tallies["planned"].over(tallies["expert"])
    reached = np.isfinite(share[0])
    least = Target(
        f"planned reaches 80 % of the expert's success, {where}",
        text(*share),
        share[0] >= _LEAST if reached else None,
        5,
    )
    aim = Target(
        f"aim: planned reaches 90 % of the expert's success, {where}",
        text(*share),
        share[0] >= _AIM if reached else None,
    )
    return [worse, better, least, aim], line


def _oracle(bench: Bench, count: int, tell: Tell) -> str:
    runs = [Run("varied", "oracle", FIRST + i, single=True) for i in range(count)]
    rows = list(bench.rows(runs, "control oracle", tell).values())
    mine = Tally.of(rows).share()
    there = int(sum(row["decided"] for row in rows))
    expert = sum(row["expert_right"] for row in rows)
    return (
        f"Oracle, with variation, test seeds {FIRST}–{FIRST + count - 1}, one item each (the first that the expert "
        f"decides and that does not come right by itself), n = {there}: {text(*mine)} right; the expert: {expert} of "
        f"{there}."
    )


def _kept(left: Mapping[str, Ends], stopped: Mapping[str, Sequence[bool]]) -> list[Target]:
    """What is asked of a line that loses a sensor."""
    worst = min(left, key=lambda name: left[name][0], default="")
    known = bool(left) and all(np.isfinite(one[0]) for one in left.values())
    runs = [one for every in stopped.values() for one in every]
    deaf = [name for name, every in stopped.items() if not all(every)]
    said = f"{sum(runs)} of {len(runs)} runs" + (f"; not: {', '.join(deaf)}" if deaf else "")
    return [
        Target(
            "at most 25 % of the success is lost with any redundant sensor removed",
            f"{worst}: {text(*left[worst])} is left" if worst else "no sensor is redundant",
            all(one[0] >= _LEFT for one in left.values()) if known else None,
        ),
        Target("with a needed sensor removed it stops and says why", said, not deaf if runs else None),
    ]


def _stops(rows: Rows, gone: Mapping[tuple[str, ...], range], away: tuple[str, ...]) -> str:
    told = [bool(rows[Run("varied", "cloned", s, away)]["stopped"]) for s in gone[away]]
    return f"{sum(told)} of {len(told)}"


def _points(found: Ends) -> str:
    return text(*(100 * one for one in found))
