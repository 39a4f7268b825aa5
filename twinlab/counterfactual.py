"""Counterfactual data: what else would have come of the same moments, failures included.

A model that saw one way of acting only believes what goes with it: that a part follows the hand, since it always did
(causal confusion, de Haan et al. 2019). A planner finds such beliefs and acts on them. The twin can go back: an episode
is run again up to a moment, and from there several futures are recorded, each under other actions.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from twinlab.bodies import Body
from twinlab.cell import Cell
from twinlab.episodes import Episode, Policy, lineage, policy_name, record
from twinlab.errors import CellError, StoreError
from twinlab.files import fingerprint
from twinlab.language import Meaning
from twinlab.readings import Readings
from twinlab.scene import SceneSpec
from twinlab.store import EpisodeStore
from twinlab.workers import spread

_NEAR = 0.75  # share of the moments that lie before a switch; the others lie anywhere [1]
_BEFORE = 1.0  # how long before it at most [s]


@dataclass(frozen=True)
class Way:
    """How to go on from a moment: what the episode did there, in part, disturbed, or another policy.

    Attributes:
        name: becomes the attribute `way` of the branch.
        share: of the episode's own set-points; 0 stands still, -1 goes back [1].
        noise: disturbance added to it, see `episodes.record`; with a share of 0 actions are random and smooth [1].
        hands: set-point of all hands instead, as a share of their limit: 1 lets go, -1 grips; None as in the episode.
        policy: who acts instead of all this, from a reset on, with the noise; None for nobody.
    """

    name: str
    share: float = 1.0
    noise: float = 0.0
    hands: float | None = None
    policy: Policy | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.share) and np.isfinite(self.noise) and self.noise >= 0):
            raise CellError(
                f"way {self.name!r}: share came as {self.share} and noise as {self.noise}; wanted finite ones, the "
                "noise 0 or more"
            )
        if self.hands is not None and not -1 <= self.hands <= 1:
            raise CellError(f"way {self.name!r}: hands came as {self.hands}; wanted -1 (grip) to 1 (let go)")

    def told(self) -> list[Any]:
        """What it is, as far as JSON can say."""
        who = None if self.policy is None else [policy_name(self.policy), lineage(self.policy)]
        return [self.name, self.share, self.noise, self.hands, who]

    def actor(self, cell: Cell, actions: np.ndarray) -> Policy:
        """Who acts, given what the episode did from the moment on (time, actuator)."""
        if self.policy is not None:
            return self.policy
        actions = self.share * actions
        if self.hands is not None:
            holding = {name for name, body in cell.spec.bodies.items() if type(body).holds is not Body.holds}
            which = [i for i, actuator in enumerate(cell.actuators) if actuator.name in holding]
            actions[:, which] = self.hands * np.array([cell.actuators[i].high for i in which])
        return _Given(actions.astype(np.float32))


WAYS = (
    Way("disturbed", noise=0.15),
    Way("wandering", share=0.0, noise=0.4),
    Way("still", share=0.0),
    Way("letting go", hands=1.0),
    Way("going back", share=-1.0),
)
"""What every line can try."""


def moments(episode: xr.Dataset, count: int, ahead: int) -> tuple[int, ...]:
    """Ticks from which other futures tell most: three of four within a second before something switches.

    Switches are events and changes of what the truth marks or names (in hand or not, which step is due). Moments are
    evenly spaced along the sum of a share that is the same at all ticks and one for each switch to come.

    Args:
        episode: with its events and truth, as far as these were kept.
        count: how many, at least 1.
        ahead: ticks that must follow on each, so that there is something to be compared with.

    Returns:
        At most `count` ticks, in order, none of them the first.

    Raises:
        CellError: the episode is too short, or there are to be none.
    """
    length = episode.sizes["time"]
    if count < 1 or ahead < 1 or length <= ahead + 1:
        raise CellError(
            f"moments came as {count}, ahead as {ahead} ticks, of an episode with {length}; wanted 1 or more of each, "
            "and an episode that is longer than both a tick and what is ahead"
        )
    ticks = np.arange(1, length - ahead)
    near = round(_BEFORE / float(episode.attrs["tick"]))
    mass = np.zeros(length)
    for switch in _switches(episode):
        mass[max(0, switch - near) : switch] += 1
    part = mass[ticks]
    even = np.full(len(ticks), 1 / len(ticks))
    every = even if part.sum() == 0 else (1 - _NEAR) * even + _NEAR * part / part.sum()
    wanted = (np.arange(count) + 0.5) / count
    found = np.searchsorted(np.cumsum(every), wanted)
    return tuple(int(tick) for tick in ticks[np.unique(np.minimum(found, len(ticks) - 1))])


def branches(
    cell: Cell,
    episode: xr.Dataset,
    ways: Sequence[Way] = WAYS,
    count: int = 6,
    ticks: int = 60,
    teacher: Policy | None = None,
    only: Collection[int] | None = None,
) -> Iterator[Episode]:
    """Other futures of an episode: from each of its `moments` one in each way.

    Args:
        cell: the line; it is reset to the episode's seed and run through what the episode did.
        episode: with `action`, its events and truth; of this line, and recorded from a reset on.
        ways: how to go on.
        count: moments.
        ticks: length of each branch.
        teacher: whose set-points are kept as `intent`, see `episodes.record`.
        only: numbers of the branches that are wanted; None for all.

    Yields:
        Episodes as `record` gives them, with the attributes `branch` (its number, from 1), `branched_at` [s], `way`,
        and the episode's `seed`; its policy's and noise's seed follows from seed and number. `off` tells how far
        positions are from those of the episode at the moment [m], NaN if it did not keep them: 0 if it came out again,
        as it does on the same machine unless someone wrote tags or triggered faults. Branches of one moment begin in
        the same state whatever that is. Saved moments are forgotten once their branches are done.

    Raises:
        StoreError: the episode is of another line or no whole one.
        CellError: see `moments` and `record`.
    """
    _check(cell, episode)
    seed, actions = int(episode.attrs["seed"]), episode["action"].values
    at = moments(episode, count, ticks)
    cell.reset(seed)
    for tick in range(at[-1] + 1):
        if tick in at:
            first = at.index(tick) * len(ways) + 1
            wanted = [(n, way) for n, way in enumerate(ways, first) if only is None or n in only]
            saved, off = cell.save(), _off(cell, episode, tick)
            for number, way in wanted:
                actor = way.actor(cell, actions[tick : tick + ticks])
                own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
                found = record(cell, actor, ticks, own, way.noise, teacher=teacher, start=saved)
                yield found.assign_attrs(branch=number, way=way.name, off=off)
            cell.restore(saved)
            cell.forget(saved)
        cell.step(actions[tick])


def counterfactuals(
    path: str | Path,
    spec: SceneSpec,
    seeds: Iterable[int],
    ways: Sequence[Way] = WAYS,
    count: int = 6,
    ticks: int = 60,
    teacher: Policy | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    cluster: Any = None,
) -> EpisodeStore:
    """Add the branches of a store's episodes to it, as far as they are not there yet.

    Args:
        path: the store's folder.
        spec: the line.
        seeds: whose episodes are branched: all whole ones of this line with one of these seeds.
        ways, count, ticks, teacher: see `branches`.
        workers: processes, each with a cell of its own.
        progress: called with how many episodes are done, of how many.
        cluster: see `collect.collect`.

    Returns:
        The store. Each branch has, beside the attributes of `branches`, `trunk`, the digest of the episode that it
        leaves, and `recipe`, the digest of ways, count, ticks and teacher.

    Raises:
        StoreError: a seed has no episode of this line in the store; or see `branches`.
    """
    store, wanted = EpisodeStore(path), set(seeds)
    recipe = _recipe(ways, count, ticks, teacher)
    whole = [i for i in store.select(wanted, scene_digest=spec.digest) if not _branched(store.attrs()[i])]
    lacking = wanted - {store.attrs()[i]["seed"] for i in whole}
    if lacking:
        raise StoreError(
            f"{str(path)!r} has no episode of {spec.name!r} with seed {sorted(lacking)}; collect it first, or give "
            "seeds that it has"
        )
    told = store.attrs()
    there = {(found.get("trunk"), found.get("branch")) for found in told if found.get("recipe") == recipe}
    jobs = []
    for index in whole:
        trunk = store.digest(index)
        every = range(1, len(moments(store[index], count, ticks)) * len(ways) + 1)
        if missing := [n for n in every if (trunk, n) not in there]:
            plan = (tuple(ways), count, ticks, teacher, frozenset(missing))
            jobs.append((str(store.path.absolute()), spec, index, plan, {"trunk": trunk, "recipe": recipe}))
    for done, _ in enumerate(spread(_one, jobs, workers, cluster), 1):
        if progress is not None:
            progress(done, len(jobs))
    return store


class _Given:
    """Set-points that are there already, one tick after the other; the last ones for ever."""

    sees_truth = False
    sees_pictures = False

    def __init__(self, actions: np.ndarray) -> None:
        self._actions, self._tick = actions, 0

    def reset(self, seed: int, meaning: Meaning) -> None:
        """Begin with the first."""
        self._tick = 0

    def __call__(self, readings: Readings) -> np.ndarray:
        """Set-points (actuator,) of this tick."""
        now = self._actions[min(self._tick, len(self._actions) - 1)]
        self._tick += 1
        return np.asarray(now)


def _one(path: str, spec: SceneSpec, index: int, plan: tuple[Any, ...], told: dict[str, str]) -> None:
    store = EpisodeStore(path)
    with Cell(spec) as cell:
        for branch in branches(cell, store[index], *plan):
            store.append(branch.assign_attrs(told))


def _recipe(ways: Sequence[Way], count: int, ticks: int, teacher: Policy | None) -> str:
    """The digest of how branches are made."""
    who = None if teacher is None else [policy_name(teacher), lineage(teacher)]
    return fingerprint([[way.told() for way in ways], count, ticks, who])


def _branched(attrs: dict[str, Any]) -> bool:
    """Whether an episode does not begin at a reset."""
    return "branched_at" in attrs


def _check(cell: Cell, episode: xr.Dataset) -> None:
    told = episode.attrs
    if told.get("scene_digest") != cell.spec.digest:
        raise StoreError(
            f"the episode is of scene {told.get('scene')!r} with digest {told.get('scene_digest')!r}, the cell of "
            f"{cell.spec.name!r} with {cell.spec.digest!r}; give a cell of the episode's line"
        )
    if _branched(told) or "action" not in episode:
        raise StoreError("the episode has no `action` or is a branch itself; give one that was recorded from a reset")


def _off(cell: Cell, episode: xr.Dataset, tick: int) -> float:
    """How far the farthest link is from where the episode says that it was at a tick [m]."""
    if "link_pose" not in episode:
        return float("nan")
    away = episode["link_pose"][tick].values[:, :3] - cell.truth["link_pose"][:, :3]
    return float(np.linalg.norm(away, axis=1).max())


def _switches(episode: xr.Dataset) -> Iterator[int]:
    """The ticks at which something switches."""
    tick, began = float(episode.attrs["tick"]), float(episode["time"].values[0])
    if "event_time" in episode:
        yield from (round((float(time) - began) / tick) for time in episode["event_time"].values)
    for variable in episode.data_vars.values():
        told = variable.attrs
        if told.get("role") == "truth" and told.get("kind") in ("pulse", "label") and variable.dims[:1] == ("time",):
            values = variable.values.reshape(episode.sizes["time"], -1)
            yield from (np.flatnonzero((values[1:] != values[:-1]).any(axis=1)) + 1).tolist()
