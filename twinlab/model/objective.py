"""What training makes small: a sum of terms, each with its source."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from twinlab.batches import UNFORESEEN, Batch
from twinlab.codecs.vector import normalised
from twinlab.model import WorldModel, team
from twinlab.model.belief import spots
from twinlab.model.perception import Look, Percept

REACH = 0.02  # how far around a place its surface is looked for [m]
_FINE = 0.1  # errors of foreseen vectors above this share of their typical change count linearly [1]


@dataclass(frozen=True)
class Weights:
    """How much each term counts.

    Attributes:
        truth: heads on corrected beliefs (privileged supervision; the best teacher that was measured here).
        found: truth straight from what each camera's heads found, by linear heads that only training knows: it leads
            them to the parts at once (deep supervision, Lee et al. 2015). The median error of a target's place after
            750 steps of 64 pictures of each camera fell from 19 to 16 mm with it.
        aimed: how much of a head's attention falls beside the place that it is to find, where a camera sees it: minus
            the logarithm of the share of its pixels' weights within some centimetres of the truth (supervised
            attention, Liu et al. 2016; the twin knows where in a picture each part is).
        masked: which pixels each mask of the truth marks, such as those where a defect shows, straight from the views'
            maps (segmentation beside decision, Tabernik et al. 2020).
        foreseen: the same heads on beliefs at the end of what was rolled out, so that plans can be judged by them.
        vectors: vector readings many ticks ahead, multi-step (SOLAR, Dreamer and TD-MPC2 all train over the horizon
            that is planned), in units of what "nothing changes" would cost. All but the smallest errors count linearly:
            a contact's jump does not drown what stands still. With a weight of 1 the error 0.5 s ahead was 0.31 instead
            of 0.27 of a standard deviation (a linear model's: 0.32), and perception was no better.
        missing: vector readings that were taken away, inferred from the others.
        latent: rolled-out latent against the corrected one of that tick, without gradient into the latter (latent
            prediction: SPR, Schwarzer et al. 2021; the truth heads keep it from collapsing).
        pictures: pictures and clouds decoded from beliefs (reconstruction: World Models, Ha and Schmidhuber 2018).
        pulses: pulses and tactile maps, now and foreseen.
        worth: reward of the tick and discounted return (TD-MPC2's reward and value heads, by regression).
        labels, marks: truths that are classes and those that are pulses, against truth vectors. They are learnt at once
            and by heart soon after; with 1 for both the median error of a target's place was 26 instead of 20 mm.
    """

    truth: float = 1.0
    found: float = 0.5
    aimed: float = 0.2
    masked: float = 1.0
    foreseen: float = 0.1
    vectors: float = 5.0
    missing: float = 0.5
    latent: float = 0.2
    pictures: float = 0.3
    pulses: float = 0.2
    worth: float = 0.03
    labels: float = 0.3
    marks: float = 0.1


@dataclass(frozen=True, eq=False)
class Draw:
    """The random choices of a training step, made outside so that a seed fixes them.

    Attributes:
        present: name → whether a reading is there (B, T) bool.
        starts: ticks from which to roll out (B, start), below T.
        members: which head of the dynamics each of these uses (B * start,).
        shifts: pixels by which each view's pictures are moved (B, T, view, 2); None is none.
    """

    present: dict[str, torch.Tensor]
    starts: torch.Tensor
    members: torch.Tensor
    shifts: torch.Tensor | None = None

    def of(self, rows: slice) -> "Draw":
        """The choices of some of the windows."""
        members = self.members.view(len(self.starts), -1)[rows].flatten()
        shifts = None if self.shifts is None else self.shifts[rows]
        return Draw({name: value[rows] for name, value in self.present.items()}, self.starts[rows], members, shifts)


def draw(
    model: WorldModel,
    count: int,
    ticks: int,
    rng: np.random.Generator,
    starts: int = 1,
    drop: float = 0.0,
    blind: float = 0.0,
    shift: int = 0,
) -> Draw:
    """The random choices of one step for `count` windows of some ticks.

    Args:
        model: whose readings are taken away.
        count, ticks: how many windows, and how long they are.
        rng: decides all.
        starts: from how many ticks of each the future is foreseen, at most `ticks`.
        drop, blind: shares of windows in which readings other than pictures, and pictures, are taken away.
        shift: pixels by which pictures are moved at most, either way, as often each.
    """
    pictures = [name for view in model.perception.views for name in view.names]
    share, chance = {name: blind if name in pictures else drop for name in model.readings}, rng.random((count, 1))
    gone = {name: (chance < share[name]) & _gone(count, ticks, rng) for name in model.readings}
    froms = np.stack([rng.permutation(ticks)[:starts] for _ in range(count)])
    members = rng.integers(0, model.size.members, froms.size)
    present = {name: torch.from_numpy(~value).to(model.device) for name, value in gone.items()}
    drawn = [froms, members]
    if shift:
        drawn.append(rng.integers(-shift, shift + 1, (count, ticks, len(model.perception.views), 2)))
    return Draw(present, *(torch.from_numpy(x).to(model.device) for x in drawn))


def _gone(count: int, ticks: int, rng: np.random.Generator) -> np.ndarray:
    """Where a reading is taken away (window, tick): whole, or from a random tick on or up to it, or not at all.

    Modality dropout (ModDrop, Neverova et al. 2016).
    """
    case, cut = rng.random((count, 1)), rng.integers(0, ticks + 1, (count, 1))
    late = (np.arange(ticks) < cut) ^ (rng.random((count, 1)) < 0.5)
    return (case < 0.25) | ((case < 0.5) & late)


class Objective(nn.Module):
    """The loss of a batch, term by term.

    Args:
        model: what is trained.
        window, horizon: ticks with pictures and ticks ahead, as in the batches; with none ahead nothing is foreseen
            and no picture decoded.
        change: how far each number of the vector readings changes over the horizon, in training (vector,), normalised.
        weights: of the terms.
    """

    change: torch.Tensor

    def __init__(
        self, model: WorldModel, window: int, horizon: int, change: torch.Tensor, weights: Weights = Weights()
    ) -> None:
        super().__init__()
        self.model, self.window, self.horizon, self.weights = model, window, horizon, weights
        self.register_buffer("change", change.clamp(min=0.03), persistent=False)
        self.scored = [s for s in model.signals.of("truth") if s.name in model.truth.names]
        width, views = model.perception.features, model.perception.views
        self.finders: Any = nn.ModuleList(
            nn.ModuleDict({s.name: model.codecs[s.name].decoder(s, width) for s in self.scored}) for _ in views
        )
        located = [s for s in self.scored if s.kind == "vector" and spots((s,))]
        self.located = [(s, spots((s,))[0]) for s in located][: model.size.places]
        self.pulses = [s for s in model.signals.of("reading") if s.kind != "vector" and s.name in model.decoders]

    def forward(
        self, batch: Batch, draw: Draw, start: torch.Tensor | None = None
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Each term, weighted, and their sum under "loss"; and what is foreseen after the windows, without gradient.

        Args:
            batch: the windows.
            draw: the random choices.
            start: what was foreseen for their first ticks (B, size); None is that nothing is known.
        """
        model, ticks, given = self.model, self.window, batch.found
        known = batch.readings if given is None else {n: v for n, v in batch.readings.items() if v.shape[1] >= ticks}
        readings = {name: value[:, :ticks] for name, value in known.items()}
        flat, here = ({n: v.flatten(0, 1) for n, v in part.items()} for part in (readings, draw.present))
        looks: dict[int, Look] = {}
        found = None if given is None else given.flatten(0, 1)
        if found is None:
            by = None if draw.shifts is None else draw.shifts.flatten(0, 1)
            seen, looks = model.perception.attend(flat, here, len(next(iter(flat.values()))), by)
            found = seen if looks else None
        percept = model.encode(flat, here, found)
        beliefs = model.follow(percept.unflatten((len(batch.action), ticks)), batch.action[:, :ticks], start)
        now = torch.arange(ticks, device=beliefs.device).expand(len(beliefs), -1)
        parts = {
            "truth": self._truth(model.truth(beliefs.flatten(0, 1)), batch, now),
            "missing": self._missing(beliefs, batch),
            "pulses": self._pulses(beliefs, batch, now),
            "worth": self._worth(beliefs, batch, now),
        }
        if given is None:
            parts["found"] = self._found(percept, batch, now)
            parts["aimed"] = self._aimed(looks, flat, beliefs.flatten(0, 1), batch, now)
            if any(look.masks for look in looks.values()):
                parts["masked"] = self._masked(looks, batch)
        if self.horizon:
            parts["pictures"] = self._pictures(beliefs, batch)
            ahead, when = self._ahead(beliefs, batch.action, draw)
            parts["pulses"] = parts["pulses"] + self._pulses(ahead, batch, when)
            parts["worth"] = parts["worth"] + self._worth(ahead, batch, when)
            last = slice(self.horizon - 1, None, self.horizon)
            parts["foreseen"] = self._truth(model.truth(ahead[:, last].flatten(0, 1)), batch, when[:, last])
            parts["vectors"] = self._vectors(ahead, batch, when, draw)
            parts["latent"] = self._latent(ahead, beliefs, when)
        terms = {name: getattr(self.weights, name) * value for name, value in parts.items()}
        with torch.no_grad():
            after = model.step(beliefs[:, -1], batch.action[:, ticks - 1])
        return terms | {"loss": torch.stack(list(terms.values())).sum()}, after

    def _ahead(self, beliefs: torch.Tensor, action: torch.Tensor, draw: Draw) -> tuple[torch.Tensor, torch.Tensor]:
        """Rolled-out beliefs (B, start * H, size) and the ticks that they stand for (B, start * H)."""
        count, starts = draw.starts.shape
        when = draw.starts[:, :, None] + torch.arange(self.horizon, device=beliefs.device)
        rows = torch.arange(count, device=beliefs.device)[:, None]
        belief = beliefs[rows, draw.starts].flatten(0, 1)
        acts = self.model.scaled(action[rows[:, :, None], when]).flatten(0, 1)
        which, out = torch.arange(count * starts, device=beliefs.device), []
        for act in acts.unbind(dim=1):
            belief = self.model.dynamics(belief, act)[which, draw.members]
            out.append(belief)
        ahead = torch.stack(out, dim=1)
        return ahead.unflatten(0, (count, starts)).flatten(1, 2), (when + 1).flatten(1)

    def _aimed(
        self,
        looks: Mapping[int, Look],
        readings: dict[str, torch.Tensor],
        beliefs: torch.Tensor,
        batch: Batch,
        when: torch.Tensor,
    ) -> torch.Tensor:
        """How much the heads look beside the places that they are to find, over the pictures that show these."""
        total, sight, views = self.change.new_zeros(()), self.model.correction.sighting, self.model.perception.views
        for i, mount in zip(sight.which, sight.mounts, strict=True):
            view = views[i]
            if i not in looks or view.measured not in readings:
                continue
            logits, rows = looks[i].places, looks[i].rows
            points, valid = view.gaze.points(readings[view.measured][rows])
            world = mount(points, beliefs[rows, self.model.read_at :].detach())
            for k, (s, place) in enumerate(self.located):
                truth = _at(batch.truth[s.name], when).flatten(1)[rows][:, list(place)]
                near = torch.exp(-((world - truth[:, None]) ** 2).sum(dim=-1) / (2 * REACH**2)) * valid
                weights = logits[:, k].flatten(1).float().masked_fill(~valid, -1e4).softmax(dim=-1)
                shown = near.amax(dim=1) > 0.5
                if s.given:
                    shown = shown & _at(batch.truth[s.given], when)[rows].bool()
                cost = -torch.log((weights * near).sum(dim=1) + 0.01)
                total = total + team.mean(cost, shown.float())
        return total

    def _masked(self, looks: Mapping[int, Look], batch: Batch) -> torch.Tensor:
        """What the views' masks cost, mean over the pictures."""
        total, signals, codecs = self.change.new_zeros(()), self.model.signals, self.model.codecs
        for look in looks.values():
            for name, out in look.masks.items():
                cost = codecs[name].loss(signals[name], out, batch.truth[name].flatten(0, 1)[look.rows])
                total = total + team.mean(cost, torch.ones_like(cost))
        return total

    def _found(self, percept: Percept, batch: Batch, when: torch.Tensor) -> torch.Tensor:
        total = self.change.new_zeros(())
        for i, finders in enumerate(self.finders):
            outs = {name: finder(percept.found[:, i]) for name, finder in finders.items()}
            total = total + self._truth(outs, batch, when, percept.seen[:, i].float())
        return total

    def _truth(
        self, outs: Mapping[str, torch.Tensor], batch: Batch, when: torch.Tensor, seen: torch.Tensor | None = None
    ) -> torch.Tensor:
        """What the heads' answers cost, mean over the samples at which there is such a truth and that were `seen`."""
        total, share = self.change.new_zeros(()), {"label": self.weights.labels, "pulse": self.weights.marks}
        for s in self.scored:
            cost = self.model.codecs[s.name].loss(s, outs[s.name], _at(batch.truth[s.name], when))
            counts = torch.ones_like(cost) if seen is None else seen
            counts = counts * _at(batch.truth[s.given], when).bool() if s.given else counts
            total = total + team.mean(cost, counts, share.get(s.kind, 1.0))
        return total

    def _vectors(self, ahead: torch.Tensor, batch: Batch, when: torch.Tensor, draw: Draw) -> torch.Tensor:
        """Only from ticks at which the reading was there: what was never known cannot be foreseen to this precision."""
        error = (ahead[..., self.model.read_at :] - self._read(batch, when)) / self.change
        cost = nn.functional.smooth_l1_loss(error, torch.zeros_like(error), reduction="none", beta=_FINE)
        rows = torch.arange(len(when), device=when.device)[:, None]
        known = [draw.present[s.name][rows, draw.starts, None].expand(-1, -1, s.size) for s in self.model.vectors]
        counts = torch.cat(known, dim=-1).repeat_interleave(self.horizon, dim=1)
        return team.mean(cost, counts)

    def _missing(self, beliefs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Corrected beliefs copy readings that are there, so only those that were taken away cost anything."""
        ticks = torch.arange(self.window, device=beliefs.device).expand(len(beliefs), -1)
        return nn.functional.smooth_l1_loss(beliefs[..., self.model.read_at :], self._read(batch, ticks))

    def _latent(self, ahead: torch.Tensor, beliefs: torch.Tensor, when: torch.Tensor) -> torch.Tensor:
        known = when < self.window
        rows = torch.arange(len(beliefs), device=beliefs.device)[:, None]
        wanted = beliefs.detach()[rows, when.clamp(max=self.window - 1), : self.model.latent]
        cost = ((ahead[..., : self.model.latent] - wanted) ** 2).mean(dim=-1)
        return team.mean(cost, known)

    def _pictures(self, beliefs: torch.Tensor, batch: Batch) -> torch.Tensor:
        belief, total = beliefs[:, -1], self.change.new_zeros(())
        for s in self.pulses:
            if s.kind in UNFORESEEN:
                out = self.model.decoders[s.name](belief)
                total = total + self.model.codecs[s.name].loss(s, out, batch.readings[s.name][:, -1]).mean()
        return total

    def _pulses(self, beliefs: torch.Tensor, batch: Batch, when: torch.Tensor) -> torch.Tensor:
        total = self.change.new_zeros(())
        for s in self.pulses:
            if s.kind not in UNFORESEEN:
                out = self.model.decoders[s.name](beliefs.flatten(0, 1))
                total = total + self.model.codecs[s.name].loss(s, out, _at(batch.readings[s.name], when)).mean()
        return total

    def _worth(self, beliefs: torch.Tensor, batch: Batch, when: torch.Tensor) -> torch.Tensor:
        if "reward" not in batch.truth:
            return self.change.new_zeros(())
        reward, value = self.model.worth(beliefs.flatten(0, 1)).unbind(dim=-1)
        scale = self.model.worth_scale
        wanted = _at(batch.truth["reward"], when).reshape(len(reward), -1).sum(dim=-1) / scale[0]
        known = _at(batch.valued, when).float()
        later = team.mean((value - _at(batch.returns, when) / scale[1]) ** 2, known)
        return ((reward - wanted) ** 2).mean() + later

    def _read(self, batch: Batch, when: torch.Tensor) -> torch.Tensor:
        """Normalised vector readings at ticks (B, n), one after the other (B, n, vector)."""
        parts = [normalised(s, _at(batch.readings[s.name], when)) for s in self.model.vectors]
        return torch.cat(parts, dim=-1).unflatten(0, tuple(when.shape))


def _at(values: torch.Tensor, when: torch.Tensor) -> torch.Tensor:
    """Values (B, time, …) at ticks (B, n), flattened (B * n, …)."""
    return values[torch.arange(len(values), device=values.device)[:, None], when].flatten(0, 1)
