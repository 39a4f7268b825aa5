"""Vectors: normalised numbers; a heteroscedastic Gaussian comes out."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from twinlab.batches import Signal


@dataclass(frozen=True)
class Vector:
    """Numbers with units.

    Attributes:
        hidden: width of the encoder's hidden layer [1].
        beta: how far a sample's variance weighs its gradient, 0 plain likelihood, 1 squared error (β-NLL, Seitzer et
            al. 2022).
        lowest: floor of the predicted standard deviation, as a share of the training standard deviation [1].
    """

    spatial: ClassVar[bool] = False
    hidden: int = 64
    beta: float = 0.5
    lowest: float = 0.003

    def encoder(self, signal: Signal, width: int) -> nn.Module:
        """Normalise, then two layers."""
        layers = (nn.Linear(signal.size, self.hidden), nn.SiLU(), nn.Linear(self.hidden, width))
        return nn.Sequential(Normalise(signal), *layers)

    def decoder(self, signal: Signal, width: int) -> nn.Module:
        """To normalised means and log standard deviations (N, 2 * size)."""
        return nn.Linear(width, 2 * signal.size)

    def loss(self, signal: Signal, out: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Negative log likelihood, weighted by the variance to the power of `beta`; mean over the numbers (N,)."""
        mean, std = self.split(out)
        wanted = normalised(signal, value)
        each = 0.5 * ((wanted - mean) / std) ** 2 + std.log()
        return (each * std.detach() ** (2 * self.beta)).mean(dim=-1)

    def read(self, signal: Signal, out: torch.Tensor) -> torch.Tensor:
        """The means, in the signal's own units (N, *shape)."""
        mean, _ = self.split(out)
        return denormalised(signal, mean)

    def split(self, out: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised mean and standard deviation, each (N, size)."""
        mean, raw = out.chunk(2, dim=-1)
        return mean, nn.functional.softplus(raw) + self.lowest


class Normalise(nn.Module):
    """Raw values of a signal (N, *shape) to normalised ones (N, size)."""

    def __init__(self, signal: Signal) -> None:
        super().__init__()
        self.signal = signal

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Normalised values, in the shape that they came in."""
        return normalised(self.signal, value)


def normalised(signal: Signal, value: torch.Tensor) -> torch.Tensor:
    """Values (N, *shape) less their training mean, over their training standard deviation (N, size)."""
    flat = value.reshape(len(value), signal.size)
    return (flat - flat.new_tensor(signal.mean)) / flat.new_tensor(signal.std)


def denormalised(signal: Signal, value: torch.Tensor) -> torch.Tensor:
    """Normalised values (N, size) back in the signal's own units (N, *shape)."""
    return (value * value.new_tensor(signal.std) + value.new_tensor(signal.mean)).reshape(len(value), *signal.shape)
