"""Let go of what the hand holds and back off."""

from dataclasses import dataclass

import numpy as np

from twinlab.skills import Aim, Now


@dataclass(frozen=True)
class LetGo:
    """Open the fingers; once they are open, back off along the way that the tool looks.

    Attributes:
        heading: the level heading that the tool looks along [rad].
        off: how far off the aim the hand ends [m].
        wide: opening at which it may back off [m].
        gain: how fast errors are mended [1/s].
        speed: highest speed [m/s].
        squeeze: opening speed of the fingers [m/s].
    """

    heading: float = 0.0
    off: float = 0.11
    wide: float = 0.06
    gain: float = 4.0
    speed: float = 0.4
    squeeze: float = 0.2

    def act(self, now: Now, aim: Aim) -> np.ndarray:
        """Set-points of this tick."""
        way = np.array([np.cos(self.heading), np.sin(self.heading), 0.0])
        back = float((aim.position - now.tool[:3]) @ way) - self.off
        speed = float(np.clip(self.gain * back, -self.speed, self.speed)) if now.width > self.wide else 0.0
        return np.array([*(speed * way), 0.0, self.squeeze])
