"""The main job, end to end: simulate, record, train, foresee, score, report. What is done is not done again."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import xarray as xr

from twinlab import plots
from twinlab.cell import Cell
from twinlab.collect import collect
from twinlab.episodes import record
from twinlab.evaluate import foresee, localise
from twinlab.files import fingerprint
from twinlab.model import WorldModel
from twinlab.model.checkpoint import digest, find
from twinlab.scene import SceneSpec, read_scene
from twinlab.score import acting, rows, score, summary
from twinlab.store import EpisodeStore
from twinlab.train import Fit, fit
from twinlab.widgets.report import report
from twinlab.widgets.scene_view import SceneView

LEARNED = ("cloned", "planned")
Tell = Callable[[str, int, int], None]
_SHIFT = 4  # of a line's pictures in seeing, at most [pixel]
_OPENINGS, _VALIDATION, _TEST, _HELD_OUT = 10_000, 50_000, 60_000, 65_000  # first seeds: of these episodes, of scoring


@dataclass(frozen=True)
class Quickstart:
    """How big the main job is.

    Attributes:
        scene: the line.
        folder: where recordings, model, scores and report are kept.
        ticks: length of an episode [1].
        training, validation, held_out: episodes of the disturbed expert for these [1].
        openings: short episodes more to train on: a reset costs little, and each shows places, orders and values that
            no other does, where long episodes show few [1].
        opening: length of these; windows and what follows on them must fit in [1].
        noises: how much it is disturbed, in turn, see `episodes.record`; empty is as its scene says, see `disturbed`.
        runs: policy → on how many test seeds it is scored [1].
        workers: processes that simulate at once [1].
        fit: how the model is trained.
    """

    scene: str = "sorting"
    folder: str = "data/runs/quickstart"
    ticks: int = 600
    training: int = 42
    validation: int = 4
    held_out: int = 6
    openings: int = 0
    opening: int = 48
    noises: tuple[float, ...] = ()
    runs: tuple[tuple[str, int], ...] = (("still", 20), ("program", 20), ("expert", 20), ("cloned", 10), ("planned", 4))
    workers: int = 2
    fit: Fit = Fit()

    def disturbed(self, spec: SceneSpec) -> tuple[float, ...]:
        """How much its line's expert is disturbed, in turn: `noises`, or from nothing to as much as the scene says."""
        return self.noises or tuple(round(spec.noise * share / 3, 4) for share in range(4))


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the main job gave.

    Attributes:
        store: the recordings.
        model: the trained model.
        foreseen, perceived: see `evaluate.foresee` and `evaluate.localise`.
        summary: see `score.summary`, over the policies.
        shown: a run of the cloned policy on the first test seed, for the replay.
    """

    store: EpisodeStore
    model: WorldModel
    foreseen: xr.Dataset
    perceived: xr.Dataset
    summary: xr.Dataset
    shown: xr.Dataset


def run(job: Quickstart, tell: Tell) -> Outcome:
    """Do the main job; recordings, model and scores that are there already are used again if they fit.

    Args:
        job: how big.
        tell: called with a stage's name, how much of it is done, and of how much.
    """
    folder, spec = Path(job.folder), read_scene(job.scene)
    store = recorded(job, spec, tell)
    model = trained(job, store, tell)
    held_out = [store[i] for i in chosen(job, spec, store, "held_out")]
    tell("foresee", 0, 2)
    foreseen = foresee(model, held_out, [store[i] for i in chosen(job, spec, store, "training")])
    tell("foresee", 1, 2)
    perceived = localise(model, held_out)
    tell("foresee", 2, 2)
    scores = {name: scored(job, spec, name, count, tell) for name, count in job.runs}
    with Cell(spec) as cell:
        policy = acting("cloned", spec, folder / "model")
        shown = record(cell, policy, job.ticks, _TEST, keep=("link_pose",))
    return Outcome(store, model, foreseen, perceived, summary(scores), shown)


def report_of(job: Quickstart, outcome: Outcome) -> Path:
    """Write the job's report, one HTML file with the replay of the cloned policy, and give its path."""
    spec = read_scene(job.scene)
    with Cell(spec) as cell:
        cell.reset(_TEST)
        goal = cell.task.instruction()
        view = SceneView(cell.snapshot()).replay(outcome.shown["time"], outcome.shown["link_pose"])
    held_out = outcome.store[chosen(job, spec, outcome.store, "held_out")[0]]
    mean = outcome.summary["correct"].sel(statistic="mean")
    at = min(100, job.ticks - 11)  # the figure shows up to 10 ticks ahead
    sections = {
        "How well each way of controlling the line did": [rows(outcome.summary), plots.scores(outcome.summary)],
        "What the model foresees": [_errors(outcome.foreseen), plots.foresight(outcome.model, held_out, at)],
        "What the model perceives, from readings only": [_distances(outcome.perceived), _accuracies(outcome.perceived)],
        "A recorded episode": plots.episode(held_out),
    }
    return report(
        Path(job.folder) / "report.html",
        f"twinlab: {spec.title}",
        view,
        sections,
        lead=f"{goal} The replay shows the cloned policy on test seed {_TEST}; it sees no truth.",
        headline={str(p): f"{float(mean.sel(policy=p)):.0%} right" for p in outcome.summary["policy"].values},
        settings={"job": asdict(job), "scene digest": spec.digest, "episode": dict(held_out.attrs)},
    )


