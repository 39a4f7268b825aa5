"""A belief moves on with each action and is corrected by each percept.

A belief is one vector of three parts: a latent one; what is sought, an estimate of every truth that a line must
perceive (normalised numbers of vectors, logits of classes and bits); and a normalised estimate of all vector readings.
The last part starts every prediction at what was measured last, so that a model which has learnt nothing yet says
"nothing changes". The latent part is brought to mean 0 and variance 1, as the percept's embedding is: it was trained
over fractions of a second, and without this it wandered off within seconds (a target's place was 300 mm off after half
a minute, 29 mm with it). What is sought has numbers of its own because a place does not keep its millimetres in a
latent of unit variance, and because what a part is must outlast the seconds in which the gripper hides it: told from
the latent, its class changed on the way to the bin.
"""

from collections.abc import Sequence

import torch
from torch import nn

from twinlab.batches import Signal
from twinlab.model.geometry import Mounting
from twinlab.model.perception import Percept

_SPREAD = ("mean", "std")


class Dynamics(nn.Module):
    """The prior: where a belief goes under an action.

    A linear part carries the vector readings (fitted in closed form before training, see `start_linear`) and what is
    sought; a residual network with several heads on one trunk adds the rest. How far these heads differ is the model's
    own doubt (bootstrap ensembles: Osband et al. 2016; PETS: Chua et al. 2018). The change of each vector reading goes
    through a gate, a sigmoid stretched and clipped so that it can be all shut (hard concrete: Louizos et al. 2018):
    what stands still, such as fingers that hold, is told to stand still, and not almost.

    Args:
        latent, sought, vectors, actions: sizes of the belief's three parts and of an action.
        hidden: width of the trunk.
        members: number of heads.
    """

    def __init__(self, latent: int, sought: int, vectors: int, actions: int, hidden: int, members: int) -> None:
        super().__init__()
        self.parts, self.members = (latent, sought, vectors), members
        self.size = sum(self.parts)
        self.linear = nn.Linear(vectors + actions, vectors)
        self.drift = nn.Linear(sought + vectors + actions, sought) if sought else None
        self.trunk = nn.Sequential(
            nn.Linear(self.size + actions, hidden),
            nn.LayerNorm(hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.LayerNorm(hidden),
            nn.SiLU(),
        )
        self.heads = nn.Linear(hidden, members * self.size)
        self.gate = nn.Linear(hidden, vectors)
        with torch.no_grad():
            for layer, share in ((self.heads, 0.1), (self.gate, 0.1), (self.linear, 0.0), (self.drift, 0.0)):
                if layer is not None:
                    layer.weight.mul_(share)
                    layer.bias.zero_()
            self.gate.bias.fill_(2.0)  # almost open: 0.96
            self.heads.weight.unflatten(0, (members, self.size))[:, latent:] = 0  # start at the linear part

    def forward(self, belief: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Each head's next belief (N, member, size) from a belief (N, size) and a scaled action (N, actuator)."""
        trunk = self.trunk(torch.cat([belief, action], dim=-1))
        moved = self.heads(trunk).unflatten(-1, (self.members, self.size))
        latent, sought, change = moved.split(self.parts, dim=-1)
        before = belief[:, None].split(self.parts, dim=-1)
        plain = torch.cat([belief[:, self.parts[0] :], action], dim=-1)
        if self.drift is not None:
            sought = sought + self.drift(plain)[:, None]
        change = change + self.linear(plain[:, self.parts[1] :])[:, None]
        gate = (1.2 * torch.sigmoid(self.gate(trunk)) - 0.1).clamp(0, 1)[:, None]
        latent = nn.functional.layer_norm(before[0] + latent, (self.parts[0],))
        return torch.cat([latent, before[1] + sought, before[2] + gate * change], dim=-1)

    @torch.no_grad()
    def start_linear(self, weight: torch.Tensor) -> None:
        """Set the linear part to weights (vector + action + 1, vector) that were fitted to one tick's change."""
        self.linear.weight.copy_(weight[:-1].T)
        self.linear.bias.copy_(weight[-1])


class Sighting(nn.Module):
    """What is sought, corrected: places from where cameras look, from readings that tell places, or as believed.

    A place is the weighted mean of all that may stand for it, with weights by what is perceived, and a small shift. So
    it is as sharp as the depth that was measured, follows the tool when the camera sees nothing, and where an item
    belongs is one of the places that the goal names (a pointer network, Vinyals et al. 2015). Numbers without a
    place are inferred from the latent and mixed in by a learned gain.

    Args:
        truths: the truths, in the belief's order.
        vectors: the vector readings, in the belief's order.
        measured: depth picture of each view, None for a view without.
        places: heads of each view.
        width: of what the weights are told.
        hidden: of the layers between.
    """

    spots: torch.Tensor
    marks: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor
    tool_mean: torch.Tensor
    tool_std: torch.Tensor

    def __init__(
        self,
        truths: Sequence[Signal],
        vectors: Sequence[Signal],
        measured: Sequence[Signal | None],
        places: int,
        width: int,
        hidden: int,
    ) -> None:
        super().__init__()
        self.size, self.places = sum(s.numbers for s in truths), places
        mounts = [None if s is None else Mounting(s, vectors) for s in measured]
        self.which = [i for i, mount in enumerate(mounts) if mount is not None and mount.known]
        self.mounts = nn.ModuleList(mount for mount in mounts if mount is not None and mount.known)
        self.register_buffer("spots", torch.tensor(spots(truths), dtype=torch.long).reshape(-1, 3), persistent=False)
        self.tools = spots(vectors)
        kinds = [s.kind for s in truths for _ in range(s.numbers)]
        marks = [i for i, kind in enumerate(kinds) if kind != "vector"]
        self.register_buffer("marks", torch.tensor(marks, dtype=torch.long), persistent=False)
        spreads = [[x for s in truths for x in _told(s, key)] for key in _SPREAD]
        means, stds = (torch.tensor(spread) for spread in spreads)
        self.register_buffer("mean", means[self.spots], persistent=False)
        self.register_buffer("std", stds[self.spots], persistent=False)
        told = [torch.tensor([x for v in vectors for x in _told(v, key)]) for key in _SPREAD]
        self.register_buffer("tool_mean", told[0], persistent=False)
        self.register_buffer("tool_std", told[1], persistent=False)
        count, ways = len(self.spots), 2 + len(self.tools) + places * len(self.mounts)
        if self.size:
            self.infer = nn.Sequential(nn.Linear(width, hidden), nn.SiLU(), nn.Linear(hidden, self.size))
            self.gain = nn.Sequential(nn.Linear(2 * width, hidden), nn.SiLU(), nn.Linear(hidden, self.size))
        if count:
            sees = 2 * width + len(marks)
            self.gate = nn.Sequential(nn.Linear(sees, hidden), nn.SiLU(), nn.Linear(hidden, count * (ways + 3)))

    def forward(
        self, sought: torch.Tensor, latent: torch.Tensor, readings: torch.Tensor, percept: Percept
    ) -> torch.Tensor:
        """What is sought (N, size), from what was foreseen of it, the corrected latent and normalised readings."""
        if not self.size:
            return sought
        told = torch.cat([latent, percept.fused], dim=-1)
        inferred = self.infer(latent)
        mixed = sought + torch.sigmoid(self.gain(told)) * (inferred - sought)
        if not len(self.spots):
            return mixed
        told = torch.cat([told, torch.tanh(mixed[:, self.marks] / 2)], dim=-1)
        logits, shift = self.gate(told).unflatten(-1, (len(self.spots), -1)).tensor_split([-3], dim=-1)
        ways, there = self._ways(readings, percept)
        own = torch.stack([sought[:, self.spots], inferred[:, self.spots]], dim=2)
        every = torch.cat([own, (ways[:, None] - self.mean[:, None]) / self.std[:, None]], dim=2)
        weights = logits.masked_fill(~there[:, None], -1e4).softmax(dim=-1)
        place = (weights[..., None] * every).sum(dim=2) + weights[..., 2:].sum(dim=-1, keepdim=True) * 0.1 * shift
        return mixed.index_copy(1, self.spots.flatten(), place.flatten(1))

    def _ways(self, readings: torch.Tensor, percept: Percept) -> tuple[torch.Tensor, torch.Tensor]:
        """Tools and points in the world (N, way, 3) [m]; what may be chosen (N, 2 + way) bool."""
        metres = readings * self.tool_std + self.tool_mean
        found = [metres[:, list(tool)][:, None] for tool in self.tools]
        there = [percept.any.new_ones(len(readings), 2 + len(self.tools))]
        for i, mount in zip(self.which, self.mounts, strict=True):
            found.append(mount(percept.points[:, i], readings))
            there.append(percept.sure[:, i : i + 1].expand(-1, self.places))
        blank = metres.new_zeros(len(readings), 0, 3)
        return torch.cat([blank, *found], dim=1), torch.cat(there, dim=1)


def spots(signals: Sequence[Signal]) -> list[tuple[int, int, int]]:
    """The numbers of each place in space that signals tell, among those of all.

    A place is three labels x, y, z in metres; a signal tells several if these follow names, such as "bin x".
    """
    out, at = [], 0
    for s in signals:
        of = {label.removesuffix("x") for label, unit in s.axes if unit == "m" and f" {label}".endswith(" x")}
        for name in sorted(of, key=lambda n: s.axes.index((f"{n}x", "m"))):
            if {(f"{name}{axis}", "m") for axis in "yz"} <= set(s.axes):
                x, y, z = (at + s.axes.index((f"{name}{axis}", "m")) for axis in "xyz")
                out.append((x, y, z))
        at += s.numbers
    return out


def _told(signal: Signal, key: str) -> tuple[float, ...]:
    """Mean or standard deviation of a signal's numbers in a belief."""
    return getattr(signal, key) if signal.kind == "vector" else (0.0,) * signal.numbers


class Correction(nn.Module):
    """The posterior: a foreseen belief drawn towards what was perceived, by a learned gain for each number.

    With nothing perceived the gain is 0. Vector readings that came replace their estimate; the others are inferred.
    It is the update of a Kalman filter with the gain learned (KalmanNet, Revach et al. 2022).

    Args:
        latent, vectors: sizes of the belief's first and last part.
        hidden: width of its layers.
        sighting: what corrects the part between.
    """

    def __init__(self, latent: int, vectors: int, hidden: int, sighting: Sighting) -> None:
        super().__init__()
        self.parts, self.sighting = (latent, sighting.size, vectors), sighting
        self.gain = nn.Sequential(nn.Linear(2 * latent, hidden), nn.SiLU(), nn.Linear(hidden, latent + vectors))
        self.infer = nn.Sequential(nn.Linear(latent, hidden), nn.SiLU(), nn.Linear(hidden, vectors))

    def forward(self, belief: torch.Tensor, percept: Percept) -> torch.Tensor:
        """The corrected belief (N, size)."""
        latent, sought, vectors = belief.split(self.parts, dim=-1)
        there = percept.any[:, None]
        gain = torch.sigmoid(self.gain(torch.cat([latent, percept.fused], dim=-1))) * there
        latent = latent + gain[:, : self.parts[0]] * (percept.fused - latent)
        inferred = vectors + gain[:, self.parts[0] :] * (self.infer(latent) - vectors)
        latent = torch.where(there, nn.functional.layer_norm(latent, (self.parts[0],)), latent)
        vectors = torch.where(percept.known, percept.vectors, inferred)
        seen = self.sighting(sought, latent, vectors, percept)
        return torch.cat([latent, torch.where(there, seen, sought), vectors], dim=-1)
