"""What came less what was foreseen, reading by reading, as one row of numbers a tick.

Each reading is told in few numbers (`compact`) and compared in up to four ways, its sources:

- "ahead": with what the belief of a tick before foresaw (vectors, pulses, labels);
- "without": with what a second belief says that never gets this reading, nor any other picture of its camera, so that
  a fault cannot talk the belief round; it is what tells a bias or a drift after its first tick;
- "change": with the tick before (pictures, maps, clouds);
- "grain": how rough neighbouring pixels are, with what is usual (pictures): noise, dirt, a lens out of focus.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from twinlab.batches import Signal

_BLOCK = 8  # edge of the blocks into which pictures are pooled [pixel]
MARKS = ("_age", "_valid")  # what an episode says of a sensor's sample, beside it
_NARROW = ("vector", "pulse", "label")
_PICTURES = ("image", "depth", "normals")


def is_mark(name: str, readings: Any) -> bool:
    """Whether a reading only tells the age or the validity of another one, or of a sensor with several."""
    of = next((name.removesuffix(end) for end in MARKS if name.endswith(end)), "")
    return bool(of) and any(
        n == of or n.startswith(f"{of}_") for n in readings if n not in (f"{of}_age", f"{of}_valid")
    )


def mark_of(name: str, readings: Mapping[str, np.ndarray], end: str, default: Any) -> Any:
    """What marks a reading's sample, "_age" or "_valid", by the reading's own name or that of its sensor."""
    own = next((n for n in (name + end, name.rpartition("_")[0] + end) if n in readings), None)
    return default if own is None else readings[own]


def compact(signal: Signal, value: np.ndarray) -> np.ndarray:
    """A reading, or what a decoder tells of it, in few numbers (number,), NaN where nothing is known.

    Vectors normalised, those numbers that vary; pulses as 0 to 1; labels as one number a class; pictures as means of
    blocks of 8 x 8 pixels, of depth also the share that is seen; tactile maps as symlogs of blocks; clouds as mean,
    spread and share of their points.
    """
    if signal.kind == "vector":
        flat = (value.reshape(-1) - np.array(signal.mean)) / np.array(signal.std)
        return np.asarray(flat[list(signal.varies)], float)
    if signal.kind == "label":
        return np.eye(len(signal.labels))[int(value)] if value.ndim == 0 else np.asarray(value, float)
    if signal.kind == "image":
        return _blocks(value.astype(np.float32) / 255)
    if signal.kind == "depth":
        return _seen((value[..., None].astype(np.float32) - signal.mean[0]) / signal.std[0])
    if signal.kind == "normals":
        return _blocks(np.where(np.isfinite(value), value, 0).astype(np.float32))
    if signal.kind == "tactile":
        felt = np.where(np.isfinite(value), value, 0).reshape(-1, *signal.shape[-2:]) / signal.std[0]
        return _blocks(np.moveaxis(np.sign(felt) * np.log1p(np.abs(felt)), 0, -1))
    if signal.kind == "cloud":
        return _cloud(value)
    return value.reshape(-1).astype(float)


def grain(signal: Signal, value: np.ndarray) -> np.ndarray:
    """Logarithm of how much each pixel differs from the mean of its neighbours in the row, by channel (channel,)."""
    flat = value.reshape(*value.shape[:2], -1).astype(np.float32)
    with np.errstate(invalid="ignore"):
        rough = np.abs(2 * flat[:, 1:-1] - flat[:, :-2] - flat[:, 2:])
    there = np.isfinite(rough)
    total, count = np.where(there, rough, 0).sum(axis=(0, 1)), there.sum(axis=(0, 1))
    return np.log(total / np.maximum(count, 1) + 1e-4)


class Residuals:
    """Follows a run with a model and gives each tick's residuals; a state of its own, as policies have.

    Args:
        model: a `WorldModel`, set to evaluation.

    Attributes:
        names: the readings that are watched: no ages, and nothing that never varied in training.
        segments: (reading, source) → which numbers of a row.
        width: numbers in a row.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        readings = model.readings
        self.names = tuple(
            n for n, s in readings.items() if not is_mark(n, readings) and (s.kind != "vector" or any(s.varies))
        )
        views = [tuple(n for n in view.names if n in self.names) for view in model.perception.views]
        alone = [(n,) for n in self.names if not any(n in view for view in views)]
        self._groups = [g for g in (*views, *alone) if g]
        self._row = {name: i for i, group in enumerate(self._groups, 1) for name in group}
        sizes, at = [v.size for v in model.vectors], 0
        self._own = {}
        for v, size in zip(model.vectors, sizes, strict=True):
            self._own[v.name] = slice(model.read_at + at, model.read_at + at + size)
            at += size
        self.segments: dict[tuple[str, str], slice] = {}
        self.width = 0
        for name in self.names:
            s = readings[name]
            blank = np.zeros(s.shape, np.float32)
            for source in _sources(s):
                size = len(grain(s, blank) if source == "grain" else compact(s, blank))
                self.segments[name, source] = slice(self.width, self.width + size)
                self.width += size
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._belief = self.model.initial(len(self._groups) + 1)
        self._before: dict[str, np.ndarray] = {}

    @torch.no_grad()
    def __call__(self, readings: Mapping[str, np.ndarray], action: np.ndarray | None) -> np.ndarray:
        """The residuals of one tick (number,), NaN where a reading or what it is compared with is missing.

        Args:
            readings: of the tick; any may be missing.
            action: what was done before it (actuator,); None at the first tick.
        """
        model, rows = self.model, len(self._groups) + 1
        if action is not None:
            act = torch.as_tensor(np.asarray(action, np.float32), device=model.device)
            self._belief = model.step(self._belief, act.expand(rows, -1))
        out = np.full(self.width, np.nan)
        now = {name: self._compact(name, readings[name]) for name in self.names if name in readings}
        for (name, source), part in self.segments.items():
            if name in now:
                out[part] = self._residual(name, source, now[name], readings[name], action is not None)
        self._before = now
        self._follow(readings, rows)
        return out

    def _compact(self, name: str, value: np.ndarray) -> np.ndarray:
        return compact(self.model.readings[name], np.asarray(value))

    def _residual(self, name: str, source: str, now: np.ndarray, value: np.ndarray, known: bool) -> np.ndarray | float:
        if source == "grain":
            return grain(self.model.readings[name], value)
        if source == "change":
            return now - self._before[name] if name in self._before else np.nan
        return now - self._told(name, 0 if source == "ahead" else self._row[name]) if known else np.nan

    def _told(self, name: str, row: int) -> np.ndarray:
        """What a belief foresees of a reading, in few numbers."""
        model, signal = self.model, self.model.readings[name]
        if signal.kind == "vector":
            return self._belief[row, self._own[name]].cpu().numpy()[list(signal.varies)]
        told: torch.Tensor = model.codecs[name].read(signal, model.decoders[name](self._belief[row : row + 1]))
        return self._compact(name, told[0].cpu().numpy())

    def _follow(self, readings: Mapping[str, np.ndarray], rows: int) -> None:
        """Correct all beliefs, each without its own group of readings."""
        model = self.model
        taken = model.take(readings)
        if not taken:
            return
        seen = {name for view in model.perception.views for name in view.names}
        pictures = {name: value for name, value in taken.items() if name in seen}
        found = model.look(pictures).expand(rows, -1, -1) if pictures else None
        present = {name: torch.full((rows,), name in taken, device=model.device) for name in {*taken, *seen}}
        for name, row in self._row.items():
            if name in present:
                present[name][row] = False
        if found is None:
            present = {name: there for name, there in present.items() if name in taken}
        many = {name: value.expand(rows, *value.shape[1:]) for name, value in taken.items()}
        self._belief = model.update(self._belief, model.encode(many, present, found=found))


