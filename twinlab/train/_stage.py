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
from twinlab.train._walk import Walk


class Given:
    """A batch, its choices and which of its windows go on, of a kind that Fabric hands on as it is.

    It would take a frozen dataclass apart.
    """

    def __init__(self, batch: Batch, choices: Draw, goes_on: torch.Tensor) -> None:
        self.batch, self.choices, self.goes_on = batch, choices, goes_on


class _Loss(nn.Module):
    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, given: Given, before: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        start = torch.where(given.goes_on[:, None], before, self.objective.model.initial(len(before)))
        return self.objective(given.batch, given.choices, start)


@dataclass(frozen=True, eq=False)
class Feed:
    """Gives what the steps of a stage learn from, this process's share of it.

    All processes walk the same way and draw the same choices; each takes every so-many-th window. So several processes
    learn from what one would that takes batches as large as theirs together.
    """

    walk: Walk
    model: WorldModel
    settings: Fit
    stage: Stage

    def __call__(self) -> tuple[list[Given], dict[str, Any]]:
        """The next step's batches with their choices, and where the walk is after it."""
        stage, settings, walk, device = self.stage, self.settings, self.walk, self.model.device
        which, goes_on = walk.next()
        choices = draw(
            self.model,
            len(which),
            stage.window,
            walk.rng,
            stage.starts,
            settings.drop,
            settings.blind,
            shift=settings.shift if walk.windows.looks else 0,
        )
        parts = [
            Given(
                walk.windows.take(which[rows]).to(device),
                choices.of(rows),
                torch.from_numpy(goes_on[rows]).to(device),
            )
            for rows in _rows(stage.batch * team.count(), settings.accumulate)
        ]
        return parts, walk.state


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
    rng, state = np.random.default_rng([settings.seed, stage.window]), run.at(name)
    walk = Walk(windows, rng, stage.batch * team.count() * settings.accumulate, stage.fresh)
    if state is not None:
        _kept.restore(state, target, plain)
        walk.state = state.rng
    wrapped.train()
    target.model.perception.views.train(windows.looks)
    _steps(run, name, stage, wrapped, target, plain, Feed(walk, model, settings, stage), state)
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
    state: _kept.State | None,
) -> None:
    optimizer: Any = run.fabric.setup_optimizers(plain)
    settings = run.settings
    step, before = (0, 0.0) if state is None else (state.step, state.spent)
    ends = _ends(state, feed)
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
            terms, ends = _learn(run, wrapped, optimizer, parts, ends)
            spent = before + time.monotonic() - began
            share = _share(run, stage, step, spent)
            last = step == stage.steps or share >= 1
            if step % settings.every == 0 or last:
                times = {"seconds": spent, "waiting": waited / (spent - before), "steps": float(step - first)}
                run.tell(name, step, mean(terms) | times)
            if run.due(name, step):
                tensors = _kept.gathered(target, plain) | {"ends": _joint(ends)}
                run.keep(_kept.State(name, step, spent, drawn, tensors))


def _learn(
    run: Run, wrapped: Any, optimizer: Any, parts: list[Given], ends: list[torch.Tensor]
) -> tuple[list[dict[str, torch.Tensor]], list[torch.Tensor]]:
    """One step of the optimizer; gives the terms of each batch, and what is foreseen after its windows.

    Args:
        run: whose step it is.
        wrapped: the loss.
        optimizer: the optimizer.
        parts: the batches.
        ends: what was foreseen after the windows of the step before.
    """
    optimizer.zero_grad()
    out, after = [], []
    for number, (given, before) in enumerate(zip(parts, ends, strict=True), 1):
        with run.fabric.no_backward_sync(wrapped, enabled=number < len(parts) and team.count() > 1):
            terms, end = wrapped(given, before)
            run.fabric.backward(terms["loss"] / len(parts))
        out.append(terms)
        after.append(end)
    run.fabric.clip_gradients(wrapped, optimizer, max_norm=run.settings.clip)
    optimizer.step()
    return out, after


def _rows(size: int, accumulate: int) -> list[slice]:
    """Which windows of a step this process takes, batch by batch, of `size` windows of all processes each."""
    return [slice(i * size + team.rank(), (i + 1) * size, team.count()) for i in range(accumulate)]


def _joint(ends: list[torch.Tensor]) -> torch.Tensor:
    """What all processes hold of all windows of a step (window, size), in the order of the walk."""
    mine = torch.stack(ends).cpu()
    every = [team.shared(mine, owner) for owner in range(team.count())]
    return torch.stack(every, dim=2).flatten(0, 2)


def _ends(state: _kept.State | None, feed: Feed) -> list[torch.Tensor]:
    """What was foreseen after the windows of the step before, batch by batch; of no use at the beginning."""
    size, model = feed.stage.batch * team.count(), feed.model
    rows = _rows(size, feed.settings.accumulate)
    whole = torch.zeros(size * len(rows), model.dynamics.size) if state is None else state.tensors["ends"]
    return [whole[part].to(model.device) for part in rows]


def _share(run: Run, stage: Stage, step: int, spent: float) -> float:
    """How much of a stage is over; where time counts, that of the first process."""
    limit = run.settings.seconds
    return max(step / stage.steps, float(team.shared(spent / (limit / 2), 0)) if limit else 0.0)
