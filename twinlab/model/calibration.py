"""How wide an interval must be to hold the truth as often as it says: split conformal prediction.

A head tells a standard deviation and the dynamics' heads differ; both say where the model is unsure, neither says by
how much. On validation episodes, which trained nothing, errors are divided by that doubt, and the quantiles of these
ratios scale it: locally weighted conformal prediction (Vovk et al. 2005; Papadopoulos et al. 2011; Lei et al. 2018).

What this promises: moments of one episode hang together, so that episodes are what is exchangeable. The distributions
of all episodes are pooled, moment by moment (pooled CDFs of Dunn et al. 2023), which is right in the limit of many
episodes; a bound for finite ones would need 19 of them for a level of 95 % and widen the intervals by 1 / (n + 1)
(Lee et al. 2023). It holds for episodes as those of validation were, not for another line or another policy.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from twinlab.batches import Track
from twinlab.codecs.vector import denormalised
from twinlab.errors import ModelError

AHEAD = (0.0, 0.25, 0.5, 1.0, 2.0)  # how far ahead intervals are calibrated [s]
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
CONTEXT = 8  # ticks that a model has seen at least when it is judged [1]
STRIDE = 5  # ticks from one moment to the next [1]
_FEW = 400  # moments below which the numbers of a vector are pooled [1]


@dataclass(frozen=True, eq=False)
class Calibration:
    """By how much a model's doubt must be scaled.

    Attributes:
        ahead: how far ahead [s], rising (A,).
        levels: shares that an interval holds, rising (L,).
        factors: name → half width of the interval over the doubt (A, L, number).
        floors: name → what is added to the doubt, in training standard deviations (A, number); 0 for truth, whose head
            tells a standard deviation, the mean error for readings, whose jumps the heads may not doubt.
        episodes, moments: on how many this rests.
    """

    ahead: tuple[float, ...]
    levels: tuple[float, ...]
    factors: Mapping[str, np.ndarray]
    floors: Mapping[str, np.ndarray]
    episodes: int
    moments: int

    def reach(self, name: str, level: float, ahead: float) -> tuple[np.ndarray, np.ndarray]:
        """Half width over the doubt, and what is added to the doubt before, each (number,).

        Between levels and between times both are interpolated linearly.

        Raises:
            ModelError: the level or the time is beyond what was calibrated.
        """
        if not 0 < level <= self.levels[-1]:
            raise ModelError(f"level came as {level}; wanted a share above 0 and up to {self.levels[-1]:g}")
        if not self.ahead[0] <= ahead <= self.ahead[-1] + 1e-9:
            raise ModelError(
                f"ahead came as {ahead:g} s; the model is calibrated from {self.ahead[0]:g} to {self.ahead[-1]:g} s; "
                f"record longer validation episodes to see farther"
            )
        factors, floors = self.factors[name], self.floors[name]
        grown = np.concatenate([np.zeros_like(factors[:, :1]), factors], axis=1)  # a share of 0 needs no width
        at = _between(grown.swapaxes(0, 1), (0.0, *self.levels), level)
        return _between(at, self.ahead, ahead), _between(floors, self.ahead, ahead)

    def table(self) -> dict[str, Any]:
        """All of it as JSON can hold it, with five digits; `read` takes it back."""
        parts = {key: {n: _digits(v) for n, v in getattr(self, key).items()} for key in ("factors", "floors")}
        about = {"ahead": list(self.ahead), "levels": list(self.levels)}
        return about | parts | {"episodes": self.episodes, "moments": self.moments}

    @classmethod
    def read(cls, table: Mapping[str, Any]) -> "Calibration":
        """What `table` wrote."""
        parts = {key: {n: np.array(v, float) for n, v in table[key].items()} for key in ("factors", "floors")}
        ahead, levels = tuple(table["ahead"]), tuple(table["levels"])
        return cls(ahead, levels, **parts, episodes=int(table["episodes"]), moments=int(table["moments"]))

    def card(self) -> dict[str, object]:
        """What a model's card tells of it."""
        out: dict[str, object] = {"validation episodes": self.episodes, "moments": self.moments}
        for name in self.factors:
            told = []
            for ahead in (a for a in (0.0, 0.5, 1.0) if self.ahead[0] <= a <= self.ahead[-1]):
                factor, _ = self.reach(name, 0.9, ahead)
                told.append(f"{float(np.median(factor)):.2f} at {ahead:g} s")
            out[name] = f"its 90 % reaches so many times the believed doubt: {', '.join(told)}"
        return out


