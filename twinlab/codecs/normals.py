"""Normals: which way each seen surface faces, and whether there is one, goes in and comes out."""

from dataclasses import dataclass

import torch
from torch import nn

from twinlab.batches import Signal
from twinlab.codecs._pictures import Patched
from twinlab.errors import ModelError

_SHORT = 0.1  # answers shorter than this cost as if they stood askew, so that no gradient is steep [1]


@dataclass(frozen=True)
class Normals(Patched):
    """Unit normals in the camera's optical frame (N, rows, columns, 3), 0 where there are none."""

    def _channels(self, signal: Signal) -> tuple[nn.Module, int]:
        _check(signal)
        return _Channels(), 4

    def _told(self, signal: Signal) -> int:
        """Vectors of any length and logits of validity."""
        _check(signal)
        return 4

    def loss(self, signal: Signal, out: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """1 less the cosine of the error where there is a normal, and the cross entropy of whether there is (N,).

        Source: the cosine cost of surface normals (Eigen and Fergus 2015).
        """
        wanted, valid = _parts(value)
        (x, y, z), (u, v, w) = out[:, :3].unbind(dim=1), wanted.unbind(dim=3)  # twice as fast as sums over that axis
        cosine = (x * u + y * v + z * w) * (x * x + y * y + z * z).clamp(min=_SHORT**2).rsqrt()
        there = nn.functional.binary_cross_entropy_with_logits(out[:, 3], valid, reduction="none")
        return (valid * (1 - cosine) + there).mean(dim=(1, 2))

    def read(self, signal: Signal, out: torch.Tensor) -> torch.Tensor:
        """Unit normals (N, rows, columns, 3), 0 where it is more likely that there are none."""
        unit = nn.functional.normalize(out[:, :3], dim=1)
        return torch.where(out[:, 3:] > 0, unit, 0).permute(0, 2, 3, 1)


def _check(signal: Signal) -> None:
    if len(signal.shape) != 3 or signal.shape[2] != 3:
        raise ModelError(
            f"normals {signal.name!r} has shape {signal.shape}; wanted (rows, columns, 3), one vector a pixel"
        )


def _parts(value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit normals, 0 where none is (N, rows, columns, 3), and validity (N, rows, columns), both float."""
    value = value.float()
    x, y, z = value.unbind(dim=-1)
    length = (x * x + y * y + z * z).sqrt()
    valid = torch.isfinite(length) & (length > 0)
    return torch.where(valid[..., None], value / length[..., None], 0), valid.float()


class _Channels(nn.Module):
    """The three numbers of each normal and validity (N, 4, rows, columns)."""

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        unit, valid = _parts(value)
        return torch.cat([unit, valid[..., None]], dim=-1).permute(0, 3, 1, 2)  # channels-last memory
