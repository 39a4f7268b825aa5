"""`WorldModel`: readings become a belief, actions move it on, and it tells readings, truth and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from twinlab import rooms
from twinlab.batches import KNOWN, Signals
from twinlab.codecs.vector import denormalised
from twinlab.errors import ModelError, did_you_mean
from twinlab.model import calibration, checkpoint, surprise
from twinlab.model.belief import Correction, Dynamics, Sighting
from twinlab.model.heads import Actor, Truth
from twinlab.model.perception import Percept, Perception

Values = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Size:
    """How big a model is.

    Attributes:
        latent: of the belief's latent part, of tokens and of the embedding [1].
        hidden: of dynamics, correction and heads [1].
        channels: of the maps of each camera [1].
        places: where each camera looks at a time [1].
        members: heads of the dynamics, whose disagreement is the model's doubt [1].
    """

    latent: int = 192
    hidden: int = 256
    channels: int = 48
    places: int = 6
    members: int = 4


class WorldModel(nn.Module):
    """A multimodal world model: a predict-correct filter with heads.

    Everything follows from the signals' kinds and roles; any reading may be missing at any time. Values go in and come
    out in their own units. A belief is a tensor (N, size); N counts samples, T ticks, H ticks ahead.

    Args:
        signals: what there is, with its normalisation.
        size: how big the model is.

    Attributes:
        card: what is told of the model: heading → table; training fills it.
        calibration: how its doubt is scaled to intervals; None where no validation episode was there.
        usual: what `surprise.Watch` compares with; likewise.

    Raises:
        ModelError: the signals cannot be modelled.
    """

    low: torch.Tensor
    high: torch.Tensor
    worth_scale: torch.Tensor

    def __init__(self, signals: Signals, size: Size = Size()) -> None:
        super().__init__()
        self.signals, self.size = signals, size
        self.card: dict[str, Any] = {}
        self.calibration: calibration.Calibration | None = None
        self.usual: surprise.Usual | None = None
        self.readings = {s.name: s for s in signals.of("reading")}
        self.vectors = signals.of("reading", "vector")
        believed = perceived(signals)
        self.sought = believed.of("truth")
        numbers, wanted = (sum(s.numbers for s in part) for part in (self.vectors, self.sought))
        self.latent, self.read_at = size.latent, size.latent + wanted
        self.start = nn.Parameter(torch.zeros(size.latent))
        self.perception = Perception(signals, size.channels, size.places, size.latent)
        self.dynamics = Dynamics(size.latent, wanted, numbers, len(signals.actuators), size.hidden, size.members)
        measured = [signals[view.measured] if view.measured else None for view in self.perception.views]
        sighting = Sighting(self.sought, self.vectors, measured, size.places, size.latent, size.hidden)
        self.correction = Correction(size.latent, numbers, size.hidden, sighting)
        self.truth = Truth(self.sought, numbers, size.latent, size.hidden)
        self.actor = Actor(believed, self.read_at, size.hidden)
        whole = self.read_at + numbers
        self.codecs = {s.name: rooms.build("codecs", s.kind) for s in signals.all}
        decoded = [s for s in self.readings.values() if s.kind != "vector"]
        self.decoders = nn.ModuleDict({s.name: self.codecs[s.name].decoder(s, whole) for s in decoded})
        self.worth = nn.Sequential(nn.Linear(whole, size.hidden), nn.SiLU(), nn.Linear(size.hidden, 2))
        low, high = torch.tensor(signals.low), torch.tensor(signals.high)
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("high", high, persistent=False)
        self.register_buffer("worth_scale", torch.ones(2))

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.start.device

    def initial(self, batch: int = 1) -> torch.Tensor:
        """The belief before anything was perceived (batch, size): all vector readings at their training mean."""
        return nn.functional.pad(self.start, (0, self.dynamics.size - self.latent)).expand(batch, -1)

    def take(self, readings: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
        """One tick's readings as `encode` wants them (1, …); what the model doesn't know is left out."""
        known = {name: torch.from_numpy(np.asarray(v)[None]) for name, v in readings.items() if name in self.readings}
        return {name: value.to(self.device) for name, value in known.items()}

    def encode(self, readings: Values, present: Values | None = None, found: torch.Tensor | None = None) -> Percept:
        """What readings tell.

        Args:
            readings: name → raw values (N, …); any may be left out.
            present: name → whether each sample has it (N,) bool; all have it where this says nothing.
            found: what `look` found in the pictures (N, view, feature); these are not looked at again then.

        Raises:
            ModelError: a name is unknown, a shape is wrong, or nothing came at all.
        """
        count = self._count(readings)
        given = present or {}
        seen = {n for view in self.perception.views for n in view.names} if found is not None else set()
        always = torch.ones(count, dtype=torch.bool, device=self.device)
        here = {name: given.get(name, always) for name in {**readings, **dict.fromkeys(seen)}}
        return self.perception(readings, here, count, found)

    @torch.no_grad()
    def marked(self, readings: Values) -> dict[str, torch.Tensor]:
        """Which pixels each mask of the truth marks, by name: probabilities (N, rows, columns), from pictures alone.

        Args:
            readings: name → raw pictures (N, …); masks of cameras of which none came are left out.

        Raises:
            ModelError: a name is unknown, a shape is wrong, or nothing came at all.
        """
        count = self._count(readings)
        here = dict.fromkeys(readings, torch.ones(count, dtype=torch.bool, device=self.device))
        looks = self.perception.attend(readings, here, count)[1]
        outs = {name: out for look in looks.values() for name, out in look.masks.items()}
        return {name: self.codecs[name].read(self.signals[name], out) for name, out in outs.items()}

    @torch.no_grad()
    def look(self, readings: Values, chunk: int = 64) -> torch.Tensor:
        """What the views find in the pictures of many samples (N, view, feature); nothing can be learnt through it.

        Args:
            readings: name → raw pictures (N, …).
            chunk: samples at a time, which bounds the memory that it takes.
        """
        parts = []
        for first in range(0, self._count(readings), chunk):
            part = {name: value[first : first + chunk].to(self.device) for name, value in readings.items()}
            count = len(next(iter(part.values())))
            here = dict.fromkeys(part, torch.ones(count, dtype=torch.bool, device=self.device))
            parts.append(self.perception.look(part, here, count))
        return torch.cat(parts)

    def step(self, belief: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """The foreseen belief (N, size) one tick after an action (N, actuator) in the actuators' units."""
        return self.dynamics(belief, self.scaled(action)).mean(dim=1)

    def update(self, belief: torch.Tensor, readings: Values | Percept) -> torch.Tensor:
        """A foreseen belief corrected by what was read (N, size); unchanged where nothing was."""
        return self.correction(belief, readings if isinstance(readings, Percept) else self.encode(readings))

    def observe(self, readings: Values, actions: torch.Tensor, present: Values | None = None) -> torch.Tensor:
        """Beliefs after each of T ticks (N, T, size).

        Args:
            readings: name → raw values (N, T, …).
            actions: what was done at each tick (N, T, actuator); the last one is not needed and may be left out.
            present: name → whether it is there (N, T) bool.
        """
        count, ticks = actions.shape[0], next(iter(readings.values())).shape[1]
        flat = {name: value.flatten(0, 1) for name, value in readings.items()}
        here = None if present is None else {name: value.flatten(0, 1) for name, value in present.items()}
        return self.follow(self.encode(flat, here).unflatten((count, ticks)), actions)

    def follow(self, percepts: Percept, actions: torch.Tensor, start: torch.Tensor | None = None) -> torch.Tensor:
        """Beliefs after each of T ticks (N, T, size).

        Args:
            percepts: of the ticks (N, T).
            actions: what was done at each (N, T, actuator).
            start: what was foreseen for the first of them (N, size); None is that nothing is known.
        """
        count, ticks = percepts.any.shape
        belief, out = self.initial(count) if start is None else start, []
        for t in range(ticks):
            belief = self.step(belief, actions[:, t - 1]) if t else belief
            belief = self.update(belief, percepts.at((slice(None), t)))
            out.append(belief)
        return torch.stack(out, dim=1)

    def rollout(self, belief: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Foreseen beliefs (N, H, size) under actions (N, H, actuator), from a belief (N, size)."""
        out = []
        for action in actions.unbind(dim=1):
            belief = self.step(belief, action)
            out.append(belief)
        return torch.stack(out, dim=1)

    def forecast(self, belief: torch.Tensor, action: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The foreseen belief (N, size), as `step` gives it, and how far the dynamics' heads differ about it (N,)."""
        members = self.dynamics(belief, self.scaled(action))
        mean = members.mean(dim=1)
        return mean, (members - mean[:, None]).abs().mean(dim=(1, 2))

    def decode(self, belief: torch.Tensor, names: tuple[str, ...] = ()) -> dict[str, torch.Tensor]:
        """Readings (N, …) that a belief (N, size) stands for, in their own units; pulses as probabilities.

        Args:
            belief: (N, size).
            names: which; all if empty. Pictures take most of the time.
        """
        parts = belief[:, self.read_at :].split([v.size for v in self.vectors], dim=-1)
        out = {v.name: denormalised(v, part) for v, part in zip(self.vectors, parts, strict=True)}
        for name, decoder in self.decoders.items():
            if not names or name in names:
                out[name] = self.codecs[name].read(self.readings[name], decoder(belief))
        return {name: value for name, value in out.items() if not names or name in names}

    def heads(self, belief: torch.Tensor) -> dict[str, torch.Tensor]:
        """Truth as believed, by name: vectors in their own units (N, …), probabilities of pulses and labels."""
        return {n: self.codecs[n].read(self.signals[n], out) for n, out in self.truth(belief).items()}

    def spread(self, belief: torch.Tensor) -> dict[str, torch.Tensor]:
        """The standard deviation of each truth vector's belief (N, …), in its own units."""
        outs = self.truth(belief)
        vectors = [s for s in self.signals.of("truth", "vector") if s.name in outs]
        stds = {s.name: self.codecs[s.name].split(outs[s.name])[1] for s in vectors}
        return {s.name: (stds[s.name] * belief.new_tensor(s.std)).reshape(-1, *s.shape) for s in vectors}

    def intervals(
        self, belief: torch.Tensor, level: float = 0.9, ahead: float = 0.0
    ) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Low and high ends of the intervals that hold each truth vector and vector reading as often as `level` says.

        See `calibration` for what that promises. A truth that had no value in validation is left out.

        Args:
            belief: (N, size), as it is believed now or foreseen.
            level: the share of truth that the intervals of one number hold, up to 0.98.
            ahead: how far ahead the belief was foreseen [s], 0 where it was just corrected; up to 2 s.

        Returns:
            name → ends, each (N, …), in its own units. A reading that was just read has no width.

        Raises:
            ModelError: the model was not calibrated, or level or time are beyond what was.
        """
        return calibration.intervals(self, belief, level, ahead)

    def reward(self, belief: torch.Tensor) -> torch.Tensor:
        """The reward expected at a belief's tick (N,)."""
        return self.worth(belief)[:, 0] * self.worth_scale[0]

    def value(self, belief: torch.Tensor) -> torch.Tensor:
        """The discounted reward expected after a belief's tick, if its policy goes on (N,)."""
        return self.worth(belief)[:, 1] * self.worth_scale[1]

    def act(self, belief: torch.Tensor, told: Values | None = None) -> torch.Tensor:
        """What the teacher would do (N, actuator), from beliefs (N, size), within the actuators' limits.

        Args:
            belief: what is believed.
            told: what the actor is told of the truth, in the form of `estimates`; None is what is believed of it.
        """
        says = self.estimates(self.truth(belief)) if told is None else told
        action = self.actor(belief, says).clamp(-1, 1)
        return (action + 1) / 2 * (self.high - self.low) + self.low

    def estimates(self, outs: Values) -> dict[str, torch.Tensor]:
        """What the actor is told of the truth: normalised means of vectors (N, size), probabilities of all others."""
        out = {}
        for name, value in outs.items():
            s, codec = self.signals[name], self.codecs[name]
            out[name] = codec.split(value)[0] if s.kind == "vector" else codec.read(s, value)
        return out

    def scaled(self, action: torch.Tensor) -> torch.Tensor:
        """Actions as -1 to 1 of their limits."""
        return (action - self.low) / (self.high - self.low) * 2 - 1

    def save(self, folder: str | Path, card: Mapping[str, object] | None = None) -> Path:
        """Write `model.safetensors`, `config.json` and `card.md` into a folder, and give it.

        Args:
            folder: made if it is not there.
            card: more tables for the card.
        """
        return checkpoint.save(self, folder, self.card | dict(card or {}))

    @classmethod
    def load(cls, folder: str | Path) -> "WorldModel":
        """The model that `save` wrote into a folder, or that comes with twinlab under a name; ready for use.

        Raises:
            ModelError: a file is missing, truncated or not one of ours.
        """
        return checkpoint.load(cls, Size, folder)

    def _count(self, readings: Values) -> int:
        if not readings:
            raise ModelError("no readings came; give at least one, with `present` False where it is missing")
        counts = {len(value) for value in readings.values()}
        for name, value in readings.items():
            if name not in self.readings:
                known = sorted(self.readings)
                raise ModelError(
                    f"readings: {name!r} is unknown to the model; it knows {known}.{did_you_mean(name, known)}"
                )
            wanted = self.readings[name].shape
            if tuple(value.shape[1:]) != wanted or len(counts) > 1:
                raise ModelError(f"readings: {name!r} came as {tuple(value.shape)}, wanted ({max(counts)}, *{wanted})")
        return counts.pop()


def perceived(signals: Signals) -> Signals:
    """The signals without the reward, which has a head of its own, what only tells whether another is known, and masks.

    Masks are told by the views and are no part of a belief.
    """
    apart = ("reward", KNOWN)
    kept = (s for s in signals.all if s.role != "truth" or (s.name not in apart and s.kind != "mask"))
    return replace(signals, all=tuple(kept))
