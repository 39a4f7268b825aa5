"""Tactile maps: what pads feel, cell by cell, goes in and comes out.

A touch is felt in a few cells and spans two decades there, from what a film shows at all (2.7 kPa) to where it
saturates (345 kPa). Symmetric logarithms (symlog of DreamerV3, Hafner et al. 2023) of what is felt, in units of a light
touch, keep those apart and let no hard one rule.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from twinlab.batches import Signal
from twinlab.codecs._pictures import Broadcast
from twinlab.errors import ModelError


@dataclass(frozen=True)
class Tactile:
    """Maps (N, pad, row, column) of a pressure or a force, of any sign; axes before the last two count as pads.

    Attributes:
        channels: of the maps between [1].
        grid: rows and columns at most to which features are pooled before the token [1].
    """

    spatial: ClassVar[bool] = False
    channels: int = 24
    grid: int = 8

    def encoder(self, signal: Signal, width: int) -> nn.Module:
        """Two convolutions, with the pads as channels because their cells lie opposite each other, and a linear layer.

        Raises:
            ModelError: the maps have no rows and columns.
        """
        pads, rows, columns = _sizes(signal)
        grid = min(rows, self.grid), min(columns, self.grid)
        return nn.Sequential(
            _Maps(signal),
            nn.Conv2d(pads, self.channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(self.channels, self.channels, 3, padding=1),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(grid),
            nn.Flatten(),
            nn.Linear(self.channels * grid[0] * grid[1], width),
        )

    def decoder(self, signal: Signal, width: int) -> nn.Module:
        """To symlogs of what is felt (N, pad, row, column)."""
        pads, rows, columns = _sizes(signal)
        return Broadcast(width, self.channels, pads, (rows, columns), 1)

    def loss(self, signal: Signal, out: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Squared error of the symlogs, mean over the cells; those that tell nothing cost nothing (N,)."""
        wanted, valid = _parts(signal, value)
        return (valid * (out - wanted) ** 2).mean(dim=(1, 2, 3))

    def read(self, signal: Signal, out: torch.Tensor) -> torch.Tensor:
        """What is felt, in the signal's own units (N, *shape)."""
        felt = out.sign() * out.abs().expm1() * signal.std[0]
        return felt.reshape(len(out), *signal.shape)


def _sizes(signal: Signal) -> tuple[int, int, int]:
    """Pads, rows and columns."""
    if len(signal.shape) < 2:
        raise ModelError(
            f"tactile {signal.name!r} has shape {signal.shape}; wanted (pad, row, column), or (row, column)"
        )
    rows, columns = signal.shape[-2:]
    return signal.size // (rows * columns), rows, columns


def _parts(signal: Signal, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Symlogs, 0 where a cell tells nothing, and whether it does, both (N, pad, row, column)."""
    felt = value.reshape(len(value), *_sizes(signal)).float() / signal.std[0]
    valid = torch.isfinite(felt)
    felt = torch.where(valid, felt, 0)
    return felt.sign() * felt.abs().log1p(), valid


class _Maps(nn.Module):
    def __init__(self, signal: Signal) -> None:
        super().__init__()
        self.signal = signal

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        felt, _ = _parts(self.signal, value)
        return felt
