"""Dirt on a lens."""

from dataclasses import replace
from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from twinlab.faults import Fault, Target
from twinlab.renderers import Frame


class Dirt(Fault):
    """Stains on a lens: blurred, dim patches in the colours, holes in the depth; the seed says where."""

    target: ClassVar[Target] = "camera"
    share: float = Field(0.2, gt=0, le=1, description="share of the picture that is stained at full level [1]")
    size: float = Field(0.12, gt=0, le=1, description="size of a stain over the picture's height [1]")
    density: float = Field(0.8, gt=0, le=1, description="share of the light that a stain takes [1]")

    def frame(self, frame: Frame, level: float, seed: int) -> Frame:
        """The frame through the stains."""
        stain = self._stain(frame.depth.shape, seed) * (self.density * level)
        height = frame.depth.shape[0]
        blurred = cv2.GaussianBlur(frame.rgb, (0, 0), max(0.3, self.size * height / 3), borderType=cv2.BORDER_REPLICATE)
        veil = np.array((60, 55, 45), np.float32)  # what the dirt itself sends back, sRGB in 0–255
        mixed = frame.rgb + stain[..., None] * (0.5 * blurred + 0.5 * veil - frame.rgb)
        holes = stain > 0.4  # a matcher finds nothing where most of the light is gone
        return replace(
            frame, rgb=np.rint(mixed).astype(np.uint8), depth=np.where(holes, np.float32(np.inf), frame.depth)
        )

    def _stain(self, shape: tuple[int, ...], seed: int) -> np.ndarray:
        """How dense the dirt is at each pixel, 0–1, float32; where it lies does not depend on the picture's size."""
        rng = np.random.default_rng([seed, 3])
        cells = max(2, round(2 / self.size))
        rough = rng.standard_normal((cells, round(cells * 2)), dtype=np.float32)
        height, width = shape
        part = rough[:, : max(2, min(rough.shape[1], round(cells * width / height)))]
        smooth = cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC)
        edge = np.quantile(smooth, 1 - self.share)
        return np.clip((smooth - edge) / (0.3 * smooth.std() + 1e-9) + 0.5, 0, 1).astype(np.float32)
