"""Planning with the world model: the cloned policy proposes, a planner looks ahead and improves."""

from dataclasses import dataclass, field

import numpy as np
import torch

from twinlab import rooms
from twinlab.language import Meaning
from twinlab.planners import Planner
from twinlab.policies.cloned import Cloned
from twinlab.readings import Readings
from twinlab.scene import SceneSpec, read_scene


@dataclass
class Planned:
    """Model-predictive control: foreseen reward and value of action sequences near what the actor proposes.

    The cost of a sequence is minus its foreseen discounted reward and the value at its end (TD-MPC, Hansen et al.
    2022), plus the disagreement of the model's heads and the distance from the proposal, because a planner finds the
    places where a model errs.

    Attributes:
        model: folder of the trained model, or the name of one that comes with twinlab.
        spec: the line.
        planner: who searches; it looks near the proposal only, where the model has seen data.
        horizon: ticks looked ahead [1].
        caution: cost of the model's doubt, per tick [1].
        trust: cost of being as far from the proposal as an actuator's limit, mean square over actuators, per tick [1].
        gamma: discount per tick.
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
    sees_truth: bool = False
    sees_pictures: bool = True

    def lineage(self) -> dict[str, str]:
        """The model's name and the digest of its weights."""
        return Cloned(self.model, self.spec).lineage()

    def reset(self, seed: int, meaning: Meaning) -> None:
        """Forget the past; the seed fixes the planner's samples."""
        self._actor = Cloned(self.model, self.spec)
        self._actor.reset(seed, meaning)
        self._rng = np.random.default_rng([seed, 2])

    @torch.no_grad()
    def __call__(self, readings: Readings) -> np.ndarray:
        """Set-points (actuator,) of this tick: the first of the best sequence."""
        actor = self._actor
        actor.perceive(readings)
        prior = self._proposal(actor.belief, actor.goal())
        low, high = np.array(actor.net.signals.low), np.array(actor.net.signals.high)
        actions = self.planner.plan(lambda plans: self._cost(plans, prior), prior, low, high, self._rng)
        actor.last = torch.tensor(actions[:1], dtype=torch.float32)
        return np.asarray(actions[0], np.float32)

    def _proposal(self, belief: torch.Tensor, goal: torch.Tensor) -> np.ndarray:
        """What the actor would do over the horizon (horizon, actuator), in imagination."""
        out = []
        for _ in range(self.horizon):
            out.append(self._actor.net.act(belief, goal))
            belief = self._actor.net.step(belief, out[-1])
        return torch.cat(out).numpy().astype(float)

    def _cost(self, actions: np.ndarray, prior: np.ndarray) -> np.ndarray:
        """What sequences (sample, horizon, actuator) cost (sample,) when the actor proposes the prior."""
        net = self._actor.net
        plan, proposal = (torch.tensor(x, dtype=torch.float32) for x in (actions, prior))
        belief = self._actor.belief.expand(len(plan), -1)
        departed = (net.scaled(plan) - net.scaled(proposal)).square().mean(dim=-1).sum(dim=-1)
        cost = self.trust * departed
        for tick, action in enumerate(plan.unbind(dim=1)):
            belief, doubt = net.forecast(belief, action)
            cost += self.caution * doubt - self.gamma**tick * net.reward(belief)
        return (cost - self.gamma**self.horizon * net.value(belief)).numpy()
