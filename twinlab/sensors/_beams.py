"""Beams of a lidar: where they go, which of them two surfaces share, and what comes back."""

import functools
from dataclasses import dataclass

import numpy as np

from twinlab import frames
from twinlab.renderers import Hits
from twinlab.sensors._switch import across, disc
from twinlab.snapshot import Snapshot, Visual

_RAYS = 12  # over the width of a beam
_STEP = 0.02  # a range that differs from its neighbour's by more is looked at with the beam's whole width [m]
_SHINE = 60  # power of the cosine with which a mirror-like surface sends back; it halves at 9 degrees
_FAST = 5.0  # what seems to move faster was put elsewhere, not moved [m/s]


@dataclass(frozen=True, eq=False)
class Fan:
    """Beams, in the lidar's frame; one ray each, or several that share a beam.

    Attributes:
        azimuths: of the columns, counter-clockwise from x (column,) [rad].
        shape: rings and columns, or beams and rays of each.
        starts: (ray, 3) [m].
        directions: unit vectors (ray, 3).
    """

    azimuths: np.ndarray
    shape: tuple[int, int]
    starts: np.ndarray
    directions: np.ndarray

    @staticmethod
    @functools.lru_cache(maxsize=16)
    def of(fov: float, columns: int, elevations: tuple[float, ...]) -> "Fan":
        """Beams over an angle of view [rad]; a full turn has no column twice."""
        azimuths = np.linspace(-fov / 2, fov / 2, columns, endpoint=fov < 2 * np.pi - 1e-9)
        azimuth, elevation = np.meshgrid(azimuths, elevations)
        level = np.cos(elevation)
        out = np.stack([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)], axis=-1).reshape(-1, 3)
        return Fan(azimuths, azimuth.shape, np.zeros_like(out), out)

    def part(self, chosen: np.ndarray, aperture: float, divergence: float) -> "Fan":
        """Some beams, with rays over their whole width.

        Args:
            chosen: bool (ray,).
            aperture: width where they leave [m].
            divergence: angle by which they widen [rad].
        """
        middle = self.directions[chosen]
        aside = disc(_RAYS) @ across(middle)
        directions = middle[:, None] + divergence / 2 * aside
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        starts = (aperture / 2 * aside).reshape(-1, 3)
        return Fan(self.azimuths, aside.shape[:2], starts, directions.reshape(-1, 3))

    def rays(self, mount: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Starts and directions in the world, both (ray, 3), of a lidar at a pose (7,)."""
        return frames.apply(mount, self.starts), frames.rotate(mount, self.directions)


def jumps(ranges: np.ndarray) -> np.ndarray:
    """Which beams (ring, column) may be shared by two surfaces: those whose range differs from a neighbour's."""
    near = np.where(np.isfinite(ranges), ranges, np.float32(1e6))
    out = np.zeros(ranges.shape, bool)
    for axis in (0, 1):
        apart = np.abs(np.diff(near, axis=axis)) > _STEP
        first, second = [[slice(None)] * 2 for _ in range(2)]
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        out[tuple(first)] |= apart
        out[tuple(second)] |= apart
    return out


@functools.lru_cache(maxsize=4)
def surfaces(visuals: tuple[Visual, ...]) -> np.ndarray:
    """What each visual's surface is like (visual, 2): albedo and gloss; the last row is for nothing.

    The albedo is the mean of the colour's linear red, green and blue: what infrared would see is not known.
    """
    colours = np.array([*(v.colour for v in visuals), (0, 0, 0)], float)
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    return np.stack([linear.mean(axis=1), [*(v.gloss for v in visuals), 0.0]], axis=1).astype(np.float32)


def remission(surface: np.ndarray, hits: Hits, towards: np.ndarray) -> np.ndarray:
    """What is sent back to where the rays came from (ray,), 1 for white seen face on.

    The matt share follows Lambert's cosine; the mirrored share comes back only when it is met almost face on.

    Args:
        surface: albedo and gloss of each visual (visual + 1, 2).
        hits: what the rays met.
        towards: unit vectors back along the rays in the world (ray, 3).
    """
    cosine = np.clip(np.einsum("ij,ij->i", hits.normal, towards), 0, 1)
    albedo, gloss = surface[hits.visual].T
    return np.asarray((1 - gloss) * albedo * cosine + gloss * cosine**_SHINE)


def mixed(hits: Hits, part: Fan, snapshot: Snapshot, mount: np.ndarray, merge: float) -> tuple[np.ndarray, np.ndarray]:
    """The range of each beam (beam,) [m] and what it sends back (beam,) [1].

    The range is the mean of what the beam's rays meet, weighted by what comes back from there. Echoes within `merge`
    [m] of the first are one; of the first and what is farther, the stronger one counts.

    Args:
        hits: what all rays met.
        part: the beams' rays.
        snapshot: what they looked at.
        mount: where the lidar stood (7,).
        merge: how long an echo is [m].
    """
    sent = remission(surfaces(snapshot.visuals), hits, -frames.rotate(mount, part.directions))
    ranges = hits.distance.reshape(part.shape)
    met = np.isfinite(ranges)
    finite = np.where(met, ranges, 0).astype(float)
    sent = np.where(met, sent.reshape(part.shape), 0)
    weight = sent / np.maximum(finite, 1e-3) ** 2
    first = ranges <= ranges.min(axis=1, keepdims=True) + merge
    early, late = (weight * first).sum(axis=1), (weight * ~first).sum(axis=1)
    chosen = np.where((early >= late)[:, None], first, ~first)
    total = (weight * chosen).sum(axis=1)
    mean = (weight * chosen * finite).sum(axis=1) / np.maximum(total, 1e-30)
    return np.where(total > 0, mean, np.inf), (sent * chosen).mean(axis=1)


def approach(
    hits: Hits,
    directions: np.ndarray,
    snapshot: Snapshot,
    mount: np.ndarray,
    earlier: Snapshot,
    stood: np.ndarray,
) -> np.ndarray:
    """How fast the range of each ray grows (ray,) [m/s], because what it meets moves or the lidar does.

    A surface is taken as flat where the ray meets it: d(range)/dt = (v · n) / (ray · n).

    Args:
        hits: what the rays met.
        directions: of the rays, in the lidar's frame (ray, 3).
        snapshot, mount: the world, and where the lidar stands in it (7,).
        earlier, stood: the same, one sample before.
    """
    rate = np.zeros(len(directions), np.float32)
    elapsed = snapshot.time - earlier.time
    if elapsed <= 0 or not snapshot.visuals:
        return rate
    link = np.array([*(v.link for v in snapshot.visuals), -1])[hits.visual]
    still = np.array_equal(mount, stood)
    for one in np.unique(link[link >= 0]):
        now, then = snapshot.poses[one], earlier.poses[one]
        if still and np.array_equal(now, then):
            continue
        mine = np.flatnonzero(link == one)
        back = frames.compose(frames.compose(frames.inverse(stood), then), frames.compose(frames.inverse(now), mount))
        points = directions[mine] * hits.distance[mine, None]
        speed = (points - frames.apply(back, points)) / elapsed
        normal = frames.rotate(frames.inverse(mount), hits.normal[mine])
        along = np.einsum("ij,ij->i", directions[mine], normal)
        along[np.abs(along) < 0.05] = np.inf
        found = np.einsum("ij,ij->i", speed, normal) / along
        rate[mine] = np.where(np.abs(found) < _FAST, found, 0)
    return rate
