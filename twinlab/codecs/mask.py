"""Masks: which pixels of a picture something is true of, such as that a defect shows there.

What is told pixel by pixel teaches a network from few examples where to look: some dozens of defects were enough for
what labels of whole pictures did not teach (Tabernik et al. 2020).
"""

from dataclasses import dataclass

import torch
from torch import nn

from twinlab.batches import Signal
from twinlab.codecs._pictures import Patched

_RARE = 10.0  # a pixel that is marked costs as much as so many that are not [1]


@dataclass(frozen=True)
class Mask(Patched):
    """Marks of pixels, bool (N, rows, columns)."""

    def _channels(self, signal: Signal) -> tuple[nn.Module, int]:
        return _Channels(), 1

    def _told(self, signal: Signal) -> int:
        """Logits."""
        return 1

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
