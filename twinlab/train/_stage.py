"""One stage of training: steps of gradient descent on windows, the next ones read meanwhile."""

import copy
import gc
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from twinlab.batches import Batch, Track, Windows
from twinlab.model import WorldModel, team
from twinlab.model.objective import Draw, Objective, draw
from twinlab.train import _kept
from twinlab.train._run import Run, mean
from twinlab.train._settings import Fit, Stage


class Given:
    """A batch and its choices, of a kind that Fabric hands on as it is; it would take a frozen dataclass apart."""

    def __init__(self, batch: Batch, choices: Draw) -> None:
        self.batch, self.choices = batch, choices


class _Loss(nn.Module):
    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, given: Given) -> dict[str, torch.Tensor]:
        return self.objective(given.batch, given.choices)


@dataclass(frozen=True, eq=False)
class Feed:
    """Gives what the steps of a stage learn from, this process's share of it.

    All processes draw the same windows and choices; each takes every so-many-th of them. So several processes learn
    from what one would that takes batches as large as theirs together.
    """

    windows: Windows
    model: WorldModel
    settings: Fit
    stage: Stage
    rng: np.random.Generator

    def __call__(self) -> tuple[list[Given], dict[str, Any]]:
        """The next step's batches with their choices, and the generator's state after it."""
        stage, settings, size = self.stage, self.settings, self.stage.batch * team.count()
        count = size * settings.accumulate
        which = self.windows.drawn(self.rng, count)
        choices = draw(self.model, count, stage.window, self.rng, stage.starts, settings.drop, settings.blind)
        every = (slice(i * size + team.rank(), (i + 1) * size, team.count()) for i in range(settings.accumulate))
        parts = [Given(self.windows.take(which[rows]).to(self.model.device), choices.of(rows)) for rows in every]
        return parts, dict(self.rng.bit_generator.state)


def descend(run: Run, name: str, objective: Objective, tracks: Iterable[Track], stage: Stage) -> None:
    """Train in place, from where the run was cut off if that was in this stage."""
    model, settings = objective.model, run.settings
    windows = Windows(tracks, model.signals, stage.window, stage.horizon, settings.gamma, run.scratch)
    run.fabric.barrier()
    model.worth_scale.copy_(torch.from_numpy(windows.worth_scale()))
    # FSDP2 takes a module's parameters apart for good, so that it gets a copy
    target = copy.deepcopy(objective) if settings.strategy == "fsdp2" else objective
    wrapped = run.fabric.setup_module(_Loss(target))
    plain = torch.optim.AdamW(
        [p for p in target.parameters() if p.requires_grad], lr=stage.rate, weight_decay=settings.decay
    )
    rng, step, before, state = np.random.default_rng([settings.seed, stage.window]), 0, 0.0, run.at(name)
    if state is not None:
        _kept.restore(state, target, plain)
        rng.bit_generator.state = state.rng
        step, before = state.step, state.spent
    wrapped.train()
    target.model.perception.views.train(windows.looks)
    feed = Feed(windows, model, settings, stage, rng)
    _steps(run, name, stage, wrapped, target, plain, feed, step, before)
    if target is not objective:
        whole = _kept.gathered(target, plain)
        objective.load_state_dict({key: whole[f"module.{key}"] for key in objective.state_dict()})
    del wrapped, target
    if team.count() > 1:
        gc.collect()  # DDP's hooks on the parameters go with it


def _steps(
    run: Run,
    name: str,
    stage: Stage,
    wrapped: Any,
    target: nn.Module,
    plain: torch.optim.Optimizer,
    feed: Feed,
    step: int,
    before: float,
) -> None:
    optimizer: Any = run.fabric.setup_optimizers(plain)
    settings = run.settings
    began, waited, first, spent = time.monotonic(), 0.0, step, before
    share = _share(run, stage, step, before)
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(feed)
        while step < stage.steps and share < 1:
            for group in optimizer.param_groups:
                group["lr"] = stage.rate * min(1.0, share / 0.05 + 0.02) * (0.5 + 0.5 * np.cos(np.pi * share))
            asked = time.monotonic()
            parts, drawn = ahead.result()
            waited += time.monotonic() - asked
            step += 1
            if step < stage.steps:
                ahead = pool.submit(feed)
            terms = _learn(run, wrapped, optimizer, parts)
            spent = before + time.monotonic() - began
            share = _share(run, stage, step, spent)
            last = step == stage.steps or share >= 1
            if step % settings.every == 0 or last:
                times = {"seconds": spent, "waiting": waited / (spent - before), "steps": float(step - first)}
                run.tell(name, step, mean(terms) | times)
            if run.due(name, step):
                run.keep(_kept.State(name, step, spent, drawn, _kept.gathered(target, plain)))


def _learn(run: Run, wrapped: Any, optimizer: Any, parts: list[Given]) -> list[dict[str, torch.Tensor]]:
    """One step of the optimizer; gives the terms of each batch."""
    optimizer.zero_grad()
    out = []
    for number, given in enumerate(parts, 1):
        with run.fabric.no_backward_sync(wrapped, enabled=number < len(parts) and team.count() > 1):
            terms: dict[str, torch.Tensor] = wrapped(given)
            run.fabric.backward(terms["loss"] / len(parts))
        out.append(terms)
    run.fabric.clip_gradients(wrapped, optimizer, max_norm=run.settings.clip)
    optimizer.step()
    return out


def _share(run: Run, stage: Stage, step: int, spent: float) -> float:
    """How much of a stage is over; where time counts, that of the first process."""
    limit = run.settings.seconds
    return max(step / stage.steps, float(team.shared(spent / (limit / 2), 0)) if limit else 0.0)
