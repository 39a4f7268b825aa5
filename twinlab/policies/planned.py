"""Planning with the world model: the cloned policy proposes, a planner looks ahead and improves."""

from dataclasses import dataclass, field

import numpy as np
import torch

from twinlab import rooms
from twinlab.language import Meaning
from twinlab.model import WorldModel
from twinlab.planners import Planner
from twinlab.plans import imagine
from twinlab.policies._gate import Gate
from twinlab.policies._limits import Limits
from twinlab.policies._twin import Twinned
from twinlab.policies.cloned import Cloned
from twinlab.readings import Readings
from twinlab.scene import SceneSpec, read_scene


@dataclass
class Planned(Twinned):
    """Model-predictive control: foreseen reward and value of action sequences near what the actor proposes.

    The cost of a sequence is minus its foreseen discounted reward and the value at its end (TD-MPC, Hansen et al.
    2022), plus the disagreement of the model's heads and the distance from the proposal, because a planner finds the
    places where a model errs. What makes an arm stop (wrist force, joint speed, boxes to keep out of) is a hard limit,
    see `_limits`. The last plan, one tick further on, competes with the actor's.

    Attributes:
        model: folder of the trained model, or the name of one that comes with twinlab.
        spec: the line.
        planner: who searches; it looks near the proposal only, where the model has seen data.
        horizon: ticks looked ahead [1].
        caution: cost of the model's doubt, per tick [1].
        trust: cost of being as far from the proposal as an actuator's limit, mean square over actuators, per tick [1].
        gamma: discount per tick.
        gate: the largest gap between imagined and replayed vector readings at which a plan is executed [training
            standard deviations], else what the actor proposes is; 0 asks the line, whose own default is no gate. The
            replay needs a twin in the line's own state, see `_twin`, which only a simulated line has.
    """

    model: str = "sorting"
    spec: SceneSpec = field(default_factory=lambda: read_scene("sorting"))
    planner: Planner = field(
        default_factory=lambda: rooms.build("planners", "cem", samples=32, iterations=2, elites=6, spread=0.15)
    )
    horizon: int = 8
    caution: float = 0.5
    trust: float = 3.0
    gamma: float = 0.97
    gate: float = 0.0
    sees_truth: bool = False
    sees_pictures: bool = True

    @property
    def stopped(self) -> str:
        """Why the line is halted now, in words; "" while it is not."""
        return self._actor.stopped

    @property
    def refused(self) -> int:
        """How many plans the gate refused since the reset [1]."""
        return self._gate.refused

    def lineage(self) -> dict[str, str]:
        """The model's name and the digest of its weights."""
        return Cloned(self.model, self.spec).lineage()

    def reset(self, seed: int, meaning: Meaning) -> None:
        """Forget the past; the seed fixes the planner's samples."""
        self._actor = Cloned(self.model, self.spec)
        self._actor.reset(seed, meaning)
        self._limits = Limits(self.spec, self._actor.net.readings)
        self._rng = np.random.default_rng([seed, 2])
        self._last: np.ndarray | None = None
        limit = self.gate or self.spec.gate
        twin = self._twinned(self.spec if limit else None, seed)
        known = {v.name for v in twin.cell.variables} if twin is not None else set()
        self._gate = Gate(limit, tuple(v.name for v in self._actor.net.vectors if v.name in known))

    @torch.no_grad()
    def __call__(self, readings: Readings) -> np.ndarray:
        """Set-points (actuator,) of this tick: the first of the best sequence."""
        actor = self._actor
        actor.perceive(readings)
        signals = actor.net.signals
        ahead = _Ahead(self, actor.net, actor.belief, self._limits, self._proposal(actor.belief))
        again = [] if self._last is None else [np.concatenate([self._last[1:], self._last[-1:]])]
        prior = np.stack([ahead.proposal, *again])
        low, high = np.array(signals.low), np.array(signals.high)
        self._last = self.planner.plan(ahead.cost, prior, low, high, self._rng, ahead.limits, ahead.slope)
        if self._twin is not None:
            self._twin.check(readings)
            imagined = imagine(actor.net, actor.belief, self._last, self._gate.names or ())
            self._last = self._gate.chosen(self._twin, imagined, ahead.proposal)
        action = actor.done(readings, np.asarray(self._last[0], np.float32))
        if self._twin is not None:
            self._twin.step(action)
        return action

    def _proposal(self, belief: torch.Tensor) -> np.ndarray:
        """What the actor would do over the horizon (horizon, actuator), in imagination."""
        out = []
        for _ in range(self.horizon):
            out.append(self._actor.net.act(belief))
            belief = self._actor.net.step(belief, out[-1])
        return torch.cat(out).numpy().astype(float)


class _Ahead:
    """What sequences lead to from one belief: their cost and how far they break limits, from one rollout for both."""

    def __init__(
        self, policy: Planned, net: WorldModel, belief: torch.Tensor, limits: Limits, proposal: np.ndarray
    ) -> None:
        self.proposal = proposal
        self._policy, self._net, self._belief, self._limits = policy, net, belief, limits
        self._wanted = torch.tensor(proposal, dtype=torch.float32)
        self._rolled: tuple[np.ndarray, torch.Tensor] | None = None

    def cost(self, actions: np.ndarray) -> np.ndarray:
        """What sequences (sample, horizon, actuator) cost (sample,)."""
        cost, every = self._priced(torch.tensor(actions, dtype=torch.float32))
        self._rolled = (actions, every)
        return cost.numpy()

    def slope(self, actions: np.ndarray) -> np.ndarray:
        """The gradient of that cost, of the actions' shape, for planners that follow it."""
        plan = torch.tensor(actions, dtype=torch.float32, requires_grad=True)
        with torch.enable_grad():
            (found,) = torch.autograd.grad(self._priced(plan)[0].sum(), plan)
        return found.numpy()

    def limits(self, actions: np.ndarray) -> np.ndarray:
        """How far sequences lie beyond each hard limit (sample, limit)."""
        if self._rolled is None or self._rolled[0] is not actions:
            self.cost(actions)
        assert self._rolled is not None
        every = self._rolled[1]
        if not self._limits.readings:
            return np.zeros((len(actions), 0))
        told = self._net.decode(every.flatten(0, 1), self._limits.readings)
        return self._limits({name: value.unflatten(0, every.shape[:2]) for name, value in told.items()}).numpy()

    def _priced(self, plan: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs (sample,), and foreseen beliefs (sample, horizon, size)."""
        net, policy = self._net, self._policy
        departed = (net.scaled(plan) - net.scaled(self._wanted)).square().mean(dim=-1).sum(dim=-1)
        belief, beliefs, doubts = self._belief.expand(len(plan), -1), [], []
        for action in plan.unbind(dim=1):
            belief, doubt = net.forecast(belief, action)
            beliefs.append(belief)
            doubts.append(doubt)
        every = torch.stack(beliefs, dim=1)
        worth = net.reward(every.flatten(0, 1)).unflatten(0, every.shape[:2])
        fades = policy.gamma ** torch.arange(policy.horizon)
        cost = policy.trust * departed + policy.caution * torch.stack(doubts).sum(dim=0)
        return cost - worth @ fades - policy.gamma**policy.horizon * net.value(belief), every
