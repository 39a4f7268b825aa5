"""Something hangs before a camera."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from twinlab.faults import Fault, Target
from twinlab.renderers import Frame


class Occlusion(Fault):
    """A grey sheet slides before a camera, from a side that follows from the seed: a cable, a cloth, a sleeve."""

    target: ClassVar[Target] = "camera"
    share: float = Field(0.4, gt=0, le=1, description="share of the picture that is covered at full level [1]")
    distance: float = Field(0.35, gt=0, description="of the sheet from the camera [m]")
    colour: tuple[float, float, float] = Field((0.35, 0.35, 0.37), description="sRGB in 0–1")

    def frame(self, frame: Frame, level: float, seed: int) -> Frame:
        """The frame behind the sheet."""
        height, width = frame.depth.shape
        v, u = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
        side = np.random.default_rng([seed, 2]).integers(4)
        from_edge = (u, 1 - u, v, 1 - v)[side]
        hidden = (from_edge < self.share * level) & (frame.depth > self.distance)
        return replace(
            frame,
            rgb=np.where(hidden[..., None], np.rint(np.multiply(self.colour, 255)).astype(np.uint8), frame.rgb),
            depth=np.where(hidden, np.float32(self.distance), frame.depth),
            mask=np.where(hidden, np.int16(-1), frame.mask),
            visual=np.where(hidden, np.int16(-1), frame.visual),
            normals=np.where(hidden[..., None], np.array([0, 0, -1], np.float32), frame.normals),
        )
