"""What a belief says about the truth, the readings to come and what to do."""

from collections.abc import Mapping

import torch
from torch import nn

from twinlab import rooms
from twinlab.batches import Signal, Signals


def anchors(signal: Signal, vectors: tuple[Signal, ...]) -> tuple[tuple[int, int], ...]:
    """Pairs of (number of the signal, number among all vector readings) that share label and unit.

    So the x [m] of a part is tied to the x [m] of the tool, without knowing either name.
    """
    every = [axis for v in vectors for axis in v.axes]
    return tuple((i, every.index(axis)) for i, axis in enumerate(signal.axes) if axis != ("", "") and axis in every)


class Offsets(nn.Module):
    """A signal less the vector readings that share its labels and units.

    Args:
        signal: a truth vector.
        vectors: the vector readings, in the belief's order.
    """

    own: torch.Tensor
    other: torch.Tensor
    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, signal: Signal, vectors: tuple[Signal, ...]) -> None:
        super().__init__()
        pairs = anchors(signal, vectors)
        means, stds = ([x for v in vectors for x in getattr(v, key)] for key in ("mean", "std"))
        self.count = len(pairs)
        self.register_buffer("own", torch.tensor([i for i, _ in pairs], dtype=torch.long), persistent=False)
        self.register_buffer("other", torch.tensor([j for _, j in pairs], dtype=torch.long), persistent=False)
        spread = [signal.std[i] for i, _ in pairs]
        scale = [stds[j] / s for (_, j), s in zip(pairs, spread, strict=True)]
        shift = [(means[j] - signal.mean[i]) / s for (i, j), s in zip(pairs, spread, strict=True)]
        self.register_buffer("scale", torch.tensor(scale), persistent=False)
        self.register_buffer("shift", torch.tensor(shift), persistent=False)

    def forward(self, value: torch.Tensor, readings: torch.Tensor) -> torch.Tensor:
        """The difference (N, pair), normalised as the signal is, from normalised values (N, size)."""
        return value[:, self.own] - (readings[:, self.other] * self.scale + self.shift)


class Truth(nn.Module):
    """One head for each truth that a twin knows and a line must perceive.

    Truth trains heads and never enters the encoder (privileged learning: Vapnik and Vashist 2009; asymmetric training:
    Pinto et al. 2018).
    """

    def __init__(self, signals: Signals, latent: int, hidden: int) -> None:
        super().__init__()
        sought = signals.of("truth", "vector")
        self.names, self.sizes, self.start = [s.name for s in sought], [s.size for s in sought], latent
        self.end = latent + sum(self.sizes)
        size = self.end + sum(v.size for v in signals.of("reading", "vector"))
        self.trunk = nn.ModuleDict()
        self.decoders = nn.ModuleDict()
        narrow = hidden // 4
        for s in signals.of("truth"):
            self.trunk[s.name] = nn.Sequential(nn.Linear(size, narrow), nn.SiLU())
            codec, width = rooms.build("codecs", s.kind), size + narrow
            self.decoders[s.name] = nn.Linear(width, s.size) if s in sought else codec.decoder(s, width)

    def forward(self, belief: torch.Tensor) -> dict[str, torch.Tensor]:
        """What each truth's codec takes (N, …), from beliefs (N, size).

        Means of vectors stand in the belief; only how wrong they may be is worked out, and does not train the belief.
        """
        out = {}
        means = dict(zip(self.names, belief[:, self.start : self.end].split(self.sizes, dim=-1), strict=True))
        for name, decoder in self.decoders.items():
            told = belief.detach() if name in means else belief
            answer = decoder(torch.cat([told, self.trunk[name](told)], dim=-1))
            out[name] = torch.cat([means[name], answer], dim=-1) if name in means else answer
        return out


class Actor(nn.Module):
    """What to do: an action from a belief, what the heads say and where the goal is.

    It is told the differences between what is estimated and where the robot is, coarse and fine, because what to do
    next hangs on them (the last millimetres decide when to grip). It is not told the latent: a clone that may look at
    everything learns to follow its own habits (causal confusion, de Haan et al. 2019).
    """

    SCALES = (1.0, 5.0, 25.0)

    def __init__(self, signals: Signals, latent: int, hidden: int) -> None:
        super().__init__()
        self.truth = tuple(s for s in signals.of("truth") if s.name not in ("reward", "goal"))
        self.goal = next((s for s in signals.of("truth", "vector") if s.name == "goal"), None)
        self.latent = latent
        vectors = signals.of("reading", "vector")
        told = [s for s in (*self.truth, *([self.goal] if self.goal else ())) if s.kind == "vector"]
        offsets = {s.name: Offsets(s, vectors) for s in told}
        self.offsets = nn.ModuleDict(offsets)
        size = sum(v.size for v in vectors) + sum(s.size for s in told)
        size += sum(len(s.labels) if s.kind == "label" else s.size for s in self.truth if s.kind != "vector")
        size += len(self.SCALES) * sum(o.count for o in offsets.values())
        self.layers = nn.Sequential(
            nn.Linear(size, hidden),
            nn.LayerNorm(hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, len(signals.actuators)),
        )

    def forward(self, belief: torch.Tensor, estimates: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Scaled action (N, actuator), about -1 to 1.

        Args:
            belief: (N, size).
            estimates: by name, normalised vectors (N, size), the goal among them, and probabilities of the others.
        """
        parts = [belief[:, self.latent :]]
        for s in (*self.truth, *([self.goal] if self.goal else ())):
            value = estimates[s.name].reshape(len(belief), -1)
            parts.append(value)
            if s.kind == "vector":
                off = self.offsets[s.name](value, belief[:, self.latent :])
                parts += [torch.tanh(scale * off) for scale in self.SCALES]
        return self.layers(torch.cat(parts, dim=-1))
