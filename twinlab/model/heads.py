"""What a belief says about the truth, the readings to come and what to do."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from twinlab.batches import OUTCOMES, Signal, Signals


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

    Args:
        sought: the truths, in the belief's order.
        vectors: how many numbers all vector readings have [1].
        latent: size of the belief's first part [1].
        hidden: width of layers [1].

    Attributes:
        names: of the truths.
    """

    def __init__(self, sought: Sequence[Signal], vectors: int, latent: int, hidden: int) -> None:
        super().__init__()
        self.names, self.sizes = tuple(s.name for s in sought), [s.numbers for s in sought]
        self.start, self.end = latent, latent + sum(self.sizes)
        size, narrow = self.end + vectors, hidden // 4
        told = [s for s in sought if s.kind == "vector"]
        self.trunk = nn.ModuleDict({s.name: nn.Sequential(nn.Linear(size, narrow), nn.SiLU()) for s in told})
        self.doubts = nn.ModuleDict({s.name: nn.Linear(size + narrow, s.size) for s in told})

    def forward(self, belief: torch.Tensor) -> dict[str, torch.Tensor]:
        """What each truth's codec takes (N, …), from beliefs (N, size).

        It stands in the belief; only how wrong the numbers of vectors may be is worked out, and does not train the
        belief.
        """
        parts = belief[:, self.start : self.end].split(self.sizes, dim=-1)
        out, told = dict(zip(self.names, parts, strict=True)), belief.detach()
        for name, layer in self.doubts.items():
            doubt = layer(torch.cat([told, self.trunk[name](told)], dim=-1))
            out[name] = torch.cat([out[name], doubt], dim=-1)
        return out


class Actor(nn.Module):
    """What to do: an action from a belief and what the heads say.

    It is told the differences between what is estimated and where the robot is, coarse and fine, because what to do
    next hangs on them (the last millimetres decide when to grip). It is not told the latent: a clone that may look at
    everything learns to follow its own habits (causal confusion, de Haan et al. 2019). Nor is it told what will come.
    """

    SCALES = (1.0, 5.0, 25.0)

    def __init__(self, signals: Signals, latent: int, hidden: int) -> None:
        super().__init__()
        self.truth = tuple(s for s in signals.of("truth") if s.name not in ("reward", *OUTCOMES))
        self.latent = latent
        vectors = signals.of("reading", "vector")
        told = [s for s in self.truth if s.kind == "vector"]
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
            estimates: by name, normalised vectors (N, size) and probabilities of the others.
        """
        parts = [belief[:, self.latent :]]
        for s in self.truth:
            value = estimates[s.name].reshape(len(belief), -1)
            parts.append(value)
            if s.kind == "vector":
                off = self.offsets[s.name](value, belief[:, self.latent :])
                parts += [torch.tanh(scale * off) for scale in self.SCALES]
        return self.layers(torch.cat(parts, dim=-1))