def _sources(signal: Signal) -> tuple[str, ...]:
    if signal.kind in _NARROW:
        return ("ahead", "without")
    return ("without", "change", "grain") if signal.kind in _PICTURES else ("without", "change")


def _blocks(picture: np.ndarray) -> np.ndarray:
    """Means of blocks of a picture (rows, columns, channels), one after the other."""
    rows, columns, _ = picture.shape
    edges = tuple(next(b for b in (_BLOCK, 4, 2, 1) if edge % b == 0) for edge in (rows, columns))
    flat = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]
    return nn.functional.avg_pool2d(flat, edges).flatten().double().numpy()


def _seen(depth: np.ndarray) -> np.ndarray:
    """Means of blocks where anything is seen, NaN where less than a quarter is, and the shares that are seen."""
    there = np.isfinite(depth)
    share, total = _blocks(there.astype(np.float32)), _blocks(np.where(there, depth, 0))
    return np.concatenate([np.where(share >= 0.25, total / np.maximum(share, 1e-6), np.nan), share])


def _cloud(value: np.ndarray) -> np.ndarray:
    points = value.reshape(-1, value.shape[-1])[:, :3].astype(float)
    there = np.isfinite(points).all(axis=1)
    if not there.any():
        return np.array([np.nan] * 6 + [0.0])
    some = points[there]
    return np.concatenate([some.mean(axis=0), some.std(axis=0), [there.mean()]])
