"""How fast a policy that plans runs in closed loop, and how much slower that is than its matrix products alone.

A policy acts on a line, cameras and all. Of each tick are taken the whole (sensing, encoding, planning, physics) and
the policy's own share; after it the matrix products of the same shapes are run by themselves, so that both meet the
same machine: those of every linear layer and, unfolded, of every convolution that the policy called in that tick.

    python benchmarks/planning.py [--scene NAME] [--model NAME] [--policy NAME] [--ticks N] [--turns N]

Prints `rate_hz` (whole ticks a second), `policy_hz` (calls of the policy a second), both the median of a turn, and
`over_products`, the median over ticks of the policy's time over that of the products.
"""

import argparse
import time
from collections import Counter

import numpy as np
import torch
from torch import nn
from turns import tell

from twinlab.cell import Cell
from twinlab.episodes import Policy
from twinlab.model import WorldModel
from twinlab.policies.cloned import load
from twinlab.scene import SceneSpec, read_scene
from twinlab.score import acting

Shapes = Counter[tuple[int, int, int]]
_WARM = 5  # ticks that are not counted


def watched(model: WorldModel) -> Shapes:
    """Counts products (rows, inner, columns) from now on, as the model's layers make them."""
    shapes: Shapes = Counter()

    def linear(layer: nn.Linear, inputs: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
        shapes[(out[..., 0].numel(), layer.in_features, layer.out_features)] += 1

    def convolution(layer: nn.Conv2d, inputs: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
        inner = layer.in_channels * int(np.prod(layer.kernel_size)) // layer.groups
        shapes[(out[:, 0].numel(), inner, layer.out_channels)] += 1

    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_hook(linear)
        elif isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(convolution)
    return shapes


def products(shapes: Shapes, kept: dict[tuple[int, int, int], tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Time of the products by themselves [s]."""
    for shape in shapes:
        if shape not in kept:
            rows, inner, columns = shape
            kept[shape] = (torch.randn(rows, inner), torch.randn(inner, columns))
    start = time.perf_counter()
    for shape, count in shapes.items():
        left, right = kept[shape]
        for _ in range(count):
            left @ right
    return time.perf_counter() - start


@torch.no_grad()
def turn(spec: SceneSpec, policy: Policy, shapes: Shapes, ticks: int, seed: int) -> np.ndarray:
    """Times of whole ticks, of the policy and of its products (3, tick) [s]."""
    kept: dict[tuple[int, int, int], tuple[torch.Tensor, torch.Tensor]] = {}
    rows: list[list[float]] = []
    with Cell(spec) as cell:
        readings = cell.reset(seed)
        policy.reset(seed, cell.task.meaning())
        for _ in range(ticks + _WARM):
            shapes.clear()
            start = time.perf_counter()
            action = policy(readings)
            decided = time.perf_counter()
            readings = cell.step(action)
            end = time.perf_counter()
            rows.append([end - start, decided - start, products(shapes, kept)])
    return np.array(rows[_WARM:]).T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scene", default="sorting")
    parser.add_argument("--model", default="sorting")
    parser.add_argument("--policy", default="planned")
    parser.add_argument("--ticks", type=int, default=200)
    parser.add_argument("--turns", type=int, default=3)
    asked = parser.parse_args()
    spec, shapes = read_scene(asked.scene), watched(load(asked.model))
    policy = acting(asked.policy, spec, asked.model)
    turns = [turn(spec, policy, shapes, asked.ticks, 50_000 + i) for i in range(asked.turns)]
    tell("rate_hz", [float(1 / np.median(whole)) for whole, _, _ in turns], "Hz")
    tell("policy_hz", [float(1 / np.median(own)) for _, own, _ in turns], "Hz")
    tell("over_products", [float(np.median(own / bare)) for _, own, bare in turns], "1")


if __name__ == "__main__":
    main()
