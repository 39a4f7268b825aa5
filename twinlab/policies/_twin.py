"""A second line without cameras that does what the first does, and one more in which things are tried out."""

import weakref
from dataclasses import fields
from typing import Any

import numpy as np

from twinlab.cell import Cell
from twinlab.errors import CellError
from twinlab.readings import Readings
from twinlab.scene import SceneSpec

_DRIFT = 1e-4  # a trial that is further off than this is begun anew from the reset [m]


class Twin:
    """What a line is known to do, from its reset on: the same spec, seed and actions, without cameras.

    Two cells, because one that went back to a saved moment is not always the same to the last bit: what PyBullet's
    `restoreState` leaves as it was moved an arm by 5e-5 rad and parts by 1e-5 m in the tick after (from tick 100 of
    seed 50,001 after 1 to 41 ticks elsewhere: sorting 1 of 11 times, valve_round 4 of 11, kitting always). So the first
    cell never goes back, and is compared to the bit; in the second one things are tried out.

    Args:
        spec: the line.
        seed: of its reset.

    Attributes:
        cell: the twin itself, where the line is; only look at it.
    """

    def __init__(self, spec: SceneSpec, seed: int) -> None:
        self.cell, self._trial = (Cell(spec, without=spec.pictures) for _ in range(2))
        self._close = weakref.finalize(self, _closed, self.cell, self._trial)
        for cell in (self.cell, self._trial):
            cell.reset(seed)
        self._done: list[np.ndarray] = []
        self._tried = 0  # how many of these the trial has done

    def check(self, readings: Readings) -> None:
        """Raise unless the line is where the twin is, to the bit.

        Args:
            readings: what the line gave at this tick, with or without truth; what the twin does not know is passed by.

        Raises:
            CellError: a value differs, or there is nothing to compare.
        """
        known = {**self.cell.readings, **self.cell.truth}
        shared = [name for name in readings if name in known]
        if not shared:
            raise CellError(
                f"twin of {self.cell.spec.name!r}: none of {sorted(readings)} is known to it; wanted readings of this "
                f"line, such as {sorted(known)[:3]}. Give the policy the line that it acts on: spec=cell.spec"
            )
        for name in shared:
            came, wanted = np.asarray(readings[name]), known[name]
            if came.shape != wanted.shape or not (came == wanted).all():
                raise CellError(self._told(name, came, wanted))

    def step(self, action: np.ndarray) -> None:
        """Do what the line will do now: an action (actuator,)."""
        self.cell.step(action)
        self._done.append(self.cell.action)

    def trial(self) -> Cell:
        """A cell that stands where the line stands; save before and restore after whatever is tried in it."""
        for action in self._done[self._tried :]:
            self._trial.step(action)
        if not self._near():
            self._trial.reset(self.cell.seed)
            for action in self._done:
                self._trial.step(action)
        self._tried = len(self._done)
        return self._trial

    def close(self) -> None:
        """Give back both cells; they are given back as well when nobody has the twin any more."""
        self._close()

    def _near(self) -> bool:
        """Whether the same happened in both cells, and everything is at the same place."""
        one, two = self.cell, self._trial
        off = np.abs(one.truth["link_pose"][:, :3] - two.truth["link_pose"][:, :3]).max(initial=0.0)
        return bool(off < _DRIFT) and one.events == two.events

    def _told(self, name: str, came: np.ndarray, wanted: np.ndarray) -> str:
        where = f"twin of {self.cell.spec.name!r}, seed {self.cell.seed}, at {self.cell.time:.2f} s"
        if came.shape != wanted.shape:
            off = f"came with shape {came.shape}, wanted {wanted.shape}"
        else:
            worst = np.unravel_index(int(np.argmax(_apart(came, wanted))), came.shape)
            off = f"came as {came[worst]}, wanted {wanted[worst]}"
        return (
            f"{where}: {name!r} {off}; the line did not do what the twin did. It must be reset with the policy's seed "
            f"and get its actions as they are, without noise, written tags or triggered faults"
        )


class Twinned:
    """What policies with a twin have in common: it is built anew for each run, and stays where it was built."""

    _twin: Twin | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What goes to another process: the fields of the policy, which is a dataclass."""
        return {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]

    def _twinned(self, spec: SceneSpec | None, seed: int) -> Twin | None:
        """The twin of this run, None for none; that of the run before is given back."""
        if self._twin is not None:
            self._twin.close()
        self._twin = None if spec is None else Twin(spec, seed)
        return self._twin


def _apart(came: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """How far each value is off; infinite where one of both is no number."""
    off = np.abs(np.asarray(came, float) - np.asarray(wanted, float))
    return np.where(np.isnan(off), np.where(came == wanted, 0.0, np.inf), off)


def _closed(*cells: Cell) -> None:
    for cell in cells:
        cell.close()
