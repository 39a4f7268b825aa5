"""A lidar: ranges along a fan of beams, of a safety scanner's plane or of the rings of a rotating one."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from pydantic import Field
from scipy.special import ndtr

from twinlab import frames
from twinlab.readings import Readings, Variable
from twinlab.renderers import Hits
from twinlab.sensors import Draw, Moment, Sensor, Vector
from twinlab.sensors._beams import Fan, approach, jumps, mixed, remission, surfaces
from twinlab.snapshot import Snapshot

_WHITE = 0.9  # remission of the white target that data sheets give ranges for [1]


@dataclass(frozen=True, eq=False)
class State:
    """What a lidar keeps.

    Attributes:
        hits: what the middles of its beams met last.
        sent: what came back from there (ray,), 1 for white seen face on.
        snapshot: what it looked at then.
        mount: where it stood (7,).
        before: snapshot and mount of the sample before that, None at first.
        bias: its error in this episode [m], None before the first sample.
    """

    hits: Hits
    sent: np.ndarray
    snapshot: Snapshot
    mount: np.ndarray
    before: tuple[Snapshot, np.ndarray] | None
    bias: float | None = None


class Lidar(Sensor):
    """Ranges [m] along beams, +inf where nothing comes back. The clean value is that of an ideal ray for each beam.

    Its frame is x forward, y left, z up (REP-103). Columns run counter-clockwise, from the right to the left of x.

    "edge": a beam that two surfaces share gives a mean of both. "incidence": dark, shiny and grazed surfaces send too
    little back. "spin": earlier columns show what moves where it was. "bias" and "noise" are errors of all beams and
    of each, "limits" leaves out what is too near or too far.

    Defaults are those of Hokuyo's UTM-30LX, at the end of the sorting line's belt and looking along it.
    """

    effects: ClassVar[tuple[str, ...]] = ("edge", "incidence", "spin", "bias", "noise", "limits")
    latency: float = Field(0.025, ge=0, le=10, description="from taking a sample to having it [s]")
    quantum: tuple[float, ...] = Field((0.001,), description="smallest step of a value, in its unit")
    position: Vector = Field((0.53, -0.95, 0.13), description="centre of its mirror [m]")
    turn: Vector = Field((0, 0, np.pi / 2), description="roll, pitch and yaw of its frame [rad]")
    link: str = Field("", description='link that it is fixed to, such as "arm/panda_hand", "" for the world')
    fov: float = Field(1.5 * np.pi, gt=0, le=2 * np.pi, description="horizontal angle of view [rad]")
    columns: int = Field(1081, ge=2, le=16384, description="beams in that angle [1]")
    elevations: tuple[float, ...] = Field((0.0,), min_length=1, description="angle of each ring above the plane [rad]")
    intensity: bool = Field(False, description="whether it also gives how much comes back")
    divergence: float = Field(0.003, ge=0, le=0.1, description="angle by which a beam widens [rad]")
    aperture: float = Field(0.01, ge=0, description="width of a beam where it leaves [m]")
    merge: float = Field(0.6, ge=0, description="two echoes nearer to each other than this are one [m]")
    dark: float = Field(0.02, gt=0, description="remission below which half of the beams are lost, however near [1]")
    fade: float = Field(0.1, gt=0, description="standard deviation of that remission, in decades [1]")
    period: float = Field(0.025, ge=0, description="time of a turn [s]")
    bias: float = Field(0.01, ge=0, description="standard deviation of the error of all beams, per episode [m]")
    sigma: float = Field(0.01, ge=0, description="standard deviation of a range [m]")
    near: float = Field(0.1, ge=0, description="nothing nearer is measured [m]")
    far: float = Field(
        30.0, gt=0, description="nothing farther is measured; how far white is seen by half of the beams [m]"
    )

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """Ranges [m] and, if asked for, remission times the cosine of incidence [1], both (ring, column)."""
        dims, shape = (f"{name}_ring", f"{name}_column"), (len(self.elevations), self.columns)
        ranges = Variable(name, dims, shape, "float32", "m", "range", about=self._about())
        if not self.intensity:
            return (ranges,)
        return ranges, replace(ranges, name=f"{name}_intensity", units="1")

    def read(self, name: str, moment: Moment, state: State | None) -> tuple[Readings, State]:
        """What a ray in the middle of each beam meets."""
        snapshot = moment.snapshot
        mount = frames.from_euler(self.position, self.turn)
        if self.link:
            mount = frames.compose(snapshot.pose(self.link), mount)
        fan = self._fan()
        hits = moment.cast(*fan.rays(mount))
        before = (state.snapshot, state.mount) if state else None
        sent = remission(surfaces(snapshot.visuals), hits, -frames.rotate(mount, fan.directions))
        state = State(hits, sent, snapshot, mount, before, state.bias if state else None)
        return self._named(name, hits.distance.copy(), sent), state

    def measure(self, name: str, moment: Moment, clean: Readings, state: State, draw: Draw) -> tuple[Readings, State]:
        """What comes back from the beams."""
        fan, hits = self._fan(), state.hits
        ranges, sent = hits.distance.copy(), state.sent.copy()
        if self.on("spin") and self.period and state.before:
            ranges -= self._age(fan) * approach(hits, fan.directions, state.snapshot, state.mount, *state.before)
        if self.on("edge") and (self.divergence or self.aperture):
            shared = jumps(hits.distance.reshape(fan.shape)).ravel()
            if shared.any():
                part = fan.part(shared, self.aperture, self.divergence)
                met = moment.cast(*part.rays(state.mount))
                ranges[shared], sent[shared] = mixed(met, part, state.snapshot, state.mount, self.merge)
        if self.on("incidence"):
            needed = np.log10(np.maximum(self.dark, _WHITE * (ranges / self.far) ** 2))
            seen = ndtr((np.log10(np.maximum(sent, 1e-6)) - needed) / self.fade)
            ranges[draw("incidence").random(len(ranges)) > seen] = np.inf
        bias = self.bias * draw("bias").standard_normal() if state.bias is None else state.bias
        if self.on("bias"):
            ranges += np.float32(bias)
        if self.on("noise"):
            ranges += np.float32(self.sigma) * draw("noise").standard_normal(len(ranges), np.float32)
        if self.on("limits"):
            ranges[(ranges < self.near) | (ranges > self.far)] = np.inf
        return self._named(name, np.maximum(ranges, 0), sent), replace(state, bias=bias)

    def _fan(self) -> Fan:
        return Fan.of(self.fov, self.columns, self.elevations)

    def _age(self, fan: Fan) -> np.ndarray:
        """How long before the last column each beam was sent (ray,) [s]."""
        age = self.period * (fan.azimuths[-1] - fan.azimuths) / (2 * np.pi)
        return np.tile(age, len(self.elevations)).astype(np.float32)

    def _named(self, name: str, ranges: np.ndarray, sent: np.ndarray) -> Readings:
        """Ranges and what was sent back, both (ray,), as readings."""
        shape = self._fan().shape
        out = {name: ranges.reshape(shape)}
        if self.intensity:
            out[f"{name}_intensity"] = np.where(np.isfinite(ranges), sent, 0).astype(np.float32).reshape(shape)
        return out

    def _about(self) -> dict[str, Any]:
        """Its beams and its place, as attributes of a reading.

        Returns:
            `azimuth`: that of the first column and the step to the next [rad]; `elevation`: of each ring [rad];
            `extrinsics`: its frame (x forward, y left, z up) in the frame of `link` or, where that is "", in the world:
            x, y, z [m] and quaternion x, y, z, w; `link`; `range`: nearest and farthest [m].
        """
        azimuths = self._fan().azimuths
        return {
            "azimuth": [float(azimuths[0]), float(azimuths[1] - azimuths[0])],
            "elevation": list(self.elevations),
            "extrinsics": frames.from_euler(self.position, self.turn).tolist(),
            "link": self.link,
            "range": [self.near, self.far],
        }
