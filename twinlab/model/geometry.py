"""Where in space what a camera looks at is: points from depth, brought from the camera's frame into the world."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import nn

from twinlab import frames
from twinlab.batches import Signal

_TOOL = ("x", "y", "z", "yaw")


class Gaze(nn.Module):
    """The point in space at which a weighting of a depth picture's pixels looks, in the camera's optical frame.

    Each pixel with depth z stands for the point z times its ray (pinhole with OpenCV's distortion). Their weighted mean
    is exact to the depth's noise, which a place read off features is not (integral regression: Sun et al. 2018, here
    over points instead of pixels).

    Args:
        signal: a depth picture that tells its camera.
    """

    rays: torch.Tensor

    def __init__(self, signal: Signal) -> None:
        super().__init__()
        fx, fy, cx, cy, *distortion = signal.camera[:9]
        rows, columns = signal.shape
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 1, 2).astype(float)
        matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        flat = cv2.undistortPoints(grid, matrix, np.array(distortion))[:, 0]
        rays = np.concatenate([flat, np.ones((len(flat), 1))], axis=1)
        self.register_buffer("rays", torch.tensor(rays, dtype=torch.float32), persistent=False)

    def forward(self, depth: torch.Tensor, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Points (N, place, 3) [m], 0 where nothing was measured, and whether anything was (N,) bool.

        Args:
            depth: (N, rows, columns) [m], +inf where nothing is.
            logits: of the weights (N, place, rows, columns).
        """
        points, valid = self.points(depth)
        weights = logits.flatten(2).float().masked_fill(~valid[:, None], -1e4).softmax(dim=-1)
        some = valid.any(dim=1)
        return torch.einsum("nkp,npc->nkc", weights, points) * some[:, None, None], some

    def points(self, depth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Each pixel's point (N, pixel, 3) [m], 0 where nothing was measured, and whether anything was (N, pixel)."""
        flat = depth.flatten(1).float()
        valid = torch.isfinite(flat)
        return torch.where(valid, flat, 0)[..., None] * self.rays, valid


class Mounting(nn.Module):
    """From a camera's optical frame into the world: by its pose, or on a tool by the tool's own reading.

    Args:
        signal: a depth picture that tells its camera.
        vectors: the vector readings, in the belief's order; one of them may be the tool that carries the camera.

    Attributes:
        known: whether the world can be told at all.
    """

    turn: torch.Tensor
    shift: torch.Tensor
    axis: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, signal: Signal, vectors: Sequence[Signal]) -> None:
        super().__init__()
        pose, carrier = np.array(signal.camera[9:]), None
        self.at = 0
        for vector in vectors:
            if signal.link and signal.link in vector.mounts and vector.labels == _TOOL:
                carrier = vector
                break
            self.at += vector.size
        self.known, self.carried = not signal.link or carrier is not None, carrier is not None
        if carrier is not None:
            number = 3 + 7 * carrier.mounts.index(signal.link)
            base = frames.from_euler((0, 0, 0), carrier.camera[:3])  # type: ignore[arg-type]
            pose = frames.compose(base, frames.compose(np.array(carrier.camera[number : number + 7]), pose))
            self.register_buffer("axis", -torch.tensor(frames.axis(base, 2), dtype=torch.float32), persistent=False)
            self.register_buffer("mean", torch.tensor(carrier.mean), persistent=False)
            self.register_buffer("std", torch.tensor(carrier.std), persistent=False)
        matrix = torch.tensor(frames.matrix(pose), dtype=torch.float32)
        self.register_buffer("turn", matrix[:3, :3].clone(), persistent=False)
        self.register_buffer("shift", matrix[:3, 3].clone(), persistent=False)

    def forward(self, points: torch.Tensor, readings: torch.Tensor) -> torch.Tensor:
        """Points (N, point, 3) [m] in the world, from the optical frame and all normalised readings (N, vector)."""
        mounted = points @ self.turn.T + self.shift
        if not self.carried:
            return mounted
        tool = readings[:, self.at : self.at + 4] * self.std + self.mean
        yaw, along = tool[:, None, 3:], (mounted @ self.axis)[..., None] * self.axis  # Rodrigues' formula
        across = torch.linalg.cross(self.axis.expand_as(mounted), mounted)
        return along + yaw.cos() * (mounted - along) + yaw.sin() * across + tool[:, None, :3]
