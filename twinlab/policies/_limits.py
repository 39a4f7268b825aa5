"""Hard limits of a line's arms, as functions of the readings that a model foresees."""

from collections.abc import Collection, Mapping

import torch

from twinlab.bodies.arm import Arm
from twinlab.policies._acting import hands
from twinlab.scene import SceneSpec

BEYOND = 1.5  # an arm calls a joint's speed a violation from so many times its limit on [1]


class Limits:
    """How far foreseen readings lie beyond what makes an arm stop: wrist force, joint speed, boxes to keep out of.

    Whatever a line's sensors do not measure cannot be foreseen and is left out; `names` tells what is looked at.

    Args:
        spec: the line.
        known: names of the readings that are foreseen.
        margin: share of each limit that is kept free, because what is foreseen is not exact [1].
        room: how far around a box to keep out of the tool stays away [m].

    Attributes:
        names: of the limits, in the order of the answer.
        readings: names of the readings that it needs.
    """

    def __init__(self, spec: SceneSpec, known: Collection[str], margin: float = 0.1, room: float = 0.01) -> None:
        self.margin, self.room = margin, room
        self._arms: list[tuple[Arm, Mapping[str, str]]] = []
        self.names: tuple[str, ...] = ()
        for hand in hands(spec):
            arm = spec.bodies[hand.arm]
            assert isinstance(arm, Arm)
            joints = f"{hand.joints}_velocity" if hand.joints else ""
            read = {"force": hand.wrench, "joint": joints, "keep_out": hand.tcp if arm.keep_out else ""}
            read = {limit: name for limit, name in read.items() if name in known}
            self._arms.append((arm, read))
            self.names += tuple(f"{hand.arm} {limit}" for limit in read)
        self.readings = tuple(dict.fromkeys(name for _, read in self._arms for name in read.values()))

    def __call__(self, foreseen: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The largest excess over each limit along each sequence (N, limit), a share of it or metres, kept up to 0.

        Args:
            foreseen: `readings` by name (N, H, …), in their own units.
        """
        out = []
        for arm, read in self._arms:
            if name := read.get("force"):
                out.append(foreseen[name][..., :3].norm(dim=-1) / ((1 - self.margin) * arm.force) - 1)
            if name := read.get("joint"):
                most = (1 - self.margin) * BEYOND * arm.joint_speed
                out.append(foreseen[name].abs().amax(dim=-1) / most - 1)
            if name := read.get("keep_out"):
                deep = [self._inside(foreseen[name][..., :3], zone.low, zone.high) for zone in arm.keep_out]
                out.append(torch.stack(deep).amax(dim=0))
        return torch.stack([one.amax(dim=1) for one in out], dim=1)

    def _inside(self, at: torch.Tensor, low: tuple[float, ...], high: tuple[float, ...]) -> torch.Tensor:
        """How deep places (…, 3) lie in a box that is larger by the room (…,) [m]; negative outside."""
        least, most = (at.new_tensor(edge) for edge in (low, high))
        return torch.minimum(at - (least - self.room), (most + self.room) - at).amin(dim=-1)
