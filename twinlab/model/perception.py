"""Readings to one embedding: what views find, numbers and marks of what is there fuse."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import nn

from twinlab import rooms
from twinlab.batches import Signal, Signals
from twinlab.codecs.vector import normalised
from twinlab.model.geometry import Gaze

_FEW = 8  # numbers of a token for each number of a reading that is neither vector nor picture, at most [1]


@dataclass(frozen=True, eq=False)
class Look:
    """How a view looked at the samples of which it has pictures; n of them.

    Attributes:
        places: logits of where its heads look (n, place, rows, columns): pixels where depth tells the camera, else
            patches of the pictures as they were moved.
        masks: what it takes for marked, see the codec: truth's mask → logits (n, 1, rows, columns).
        rows: the samples (n,).
    """

    places: torch.Tensor
    masks: dict[str, torch.Tensor]
    rows: torch.Tensor


@dataclass(frozen=True, eq=False)
class Percept:
    """What one tick's readings tell; N samples.

    Attributes:
        fused: embedding of all that is there (N, latent).
        vectors: normalised vector readings one after the other, 0 where missing (N, vector).
        known: which of these are there (N, vector) bool.
        any: whether anything is there (N,) bool.
        found: what each view's heads found (N, view, feature), 0 where it is missing.
        seen: whether each view has a picture (N, view) bool.
        points: where in space these heads look, in the cameras' optical frames (N, view, place, 3) [m].
        sure: whether that is known (N, view) bool.
    """

    fused: torch.Tensor
    vectors: torch.Tensor
    known: torch.Tensor
    any: torch.Tensor
    found: torch.Tensor
    seen: torch.Tensor
    points: torch.Tensor
    sure: torch.Tensor

    def at(self, index: Any) -> "Percept":
        """The percept of some of the samples."""
        return Percept(*(getattr(self, part.name)[index] for part in fields(self)))

    def unflatten(self, sizes: tuple[int, int]) -> "Percept":
        """The same with the samples' axis split in two."""
        return Percept(*(getattr(self, part.name).unflatten(0, sizes) for part in fields(self)))


def moved(maps: torch.Tensor, by: torch.Tensor | None, sign: int = 1) -> torch.Tensor:
    """Maps (n, channel, rows, columns) read so many rows further down and columns further right, edges repeated.

    Args:
        maps: the maps.
        by: rows and columns of each (n, 2), whole numbers; None leaves them where they are.
        sign: -1 moves them back.
    """
    if by is None:
        return maps
    by, edges = sign * by, enumerate(maps.shape[2:])
    rows, columns = ((torch.arange(n, device=maps.device) + by[:, i, None]).clamp(0, n - 1) for i, n in edges)
    at = (rows[:, :, None] * maps.shape[3] + columns[:, None]).flatten(1)
    return maps.flatten(2).gather(2, at[:, None].expand(-1, maps.shape[1], -1)).view_as(maps)


class Marks(nn.Module):
    """Which pixels of a camera each mask of the truth marks, in layers of its own.

    A network that tells pixel by pixel where a defect shows learns it from few examples (Tabernik et al. 2020), but not
    on the maps that look for places, whose errors drown it; so only its masks train it. Whether something is missing or
    of a wrong size shows by what is around it, so that convolutions reach far (dilation, Yu and Koltun 2016).

    Args:
        inputs: channels of a pixel [1].
        names: of the masks.
        channels: of the maps [1].
        patch: edge of a patch [pixel].

    Attributes:
        features: its strongest answers [1].
    """

    def __init__(self, inputs: int, names: tuple[str, ...], channels: int, patch: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(inputs, channels, patch, patch), nn.BatchNorm2d(channels), nn.SiLU()]
        for apart in (1, 2, 4):
            layers += [nn.Conv2d(channels, channels, 3, padding=apart, dilation=apart)]
            layers += [nn.BatchNorm2d(channels), nn.SiLU()]
        self.maps = nn.Sequential(*layers)
        ends = {name: nn.Sequential(nn.Conv2d(channels, patch**2, 1), nn.PixelShuffle(patch)) for name in names}
        self.ends = nn.ModuleDict(ends)
        self.features = channels + len(names)

    def forward(self, pixels: torch.Tensor) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
        """The strongest answers, without gradient, and logits (n, 1, rows, columns) by mask.

        Those of channels (n, channel) come first, then those of each mask (n, 1).
        """
        maps = self.maps(pixels)
        masks = {name: end(maps) for name, end in self.ends.items()}
        return [part.detach().amax(dim=(2, 3)) for part in (maps, *masks.values())], masks


