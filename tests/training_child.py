"""A process that trains on toy episodes: one of torchrun's, one that kills itself, or one whose memory is measured.

python tests/training_child.py '{"out": …, "fits": {name: {Fit's fields}}, "kill": step, "store": …}'
"""

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import toy

from twinlab.model.imitation import Cloning
from twinlab.store import EpisodeStore
from twinlab.train import Stage, fit

SETTINGS = replace(
    toy.SMALL,
    seeing=Stage(steps=7, batch=8, window=1, horizon=0, starts=1, rate=1e-3),
    following=Stage(steps=7, batch=8, window=4, horizon=5, starts=2, rate=1e-3, fresh=0.4),
    cloning=Cloning(steps=9, batch=32),
    drop=0.5,
    blind=0.5,
    every=1,
    keep=3,
)


def episodes() -> list:
    """What all of them learn from."""
    return [*toy.episodes(2), toy.episode(50_000)]


def halved(settings=SETTINGS):
    """The same with batches half as large."""
    stages = {name: getattr(settings, name) for name in ("seeing", "following", "cloning")}
    return replace(settings, **{name: replace(stage, batch=stage.batch // 2) for name, stage in stages.items()})


def peak() -> int | None:
    """The most memory that this process ever had [KiB], as Linux tells it; `ru_maxrss` would count its parent's too."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.is_file() else []
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), None)


def main() -> None:
    asked = json.loads(sys.argv[1])

    def progress(step: int, *_: object) -> None:
        if step == asked.get("kill"):
            os.kill(os.getpid(), signal.SIGKILL)

    source = EpisodeStore(asked["store"]) if "store" in asked else episodes()
    for name, fields in asked["fits"].items():
        settings = halved() if fields.pop("halved", False) else SETTINGS
        fit(source, replace(settings, **fields), Path(asked["out"]) / name, progress)
    print(json.dumps({"peak": peak()}))


if __name__ == "__main__":
    main()
