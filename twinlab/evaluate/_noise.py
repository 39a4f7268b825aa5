"""Readings with noise on top, to see what a model makes of worse sensors."""

from collections.abc import Callable, Mapping

import numpy as np
import torch

from twinlab.batches import Signal

_GREY = 0.25 * 255  # one unit of noise on an image: a quarter of the range


def noisy(
    signals: Mapping[str, Signal], readings: Mapping[str, torch.Tensor], level: float, seed: int
) -> dict[str, torch.Tensor]:
    """Readings (N, T, …) with Gaussian noise on each number, in their own units and types.

    One unit of noise is the training standard deviation of a vector's number, if it varies, of depth, and of a cloud's
    column; the typical size of what a tactile map tells; a quarter of the range of an image; 1 for each number of a
    normal, which is of length 1 again afterwards. Masks, pulses and labels stay as they are; where nothing was
    measured, nothing is.

    Args:
        signals: name → what is known of the reading.
        readings: as a batch holds them.
        level: units of noise [1].
        seed: decides the noise.
    """
    rng = np.random.default_rng(seed)
    out = {}
    for name, value in sorted(readings.items()):
        s = signals[name]
        if s.kind not in _NOISES:
            out[name] = value
            continue
        noise = torch.from_numpy(rng.standard_normal(tuple(value.shape), np.float32)).to(value.device) * level
        out[name] = torch.where(torch.isfinite(value), _NOISES[s.kind](s, value.float(), noise), value).to(value.dtype)
    return out


def _image(signal: Signal, value: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    return (value + noise * _GREY).round().clamp(0, 255)


def _depth(signal: Signal, value: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    return (value + noise * signal.std[0]).clamp(min=0)


def _numbers(signal: Signal, value: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    scale = value.new_tensor(signal.std) * value.new_tensor(signal.varies)
    return value + noise * scale.reshape(signal.shape)


def _columns(signal: Signal, value: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    return value + noise * value.new_tensor(signal.std)


def _normals(signal: Signal, value: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    there = value.norm(dim=-1, keepdim=True) > 0
    turned = value + noise
    return torch.where(there, turned / turned.norm(dim=-1, keepdim=True).clamp(min=1e-6), value)


_NOISES: dict[str, Callable[[Signal, torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "vector": _numbers,
    "image": _image,
    "depth": _depth,
    "normals": _normals,
    "tactile": _columns,
    "cloud": _columns,
}
