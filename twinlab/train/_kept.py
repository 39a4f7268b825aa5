"""The state that a killed run goes on from: one safetensors file, replaced at once. No pickle."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor

from twinlab.errors import ModelError
from twinlab.files import whole

FORMAT = "twinlab-resume/1"
_STATE = "state.safetensors"


@dataclass(frozen=True, eq=False)
class State:
    """Where a run was.

    Attributes:
        stage: its name.
        step: how many steps of it were done.
        spent: time that they took [s].
        rng: state of its random draws.
        tensors: "module." and "optimizer." with names, and perhaps "rng".
    """

    stage: str
    step: int
    spent: float
    rng: Any
    tensors: Mapping[str, torch.Tensor]

    def of(self, part: str) -> dict[str, torch.Tensor]:
        """The tensors under a heading, by their names below it."""
        return {name.removeprefix(part): value for name, value in self.tensors.items() if name.startswith(part)}


def gathered(module: nn.Module, optimizer: torch.optim.Optimizer, head: str = "") -> dict[str, torch.Tensor]:
    """Whole tensors of a module and of its optimizer, under their names after `head`; each process must call it."""
    out = {f"module.{head}{name}": _whole(value) for name, value in module.state_dict().items()}
    for name, parameter in module.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            out[f"optimizer.{key}.{head}{name}"] = _whole(value)
    return out


def restore(state: State, module: nn.Module, optimizer: torch.optim.Optimizer, head: str = "") -> None:
    """Put back what `gathered` gave."""
    for name, target in module.state_dict().items():
        target.copy_(_spread(state.tensors[f"module.{head}{name}"], target))
    for name, parameter in module.named_parameters():
        for key in ("exp_avg", "exp_avg_sq"):
            if (value := state.tensors.get(f"optimizer.{key}.{head}{name}")) is not None:
                optimizer.state[parameter][key] = _spread(value, parameter.detach())
                optimizer.state[parameter]["step"] = state.tensors[f"optimizer.step.{head}{name}"].clone()


def write(folder: Path, state: State, about: Mapping[str, Any]) -> None:
    """Write a state so that either the one before or this one is there, whatever happens.

    Args:
        folder: made if it is not there.
        state: what to keep.
        about: whose run it is; only the same one may go on from it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    told = {"format": FORMAT, "about": about, "stage": state.stage, "step": state.step, "spent": state.spent}
    with whole(folder / _STATE, lasting=True) as draft:
        save_file(dict(state.tensors), draft, metadata={"told": json.dumps(told | {"rng": state.rng})})


def read(folder: Path, about: Mapping[str, Any]) -> State | None:
    """The state in a folder; None if there is none.

    Raises:
        ModelError: it is damaged, or of a run with other settings or episodes.
    """
    path = folder / _STATE
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            told = json.loads(file.metadata()["told"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if told["format"] != FORMAT:
            raise ModelError(f"{str(path)!r} is of format {told['format']!r}, wanted {FORMAT!r}; {_ANEW}")
        state = State(told["stage"], told["step"], told["spent"], told["rng"], tensors)
        before = told["about"]
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as why:
        if isinstance(why, ModelError):
            raise
        raise ModelError(f"{str(path)!r} is damaged ({why}); {_ANEW}") from why
    was, now = _flat(before), _flat(json.loads(json.dumps(about)))
    differs = [f"{k} came as {now.get(k)!r}, was {was.get(k)!r}" for k in {**was, **now} if was.get(k) != now.get(k)]
    if differs:
        raise ModelError(
            f"{str(folder)!r} holds a run that was cut off, of another kind: {'; '.join(differs)}. Give what it had "
            f"and it goes on, another folder, or {_ANEW}"
        )
    return state


_ANEW = "call fit(…, anew=True) to begin anew"


def _flat(table: Mapping[str, Any], head: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in table.items():
        out |= _flat(value, f"{head}{key}.") if isinstance(value, dict) else {f"{head}{key}": value}
    return out


def _whole(value: torch.Tensor) -> torch.Tensor:
    full = value.full_tensor() if isinstance(value, DTensor) else value
    return full.detach().cpu().contiguous().clone()


def _spread(value: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    if isinstance(like, DTensor):
        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
    return value.to(like.device)