def keep(job: Quickstart, outcome: Outcome, folder: str | Path) -> Path:
    """Copy the job's model, and the scores that belong to it, to where notebooks load them from."""
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    for name in ("model.safetensors", "config.json", "card.md"):
        shutil.copyfile(Path(job.folder) / "model" / name, out / name)
    text = json.dumps(outcome.summary.to_dict(), indent=1)
    (out / "scores.json").write_text(text, encoding="utf-8")
    return out


def kept_scores(model: str | Path) -> xr.Dataset:
    """The summary of scores that `keep` left beside a model, which is given by name or folder."""
    return xr.Dataset.from_dict(json.loads((find(model) / "scores.json").read_text(encoding="utf-8")))


def recorded(job: Quickstart, spec: SceneSpec, tell: Tell) -> EpisodeStore:
    """The store with all episodes of the job: two thirds stray, all are taught by the expert, noise takes turns."""
    path, expert = Path(job.folder) / "store", acting("expert", spec)
    kinds, groups = _kinds(job, spec), dict[tuple[str, float, int], list[int]]()
    for seed, kind in kinds.items():
        groups.setdefault(kind, []).append(seed)
    done = 0
    for (name, noise, ticks), part in groups.items():

        def told(count: int, _: int, before: int = done) -> None:
            tell("record", before + count, len(kinds))

        collect(path, spec, acting(name, spec), part, ticks, noise, job.workers, told, expert)
        done += len(part)
    return EpisodeStore(path)


def chosen(job: Quickstart, spec: SceneSpec, store: EpisodeStore, part: str) -> list[int]:
    """Indices of the job's episodes for training, openings, validation or held_out, by seed; it may hold others too."""
    kinds, seeds = _kinds(job, spec), _seeds(job)[part]
    of_line = store.select(seeds=seeds, scene_digest=spec.digest, branched_at=None)
    found = store.attrs()
    fit_in = (i for i in of_line if tuple(found[i][k] for k in ("policy", "noise", "ticks")) == kinds[found[i]["seed"]])
    return sorted(fit_in, key=lambda i: int(found[i]["seed"]))


def line(
    scene: str, folder: str | Path, ticks: int, steps: int, workers: int, validation: int = 12, openings: int = 400
) -> Quickstart:
    """How much a line's model is recorded and trained, disturbed as much as its scene says; nothing is scored.

    Pictures are moved by up to 4 pixels in seeing, as few configurations are to teach views to see them all.

    Args:
        scene: the line.
        folder: of all models; each line has one of its name there.
        ticks: to train on, in episodes of the line's own length [1].
        validation: episodes [1].
        steps: of seeing and of following [1].
        workers: processes that simulate at once [1].
        openings: see `Quickstart` [1].
    """
    spec = read_scene(scene)
    return Quickstart(
        scene=scene, folder=str(Path(folder) / spec.name), ticks=spec.ticks, training=max(1, round(ticks / spec.ticks)),
        validation=validation, held_out=0, openings=openings, runs=(), workers=workers,
        fit=replace(Fit().of(steps), shift=_SHIFT),
    )  # fmt: skip


def modelled(job: Quickstart, tell: Tell) -> WorldModel:
    """The job's model, recorded for and trained as far as that is not done."""
    return trained(job, recorded(job, read_scene(job.scene), tell), tell)


