"""Closed-loop runs that are kept one by one, so that a job that was killed goes on with the next one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from twinlab.cell import Cell
from twinlab.episodes import Policy, record
from twinlab.files import fingerprint, whole
from twinlab.kpi import ends_of
from twinlab.policies._needed import Guarded
from twinlab.quickstart import LEARNED, Tell
from twinlab.scene import SceneSpec
from twinlab.score import acting, pooled, run
from twinlab.workers import spread

FIRST = 60_000  # of the test seeds
Ends = tuple[float, float, float]
"""A mean, and the low and high end of its 95 % interval."""


@dataclass(frozen=True)
class Run:
    """One closed-loop run of a line.

    Attributes:
        condition: "nominal", "varied" or "faulty", see `under`.
        policy: who acts, by its name.
        seed: of the line and the policy.
        without: sensors that are taken away.
        single: whether only one item counts, see `_single`.
    """

    condition: str
    policy: str
    seed: int
    without: tuple[str, ...] = ()
    single: bool = False


@dataclass(frozen=True)
class Bench:
    """Where a line's runs are done and kept, one small JSON file each.

    Attributes:
        spec: the line, as it stands in its file.
        ticks: length of a run [1].
        model: folder or name of the model that learned policies act by.
        weights: digest of its weights, "" if there is none.
        folder: of the files.
        workers: processes.
    """

    spec: SceneSpec
    ticks: int
    model: str
    weights: str
    folder: Path
    workers: int = 1

    def rows(self, runs: Sequence[Run], stage: str, tell: Tell) -> dict[Run, dict[str, Any]]:
        """What each run gave: its KPIs, `right` and `decided` items, `apart` by what the task tells, why it `stopped`.

        Args:
            runs: what to do; what is kept is not done again.
            stage: what is told of.
            tell: called with the stage, how many runs are done, of how many.
        """
        runs = list(dict.fromkeys(runs))
        found = {one: row for one in runs if (row := _kept(self._file(one))) is not None}
        left = [one for one in runs if one not in found]
        self.folder.mkdir(parents=True, exist_ok=True)
        tell(stage, len(found), len(runs))
        jobs = [(i, under(self.spec, one), self._policies(one), one, self.ticks) for i, one in enumerate(left)]
        for index, row in spread(_done, jobs, self.workers):
            about = {**asdict(left[index]), "line": self.spec.name, "ticks": self.ticks, "weights": self.weights}
            with whole(self._file(left[index]), lasting=True) as draft:
                draft.write_text(json.dumps({"about": about, "row": row}, indent=1), encoding="utf-8")
            found[left[index]] = row
            tell(stage, len(found), len(runs))
        return {one: found[one] for one in runs}

    def _policies(self, one: Run) -> tuple[Policy, ...]:
        """Who acts; where one item counts, expert and still as well, who tell which one it is.

        A program is taught on the line without faults.
        """
        names = (one.policy, "expert", "still") if one.single else (one.policy,)
        line = under(self.spec, one)  # whoever replays plans in a twin needs the very line
        return tuple(acting(name, self.spec if name == "program" else line, self.model) for name in names)

    def _file(self, one: Run) -> Path:
        learned = {"weights": self.weights, "needed": self.spec.needed} if one.policy in LEARNED else {}
        what = {**asdict(one), "line": under(self.spec, one).digest, "ticks": self.ticks, **learned}
        return self.folder / f"{fingerprint(what, 24)}.json"


@dataclass(frozen=True, eq=False)
class Tally:
    """Items of several runs, in the order of their seeds.

    Attributes:
        right: handled rightly (seed,).
        decided: placed, missed or dropped (seed,).
    """

    right: np.ndarray
    decided: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]]) -> "Tally":
        """The items of some rows."""
        return cls(*(np.array([row[key] for row in rows], float) for key in ("right", "decided")))

    def less(self, still: "Tally") -> "Tally":
        """Without the items that come right if nobody does anything, seed by seed."""
        return Tally(*(np.maximum(mine - still.right, 0.0) for mine in (self.right, self.decided)))

    @property
    def shares(self) -> np.ndarray:
        """Share of the decided items that is right (seed,), NaN where there are none."""
        return np.divide(self.right, self.decided, out=np.full(len(self.right), np.nan), where=self.decided > 0)

    def share(self) -> Ends:
        """The same over all items, with its interval over seeds; Wilson's where all seeds are alike."""
        return pooled("correct", self.shares, self.decided)

    def over(self, other: "Tally") -> Ends:
        """The share over another one's, both over all items, by a percentile bootstrap over pairs of seeds.

        2,000 resamples with a fixed seed (Efron 1979); NaN for the ends under two seeds, for all where the other is 0.
        """
        count = len(self.right)
        draws = np.random.default_rng(0).integers(count, size=(2000, count)) if count else np.empty((1, 0), int)
        drawn = self._over(other, draws)
        (mean,) = self._over(other, np.arange(count)[None])
        known = drawn[np.isfinite(drawn)]
        if count < 2 or not len(known) or not np.isfinite(mean):
            return (float(mean) if np.isfinite(mean) else np.nan, np.nan, np.nan)
        low, high = np.quantile(known, (0.025, 0.975))
        return (float(mean), float(low), float(high))

    def _over(self, other: "Tally", draws: np.ndarray) -> np.ndarray:
        sums = [part[draws].sum(axis=1) for part in (self.right, other.decided, self.decided, other.right)]
        above, below = sums[0] * sums[1], sums[2] * sums[3]
        return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)


