"""Planning over the simulator itself: the ceiling for every model, and the test of the cost."""

import copy
from dataclasses import dataclass, field

import numpy as np

from twinlab import rooms
from twinlab.cell import Cell, SavedCell
from twinlab.episodes import Policy
from twinlab.errors import CellError
from twinlab.events import Event
from twinlab.language import Meaning
from twinlab.planners import Planner
from twinlab.plans import HARD
from twinlab.policies._twin import Twinned
from twinlab.policies.expert import Expert
from twinlab.readings import Readings
from twinlab.scene import SceneSpec, read_scene


@dataclass
class Oracle(Twinned):
    """Model-predictive control with the real simulator for a model, from saved and restored states.

    It owns a twin of the line (`_twin.Twin`) that does what the line does, and says so when the line does something
    else. Every few ticks it lets the proposing policy run ahead in the twin and a planner search around that. A
    sequence is worth the discounted reward that really came while it was executed and while the expert went on after
    it: what a policy earns from there is a value that cannot flatter (rollout, Bertsekas 1997). Rewards are rare, so
    that what is not decided by then is told apart by how far a plan's end is from where the expert alone would be then.
    (Measured after the expert's ticks, that made all plans alike: it makes up for any delay, and no part was ever
    picked.) What breaks a limit of safety or runs into something (`plans.HARD`) breaks a hard limit.

    Attributes:
        spec: the line.
        proposal: name of the policy that proposes: a blind one, such as "expert" or "program".
        backed: whether the expert's own plan competes when another policy proposes; without it the planner must find
            by itself what the proposal does not do.
        planner: who searches.
        horizon: ticks planned [1].
        every: ticks after which it plans anew, at most `horizon` [1].
        tail: ticks for which the expert goes on after a plan [1].
        gamma: discount per tick.
        guide: cost of the link that is furthest from where the expert would have brought it [1/m].
    """

    spec: SceneSpec = field(default_factory=lambda: read_scene("sorting"))
    proposal: str = "expert"
    backed: bool = True
    planner: Planner = field(
        default_factory=lambda: rooms.build("planners", "icem", samples=4, iterations=2, elites=2, spread=0.15)
    )
    horizon: int = 8
    every: int = 4
    tail: int = 12
    gamma: float = 0.99
    guide: float = 1.0
    sees_truth: bool = True
    sees_pictures: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.every <= self.horizon or self.tail < 0:
            raise CellError(
                f"oracle: every came as {self.every} ticks, tail as {self.tail}; wanted every from 1 to "
                f"{self.horizon}, the horizon that is planned, and a tail of 0 or more"
            )

    def reset(self, seed: int, meaning: Meaning) -> None:
        """Build the twin anew; the seed is that of the line, and fixes the planner's samples too."""
        self._twinned(self.spec, seed)
        self._rng = np.random.default_rng([seed, 4])
        self._expert = Expert(self.spec)
        self._proposer = self._expert if self.proposal == "expert" else self._built(seed, meaning)
        self._plan, self._age = np.empty((0, len(self.spec.actuators))), 0

    def __call__(self, readings: Readings) -> np.ndarray:
        """Set-points (actuator,) of this tick.

        Raises:
            CellError: the line is not where the twin is, or there was no reset.
        """
        if self._twin is None:
            raise CellError("oracle: called before its reset; call reset(seed, meaning) with the seed of the line")
        self._twin.check(readings)
        if self._age >= min(self.every, len(self._plan)):
            self._plan, self._age = self._planned(self._twin.trial()), 0
        self._proposer(_shown(self._twin.cell, self._proposer))  # one that counts ticks counts them here
        action = np.asarray(self._plan[self._age], np.float32)
        self._age += 1
        self._twin.step(action)
        return action

    def _built(self, seed: int, meaning: Meaning) -> Policy:
        policy: Policy = rooms.build("policies", self.proposal, spec=self.spec)
        if policy.sees_pictures:
            raise CellError(
                f"oracle: the proposal {self.proposal!r} looks at pictures, which its twin leaves out; "
                f"wanted a policy that does not, such as 'program'"
            )
        policy.reset(seed, meaning)
        return policy

    def _planned(self, cell: Cell) -> np.ndarray:
        """The best sequence that was found (horizon, actuator), from where a cell stands; it stands there again."""
        low, high = (np.array([getattr(a, side) for a in self.spec.actuators]) for side in ("low", "high"))
        saved = cell.save()
        try:
            trials = Trials(cell, saved, self._expert, self.tail, self.gamma, self.guide)
            alone = trials.rolled(self._expert, self.horizon)
            prior = alone if self.proposal == "expert" else trials.rolled(copy.copy(self._proposer), self.horizon)
            trials.aim(alone)
            proposals, rest = [prior], self._plan[self._age :]
            if self.backed and prior is not alone:
                proposals.append(alone)
            if len(rest):
                proposals.append(np.concatenate([rest, prior[len(rest) :]]))
            return self.planner.plan(trials.cost, np.stack(proposals), low, high, self._rng, trials.limits)
        finally:
            cell.restore(saved)
            cell.forget(saved)


