"""Several processes that train as one: what a batch has in common is told over all of them.

Every function does nothing where the process is alone. Collectives are those of `torch.distributed`, so that they work
on any of its backends; each process must call them in the same order.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import distributed, nn


def count() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """The number of this one among them."""
    return distributed.get_rank() if count() > 1 else 0


def total(value: torch.Tensor) -> torch.Tensor:
    """The sum of all processes' values; gradients are summed in the same way."""
    return _Sum.apply(value) if count() > 1 else value


def mean(cost: torch.Tensor, counts: torch.Tensor, weight: float = 1.0) -> torch.Tensor:
    """`weight` times the mean of what counts over all processes' samples; the mean of their answers is that mean.

    What counts differs between the processes, so that the mean of their means would not be it.
    """
    return weight * (cost * counts).sum() / (total(counts.sum()).clamp(min=1) / count())


def average(parameters: Iterable[nn.Parameter]) -> None:
    """Make each gradient the mean of all processes' gradients, in one exchange."""
    grads = [p.grad for p in parameters if p.grad is not None]
    if count() > 1:
        flat = total(torch.cat([g.flatten() for g in grads])) / count()
        for grad, part in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
            grad.copy_(part.view_as(grad))


def shared(value: Any, owner: int) -> Any:
    """A value of one process, given to all."""
    box = [value]
    if count() > 1:
        distributed.broadcast_object_list(box, src=owner)
    return box[0]


def join(module: nn.Module) -> None:
    """Let all batch norms within a module take mean and variance over the samples of all processes.

    `torch.nn.SyncBatchNorm` does it on GPUs only.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            setattr(module, name, _JointNorm(child))
        else:
            join(child)


class _JointNorm(nn.Module):
    """A batch norm over all processes, with parameters and state of the plain one under the same names."""

    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor

    def __init__(self, plain: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps, self.momentum = plain.weight, plain.bias, plain.eps, plain.momentum or 0.0
        for name, value in plain.named_buffers():
            self.register_buffer(name, value)
        self.train(plain.training)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Normalised values (N, channel, …)."""
        if not self.training:
            return nn.functional.batch_norm(
                value, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        axes, shape = [0, *range(2, value.dim())], [1, -1, *[1] * (value.dim() - 2)]
        wide = value.float()
        each = wide.new_tensor([value.numel() / value.shape[1]])
        sums = total(torch.cat([wide.sum(dim=axes), each]))
        number = sums[-1].detach().clamp(min=1)
        middle = sums[:-1] / number
        off = wide - middle.view(shape)
        spread = total((off**2).sum(dim=axes)) / number
        with torch.no_grad():
            self.running_mean.lerp_(middle, self.momentum)
            self.running_var.lerp_(spread * number / (number - 1).clamp(min=1), self.momentum)
            self.num_batches_tracked.add_(1)
        scale = torch.rsqrt(spread + self.eps) * self.weight
        return (off * scale.view(shape) + self.bias.view(shape)).to(value.dtype)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, value: torch.Tensor) -> torch.Tensor:
        out = value.clone()
        distributed.all_reduce(out)
        return out

    @staticmethod
    def backward(_: Any, grad: torch.Tensor) -> torch.Tensor:
        return total(grad)
