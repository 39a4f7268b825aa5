"""What a canvas shows, as an array."""

import base64
import io

import numpy as np
from PIL import Image
from playwright.sync_api import Locator


def pixels(canvas: Locator) -> np.ndarray:
    """Colours (row, column, 3) of a canvas as it was last drawn, at 320 columns."""
    url = canvas.evaluate("c => c.toDataURL()")
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")
    return np.asarray(image.resize((320, round(320 * image.height / image.width)))).astype(int)


def differ(one: np.ndarray, other: np.ndarray) -> float:
    """The share of pixels that differ clearly."""
    return float((np.abs(one - other).max(axis=-1) > 24).mean())
