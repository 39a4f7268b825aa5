"""What the stages of one run share: where it runs, what it tells, what it keeps."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from twinlab.batches import Scratch
from twinlab.model import team
from twinlab.train import _kept
from twinlab.train._settings import Fit

Progress = Callable[[int, int, Mapping[str, float]], None]
STAGES = ("seeing", "following", "cloning")


@dataclass(frozen=True, eq=False)
class Run:
    """One call of `fit`.

    Attributes:
        fabric: where it runs.
        settings: how.
        steps: how many each stage has, by name.
        about: whose state may be resumed.
        scratch: room for arrays.
        out: folder of the log and of states; None keeps nothing.
        progress: called with steps done, steps in all and the last metrics.
        state: where it was cut off.
    """

    fabric: Fabric
    settings: Fit
    steps: Mapping[str, int]
    about: Mapping[str, Any]
    scratch: Scratch
    out: Path | None
    progress: Progress | None
    state: _kept.State | None

    def at(self, stage: str) -> _kept.State | None:
        """The state, if it is one of this stage."""
        return self.state if self.state and self.state.stage == stage else None

    def past(self, stage: str) -> bool:
        """Whether this stage was over when the run was cut off."""
        return self.state is not None and STAGES.index(stage) < STAGES.index(self.state.stage)

    def overall(self, stage: str, step: int) -> int:
        """A stage's step, counted from the run's first."""
        return sum(self.steps[name] for name in STAGES[: STAGES.index(stage)]) + step

    def due(self, stage: str, step: int) -> bool:
        """Whether a state is to be kept after this step."""
        keep = self.settings.keep if self.out else 0
        return keep > 0 and (step % keep == 0 or step == self.steps[stage])

    def keep(self, state: _kept.State) -> None:
        """Write a state, as the first process."""
        if self.out is not None and team.rank() == 0:
            _kept.write(self.out / "resume", state, self.about)

    def tell(self, stage: str, step: int, numbers: Mapping[str, float]) -> None:
        """One line of the log and one call of `progress`, by the first process."""
        if team.rank():
            return
        done, every = self.overall(stage, step), sum(self.steps.values())
        if self.out is not None:
            line = {"step": done, "stage": stage, **{k: round(v, 5) for k, v in numbers.items()}}
            with (self.out / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        if self.progress is not None:
            self.progress(done, every, numbers)

    def begin(self) -> None:
        """Begin the log, or cut it to where the state is."""
        if self.out is None or team.rank():
            return
        self.out.mkdir(parents=True, exist_ok=True)
        log, lines = self.out / "log.jsonl", list[str]()
        if self.state is not None and log.is_file():
            done = self.overall(self.state.stage, self.state.step)
            whole = [line for line in log.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("}\n")]
            lines = [line for line in whole if json.loads(line)["step"] <= done]
        log.write_text("".join(lines), encoding="utf-8")

    def end(self) -> None:
        """Remove what only a run that was cut off needs."""
        if self.out is not None and team.rank() == 0:
            shutil.rmtree(self.out / "resume", ignore_errors=True)


def mean(terms: list[dict[str, torch.Tensor]]) -> dict[str, float]:
    """Each term's mean over a step's batches and over all processes."""
    values = torch.stack([torch.stack([value.detach().float() for value in part.values()]) for part in terms])
    whole = team.total(values.mean(dim=0)) / team.count()
    return dict(zip(terms[0], whole.tolist(), strict=True))
