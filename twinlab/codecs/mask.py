"""Masks: which pixels of a picture something is true of, such as that a defect shows there.

What is told pixel by pixel teaches a network from few examples where to look: some dozens of defects were enough for
what labels of whole pictures did not teach (Tabernik et al. 2020).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from twinlab.batches import Signal
from twinlab.codecs._pictures import Broadcast, check_patches

_RARE = 10.0  # a pixel that is marked costs as much as so many that are not [1]


@dataclass(frozen=True)
class Mask:
    """Marks of pixels, bool (N, rows, columns).

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
        return nn.Sequential(_Channels(), nn.Conv2d(1, width, self.patch, self.patch))

    def decoder(self, signal: Signal, width: int) -> nn.Module:
        """To logits (N, 1, rows, columns)."""
        check_patches(signal, self.patch)
        rows, columns = signal.shape
        return Broadcast(width, self.hidden, 1, (rows // self.patch, columns // self.patch), self.patch)

    def loss(self, signal: Signal, out: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Cross entropy, with more weight where a pixel is marked, which few are (N,)."""
        rare = out.new_tensor(_RARE)
        cost = nn.functional.binary_cross_entropy_with_logits(
            out[:, 0], value.float(), reduction="none", pos_weight=rare
        )
        return cost.mean(dim=(1, 2))

    def read(self, signal: Signal, out: torch.Tensor) -> torch.Tensor:
        """Probabilities (N, rows, columns)."""
        odds = out[:, 0].sigmoid()
        return odds / (odds + _RARE * (1 - odds))


class _Channels(nn.Module):
    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return value[:, None].float() - 0.5
