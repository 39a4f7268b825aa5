"""What pictures and maps share: whole patches in, pictures out of features."""

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