def under(spec: SceneSpec, one: Run) -> SceneSpec:
    """The line of a run: "nominal" does not vary, on a "faulty" one a fault is sure to come, in turn by seed.

    A fault that comes begins and ends when its table says.
    """
    return _line(spec, one.condition, one.seed % max(1, len(spec.faults)))


@lru_cache(maxsize=64)
def _line(spec: SceneSpec, condition: str, turn: int) -> SceneSpec:
    if condition == "nominal":
        return spec.vary(0)
    if condition == "faulty" and spec.faults:
        return spec.change({f"faults.{list(spec.faults)[turn]}.chance": 1.0})
    return spec


def _kept(file: Path) -> dict[str, Any] | None:
    """What a run gave that was done, or None; a file that is damaged counts as none."""
    try:
        return dict(json.loads(file.read_text(encoding="utf-8"))["row"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _done(
    index: int, spec: SceneSpec, policies: tuple[Policy, ...], one: Run, ticks: int
) -> tuple[int, dict[str, Any]]:
    policy = policies[0]
    if one.single:
        return index, _single(spec, policies, one.seed, ticks)
    _, row, _, counted = run(spec, policy, one.seed, ticks, without=one.without)
    decided = round(row["items"])
    right = round(row["correct"] * decided) if decided else 0
    stopped = policy.stopped if isinstance(policy, Guarded) else ""
    return index, {**row, "right": right, "decided": decided, "apart": counted, "stopped": stopped}


def _single(spec: SceneSpec, policies: tuple[Policy, ...], seed: int, ticks: int) -> dict[str, Any]:
    """A policy's run until one item is decided: the first that the expert decides and that `still` doesn't get right.

    It lasts a second longer than the expert takes, because a search costs seconds an action.
    """
    policy, expert, still = policies
    taught, idle = (_ends(spec, one, seed, ticks) for one in (expert, still))
    items = [item for item, (way, _) in taught.items() if idle.get(item, ("", 0.0))[0] != "correct"]
    if not items:
        return {"right": 0, "decided": 0, "expert_right": 0, "item": "", "ticks": 0, "stopped": ""}
    item = min(items, key=lambda name: taught[name][1])
    way, time = taught[item]
    length = min(ticks, int(np.ceil((time + 1.0) / spec.physics.tick)))
    right = _ends(spec, policy, seed, length).get(item, ("", 0.0))[0] == "correct"
    told = {"right": int(right), "decided": 1, "expert_right": int(way == "correct")}
    return {**told, "item": item, "ticks": length, "stopped": ""}


def _ends(spec: SceneSpec, policy: Policy, seed: int, ticks: int) -> dict[str, tuple[str, float]]:
    """Item → how it ended, and when [s]."""
    with Cell(spec, without=() if policy.sees_pictures else spec.pictures) as cell:
        record(cell, policy, ticks, seed, keep=("busy",))
        times = {event.item: event.time for event in cell.events if event.item}
        return {item: (way, times[item]) for item, way in ends_of(cell.events).items()}
