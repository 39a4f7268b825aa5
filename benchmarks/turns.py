"""How a figure that was taken in several turns is printed: its median, between its extremes."""

import json
from collections.abc import Sequence

import numpy as np


def tell(name: str, values: Sequence[float] | np.ndarray, unit: str, digits: int = 4) -> None:
    """Print one line of JSON.

    Args:
        name: of the figure.
        values: one for each turn.
        unit: of it.
        digits: after the point.
    """
    found = {"value": np.median(values), "low": np.min(values), "high": np.max(values)}
    rounded = {key: round(float(value), digits) for key, value in found.items()}
    print(json.dumps({"name": name, **rounded, "unit": unit, "n": len(values)}), flush=True)
