"""The `twinlab` command: each verb is a thin call of the package."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from twinlab.errors import ExperimentError, TwinlabError, WorkerError
from twinlab.scene import read_scene, scene_names

app = typer.Typer(help="A Jupyter workbench for digital twins of manufacturing lines.", no_args_is_help=True)
console = Console()
Scene = Annotated[str, typer.Argument(help="name of a scene, or path of a TOML file")]
Workers = Annotated[int, typer.Option(help="processes that simulate at once")]
_METRICS = ("correct", "throughput", "oee")
Fields = Annotated[list[str], typer.Option("--set", help="a field of the format, such as depth=video or tick=0.1")]
Outside = Annotated[str, typer.Option("--format", help="name of the format: lerobot, mcap, signals")]


@app.command()
def scenes() -> None:
    """List the lines."""
    table = Table("scene", "title", "bodies", "sensors", "digest")
    for name in scene_names():
        spec = read_scene(name)
        table.add_row(name, spec.title, str(len(spec.bodies)), str(len(spec.sensors)), spec.digest)
    console.print(table)


@app.command()
def check(scene: Scene = "sorting") -> None:
    """Build a line, and say which defaults were taken for what its robot files leave open."""
    from twinlab.cell import Cell

    spec = read_scene(scene)
    with Cell(spec, without=tuple(spec.sensors)) as cell:
        for note in cell.world.notes:
            console.print(note, markup=False, highlight=False, soft_wrap=True)
    what = f"{len(spec.bodies)} bodies, {len(spec.sensors)} sensors, digest {spec.digest}"
    console.print(f"{spec.name} can be built: {what}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def record(
    scene: Scene = "sorting",
    store: Annotated[Path, typer.Option(help="folder of the store")] = Path("data/runs/store"),
    policy: Annotated[str, typer.Option(help="who acts")] = "expert",
    episodes: Annotated[int, typer.Option(min=1, help="how many")] = 10,
    ticks: Annotated[int | None, typer.Option(min=1, help="length of each, instead of the line's own")] = None,
    seed: Annotated[int, typer.Option(min=0, help="of the first")] = 0,
    noise: Annotated[float, typer.Option(min=0, help="disturbance, share of the limits")] = 0.0,
    model: Annotated[Path, typer.Option(help="name or folder of the model, if the policy needs one")] = Path("sorting"),
    workers: Workers = 2,
) -> None:
    """Record episodes into a store; those that it holds already are not recorded again."""
    from twinlab.collect import collect
    from twinlab.score import acting

    spec = read_scene(scene)
    with _bars() as tell:
        found = collect(
            store, spec, acting(policy, spec, model), range(seed, seed + episodes), ticks or spec.ticks, noise, workers,
            lambda n, of: tell("record", n, of),
        )  # fmt: skip
    console.print(repr(found), markup=False, soft_wrap=True)


@app.command()
def train(
    store: Annotated[Path, typer.Argument(help="folder of the store", exists=True, file_okay=False)],
    out: Annotated[Path, typer.Option(help="folder of the model")] = Path("data/runs/model"),
    steps: Annotated[int | None, typer.Option(min=1, help="of seeing and of following, instead of the usual")] = None,
    seed: Annotated[int, typer.Option(help="of first weights and draws")] = 0,
) -> None:
    """Train a world model on a store."""
    from twinlab.store import EpisodeStore
    from twinlab.train import Fit, fit

    with _bars() as tell:
        fit(EpisodeStore(store), Fit(seed=seed).of(steps), out, lambda n, of, _: tell("train", n, of))
    console.print(f"trained: {out}", markup=False, soft_wrap=True)


@app.command()
def score(
    scene: Scene = "sorting",
    policy: Annotated[list[str], typer.Option(help="who acts; may be given several times")] = ["expert"],  # noqa: B006
    seeds: Annotated[int, typer.Option(min=1, help="runs of each")] = 20,
    ticks: Annotated[int | None, typer.Option(min=1, help="length of each run, instead of the line's own")] = None,
    model: Annotated[Path, typer.Option(help="name or folder of the model")] = Path("sorting"),
    workers: Workers = 2,
    every: Annotated[bool, typer.Option("--all", help="expert and program on every line instead")] = False,
) -> None:
    """Score policies on test seeds."""
    from twinlab.cell import Cell
    from twinlab.score import acting, score, summary

    if every:
        _score_lines(seeds, workers)
        return
    spec, found = read_scene(scene), {}
    with _bars() as tell, Cell(spec) as cell:
        for name in policy:
            seen = range(60_000, 60_000 + seeds)
            found[name] = score(cell, acting(name, spec, model), seen, ticks, workers, partial(tell, name))
    _print_scores(summary(found))


@app.command()
def evaluate(
    scene: Scene = "sorting",
    every: Annotated[bool, typer.Option("--all", help="every line instead, each with the model of its name")] = False,
    model: Annotated[str, typer.Option(help="name or folder of the model, instead of the one of the line's name")] = "",
    models: Annotated[Path, typer.Option(help="where `twinlab models` puts them")] = Path("data/runs/models"),
    nominal: Annotated[int, typer.Option(min=0, help="runs of each policy without what varies")] = 59,
    varied: Annotated[int, typer.Option(min=1, help="runs of each policy with variation")] = 20,
    faulty: Annotated[int, typer.Option(min=0, help="runs of each policy with one fault each")] = 20,
    oracle: Annotated[int, typer.Option(min=0, help="runs of the oracle, one item each")] = 12,
    held_out: Annotated[int, typer.Option(min=1, help="held-out episodes")] = 24,
    hours: Annotated[float, typer.Option(help="how long surprise is watched without faults [h]")] = 3.0,
    ticks: Annotated[int | None, typer.Option(min=1, help="length of each run, instead of the line's own")] = None,
    parts: Annotated[str, typer.Option(help="which tables: prediction,perception,control,surprise,calibration")] = "",
    folder: Annotated[Path, typer.Option(help="where episodes and runs are kept")] = Path("data/runs/evaluate"),
    write: Annotated[Path, typer.Option(help="document that keeps the tables")] = Path("docs/results.md"),
    workers: Workers = 2,
) -> None:
    """Measure what a line and its model must show, and keep it; what was measured before is not measured again.

    It may take hours: stop it whenever you like, and call it again to go on.
    """
    from twinlab import results

    if every and model:
        raise ExperimentError("--all came with --model; each line has a model of its own, so leave --model out")
    counts = results.Counts(nominal, varied, faulty, oracle)
    asked = tuple(part.strip() for part in parts.split(",")) if parts else results.PARTS
    for name in scene_names() if every else (scene,):
        own = models / Path(name).stem / "model"
        given = model or (str(own) if (own / "model.safetensors").is_file() else "")
        job = results.Evaluation(
            name, given, str(folder), asked, counts, held_out, hours=hours, ticks=ticks, workers=workers
        )
        with _bars() as tell:
            for part, told in results.run(job, tell):
                console.print(f"\n{Path(name).stem}, {part}\n\n{told}\n", markup=False, highlight=False, soft_wrap=True)
                results.write(write, Path(name).stem, part, told)
    console.print(f"kept: {write}", markup=False, soft_wrap=True)


@app.command()
def experiment(
    scene: Scene = "sorting",
    factor: Annotated[list[str], typer.Option(help="belt.speed=0.1,0.15; may be given several times")] = [],  # noqa: B006
    metric: Annotated[list[str], typer.Option(help="a KPI; may be given several times")] = list(_METRICS),  # noqa: B006
    compare: Annotated[str, typer.Option(help="metric whose differences along the first factor are tested")] = "",
    policy: Annotated[str, typer.Option(help="who acts, where that is no factor")] = "expert",
    seeds: Annotated[int, typer.Option(min=1, help="runs of each combination")] = 20,
    ticks: Annotated[int | None, typer.Option(min=1, help="length of each run, instead of the line's own")] = None,
    model: Annotated[Path, typer.Option(help="name or folder of the model, if a policy needs one")] = Path("sorting"),
    workers: Workers = 2,
    cluster: Annotated[str, typer.Option(help="address of a Dask scheduler whose workers run them instead")] = "",
    folder: Annotated[Path, typer.Option(help="where a folder with settings and result is made")] = Path("data/runs"),
    mlflow: Annotated[str, typer.Option(help="tracking URI or folder of a mirror")] = "",
) -> None:
    """Run every combination of levels on test seeds; what was run before is not run again.

    A factor is a key of the scene, `policy` or `vary`. A policy with a model of its own is written cloned@FOLDER.
    """
    from twinlab import tracking
    from twinlab.experiment import compare as compared
    from twinlab.experiment import experiment, factor_of, factors_of, rows, summarise

    spec, factors = read_scene(scene), dict(map(factor_of, factor))
    factors_of(spec, factors)  # before a folder is made
    asked = {"factors": factor, "metrics": metric, "policy": policy, "seeds": seeds, "ticks": ticks or spec.ticks}
    with (
        tracking.start(folder, f"experiment-{spec.name}", spec, asked, mlflow or None) as run,
        _client(cluster) as client,
        _bars() as tell,
    ):
        table = experiment(
            spec, factors, range(60_000, 60_000 + seeds), list(dict.fromkeys([*metric, *filter(None, [compare])])),
            ticks=ticks, policy=policy, model=str(model), workers=workers, cluster=client,
            progress=lambda n, of, _: tell("run", n, of), into=run,
        )  # fmt: skip
    _print_rows(rows(summarise(table)), "mean over test seeds, 95 % interval")
    if compare and factors:
        found = compared(table, compare, next(iter(factors)))
        about = "{metric} against {baseline}, paired by seed, {correction} over {comparisons}".format(**found.attrs)
        _print_rows(rows(found), about)
    console.print(f"kept: {run.folder}", markup=False, soft_wrap=True)


@app.command()
def quickstart(
    folder: Annotated[Path, typer.Option(help="where all is kept")] = Path("data/runs/quickstart"),
    training: Annotated[int, typer.Option(min=1, help="episodes to train on")] = 42,
    validation: Annotated[int, typer.Option(min=1, help="episodes that its doubt is calibrated by")] = 4,
    steps: Annotated[int | None, typer.Option(min=1, help="of seeing and of following, instead of the usual")] = None,
    runs: Annotated[int | None, typer.Option(min=1, help="of every policy, instead of the usual")] = None,
    keep: Annotated[Path | None, typer.Option(help="folder to copy the model and its scores to")] = None,
) -> None:
    """The main job: simulate, record, train, foresee, score, report."""
    from twinlab import quickstart as main_job
    from twinlab.evaluate import table
    from twinlab.train import Fit

    job = main_job.Quickstart(folder=str(folder), training=training, validation=validation, fit=Fit().of(steps))
    if runs is not None:
        job = replace(job, runs=tuple((name, runs) for name, _ in job.runs))
    with _bars() as tell:
        outcome = main_job.run(job, tell)
    console.print(table(outcome.foreseen), highlight=False)
    console.print(table(outcome.perceived), highlight=False)
    _print_scores(outcome.summary)
    console.print(f"report: {main_job.report_of(job, outcome)}", markup=False, soft_wrap=True)
    if keep is not None:
        console.print(f"kept: {main_job.keep(job, outcome, keep)}")


@app.command()
def models(
    scene: Annotated[list[str] | None, typer.Argument(help="names of lines; all if there are none")] = None,
    folder: Annotated[Path, typer.Option(help="where each line has a folder of its own")] = Path("data/runs/models"),
    ticks: Annotated[int, typer.Option(min=1, help="to train on, in episodes of the line's own length")] = 40_000,
    validation: Annotated[int, typer.Option(min=1, help="episodes that its doubt is calibrated by")] = 12,
    openings: Annotated[int, typer.Option(min=0, help="short episodes more to train on")] = 400,
    steps: Annotated[int, typer.Option(min=1, help="of seeing and of following")] = 1000,
    workers: Workers = 2,
) -> None:
    """Record and train one model per line; what is done is not done again."""
    from twinlab import quickstart as main_job

    for name in scene or scene_names():
        job = main_job.line(name, folder, ticks, steps, workers, validation, openings)
        began = time.monotonic()
        with _bars() as tell:
            main_job.modelled(job, tell)
        spent = (time.monotonic() - began) / 60
        console.print(f"{Path(name).stem}: {Path(job.folder) / 'model'}, {spent:.1f} min", markup=False, soft_wrap=True)


@app.command("export")
def export_(
    store: Annotated[Path, typer.Argument(help="folder of the store", exists=True, file_okay=False)],
    path: Annotated[Path, typer.Argument(help="what to write; nothing may be there")],
    outside: Outside = "lerobot",
    scene: Annotated[str, typer.Option(help="only episodes of this scene")] = "",
    fields: Fields = [],  # noqa: B006
) -> None:
    """Write the episodes of a store in an outside format."""
    from twinlab.formats import made
    from twinlab.store import EpisodeStore

    found = EpisodeStore(store)
    which = found.select(scene=scene) if scene else range(len(found))
    made(outside, fields).write((found[i] for i in which), path)
    console.print(f"wrote {len(which)} episodes: {path}", markup=False, soft_wrap=True)


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="file or folder to read", exists=True)],
    store: Annotated[Path, typer.Argument(help="folder of the store; episodes are added to it")],
    outside: Outside = "lerobot",
    fields: Fields = [],  # noqa: B006
) -> None:
    """Add episodes of an outside format to a store."""
    from twinlab.formats import made
    from twinlab.store import EpisodeStore

    episodes = made(outside, fields).read(path)
    found = EpisodeStore(store)
    for episode in episodes:
        found.append(episode)
    console.print(repr(found), markup=False, soft_wrap=True)


@app.command()
def doctor() -> None:
    """Say what is missing on this machine, and how to get it."""
    from twinlab.doctor import examine

    findings = examine()
    table = Table("what", "found", "what to do")
    for one in findings:
        mark = "[green]ok[/]" if one.good else "[red]missing[/]" if one.needed else "[yellow]missing[/]"
        table.add_row(f"{mark} {one.what}", escape(one.found), "" if one.good else escape(one.cure))
    console.print(table)
    if any(one.needed and not one.good for one in findings):
        raise typer.Exit(1)


def main() -> None:
    """Run the command; an error that twinlab raised on purpose is one clear line, not a traceback."""
    try:
        app()
    except TwinlabError as told:
        line = f"[red]{type(told).__name__}[/]: {escape(str(told))}"
        Console(stderr=True).print(line, highlight=False, soft_wrap=True)
        sys.exit(1)


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each stage, shown as it is told of."""
    columns = (
        TextColumn("{task.description:>18}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bars = {}

        def tell(stage: str, done: int, of: int) -> None:
            if stage not in bars:
                bars[stage] = progress.add_task(stage, total=of)
            progress.update(bars[stage], completed=done, total=of)

        yield tell


def _score_lines(seeds: int, workers: int) -> None:
    """Try expert and program on every line, and print a row when a line is done."""
    from twinlab.score import TRIALS, apart, rows, summary, trial

    console.print(f"share of items right over {seeds} test seeds, 95 % interval, number of items", highlight=False)
    for name in scene_names():
        spec, told = read_scene(name), []
        for kind in TRIALS:
            found = trial(spec, kind, range(60_000, 60_000 + seeds), workers)
            row = rows(summary(found), ("correct",))[0]
            each = ", ".join(f"{value} {share}" for value, share in apart(found).items())
            told.append(f"{kind} {row['correct']} ({row['items']}){each and f', of these {each}'}")
        console.print(f"{name}: {'; '.join(told)}", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _client(address: str) -> Iterator[Any]:
    """A client of the Dask scheduler there, or None for no address."""
    if not address:
        yield None
        return
    from distributed import Client

    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError) as told:
        raise WorkerError(f"no Dask scheduler answers at {address!r} ({told}); start one by `dask scheduler`") from told
    with client:
        yield client


def _folded(value: str) -> str:
    """A value with its interval below it."""
    return value.replace(" [", "\n[").replace("[", "\\[")


def _print_rows(lines: list[dict[str, str]], title: str) -> None:
    table = Table(*map(escape, lines[0]), title=title)
    for line in lines:
        table.add_row(*map(_folded, line.values()))
    console.print(table)


def _print_scores(found: object) -> None:
    from twinlab.score import rows

    lines = rows(found)  # type: ignore[arg-type]
    table = Table("", *(line["policy"] for line in lines), title="mean over test seeds, 95 % interval")
    for name in list(lines[0])[1:]:
        table.add_row(escape(name), *(_folded(line[name]) for line in lines))
    console.print(table)
