"""What episodes that others recorded have in common."""

from typing import Any

import numpy as np


def about(scene: str, seed: int, tick: float, instruction: str = "") -> dict[str, Any]:
    """The attributes of an episode of whose making nothing is known."""
    known = {"scene": scene, "scene_digest": "", "seed": seed, "instruction": instruction}
    return known | {"policy": "unknown", "tick": tick}


def limits(values: np.ndarray) -> dict[str, list[float]]:
    """Limits of an action (time, actuator) of which none are told: its extremes."""
    return {"low": values.min(axis=0).astype(float).tolist(), "high": values.max(axis=0).astype(float).tolist()}


def held(name: str, age: np.ndarray, valid: np.ndarray) -> dict[str, Any]:
    """The variables that come with one whose samples are held: their age [s], 0 or more, and whether they count."""
    told = {"units": "s", "kind": "vector", "role": "reading"}
    return {
        f"{name}_age": ("time", np.maximum(age, 0).astype(np.float32), told),
        f"{name}_valid": ("time", valid, told | {"units": "1", "kind": "pulse"}),
    }
