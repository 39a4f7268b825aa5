"""When something happens on a line: contact, or a change of command."""

import re

import numpy as np
import xarray as xr

from twinlab.units import each_unit

COMMAND = 0.3  # a set-point moves by more than this share of its range
FORCE = 5.0  # a measured force differs from that of now by more than this [N]
_TOUCH = re.compile(r"(^|_)(contact|held|touch|touched|grasped)$")


def eventful(episode: xr.Dataset, now: np.ndarray, ticks: int) -> np.ndarray:
    """Whether there is contact or a change of command between now and some ticks later (N,) bool.

    A change of command: the set-point of an actuator spans more than 30 % of its range, from the one that led to now
    up to the last one before then. Contact: a pulse, truth or reading, whose name ends in `contact`, `held`, `touch`,
    `touched` or `grasped` is not the same from now to then; or the force that a vector reading tells (its numbers in
    newtons, or those labelled fx, fy and fz where its units are not one each) differs by more than 5 N from that of
    now.

    Args:
        episode: as recorded.
        now: ticks (N,).
        ticks: how many follow; the episode holds them.
    """
    action = episode["action"]
    wide = np.subtract(*(np.atleast_1d(np.asarray(action.attrs[side], float)) for side in ("high", "low")))
    spans = np.maximum(now[:, None] + np.arange(-1, ticks), 0)  # the action at a tick is what follows it
    out = (np.ptp(action.values[spans], axis=1) > COMMAND * wide).any(axis=1)
    after = now[:, None] + np.arange(ticks + 1)
    for name, variable in episode.data_vars.items():
        kind = variable.attrs.get("kind")
        if kind == "pulse" and _TOUCH.search(str(name)):
            bits = variable.values.reshape(variable.sizes["time"], -1)[after]
            out |= (bits != bits[:, :1]).any(axis=(1, 2))
        elif kind == "vector" and variable.attrs.get("role") == "reading" and (force := _forces(variable)):
            push = variable.values.reshape(variable.sizes["time"], -1)[:, force][after]
            out |= (np.linalg.norm(push - push[:, :1], axis=2) > FORCE).any(axis=1)
    return out


def _forces(variable: xr.DataArray) -> list[int]:
    """Which of a vector's numbers are forces."""
    size = int(np.prod(variable.shape[1:], dtype=int))
    return [i for i, one in enumerate(each_unit(str(variable.attrs.get("units", "")), size)) if one == "N"]
