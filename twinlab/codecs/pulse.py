"""Pulses: bits; the probability of each comes out."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from twinlab.batches import Signal


@dataclass(frozen=True)
class Pulse:
    """Bits."""

    spatial: ClassVar[bool] = False

    def encoder(self, signal: Signal, width: int) -> nn.Module:
        """One linear layer on ±1."""
        return nn.Sequential(_Signs(), nn.Linear(signal.size, width))

    def decoder(self, signal: Signal, width: int) -> nn.Module:
        """To logits (N, size)."""
        return nn.Linear(width, signal.size)

    def loss(self, signal: Signal, out: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Cross entropy, mean over the bits (N,)."""
        wanted = value.reshape(out.shape).to(out.dtype)
        return nn.functional.binary_cross_entropy_with_logits(out, wanted, reduction="none").mean(dim=-1)

    def read(self, signal: Signal, out: torch.Tensor) -> torch.Tensor:
        """The probability of each bit (N, *shape)."""
        return out.sigmoid().reshape(len(out), *signal.shape)


class _Signs(nn.Module):
    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return 2.0 * value.reshape(len(value), -1).float() - 1.0
