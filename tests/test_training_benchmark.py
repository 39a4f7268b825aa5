"""The benchmark of training runs through and prints a figure for each of what it promises."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "training.py"


def test_the_benchmark_tells_speed_loading_and_the_passes_alone():
    asked = ["--small", "--episodes", "1", "--ticks", "40", "--turns", "1", "--filed"]
    said = subprocess.run([sys.executable, str(BENCHMARK), *asked], capture_output=True, text=True, timeout=200)
    assert said.returncode == 0, said.stderr
    found = {line["name"]: line["value"] for line in map(json.loads, said.stdout.splitlines())}
    for stage in ("seeing", "following", "cloning"):
        assert found[f"{stage}_frames_per_s"] > 0 and found[f"{stage}_over_bare"] > 0.2
    slow, fast = sorted(found[f"{stage}_frames_per_s"] for stage in ("seeing", "following"))
    assert slow <= found["frames_per_s"] <= fast
    assert 0 <= found["seeing_loading_share"] < 1 and 0 <= found["following_loading_share"] < 1
    assert found["model_bytes"] > 2 * found["model_parameters"] and found["store_files_per_episode"] > 10