@dataclass(frozen=True)
class Came:
    """What came of a sequence.

    Attributes:
        worth: discounted reward of its ticks and of those in which the expert went on.
        broken: how many events of each kind of `plans.HARD` there were (limit,).
        poses: of all links where the expert takes over (link, 7).
    """

    worth: float
    broken: np.ndarray
    poses: np.ndarray


class Trials:
    """Sequences tried in a cell, each from the same saved moment and once only.

    Args:
        cell: where they are tried.
        saved: the moment.
        expert: goes on after each of them.
        tail: for so many ticks.
        gamma: discount per tick.
        guide: cost of the link that is furthest from where the expert would have brought it [1/m].
    """

    def __init__(self, cell: Cell, saved: SavedCell, expert: Policy, tail: int, gamma: float, guide: float) -> None:
        self._cell, self._saved, self._expert = cell, saved, expert
        self._tail, self._gamma, self._guide = tail, gamma, guide
        self._known: dict[bytes, Came] = {}
        self._wanted = cell.truth["link_pose"]

    def aim(self, actions: np.ndarray) -> None:
        """Take where a sequence (tick, actuator) ends for where to get."""
        self._wanted = self.came(actions).poses

    def rolled(self, policy: Policy, ticks: int) -> np.ndarray:
        """What a policy does in closed loop from the moment on (tick, actuator)."""
        self._cell.restore(self._saved)
        out = []
        for _ in range(ticks):
            self._cell.step(policy(_shown(self._cell, policy)))
            out.append(self._cell.action)
        return np.array(out, float)

    def cost(self, actions: np.ndarray) -> np.ndarray:
        """What sequences (sample, tick, actuator) cost (sample,)."""
        found = [self.came(one) for one in actions]
        return np.array([self._guide * _furthest(one.poses, self._wanted) - one.worth for one in found])

    def limits(self, actions: np.ndarray) -> np.ndarray:
        """How often sequences (sample, tick, actuator) break each hard limit (sample, limit), 0 where they do not."""
        return np.array([self.came(one).broken for one in actions])

    def came(self, actions: np.ndarray) -> Came:
        """What comes of one sequence (tick, actuator)."""
        key = np.asarray(actions, np.float32).tobytes()
        if key not in self._known:
            self._known[key] = self._tried(actions)
        return self._known[key]

    def _tried(self, actions: np.ndarray) -> Came:
        cell, worth = self._cell, 0.0
        cell.restore(self._saved)
        before = seen = len(cell.events)
        for tick in range(len(actions) + self._tail):
            cell.step(actions[tick] if tick < len(actions) else self._expert(_shown(cell, self._expert)))
            if tick == len(actions) - 1:
                poses = cell.truth["link_pose"]
            told = sum(map(_verdict, cell.events[seen:]))
            worth += self._gamma**tick * (float(cell.truth["reward"]) + told)
            seen = len(cell.events)
        kinds = [event.kind for event in cell.events[before:]]
        return Came(worth, np.array([kinds.count(kind) for kind in HARD], float), poses)


def _verdict(event: Event) -> float:
    """What a verdict is worth: it is final when it is given, though its item ends in a bin seconds later."""
    return 0.0 if event.kind != "inspected" else 1.0 if event.right else -1.0


def _shown(cell: Cell, policy: Policy) -> Readings:
    return {**cell.readings, **cell.truth} if policy.sees_truth else cell.readings


def _furthest(poses: np.ndarray, others: np.ndarray) -> float:
    """The largest distance between two sets of poses (link, 7), link by link [m]."""
    return float(np.linalg.norm(poses[:, :3] - others[:, :3], axis=1).max(initial=0.0))
