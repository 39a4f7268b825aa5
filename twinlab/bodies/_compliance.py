"""Impedance control: an arm that gives way like a spring with a damper, instead of joints that hold at any price."""

import math
from dataclasses import dataclass
from typing import Self

import numba
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

_POSTURE = 20.0  # stiffness with which joints keep to their way where the tool leaves them a choice [N m/rad]
_HELD = 2.0  # damping of the same [N m s/rad]


class Compliance(BaseModel):
    """How a tool gives way to a load.

    The law is the Cartesian impedance control of Hogan (1985) with gravity and Coriolis torques compensated, damped for
    the mass that the tool shows (Albu-Schäffer 2003, without its off-diagonal part). The spring's pull is limited, as
    by the reference limiting of SERL (Luo et al. 2024): an arm that is blocked presses with `force` and no more.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    stiffness: float = Field(0, ge=0, description="along each axis; 0 for joints that are stiff [N/m]")
    turning: tuple[float, float, float] = Field((30, 30, 30), description="about the world's x, y, z [N m/rad]")
    force: float = Field(15, gt=0, description="highest pull of the spring [N]")
    torque: float = Field(3, gt=0, description="highest torque of the spring [N m]")
    damping: float = Field(1.0, gt=0, description="damping ratio, 1 is critical [1]")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if min(self.turning) <= 0:
            raise ValueError(f"turning came as {self.turning} N m/rad; wanted more than 0 about each axis")
        if self.stiffness and self.force / self.stiffness > 0.1:
            long = self.force / self.stiffness
            raise ValueError(
                f"force came as {self.force} N at {self.stiffness} N/m, a spring pulled {long:.2f} m long; "
                "wanted 0.1 m at most: lower the force or raise the stiffness"
            )
        return self

    def leashed(self, target: np.ndarray, at: np.ndarray) -> np.ndarray:
        """A target (4,) [m, rad] drawn to where the tool is so far that the spring does not pull beyond its limit.

        Args:
            target: x, y, z and yaw.
            at: the same of the tool now.
        """
        way, turn = target[:3] - at[:3], (target[3] - at[3] + np.pi) % (2 * np.pi) - np.pi
        way *= min(1.0, self.force / max(self.stiffness * float(np.linalg.norm(way)), 1e-9))
        most = self.torque / self.turning[2]
        return np.array([*(at[:3] + way), at[3] + np.clip(turn, -most, most)])

    def law(self, jacobian: np.ndarray, mass: np.ndarray) -> "Law":
        """The law of one tick, for a Jacobian of the tool (6, joint) and a mass matrix (joint, joint)."""
        springs, jacobian = np.array([*(self.stiffness,) * 3, *self.turning]), np.ascontiguousarray(jacobian)
        shown, aside = _shown(jacobian, np.ascontiguousarray(mass))
        damper = 2 * self.damping * np.sqrt(springs * np.maximum(shown, 0))
        return Law(jacobian, springs, damper, (self.force, self.torque), aside)


@dataclass(frozen=True, eq=False)
class Law:
    """What a compliant arm does within a tick.

    Attributes:
        jacobian: of the tool (6, joint).
        springs: stiffness along and about each axis (6,) [N/m, N m/rad].
        damper: the same of the damper (6,) [N s/m, N m s/rad].
        most: highest force [N] and torque [N m] of the spring.
        aside: what is left of joint torques when those that the tool would feel are taken away (joint, joint).
    """

    jacobian: np.ndarray
    springs: np.ndarray
    damper: np.ndarray
    most: tuple[float, float]
    aside: np.ndarray

    def torques(self, off: np.ndarray, slow: np.ndarray) -> np.ndarray:
        """Torques of the joints (joint,) [N m] beside those that gravity and motion ask for.

        Args:
            off: how far each joint is behind its way (joint,) [rad].
            slow: how much slower each is than its way (joint,) [rad/s].
        """
        out: np.ndarray = _torques(self.jacobian, self.springs, self.damper, self.most, self.aside, off, slow)
        return out


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _shown(jacobian: np.ndarray, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mass that a tool shows along and about each axis (6,), and the projector of `Law.aside` (joint, joint)."""
    rows = np.ascontiguousarray(jacobian.T)
    shown = np.linalg.inv(jacobian @ np.linalg.solve(mass, rows) + 1e-6 * np.eye(6))
    return np.diag(shown), np.eye(len(mass)) - rows @ np.linalg.pinv(rows)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _torques(
    jacobian: np.ndarray, springs: np.ndarray, damper: np.ndarray, most: tuple[float, float], aside: np.ndarray,
    off: np.ndarray, slow: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """See `Law.torques`: a third of the time that whole arrays take."""
    count, load, pull = len(off), np.zeros(6), np.zeros(6)
    for a in range(6):
        for i in range(count):
            load[a] += jacobian[a, i] * off[i]
            pull[a] += jacobian[a, i] * slow[i]
        load[a] *= springs[a]
    force = math.sqrt(load[0] ** 2 + load[1] ** 2 + load[2] ** 2)
    torque = math.sqrt(load[3] ** 2 + load[4] ** 2 + load[5] ** 2)
    for a in range(6):
        share = most[0] / max(force, most[0]) if a < 3 else most[1] / max(torque, most[1])
        load[a] = share * load[a] + damper[a] * pull[a]
    out = np.zeros(count)
    for i in range(count):
        for a in range(6):
            out[i] += jacobian[a, i] * load[a]
        for j in range(count):
            out[i] += aside[i, j] * (_POSTURE * off[j] + _HELD * slow[j])
    return out
