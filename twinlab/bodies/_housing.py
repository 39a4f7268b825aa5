"""The part that an inspection looks at, as designed and with what can be wrong with it, as solids."""

from dataclasses import dataclass

import numpy as np

from twinlab import frames, meshes
from twinlab.snapshot import Piece

EDGE, THICK = 0.048, 0.016  # of its square base [m]
BOSS, RISE = 0.01, 0.012  # radius and height of the boss in its middle [m]
PIN, TALL, APART = 0.003, 0.008, 0.017  # radius and height of its two pins, and how far they are from the middle [m]
HEIGHT = THICK + RISE
MIDDLE = THICK / 2  # where its frame is above the face it lies on [m]
SYMMETRY = np.pi
SITES = 4  # places at which a flaw can be
_WIDE, _PROUD = 0.001, 0.0001  # a scratch's width, and how far it lies above the face, so that it is drawn [m]
_DARK = (0.17, 0.17, 0.18)

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Flaw:
    """What is wrong with a housing.

    Attributes:
        kind: "scratch", "dent", "missing", "dimension", or "" for nothing.
        size: of a scratch its length; of a dent how deep it cuts off a corner; of a missing pin how much of it is
            missing; of a wrong dimension how far the boss's height or diameter is off [m].
        site: a scratch on one side of the boss or the other, straight or slanted; a dent at one of the upper corners;
            one pin or the other; a boss too high, too low, too wide or too narrow.
    """

    kind: str = ""
    size: float = 0.0
    site: int = 0


def pieces(colour: Colour, gloss: float, flaw: Flaw) -> list[Piece]:
    """Base, boss and pins, in the frame of the base's middle, z upwards."""
    base = meshes.box((EDGE, EDGE, THICK))
    radius, rise, tall = BOSS, RISE, [TALL, TALL]
    if flaw.kind == "dent":
        normal = np.array([*_corner(flaw.site), 1]) / np.sqrt(3)
        base = meshes.cut(base, normal, (2 * EDGE / 2 + THICK / 2) / np.sqrt(3) - flaw.size)
    elif flaw.kind == "missing":
        tall[flaw.site % 2] -= flaw.size
    elif flaw.kind == "dimension":
        off = flaw.size * (1 if flaw.site % 2 == 0 else -1)
        rise, radius = (rise + off, radius) if flaw.site < 2 else (rise, radius + off / 2)
    found = [
        Piece(base, frames.IDENTITY, colour, gloss),
        Piece(meshes.cylinder(radius, rise), frames.pose((0, 0, MIDDLE + rise / 2)), colour, gloss),
    ]
    for side, high in zip((1, -1), tall, strict=True):
        if high > _PROUD:
            at = (side * APART, 0, MIDDLE + high / 2)
            found.append(Piece(meshes.cylinder(PIN, high), frames.pose(at), colour, gloss))
    return [*found, *([_scratch(flaw)] if flaw.kind == "scratch" else [])]


def _scratch(flaw: Flaw) -> Piece:
    side, slant = (1, -1)[flaw.site % 2], 0.3 * (flaw.site // 2)
    groove = meshes.surface(meshes.box((flaw.size, _WIDE, 2 * _PROUD)).mesh)
    return Piece(groove, frames.pose((0, side * 0.7 * EDGE / 2, MIDDLE), slant), _DARK)


def _corner(site: int) -> tuple[int, int]:
    return ((1, 1), (-1, 1), (-1, -1), (1, -1))[site]
