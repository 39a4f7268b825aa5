"""A belief moves on with each action and is corrected by each percept.

A belief is one vector: a latent part, then an estimate of all normalised vector readings. The second part starts
every prediction at what was measured last, so that a model which has learnt nothing yet says "nothing changes". The
latent part is brought to mean 0 and variance 1, as the percept's embedding is: it was trained over fractions of a
second, and without this it wandered off within seconds (a target's place was 300 mm off after half a minute, 29 mm with
it).
"""

import torch
from torch import nn

from twinlab.model.perception import Percept


class Dynamics(nn.Module):
    """The prior: where a belief goes under an action.

    A linear part carries the vector readings (fitted in closed form before training, see `start_linear`); a residual
    network with several heads on one trunk adds the rest. How far these heads differ is the model's own doubt
    (bootstrap ensembles: Osband et al. 2016; PETS: Chua et al. 2018).

    Args:
        latent, vectors, actions: sizes of the belief's two parts and of an action.
        hidden: width of the trunk.
        members: number of heads.
    """

    def __init__(self, latent: int, vectors: int, actions: int, hidden: int, members: int) -> None:
        super().__init__()
        self.latent, self.members, self.size = latent, members, latent + vectors
        self.linear = nn.Linear(vectors + actions, vectors)
        self.trunk = nn.Sequential(
            nn.Linear(self.size + actions, hidden),
            nn.LayerNorm(hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.LayerNorm(hidden),
            nn.SiLU(),
        )
        self.heads = nn.Linear(hidden, members * self.size)
        with torch.no_grad():
            for layer, share in ((self.heads, 0.1), (self.linear, 0.0)):
                layer.weight.mul_(share)
                layer.bias.zero_()
            self.heads.weight.unflatten(0, (members, self.size))[:, latent:] = 0  # start at the linear part

    def forward(self, belief: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Each head's next belief (N, member, size) from a belief (N, size) and a scaled action (N, actuator)."""
        moved = self.heads(self.trunk(torch.cat([belief, action], dim=-1))).unflatten(-1, (self.members, self.size))
        latent, vectors = (belief[:, None] + moved).split([self.latent, self.size - self.latent], dim=-1)
        drift = self.linear(torch.cat([belief[:, self.latent :], action], dim=-1))
        return torch.cat([nn.functional.layer_norm(latent, (self.latent,)), vectors + drift[:, None]], dim=-1)

    @torch.no_grad()
    def start_linear(self, weight: torch.Tensor) -> None:
        """Set the linear part to weights (vector + action + 1, vector) that were fitted to one tick's change."""
        self.linear.weight.copy_(weight[:-1].T)
        self.linear.bias.copy_(weight[-1])


class Correction(nn.Module):
    """The posterior: a foreseen belief drawn towards what was perceived, by a learned gain for each number.

    With nothing perceived the gain is 0. Vector readings that came replace their estimate; the others are inferred.
    It is the update of a Kalman filter with the gain learned (KalmanNet, Revach et al. 2022).

    Args:
        latent, vectors: sizes of the belief's two parts.
        hidden: width of its layers.
    """

    def __init__(self, latent: int, vectors: int, hidden: int) -> None:
        super().__init__()
        self.latent, self.vectors = latent, vectors
        self.gain = nn.Sequential(nn.Linear(2 * latent, hidden), nn.SiLU(), nn.Linear(hidden, latent + vectors))
        self.infer = nn.Sequential(nn.Linear(latent, hidden), nn.SiLU(), nn.Linear(hidden, vectors))

    def forward(self, belief: torch.Tensor, percept: Percept) -> torch.Tensor:
        """The corrected belief (N, size)."""
        latent, vectors = belief.split([self.latent, self.vectors], dim=-1)
        gain = torch.sigmoid(self.gain(torch.cat([latent, percept.fused], dim=-1))) * percept.any[:, None]
        latent = latent + gain[:, : self.latent] * (percept.fused - latent)
        inferred = vectors + gain[:, self.latent :] * (self.infer(latent) - vectors)
        latent = torch.where(percept.any[:, None], nn.functional.layer_norm(latent, (self.latent,)), latent)
        return torch.cat([latent, torch.where(percept.known, percept.vectors, inferred)], dim=-1)
