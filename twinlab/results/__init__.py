"""What a line and its model must show, in five tables: a job that goes on where it was killed, and docs/results.md.

1 prediction and 2 perception on held-out episodes, and the success that is left when a sensor is removed; 3 control on
test seeds; 4 surprise; 5 calibration. Each target is told as met or missed, with the number.

Test seeds begin at 60,000 for control and at 65,000 for held-out episodes, which are recorded as `quickstart` does.
Every closed-loop run is kept in a file of its own, named by the digest of the line, of the model's weights, by policy,
seed, ticks and sensors; what is found on episodes likewise. The package's source is no part of that name: whoever
changes what a line, a task or a policy does gives another folder.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from twinlab.errors import ExperimentError, did_you_mean
from twinlab.model import WorldModel
from twinlab.model.checkpoint import digest, find
from twinlab.quickstart import Quickstart, chosen, recorded
from twinlab.results import _control, _seen, _surprise
from twinlab.results._control import Counts as Counts
from twinlab.results._document import TITLES
from twinlab.results._document import Target as Target
from twinlab.results._document import overview as overview
from twinlab.results._document import write as write
from twinlab.results._runs import Bench, Tell
from twinlab.scene import SceneSpec, read_scene

PARTS = tuple(TITLES)


@dataclass(frozen=True)
class Evaluation:
    """What is measured of one line.

    Attributes:
        scene: the line.
        model: name or folder of its model; "" for the one of the line's name, and for none if there is none: then only
            policies that need no model are measured.
        folder: where episodes and results are kept, below the line's name.
        parts: which of the five tables.
        counts: on how many test seeds.
        held_out: held-out episodes [1].
        training: episodes of the training seeds that the baselines of prediction are fitted on [1].
        hours: how long surprise is watched without faults [h].
        each: runs of each fault that is to surprise [1].
        ticks: length of runs and episodes [1]; the line's own where it is not given.
        workers: processes that simulate at once [1].

    Raises:
        ExperimentError: a part is unknown, or a number cannot be.
    """

    scene: str = "sorting"
    model: str = ""
    folder: str = "data/runs/evaluate"
    parts: tuple[str, ...] = PARTS
    counts: Counts = field(default_factory=Counts)
    held_out: int = 24
    training: int = 12
    hours: float = 3.0
    each: int = 3
    ticks: int | None = None
    workers: int = 2

    def __post_init__(self) -> None:
        for part in self.parts:
            if part not in PARTS:
                raise ExperimentError(f"parts: no {part!r}; there are {list(PARTS)}.{did_you_mean(part, PARTS)}")
        if min(self.held_out, self.training, self.each) < 1 or not self.hours > 0:
            came = f"held_out {self.held_out}, training {self.training}, each {self.each}, hours {self.hours}"
            raise ExperimentError(f"{came} came; wanted 1 or more, and hours above 0")
        if min(vars(self.counts).values()) < 0 or self.counts.varied < 1:
            raise ExperimentError(f"{self.counts} came; wanted numbers of seeds, 0 or more, varied 1 or more")


def run(job: Evaluation, tell: Tell) -> Iterator[tuple[str, str]]:
    """Measure a line: each part and what it found as markdown, as soon as it is done, in the order of the document.

    Args:
        job: what; what was measured before with the same line, weights and seeds is not measured again.
        tell: called with a stage's name, how much of it is done, of how much.

    Raises:
        ModelError: there is no model where one was given, or it does not fit the line.
    """
    spec, model = read_scene(job.scene), job.model or Path(job.scene).stem
    folder = Path(job.folder) / spec.name
    there = bool(job.model) or (find(model) / "model.safetensors").is_file()
    net = WorldModel.load(model) if there else None
    ticks = job.ticks or spec.ticks
    bench = Bench(spec, ticks, model, digest(model) if there else "", folder / "runs", job.workers)
    for part in (one for one in PARTS if one in job.parts):
        if part == "control":
            yield part, _control.control(bench, job.counts, tell)
        elif net is None:
            yield part, f"Not measured: there is no model of this line, {model!r}."
        elif part == "surprise":
            yield part, _surprise.surprise(net, bench, job.hours, job.each, tell)
        else:
            held = _held(job, spec, net, bench, part == "prediction", tell)
            text = _FOUND[part](held, tell)
            more = f"{_control.removal(bench, job.counts, tell)}\n\n" if part == "perception" else ""
            yield part, more + text


_FOUND: dict[str, Callable[[_seen.Held, Tell], str]] = {
    "prediction": _seen.prediction,
    "perception": _seen.perception,
    "calibration": _seen.calibration,
}


def _held(job: Evaluation, spec: SceneSpec, net: WorldModel, bench: Bench, training: bool, tell: Tell) -> _seen.Held:
    """The model with its held-out episodes, and training episodes if they are asked for; what lacks is recorded."""
    folder = Path(job.folder) / spec.name
    wanted = Quickstart(
        scene=job.scene, folder=str(folder), ticks=bench.ticks, training=job.training if training else 0, validation=0,
        held_out=job.held_out, workers=job.workers,
    )  # fmt: skip
    store = recorded(wanted, spec, tell)
    episodes = {name: [store[i] for i in chosen(wanted, spec, store, name)] for name in ("held_out", "training")}
    return _seen.Held(net, bench.weights, episodes["held_out"], episodes["training"], folder / "found")
