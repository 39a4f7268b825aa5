"""The border to torch: episodes are held compactly, and windows of them become batches of tensors."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
import xarray as xr

from twinlab import rooms
from twinlab.batches import _spread
from twinlab.batches._outcomes import KNOWN as KNOWN
from twinlab.batches._outcomes import OUTCOMES as OUTCOMES
from twinlab.batches._outcomes import with_outcomes as with_outcomes
from twinlab.batches._scratch import Filed as Filed
from twinlab.batches._scratch import Scratch
from twinlab.batches._signals import Signal as Signal
from twinlab.batches._signals import Signals as Signals
from twinlab.batches._signals import signal_of
from twinlab.errors import ModelError, did_you_mean

SPLITS = {"train": (0, 50_000), "val": (50_000, 60_000), "test": (60_000, 70_000)}
_COMPACT = {
    "image": np.uint8,
    "depth": np.float16,
    "vector": np.float32,
    "pulse": np.bool_,
    "label": np.int64,
    "normals": np.float16,
    "mask": np.bool_,
    "tactile": np.float32,  # pressures in Pa pass what float16 has
    "cloud": np.float16,
}
_LARGEST = float(np.finfo(np.float16).max)
_PICTURES = ("image", "depth", "normals", "mask")  # looked at once
_CLOUDS = ("cloud",)  # looked at in every step
UNFORESEEN = (*_PICTURES, *_CLOUDS)  # kinds so big that no batch holds them beyond its windows
_SEEN = 50  # so many ticks must follow before a discounted return counts as known
_ENOUGH = 200_000  # ticks from which normalisation is fitted at most [1]
_PIXELS = 1 << 25  # pixels of depth, or numbers of a map or a cloud, likewise [1]


def split_of(seed: int) -> str:
    """Which split a seed belongs to: "train", "val" or "test".

    Raises:
        ModelError: the seed belongs to none.
    """
    for name, (low, high) in SPLITS.items():
        if low <= seed < high:
            return name
    raise ModelError(f"seed {seed} belongs to no split; there are {SPLITS}")


@dataclass(frozen=True, eq=False)
class Track:
    """One episode, held compactly.

    Attributes:
        seed: of the episode.
        digest: of its scene.
        scene: its scene's name.
        length: ticks.
        values: name → array (time, …): uint8 pictures, float16 depth and clouds (+inf where nothing is) and normals,
            float32 vectors and tactile maps; with `action` and, where the policy told one, `intent`; with `found`
            (time, view, feature) once a model looked. Each in memory, or `Filed`.
        sum: digest of all that was recorded, where it was asked for.
    """

    seed: int
    digest: str
    scene: str
    length: int
    values: Mapping[str, Any]
    sum: str = ""


@dataclass(frozen=True, eq=False)
class Batch:
    """Windows of episodes as tensors; B windows of T ticks, H more where no picture is kept.

    Attributes:
        readings: name → pictures and clouds (B, T, …) and all others (B, T + H, …), in their own units
            and types. Where what was found in pictures is known, only those of tick T - 1 are kept (B, 1, …).
        truth: name → masks (B, T, …), where pictures must be looked at, and all others (B, T + H, …).
        action: (B, T + H, actuator), in the actuators' units.
        returns: reward to come after each tick, discounted (B, T + H).
        valued: where that is known because enough of the episode follows (B, T + H) bool.
        found: what a model's views found (B, T, view, feature), or None.
    """

    readings: dict[str, torch.Tensor]
    truth: dict[str, torch.Tensor]
    action: torch.Tensor
    returns: torch.Tensor
    valued: torch.Tensor
    found: torch.Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {k: v.to(device) for k, v in values.items() if isinstance(v, torch.Tensor)}
        for name in ("readings", "truth"):
            moved[name] = {n: t.to(device) for n, t in values[name].items()}
        return Batch(**moved)


class Windows:
    """Held episodes, cut into windows.

    Args:
        tracks: the episodes, held.
        signals: what to cut out.
        window: ticks with pictures [1].
        horizon: ticks after these, without pictures [1].
        gamma: discount of the return, per tick.
        scratch: where returns are kept; None is memory.

    Attributes:
        looks: whether pictures must be looked at; not where the tracks hold what was found in them.

    Raises:
        ModelError: no episode is long enough.
    """

    def __init__(
        self,
        tracks: Iterable[Track],
        signals: Signals,
        window: int = 8,
        horizon: int = 10,
        gamma: float = 0.97,
        scratch: Scratch | None = None,
    ) -> None:
        self.tracks, self.signals = tuple(tracks), signals
        self.window, self.horizon = window, horizon
        self.looks = any("found" not in track.values for track in self.tracks)
        self._ends = np.cumsum([0] + [max(0, k.length - window - horizon + 1) for k in self.tracks])
        self._marked = self._where_marked() if self.looks else np.empty(0, int)
        if not len(self):
            raise ModelError(f"no episode has {window + horizon} ticks; record longer ones or ask for shorter windows")
        room = scratch or Scratch("", 1 << 62)
        self._returns = [room.keep({"return": _returns(track, gamma)})["return"] for track in self.tracks]

    def __len__(self) -> int:
        return int(self._ends[-1])

    def worth_scale(self) -> np.ndarray:
        """Standard deviation of reward and return over all ticks (2,); 1 where there is none."""
        some = thinned(range(len(self.tracks)), [t.length for t in self.tracks])
        rewards, returns = [_reward(self.tracks[i]) for i in some], [self._returns[i][:] for i in some]
        both = [np.concatenate(rewards).std(), np.concatenate(returns).std()]
        return np.array([x if x > 0 else 1.0 for x in both], np.float32)

    def sample(self, rng: np.random.Generator, size: int) -> Batch:
        """A batch of `size` windows, drawn with the generator."""
        return self.take(self.drawn(rng, size))

    def drawn(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Numbers of `size` windows (size,), drawn with the generator.

        Where pictures must be looked at and masks mark anything, half of them begin where one does: what is marked is
        rare, and learnt from such pictures only.
        """
        which = rng.integers(len(self), size=size)
        if len(self._marked):
            which = np.where(rng.random(size) < 0.5, rng.choice(self._marked, size), which)
        return which

    def first(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Numbers of `size` windows (size,) that begin within a window's length of their episodes' beginnings."""
        counts = np.diff(self._ends)
        which = rng.choice(np.flatnonzero(counts), size)
        return self._ends[which] + rng.integers(np.minimum(self.window, counts[which]))

    def onward(self, which: np.ndarray) -> np.ndarray:
        """Numbers of the windows (n,) that begin where those of other numbers (n,) end; -1 where an episode ends."""
        ends = self._ends[np.searchsorted(self._ends, which, side="right")]
        return np.where(which + self.window < ends, which + self.window, -1)

    def _where_marked(self) -> np.ndarray:
        """Numbers of the windows in whose first tick a mask of the truth marks a pixel."""
        masks, out = [s.name for s in self.signals.of("truth", "mask")], [np.empty(0, int)]
        for first, end, held in zip(self._ends[:-1], self._ends[1:], self.tracks, strict=True):
            marked = np.zeros(end - first, bool)
            for name in masks:
                marked |= held.values[name][: end - first].any(axis=(1, 2))
            out.append(first + np.flatnonzero(marked))
        return np.concatenate(out)

    def take(self, which: Iterable[int]) -> Batch:
        """The batch of the windows of these numbers."""
        numbers = np.fromiter(which, int)
        every = np.searchsorted(self._ends, numbers, side="right") - 1
        cuts = list(zip(every.tolist(), (numbers - self._ends[every]).tolist(), strict=True))
        long = self.window + self.horizon

        def cut(name: str, end: int, start: int = 0) -> torch.Tensor:
            return torch.from_numpy(np.stack([self.tracks[i].values[name][t + start : t + end] for i, t in cuts]))

        first = 0 if self.looks else self.window - 1
        others = {s.name: cut(s.name, long) for s in self.signals.of("reading") if s.kind not in UNFORESEEN}
        pictures = {s.name: cut(s.name, self.window, first) for s in self.signals.of("reading", *_PICTURES)}
        clouds = {s.name: cut(s.name, self.window) for s in self.signals.of("reading", *_CLOUDS)}
        masks = {s.name: cut(s.name, self.window) for s in self.signals.of("truth", "mask") if self.looks}
        returns = np.stack([self._returns[i][t : t + long] for i, t in cuts])
        rest = np.array([[self.tracks[i].length - t] for i, t in cuts]) - np.arange(long)
        return Batch(
            readings=others | pictures | clouds,
            truth={s.name: cut(s.name, long) for s in self.signals.of("truth") if s.kind not in UNFORESEEN} | masks,
            action=cut("action", long),
            returns=torch.from_numpy(returns),
            valued=torch.from_numpy(rest > _SEEN),
            found=None if self.looks else cut("found", self.window),
        )


def survey(episode: xr.Dataset) -> Signals:
    """What an episode holds, from its variables' attributes alone; nothing is normalised yet.

    Of the truth, clean pictures, maps and clouds are left out, as no head tells them, and of masks all but pictures
    of yes and no.

    Raises:
        ModelError: it holds no action with limits, or nothing that could be modelled.
    """
    for name in ("low", "high"):
        if "action" not in episode or name not in episode["action"].attrs:
            raise ModelError(
                f"{_where(episode)} has no 'action' with attribute {name!r}; it cannot teach a model what to do"
            )
    kinds = rooms.names("codecs")
    told = {"reading": set(kinds), "truth": set(kinds) - {*UNFORESEEN, "tactile"} | {"mask"}}
    found = [
        signal_of(str(name), v)
        for name, v in episode.data_vars.items()
        if v.attrs.get("kind") in told.get(str(v.attrs.get("role")), ()) and "time" in v.dims and _modelled(v)
    ]
    if not any(s.role == "reading" for s in found):
        raise ModelError(f"{_where(episode)} has no reading of a kind that has a codec; kinds are {list(kinds)}")
    action = episode["action"]
    names = action["actuator"].values if "actuator" in action.coords else range(action.shape[1])
    low, high = (tuple(float(x) for x in np.atleast_1d(action.attrs[side])) for side in ("low", "high"))
    kind = list(_COMPACT).index
    found.sort(key=lambda s: (kind(s.kind) if s.kind in _COMPACT else -1, s.name))  # a store keeps no order
    return Signals(tuple(found), tuple(map(str, names)), low, high, float(episode.attrs.get("tick", 0.05)))


def track(episode: xr.Dataset, signals: Signals) -> Track:
    """An episode held compactly.

    Raises:
        ModelError: it lacks one of the signals, or has it in another shape.
    """
    values = {s.name: _values(episode, s.name, s.shape, _COMPACT.get(s.kind, np.float32)) for s in signals.all}
    acts = [name for name in ("action", "intent") if name in episode or name == "action"]
    values |= {name: _values(episode, name, (len(signals.actuators),), np.float32) for name in acts}
    told = episode.attrs
    digest, scene = (str(told.get(key, "")) for key in ("scene_digest", "scene"))
    return Track(int(told.get("seed", 0)), digest, scene, episode.sizes["time"], values)


def hold(
    episodes: Iterable[xr.Dataset], signals: Signals | None = None, scratch: Scratch | None = None
) -> tuple[tuple[Track, ...], Signals]:
    """Episodes held compactly, each read once, and what they hold.

    Args:
        episodes: a store, or any other iterable of episodes.
        signals: what to take of them; None takes what the first one holds, without normalisation.
        scratch: where they are kept, each with its `sum` then; None is memory.

    Raises:
        ModelError: there is no episode, or one lacks a variable or has another shape.
    """
    held: list[Track] = []
    for plain in episodes:
        episode = with_outcomes(plain)
        signals = signals or survey(episode)
        came = track(episode, signals)
        if scratch is not None:
            came = replace(came, sum=_sum(came), values=scratch.keep(came.values))
        held.append(came)
    if signals is None or not held:
        raise ModelError("no episode came; record some first")
    return tuple(held), signals


def thinned(items: Sequence[Any], lengths: Sequence[int], ticks: int = _ENOUGH) -> Sequence[Any]:
    """Evenly spaced ones of some episodes, so many that they have about so many ticks; all if they have no more."""
    return items[:: max(1, -(-sum(lengths) // max(1, ticks)))]


def fitted(signals: Signals, tracks: Iterable[Track]) -> Signals:
    """The signals with `mean`, `std` and `varies` as they are over the tracks; of vectors where these are given.

    Of long stores evenly spaced episodes are taken, so that the memory which that takes has a bound.
    """
    every = list(tracks)
    lengths = [k.length for k in every]
    tracks = thinned(every, lengths)

    def fit(signal: Signal) -> Signal:
        if signal.kind == "vector":
            given = [k.values[signal.given].astype(bool) if signal.given else slice(None) for k in tracks]
            values = [k.values[signal.name][there] for k, there in zip(tracks, given, strict=True)]
            values = values if any(map(len, values)) else [k.values[signal.name] for k in tracks]
            return replace(signal, **_spread.of_vector(values, signal.size))
        if signal.kind in ("depth", "tactile", *_CLOUDS):
            few = thinned(every, lengths, 10 * _PIXELS // signal.size)
            some = np.concatenate([k.values[signal.name][::10] for k in few])
            return replace(signal, **_spread.of_picture(signal.kind, some))
        return signal

    return replace(signals, all=tuple(fit(s) for s in signals.all))


def _modelled(variable: xr.DataArray) -> bool:
    return variable.attrs["kind"] != "mask" or (variable.dtype == np.bool_ and variable.ndim == 3)


def _values(episode: xr.Dataset, name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    if name not in episode:
        known = sorted(map(str, episode.data_vars))
        raise ModelError(
            f"{_where(episode)} lacks {name!r}, which the model needs; it has {known}.{did_you_mean(name, known)}"
        )
    variable = episode[name]
    came = tuple(variable.sizes[d] for d in variable.dims if d != "time")
    if variable.dims[0] != "time" or came != shape:
        raise ModelError(
            f"{_where(episode)}: {name!r} came with shape {came} a tick, wanted {shape}; is it of another scene?"
        )
    values = variable.values
    if dtype is np.float16 and (large := np.isfinite(values) & (np.abs(values) > _LARGEST)).any():
        raise ModelError(
            f"{_where(episode)}: {name!r} holds {values[large][0]:.6g}, which is more than {_LARGEST:.6g}; "
            f"give it in metres, in a frame that is near"
        )
    return values.astype(dtype)


def _sum(track: Track) -> str:
    """Digest of an episode's name and values."""
    out = hashlib.sha256(repr((track.seed, track.digest, track.length)).encode())
    for name, value in sorted(track.values.items()):
        out.update(name.encode())
        out.update(np.ascontiguousarray(value).data)
    return out.hexdigest()


def _where(episode: xr.Dataset) -> str:
    return f"episode of scene {episode.attrs.get('scene', '?')!r}, seed {episode.attrs.get('seed', '?')}"


def _reward(track: Track) -> np.ndarray:
    """Reward of each tick (time,); zeros if the episode tells none."""
    if "reward" not in track.values:
        return np.zeros(track.length, np.float32)
    return track.values["reward"].reshape(track.length, -1).sum(axis=1)


def _returns(track: Track, gamma: float) -> np.ndarray:
    """Reward that comes after each tick, discounted per tick (time,)."""
    reward, out = _reward(track), np.zeros(track.length, np.float32)
    for t in range(track.length - 2, -1, -1):
        out[t] = reward[t + 1] + gamma * out[t + 1]
    return out
