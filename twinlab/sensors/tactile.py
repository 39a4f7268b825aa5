"""A tactile sensor: maps of the pressure on finger pads."""

from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
from pydantic import Field, model_validator
from scipy.special import ndtr

from twinlab import frames
from twinlab.readings import Readings, Variable
from twinlab.sensors import Draw, Moment, Sensor, Vector
from twinlab.sensors._memory import play
from twinlab.snapshot import Contacts

_THICK = 0.004  # how far from a pad's plane a contact may lie [m]; hulls and their margins stand out by up to 2 mm


@dataclass(frozen=True, eq=False)
class State:
    """What pads keep; arrays are (pad, row, column).

    Attributes:
        shown: pressure with hysteresis [Pa].
        loaded: for how long each cell has been pressed [s].
        time: of the last sample [s].
    """

    shown: np.ndarray
    loaded: np.ndarray
    time: float


class Tactile(Sensor):
    """The pressure on pads of a gripper's fingers, cell by cell.

    Each contact's normal force is spread over a Gaussian patch, as a soft cover does; the whole of it stays on the pad.
    Rows run from the finger's root to its tip. The columns of both pads run the same way, so that cells of the same
    number lie opposite each other. Contacts beside the pads are not felt.

    Defaults are those of a resistive film (Tekscan) with cells of 4 mm on the fingers of a Franka hand.
    """

    effects: ClassVar[tuple[str, ...]] = ("crosstalk", "hysteresis", "creep", "noise", "threshold")
    gain_error: tuple[float, ...] = Field((0.025,), description="standard deviation of a cell's scale, per episode [1]")
    quantum: tuple[float, ...] = Field((1353.0,), description="smallest step of a value, in its unit")
    saturation: tuple[float, ...] = Field((345_000.0,), description="largest magnitude of a value, in its unit")
    links: tuple[str, ...] = Field(
        ("arm/panda_leftfinger", "arm/panda_rightfinger"),
        min_length=1,
        description="links that have a pad, of one body",
    )
    position: Vector = Field((0, 0, 0.046), description="middle of a pad, in its link's frame [m]")
    along: Vector = Field((0, 0, 1), description="where row after row lies, in the link's frame [1]")
    across: Vector = Field((1, 0, 0), description="where column after column lies, in the link's frame [1]")
    rows: int = Field(6, ge=1, le=256, description="rows of cells on a pad [1]")
    columns: int = Field(6, ge=1, le=256, description="columns of cells on a pad [1]")
    pitch: float = Field(0.004, gt=0, description="from cell to cell [m]")
    patch: float = Field(0.003, gt=0, description="standard deviation of the patch of one contact [m]")
    crosstalk: float = Field(0.05, ge=0, le=0.8, description="share of a cell's pressure that its neighbours show [1]")
    hysteresis: float = Field(0.045, ge=0, lt=1, description="between loading and unloading, a share [1]")
    creep: float = Field(0.05, ge=0, description="what a pressure gains in a decade of time from 1 s on, a share [1]")
    noise: float = Field(500.0, ge=0, description="standard deviation of a cell [Pa]")
    threshold: float = Field(2700.0, ge=0, description="less is shown as nothing [Pa]")

    @model_validator(mode="after")
    def _has_a_plane(self) -> "Tactile":
        lengths = np.linalg.norm(self.along), np.linalg.norm(self.across)
        if min(lengths) < 1e-9 or abs(np.dot(self.along, self.across)) > 1e-6 * lengths[0] * lengths[1]:
            raise ValueError(
                f"along came as {self.along} and across as {self.across}; wanted two directions at a right angle, such "
                "as (0, 0, 1) and (1, 0, 0)"
            )
        if len({link.partition("/")[0] for link in self.links}) > 1:
            raise ValueError(f"links came as {list(self.links)}; wanted links of one body")
        return self

    def variables(self, name: str, moment: Moment) -> tuple[Variable, ...]:
        """One map for each pad [Pa]."""
        dims = tuple(f"{name}_{axis}" for axis in ("pad", "row", "column"))
        shape = (len(self.links), self.rows, self.columns)
        return (Variable(name, dims, shape, "float32", "Pa", "tactile", about=self._about()),)

    def read(self, name: str, moment: Moment, state: State | None) -> tuple[Readings, State | None]:
        """The pressure of the forces that the solver found in the last physics step."""
        found = moment.world.contacts(self.links[0].partition("/")[0])
        maps = np.zeros((len(self.links), self.rows, self.columns), np.float32)
        for pad, link in enumerate(self.links):
            mine = [i for i, touched in enumerate(found.links) if touched == link]
            if mine:
                maps[pad] = self._pressure(found, mine, moment.world.pose(link))
        return {name: maps}, state

    def measure(
        self, name: str, moment: Moment, clean: Readings, state: State | None, draw: Draw
    ) -> tuple[Readings, State]:
        """What the film shows."""
        value = clean[name]
        if self.on("crosstalk") and self.crosstalk:
            value = np.stack([self._mixed(pad) for pad in value])
        shown = play(state.shown if state else None, value, self.hysteresis)
        loaded = np.where(value > 0, state.loaded + max(0.0, moment.time - state.time) if state else 0.0, 0.0)
        if self.on("hysteresis"):
            value = shown
        if self.on("creep"):
            value = value * (1 + self.creep * np.log10(1 + loaded))
        if self.on("noise"):
            value = value + self.noise * draw("noise").standard_normal(value.shape, np.float32)
        if self.on("threshold"):
            value = np.where(value < self.threshold, 0, value)
        return {name: np.maximum(value, 0).astype(np.float32)}, State(shown, loaded, moment.time)

    def _about(self) -> dict[str, Any]:
        """Where its pads are, as attributes of a reading."""
        return {
            "links": list(self.links),
            "position": list(self.position),
            "along": list(self.along),
            "across": list(self.across),
            "pitch": self.pitch,
        }

    def _pressure(self, found: Contacts, mine: list[int], pose: np.ndarray) -> np.ndarray:
        """The map (row, column) [Pa] of some contacts on a pad whose link is at a pose (7,)."""
        axes = np.array([self.along, self.across], float)
        axes /= np.linalg.norm(axes, axis=1, keepdims=True)
        normal = np.cross(axes[0], axes[1])
        back = frames.inverse(pose)
        at = frames.apply(back, found.points[mine]) - self.position
        force = found.force[mine] * np.abs(frames.rotate(back, found.normals[mine]) @ normal)
        place = at @ axes.T
        half = np.array([self.rows, self.columns]) * self.pitch / 2
        on = (np.abs(at @ normal) < _THICK) & (np.abs(place) <= half).all(axis=1)
        down = self._shares(place[on, 0], self.rows) * force[on, None]
        return down.T @ self._shares(place[on, 1], self.columns) / self.pitch**2

    def _shares(self, centre: np.ndarray, cells: int) -> np.ndarray:
        """The share of patches about centres (contact,) [m] on each of a row of cells, (contact, cell); sums are 1."""
        edges = (np.arange(cells + 1) - cells / 2) * self.pitch
        share = np.diff(ndtr((edges - centre[:, None]) / self.patch), axis=1)
        return share / share.sum(axis=1, keepdims=True)

    def _mixed(self, pad: np.ndarray) -> np.ndarray:
        """A map with what leaks to the four neighbours; at the rim it stays in the cell."""
        leak = self.crosstalk / 4
        kernel = np.array([[0, leak, 0], [leak, 1 - self.crosstalk, leak], [0, leak, 0]], np.float32)
        return np.asarray(cv2.filter2D(pad, -1, kernel, borderType=cv2.BORDER_REFLECT))
