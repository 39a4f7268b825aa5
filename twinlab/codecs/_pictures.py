"""What pictures and maps share: whole patches in, pictures out of features."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from twinlab.batches import Signal
from twinlab.errors import ModelError


class Broadcast(nn.Module):
    """Pictures out of features: the same features at every place of a grid, told where they are.

    Source: spatial broadcast decoder (Watters et al. 2019), with Fourier features of the place.

    Args:
        width: of the features.
        hidden: of the layers between.
        channels: of the picture.
        grid: rows and columns of patches.
        patch: edge of a patch [pixel].
    """

    def __init__(self, width: int, hidden: int, channels: int, grid: tuple[int, int], patch: int) -> None:
        super().__init__()
        self.features = nn.Linear(width, 2 * hidden)
        self.place = nn.Parameter(_fourier(grid, hidden))
        self.layers = nn.Sequential(
            nn.Conv2d(hidden, hidden, 1),
            nn.SiLU(),
            nn.Conv2d(hidden, hidden, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(hidden, channels * patch * patch, 1),
            nn.PixelShuffle(patch),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        scale, shift = self.features(features)[:, :, None, None].chunk(2, dim=1)
        return self.layers(torch.nn.functional.silu(self.place * (1 + scale) + shift))


@dataclass(frozen=True)
class Patched(ABC):
    """What codecs of pictures share: patches through one convolution in, pictures of the same size out.

    Attributes:
        patch: edge of a patch; rows and columns must be multiples [pixel].
        hidden: width of the decoder [1].
    """

    spatial: ClassVar[bool] = True
    patch: int = 4
    hidden: int = 48

    def encoder(self, signal: Signal, width: int) -> nn.Module:
        """To a map (N, width, rows / patch, columns / patch).

        Raises:
            ModelError: the pictures are not of whole patches, or not of what the kind wants.
        """
        check_patches(signal, self.patch)
        channels, count = self._channels(signal)
        return nn.Sequential(channels, nn.Conv2d(count, width, self.patch, self.patch))

    def decoder(self, signal: Signal, width: int) -> nn.Module:
        """To pictures (N, channel, rows, columns); `loss` and `read` say what the channels are.

        Raises:
            ModelError: the pictures are not of whole patches, or not of what the kind wants.
        """
        check_patches(signal, self.patch)
        rows, columns = (edge // self.patch for edge in signal.shape[:2])
        return Broadcast(width, self.hidden, self._told(signal), (rows, columns), self.patch)

    @abstractmethod
    def _channels(self, signal: Signal) -> tuple[nn.Module, int]:
        """What makes channels of pixels of raw values, and how many."""

    @abstractmethod
    def _told(self, signal: Signal) -> int:
        """How many channels the decoder tells [1]."""


def check_patches(signal: Signal, patch: int) -> None:
    """Raise unless a picture is made of whole patches.

    Raises:
        ModelError: it is not.
    """
    if len(signal.shape) < 2 or any(edge % patch for edge in signal.shape[:2]):
        raise ModelError(
            f"{signal.kind} {signal.name!r} has shape {signal.shape}; wanted rows and columns in multiples of {patch}"
        )


def _fourier(grid: tuple[int, int], width: int) -> torch.Tensor:
    rows, columns = (torch.linspace(0, 1, n) for n in grid)
    waves = 2.0 ** torch.arange(width // 4 + 1).remainder(5) * torch.pi / 2
    phase = torch.arange(len(waves)).div(5, rounding_mode="floor") * torch.pi / 4
    both = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[:, None] * waves[:, None, None]
    both = (both + phase[:, None, None]).flatten(0, 1)
    return torch.cat([both.sin(), both.cos()])[:width]
