"""Behaviour cloning: what the expert would do, as the world model learnt it from readings alone."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from twinlab.language import Meaning
from twinlab.model import WorldModel
from twinlab.model.checkpoint import digest, find
from twinlab.policies._needed import Needed
from twinlab.readings import Readings
from twinlab.scene import SceneSpec, read_scene


@dataclass
class Cloned:
    """The model's own actor: perceives, remembers, acts; truth is never seen.

    Where an item belongs the model perceives too, from its class and the reading `meaning`. Where a sensor that the
    line needs tells nothing, it stops and says why, see `_needed`.

    Attributes:
        model: folder of the trained model, or the name of one that comes with twinlab.
        spec: the line.
    """

    model: str = "sorting"
    spec: SceneSpec = field(default_factory=lambda: read_scene("sorting"))
    sees_truth: bool = False
    sees_pictures: bool = True

    def reset(self, seed: int, meaning: Meaning) -> None:
        """Forget the past; the model is read from its folder at the first call."""
        self.net = load(self.model)
        self._needed = Needed(self.spec)
        self.belief = self.net.initial()
        self.last: torch.Tensor | None = None

    @property
    def stopped(self) -> str:
        """Why the line is halted now, in words; "" while it is not."""
        return self._needed.stopped

    def lineage(self) -> dict[str, str]:
        """The model's name and the digest of its weights."""
        return {"model": Path(self.model).name, "weights": digest(self.model)[:16]}

    @torch.no_grad()
    def __call__(self, readings: Readings) -> np.ndarray:
        """Set-points (actuator,) of this tick."""
        self.perceive(readings)
        return self.done(readings, self.net.act(self.belief)[0].numpy())

    def perceive(self, readings: Readings) -> None:
        """Move the belief on by the last action and correct it by what was read."""
        if self.last is not None:
            self.belief = self.net.step(self.belief, self.last)
        self.belief = self.net.update(self.belief, self.net.take(readings))

    def done(self, readings: Readings, wish: np.ndarray) -> np.ndarray:
        """What of a wish (actuator,) is really done; remembered for the next tick's belief."""
        action = self._needed(readings, wish)
        self.last = torch.from_numpy(action)[None]
        return action


_loaded: dict[str, tuple[int, WorldModel]] = {}


def load(folder: str) -> WorldModel:
    """The model in a folder, read once a process and again when it was trained anew."""
    weights = find(folder) / "model.safetensors"
    written = weights.stat().st_mtime_ns if weights.is_file() else -1
    if folder not in _loaded or _loaded[folder][0] != written:
        _loaded[folder] = (written, WorldModel.load(folder).eval())
    return _loaded[folder][1]
