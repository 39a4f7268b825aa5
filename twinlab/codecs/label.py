"""Labels: one of several classes; the probability of each comes out."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from twinlab.batches import Signal
from twinlab.errors import ModelError


@dataclass(frozen=True)
class Label:
    """One number that counts through the classes of the signal's `labels`."""

    spatial: ClassVar[bool] = False

    def encoder(self, signal: Signal, width: int) -> nn.Module:
        """One learned token a class."""
        return nn.Embedding(_classes(signal), width)

    def decoder(self, signal: Signal, width: int) -> nn.Module:
        """To logits (N, class)."""
        return nn.Linear(width, _classes(signal))

    def loss(self, signal: Signal, out: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Cross entropy (N,)."""
        return nn.functional.cross_entropy(out, value, reduction="none")

    def read(self, signal: Signal, out: torch.Tensor) -> torch.Tensor:
        """The probability of each class (N, class)."""
        return out.softmax(dim=-1)


def _classes(signal: Signal) -> int:
    if signal.shape or not signal.labels:
        raise ModelError(
            f"label {signal.name!r} came with shape {signal.shape} and labels {signal.labels}; "
            f"wanted one number a tick and the names of its classes"
        )
    return len(signal.labels)
