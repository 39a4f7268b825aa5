"""The actor is cloned last: from what the trained model believes to what the teacher wanted.

Perception takes pictures and minutes, acting a few numbers and seconds, so that the two are not learnt in one loss:
with one, the actor had 0 of 12 parts right even when it was told the truth; by itself, on the same recordings, 18 of
18 (learning by cheating, Chen et al. 2019, has the same two stages).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from torch import nn

from twinlab.batches import Signal, Track
from twinlab.codecs.vector import normalised
from twinlab.model import WorldModel


@dataclass(frozen=True)
class Cloning:
    """How the actor is trained.

    Attributes:
        steps: how many [1].
        batch: ticks in a step [1].
        rate: highest learning rate of AdamW; it falls as a cosine [1].
        told: share of ticks at which the actor is told the truth instead of what is believed [1].
    """

    steps: int = 4000
    batch: int = 512
    rate: float = 2e-3
    told: float = 0.25


@dataclass(frozen=True, eq=False)
class Lessons:
    """Ticks at which a teacher said what to do; n of them.

    Attributes:
        beliefs: (n, size).
        believed, true: what the model believes and what is the case, as the actor is told it (n, …), by name.
        goal: where the item belonged (n, …), normalised, that of another tick where none did; None without goals.
        known: whether the truth has a value (n,) bool, by name.
        intent: what the teacher wanted (n, actuator), -1 to 1 of the limits.
    """

    beliefs: torch.Tensor
    believed: Mapping[str, torch.Tensor]
    true: Mapping[str, torch.Tensor]
    known: Mapping[str, torch.Tensor]
    goal: torch.Tensor | None
    intent: torch.Tensor

    def __len__(self) -> int:
        return len(self.intent)


@torch.no_grad()
def lessons(model: WorldModel, tracks: Iterable[Track]) -> Lessons | None:
    """What the model believes at every tick of the episodes that have a teacher; None if none has one."""
    taught = sorted((t for t in tracks if "intent" in t.values), key=lambda t: t.length)
    if not taught:
        return None
    groups = [list(group) for _, group in groupby(taught, key=lambda t: t.length)]
    beliefs = torch.cat([_beliefs(model, group) for group in groups])
    truth = {n: torch.cat([_flat(model, group, n) for group in groups]) for n in model.truth.decoders}
    believed = [model.estimates(model.truth(part)) for part in beliefs.split(2048)]
    s = model.actor.goal
    always = torch.ones(len(beliefs), dtype=torch.bool, device=model.device)
    given = {name: model.signals[name].given for name in truth}
    return Lessons(
        beliefs=beliefs,
        believed={name: torch.cat([part[name] for part in believed]) for name in truth},
        true={name: as_told(model.signals[name], value) for name, value in truth.items()},
        known={name: truth[given[name]].bool() if given[name] else always for name in truth},
        goal=None if s is None else torch.cat([_goal(model, group, s) for group in groups]),
        intent=model.scaled(torch.cat([_flat(model, group, "intent") for group in groups])),
    )


def clone(model: WorldModel, taught: Lessons, settings: Cloning, seed: int) -> None:
    """Train the actor in place, and it alone."""
    rng = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.actor.parameters(), lr=settings.rate, weight_decay=1e-4)
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * (0.5 + 0.5 * np.cos(np.pi * step / settings.steps))
        which = torch.randint(len(taught), (settings.batch,), generator=rng).to(model.device)
        share = torch.rand(settings.batch, generator=rng).to(model.device)
        loss = cost(model, taught, which, share < settings.told).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def cost(model: WorldModel, taught: Lessons, which: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
    """What the actor's answers at some ticks cost (n,), told the truth there or not (n,)."""
    says = {}
    for name, value in taught.believed.items():
        use = told & taught.known[name][which]
        says[name] = torch.where(use.reshape(-1, *[1] * (value.dim() - 1)), taught.true[name][which], value[which])
    if taught.goal is not None:
        says["goal"] = taught.goal[which]
    action = model.actor(taught.beliefs[which], says)
    return nn.functional.smooth_l1_loss(action, taught.intent[which], reduction="none", beta=0.1).mean(dim=-1)


def as_told(signal: Signal, value: torch.Tensor) -> torch.Tensor:
    """Truth in the form in which the model's estimates come."""
    if signal.kind == "vector":
        return normalised(signal, value)
    if signal.kind == "label":
        return nn.functional.one_hot(value, len(signal.labels)).float()
    return value.float()


def _beliefs(model: WorldModel, tracks: list[Track]) -> torch.Tensor:
    """Beliefs along episodes of the same length, one episode after the other (n, size)."""
    belief, out = model.initial(len(tracks)), []
    seen = {name for view in model.perception.views for name in view.names}
    names = [n for n in model.readings if n not in seen] if "found" in tracks[0].values else list(model.readings)
    for tick in range(tracks[0].length):
        if tick:
            action = np.stack([t.values["action"][tick - 1] for t in tracks])
            belief = model.step(belief, torch.from_numpy(action).to(model.device))
        read = {name: _now(model, tracks, name, tick) for name in names}
        found = _now(model, tracks, "found", tick) if "found" in tracks[0].values else None
        belief = model.update(belief, model.encode(read, found=found))
        out.append(belief)
    return torch.stack(out, dim=1).flatten(0, 1)


def _now(model: WorldModel, tracks: list[Track], name: str, tick: int) -> torch.Tensor:
    return torch.from_numpy(np.stack([t.values[name][tick] for t in tracks])).to(model.device)


def _goal(model: WorldModel, tracks: list[Track], s: Signal) -> torch.Tensor:
    """The goals along episodes; a policy is told one even while nothing is there, so any of them stands in then."""
    value = normalised(s, _flat(model, tracks, s.name))
    known = _flat(model, tracks, s.given).bool() if s.given else torch.ones(len(value), dtype=torch.bool)
    some = known.nonzero()[:, 0]
    if not len(some):
        return value
    rng = torch.Generator().manual_seed(0)
    others = some[torch.randint(len(some), (len(value),), generator=rng).to(some.device)]
    return torch.where(known[:, None].to(value.device), value, value[others])


def _flat(model: WorldModel, tracks: list[Track], name: str) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([t.values[name] for t in tracks])).to(model.device)