@torch.no_grad()
def intervals(
    model: Any, belief: torch.Tensor, level: float, ahead: float
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """See `WorldModel.intervals`."""
    told = model.calibration
    if told is None:
        raise ModelError(
            "intervals: the model is not calibrated, as there was no validation episode when it was trained; record "
            "some with seeds from 50000 on and train again, or set model.calibration to what calibration.fitted gives"
        )
    out = {}
    for name, (mean, doubt) in estimates(model, belief).items():
        if name in told.factors:
            factor, floor = (mean.new_tensor(part) for part in told.reach(name, level, ahead))
            half = factor * (doubt + floor)
            signal = model.signals[name]
            out[name] = (denormalised(signal, mean - half), denormalised(signal, mean + half))
    return out


def estimates(model: Any, belief: torch.Tensor) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """What a model believes of each truth vector and vector reading, and its own doubt about it.

    Of truth the doubt is the standard deviation that its head tells; of readings the standard deviation over the
    dynamics' heads of where they lead in one tick in which all actuators are asked for the middle of their limits.

    Args:
        model: a `WorldModel`.
        belief: (N, size).

    Returns:
        name → estimate and doubt, both normalised (N, number).
    """
    outs = model.truth(belief)
    told = {
        s.name: model.codecs[s.name].split(outs[s.name]) for s in model.signals.of("truth", "vector") if s.name in outs
    }
    members = model.dynamics(belief, belief.new_zeros(len(belief), len(model.signals.actuators)))
    sizes = [v.size for v in model.vectors]
    means, doubts = (
        part.split(sizes, dim=-1) for part in (belief[:, model.read_at :], members[..., model.read_at :].std(dim=1))
    )
    return told | {v.name: (mean, doubt) for v, mean, doubt in zip(model.vectors, means, doubts, strict=True)}


@torch.no_grad()
def beliefs(model: Any, track: Track) -> torch.Tensor:
    """What a model believes after each tick of an episode that it follows from the start (time, size)."""
    seen = {name for view in model.perception.views for name in view.names}
    found = None
    if "found" in track.values:
        found = torch.from_numpy(np.asarray(track.values["found"])).to(model.device)
    elif seen:
        found = model.look({name: torch.from_numpy(np.asarray(track.values[name])) for name in seen})
    names = [name for name in model.readings if name not in seen] or list(seen)
    readings = {name: torch.from_numpy(np.asarray(track.values[name])).to(model.device) for name in names}
    percepts = model.encode(readings, found=found).unflatten((1, track.length))
    action = torch.from_numpy(np.asarray(track.values["action"])).to(model.device)
    return model.follow(percepts, action[None])[0]


@torch.no_grad()
def errors(
    model: Any, track: Track, ticks: Iterable[int], context: int = CONTEXT, stride: int = STRIDE
) -> dict[int, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """How far off a model is along an episode that it follows from the start, some ticks ahead under what was done.

    Args:
        model: a `WorldModel`.
        track: the episode, with truth.
        ticks: how far ahead, 0 for now; those that the episode is too short for are left out.
        context: ticks that the model has seen at the first moment.
        stride: ticks from one moment to the next.

    Returns:
        Ticks ahead → name → error, NaN where there was no value, and doubt, both normalised (moment, number). Only
        numbers that vary in training; readings of now are left out, as they were read.
    """
    every = beliefs(model, track)
    action = torch.from_numpy(np.asarray(track.values["action"])).to(model.device)
    out: dict[int, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    for k in sorted(set(ticks)):
        now = torch.tensor(range(context - 1, track.length - k, stride))
        if not len(now):
            continue
        ahead = every[now]
        if k:
            ahead = model.rollout(ahead, torch.stack([action[now + i] for i in range(k)], dim=1))[:, -1]
        out[k] = {}
        for name, (told, doubt) in estimates(model, ahead).items():
            s = model.signals[name]
            if not any(s.varies) or (s.role == "reading" and not k):
                continue
            then = np.asarray(track.values[name])[now + k].reshape(len(now), s.size)
            off = np.abs(told.cpu().numpy() - (then - np.array(s.mean)) / np.array(s.std))
            if s.given:
                off[~np.asarray(track.values[s.given])[now + k].astype(bool)] = np.nan
            out[k][name] = (off[:, list(s.varies)], doubt.cpu().numpy()[:, list(s.varies)])
    return out


def fitted(
    model: Any, tracks: Iterable[Track], ahead: tuple[float, ...] = AHEAD, levels: tuple[float, ...] = LEVELS
) -> Calibration | None:
    """The calibration of a model by episodes that trained nothing; None if there are none or all are too short.

    Args:
        model: a `WorldModel`, set to evaluation.
        tracks: the episodes, best 8 or more.
        ahead: how far ahead [s]; a time that no episode is long enough for is left out.
        levels: shares.
    """
    ticks = {round(a / model.signals.tick): a for a in ahead}
    parts: dict[int, dict[str, list[tuple[np.ndarray, np.ndarray]]]] = {k: {} for k in sorted(ticks)}
    episodes, moments = 0, 0
    for track in tracks:
        for k, found in errors(model, track, ticks).items():
            for name, both in found.items():
                parts[k].setdefault(name, []).append(both)
            moments += len(next(iter(found.values()))[0]) if found and not k else 0
        episodes += 1
    used = [k for k in parts if parts[k]]
    if not used:
        return None
    names = [name for name in dict.fromkeys(n for k in used for n in parts[k]) if _known(name, parts, used)]
    factors: dict[str, list[np.ndarray]] = {name: [] for name in names}
    floors: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for k in used:
        for name in names:
            factor, floor = _scaled(model.signals[name], parts[k].get(name), levels)
            factors[name].append(factor)
            floors[name].append(floor)
    whole = {n: np.stack(v) for n, v in factors.items()}, {n: np.stack(v) for n, v in floors.items()}
    return Calibration(tuple(k * model.signals.tick for k in used), levels, *whole, episodes, moments)


def _known(name: str, parts: Mapping[int, Mapping[str, Any]], ticks: Iterable[int]) -> bool:
    """Whether anything is known of a signal at each time at which it is foreseen."""
    return all(any(np.isfinite(off).any() for off, _ in parts[k][name]) for k in ticks if name in parts[k])


def _scaled(
    signal: Any, parts: list[tuple[np.ndarray, np.ndarray]] | None, levels: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Factors (level, number) and floors (number,) of one signal at one time; 0 for numbers that never vary."""
    factors, floors = np.zeros((len(levels), signal.size)), np.zeros(signal.size)
    if parts is None:
        return factors, floors
    off, doubt = (np.concatenate(part) for part in zip(*parts, strict=True))
    there = np.isfinite(off).all(axis=1)
    off, doubt = off[there], doubt[there]
    varies = np.array(signal.varies)
    if signal.role == "reading":
        floors[varies] = np.mean(off, axis=0)
    ratio = off / np.maximum(doubt + floors[varies], 1e-9)
    if len(ratio) < _FEW:
        ratio = np.repeat(ratio.reshape(-1, 1), ratio.shape[1], axis=1)
    share = np.minimum(np.array(levels) * (1 + 1 / len(ratio)), 1)  # the next one counts too
    factors[:, varies] = np.quantile(ratio, share, axis=0, method="higher")
    return factors, floors


def _between(values: np.ndarray, at: tuple[float, ...], x: float) -> np.ndarray:
    """Values (A, …) at rising places, interpolated linearly (…)."""
    i = int(np.clip(np.searchsorted(at, x), 1, max(len(at) - 1, 1)))
    if len(at) == 1:
        return values[0]
    share = float(np.clip((x - at[i - 1]) / (at[i] - at[i - 1]), 0, 1))
    return values[i] if share == 1 else values[i - 1] if share == 0 else (1 - share) * values[i - 1] + share * values[i]


def _digits(value: np.ndarray) -> list[Any]:
    return [[float(f"{x:.5g}") for x in row] if row.ndim == 1 else _digits(row) for row in value]