def trained(job: Quickstart, store: EpisodeStore, tell: Tell) -> WorldModel:
    """The model trained on the store's episodes of this job, or the one that was."""
    out = Path(job.folder) / "model"
    spec = read_scene(job.scene)
    wanted = [i for name in ("training", "openings", "validation") for i in chosen(job, spec, store, name)]
    what = {
        "scene": spec.digest,
        "ticks": [job.ticks, job.opening],
        "episodes": len(wanted),
        "noises": job.disturbed(spec),
    }
    made = fingerprint({"fit": asdict(job.fit), **what})
    done = out / "job.json"
    if done.is_file() and json.loads(done.read_text(encoding="utf-8")) == made:
        return WorldModel.load(out)
    model = fit((store[i] for i in wanted), job.fit, out, lambda step, steps, _: tell("train", step, steps))
    done.write_text(json.dumps(made), encoding="utf-8")
    return model


def scored(job: Quickstart, spec: SceneSpec, name: str, count: int, tell: Tell) -> xr.Dataset:
    """The scores of one policy, or those that were got with the same code of line and model."""
    model = Path(job.folder) / "model"
    weights = digest(model) if name in LEARNED else ""
    what = {"scene": spec.digest, "policy": name, "seeds": count, "ticks": job.ticks, "model": weights}
    kept = Path(job.folder) / "scores" / f"{name}-{fingerprint(what)}.json"
    if kept.is_file():
        return xr.Dataset.from_dict(json.loads(kept.read_text(encoding="utf-8")))
    with Cell(spec) as cell:
        seeds, policy = range(_TEST, _TEST + count), acting(name, spec, model)
        found = score(cell, policy, seeds, job.ticks, job.workers, lambda n, of: tell(f"score {name}", n, of))
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(found.to_dict()), encoding="utf-8")
    return found


def _errors(foreseen: xr.Dataset) -> list[dict[str, str]]:
    """Prediction errors as rows of a table."""
    all_there = foreseen.sel(without="")
    head = f"error / standard deviation, {foreseen.attrs['horizon']:g} s ahead"
    named = {str(p): all_there.sel(predictor=p) for p in all_there["predictor"].values}
    return [
        {
            "predictor": name,
            head: f"{float(one['mean']):.3f} [{float(one['low']):.3f}, {float(one['high']):.3f}]",
            "episodes": str(foreseen.attrs["episodes"]),
            "windows": str(foreseen.attrs["windows"]),
        }
        for name, one in named.items()
    ]


def _distances(perceived: xr.Dataset) -> list[dict[str, str]]:
    """How far off what the model believes is, as rows of a table."""
    one = perceived.sel(without="")
    named = {str(p): one.sel(place=p) for p in one["place"].values}
    return [
        {"what": name, **{f"{k} [mm]": f"{1000 * float(d[k]):.1f}" for k in ("median", "mean", "p90")}}
        for name, d in named.items()
    ]


def _accuracies(perceived: xr.Dataset) -> list[dict[str, str]]:
    """How often what the model believes is right, as rows of a table."""
    one = perceived.sel(without="")
    return [
        {
            "what": str(name),
            "right": f"{float(one['accuracy'].sel(what=name)):.3f}",
            "always the most frequent": f"{float(one['usual'].sel(what=name)):.3f}",
        }
        for name in one["what"].values
    ]


def _seeds(job: Quickstart) -> dict[str, range]:
    return {
        "training": range(job.training),
        "openings": range(_OPENINGS, _OPENINGS + job.openings),
        "validation": range(_VALIDATION, _VALIDATION + job.validation),
        "held_out": range(_HELD_OUT, _HELD_OUT + job.held_out),
    }


def _kinds(job: Quickstart, spec: SceneSpec) -> dict[int, tuple[str, float, int]]:
    """Seed → who acts in its episode, how much he is disturbed, and for how many ticks."""
    noises = job.disturbed(spec)
    kinds = [("straying" if i % 3 else "expert", noises[i % len(noises)]) for i in range(3 * len(noises))]
    ticks = {name: job.opening if name == "openings" else job.ticks for name in _seeds(job)}
    return {s: (*kinds[i % len(kinds)], ticks[name]) for name, part in _seeds(job).items() for i, s in enumerate(part)}
