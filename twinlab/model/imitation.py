"""The actor is cloned last: from what the trained model believes to what the teacher wanted.

Perception takes pictures and minutes, acting a few numbers and seconds, so that the two are not learnt in one loss:
with one, the actor had 0 of 12 parts right even when it was told the truth; by itself, on the same recordings, 18 of
18 (learning by cheating, Chen et al. 2019, has the same two stages).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from torch import nn

from twinlab.batches import Signal, Track
from twinlab.codecs.vector import normalised
from twinlab.model import WorldModel, team

_TOGETHER = 128  # episodes that are followed at once at most [1]
Start = Callable[[torch.optim.Optimizer, torch.Generator], int]
Step = Callable[[int, torch.Tensor, torch.optim.Optimizer, torch.Generator], None]


@dataclass(frozen=True)
class Cloning:
    """How the actor is trained.

    Attributes:
        steps: how many [1].
        batch: ticks in a step, each process takes so many [1].
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
        known: whether the truth has a value (n,) bool, by name.
        intent: what the teacher wanted (n, actuator), -1 to 1 of the limits.
    """

    beliefs: torch.Tensor
    believed: Mapping[str, torch.Tensor]
    true: Mapping[str, torch.Tensor]
    known: Mapping[str, torch.Tensor]
    intent: torch.Tensor

    def __len__(self) -> int:
        return len(self.intent)

    def at(self, which: torch.Tensor) -> "Lessons":
        """Some of the ticks, on the device of their numbers (n,)."""

        def some(value: torch.Tensor) -> torch.Tensor:
            return value[which.to(value.device)].to(which.device)

        believed, true, known = (
            {name: some(value) for name, value in part.items()} for part in (self.believed, self.true, self.known)
        )
        return Lessons(some(self.beliefs), believed, true, known, some(self.intent))


@torch.no_grad()
def lessons(model: WorldModel, tracks: Iterable[Track], folder: Path | None = None) -> Lessons | None:
    """What the model believes at every tick of the episodes that have a teacher; None if none has one.

    Args:
        model: a trained one.
        tracks: the episodes.
        folder: where all of it is laid in files, so that it takes no memory; None is memory.
    """
    taught = sorted((t for t in tracks if "intent" in t.values), key=lambda t: t.length)
    if not taught:
        return None
    same = [list(group) for _, group in groupby(taught, key=lambda t: t.length)]
    groups = [group[i : i + _TOGETHER] for group in same for i in range(0, len(group), _TOGETHER)]
    room, told = _Room(model, sum(t.length for t in taught), folder), model.truth.names
    known = {name: model.signals[name].given for name in told}
    for group in groups:
        ticks = room.next(sum(t.length for t in group))
        truth = {name: _flat(model, group, name) for name in {*told, *filter(None, known.values())}}
        room.put(ticks, "beliefs", _beliefs(model, group))
        room.put(ticks, "intent", model.scaled(_flat(model, group, "intent")))
        for name in told:
            value = truth[name]
            room.put(ticks, f"true-{name}", as_told(model.signals[name], value))
            there = truth[known[name]].bool() if known[name] else torch.ones(len(value), dtype=torch.bool)
            room.put(ticks, f"known-{name}", there)
    for first in range(0, room.count, 2048):
        ticks = slice(first, min(first + 2048, room.count))
        for name, value in model.estimates(model.truth(room.kept["beliefs"][ticks].to(model.device))).items():
            room.put(ticks, f"believed-{name}", value)
    kept = room.kept
    parts = {part: {n: kept[f"{part}-{n}"] for n in told} for part in ("believed", "true", "known")}
    return Lessons(beliefs=kept["beliefs"], **parts, intent=kept["intent"])


class _Room:
    """Tensors of `count` ticks that are filled part by part: in memory on the model's device, or in a folder's files.

    A file's pages are the system's to give back.
    """

    def __init__(self, model: WorldModel, count: int, folder: Path | None) -> None:
        self.count, self.kept = count, dict[str, torch.Tensor]()
        self._device, self._folder, self._done = model.device, folder, 0

    def next(self, ticks: int) -> slice:
        """The next so many of them."""
        self._done += ticks
        return slice(self._done - ticks, self._done)

    def put(self, ticks: slice, name: str, value: torch.Tensor) -> None:
        if name not in self.kept:
            self.kept[name] = self._made(name, (self.count, *value.shape[1:]), value.dtype)
        self.kept[name][ticks] = value.to(self.kept[name].device)

    def _made(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        if self._folder is None:
            return torch.empty(shape, dtype=dtype, device=self._device)
        self._folder.mkdir(parents=True, exist_ok=True)
        path, size = str(self._folder / f"{name}-{team.rank()}"), int(np.prod(shape))
        return torch.from_file(path, shared=True, size=size, dtype=dtype).reshape(shape)


def clone(
    model: WorldModel,
    taught: Lessons,
    settings: Cloning,
    seed: int,
    start: Start = lambda optimizer, rng: 0,
    after: Step = lambda step, loss, optimizer, rng: None,
    accumulate: int = 1,
) -> None:
    """Train the actor in place, and it alone.

    Args:
        model: whose actor it is.
        taught: what it learns from.
        settings: how.
        seed: of the draws, the same in each process of a team.
        start: brings optimizer and generator to where training goes on, and gives that step.
        after: called after each step with how many are done and the loss.
        accumulate: batches in a step.
    """
    rng = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.actor.parameters(), lr=settings.rate, weight_decay=1e-4)
    size = settings.batch * team.count()
    for step in range(start(optimizer, rng), settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * (0.5 + 0.5 * np.cos(np.pi * step / settings.steps))
        which = torch.randint(len(taught), (size * accumulate,), generator=rng).to(model.device)
        told = torch.rand(size * accumulate, generator=rng).to(model.device) < settings.told
        optimizer.zero_grad()
        whole = torch.zeros((), device=model.device)
        for part in range(accumulate):
            rows = slice(part * size + team.rank(), (part + 1) * size, team.count())
            loss = cost(model, taught, which[rows], told[rows]).mean() / accumulate
            loss.backward()
            whole += loss.detach()
        team.average(model.actor.parameters())
        optimizer.step()
        after(step + 1, whole, optimizer, rng)


def cost(model: WorldModel, taught: Lessons, which: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
    """What the actor's answers at some ticks cost (n,), told the truth there or not (n,)."""
    now, says = taught.at(which), {}
    for name, value in now.believed.items():
        use = told & now.known[name]
        says[name] = torch.where(use.reshape(-1, *[1] * (value.dim() - 1)), now.true[name], value)
    action = model.actor(now.beliefs, says)
    return nn.functional.smooth_l1_loss(action, now.intent, reduction="none", beta=0.1).mean(dim=-1)


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


def _flat(model: WorldModel, tracks: list[Track], name: str) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([t.values[name] for t in tracks])).to(model.device)