class View(nn.Module):
    """What a few heads find in pictures that lie pixel on pixel, such as the colour and the depth of one camera.

    Their maps are added, so that any of them may be missing. Each head looks at one place (a softmax over the map,
    Levine et al. 2016) and takes three things from there: the map, the patch under it as the stem gave it, which holds
    the points' positions in space, and where it is on the map. An embedding of positions, added to the map, led to
    learning by heart: the error on a toy line's unseen places doubled.

    Where depth tells its camera, each head also looks at pixels, coarsely by the map and finely by what each pixel
    shows, and gives the point in space that it looks at.

    A mean over all that a head looks at hides what is small. So where the truth has masks of these pixels, `Marks`
    looks for what they mark, and its strongest answers are found too.

    Args:
        signals: the pictures.
        masks: of the truth, which lie pixel on pixel with them.
        channels: of the maps [1].
        places: how many places are looked at [1].

    Attributes:
        features: numbers that the heads find together [1].
    """

    def __init__(self, signals: tuple[Signal, ...], masks: tuple[Signal, ...], channels: int, places: int) -> None:
        super().__init__()
        self.names = tuple(s.name for s in signals)
        self.stems = nn.ModuleDict({s.name: rooms.build("codecs", s.kind).encoder(s, channels) for s in signals})
        patch = rooms.build("codecs", signals[0].kind).patch
        rows, columns = (edge // patch for edge in signals[0].shape[:2])
        self.tiles = nn.ParameterDict({s.name: nn.Parameter(torch.zeros(channels, 1, 1)) for s in signals})
        deeper = nn.Conv2d(channels, channels, 3, padding=1)
        self.body = nn.Sequential(nn.BatchNorm2d(channels), nn.SiLU(), deeper, nn.BatchNorm2d(channels), nn.SiLU())
        self.where = nn.Conv2d(channels, places, 1)
        self.places = places
        inputs = sum(self._channels(s.name) for s in signals)
        self.marks = Marks(inputs, tuple(s.name for s in masks), channels, patch) if masks else None
        measured = [s for s in signals if s.camera]
        self.measured = measured[0].name if measured else ""
        if measured:
            self.gaze = Gaze(measured[0])
            self.fine = nn.Sequential(nn.Conv2d(inputs, 16, 1), nn.SiLU(), nn.Conv2d(16, places, 1))
        grid = torch.meshgrid(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, columns), indexing="ij")
        self.register_buffer("grid", torch.stack(grid, dim=-1).flatten(0, 1), persistent=False)
        self.features = places * (2 * channels + 5) + 1 + (self.marks.features if self.marks else 0)

    def forward(
        self, values: Mapping[str, torch.Tensor], present: Mapping[str, torch.Tensor], by: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, Look]:
        """What was found in N samples (N, features), 0 where no picture is, and how it was looked for.

        Args:
            values: raw pictures (N, …) by name.
            present: whether each is there (N,).
            by: pixels by which the pictures are moved before they are looked at (N, 2), see `moved`; None is none.
                What a pixel shows, and where it is in space, goes with it; `Look` tells of pixels where they were.

        Samples without any picture cost nothing: they are left out before the convolutions.
        """
        names = [name for name in self.names if name in values]
        rows = torch.stack([present[name] for name in names]).any(dim=0).nonzero()[:, 0]
        by = None if by is None else by[rows]
        total = sum(self.tiles[name] for name in self.names if name not in names)
        pixels: dict[str, torch.Tensor] = {}
        for name in names:
            here, stem = present[name][rows][:, None, None, None], self.stems[name]
            assert isinstance(stem, nn.Sequential)  # a codec gives channels of pixels, then maps of patches
            channels, patches = stem
            pixels[name] = moved(torch.where(here, channels(values[name][rows]), 0), by)
            total = total + torch.where(here, patches(pixels[name]), self.tiles[name])
        maps = self.body(total)
        logits = self.where(maps)
        look = logits.flatten(2).float().softmax(dim=-1)
        every = torch.cat([maps, total], dim=1).flatten(2).float()
        flat = torch.cat([torch.einsum("nkp,ncp->nkc", look, every), look @ self.grid], dim=-1).flatten(1)
        shown = self._shown(pixels)
        strongest, masks = self.marks(shown) if self.marks else ([], {})
        points, sure = flat.new_zeros(len(rows), 3 * self.places), flat.new_zeros(len(rows), 1)
        if self.measured in names:
            rough = nn.functional.interpolate(logits, size=shown.shape[2:], mode="nearest")
            logits = moved(rough + self.fine(shown), by, -1)
            depth = torch.where(present[self.measured][rows][:, None, None], values[self.measured][rows], torch.inf)
            where, some = self.gaze(depth, logits)
            points, sure = where.flatten(1), some[:, None].to(flat.dtype)
        found = torch.cat([*strongest, flat, points, sure], dim=1)
        blank = found.new_zeros(len(present[names[0]]), self.features)
        return blank.index_copy(0, rows, found), Look(logits, {n: moved(m, by, -1) for n, m in masks.items()}, rows)

    def points(self, found: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of what was found (N, features), the points (N, place, 3) [m] and whether they are known (N,) bool."""
        points, sure = found[:, -3 * self.places - 1 :].split([3 * self.places, 1], dim=1)
        return points.unflatten(1, (self.places, 3)), sure[:, 0] > 0.5

    def _shown(self, pixels: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """What each pixel shows, 0 where a picture is missing (n, channel, rows, columns)."""
        blank = torch.zeros_like(next(iter(pixels.values()))[:, :1])
        return torch.cat([pixels.get(n, blank.expand(-1, self._channels(n), -1, -1)) for n in self.names], dim=1)

    def _channels(self, name: str) -> int:
        stem = self.stems[name]
        assert isinstance(stem, nn.Sequential) and isinstance(stem[1], nn.Conv2d)
        return stem[1].in_channels


class Perception(nn.Module):
    """All readings of a tick become one embedding, whichever of them are there.

    All stand side by side, 0 where a sensor is missing, with one mark for each that says whether it is there; a linear
    and a deep way lead to the embedding, so that a place that was found need not be learnt again. Three other ways were
    tried. Attention pooling over tokens found the class of a part in 50 % instead of 88 % of the pictures after the
    same 400 steps of 64 frames. Layers of their own for each vector brought the mean error of a target's place from 24
    to 33 mm after 750 steps, and layers of their own for each view the median from 14 to 20 mm: they are more ways to
    learn by heart.

    Args:
        signals: what there is.
        channels, places: of each view.
        width: of tokens and embedding [1].
    """

    views: Any  # of `View`; torch's ModuleList does not tell the type of what it holds

    def __init__(self, signals: Signals, channels: int, places: int, width: int) -> None:
        super().__init__()
        readings = signals.of("reading")
        pictures = [s for s in readings if rooms.build("codecs", s.kind).spatial]
        plain = [s for s in readings if s not in pictures and s.kind != "vector"]
        groups: dict[tuple[str, ...], list[Signal]] = {}
        for s in pictures:
            groups.setdefault(s.dims[:2], []).append(s)
        masks = signals.of("truth", "mask")
        self.views = nn.ModuleList(
            View(tuple(g), tuple(m for m in masks if m.dims == dims), channels, places) for dims, g in groups.items()
        )
        self.wide = {s.name: min(width, _FEW * s.size) for s in plain}
        encoders = {s.name: rooms.build("codecs", s.kind).encoder(s, self.wide[s.name]) for s in plain}
        self.encoders = nn.ModuleDict(encoders)
        self.vectors = tuple(s for s in readings if s.kind == "vector")
        self.width, self.features = width, max((view.features for view in self.views), default=0)
        size = len(self.views) * (self.features + 1) + sum(self.wide.values()) + len(plain)
        size += sum(s.size + 1 for s in self.vectors)
        self.plain = nn.Linear(size, width)
        self.fuse = nn.Sequential(
            nn.Linear(size, width),
            nn.BatchNorm1d(width),
            nn.SiLU(),
            nn.Linear(width, width),
        )

    def forward(
        self,
        values: Mapping[str, torch.Tensor],
        present: Mapping[str, torch.Tensor],
        count: int,
        found: torch.Tensor | None = None,
    ) -> Percept:
        """The percept of N = `count` samples.

        Args:
            values: raw values (N, …) by name.
            present: whether each is there (N,).
            count: N.
            found: what `look` found in the pictures (N, view, feature), if that is known already.
        """
        device = next(iter(present.values())).device
        nowhere = torch.zeros(count, dtype=torch.bool, device=device)
        looked = self.look(values, present, count) if found is None else found
        came = [[present[name] for name in view.names if name in present] for view in self.views]
        there = [torch.stack(marks).any(dim=0) if marks else nowhere for marks in came]
        looked = looked * torch.stack([*there, nowhere], dim=1)[:, :-1, None]
        tokens = []
        for name, encoder in self.encoders.items():
            token = encoder(values[name]) if name in values else torch.zeros(count, self.wide[name], device=device)
            there.append(present.get(name, nowhere))
            tokens.append(torch.where(there[-1][:, None], token, 0))
        there += [present.get(s.name, nowhere) for s in self.vectors]
        marks = torch.stack(there, dim=1)
        vectors, known = self._vectors(values, present, count)
        every = torch.cat([looked.flatten(1), *tokens, vectors, marks.to(vectors.dtype)], dim=1)
        fused = nn.functional.layer_norm(self.plain(every) + self.fuse(every), (self.width,))
        seen = marks[:, : len(self.views)]
        told = [view.points(looked[:, i]) for i, view in enumerate(self.views)]
        blank = looked.new_zeros(count, 0)
        points = torch.stack([p for p, _ in told], dim=1) if told else blank[:, :, None, None].expand(-1, -1, 0, 3)
        sure = torch.stack([there for _, there in told], dim=1) & seen if told else blank.bool()
        return Percept(fused, vectors, known, marks.any(dim=1), looked, seen, points, sure)

    def look(self, values: Mapping[str, torch.Tensor], present: Mapping[str, torch.Tensor], count: int) -> torch.Tensor:
        """What each view's heads find in N = `count` samples (N, view, feature), 0 where no picture is."""
        return self.attend(values, present, count)[0]

    def attend(
        self,
        values: Mapping[str, torch.Tensor],
        present: Mapping[str, torch.Tensor],
        count: int,
        by: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, dict[int, Look]]:
        """What `look` gives, and how each view that has pictures looked; a view with fewer features begins with 0.

        Args:
            values, present, count: see `forward`.
            by: pixels by which each view's pictures are moved before (N, view, 2), see `View`; None is none.
        """
        out = next(self.parameters()).new_zeros(count, len(self.views), self.features)
        looks = {}
        for i, view in enumerate(self.views):
            if any(name in values for name in view.names):
                out[:, i, -view.features :], looks[i] = view(values, present, None if by is None else by[:, i])
        return out, looks

    def _vectors(
        self, values: Mapping[str, torch.Tensor], present: Mapping[str, torch.Tensor], count: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        blank = next(self.parameters()).new_zeros(count, 0)
        parts, known = [blank], [blank.bool()]
        for s in self.vectors:
            here = present[s.name] if s.name in values else blank.new_zeros(count, dtype=torch.bool)
            here = here[:, None].expand(-1, s.size)
            value = normalised(s, values[s.name]) if s.name in values else blank.new_zeros(count, s.size)
            parts.append(torch.where(here, value, 0))
            known.append(here)
        return torch.cat(parts, dim=1), torch.cat(known, dim=1)
