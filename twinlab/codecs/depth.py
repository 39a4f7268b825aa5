"""Depth: metres and whether anything was seen, two channels in; both come out."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from twinlab.batches import Signal
from twinlab.codecs._pictures import Broadcast, check_patches


@dataclass(frozen=True)
class Depth:
    """Distances along the optical axis [m] (N, rows, columns), +inf where nothing is.

    Attributes:
        patch: edge of a patch; rows and columns must be multiples [pixel].
        hidden: width of the decoder [1].
    """

    spatial: ClassVar[bool] = True
    patch: int = 4
    hidden: int = 48

    def encoder(self, signal: Signal, width: int) -> nn.Module:
        """To a map (N, width, rows / patch, columns / patch)."""
        check_patches(signal, self.patch)
        return nn.Sequential(_Channels(signal), nn.Conv2d(2, width, self.patch, self.patch))

    def decoder(self, signal: Signal, width: int) -> nn.Module:
        """To normalised depth and logits of validity (N, 2, rows, columns)."""
        rows, columns = signal.shape
        return Broadcast(width, self.hidden, 2, (rows // self.patch, columns // self.patch), self.patch)

    def loss(self, signal: Signal, out: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Squared error where anything was seen, and the cross entropy of that (N,)."""
        wanted, valid = _parts(signal, value)
        seen = nn.functional.binary_cross_entropy_with_logits(out[:, 1], valid, reduction="none")
        return (valid * (out[:, 0] - wanted) ** 2 + seen).mean(dim=(1, 2))

    def read(self, signal: Signal, out: torch.Tensor) -> torch.Tensor:
        """Depth [m] (N, rows, columns), +inf where it is more likely that nothing is."""
        metres = out[:, 0] * signal.std[0] + signal.mean[0]
        return torch.where(out[:, 1] > 0, metres, torch.inf)


def _parts(signal: Signal, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised depth, 0 where nothing is, and validity, both float (N, rows, columns)."""
    valid = torch.isfinite(value)
    metres = torch.where(valid, value, 0).float()
    return torch.where(valid, (metres - signal.mean[0]) / signal.std[0], 0), valid.float()


class _Channels(nn.Module):
    def __init__(self, signal: Signal) -> None:
        super().__init__()
        self.signal = signal

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        both = torch.stack(_parts(self.signal, value), dim=-1)
        return both.permute(0, 3, 1, 2)  # channels-last memory
