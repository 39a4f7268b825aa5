"""Depth: metres and whether anything was seen come out; where the seen points are goes in too.

A pixel at u, v with depth z stands for a point at (u z, v z, z), up to the focal length. These three as channels let a
network read positions in space off a pixel (as point clouds do: Frustum PointNets, Qi et al. 2018).
"""

from dataclasses import dataclass

import torch
from torch import nn

from twinlab.batches import Signal
from twinlab.codecs._pictures import Patched


@dataclass(frozen=True)
class Depth(Patched):
    """Distances along the optical axis [m] (N, rows, columns), +inf where nothing is."""

    def _channels(self, signal: Signal) -> tuple[nn.Module, int]:
        return _Channels(signal), 4

    def _told(self, signal: Signal) -> int:
        """Normalised depth and logits of validity."""
        return 2

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
    """Normalised depth, validity and the points' u z and v z in units of the mean depth (N, 4, rows, columns)."""

    rays: torch.Tensor

    def __init__(self, signal: Signal) -> None:
        super().__init__()
        self.signal = signal
        rows, columns = (torch.linspace(-1, 1, edge) for edge in signal.shape)
        rays = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
        self.register_buffer("rays", rays, persistent=False)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        depth, valid = _parts(self.signal, value)
        metres = valid * (depth * self.signal.std[0] / self.signal.mean[0] + 1)
        channels = torch.stack([depth, valid, metres * self.rays[0], metres * self.rays[1]], dim=-1)
        return channels.permute(0, 3, 1, 2)  # channels-last memory
