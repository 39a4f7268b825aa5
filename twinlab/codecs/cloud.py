"""Clouds: some of the points go in, in whatever order; a few points that cover them come out.

Source: PointNet (Qi et al. 2017) reads them, the Chamfer distance (Fan et al. 2017) trains those that come out.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from twinlab.batches import Signal
from twinlab.errors import ModelError

_FAR = 1e6  # squared distance to a point that is not there, far beyond any real one, normalised [1]


@dataclass(frozen=True)
class Cloud:
    """Points (N, point, column): x, y, z and, if any, more columns; rows whose x, y or z is not finite are no points.

    Axes before the last two, such as that of several samples in a tick, are taken as more points.

    Attributes:
        taken: how many points are looked at, at most [1].
        widths: of the layers that each point goes through [1].
        told: how many points come out [1].
        hidden: width of the decoder [1].
    """

    spatial: ClassVar[bool] = False
    taken: int = 128
    widths: tuple[int, ...] = (32, 64, 128)
    told: int = 32
    hidden: int = 128

    def encoder(self, signal: Signal, width: int) -> nn.Module:
        """Each point by itself through the layers; maximum, mean and number of points to a token (N, width).

        Raises:
            ModelError: the points have fewer than three columns.
        """
        return _PointNet(signal, self.taken, self.widths, width)

    def decoder(self, signal: Signal, width: int) -> nn.Module:
        """To normalised points and the logit of whether there are any (N, 3 * told + 1)."""
        _check(signal)
        return nn.Sequential(nn.Linear(width, self.hidden), nn.SiLU(), nn.Linear(self.hidden, 3 * self.told + 1))

    def loss(self, signal: Signal, out: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Chamfer distance, squared and normalised, and the cross entropy of whether the cloud is empty (N,).

        The mean over the told points of how far the nearest true one is, and over the true ones (those that are taken)
        of how far the nearest told one is. An empty cloud has no distance.
        """
        wanted, valid = chosen(signal, value, self.taken)
        told, wanted = out[:, :-1].unflatten(1, (self.told, 3)), wanted[..., :3]
        apart = ((told[:, :, None] - wanted[:, None]) ** 2).sum(dim=-1)
        near = apart.masked_fill(~valid[:, None], _FAR).min(dim=2).values.mean(dim=1)
        count = valid.sum(dim=1)
        covered = (apart.min(dim=1).values * valid).sum(dim=1) / count.clamp(min=1)
        some = count > 0
        there = nn.functional.binary_cross_entropy_with_logits(out[:, -1], some.to(out.dtype), reduction="none")
        return torch.where(some, near + covered, 0) + there

    def read(self, signal: Signal, out: torch.Tensor) -> torch.Tensor:
        """Points that cover the cloud (N, told, 3) [m], x, y and z only; +inf where it is more likely empty."""
        points = out[:, :-1].unflatten(1, (self.told, 3))
        points = points * points.new_tensor(signal.std[:3]) + points.new_tensor(signal.mean[:3])
        return torch.where(out[:, -1:, None] > 0, points, torch.inf)


def chosen(signal: Signal, value: torch.Tensor, taken: int) -> tuple[torch.Tensor, torch.Tensor]:
    """At most `taken` normalised points (N, n, column), 0 where there is none, and whether each is there (N, n).

    Which ones follows from the points alone: those whose coordinates, in the 16 bits in which they are kept for
    training, have the lowest hash. So it is a random choice that neither order nor padding
    changes.
    """
    columns = signal.shape[-1]
    points = value.reshape(len(value), -1, columns).half()
    valid = torch.isfinite(points[..., :3]).all(dim=-1)
    if points.shape[1] > taken:
        rank = _hashed(points[..., :3]).masked_fill(~valid, 1 << 32)
        first = rank.topk(taken, dim=1, largest=False, sorted=False).indices
        points, valid = points.gather(1, first[..., None].expand(-1, -1, columns)), valid.gather(1, first)
    points = points.float()
    points = (points - points.new_tensor(signal.mean)) / points.new_tensor(signal.std)
    return torch.where(valid[..., None] & torch.isfinite(points), points, 0), valid


def _hashed(points: torch.Tensor) -> torch.Tensor:
    """A number of 32 bits for each point (N, n), of its coordinates (N, n, 3) of 16 bits.

    Source: the primes of Teschner et al. (2003), mixed with constants of Wellons (2018) that leave little bias.
    """
    bits = points.contiguous().view(torch.int16).long()
    mixed = (bits[..., 0] * 73_856_093 ^ bits[..., 1] * 19_349_663 ^ bits[..., 2] * 83_492_791) & 0xFFFFFFFF
    mixed = (mixed ^ mixed >> 15) * 0x2C1B3C6D & 0xFFFFFFFF
    return (mixed ^ mixed >> 12) * 0x297A2D39 & 0xFFFFFFFF


def _check(signal: Signal) -> None:
    if len(signal.shape) < 2 or signal.shape[-1] < 3:
        raise ModelError(
            f"cloud {signal.name!r} has shape {signal.shape}; wanted (point, column), x, y, z first among the columns"
        )


class _PointNet(nn.Module):
    def __init__(self, signal: Signal, taken: int, widths: tuple[int, ...], width: int) -> None:
        super().__init__()
        _check(signal)
        self.signal, self.taken = signal, taken
        sizes = (signal.shape[-1], *widths)
        layers = [layer for a, b in zip(sizes, widths, strict=False) for layer in (nn.Linear(a, b), nn.ReLU())]
        self.points = nn.Sequential(*layers)
        self.token = nn.Linear(2 * widths[-1] + 1, width)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        points, valid = chosen(self.signal, value, self.taken)
        features = self.points(points) * valid[..., None]  # never negative, so that 0 is as low as a maximum gets
        count = valid.sum(dim=1, keepdim=True)
        mean = features.sum(dim=1) / count.clamp(min=1)
        return self.token(torch.cat([features.amax(dim=1), mean, count / valid.shape[1]], dim=1))
