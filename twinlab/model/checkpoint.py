"""A model on disk: weights as safetensors, its configuration as JSON, a card for people. No pickle."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError

from twinlab.batches import Signal, Signals
from twinlab.errors import ModelError, did_you_mean
from twinlab.files import whole
from twinlab.model.calibration import Calibration
from twinlab.model.surprise import Usual

FORMAT = "twinlab-world-model/1"
_WEIGHTS = "model.safetensors"
_HOUSE = Path(__file__).parents[1]
FOLDERS = (_HOUSE.parent / "data" / "models", _HOUSE / "data" / "models")  # in a checkout; in an installed wheel
_USE = (
    "Research on digital twins: perception, prediction and control of the simulated line that it was trained on. "
    "Not for a real robot without safety functions of its own."
)


def save(model: Any, folder: str | Path, card: dict[str, Any]) -> Path:
    """Write a model's three files; the weights come last, so that a folder with weights is whole.

    Args:
        model: a `WorldModel`.
        folder: made if it is not there.
        card: what stands in the card: heading → table.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {"format": FORMAT, "size": asdict(model.size), "signals": asdict(model.signals), "card": card}
    told = {"calibration": model.calibration, "usual": model.usual}
    config |= {name: one.table() for name, one in told.items() if one is not None}
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    (folder / "card.md").write_text(_card(model, card), encoding="utf-8")
    state = {name: _packed(value.detach().cpu().contiguous()) for name, value in model.state_dict().items()}
    with whole(folder / _WEIGHTS) as draft:
        draft.write_bytes(safetensors.torch.save(state, metadata={"format": FORMAT}))  # save_file keeps others out
    return folder


def rounded(model: Any) -> Any:
    """The model, its weights rounded in place to what 16-bit floats hold, which `save` packs into half the size."""
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.copy_(value.half())
    return model


def names() -> tuple[str, ...]:
    """The models that come with twinlab."""
    return tuple(sorted({p.parent.name for folder in FOLDERS for p in folder.glob("*/config.json")}))


def find(model: str | Path) -> Path:
    """The folder of a model: one that comes with twinlab, by its name ("sorting"), or any other by its path."""
    shipped = [folder / model for folder in FOLDERS if str(model) in names() and (folder / model).is_dir()]
    return shipped[0] if shipped else Path(model)


def digest(model: str | Path) -> str:
    """The SHA-256 of a model's weights, which is given by name or folder."""
    return hashlib.sha256((find(model) / _WEIGHTS).read_bytes()).hexdigest()


def weights(model: Any) -> str:
    """The digest of the weights that a model holds, whatever they were packed into."""
    sums = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        sums.update(name.encode() + np.ascontiguousarray(value.cpu().numpy()).tobytes())
    return sums.hexdigest()[:16]


def load(model: Any, size: Any, folder: str | Path) -> Any:
    """The model of a folder, set to evaluation.

    Args:
        model: the class, built from signals and size.
        size: the class of its size.
        folder: what `save` wrote, or the name of a model that comes with twinlab.

    Raises:
        ModelError: a file is missing, truncated or not one of ours.
    """
    folder = find(folder)
    for name in ("config.json", _WEIGHTS):
        if not (folder / name).is_file():
            raise ModelError(
                f"no {name} in {str(folder)!r}; give a folder that WorldModel.save wrote, or the name of a model that "
                f"comes with twinlab: {list(names())}.{did_you_mean(str(folder), names())}"
            )
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if config["format"] != FORMAT:
            raise ModelError(f"config.json in {str(folder)!r} is of format {config['format']!r}, wanted {FORMAT!r}")
        built = model(_signals(config["signals"]), size(**config["size"]))
        built.card |= config["card"]
        if "calibration" in config:
            built.calibration = Calibration.read(config["calibration"])
        if "usual" in config:
            built.usual = Usual.read(config["usual"])
    except (ValueError, KeyError, TypeError, AttributeError) as told:
        if isinstance(told, ModelError):
            raise
        raise ModelError(f"config.json in {str(folder)!r} is damaged or not of twinlab: {told!r}") from told
    try:
        state = safetensors.torch.load_file(folder / _WEIGHTS)
        built.load_state_dict(state)
    except (SafetensorError, RuntimeError) as told:
        raise ModelError(f"model.safetensors in {str(folder)!r} is truncated, or of another model: {told}") from told
    return built.eval()


def _packed(value: torch.Tensor) -> torch.Tensor:
    """The same numbers as 16-bit floats, if nothing is lost."""
    half = value.half()
    return half if value.is_floating_point() and torch.equal(half.to(value.dtype), value) else value


def _signals(table: Mapping[str, Any]) -> Signals:
    signals = tuple(Signal(**{key: _tupled(v) for key, v in s.items()}) for s in table["all"])
    return Signals(**{key: _tupled(v) for key, v in table.items() if key != "all"}, all=signals)


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _card(model: Any, card: Mapping[str, Mapping[str, Any]]) -> str:
    count = sum(p.numel() for p in model.parameters())
    lines = [
        "# A twinlab world model",
        "",
        f"- parameters: {count:,}",
        "- licence: Apache-2.0",
        f"- intended use: {_USE}",
    ]
    for heading, table in card.items():
        lines += ["", f"## {heading}", "", *(f"- {key}: {value}" for key, value in table.items())]
    return "\n".join(lines) + "\n"
