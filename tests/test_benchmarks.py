"""The benchmarks run and say all that they promise; how fast things are is not a test's business."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parents[1] / "benchmarks"
SIZES = ("64", "128", "320x240", "640x480")


def test_cameras_prints_every_ratio_with_its_interval_and_count():
    done = subprocess.run(
        [sys.executable, "-W", "error", str(FOLDER / "cameras.py"), "--rounds", "2"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "LP_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )
    lines = {
        told["name"]: told
        for told in map(json.loads, (line for line in done.stdout.splitlines() if line.startswith("{")))
    }
    kinds = ("speedup_", "speedup_shadow_", "floor_")
    wanted = {f"{kind}{size}" for kind in kinds for size in SIZES}
    wanted |= {"two_cameras_over_one", "two_cameras_over_one_shadow"}
    wanted |= {f"{way}_{size}_ms" for way in ("raster", "raster_shadow", "tiny", "tiny_shadow") for size in SIZES}
    assert wanted <= set(lines)
    for told in lines.values():
        assert np.isfinite([told["value"], told["low"], told["high"]]).all()
        assert 0 < told["low"] <= told["value"] <= told["high"]
        assert told["n"] == 2
        assert told["unit"] == ("ms" if told["name"].endswith("_ms") else "1")
