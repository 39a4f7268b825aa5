"""Codecs: one kind of signal per file; how it enters the model, how it leaves it, and what a mistake costs.

A codec is a frozen dataclass with a default for every field. Kinds without a codec are not modelled.
"""

from typing import ClassVar, Protocol

import torch
from torch import nn

from twinlab.batches import Signal


class Codec(Protocol):
    """How one kind of signal enters and leaves the model; N stands for any number of samples.

    Attributes:
        spatial: whether its encoder gives a map, which is added to those of other sensors on the same pixels.
    """

    spatial: ClassVar[bool]

    def encoder(self, signal: Signal, width: int) -> nn.Module:
        """From raw values (N, *shape), in their own units and type, to a token (N, width).

        Vectors need none: they enter the model as they are, normalised.
        A spatial codec gives a map (N, width, rows, columns) instead, by an `nn.Sequential` of two: channels of pixels,
        then the convolution to patches; and what stands for it where it is missing is
        the view's own business.
        """
        ...

    def decoder(self, signal: Signal, width: int) -> nn.Module:
        """From features (N, width) to what `loss` and `read` take."""
        ...

    def loss(self, signal: Signal, out: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """What the decoder's answer costs against the raw values (N, *shape), each sample by itself (N,)."""
        ...

    def read(self, signal: Signal, out: torch.Tensor) -> torch.Tensor:
        """The decoder's answer in the signal's own units (N, …).

        Values (N, *shape); for bits and classes their probabilities; for clouds fewer points than came in, without
        order, and their places only.
        """
        ...
